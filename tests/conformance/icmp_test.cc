// ICMP echo, both families, over datagram sockets and over raw ones.
#include <algorithm>
#include <array>

#include "base/limits.h"
#include "conformance/echo_world.h"
#include "conformance/engine_harness.h"

namespace stile::engine::conformance {
namespace {

using namespace std::chrono_literals;

class IcmpConformance : public EngineTest {
 protected:
  // A test that cannot have a world is skipped, and says why.
  void SetUp() override {
    EngineTest::SetUp();
    std::string why_not;
    world_ = make_echo_world(engine(), why_not);
    if (world_ == nullptr) GTEST_SKIP() << why_not;
  }

  void open(Actor& actor, Family family = Family::ipv4) { ASSERT_TRUE(engine().open_icmp(actor.socket, family)); }

  Instant send(Actor& from, const Address& to, std::uint16_t sequence, std::string_view payload = "payload",
               std::uint8_t hops_max = 64) {
    const auto sent = engine().send_echo(
        from.socket, {.to = to, .sequence = sequence, .hops_max = hops_max, .payload = bytes(payload)});
    EXPECT_TRUE(sent) << to.to_string();
    return sent.value_or(Instant{});
  }

  struct Received {
    EchoAnswer answer;
    std::string payload;
  };
  [[nodiscard]] std::optional<Received> receive(Actor& at, std::size_t room = limits::ping_payload_octets) {
    std::array<std::uint8_t, limits::ping_payload_octets> buffer{};
    for (;;) {
      const auto answer = engine().receive_echo(at.socket, MutableBytes(buffer).first(room));
      if (answer) return Received{*answer, std::string(answer->payload.begin(), answer->payload.end())};
      EXPECT_EQ(answer.error().kind, ErrorKind::would_block);
      if (!wait_for(at, Interest::readable)) return std::nullopt;
    }
  }
  /// One answer, which must be this error.
  void expect_error(Actor& at, const Address& probed, std::uint16_t sequence, const IcmpReport& report) {
    const auto received = receive(at);
    ASSERT_TRUE(received) << probed.to_string();
    EXPECT_EQ(received->answer.error, report) << probed.to_string();
    EXPECT_EQ(received->answer.from, report.offender);
    EXPECT_EQ(received->answer.probed, probed);
    EXPECT_EQ(received->answer.sequence, sequence);
    EXPECT_EQ(received->answer.ttl, 0);
  }

  std::unique_ptr<EchoWorld> world_;
};
INSTANTIATE_TEST_SUITE_P(Engines, IcmpConformance, testing::ValuesIn(engine_kinds()), kind_name);

TEST_P(IcmpConformance, IsRefusedWhereTheSystemSaysSo) {
  for (const Family family : {Family::ipv4, Family::ipv6}) {
    const auto opened = engine().open_icmp(actor().socket, family);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, ErrorKind::not_permitted);
  }
}

TEST_P(IcmpConformance, AReplyBearsWhatTheRequestDid) {
  for (const bool datagram_sockets : {false, true}) {
    world_->grant(datagram_sockets);
    for (const Address& target : {world_->near, world_->near6}) {
      Actor& one = actor();
      open(one, target.family());
      const std::string payload = pattern(limits::ping_payload_octets);
      const Instant sent = send(one, target, 0xABCD, payload);
      const auto received = receive(one);
      ASSERT_TRUE(received);
      EXPECT_FALSE(received->answer.error);
      EXPECT_EQ(received->answer.from, target);
      EXPECT_EQ(received->answer.probed, target);
      EXPECT_EQ(received->answer.sequence, 0xABCD);
      EXPECT_EQ(received->answer.ttl, 64);
      EXPECT_EQ(received->payload, payload);
      EXPECT_GE(received->answer.at, sent);
      EXPECT_LT(received->answer.at, sent + 5s);
    }
  }
}

TEST_P(IcmpConformance, AReplyIsCutToTheRoom) {
  world_->grant(true);
  Actor& one = actor();
  open(one);
  send(one, world_->near, 1, "0123456789");
  const auto received = receive(one, 4);
  ASSERT_TRUE(received);
  EXPECT_EQ(received->payload, "0123");
}

TEST_P(IcmpConformance, AnErrorSaysWhoseItIsAndOfWhichProbe) {
  for (const bool datagram_sockets : {false, true}) {
    world_->grant(datagram_sockets);
    Actor& one = actor();
    open(one);
    send(one, world_->far, 7, "x", 1);
    expect_error(one, world_->far, 7, {.family = Family::ipv4, .type = 11, .code = 0, .offender = world_->near});
    send(one, world_->unreachable, 8);
    expect_error(one, world_->unreachable, 8, {.family = Family::ipv4, .type = 3, .code = 1, .offender = world_->near});
    send(one, world_->forbidden, 9);
    expect_error(one, world_->forbidden, 9, {.family = Family::ipv4, .type = 3, .code = 13, .offender = world_->near});
    Actor& other = actor();
    open(other, Family::ipv6);
    send(other, world_->far6, 10, "x", 1);
    expect_error(other, world_->far6, 10, {.family = Family::ipv6, .type = 3, .code = 0, .offender = world_->near6});
    send(other, world_->unreachable6, 11);
    expect_error(other, world_->unreachable6, 11,
                 {.family = Family::ipv6, .type = 1, .code = 0, .offender = world_->near6});
  }
}

TEST_P(IcmpConformance, AnErrorDoesNotFailTheNextProbe) {
  for (const bool datagram_sockets : {false, true}) {
    world_->grant(datagram_sockets);
    Actor& one = actor();
    open(one);
    send(one, world_->unreachable, 1);
    ASSERT_TRUE(wait_for(one, Interest::readable));
    send(one, world_->near, 2);
    std::vector<std::uint16_t> sequences;
    for (int i = 0; i < 2; ++i) {
      const auto received = receive(one);
      ASSERT_TRUE(received);
      EXPECT_EQ(received->answer.error.has_value(), received->answer.sequence == 1);
      sequences.push_back(received->answer.sequence);
    }
    std::ranges::sort(sequences);
    EXPECT_EQ(sequences, (std::vector<std::uint16_t>{1, 2}));
  }
}

TEST_P(IcmpConformance, SocketsDoNotHearEachOther) {
  for (const bool datagram_sockets : {false, true}) {
    world_->grant(datagram_sockets);
    Actor& one = actor();
    Actor& other = actor();
    open(one);
    open(other);
    send(one, world_->near, 5, "one");
    send(other, world_->near, 5, "other");
    EXPECT_EQ(receive(one)->payload, "one");
    EXPECT_EQ(receive(other)->payload, "other");
    send(one, world_->unreachable, 6);
    expect_error(one, world_->unreachable, 6, {.family = Family::ipv4, .type = 3, .code = 1, .offender = world_->near});
    const auto nothing = engine().receive_echo(other.socket, {});
    ASSERT_FALSE(nothing);
    EXPECT_EQ(nothing.error().kind, ErrorKind::would_block);
  }
}

TEST_P(IcmpConformance, AClosedSocketMakesRoomForAnother) {
  world_->grant(false);
  for (std::size_t i = 0; i < 3 * limits::raw_icmp_sockets_max; ++i) {
    Actor& one = actor();
    open(one);
    const std::string payload = std::to_string(i);
    send(one, world_->near, 1, payload);
    EXPECT_EQ(receive(one)->payload, payload) << "not the answer to the socket that was here before";
    send(one, world_->near, 2, "left behind");
    engine().close(one.socket);
  }
}

TEST_P(IcmpConformance, TooManySaySo) {
  world_->grant(true);
  const auto restore = GetParam().exhaust_descriptors(engine());
  const auto opened = engine().open_icmp(actor().socket, Family::ipv4);
  restore();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::no_descriptors);
}

