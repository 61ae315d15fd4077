// What an association does over time and under a policy, in the simulation: pins, mappings, filters, verdicts, names,
// fragments, limits, loops. Threats TU1 to TU5 and TU7; deviations 11 and 25.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/limits.h"
#include "engine/sim/sim_engine.h"
#include "relay/udp_association.h"
#include "relay/udp_rig_for_tests.h"

namespace stile::relay {
namespace {

using namespace std::chrono_literals;
using Strings = std::vector<std::string>;

class UdpRules : public testing::Test {
 protected:
  [[nodiscard]] static AssociationRequest from_client(AssociationRequest request = {}) {
    request.client = ip("198.51.100.7");
    request.local = ip("10.0.0.1");
    return request;
  }
  Association& open(const AssociationRequest& request = {}) { return rig.open(from_client(request)); }
  void send(UdpPeer& from, Association& to, const Target& asked, const std::string& payload, std::uint8_t frag = 0) {
    from.send(to.bound(), packet(asked, payload, frag));
    rig.settle();
  }
  /// Where datagrams of the association come from, as the last one to arrive at `origin` told.
  [[nodiscard]] Endpoint outside() { return origin.received().back().from; }
  void answer(UdpPeer& from, const std::string& payload) {
    from.send(outside(), payload);
    rig.settle();
  }
  [[nodiscard]] static std::string answered(const UdpPeer& from, const std::string& payload) {
    return packet(target_of(from.where()), payload);
  }

