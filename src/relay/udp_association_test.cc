// The datagram relay's contract on both engines: protocol reference 3.3, its vectors U1 to U12 and deviations 6 to 11.
#include "relay/udp_association.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>

#include "base/limits.h"
#include "engine/epoll/epoll_engine.h"
#include "engine/sim/sim_engine.h"
#include "relay/udp_rig_for_tests.h"
#include "wire/vectors_for_tests.h"

namespace stile::relay {
namespace {

using namespace std::chrono_literals;
using Strings = std::vector<std::string>;

struct Epoll {
  static std::unique_ptr<engine::Engine> create() { return std::move(*engine::EpollEngine::create()); }
};
struct Sim {
  static std::unique_ptr<engine::Engine> create() { return std::make_unique<engine::SimEngine>(1); }
};

template <class Factory>
class UdpAssociation : public testing::Test {
 protected:
  std::unique_ptr<engine::Engine> engine = Factory::create();
  UdpRig rig{*engine};
  UdpPeer& client = rig.peer(at("127.0.0.1:0"));
  UdpPeer& target = rig.peer(at("127.0.0.2:0"));
};
using Engines = testing::Types<Epoll, Sim>;
TYPED_TEST_SUITE(UdpAssociation, Engines);

TYPED_TEST(UdpAssociation, CarriesBothWaysAndCounts) {
  Association& association = this->rig.open();
  EXPECT_EQ(association.bound().address, ip("127.0.0.1"));
  EXPECT_NE(association.bound().port, 0);
  this->client.send(association.bound(), packet(target_of(this->target.where()), "question"));
  this->rig.run_until([&] { return !this->target.received().empty(); });
  EXPECT_EQ(this->target.payloads(), Strings{"question"});

  this->target.send(this->target.received()[0].from, "answer!");
  this->rig.run_until([&] { return !this->client.received().empty(); });
  EXPECT_EQ(this->client.received()[0].from, association.bound());
  EXPECT_EQ(this->client.payloads(), Strings{packet(target_of(this->target.where()), "answer!")});

  association.end(Reason::fin_client);
  ASSERT_TRUE(this->rig.owner.end.has_value());
  EXPECT_EQ(this->rig.owner.end->reason, Reason::fin_client);
  EXPECT_EQ(this->rig.owner.end->totals.up.datagrams, 1U);
  EXPECT_EQ(this->rig.owner.end->totals.up.octets, 8U);
  EXPECT_EQ(this->rig.owner.end->totals.down.datagrams, 1U);
  EXPECT_EQ(this->rig.owner.end->totals.down.octets, 7U);
  EXPECT_TRUE(this->rig.owner.first_drops.empty());
}

TYPED_TEST(UdpAssociation, AnEmptyDatagramIsLegalBothWays) {
  Association& association = this->rig.open();
  this->client.send(association.bound(), packet(target_of(this->target.where()), ""));
  this->rig.run_until([&] { return !this->target.received().empty(); });
  EXPECT_EQ(this->target.payloads(), Strings{""});
  this->target.send(this->target.received()[0].from, "");
  this->rig.run_until([&] { return !this->client.received().empty(); });
  EXPECT_EQ(this->client.payloads(), Strings{packet(target_of(this->target.where()), "")});
}

TYPED_TEST(UdpAssociation, TheLargestDatagramsPassAndLargerAnswersAreDropped) {
  Association& association = this->rig.open();
  constexpr std::size_t header = 10;
  const std::string largest(limits::udp_payload_octets_max - header, 'x');
  this->client.send(association.bound(), packet(target_of(this->target.where()), largest));
  this->rig.run_until([&] { return !this->target.received().empty(); });
  EXPECT_TRUE(this->target.payloads() == Strings{largest});
  const Endpoint outside = this->target.received()[0].from;
  this->target.send(outside, largest + "y");
  this->rig.run_until([&] { return association.totals().dropped(UdpDrop::too_big) == 1; });
  this->target.send(outside, largest);
  this->rig.run_until([&] { return !this->client.received().empty(); });
  EXPECT_TRUE(this->client.payloads() == Strings{packet(target_of(this->target.where()), largest)});
}

TYPED_TEST(UdpAssociation, FragmentsArePutTogether) {
  Association& association = this->rig.open();
  const Target to = target_of(this->target.where());
  const auto say = [&](const std::string& payload, std::uint8_t fragment) {
    this->client.send(association.bound(), packet(to, payload, fragment));
    this->rig.settle();
  };
  say("AB", 1);
  EXPECT_EQ(this->rig.relay.held_octets(), 2U);
  EXPECT_TRUE(this->target.received().empty());
  say("CD", 0x82);
  EXPECT_EQ(this->rig.relay.held_octets(), 0U);
  say("EF", 0x81);
  say("no", 0x80);
  this->rig.run_until([&] { return association.totals().dropped(UdpDrop::fragment) == 1; });
  say("gh", 1);
  say("ij", 3);  // a gap: dropped, and the sequence abandoned
  say("kl", 0x82);
  say("alone", 0);
  this->rig.run_until([&] { return association.totals().dropped(UdpDrop::fragment) == 4; });
  this->rig.run_until([&] { return this->target.received().size() == 3; });
  EXPECT_EQ(this->target.payloads(), (Strings{"ABCD", "EF", "alone"}));
  EXPECT_EQ(association.totals().up.octets, 11U);
}

// Deviation 7: what cannot be read is dropped, and the association lives on.
TYPED_TEST(UdpAssociation, BadDatagramsEndNothing) {
  Association& association = this->rig.open();
  const std::string good = packet(target_of(this->target.where()), "good");
  this->client.send(association.bound(), good);
  const Strings bad{"",
                    std::string("\0\0\0\1\xC0\0", 6),
                    std::string("\0\0\0\2\xC0\0\2\x35\0\x35", 10),
                    packet(target_of("127.0.0.2", 0), "x"),
                    packet(target_of("name.example", 0), "x"),
                    std::string("\0\0\0\3\0\0\x35x", 8),
                    std::string("\0\0\0\3\4a..b\0\x35x", 12)};
  for (const std::string& octets : bad) this->client.send(association.bound(), octets);
  this->client.send(association.bound(), good);
  this->rig.run_until([&] { return this->target.received().size() == 2; });
  EXPECT_EQ(association.totals().dropped(UdpDrop::header), bad.size());
  ASSERT_EQ(this->rig.owner.first_drops.size(), 1U);  // told once, counted always
  EXPECT_EQ(this->rig.owner.first_drops[0].first, UdpDrop::header);
  EXPECT_EQ(this->rig.owner.first_drops[0].second, this->client.where().to_string());
}

// Deviations 8, 9 and 11; threat TU1.
TYPED_TEST(UdpAssociation, NobodyButThePinnedPortIsServed) {
  UdpPeer& stranger = this->rig.peer(at("127.0.0.3:0"));
  UdpPeer& other_port = this->rig.peer(at("127.0.0.1:0"));
  Association& association = this->rig.open();
  const std::string good = packet(target_of(this->target.where()), "good");
  stranger.send(association.bound(), good);  // first of all
  this->rig.run_until([&] { return association.totals().dropped(UdpDrop::source) == 1; });
  other_port.send(association.bound(), "not well-formed: pins nothing");
  this->rig.run_until([&] { return association.totals().dropped(UdpDrop::header) == 1; });
  this->client.send(association.bound(), good);
  this->rig.run_until([&] { return this->target.received().size() == 1; });
  stranger.send(association.bound(), good);
  other_port.send(association.bound(), good);
  this->rig.run_until([&] { return association.totals().dropped(UdpDrop::source) == 2; });
  this->rig.run_until([&] { return association.totals().dropped(UdpDrop::port) == 1; });

  this->target.send(this->target.received()[0].from, "answer");
  stranger.send(Endpoint{ip("127.0.0.1"), this->target.received()[0].from.port}, "unasked");
  this->rig.run_until([&] { return association.totals().dropped(UdpDrop::reply) == 1; });
  this->rig.run_until([&] { return this->client.received().size() == 1; });
  this->rig.settle();
  EXPECT_EQ(this->target.received().size(), 1U);
  EXPECT_TRUE(stranger.received().empty());
  EXPECT_TRUE(other_port.received().empty());
  EXPECT_EQ(this->client.received().size(), 1U);
}

TYPED_TEST(UdpAssociation, NamesAndAddressesAreTargetsOfOneAssociation) {
  this->rig.add_name("origin.example", {this->target.where().address}, 20ms);
  Association& association = this->rig.open();
  const std::uint16_t port = this->target.where().port;
  this->client.send(association.bound(), packet(target_of("Origin.Example", port), "by name 1"));
  this->client.send(association.bound(), packet(target_of("origin.example", port), "by name 2"));
  this->client.send(association.bound(), packet(target_of("127.0.0.2", port), "by address"));
  this->client.send(association.bound(), packet(target_of("nowhere.example", port), "lost"));
  this->rig.run_until([&] { return this->target.received().size() == 3; });
  EXPECT_EQ(this->target.payloads(), (Strings{"by address", "by name 1", "by name 2"}));
  this->client.send(association.bound(), packet(target_of("origin.example", port), "by name 3"));
  this->rig.run_until([&] { return this->target.received().size() == 4; });
  this->rig.run_until([&] { return association.totals().dropped(UdpDrop::name) == 1; });
  EXPECT_EQ(this->rig.table.questions(), 2U);
  EXPECT_EQ(this->rig.relay.held_octets(), 0U);
}

// A client that closes its socket, and a target that nobody listens on, provoke ICMP; nothing ends.
TYPED_TEST(UdpAssociation, ClosedPortsEndNothing) {
  Association& association = this->rig.open();
  UdpPeer& gone = this->rig.peer(at("127.0.0.2:0"));
  gone.close();
  for (int i = 0; i < 10; ++i) this->client.send(association.bound(), packet(target_of(gone.where()), "into the void"));
  this->client.send(association.bound(), packet(target_of(this->target.where()), "still here"));
  this->rig.run_until([&] { return this->target.received().size() == 1; });
  this->client.close();
  for (int i = 0; i < 10; ++i) this->target.send(this->target.received()[0].from, "too late");
  this->rig.run_until([&] { return association.totals().down.datagrams == 10; });
  EXPECT_FALSE(this->rig.owner.end.has_value());
}

// Gate R11. More than one batch is waiting in each when it ends.
TYPED_TEST(UdpAssociation, TwoHundredEndAtOnce) {
  constexpr std::size_t count = 200;
  this->rig.add_name("never.example", {}, std::nullopt);
  std::vector<std::unique_ptr<ScriptedOwner>> owners;
  for (std::size_t i = 0; i < count; ++i) {
    owners.push_back(std::make_unique<ScriptedOwner>());
    const auto opened = this->rig.relay.open(UdpRig::loopback(), *owners.back());
    ASSERT_TRUE(opened.has_value());
    this->client.send((*opened)->bound(), packet(target_of(this->target.where()), "x"));
    this->client.send((*opened)->bound(), packet(target_of("never.example", 53), "held"));
    this->client.send((*opened)->bound(), packet(target_of(this->target.where()), "part", 1));
  }
  this->rig.run_until([&] { return this->rig.relay.held_octets() == count * 8; });
  EXPECT_EQ(this->rig.live.list().size(), count);
  this->rig.relay.end_all(Reason::drain);
  EXPECT_EQ(this->rig.relay.associations(), 0U);
  EXPECT_EQ(this->rig.relay.held_octets(), 0U);
  EXPECT_TRUE(this->rig.live.list().empty());
  this->rig.run_until([&] { return this->rig.relay.quiet(); });
  for (const auto& owner : owners) {
    ASSERT_EQ(owner->ends, 1U);
    EXPECT_EQ(owner->end->reason, Reason::drain);
    EXPECT_EQ(owner->end->totals.up.datagrams, 1U);
  }
}

TYPED_TEST(UdpAssociation, TheRangeIsUsedUpToItsLastPort) {
  AssociationRequest request = UdpRig::loopback();
  request.ports = {42'100, 42'107};
  std::set<std::uint16_t> ports;
  UdpPeer& squatter = this->rig.peer(at("127.0.0.1:42103"));
  for (std::uint32_t i = 0; i < request.ports.size() - 1; ++i) ports.insert(this->rig.open(request).bound().port);
  EXPECT_EQ(ports.size(), 7U);
  EXPECT_FALSE(ports.contains(squatter.where().port));
  EXPECT_GE(*ports.begin(), request.ports.first);
  EXPECT_LE(*ports.rbegin(), request.ports.last);
  const auto beyond = this->rig.relay.open(request, this->rig.owner);
  ASSERT_FALSE(beyond.has_value());
  EXPECT_EQ(beyond.error().kind, ErrorKind::address_in_use);
}

// ── the golden vectors ──────────────────────────────────────────────────────────────────────────────────────────────

class UdpVectors : public testing::Test {
 protected:
  void send(const std::string& id) {
    const auto vectors = wire::testing::read_vectors("tests/vectors/udp.txt");
    const auto found = std::ranges::find(vectors, id, &wire::testing::Vector::id);
    ASSERT_NE(found, vectors.end()) << id;
    client.send(association.bound(), std::string(found->octets.begin(), found->octets.end()));
    rig.settle();
  }
  Strings taken() {
    Strings payloads = origin.payloads();
    origin.received().clear();
    return payloads;
  }