// Not of echoes: what the network says of a datagram, where its socket was told to listen.
TEST_P(IcmpConformance, ADatagramsErrorsAreKeptForWhoAsks) {
  struct Row {
    Address target;
    IcmpReport report;
  };
  const Row rows[] = {
      {world_->unreachable, {.family = Family::ipv4, .type = 3, .code = 1, .offender = world_->near}},
      {world_->forbidden, {.family = Family::ipv4, .type = 3, .code = 13, .offender = world_->near}},
      {world_->unreachable6, {.family = Family::ipv6, .type = 1, .code = 0, .offender = world_->near6}},
  };
  for (const Row& row : rows) {
    Actor& one = actor();
    ASSERT_TRUE(engine().open_udp(one.socket, {row.target.is_v4() ? Address{} : Address::parse("::").value(), 0}));
    ASSERT_TRUE(engine().keep_datagram_errors(one.socket));
    std::array<std::uint8_t, 3> octets{};
    const std::array datagrams{Datagram{.peer = {row.target, 4000}, .payload = octets}};
    ASSERT_TRUE(engine().send_datagrams(one.socket, datagrams));
    Result<DatagramError> error = engine().receive_datagram_error(one.socket);
    while (!error && wait_for(one, Interest::readable)) error = engine().receive_datagram_error(one.socket);
    ASSERT_TRUE(error) << row.target.to_string();
    EXPECT_EQ(error->peer, (Endpoint{row.target, 4000}));
    // The simulation's routers are on the paths of echoes alone.
    EXPECT_EQ(error->icmp.type, row.report.type);
    EXPECT_EQ(error->icmp.code, row.report.code);
    EXPECT_EQ(engine().receive_datagram_error(one.socket).error().kind, ErrorKind::would_block);
    EXPECT_TRUE(engine().send_datagrams(one.socket, datagrams)) << "it was read: it fails no other call";
  }
}

TEST_P(IcmpConformance, WaitsLikeEverySocket) {
  world_->grant(true);
  Actor& one = actor();
  open(one);
  engine().wait(one.socket, Interest::readable);
  send(one, world_->near, 1);
  ASSERT_TRUE(run_until([&] { return one.done == 1; }));
  EXPECT_EQ(receive(one)->answer.sequence, 1);
  engine().wait(one.socket, Interest::readable);
  engine().close(one.socket);
  ASSERT_TRUE(run_until([&] { return one.completions() >= 2 && !one.socket.pending(); }));
}

}  // namespace
}  // namespace stile::engine::conformance
