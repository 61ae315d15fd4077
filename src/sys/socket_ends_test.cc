#include "sys/socket_ends.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include "sys/socket_calls.h"

namespace stile::sys {
namespace {

class SocketEnds : public ::testing::TestWithParam<int> {};

// Others of this host's may end meanwhile.
TEST_P(SocketEnds, TellOfTheLastDescriptorsEnd) {
  const auto ends = open_socket_ends();
  if (!ends) GTEST_SKIP() << "this kernel does not tell";
  UniqueFd socket(::socket(GetParam(), SOCK_STREAM, 0));
  if (!socket) GTEST_SKIP() << "there is no such family";
  const std::uint64_t cookie = stream_socket_of(socket.get())->cookie;
  UniqueFd other(::dup(socket.get()));
  socket.reset();
  while (const auto end = next_socket_end(ends->get())) EXPECT_NE(*end, cookie);
  other.reset();
  for (;;) {
    pollfd ready{.fd = ends->get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(::poll(&ready, 1, 10'000), 1);
    const auto end = next_socket_end(ends->get());
    if (end && *end == cookie) break;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, SocketEnds, ::testing::Values(AF_INET, AF_INET6));

}  // namespace
}  // namespace stile::sys
