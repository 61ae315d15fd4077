#include "sys/datagram_link.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "sys/handed_socket.h"
#include "sys/sockaddr.h"

namespace stile::sys {
namespace {

using namespace std::chrono_literals;

class DatagramLinkTest : public ::testing::Test {
 protected:
  DatagramLinkTest() : relay_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    const SocketAddress any({.address = Address::v4(127, 0, 0, 1), .port = 0});
    EXPECT_EQ(::bind(relay_.get(), &any.generic, any.length), 0);
    SocketAddress own;
    EXPECT_EQ(::getsockname(relay_.get(), &own.generic, &own.length), 0);
    place_ = own.endpoint();
    pair_ = *loopback_pair();
  }
  DatagramLink link() {
    auto made = DatagramLink::create(place_, Address::v4(127, 0, 0, 1));
    EXPECT_TRUE(made);
    EXPECT_TRUE(made->keep(std::move(pair_.one)));
    return *std::move(made);
  }
  void answer() {
    SocketAddress peer;
    std::array<char, 16> octets{};
    const ssize_t received = ::recvfrom(relay_.get(), octets.data(), octets.size(), 0, &peer.generic, &peer.length);
    ASSERT_GT(received, 0);
    const auto size = static_cast<std::size_t>(received);
    EXPECT_EQ(::sendto(relay_.get(), octets.data(), size, 0, &peer.generic, peer.length), received);
  }

  UniqueFd relay_;
  Endpoint place_;
  StreamPair pair_;
  const std::array<std::uint8_t, 3> datagram_{1, 2, 3};
  std::array<std::uint8_t, 16> room_{};
};

TEST_F(DatagramLinkTest, CarriesDatagramsAndNeverWaits) {
  DatagramLink link = this->link();
  EXPECT_EQ(link.receive(room_).error().kind, ErrorKind::would_block);
  EXPECT_EQ(link.wait(0ms), false);
  ASSERT_TRUE(set_blocking(link.socket(), true));  // as another descriptor of it may be
  EXPECT_EQ(link.receive(room_).error().kind, ErrorKind::would_block);
  ASSERT_TRUE(link.send(datagram_));
  answer();
  EXPECT_EQ(link.wait(20s), true);
  EXPECT_EQ(link.receive(room_), 3U);
  EXPECT_FALSE(link.ended());
}

TEST_F(DatagramLinkTest, EndsWithItsStream) {
  DatagramLink link = this->link();
  ASSERT_EQ(::send(pair_.other.get(), "x", 1, 0), 1);
  EXPECT_EQ(link.wait(20s), true);
  EXPECT_FALSE(link.ended()) << "what is said there is dropped";
  EXPECT_EQ(link.wait(0ms), false);
  pair_.other.reset();
  EXPECT_EQ(link.wait(20s), true);
  EXPECT_TRUE(link.ended());
  EXPECT_TRUE(link.ended());
}

TEST_F(DatagramLinkTest, ARefusalOfAnEarlierDatagramIsNoErrorOfTheNext) {
  DatagramLink link = this->link();
  relay_.reset();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(link.send(datagram_));
  EXPECT_EQ(link.receive(room_).error().kind, ErrorKind::would_block);
}

TEST_F(DatagramLinkTest, AnAddressOfAnotherFamilyIsNotBoundTo) {
  EXPECT_TRUE(DatagramLink::create(place_, *Address::parse("::1")));
  EXPECT_FALSE(DatagramLink::create(place_, Address::v4(192, 0, 2, 1)));
}

}  // namespace
}  // namespace stile::sys
