// Datagrams whose rule leads through other proxies, on the simulation, and once on the real engine: the headers that
// they wear, whose answers are taken, what waits and what is dropped, and what becomes of a way that is lost, changed
// or used no longer.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/epoll/epoll_engine.h"
#include "engine/sim/call_sweep_for_tests.h"
#include "engine/sim/sim_engine.h"
#include "relay/udp_rig_for_tests.h"
#include "sys/errno_table.h"

namespace stile::relay {
namespace {

using namespace std::chrono_literals;
using Strings = std::vector<std::string>;

/// A way that the test opens and closes.
class ScriptedDetour final : public Detour {
 public:
  int opens = 0;
  int closes = 0;
  bool is_open = false;
  std::optional<UdpDrop> refusal;
  UdpDrop why = UdpDrop::upstream;
  Endpoint relay;
  wire::NestedHeaders headers;
  std::vector<std::string> first;

  [[nodiscard]] std::optional<Path> path() noexcept override {
    if (!is_open) return std::nullopt;
    return Path{.relay = relay, .from = {.address = Address::v4(127, 0, 0, 1)}, .headers = headers};
  }
  [[nodiscard]] std::optional<UdpDrop> open(const Target& target) override {
    if (!refusal) ++opens;
    first.push_back(target.to_string());
    return refusal;
  }
  [[nodiscard]] UdpDrop failure() const noexcept override { return why; }
  void close() noexcept override { ++closes; }
};

class UdpDetour : public testing::Test {
 protected:
  UdpDetour() {
    detour.relay = relay.where();
    detour.headers = wire::NestedHeaders(std::array{second});
    rig.owner.led_by = &terms;
    terms.detour = &detour;
  }
  void open() {
    detour.is_open = true;
    association.detour_changed(detour);
    rig.settle();
  }
  void close() {
    detour.is_open = false;
    association.detour_changed(detour);
    rig.settle();
  }
  void send(const Target& to, const std::string& payload) {
    client.send(association.bound(), packet(to, payload));
    rig.settle();
  }
  /// What the relay gets for it, and what it sends for an answer.
  [[nodiscard]] std::string nested(const Target& to, const std::string& payload) const {
    return packet(second, packet(to, payload));
  }
  void answer(const std::string& octets) {
    relay.send(relay.received().at(0).from, octets);
    rig.settle();
  }
  [[nodiscard]] std::uint64_t dropped(UdpDrop reason) const { return association.totals().dropped(reason); }

