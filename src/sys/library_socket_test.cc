#include "sys/library_socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "sys/sockaddr.h"
#include "sys/unique_fd.h"

namespace stile::sys {
namespace {

ssize_t send_text(int fd, std::string text) {
  const iovec parts[] = {{text.data(), 1}, {text.data() + 1, text.size() - 1}};
  return library_socket_send(fd, parts, 2);
}

TEST(LibrarySocket, SendsAndReceivesWithoutBlocking) {
  const UniqueFd receiver(library_socket_open(AF_INET, SOCK_DGRAM, 0));
  ASSERT_TRUE(receiver.is_open());
  EXPECT_NE(::fcntl(receiver.get(), F_GETFD) & FD_CLOEXEC, 0);
  SocketAddress address(Endpoint{Address::v4(127, 0, 0, 1), 0});
  ASSERT_EQ(::bind(receiver.get(), &address.generic, address.length), 0);
  ASSERT_EQ(::getsockname(receiver.get(), &address.generic, &address.length), 0);
  char room[16] = {};
  EXPECT_EQ(library_socket_receive(receiver.get(), room, sizeof room, 0, nullptr, nullptr), -1);
  EXPECT_EQ(errno, EAGAIN);

  const UniqueFd sender(library_socket_open(AF_INET, SOCK_DGRAM, 0));
  ASSERT_EQ(::connect(sender.get(), &address.generic, address.length), 0);
  EXPECT_EQ(send_text(sender.get(), "hello"), 5);
  EXPECT_EQ(library_socket_receive(receiver.get(), room, sizeof room, 0, nullptr, nullptr), 5);
  EXPECT_EQ(std::string(room), "hello");
}

TEST(LibrarySocket, ARefusalIsLeftToTheReader) {
  const UniqueFd holder(library_socket_open(AF_INET, SOCK_DGRAM, 0));
  SocketAddress address(Endpoint{Address::v4(127, 0, 0, 1), 0});
  ASSERT_EQ(::bind(holder.get(), &address.generic, address.length), 0);
  ASSERT_EQ(::getsockname(holder.get(), &address.generic, &address.length), 0);
  const UniqueFd sender(library_socket_open(AF_INET, SOCK_DGRAM, 0));
  ASSERT_EQ(::connect(sender.get(), &address.generic, address.length), 0);
  // The holder takes datagrams from its own address only, so that the kernel refuses those of others.
  ASSERT_EQ(::connect(holder.get(), &address.generic, address.length), 0);
  EXPECT_EQ(send_text(sender.get(), "one"), 3);
  EXPECT_EQ(send_text(sender.get(), "two"), 3);
  char room[16] = {};
  EXPECT_EQ(library_socket_receive(sender.get(), room, sizeof room, 0, nullptr, nullptr), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
}

TEST(LibrarySocket, AClosedPeerIsAnErrorAndNoSignal) {
  int pair[2] = {};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  const UniqueFd mine(pair[0]);
  ::close(pair[1]);
  EXPECT_EQ(send_text(mine.get(), "hello"), -1);
  EXPECT_EQ(errno, EPIPE);
}

}  // namespace
}  // namespace stile::sys
