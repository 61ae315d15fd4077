// Datagram sockets that tell where each datagram was sent to, for addresses of this host. Those of a private network
// are tested in private_network_test.cc.
#include "sys/diverted_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <string>

#include "sys/sockaddr.h"

namespace stile::sys {
namespace {

ConstBytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// A client of whatever address `to` is asked from.
OwnDatagrams ask(const Endpoint& to, const std::string& text) {
  auto client =
      open_own_datagrams({to.address.is_v4() ? Address::v4(127, 0, 0, 1) : *Address::parse("::1"), 0}).value();
  const SocketAddress address(to);
  EXPECT_EQ(::sendto(client.fd.get(), text.data(), text.size(), 0, &address.generic, address.length),
            static_cast<ssize_t>(text.size()));
  return client;
}

void answers_from_where_it_was_asked(const Endpoint& local, const char* called) {
  auto server = open_own_datagrams(local);
  ASSERT_TRUE(server) << local.to_string();
  EXPECT_EQ(server->local.address, local.address);
  EXPECT_NE(server->local.port, 0);
  const Endpoint asked{*Address::parse(called), server->local.port};
  const OwnDatagrams client = ask(asked, "question");
  std::array<std::uint8_t, 100> room;
  const auto received = receive_addressed(server->fd.get(), room);
  ASSERT_TRUE(received);
  EXPECT_EQ(received->called.address, asked.address);
  EXPECT_EQ(received->from, client.local);
  EXPECT_EQ(received->octets, 8U);
  ASSERT_TRUE(answer_addressed(server->fd.get(), received->called.address, received->from, bytes_of("answer")));
  const auto answer = receive_addressed(client.fd.get(), room);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->from, asked);
  EXPECT_EQ(receive_addressed(server->fd.get(), room).error().kind, ErrorKind::would_block);
}

TEST(OwnDatagrams, AreAnsweredFromTheAddressThatWasAsked) {
  answers_from_where_it_was_asked({Address::v4(127, 0, 0, 1), 0}, "127.0.0.1");
  answers_from_where_it_was_asked({Address(), 0}, "127.0.0.1");
  answers_from_where_it_was_asked({Address(), 0}, "127.0.0.99");
}

TEST(OwnDatagrams, AlsoByIpv6) {
  if (!open_own_datagrams({*Address::parse("::1"), 0})) GTEST_SKIP() << "this host has no IPv6";
  answers_from_where_it_was_asked({*Address::parse("::1"), 0}, "::1");
  answers_from_where_it_was_asked({*Address::parse("::"), 0}, "::1");
}

TEST(OwnDatagrams, APlaceThatIsTakenOrMissing) {
  const auto first = open_own_datagrams({Address::v4(127, 0, 0, 1), 0});
  ASSERT_TRUE(first);
  EXPECT_EQ(open_own_datagrams(first->local).error().kind, ErrorKind::address_in_use);
  EXPECT_EQ(open_own_datagrams({Address::v4(192, 0, 2, 1), 0}).error().kind, ErrorKind::address_unavailable);
}

}  // namespace
}  // namespace stile::sys
