#include "sys/wait_any.h"

#include <gtest/gtest.h>

#include <array>

#include "sys/main_loop.h"
#include "sys/record_socket.h"

namespace stile::sys {
namespace {

using namespace std::chrono_literals;

TEST(WaitAny, SaysWhichIsReady) {
  auto first = Notification::create();
  auto second = Notification::create();
  ASSERT_TRUE(first && second);
  std::array all{Waited{.descriptor = first->descriptor()}, Waited{.descriptor = second->descriptor()},
                 Waited{.descriptor = -1}};
  second->notify();
  ASSERT_TRUE(wait_any(all, std::nullopt));
  EXPECT_FALSE(all[0].ready);
  EXPECT_TRUE(all[1].ready);
  EXPECT_FALSE(all[2].ready);
  second->clear();
  ASSERT_TRUE(wait_any(all, 1ms));
  EXPECT_FALSE(all[1].ready) << "the time passed, and nothing was ready";
  ASSERT_TRUE(wait_any(all, -1s));
}

TEST(WaitAny, AHangUpIsSeenWithoutReading) {
  auto pair = record_pair();
  ASSERT_TRUE(pair);
  std::array all{Waited{.descriptor = pair->there.get(), .what = WaitFor::hang_up}};
  const std::array<std::uint8_t, 1> record{1};
  ASSERT_TRUE(send_record(pair->here.get(), record));
  ASSERT_TRUE(wait_any(all, 0ms));
  EXPECT_FALSE(all[0].ready) << "a record is no hang-up";
  pair->here.reset();
  ASSERT_TRUE(wait_any(all, std::nullopt));
  EXPECT_TRUE(all[0].ready);
}

TEST(WaitAny, TheClockGoesForward) {
  const Duration before = monotonic_now();
  std::array none{Waited{}};
  ASSERT_TRUE(wait_any(none, 2ms));
  EXPECT_GE(monotonic_now() - before, 2ms);
}

}  // namespace
}  // namespace stile::sys
