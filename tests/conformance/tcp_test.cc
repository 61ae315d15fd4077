// TCP: connecting, octets, how streams end.
#include <array>
#include <set>

#include "conformance/engine_harness.h"

namespace stile::engine::conformance {
namespace {

using namespace std::chrono_literals;

class TcpConformance : public EngineTest {
 protected:
  [[nodiscard]] Result<std::size_t> receive(Actor& from) { return engine().receive(from.socket, buffer_); }
  /// Nothing may come: only for engines without spurious readiness.
  void expect_no_completion(Actor& waiting, Interest interest) {
    const int before = waiting.completions();
    engine().wait(waiting.socket, interest);
    run_for(20ms);
    EXPECT_EQ(waiting.completions(), before);
  }
  void expect_would_block(const Result<std::size_t>& result) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::would_block);
  }
  /// Fills the stream until it takes nothing more; what it took.
  std::size_t fill(Actor& to, std::string_view octets) {
    std::size_t sent = 0;
    for (;;) {
      const Result<std::size_t> now = engine().send(to.socket, bytes(octets.substr(sent)));
      if (!now) {
        EXPECT_EQ(now.error().kind, ErrorKind::would_block);
        // What is under way may still make room.
        if (!wait_for(to, Interest::writable, 50ms)) return sent;
        continue;
      }
      sent += *now;
    }
  }

  std::array<std::uint8_t, 4096> buffer_{};
};
INSTANTIATE_TEST_SUITE_P(Engines, TcpConformance, testing::ValuesIn(engine_kinds()), kind_name);

TEST_P(TcpConformance, ConnectsAndAgreesOnEndpoints) {
  for (const Address& address : {loopback_v4, loopback_v6}) {
    if (!address.is_v4() && !has_ipv6(engine())) continue;
    Actor& listener = actor();
    const Endpoint where = listen_on(listener, address);
    EXPECT_EQ(where.address, address);
    EXPECT_NE(where.port, 0);
    Actor& client = actor();
    ASSERT_TRUE(engine().connect(client.socket, where));
    EXPECT_EQ(client.completions(), 0) << "a completion is never inline";
    ASSERT_TRUE(run_until([&] { return client.completions() == 1; }));
    EXPECT_EQ(client.done, 1);
    ASSERT_TRUE(engine().connect_result(client.socket));
    ASSERT_TRUE(wait_for(listener, Interest::readable));
    Actor& accepted = actor();
    accept_into(listener, accepted);
    EXPECT_EQ(engine().peer_endpoint(client.socket).value(), where);
    EXPECT_EQ(engine().local_endpoint(accepted.socket).value(), where);
    EXPECT_EQ(engine().local_endpoint(client.socket).value(), engine().peer_endpoint(accepted.socket).value());
    Actor& none = actor();
    const Result<Endpoint> no_more = engine().try_accept(listener.socket, none.socket);
    ASSERT_FALSE(no_more);
    EXPECT_EQ(no_more.error().kind, ErrorKind::would_block);
  }
}

TEST_P(TcpConformance, LeavesByTheInterfaceThatIsAskedForOrNotAtAll) {
  const Egress nowhere{.interface = *InterfaceName::parse("nosuch0")};
  const Egress loopback{.interface = *InterfaceName::parse("lo")};
  Actor& one = actor();
  const auto refused = engine().listen(one.socket, {loopback_v4, 0}, {.egress = &nowhere});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::not_found);
  const auto unopened = engine().open_udp(one.socket, {loopback_v4, 0}, &nowhere);
  ASSERT_FALSE(unopened);
  EXPECT_EQ(unopened.error().kind, ErrorKind::not_found);
  ASSERT_FALSE(engine().source_towards(loopback_v4, &nowhere));
  ASSERT_TRUE(engine().source_towards(loopback_v4, &loopback));
  ASSERT_TRUE(engine().listen(one.socket, {loopback_v4, 0}, {.egress = &loopback}));
  const Endpoint where = engine().local_endpoint(one.socket).value();
  Actor& client = actor();
  const auto failed = engine().connect(client.socket, where, {.from = &nowhere});
  ASSERT_FALSE(failed);
  EXPECT_TRUE(failed.error().egress);
  EXPECT_EQ(failed.error().error.kind, ErrorKind::not_found);
  EXPECT_FALSE(client.socket.is_open());
  ASSERT_TRUE(engine().connect(client.socket, where, {.from = &loopback}));
  ASSERT_TRUE(run_until([&] { return client.completions() == 1; }));
  ASSERT_TRUE(engine().connect_result(client.socket));
}

