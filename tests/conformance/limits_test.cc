// What happens where descriptors are exhausted.
#include <array>

#include "conformance/engine_harness.h"

namespace stile::engine::conformance {
namespace {

using namespace std::chrono_literals;

class LimitsConformance : public EngineTest {};
INSTANTIATE_TEST_SUITE_P(Engines, LimitsConformance, testing::ValuesIn(engine_kinds()), kind_name);

TEST_P(LimitsConformance, EveryOpenFailsWithNoDescriptorsAndRecovers) {
  Actor& listener = actor();
  const Endpoint where = listen_on(listener);
  Actor& client = actor();
  ASSERT_TRUE(engine().connect(client.socket, where));
  ASSERT_TRUE(run_until([&] { return client.done == 1; }));
  ASSERT_TRUE(engine().connect_result(client.socket));
  ASSERT_TRUE(wait_for(listener, Interest::readable));
  Actor& accepted = actor();
  Actor& other = actor();
  Pipe& through = pipe();

  const auto restore = GetParam().exhaust_descriptors(engine());
  EXPECT_EQ(engine().try_accept(listener.socket, accepted.socket).error().kind, ErrorKind::no_descriptors);
  EXPECT_EQ(engine().connect(other.socket, where).error().error.kind, ErrorKind::no_descriptors);
  EXPECT_EQ(engine().listen(other.socket, Endpoint{loopback_v4, 0}, {}).error().kind, ErrorKind::no_descriptors);
  EXPECT_EQ(engine().open_udp(other.socket, Endpoint{loopback_v4, 0}).error().kind, ErrorKind::no_descriptors);
  EXPECT_EQ(engine().open_pipe(through, 65'536).error().kind, ErrorKind::no_descriptors);
  EXPECT_FALSE(accepted.socket.is_open());
  EXPECT_FALSE(other.socket.is_open());
  EXPECT_FALSE(through.is_open());
  restore();

  ASSERT_TRUE(wait_for(listener, Interest::readable)) << "the waiting connection stays announced";
  accept_into(listener, accepted);
  send_all(client, "x");
  EXPECT_EQ(receive_exactly(accepted, 1), "x");
}

TEST_P(LimitsConformance, ShedOneTurnsAwayExactlyOneConnection) {
  Actor& listener = actor();
  const Endpoint where = listen_on(listener);
  std::array<Actor*, 2> clients{&actor(), &actor()};
  for (Actor* client : clients) {
    ASSERT_TRUE(engine().connect(client->socket, where));
    ASSERT_TRUE(run_until([&] { return client->done == 1; }));
    ASSERT_TRUE(engine().connect_result(client->socket));
    run_for(10ms);  // in order
  }
  const auto restore = GetParam().exhaust_descriptors(engine());
  EXPECT_TRUE(engine().shed_one(listener.socket));
  EXPECT_TRUE(receive_to_end(*clients[0]).error.has_value()) << "the oldest is turned away";
  EXPECT_EQ(engine().try_accept(listener.socket, actor().socket).error().kind, ErrorKind::no_descriptors)
      << "the reserve is back";
  restore();
  Actor& accepted = actor();
  accept_into(listener, accepted);
  EXPECT_FALSE(engine().shed_one(listener.socket)) << "nobody waits";
  send_all(*clients[1], "x");
  EXPECT_EQ(receive_exactly(accepted, 1), "x");
}

}  // namespace
}  // namespace stile::engine::conformance
