#include "sys/main_loop.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <thread>

namespace stile::sys {
namespace {

TEST(MainLoop, SignalsQueueUp) {
  auto signals = SignalQueue::create({SIGUSR1});
  ASSERT_TRUE(signals.has_value());
  EXPECT_EQ(signals->next(), std::nullopt);
  ::kill(::getpid(), SIGUSR1);
  const std::array descriptors{-1, signals->descriptor()};
  EXPECT_EQ(wait_readable(descriptors), 1U);
  EXPECT_EQ(signals->next(), SIGUSR1);
  EXPECT_EQ(signals->next(), std::nullopt);
}

TEST(MainLoop, AnotherThreadRaisesTheFlag) {
  auto notification = Notification::create();
  ASSERT_TRUE(notification.has_value());
  std::thread thread([&] { notification->notify(); });
  const std::array descriptors{notification->descriptor()};
  EXPECT_EQ(wait_readable(descriptors), 0U);
  thread.join();
  notification->clear();
  notification->notify();
  notification->notify();
  EXPECT_EQ(wait_readable(descriptors), 0U);
}

}  // namespace
}  // namespace stile::sys
