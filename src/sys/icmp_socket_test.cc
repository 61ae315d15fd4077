#include "sys/icmp_socket.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>

#include "sys/sockaddr.h"

namespace stile::sys {
namespace {

using Packet = std::array<std::uint8_t, 8>;

/// An echo request to 127.0.0.1 over a raw socket: identifier 0x1234, sequence 1, its checksum computed by hand.
constexpr Packet request{ICMP_ECHO, 0, 0xE5, 0xCA, 0x12, 0x34, 0, 1};

/// The octets of the ICMP message that came, nothing where none does.
std::vector<std::uint8_t> reply(int fd) {
  pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
  // Over loopback the reply is there before the call that sent the request returns.
  if (::poll(&waiting, 1, 0) != 1) return {};
  std::array<std::uint8_t, 128> packet{};
  const ssize_t count = ::recv(fd, packet.data(), packet.size(), 0);
  if (count < 20) return {};
  return {packet.begin() + 20, packet.begin() + count};
}

void send(int fd) {
  const SocketAddress to{Endpoint{Address::v4(127, 0, 0, 1), 0}};
  EXPECT_EQ(::sendto(fd, request.data(), request.size(), 0, &to.generic, to.length),
            static_cast<ssize_t>(request.size()));
}

TEST(IcmpSocket, AccessIsWhatOpeningSays) {
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    const auto datagram = open_datagram_icmp(family);
    const auto raw = open_raw_icmp(family);
    const IcmpAccess expected = datagram ? IcmpAccess::datagram : raw ? IcmpAccess::raw : IcmpAccess::none;
    EXPECT_EQ(icmp_access(family), expected);
    if (!datagram) {
      EXPECT_EQ(datagram.error().kind, ErrorKind::not_permitted);
    }
  }
}

TEST(IcmpSocket, ARawSocketHandsOverOnlyRepliesToTheIdentifierThatItWasTold) {
  const auto raw = open_raw_icmp(Family::ipv4);
  if (!raw) GTEST_SKIP() << "raw sockets need CAP_NET_RAW";
  send(raw->get());
  EXPECT_EQ(reply(raw->get()), std::vector<std::uint8_t>()) << "none before it is told";
  ASSERT_TRUE(admit_echo_replies(raw->get(), Family::ipv4, 0x4321));
  send(raw->get());
  EXPECT_EQ(reply(raw->get()), std::vector<std::uint8_t>()) << "not another's";
  ASSERT_TRUE(admit_echo_replies(raw->get(), Family::ipv4, 0x1234));
  send(raw->get());
  EXPECT_EQ(reply(raw->get()), (std::vector<std::uint8_t>{ICMP_ECHOREPLY, 0, 0xED, 0xCA, 0x12, 0x34, 0, 1}));
  EXPECT_EQ(reply(raw->get()), std::vector<std::uint8_t>()) << "and not the request, which loopback delivers too";
}

TEST(IcmpSocket, HopsAreSetInBothFamilies) {
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    auto fd = open_datagram_icmp(family);
    if (!fd) fd = open_raw_icmp(family);
    if (!fd) GTEST_SKIP() << "no ICMP sockets: " << icmp_access_cure;
    ASSERT_TRUE(set_hops_max(fd->get(), family, 7));
    int value = 0;
    socklen_t length = sizeof value;
    const bool v4 = family == Family::ipv4;
    ASSERT_EQ(::getsockopt(fd->get(), v4 ? int{IPPROTO_IP} : int{IPPROTO_IPV6}, v4 ? IP_TTL : IPV6_UNICAST_HOPS, &value,
                           &length),
              0);
    EXPECT_EQ(value, 7);
  }
}

}  // namespace
}  // namespace stile::sys
