#include "server/heartbeat.h"

#include <gtest/gtest.h>

#include <utility>

namespace stile::server {
namespace {

class HeartbeatTest : public testing::Test {
 protected:
  void turn(std::size_t worker) {
    for (const auto& task : std::exchange(asked_[worker], {})) task();
  }
  std::vector<std::vector<std::function<void()>>> asked_{2};
  Heartbeat heartbeat_{
      2, [this](std::size_t worker, std::function<void()> task) { asked_[worker].push_back(std::move(task)); }};
};

TEST_F(HeartbeatTest, BeatsWhileEverybodyAnswers) {
  EXPECT_FALSE(heartbeat_.round()) << "nobody was asked yet";
  for (int i = 0; i < 3; ++i) {
    turn(0);
    turn(1);
    EXPECT_TRUE(heartbeat_.round());
  }
}

TEST_F(HeartbeatTest, OneThatHangsIsEnoughToStopIt) {
  EXPECT_FALSE(heartbeat_.round());
  turn(0);
  EXPECT_FALSE(heartbeat_.round());
  EXPECT_FALSE(heartbeat_.round());
  EXPECT_EQ(asked_[0].size(), 0U) << "a round that is not over is not asked twice";
  turn(1);
  EXPECT_TRUE(heartbeat_.round()) << "it turns again";
}

TEST_F(HeartbeatTest, OneThatHasEndedIsNotMissed) {
  EXPECT_FALSE(heartbeat_.round());
  turn(0);
  heartbeat_.end(1);
  EXPECT_TRUE(heartbeat_.round());
  turn(1);
  turn(0);
  EXPECT_TRUE(heartbeat_.round());
}

}  // namespace
}  // namespace stile::server