// Whether the system knows a cookie or not, and whether it opens anything fast: who sends first is served.
TEST_P(TcpConformance, WhatIsOpenedFastCarriesTheSameOctets) {
  Actor& listener = actor();
  ASSERT_TRUE(engine().listen(listener.socket, {loopback_v4, 0}, {.fast_open = true}));
  const Endpoint where = engine().local_endpoint(listener.socket).value();
  for (int i = 0; i < 3; ++i) {
    Actor& client = actor();
    ASSERT_TRUE(engine().connect(client.socket, where, {.fast_open = true}));
    ASSERT_TRUE(run_until([&] { return client.completions() == 1; }));
    ASSERT_TRUE(engine().connect_result(client.socket));
    send_all(client, "hello");
    ASSERT_TRUE(wait_for(listener, Interest::readable));
    Actor& accepted = actor();
    accept_into(listener, accepted);
    ASSERT_EQ(receive_exactly(accepted, 5), "hello");
    send_all(accepted, "back");
    ASSERT_EQ(receive_exactly(client, 4), "back");
    EXPECT_EQ(engine().peer_endpoint(client.socket).value(), where);
  }
}

TEST_P(TcpConformance, AcceptNamesThePeerAndTakesSeveralForOneCompletion) {
  Actor& listener = actor();
  const Endpoint where = listen_on(listener);
  std::vector<Actor*> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(&actor());
    ASSERT_TRUE(engine().connect(clients.back()->socket, where));
  }
  for (Actor* client : clients) {
    ASSERT_TRUE(run_until([&] { return client->done == 1; }));
    ASSERT_TRUE(engine().connect_result(client->socket));
  }
  run_for(20ms);
  std::set<Endpoint> peers;
  for (std::size_t i = 0; i < clients.size(); ++i) {
    const Result<Endpoint> peer = engine().try_accept(listener.socket, actor().socket);
    ASSERT_TRUE(peer);
    peers.insert(*peer);
  }
  for (Actor* client : clients) EXPECT_TRUE(peers.contains(engine().local_endpoint(client->socket).value()));
}

TEST_P(TcpConformance, RefusalIsToldWithoutIcmpAndLeavesTheSocketClosed) {
  Actor& listener = actor();
  const Endpoint where = listen_on(listener);
  engine().close(listener.socket);
  Actor& client = actor();
  if (const auto begun = engine().connect(client.socket, where)) {
    ASSERT_TRUE(run_until([&] { return client.done == 1; }));
    const auto result = engine().connect_result(client.socket);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().error.kind, ErrorKind::refused);
    EXPECT_EQ(result.error().icmp, std::nullopt);
  } else {
    EXPECT_EQ(begun.error().error.kind, ErrorKind::refused);
  }
  EXPECT_FALSE(client.socket.is_open());
}

TEST_P(TcpConformance, ASecondListenerIsRefusedUnlessBothShareThePort) {
  Actor& first = actor();
  const Endpoint where = listen_on(first);
  const Result<void> second = engine().listen(actor().socket, where, {});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::address_in_use);
  engine().close(first.socket);
  const ListenOptions shared{.backlog = 16, .reuse_port = true};
  EXPECT_TRUE(engine().listen(actor().socket, where, shared));
  EXPECT_TRUE(engine().listen(actor().socket, where, shared));
}

