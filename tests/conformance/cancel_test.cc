// Exactly one completion, whatever happens to the socket meanwhile.
#include "conformance/engine_harness.h"

namespace stile::engine::conformance {
namespace {

using namespace std::chrono_literals;

class CancelConformance : public EngineTest {};
INSTANTIATE_TEST_SUITE_P(Engines, CancelConformance, testing::ValuesIn(engine_kinds()), kind_name);

TEST_P(CancelConformance, CancellingAWaitCompletesItOnceAndKeepsTheSocket) {
  const auto [one, other] = connected_pair();
  engine().cancel(other.socket);  // not pending: nothing
  engine().wait(other.socket, Interest::readable);
  engine().cancel(other.socket);
  engine().cancel(other.socket);
  EXPECT_EQ(other.completions(), 0);
  EXPECT_TRUE(other.socket.pending());
  run_once();
  EXPECT_EQ(other.canceled, 1);
  EXPECT_EQ(other.done, 0);
  EXPECT_TRUE(other.socket.is_open());
  send_all(one, "later");
  EXPECT_EQ(receive_exactly(other, 5), "later");
}

TEST_P(CancelConformance, CancellingACompletionThatIsQueuedGivesOneCompletion) {
  const auto [one, other] = connected_pair();
  send_all(one, "x");
  ASSERT_TRUE(wait_for(other, Interest::readable));
  const int before = other.completions();
  engine().wait(other.socket, Interest::readable);  // ready: queued at once
  engine().cancel(other.socket);
  run_once();
  run_for(20ms);
  EXPECT_EQ(other.completions(), before + 1);
}

TEST_P(CancelConformance, ClosingCancelsAndTheRecordCompletesOnce) {
  const auto [one, other] = connected_pair();
  engine().wait(other.socket, Interest::readable);
  engine().close(other.socket);
  EXPECT_FALSE(other.socket.is_open());
  EXPECT_EQ(other.completions(), 0);
  run_once();
  EXPECT_EQ(other.canceled, 1);
  run_for(20ms);
  EXPECT_EQ(other.completions(), 1);
  engine().wait(one.socket, Interest::none);
  engine().abort(one.socket);
  const int before = one.completions();
  run_once();
  EXPECT_EQ(one.completions(), before + 1);
}

TEST_P(CancelConformance, CancellingAConnectGivesOneCompletion) {
  Actor& listener = actor();
  const Endpoint where = listen_on(listener);
  Actor& client = actor();
  ASSERT_TRUE(engine().connect(client.socket, where));
  engine().cancel(client.socket);
  EXPECT_EQ(client.completions(), 0);
  run_for(30ms);
  EXPECT_EQ(client.completions(), 1);
  engine().close(client.socket);
  Actor& closed = actor();
  ASSERT_TRUE(engine().connect(closed.socket, where));
  engine().close(closed.socket);
  run_for(30ms);
  EXPECT_EQ(closed.completions(), 1);
}

TEST_P(CancelConformance, ASocketIsUsableAgainAfterItsLastCompletion) {
  Actor& listener = actor();
  const Endpoint where = listen_on(listener);
  Actor& client = actor();
  for (int i = 0; i < 20; ++i) {
    const int before = client.completions();
    ASSERT_TRUE(engine().connect(client.socket, where));
    if (i % 3 == 0) engine().cancel(client.socket);
    if (i % 3 == 1) engine().close(client.socket);
    ASSERT_TRUE(run_until([&] { return client.completions() == before + 1; }));
    engine().close(client.socket);
  }
}

// Two sockets become ready in one turn. The first to complete closes the other and opens sockets that take over its
// handle: they must not be taken for it.
TEST_P(CancelConformance, EventsOfAClosedSocketDoNotReachItsSuccessor) {
  if (!GetParam().faultless) GTEST_SKIP() << "spurious readiness";
  const Pair first = connected_pair();
  const Pair second = connected_pair();
  int last = -1;
  while (last < first.accepted.socket.handle() || last < second.accepted.socket.handle()) {  // no lower handle is free
    Actor& filler = actor();
    ASSERT_TRUE(engine().open_udp(filler.socket, Endpoint{loopback_v4, 0}));
    last = filler.socket.handle();
  }
  Actor& successor = actor();
  Actor* closed = nullptr;
  int closed_handle = -1;
  const auto replace = [&](Actor& victim) {
    return [&] {
      if (closed != nullptr) return;
      closed = &victim;
      closed_handle = victim.socket.handle();
      engine().close(victim.socket);
      ASSERT_TRUE(engine().open_udp(successor.socket, Endpoint{loopback_v4, 0}));
      engine().wait(successor.socket, Interest::readable);
    };
  };
  first.accepted.on_done = replace(second.accepted);
  second.accepted.on_done = replace(first.accepted);
  engine().wait(first.accepted.socket, Interest::readable);
  engine().wait(second.accepted.socket, Interest::readable);
  send_all(first.connected, "x");
  send_all(second.connected, "x");
  run_for(30ms);
  ASSERT_NE(closed, nullptr);
  EXPECT_EQ(successor.socket.handle(), closed_handle);
  EXPECT_EQ(successor.completions(), 0);
  EXPECT_EQ(first.accepted.completions(), 1);
  EXPECT_EQ(second.accepted.completions(), 1);
}

TEST_P(CancelConformance, TeardownWithEverythingInFlightCompletesAllOnce) {
  std::vector<Actor*> waiting;
  Actor& listener = actor();
  const Endpoint where = listen_on(listener);
  std::vector<Pair> pairs;
  for (int i = 0; i < 10; ++i) {
    pairs.push_back(connected_pair());
    send_all(pairs.back().connected, "data");
  }
  for (const Pair& pair : pairs) {
    engine().wait(pair.accepted.socket, waiting.size() % 4 == 0 ? Interest::readable : Interest::none);
    engine().wait(pair.connected.socket, Interest::both);
    waiting.push_back(&pair.accepted);
    waiting.push_back(&pair.connected);
    Actor& connecting = actor();
    ASSERT_TRUE(engine().connect(connecting.socket, where));
    waiting.push_back(&connecting);
  }
  engine().wait(listener.socket, Interest::readable);
  waiting.push_back(&listener);
  Counter<Timer> timer;
  engine().start_timer(timer.record, engine().now() + 1h);
  Counter<Operation> posted;
  engine().post(posted.record);

  std::vector<int> before;
  for (const Actor* one : waiting) before.push_back(one->completions());
  int number = 0;
  for (Actor* one : waiting) {
    if (++number % 2 == 0) {
      engine().abort(one->socket);
    } else {
      engine().close(one->socket);
    }
  }
  engine().cancel(timer.record);
  run_once();
  for (std::size_t i = 0; i < waiting.size(); ++i) EXPECT_EQ(waiting[i]->completions(), before[i] + 1);
  EXPECT_EQ(timer.canceled, 1);
  EXPECT_EQ(posted.done, 1);
}

}  // namespace
}  // namespace stile::engine::conformance
