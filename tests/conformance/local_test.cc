// Unix-domain sockets: streams without addresses, whose user the kernel names.
#include <unistd.h>

#include <array>

#include "conformance/engine_harness.h"

namespace stile::engine::conformance {
namespace {

class LocalConformance : public EngineTest {
 protected:
  Pair local_pair() {
    Actor& listener = actor();
    connect_ = GetParam().listen_local(engine(), listener.socket);
    Actor& connected = actor();
    connect_(connected.socket);
    if (connected.socket.pending()) {
      EXPECT_TRUE(run_until([&] { return connected.done == 1; }));
      EXPECT_TRUE(engine().connect_result(connected.socket));
    }
    Actor& accepted = actor();
    EXPECT_TRUE(wait_for(listener, Interest::readable));
    accept_into(listener, accepted);
    listener_ = &listener;
    return {connected, accepted};
  }

  std::function<void(Socket&)> connect_;
  Actor* listener_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Engines, LocalConformance, testing::ValuesIn(engine_kinds()), kind_name);

TEST_P(LocalConformance, EndpointsAreUnspecifiedAndTheUserIsKnown) {
  const Pair pair = local_pair();
  EXPECT_EQ(engine().local_endpoint(listener_->socket).value(), Endpoint{});
  EXPECT_EQ(engine().local_endpoint(pair.accepted.socket).value(), Endpoint{});
  EXPECT_EQ(engine().peer_endpoint(pair.accepted.socket).value(), Endpoint{});
  EXPECT_EQ(engine().local_endpoint(pair.connected.socket).value(), Endpoint{});
  EXPECT_EQ(engine().peer_user(pair.accepted.socket), ::geteuid());
}

TEST_P(LocalConformance, AcceptSaysNoAddress) {
  Actor& listener = actor();
  const auto connect = GetParam().listen_local(engine(), listener.socket);
  connect(actor().socket);
  ASSERT_TRUE(wait_for(listener, Interest::readable));
  Result<Endpoint> who = std::unexpected(Error{});
  ASSERT_TRUE(run_until([&] {
    who = engine().try_accept(listener.socket, actor().socket);
    return who.has_value();
  }));
  EXPECT_EQ(*who, Endpoint{});
}

TEST_P(LocalConformance, OctetsAndFinTravelBothWays) {
  const Pair pair = local_pair();
  const std::string much = pattern(500'000);
  send_all(pair.connected, "hello");
  EXPECT_EQ(receive_exactly(pair.accepted, 5), "hello");
  std::string received;
  std::string_view rest = much;
  ASSERT_TRUE(run_until([&] {
    if (!rest.empty()) {
      if (const auto sent = engine().send(pair.accepted.socket, bytes(rest))) rest.remove_prefix(*sent);
    }
    std::array<std::uint8_t, 65536> room;
    if (const auto count = engine().receive(pair.connected.socket, room)) {
      received.append(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*count));
    }
    return received.size() == much.size();
  }));
  EXPECT_EQ(received, much);
  ASSERT_TRUE(engine().shutdown_write(pair.connected.socket));
  EXPECT_TRUE(receive_to_end(pair.accepted).fin);
  send_all(pair.accepted, "still");
  EXPECT_EQ(receive_exactly(pair.connected, 5), "still");
}

TEST_P(LocalConformance, AnAbortEndsThePeer) {
  const Pair pair = local_pair();
  engine().abort(pair.accepted.socket);
  const Stream stream = receive_to_end(pair.connected);
  EXPECT_TRUE(stream.fin || stream.error);
}

TEST_P(LocalConformance, TcpHasNoUser) {
  const Pair pair = connected_pair();
  EXPECT_EQ(engine().peer_user(pair.accepted.socket), std::nullopt);
}

}  // namespace
}  // namespace stile::engine::conformance