TEST_P(TcpConformance, OctetsArriveInOrderBothWays) {
  const auto [one, other] = connected_pair();
  const std::string octets = pattern(20'000);
  send_all(one, octets);
  EXPECT_EQ(receive_exactly(other, octets.size()), octets);
  send_all(other, octets);
  EXPECT_EQ(receive_exactly(one, octets.size()), octets);
}

TEST_P(TcpConformance, WouldBlockThenWaitThenReceive) {
  const auto [one, other] = connected_pair();
  expect_would_block(receive(other));
  engine().wait(other.socket, Interest::readable);
  EXPECT_TRUE(other.socket.pending());
  send_all(one, "a");
  ASSERT_TRUE(run_until([&] { return other.completions() == 1; }));
  EXPECT_EQ(receive_exactly(other, 1), "a");
  expect_would_block(receive(other));
}

TEST_P(TcpConformance, AWaitOnAReadySocketCompletesEveryTimeAndNeverInline) {
  const auto [one, other] = connected_pair();
  send_all(one, "ab");
  ASSERT_TRUE(wait_for(other, Interest::readable));
  for (int i = 0; i < 3; ++i) {
    const int before = other.completions();
    engine().wait(other.socket, Interest::readable);
    EXPECT_EQ(other.completions(), before);
    ASSERT_TRUE(run_until([&] { return other.completions() == before + 1; }));
  }
  // A full read leaves the rest ready.
  ASSERT_EQ(engine().receive(other.socket, MutableBytes(buffer_).first(1)).value(), 1u);
  ASSERT_TRUE(wait_for(other, Interest::readable));
  EXPECT_EQ(receive_exactly(other, 1), "b");
}

TEST_P(TcpConformance, APostedWaitCompletesOnceThoughNothingIsReady) {
  const auto [one, other] = connected_pair();
  const int before = one.done;
  engine().post(one.socket);
  EXPECT_EQ(one.done, before) << "never inline";
  ASSERT_TRUE(run_until([&] { return one.done == before + 1; }));
  engine().wait(one.socket, Interest::none);
  engine().post(one.socket);
  engine().post(one.socket);
  ASSERT_TRUE(run_until([&] { return one.done == before + 2; }));
  run_for(5ms);
  EXPECT_EQ(one.done, before + 2);
  EXPECT_EQ(one.canceled, 0);
}

TEST_P(TcpConformance, TheInterestOfAPendingWaitCanBeMoved) {
  const auto [one, other] = connected_pair();
  engine().wait(other.socket, Interest::none);
  engine().wait(other.socket, Interest::writable);
  ASSERT_TRUE(run_until([&] { return other.completions() == 1; }));
  send_all(one, "a");
  if (GetParam().faultless) {
    expect_no_completion(other, Interest::none);
    engine().wait(other.socket, Interest::readable);
    ASSERT_TRUE(run_until([&] { return other.completions() == 2; }));
  }
  EXPECT_EQ(receive_exactly(other, 1), "a");
}

TEST_P(TcpConformance, FinIsZeroAndTheOtherDirectionStaysOpen) {
  const auto [one, other] = connected_pair();
  send_all(one, "request");
  ASSERT_TRUE(engine().shutdown_write(one.socket));
  const Stream request = receive_to_end(other);
  EXPECT_EQ(request.octets, "request");
  EXPECT_TRUE(request.fin);
  const std::string answer = pattern(100'000);
  send_all(other, answer.substr(0, 10'000));
  EXPECT_EQ(receive_exactly(one, 10'000), answer.substr(0, 10'000));
  EXPECT_EQ(receive(other).value(), 0u) << "FIN is told again";
  ASSERT_TRUE(engine().shutdown_write(other.socket));
  const Stream rest = receive_to_end(one);
  EXPECT_TRUE(rest.fin);
  EXPECT_FALSE(engine().failed(one.socket));
  EXPECT_FALSE(engine().failed(other.socket));
}

TEST_P(TcpConformance, FinThatComesWithTheDataIsNotLost) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{4095}, std::size_t{4096}, std::size_t{8192}}) {
    const auto [one, other] = connected_pair();
    ASSERT_TRUE(wait_for(other, Interest::writable));
    engine().wait(other.socket, Interest::readable);
    const std::string octets = pattern(size);
    send_all(one, octets);
    ASSERT_TRUE(engine().shutdown_write(one.socket));
    run_for(20ms);
    std::string received;
    bool fin = false;
    while (!fin) {
      const Result<std::size_t> got = receive(other);
      if (got) {
        fin = *got == 0;
        received.append(reinterpret_cast<const char*>(buffer_.data()), *got);
        // Waits between the reads, as a driver that reads once a turn does.
        if (!fin) {
          ASSERT_TRUE(wait_for(other, Interest::readable)) << size;
        }
      } else {
        ASSERT_EQ(got.error().kind, ErrorKind::would_block);
        ASSERT_TRUE(wait_for(other, Interest::readable)) << size;
      }
    }
    EXPECT_EQ(received, octets);
  }
}

TEST_P(TcpConformance, CloseSendsFin) {
  const auto [one, other] = connected_pair();
  send_all(one, "bye");
  engine().close(one.socket);
  engine().close(one.socket);  // changes nothing
  const Stream stream = receive_to_end(other);
  EXPECT_EQ(stream.octets, "bye");
  EXPECT_TRUE(stream.fin);
}

TEST_P(TcpConformance, CloseWithUnreadInputSendsReset) {
  const auto [one, other] = connected_pair();
  send_all(one, "unread");
  ASSERT_TRUE(wait_for(other, Interest::readable));
  run_for(20ms);
  engine().close(other.socket);
  EXPECT_TRUE(receive_to_end(one).error.has_value());
}

TEST_P(TcpConformance, AbortIsAResetAndToldEveryTime) {
  for (const bool abort_connected : {true, false}) {
    const auto [connected, accepted] = connected_pair();
    Actor& one = abort_connected ? connected : accepted;
    Actor& other = abort_connected ? accepted : connected;
    engine().wait(other.socket, Interest::readable);
    engine().abort(one.socket);
    const Stream stream = receive_to_end(other);
    EXPECT_FALSE(stream.fin);
    ASSERT_TRUE(stream.error.has_value());
    EXPECT_EQ(stream.error->kind, ErrorKind::reset);
    EXPECT_TRUE(engine().failed(other.socket));
    for (int i = 0; i < 3; ++i) EXPECT_EQ(receive(other).error().kind, ErrorKind::reset);
  }
}

TEST_P(TcpConformance, AResetThatASendMetFirstIsNeverTakenForAFin) {
  const auto [one, other] = connected_pair();
  engine().abort(one.socket);
  run_for(20ms);
  Result<std::size_t> sent = 0;
  ASSERT_TRUE(run_until([&] {
    sent = engine().send(other.socket, bytes("x"));
    return !sent;
  }));
  EXPECT_EQ(sent.error().kind, ErrorKind::reset);
  EXPECT_TRUE(engine().failed(other.socket));
  EXPECT_EQ(receive(other).error().kind, ErrorKind::reset);
  EXPECT_EQ(engine().send(other.socket, bytes("x")).error().kind, ErrorKind::reset);
  EXPECT_EQ(receive(other).error().kind, ErrorKind::reset);
}

TEST_P(TcpConformance, AResetCompletesAWaitForNothing) {
  const auto [one, other] = connected_pair();
  engine().wait(other.socket, Interest::none);
  engine().abort(one.socket);
  ASSERT_TRUE(run_until([&] { return engine().failed(other.socket) && !other.socket.pending(); }));
  EXPECT_EQ(other.canceled, 0);
  ASSERT_TRUE(wait_for(other, Interest::none)) << "a failed socket stays ready";
}

TEST_P(TcpConformance, AResetBehindAFinIsAReset) {
  const auto [one, other] = connected_pair();
  ASSERT_TRUE(engine().shutdown_write(one.socket));
  EXPECT_TRUE(receive_to_end(other).fin);
  engine().wait(other.socket, Interest::none);
  engine().abort(one.socket);
  ASSERT_TRUE(run_until([&] { return engine().failed(other.socket); }));
  const Result<std::size_t> sent = engine().send(other.socket, bytes("x"));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().kind, ErrorKind::reset);
}

