#include "sys/stream_socket.h"

#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "sys/sockaddr.h"

namespace stile::sys {
namespace {

struct Listening {
  UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  Endpoint endpoint;

  Listening() {
    SocketAddress address{Endpoint{Address::v4(127, 0, 0, 1), 0}};
    EXPECT_EQ(::bind(fd.get(), &address.generic, address.length), 0);
    EXPECT_EQ(::listen(fd.get(), 8), 0);
    EXPECT_EQ(::getsockname(fd.get(), &address.generic, &address.length), 0);
    endpoint = address.endpoint();
  }
};

bool is_writable(int fd) {
  pollfd one{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&one, 1, 5'000) == 1 && (one.revents & POLLERR) == 0;
}

TEST(StreamSocket, ConnectsWithoutNagle) {
  const Listening listening;
  const auto fd = begin_stream(listening.endpoint, std::nullopt);
  ASSERT_TRUE(fd);
  EXPECT_TRUE(is_writable(fd->get()));
  int no_delay = 0;
  socklen_t length = sizeof no_delay;
  ASSERT_EQ(::getsockopt(fd->get(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &length), 0);
  EXPECT_EQ(no_delay, 1);
}

TEST(StreamSocket, ComesFromTheSourceThatWasAskedFor) {
  const Listening listening;
  const auto fd = begin_stream(listening.endpoint, Address::v4(127, 0, 0, 9));
  ASSERT_TRUE(fd);
  SocketAddress local;
  ASSERT_EQ(::getsockname(fd->get(), &local.generic, &local.length), 0);
  EXPECT_EQ(local.endpoint().address, Address::v4(127, 0, 0, 9));
}

TEST(StreamSocket, AForeignSourceIsAnError) {
  const Listening listening;
  const auto fd = begin_stream(listening.endpoint, Address::v4(192, 0, 2, 1));
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().kind, ErrorKind::address_unavailable);
}

}  // namespace
}  // namespace stile::sys
