#include "sys/socket_options.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "sys/sockaddr.h"
#include "sys/unique_fd.h"

namespace stile::sys {
namespace {

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  EXPECT_EQ(::getsockopt(fd, level, name, &value, &length), 0);
  return value;
}

void expect_stream_options(int fd) {
  EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 60);
  EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 10);
  EXPECT_EQ(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 6);
  EXPECT_EQ(option(fd, SOL_SOCKET, SO_OOBINLINE), 1);
}

UniqueFd stream_socket(int family) {
  return UniqueFd{::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
}

TEST(SocketOptions, StreamOptionsAreSetAndInheritedByAcceptedSockets) {
  const UniqueFd listener = stream_socket(AF_INET);
  ASSERT_TRUE(set_stream_options(listener.get()));
  ASSERT_TRUE(set_reuse_address(listener.get()));
  expect_stream_options(listener.get());
  SocketAddress local{Endpoint{Address::v4(127, 0, 0, 1), 0}};
  ASSERT_EQ(::bind(listener.get(), &local.generic, local.length), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  ASSERT_EQ(::getsockname(listener.get(), &local.generic, &local.length), 0);
  const UniqueFd client = stream_socket(AF_INET);
  ASSERT_EQ(::connect(client.get(), &local.generic, local.length), 0);
  const UniqueFd accepted{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
  ASSERT_TRUE(accepted.is_open());
  expect_stream_options(accepted.get());
}

TEST(SocketOptions, DatagramSocketsHaveRoomAndSayWhatTheyLost) {
  const UniqueFd fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const int receive_before = option(fd.get(), SOL_SOCKET, SO_RCVBUF);
  const int send_before = option(fd.get(), SOL_SOCKET, SO_SNDBUF);
  ASSERT_TRUE(set_datagram_options(fd.get()));
  EXPECT_GE(option(fd.get(), SOL_SOCKET, SO_RCVBUF), receive_before) << "as far as net.core.rmem_max lets it";
  EXPECT_GE(option(fd.get(), SOL_SOCKET, SO_SNDBUF), send_before);
  EXPECT_EQ(option(fd.get(), SOL_SOCKET, SO_RXQ_OVFL), 1);
  EXPECT_EQ(option(fd.get(), IPPROTO_UDP, UDP_GRO), 0);
  ASSERT_TRUE(set_trains(fd.get()));
  EXPECT_EQ(option(fd.get(), IPPROTO_UDP, UDP_GRO), 1);
}

TEST(SocketOptions, IcmpReportsGoOnAndOff) {
  const UniqueFd v4 = stream_socket(AF_INET);
  ASSERT_TRUE(set_icmp_reports(v4.get(), Family::ipv4, true));
  EXPECT_EQ(option(v4.get(), IPPROTO_IP, IP_RECVERR), 1);
  ASSERT_TRUE(set_icmp_reports(v4.get(), Family::ipv4, false));
  EXPECT_EQ(option(v4.get(), IPPROTO_IP, IP_RECVERR), 0);
  const UniqueFd v6 = stream_socket(AF_INET6);
  if (!v6.is_open()) GTEST_SKIP() << "no IPv6";
  ASSERT_TRUE(set_v6_only(v6.get()));
  EXPECT_EQ(option(v6.get(), IPPROTO_IPV6, IPV6_V6ONLY), 1);
  ASSERT_TRUE(set_icmp_reports(v6.get(), Family::ipv6, true));
  EXPECT_EQ(option(v6.get(), IPPROTO_IPV6, IPV6_RECVERR), 1);
}

TEST(SocketOptions, AnInterfaceIsBoundToByName) {
  const UniqueFd fd = stream_socket(AF_INET);
  const auto missing = set_interface(fd.get(), *InterfaceName::parse("nosuch0"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  ASSERT_TRUE(set_interface(fd.get(), *InterfaceName::parse("lo")));
  char name[16] = {};
  socklen_t length = sizeof name;
  ASSERT_EQ(::getsockopt(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, name, &length), 0);
  EXPECT_STREQ(name, "lo");
}

TEST(SocketOptions, AMarkIsSetOrRefused) {
  const UniqueFd fd = stream_socket(AF_INET);
  const auto set = set_mark(fd.get(), 0xFFFFFFFE);
  if (!set) {
    EXPECT_EQ(set.error().kind, ErrorKind::not_permitted);
    GTEST_SKIP() << "this user may set no marks";
  }
  EXPECT_EQ(static_cast<unsigned>(option(fd.get(), SOL_SOCKET, SO_MARK)), 0xFFFFFFFEU);
}

TEST(SocketOptions, FastOpenIsSetBothWays) {
  const UniqueFd client = stream_socket(AF_INET);
  ASSERT_TRUE(set_fast_open_connect(client.get()));
  EXPECT_EQ(option(client.get(), IPPROTO_TCP, TCP_FASTOPEN_CONNECT), 1);
  const UniqueFd listener = stream_socket(AF_INET);
  ASSERT_TRUE(set_fast_open_listen(listener.get(), 16));
  EXPECT_EQ(option(listener.get(), IPPROTO_TCP, TCP_FASTOPEN), 16);
}

TEST(SocketOptions, FailureIsAValue) {
  const Result<void> result = set_stream_options(-1);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::invalid);
}

}  // namespace
}  // namespace stile::sys