TEST_P(TcpConformance, AFinCompletesNoWaitForNothing) {
  if (!GetParam().faultless) GTEST_SKIP() << "spurious readiness";
  const auto [one, other] = connected_pair();
  send_all(one, "held back");
  ASSERT_TRUE(engine().shutdown_write(one.socket));
  run_for(20ms);
  expect_no_completion(other, Interest::none);
  engine().cancel(other.socket);
  run_once();
  // The same with both directions shut, which epoll calls a hang-up.
  ASSERT_TRUE(engine().shutdown_write(other.socket));
  run_for(20ms);
  expect_no_completion(other, Interest::none);
  engine().wait(other.socket, Interest::readable);
  ASSERT_TRUE(run_until([&] { return other.done == 1; }));
  EXPECT_EQ(receive_to_end(other).octets, "held back");
}

TEST_P(TcpConformance, AStoppedReaderStopsItsWriterAndNothingIsLost) {
  const auto [one, other] = connected_pair();
  const std::string octets = pattern(64 * 1024 * 1024);
  const std::size_t taken = fill(one, octets);
  EXPECT_GT(taken, 0u);
  ASSERT_LT(taken, octets.size());
  EXPECT_TRUE(one.socket.pending()) << "still waits for room";
  const std::string received = receive_exactly(other, taken);
  EXPECT_TRUE(received == octets.substr(0, taken));
  ASSERT_TRUE(run_until([&] { return !one.socket.pending(); })) << "room was not told";
  send_all(one, "more");
  EXPECT_EQ(receive_exactly(other, 4), "more");
}

