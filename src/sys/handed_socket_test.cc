#include "sys/handed_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "sys/socket_options.h"

namespace stile::sys {
namespace {

TEST(HandedSocket, APairIsOneConnection) {
  auto pair = loopback_pair();
  ASSERT_TRUE(pair);
  for (const int end : {pair->one.get(), pair->other.get()}) {
    EXPECT_TRUE(is_non_blocking(end));
    EXPECT_NE(::fcntl(end, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(internet_kind_of(end), SocketKind::stream);
  }
  ASSERT_TRUE(set_blocking(pair->other.get(), true));
  EXPECT_FALSE(is_non_blocking(pair->other.get()));
  ASSERT_EQ(::send(pair->one.get(), "ab", 2, 0), 2);
  std::array<char, 8> octets{};
  EXPECT_EQ(::recv(pair->other.get(), octets.data(), octets.size(), 0), 2);
  ASSERT_EQ(::shutdown(pair->one.get(), SHUT_WR), 0);
  EXPECT_EQ(::recv(pair->other.get(), octets.data(), octets.size(), 0), 0) << "FIN, and the other way is open";
  ASSERT_EQ(::send(pair->other.get(), "c", 1, 0), 1);
  ASSERT_TRUE(set_blocking(pair->one.get(), true));
  EXPECT_EQ(::recv(pair->one.get(), octets.data(), octets.size(), 0), 1);
}

TEST(HandedSocket, AResetIsAReset) {
  auto pair = loopback_pair();
  ASSERT_TRUE(pair);
  ASSERT_TRUE(set_reset_on_close(pair->one.get()));
  pair->one.reset();
  ASSERT_TRUE(set_blocking(pair->other.get(), true));
  char octet = 0;
  EXPECT_EQ(::recv(pair->other.get(), &octet, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST(HandedSocket, IdentityIsTheSocketsNotTheNumbers) {
  auto pair = loopback_pair();
  ASSERT_TRUE(pair);
  const auto identity = identity_of(pair->one.get());
  ASSERT_TRUE(identity);
  const auto same = duplicate(pair->one);
  ASSERT_TRUE(same);
  EXPECT_EQ(identity_of(same->get()), identity);
  EXPECT_NE(identity_of(pair->other.get()), identity);
  EXPECT_FALSE(identity_of(-1));
}

TEST(HandedSocket, KindsOfTheInternetsSockets) {
  const UniqueFd datagram(::socket(AF_INET6, SOCK_DGRAM, 0));
  const UniqueFd local(::socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_EQ(internet_kind_of(datagram.get()), SocketKind::datagram);
  EXPECT_FALSE(internet_kind_of(local.get()));
  EXPECT_FALSE(internet_kind_of(-1));
  EXPECT_FALSE(is_non_blocking(-1));
  EXPECT_FALSE(set_blocking(-1, true));
}

TEST(HandedSocket, WhatIsPutOntoADescriptorKeepsItsFlags) {
  for (const int flags : {0, int{SOCK_NONBLOCK}, int{SOCK_CLOEXEC}, SOCK_NONBLOCK | SOCK_CLOEXEC}) {
    auto pair = loopback_pair();
    ASSERT_TRUE(pair);
    const UniqueFd onto(::socket(AF_INET, SOCK_STREAM | flags, 0));
    ASSERT_TRUE(put_onto(pair->one.get(), onto.get()));
    EXPECT_EQ(identity_of(onto.get()), identity_of(pair->one.get()));
    EXPECT_EQ(is_non_blocking(onto.get()), (flags & SOCK_NONBLOCK) != 0);
    EXPECT_EQ((::fcntl(onto.get(), F_GETFD) & FD_CLOEXEC) != 0, (flags & SOCK_CLOEXEC) != 0);
  }
  auto pair = loopback_pair();
  EXPECT_FALSE(put_onto(pair->one.get(), -1));
}

}  // namespace
}  // namespace stile::sys
