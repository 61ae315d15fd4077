#include "sys/segmented_udp.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <numeric>
#include <vector>

#include "sys/sockaddr.h"

namespace stile::sys {
namespace {

Endpoint local_of(int fd) {
  SocketAddress address;
  EXPECT_EQ(::getsockname(fd, &address.generic, &address.length), 0);
  return address.endpoint();
}

TEST(SegmentedUdp, SeveralDatagramsOfOneSizePassInOneCall) {
  for (const char* loopback : {"127.0.0.1:0", "[::1]:0"}) {
    const auto a = open_segmented_udp(*Endpoint::parse(loopback));
    const auto b = open_segmented_udp(*Endpoint::parse(loopback));
    if (!a && a.error().kind == ErrorKind::address_unavailable) continue;  // no IPv6 here
    ASSERT_TRUE(a && b);
    std::vector<std::uint8_t> sent(1'050);
    std::iota(sent.begin(), sent.end(), std::uint8_t{0});
    ASSERT_TRUE(send_segments(a->get(), local_of(b->get()), sent, 100));
    std::vector<std::uint8_t> received;
    while (received.size() < sent.size()) {
      std::vector<std::uint8_t> room(65'536);
      const auto segments = receive_segments(b->get(), room);
      ASSERT_TRUE(segments);
      EXPECT_EQ(segments->peer, local_of(a->get()));
      EXPECT_LE(segments->segment, 100U);
      received.insert(received.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(segments->octets));
    }
    EXPECT_EQ(received, sent);
  }
}

TEST(SegmentedUdp, OneDatagramIsItsOwnSegment) {
  const auto a = open_segmented_udp(*Endpoint::parse("127.0.0.1:0"));
  const auto b = open_segmented_udp(*Endpoint::parse("127.0.0.1:0"));
  ASSERT_TRUE(a && b);
  const std::uint8_t octets[] = {1, 2, 3};
  ASSERT_TRUE(send_segments(a->get(), local_of(b->get()), octets, 100));
  std::vector<std::uint8_t> room(100);
  const auto segments = receive_segments(b->get(), room);
  ASSERT_TRUE(segments);
  EXPECT_EQ(segments->octets, 3U);
  EXPECT_EQ(segments->segment, 3U);
  EXPECT_EQ(receive_segments(b->get(), room).error().kind, ErrorKind::would_block);
}

}  // namespace
}  // namespace stile::sys