TEST_P(TcpConformance, MoveTakesReadinessAndWhatIsStillToCome) {
  const auto [one, other] = connected_pair();
  send_all(one, "first");
  ASSERT_TRUE(wait_for(other, Interest::readable));
  Actor& moved = actor();
  engine().move(other.socket, moved.socket);
  EXPECT_FALSE(other.socket.is_open());
  ASSERT_TRUE(wait_for(moved, Interest::readable));
  EXPECT_EQ(receive_exactly(moved, 5), "first");
  expect_would_block(receive(moved));
  engine().wait(moved.socket, Interest::readable);
  send_all(one, "second");
  EXPECT_EQ(receive_exactly(moved, 6), "second");
  Actor& back = actor();
  engine().cancel(moved.socket);  // where the octets were taken before their event came
  ASSERT_TRUE(run_until([&] { return !moved.socket.pending(); }));
  engine().move(moved.socket, back.socket);
  engine().wait(back.socket, Interest::none);
  engine().abort(one.socket);
  ASSERT_TRUE(run_until([&] { return engine().failed(back.socket); }));
}

TEST_P(TcpConformance, SocketsMayBeClosedWithoutEverBeingAccepted) {
  Actor& listener = actor();
  const Endpoint where = listen_on(listener);
  Actor& client = actor();
  ASSERT_TRUE(engine().connect(client.socket, where));
  ASSERT_TRUE(run_until([&] { return client.done == 1; }));
  ASSERT_TRUE(engine().connect_result(client.socket));
  run_for(20ms);
  engine().close(listener.socket);
  EXPECT_TRUE(receive_to_end(client).error.has_value()) << "the listener's end resets what waits";
}

}  // namespace
}  // namespace stile::engine::conformance