  engine::SimEngine engine{1};
  UdpRig rig{engine};
  DatagramTerms terms;
  ScriptedDetour detour;
  const Target second = target_of("192.0.2.2", 1081);
  const Target far_away = target_of("198.51.100.7", 53);
  UdpPeer& client = rig.peer(at("127.0.0.1:0"));
  UdpPeer& relay = rig.peer(at("127.0.0.2:0"));
  Association& association = rig.open();
};
TEST_F(UdpDetour, WhatWaitsGoesInOrderInsideAllHeadersAndAnswersComeBackWithoutThem) {
  auto& t = *this;
  t.send(t.far_away, "one");
  t.send(target_of("2001:db8::1", 443), "two");
  EXPECT_EQ(t.detour.opens, 2) << "asked while it is under way, it does nothing more";
  EXPECT_EQ(t.detour.first[0], "198.51.100.7:53");
  EXPECT_EQ(t.rig.relay.held_octets(), 6U);
  t.open();
  EXPECT_EQ(t.rig.relay.held_octets(), 0U);
  t.send(t.far_away, "three");
  EXPECT_EQ(t.relay.payloads(), (Strings{t.nested(t.far_away, "one"), t.nested(target_of("2001:db8::1", 443), "two"),
                                         t.nested(t.far_away, "three")}));
  t.answer(t.nested(t.far_away, "answer"));
  t.answer(t.nested(target_of("198.51.100.7", 54), "from another port"));
  t.answer(t.nested(target_of("2001:db8::1", 443), ""));
  EXPECT_EQ(t.client.payloads(),
            (Strings{packet(t.far_away, "answer"), packet(target_of("198.51.100.7", 54), "from another port"),
                     packet(target_of("2001:db8::1", 443), "")}));
  EXPECT_EQ(t.association.totals().up.datagrams, 3U);
  EXPECT_EQ(t.association.totals().up.octets, 11U) << "payload alone";
  EXPECT_EQ(t.association.totals().down.datagrams, 3U);
  EXPECT_EQ(t.association.totals().down.octets, 23U);
  EXPECT_EQ(t.rig.owner.drops, 0U);
}

TEST_F(UdpDetour, ANameGoesOnAsItIsAndNobodyLooksItUp) {
  auto& t = *this;
  t.rig.owner.by_name = true;
  t.detour.is_open = true;
  const Target name = target_of("far.example", 53);
  t.send(name, "by name");
  EXPECT_EQ(t.relay.payloads(), Strings{t.nested(name, "by name")});
  EXPECT_EQ(t.rig.table.questions(), 0U);
  t.answer(t.nested(t.far_away, "from its address"));
  t.answer(t.nested(name, "or its name"));
  EXPECT_EQ(t.client.payloads(), (Strings{packet(t.far_away, "from its address"), packet(name, "or its name")}));
}

TEST_F(UdpDetour, ANameThatIsLookedUpHereGoesOnByAddress) {
  auto& t = *this;
  t.rig.add_name("near.example", {ip("198.51.100.7")});
  t.detour.is_open = true;
  t.send(target_of("near.example", 53), "by address");
  t.rig.run_until([&] { return !t.relay.received().empty(); });
  EXPECT_EQ(t.relay.payloads(), Strings{t.nested(t.far_away, "by address")});
  EXPECT_GT(t.rig.table.questions(), 0U);
}

TEST_F(UdpDetour, AnswersOfOthersAreNotPassedOn) {
  auto& t = *this;
  t.detour.is_open = true;
  t.send(t.far_away, "question");
  UdpPeer& stranger = t.rig.peer(at("127.0.0.3:0"));
  stranger.send(t.relay.received()[0].from, t.nested(t.far_away, "forged"));
  t.rig.settle();
  EXPECT_EQ(t.dropped(UdpDrop::reply), 1U) << "another one's than the relay's";
  t.answer(packet(target_of("192.0.2.3", 1081), packet(t.far_away, "another relay's")));
  EXPECT_EQ(t.dropped(UdpDrop::reply), 2U);
  t.answer(t.nested(target_of("203.0.113.5", 53), "never asked"));
  EXPECT_EQ(t.dropped(UdpDrop::reply), 3U);
  t.answer("short");
  t.answer(t.nested(t.far_away, "").substr(0, 15));
  EXPECT_EQ(t.dropped(UdpDrop::header), 2U);
  t.answer(packet(t.second, packet(t.far_away, "part", 0x81)));
  EXPECT_EQ(t.dropped(UdpDrop::fragment), 1U);
  t.answer(t.nested(t.far_away, "the answer"));
  EXPECT_EQ(t.client.payloads(), Strings{packet(t.far_away, "the answer")});
}

TEST_F(UdpDetour, ADirectTargetAndOneBehindProxiesAreToldApart) {
  auto& t = *this;
  UdpPeer& near = t.rig.peer(at("127.0.0.4:0"));
  t.rig.owner.leads = [&](const Target& asked) { return asked == t.far_away; };
  t.detour.is_open = true;
  t.send(t.far_away, "there");
  t.send(target_of(near.where()), "here");
  EXPECT_EQ(near.payloads(), Strings{"here"});
  EXPECT_NE(near.received()[0].from, t.relay.received()[0].from);
  t.answer(t.nested(target_of(near.where()), "as if from here"));
  EXPECT_EQ(t.dropped(UdpDrop::reply), 1U);
  near.send(near.received()[0].from, "really");
  t.rig.settle();
  EXPECT_EQ(t.client.payloads(), Strings{packet(target_of(near.where()), "really")});
}

TEST_F(UdpDetour, WhatCannotGoIsDroppedWithItsReason) {
  auto& t = *this;
  t.send(t.far_away, "waits");
  t.detour.why = UdpDrop::upstream_command;
  t.close();
  EXPECT_EQ(t.dropped(UdpDrop::upstream_command), 1U);
  EXPECT_EQ(t.rig.relay.held_octets(), 0U);
  t.detour.refusal = UdpDrop::upstream;
  t.send(t.far_away, "does not even wait");
  EXPECT_EQ(t.dropped(UdpDrop::upstream), 1U);
  EXPECT_EQ(t.rig.owner.first_drops.back(), std::pair(UdpDrop::upstream, std::string("198.51.100.7:53")));
}

TEST_F(UdpDetour, TheQueueIsBoundedInNumberAndOctets) {
  auto& t = *this;
  for (std::size_t i = 0; i < limits::udp_waiting_datagrams_max + 3; ++i) t.send(t.far_away, "x");
  EXPECT_EQ(t.rig.relay.held_octets(), limits::udp_waiting_datagrams_max);
  EXPECT_EQ(t.dropped(UdpDrop::limit), 3U);
  t.open();
  EXPECT_EQ(t.relay.received().size(), limits::udp_waiting_datagrams_max);
  t.close();
  for (int i = 0; i < 3; ++i) t.send(t.far_away, std::string(30'000, 'x'));
  EXPECT_EQ(t.rig.relay.held_octets(), 60'000U);
  EXPECT_EQ(t.dropped(UdpDrop::limit), 4U);
}

TEST_F(UdpDetour, TheHeadersCountForTheLongestDatagram) {
  auto& t = *this;
  t.detour.is_open = true;
  const std::size_t room = limits::udp_payload_octets_max - 20;
  t.send(t.far_away, std::string(room, 'x'));
  t.send(t.far_away, std::string(room + 1, 'x'));
  t.rig.run_until([&] { return t.dropped(UdpDrop::too_big) == 1; });
  EXPECT_EQ(t.rig.owner.first_drops.back(), std::pair(UdpDrop::too_big, std::string("198.51.100.7:53")));
  ASSERT_EQ(t.relay.received().size(), 1U);
  t.answer(t.nested(t.far_away, std::string(room, 'y')));
  ASSERT_EQ(t.client.received().size(), 1U);
  EXPECT_EQ(t.client.payloads()[0], packet(t.far_away, std::string(room, 'y')));
}

TEST_F(UdpDetour, ALostWayIsOpenedAgainByTheNextDatagram) {
  auto& t = *this;
  t.detour.is_open = true;
  t.send(t.far_away, "one");
  t.close();
  t.answer(t.nested(t.far_away, "too late"));
  EXPECT_TRUE(t.client.received().empty());
  t.send(t.far_away, "two");
  EXPECT_EQ(t.detour.opens, 1);
  t.detour.headers = wire::NestedHeaders();
  t.open();
  EXPECT_EQ(t.relay.payloads(), (Strings{t.nested(t.far_away, "one"), packet(t.far_away, "two")}));
  t.relay.send(t.relay.received()[1].from, packet(t.far_away, "answer"));
  t.rig.settle();
  EXPECT_EQ(t.client.payloads(), Strings{packet(t.far_away, "answer")});
}

TEST_F(UdpDetour, UnderAnotherPolicyItEndsOrLeadsElsewhere) {
  auto& t = *this;
  t.detour.is_open = true;
  t.send(t.far_away, "one");
  t.rig.owner.generation = 2;
  t.association.reconsider();
  EXPECT_EQ(t.detour.closes, 0) << "its target is still one";
  t.answer(t.nested(t.far_away, "still"));
  EXPECT_EQ(t.client.payloads(), Strings{packet(t.far_away, "still")});

  ScriptedDetour other;
  other.relay = t.rig.peer(at("127.0.0.5:0")).where();
  other.is_open = true;
  DatagramTerms others{.terms = {}, .egress = {}, .detour = &other};
  t.rig.owner.led_by = &others;
  t.rig.owner.generation = 3;
  t.association.reconsider();
  EXPECT_EQ(t.detour.closes, 1);
  EXPECT_EQ(other.closes, 0);
  t.answer(t.nested(t.far_away, "by the old way"));
  EXPECT_EQ(t.client.received().size(), 1U);

  t.rig.owner.admits = [](const Target&, const std::optional<Address>&) { return false; };
  t.rig.owner.generation = 4;
  t.association.reconsider();
  EXPECT_EQ(other.closes, 1);
  t.send(t.far_away, "denied");
  EXPECT_EQ(t.dropped(UdpDrop::denied), 1U);
  t.association.end(Reason::fin_client);
  t.rig.settle();
}

TEST_F(UdpDetour, ANameUnderAnotherPolicyIsJudgedAnew) {
  auto& t = *this;
  UdpPeer& near = t.rig.peer(at("127.0.0.4:0"));
  const Target name = target_of("near.example", near.where().port);
  t.rig.add_name("near.example", {near.where().address});
  t.rig.owner.by_name = true;
  t.detour.is_open = true;
  t.send(name, "through");
  t.rig.owner.by_name = false;
  t.rig.owner.led_by = nullptr;
  t.rig.owner.generation = 2;
  t.answer(t.nested(t.far_away, "an answer between"));
  EXPECT_TRUE(t.client.received().empty());
  t.send(name, "directly");
  t.rig.run_until([&] { return !near.received().empty(); });
  EXPECT_EQ(near.payloads(), Strings{"directly"});
  EXPECT_EQ(t.relay.received().size(), 1U);
  t.rig.owner.by_name = true;
  t.rig.owner.led_by = &t.terms;
  t.rig.owner.generation = 3;
  t.send(name, "through again");
  EXPECT_EQ(t.relay.payloads()[1], t.nested(name, "through again"));
  EXPECT_EQ(near.received().size(), 1U);
}

TEST_F(UdpDetour, ARelayOfThisProcessIsNotSentTo) {
  auto& t = *this;
  t.detour.relay = t.association.bound();
  t.detour.is_open = true;
  t.send(t.far_away, "in a circle");
  EXPECT_EQ(t.dropped(UdpDrop::upstream), 1U);
}

TEST_F(UdpDetour, TheirTermsHoldForWhatGoesThrough) {
  auto& t = *this;
  t.detour.is_open = true;
  Quota quota;
  quota.set_most(10);
  t.terms.terms.quotas.push_back(&quota);
  t.send(t.far_away, "12345678");
  t.send(t.far_away, "12345678");
  t.send(t.far_away, "beyond");
  EXPECT_EQ(t.dropped(UdpDrop::quota), 1U);
  EXPECT_EQ(t.relay.received().size(), 2U);
}

TEST_F(UdpDetour, AWayThatNoTargetTakesIsClosedAfterTheIdleTime) {
  detour.is_open = true;
  send(far_away, "one");
  rig.run_for(limits::udp_mapping_idle - 1s);
  EXPECT_EQ(detour.closes, 0);
  answer(nested(far_away, "an answer counts as use"));
  rig.run_for(limits::udp_mapping_idle - 1s);
  EXPECT_EQ(detour.closes, 0);
  rig.run_for(2s);
  EXPECT_GE(detour.closes, 1);
}

TEST(UdpDetourOnEpoll, CarriesBothWays) {
  const auto engine = std::move(*engine::EpollEngine::create());
  UdpRig rig(*engine);
  ScriptedDetour detour;
  DatagramTerms terms{.terms = {}, .egress = {}, .detour = &detour};
  rig.owner.led_by = &terms;
  UdpPeer& client = rig.peer(at("127.0.0.1:0"));
  UdpPeer& relay = rig.peer(at("127.0.0.2:0"));
  Association& association = rig.open();
  const Target second = target_of("192.0.2.2", 1081);
  const Target far = target_of("198.51.100.7", 53);
  detour.relay = relay.where();
  detour.headers = wire::NestedHeaders(std::array{second});
  client.send(association.bound(), packet(far, "question"));
  rig.run_until([&] { return detour.opens == 1; });
  detour.is_open = true;
  association.detour_changed(detour);
  rig.run_until([&] { return !relay.received().empty(); });
  EXPECT_EQ(relay.payloads(), Strings{packet(second, packet(far, "question"))});
  relay.send(relay.received()[0].from, packet(second, packet(far, "answer")));
  rig.run_until([&] { return !client.received().empty(); });
  EXPECT_EQ(client.payloads(), Strings{packet(far, "answer")});
}

TEST(UdpDetourFaults, EveryFailingCallIsACountedDropAtMost) {
  const auto run = [](std::uint64_t fail_at, int number) {
    engine::SimEngine engine(1);
    UdpRig rig(engine);
    ScriptedDetour detour;
    DatagramTerms terms{.terms = {}, .egress = {}, .detour = &detour};
    rig.owner.led_by = &terms;
    UdpPeer& client = rig.peer(at("127.0.0.1:0"));
    UdpPeer& relay = rig.peer(at("127.0.0.2:0"));
    Association& association = rig.open();
    detour.relay = relay.where();
    const Target far = target_of("198.51.100.7", 53);
    if (fail_at != 0) engine.fail_nth(fail_at, sys::make_error(number));
    client.send(association.bound(), packet(far, "one"));
    rig.settle();
    detour.is_open = true;
    association.detour_changed(detour);
    for (int i = 0; i < 3; ++i) {
      client.send(association.bound(), packet(far, "more"));
      rig.settle();
      if (!relay.received().empty()) relay.send(relay.received().back().from, packet(far, "answer"));
      rig.settle();
    }
    EXPECT_GE(relay.received().size() + rig.owner.drops, 3U);
    EXPECT_GE(client.received().size(), 1U) << "it recovers";
    return engine.calls();
  };
  (void)engine::sweep_calls(run, {EAGAIN, ENOBUFS, EMFILE, EPERM, EIO, ECONNREFUSED, EADDRNOTAVAIL});
}

}  // namespace
}  // namespace stile::relay