  engine::SimEngine engine{1};
  UdpRig rig{engine};
  UdpPeer& client = rig.peer(at("198.51.100.7:5000"));
  UdpPeer& other_port = rig.peer(at("198.51.100.7:5001"));
  UdpPeer& origin = rig.peer(at("192.0.2.1:53"));
  UdpPeer& origin2 = rig.peer(at("192.0.2.2:53"));
  Target to_origin = target_of("192.0.2.1", 53);
  Target to_origin2 = target_of("192.0.2.2", 53);
};

// ── pinning ─────────────────────────────────────────────────────────────────────────────────────────────────────────

TEST_F(UdpRules, AnotherPortIsServedOnceThePinnedOneIsSilent) {
  Association& association = open();
  send(client, association, to_origin, "one");
  rig.run_for(29s);
  send(other_port, association, to_origin, "too early");
  EXPECT_EQ(association.totals().dropped(UdpDrop::port), 1U);
  rig.run_for(1s);
  answer(origin, "to the first");
  send(other_port, association, to_origin, "two");
  answer(origin, "to the second");
  send(client, association, to_origin, "too late");
  EXPECT_EQ(origin.payloads(), (Strings{"one", "two"}));
  EXPECT_EQ(client.payloads(), Strings{answered(origin, "to the first")});
  EXPECT_EQ(other_port.payloads(), Strings{answered(origin, "to the second")});
  EXPECT_EQ(association.totals().dropped(UdpDrop::port), 2U);
}

TEST_F(UdpRules, WithoutRepinThePortStaysPinned) {
  AssociationRequest request;
  request.repin = 0s;
  Association& association = open(request);
  send(client, association, to_origin, "one");
  rig.run_for(24h);
  send(other_port, association, to_origin, "no");
  EXPECT_EQ(origin.payloads(), Strings{"one"});
}

TEST_F(UdpRules, AClaimedPortIsTheOnlyOneServed) {
  AssociationRequest request;
  request.claimed_port = 5001;
  Association& association = open(request);
  send(client, association, to_origin, "no");
  send(other_port, association, to_origin, "yes");
  rig.run_for(1h);
  send(client, association, to_origin, "still no");
  EXPECT_EQ(origin.payloads(), Strings{"yes"});
  EXPECT_EQ(association.totals().dropped(UdpDrop::port), 2U);
}

TEST(ClaimedPort, IsTheClientsOwnOrNone) {
  const Address client = ip("198.51.100.7");
  const Target own = target_of("198.51.100.7", 5000);
  const Target mapped = target_of("::ffff:198.51.100.7", 5000);
  const Target open_address = target_of("0.0.0.0", 5000);
  const Target open = target_of("::", 0);
  const Target foreign = target_of("203.0.113.9", 5000);
  const Target name = target_of("client.example", 5000);
  EXPECT_EQ(claimed_port(nullptr, client), 0);
  EXPECT_EQ(claimed_port(&own, client), 5000);
  EXPECT_EQ(claimed_port(&mapped, client), 5000);
  EXPECT_EQ(claimed_port(&open_address, client), 5000);
  EXPECT_EQ(claimed_port(&open, client), 0);
  EXPECT_FALSE(claimed_port(&foreign, client).has_value());
  EXPECT_FALSE(claimed_port(&name, client).has_value());
}

// ── mappings and filters ────────────────────────────────────────────────────────────────────────────────────────────

TEST_F(UdpRules, AnIdleMappingIsForgottenAtThatInstant) {
  Association& association = open();
  send(client, association, to_origin, "one");
  rig.run_for(299s);
  answer(origin, "in time");  // which is use as well
  rig.run_for(299s);
  answer(origin, "in time again");
  rig.run_for(300s);
  answer(origin, "too late");
  EXPECT_EQ(client.payloads(), (Strings{answered(origin, "in time"), answered(origin, "in time again")}));
  EXPECT_EQ(association.totals().dropped(UdpDrop::reply), 1U);
}

// Deviation 25.
TEST_F(UdpRules, AnAssociationHasNoIdleLimit) {
  Association& association = open();
  send(client, association, to_origin, "one");
  const Endpoint before = outside();
  rig.run_for(600s);
  send(client, association, to_origin, "two");
  EXPECT_EQ(origin.payloads(), (Strings{"one", "two"}));
  EXPECT_EQ(outside(), before);
  answer(origin, "answer");
  EXPECT_EQ(client.received().size(), 1U);
}

// TU3; mapping is endpoint-independent (RFC 4787 REQ-1), filtering address-dependent (REQ-8).
TEST_F(UdpRules, AnswersComeOnlyFromAddressesThatWereSentTo) {
  UdpPeer& same_address = rig.peer(at("192.0.2.1:9999"));
  Association& association = open();
  send(client, association, to_origin, "one");
  answer(origin2, "unsolicited");
  answer(same_address, "another port of a known address");
  EXPECT_EQ(client.payloads(), Strings{answered(same_address, "another port of a known address")});
  EXPECT_EQ(association.totals().dropped(UdpDrop::reply), 1U);
  send(client, association, to_origin2, "two");
  EXPECT_EQ(origin2.received().back().from, outside());
}

TEST_F(UdpRules, AFullConePassesOnFromAnybody) {
  AssociationRequest request;
  request.filter = UdpFilter::full_cone;
  Association& association = open(request);
  send(client, association, to_origin, "one");
  answer(origin2, "unsolicited");
  EXPECT_EQ(client.payloads(), Strings{answered(origin2, "unsolicited")});
}

TEST_F(UdpRules, BothFamiliesAreTargetsOfOneAssociation) {
  UdpPeer& origin6 = rig.peer(at("[2001:db8::1]:53"));
  Association& association = open();
  send(client, association, target_of("2001:db8::1", 53), "six");
  send(client, association, to_origin, "four");
  // TU7: an IPv4-mapped target is the IPv4 target.
  client.send(association.bound(), std::string("\0\0\0\4\0\0\0\0\0\0\0\0\0\0\xFF\xFF\xC0\0\2\1\0\x35mapped", 28));
  rig.settle();
  EXPECT_EQ(origin6.payloads(), Strings{"six"});
  EXPECT_EQ(origin.payloads(), (Strings{"four", "mapped"}));
  origin6.send(origin6.received()[0].from, "answer");
  rig.settle();
  EXPECT_EQ(client.payloads(), Strings{answered(origin6, "answer")});
}

TEST_F(UdpRules, TheTargetIdleLongestMakesRoom) {
  AssociationRequest request;
  request.targets_max = 2;
  Association& association = open(request);
  send(client, association, to_origin, "one");
  send(client, association, to_origin2, "two");
  send(client, association, target_of("192.0.2.3", 53), "three");
  answer(origin, "forgotten");
  answer(origin2, "known");
  EXPECT_EQ(client.payloads(), Strings{answered(origin2, "known")});
}

TEST_F(UdpRules, ReservedOctetsAreAcceptedAndCounted) {
  Association& association = open();
  std::string octets = packet(to_origin, "x");
  octets[0] = 1;
  client.send(association.bound(), octets);
  rig.settle();
  EXPECT_EQ(origin.payloads(), Strings{"x"});
  EXPECT_EQ(association.totals().reserved_set, 1U);
}

// ── the policy ──────────────────────────────────────────────────────────────────────────────────────────────────────

// TU2: every datagram's target, the verdict kept with the policy's generation.
TEST_F(UdpRules, EachTargetIsDecidedOnceAGeneration) {
  rig.owner.admits = [&](const Target& asked, const std::optional<Address>&) { return asked == to_origin; };
  Association& association = open();
  for (int i = 0; i < 3; ++i) {
    send(client, association, to_origin, "yes");
    send(client, association, to_origin2, "no");
  }
  EXPECT_EQ(rig.owner.decisions, 2U);
  EXPECT_EQ(origin.received().size(), 3U);
  EXPECT_TRUE(origin2.received().empty());
  EXPECT_EQ(association.totals().dropped(UdpDrop::denied), 3U);
  EXPECT_EQ(rig.owner.first_drops, (std::vector{std::pair{UdpDrop::denied, to_origin2.to_string()}}));

  rig.owner.admits = [&](const Target& asked, const std::optional<Address>&) { return asked == to_origin2; };
  ++rig.owner.generation;
  answer(origin, "denied by now");  // in the other direction too
  send(client, association, to_origin, "no");
  send(client, association, to_origin2, "yes");
  EXPECT_EQ(rig.owner.decisions, 4U);
  EXPECT_EQ(origin.received().size(), 3U);
  EXPECT_EQ(origin2.payloads(), Strings{"yes"});
  EXPECT_TRUE(client.received().empty());
}

TEST_F(UdpRules, AnAnswerSurvivesAReloadThatStillAllowsIt) {
  Association& association = open();
  send(client, association, to_origin, "one");
  ++rig.owner.generation;
  answer(origin, "two");
  EXPECT_EQ(client.received().size(), 1U);
}

TEST_F(UdpRules, WhileDrainingOnlyKnownTargetsAreServed) {
  Association& association = open();
  send(client, association, to_origin, "one");
  rig.relay.refuse_other_targets();
  send(client, association, to_origin, "two");
  send(client, association, to_origin2, "no");
  send(client, association, target_of("a.example", 53), "no");
  EXPECT_EQ(origin.received().size(), 2U);
  EXPECT_TRUE(origin2.received().empty());
  EXPECT_EQ(association.totals().dropped(UdpDrop::limit), 2U);
}

// TU5: relays aimed at each other, on one worker and across workers, by every name a relay has.
TEST_F(UdpRules, NoRelayIsATarget) {
  UdpRig other_worker(engine, limits::udp_held_octets_max, &rig.live);
  AssociationRequest request;
  request.advertise = ip("203.0.113.80");
  Association& one = open(request);
  Association& two = open();
  Association& three = other_worker.open(from_client(request));
  rig.add_name("relay.example", {two.bound().address});

  send(client, one, to_origin, "pins");
  for (const Endpoint& bound : {one.bound(), two.bound(), three.bound()}) {
    send(client, one, target_of(bound), "loop");
    send(client, one, target_of("64:ff9b::10.0.0.1", bound.port), "loop");
  }
  for (const Association* const behind_nat : {&one, &three}) {
    send(client, one, target_of("203.0.113.80", behind_nat->bound().port), "loop");
  }
  send(client, one, target_of("relay.example", two.bound().port), "loop");
  EXPECT_EQ(one.totals().dropped(UdpDrop::denied), 9U);
  EXPECT_EQ(one.totals().up.datagrams, 1U);
  for (const Association* const quiet : {&two, &three}) {
    EXPECT_EQ(quiet->totals().drops, AssociationTotals{}.drops) << "something arrived";
  }
  // Once its association is over, a port of ours is anybody's again.
  const Endpoint freed = two.bound();
  two.end(Reason::fin_client);
  UdpPeer& reused = rig.peer(freed);
  send(client, one, target_of(freed), "no loop");
  EXPECT_EQ(reused.payloads(), Strings{"no loop"});
}

// ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────

TEST_F(UdpRules, ASlowNameHoldsUpNobodyElse) {
  rig.add_name("slow.example", {ip("192.0.2.1")}, 9s);
  rig.add_name("fast.example", {ip("192.0.2.2")}, 10ms);
  Association& association = open();
  send(client, association, target_of("slow.example", 53), "slow 1");
  send(client, association, target_of("fast.example", 53), "fast");
  send(client, association, to_origin, "literal");
  send(client, association, target_of("slow.example", 53), "slow 2");
  rig.run_for(1s);
  EXPECT_EQ(origin2.payloads(), Strings{"fast"});
  EXPECT_EQ(origin.payloads(), Strings{"literal"});
  rig.run_for(9s);
  EXPECT_EQ(origin.payloads(), (Strings{"literal", "slow 1", "slow 2"}));
}

TEST_F(UdpRules, ANameThatIsNeverAnsweredIsGivenUp) {
  rig.add_name("never.example", {}, std::nullopt);
  Association& association = open();
  const Target never = target_of("never.example", 53);
  for (std::size_t i = 0; i < limits::udp_waiting_datagrams_max + 1; ++i) send(client, association, never, "x");
  EXPECT_EQ(association.totals().dropped(UdpDrop::limit), 1U);
  EXPECT_EQ(rig.relay.held_octets(), limits::udp_waiting_datagrams_max);
  rig.run_for(limits::dns_total);
  EXPECT_EQ(association.totals().dropped(UdpDrop::name), limits::udp_waiting_datagrams_max);
  EXPECT_EQ(rig.relay.held_octets(), 0U);
  send(client, association, to_origin, "lives on");
  EXPECT_EQ(origin.payloads(), Strings{"lives on"});
}

TEST_F(UdpRules, OctetsThatWaitForANameAreBounded) {
  rig.add_name("never.example", {}, std::nullopt);
  Association& association = open();
  const Target never = target_of("never.example", 53);
  const std::string half(limits::udp_waiting_octets_max / 2, 'x');
  for (int i = 0; i < 2; ++i) send(client, association, never, half);
  EXPECT_EQ(association.totals().dropped(UdpDrop::limit), 0U);
  send(client, association, never, "x");
  EXPECT_EQ(association.totals().dropped(UdpDrop::limit), 1U);
  EXPECT_EQ(rig.relay.held_octets(), limits::udp_waiting_octets_max);
}

TEST_F(UdpRules, NamesWaitedForAreBounded) {
  Association& association = open();
  for (std::size_t i = 0; i <= limits::udp_waiting_names_max; ++i) {
    const std::string name = "n" + std::to_string(i) + ".example";
    rig.add_name(name, {}, std::nullopt);
    send(client, association, target_of(name, 53), "x");
  }
  EXPECT_EQ(association.totals().dropped(UdpDrop::limit), 1U);
  EXPECT_EQ(rig.table.questions(), limits::udp_waiting_names_max);
}

TEST_F(UdpRules, TheFirstAdmittedCandidateIsUsedIpv4First) {
  rig.add_name("many.example", {ip("2001:db8::1"), ip("192.0.2.9"), ip("192.0.2.1")});
  rig.owner.admits = [](const Target&, const std::optional<Address>& candidate) {
    return candidate != ip("192.0.2.9");
  };
  Association& association = open();
  send(client, association, target_of("many.example", 53), "x");
  EXPECT_EQ(origin.payloads(), Strings{"x"});
  // Another policy denies the one in use: the name is asked for again, and the next candidate taken.
  UdpPeer& origin6 = rig.peer(at("[2001:db8::1]:53"));
  rig.owner.admits = [](const Target&, const std::optional<Address>& candidate) {
    return !candidate || !candidate->is_v4();
  };
  ++rig.owner.generation;
  send(client, association, target_of("many.example", 53), "y");
  EXPECT_EQ(origin6.payloads(), Strings{"y"});
  EXPECT_EQ(origin.received().size(), 1U);
}

TEST_F(UdpRules, ANameIsJudgedBeforeAndAfterItIsResolved) {
  rig.add_name("inside.example", {ip("192.0.2.1")});
  rig.owner.admits = [](const Target& asked, const std::optional<Address>& candidate) {
    return asked.host_name()->text() != "forbidden.example" && !candidate;
  };
  Association& association = open();
  send(client, association, target_of("forbidden.example", 53), "x");
  EXPECT_EQ(rig.table.questions(), 0U);
  send(client, association, target_of("inside.example", 53), "x");
  EXPECT_EQ(rig.table.questions(), 1U);
  EXPECT_EQ(association.totals().dropped(UdpDrop::denied), 2U);
  EXPECT_TRUE(origin.received().empty());
}

TEST_F(UdpRules, ReservedAndImpossibleNamesAreNotAskedFor) {
  Association& association = open();
  send(client, association, target_of("printer.local", 53), "x");
  EXPECT_EQ(association.totals().dropped(UdpDrop::name), 1U);
  client.send(association.bound(), std::string("\0\0\0\3\5", 5) + "127.1" + std::string("\0\x35x", 3));
  rig.settle();
  EXPECT_EQ(association.totals().dropped(UdpDrop::header), 1U);
  EXPECT_EQ(rig.table.questions(), 0U);
}

// ── fragments ───────────────────────────────────────────────────────────────────────────────────────────────────────

TEST_F(UdpRules, ASequenceIsGivenUpInTime) {
  Association& association = open();
  send(client, association, to_origin, "AB", 1);
  rig.run_for(limits::udp_fragment_wait);
  EXPECT_EQ(rig.relay.held_octets(), 0U);
  EXPECT_EQ(association.totals().dropped(UdpDrop::fragment), 1U);
  send(client, association, to_origin, "CD", 0x82);
  EXPECT_EQ(association.totals().dropped(UdpDrop::fragment), 2U);
  EXPECT_TRUE(origin.received().empty());
}

TEST_F(UdpRules, ThePolicySeesTheReassembledDatagram) {
  rig.owner.admits = [](const Target&, const std::optional<Address>&) { return false; };
  Association& association = open();
  send(client, association, to_origin, "AB", 1);
  EXPECT_EQ(rig.owner.decisions, 0U);
  send(client, association, to_origin, "CD", 0x82);
  EXPECT_EQ(rig.owner.decisions, 1U);
  EXPECT_EQ(association.totals().dropped(UdpDrop::denied), 1U);
}

TEST_F(UdpRules, AReassembledDatagramWaitsForItsName) {
  rig.add_name("slow.example", {ip("192.0.2.1")}, 1s);
  Association& association = open();
  send(client, association, target_of("slow.example", 53), "AB", 1);
  send(client, association, target_of("slow.example", 53), "CD", 0x82);
  rig.run_for(1s);
  EXPECT_EQ(origin.payloads(), Strings{"ABCD"});
}

TEST_F(UdpRules, FragmentsMayBeDroppedAltogether) {
  AssociationRequest request;
  request.reassemble = false;
  Association& association = open(request);
  send(client, association, to_origin, "AB", 0x81);
  send(client, association, to_origin, "alone");
  EXPECT_EQ(origin.payloads(), Strings{"alone"});
  EXPECT_EQ(association.totals().dropped(UdpDrop::fragment), 1U);
}

// TU4, and the bound on what all associations hold together.
TEST_F(UdpRules, HeldOctetsAreBoundedForAll) {
  UdpRig small(engine, 100);
  Association& one = small.open(from_client());
  Association& two = small.open(from_client());
  small.add_name("never.example", {}, std::nullopt);
  send(client, one, to_origin, std::string(60, 'x'), 1);
  send(client, two, to_origin, std::string(60, 'x'), 1);
  send(client, two, target_of("never.example", 53), std::string(41, 'x'));
  EXPECT_EQ(small.relay.held_octets(), 60U);
  EXPECT_EQ(two.totals().dropped(UdpDrop::limit), 2U);
  send(client, two, target_of("never.example", 53), std::string(40, 'x'));
  EXPECT_EQ(small.relay.held_octets(), 100U);
  for (int i = 0; i < 10'000; ++i) {
    client.send(one.bound(), packet(to_origin, "more of it", static_cast<std::uint8_t>(1 + i % 127)));
    if (i % 64 == 63) small.settle();
  }
  small.settle();
  EXPECT_LE(small.relay.held_octets(), 100U);
}

}  // namespace
}  // namespace stile::relay