  engine::SimEngine engine{1};
  UdpRig rig{engine};
  UdpPeer& client = rig.peer(at("127.0.0.1:5000"));
  UdpPeer& origin = rig.peer(at("192.0.2.53:53"));
  Association& association = rig.open();
};

TEST_F(UdpVectors, U1ToU12) {
  rig.add_name("example.com", {ip("192.0.2.53")});
  send("U1");
  EXPECT_EQ(taken(), Strings{"\xDE\xAD"});
  send("U2");
  EXPECT_EQ(taken(), Strings{"\xDE\xAD"});
  send("U3");
  EXPECT_EQ(taken(), Strings{""});
  send("U4");
  EXPECT_EQ(taken(), Strings{});
  send("U5");
  EXPECT_EQ(taken(), Strings{"ABCD"});
  send("U6");
  EXPECT_EQ(taken(), Strings{"AB"});
  for (const char* const broken_by : {"U7", "U8", "U1"}) {  // each makes an end of the sequence under way
    send("U4");
    send(broken_by);
    taken();
    send("U5");
    EXPECT_EQ(taken(), Strings{}) << broken_by;
  }
  for (const char* const bad : {"U9", "U10", "U11"}) {
    send(bad);
    EXPECT_EQ(taken(), Strings{}) << bad;
    send("U1");
    EXPECT_EQ(taken(), Strings{"\xDE\xAD"}) << bad;
  }
  EXPECT_TRUE(client.received().empty());
  send("U1");
  origin.send(origin.received().back().from, "\xBE\xEF");
  rig.settle();
  const auto vectors = wire::testing::read_vectors("tests/vectors/udp.txt");
  const auto answer = std::ranges::find(vectors, "U12", &wire::testing::Vector::id);
  ASSERT_NE(answer, vectors.end());
  EXPECT_EQ(client.payloads(), Strings{std::string(answer->octets.begin(), answer->octets.end())});
}

}  // namespace
}  // namespace stile::relay
