#include "server/probe_gate.h"

#include <gtest/gtest.h>

namespace stile::server {
namespace {

using namespace std::chrono_literals;

const Instant start{1h};

TEST(ProbeGate, AClientHasOneProbeASecond) {
  ProbeGate gate;
  EXPECT_EQ(gate.later("alice", start), std::nullopt);
  EXPECT_EQ(gate.later("alice", start), start + 1s) << "not a second one in the same second";
  EXPECT_EQ(gate.later("alice", start + 999ms), start + 1s) << "nor does asking move the time";
  EXPECT_EQ(gate.later("bob", start + 1ms), std::nullopt) << "another client has its own";
  EXPECT_EQ(gate.later("alice", start + 1s), std::nullopt);
  EXPECT_EQ(gate.later("alice", start + 1500ms), start + 2s);
}

TEST(ProbeGate, RemembersSoManyClientsAndForgetsTheOldestSecond) {
  ProbeGate gate;
  for (std::size_t i = 0; i < limits::probe_clients_max; ++i) {
    ASSERT_EQ(gate.later(std::to_string(i), start), std::nullopt);
  }
  EXPECT_EQ(gate.later("one more", start + 500ms), start + 1500ms);
  EXPECT_EQ(gate.later("one more", start + 1s), std::nullopt) << "theirs have passed";
  EXPECT_EQ(gate.later("one more", start + 1s), start + 2s) << "and it is remembered in their place";
}

TEST(ProbeGate, SoManyRunsAtOnce) {
  ProbeGate gate;
  for (std::size_t i = 0; i < limits::probe_runs_max; ++i) ASSERT_TRUE(gate.enter());
  EXPECT_FALSE(gate.enter());
  gate.leave();
  EXPECT_TRUE(gate.enter());
  EXPECT_FALSE(gate.enter());
}

}  // namespace
}  // namespace stile::server
