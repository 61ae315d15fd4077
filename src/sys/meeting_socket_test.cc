#include "sys/meeting_socket.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "sys/sockaddr.h"

namespace stile::sys {
namespace {

class Meeting : public ::testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    const Endpoint anywhere{GetParam() == Family::ipv4 ? Address::v4(127, 0, 0, 1) : *Address::parse("::1"), 0};
    auto listener = open_silent_listener(anywhere);
    if (!listener && GetParam() == Family::ipv6) GTEST_SKIP() << "there is no IPv6 here";
    ASSERT_TRUE(listener.has_value());
    listener_ = *std::move(listener);
    place_ = listener_.place;
    caller_ = UniqueFd(::socket(address_family(anywhere.address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const SocketAddress any(anywhere);
    ASSERT_EQ(::bind(caller_.get(), &any.generic, any.length), 0);
    from_ = bound_at(caller_.get());
  }
  int call() {
    const SocketAddress to(place_);
    return ::connect(caller_.get(), &to.generic, to.length) == 0 ? 0 : errno;
  }
  static Endpoint bound_at(int fd) {
    SocketAddress address;
    EXPECT_EQ(::getsockname(fd, &address.generic, &address.length), 0);
    return address.endpoint();
  }
  static int failure_of(int fd) {
    int failure = 0;
    socklen_t length = sizeof failure;
    EXPECT_EQ(::getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &length), 0);
    return failure;
  }
  static short ready(int fd, int milliseconds) {
    pollfd one{.fd = fd, .events = POLLIN | POLLOUT, .revents = 0};
    ::poll(&one, 1, milliseconds);
    return one.revents;
  }

  SilentListener listener_;
  Endpoint place_;
  UniqueFd caller_;
  Endpoint from_;
};

TEST_P(Meeting, TheCallerWaitsUntilItIsMet) {
  ASSERT_EQ(call(), EINPROGRESS);
  EXPECT_EQ(ready(caller_.get(), 50), 0);
  auto met = meet(place_, from_);
  ASSERT_TRUE(met.has_value());
  EXPECT_EQ(ready(caller_.get(), 5000), POLLOUT);
  EXPECT_EQ(ready(met->get(), 5000), POLLOUT);
  EXPECT_EQ(failure_of(caller_.get()), 0);
  EXPECT_EQ(call(), 0);  // as a connect that is asked again what came of it
  EXPECT_EQ(call(), EISCONN);
  ASSERT_EQ(::send(caller_.get(), "hello", 5, 0), 5);
  std::array<char, 8> room{};
  ASSERT_NE(ready(met->get(), 5000) & POLLIN, 0);
  EXPECT_EQ(::recv(met->get(), room.data(), room.size(), 0), 5);
}

TEST_P(Meeting, ACallMayBeRefused) {
  ASSERT_EQ(call(), EINPROGRESS);
  auto met = meet(place_, from_);
  ASSERT_TRUE(met.has_value());
  ASSERT_EQ(ready(met->get(), 5000), POLLOUT);
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(::setsockopt(met->get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  met->reset();
  EXPECT_NE(ready(caller_.get(), 5000) & POLLERR, 0);
  EXPECT_EQ(failure_of(caller_.get()), ECONNRESET);
}

TEST_P(Meeting, NobodyIsMetWhoDoesNotCall) {
  auto met = meet(place_, from_);
  ASSERT_TRUE(met.has_value());
  EXPECT_NE(ready(met->get(), 5000) & POLLERR, 0);
  EXPECT_EQ(failure_of(met->get()), ECONNREFUSED);
}

TEST_P(Meeting, ManyMeetAtOnePlace) {
  ASSERT_EQ(call(), EINPROGRESS);
  const UniqueFd first = std::move(caller_);
  auto met = meet(place_, from_);
  ASSERT_TRUE(met.has_value());
  caller_ = UniqueFd(::socket(address_family(place_.address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const SocketAddress any(Endpoint{place_.address, 0});
  ASSERT_EQ(::bind(caller_.get(), &any.generic, any.length), 0);
  ASSERT_EQ(call(), EINPROGRESS);
  auto second = meet(place_, bound_at(caller_.get()));
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(ready(caller_.get(), 5000), POLLOUT);
  EXPECT_EQ(ready(first.get(), 5000), POLLOUT);
}

TEST_P(Meeting, IsRehearsed) {
  EXPECT_TRUE(rehearse_meeting().has_value());
}

INSTANTIATE_TEST_SUITE_P(Both, Meeting, ::testing::Values(Family::ipv4, Family::ipv6),
                         [](const auto& family) { return family.param == Family::ipv4 ? "v4" : "v6"; });

}  // namespace
}  // namespace stile::sys
