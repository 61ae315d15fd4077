// Trains: datagrams that one call receives or sends together. They are a matter of the engine's and the kernel's: who
// is served, with what, and what is counted must be the same with and without. Decision 6.
#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "base/limits.h"
#include "engine/prng.h"
#include "engine/sim/sim_engine.h"
#include "relay/udp_association.h"
#include "relay/udp_rig_for_tests.h"

namespace stile::relay {
namespace {

using namespace std::chrono_literals;
using Received = std::vector<UdpPeer::Received>;

/// What everybody got, and what was counted.
struct Outcome {
  std::vector<Received> received;
  std::array<std::uint64_t, udp_drop_count> drops{};
  std::uint64_t up = 0;
  std::uint64_t down = 0;
  std::uint64_t octets_up = 0;
  std::uint64_t octets_down = 0;
  std::uint64_t reserved_set = 0;
};

void expect_equal(const Outcome& trains, const Outcome& single) {
  for (std::size_t peer = 0; peer < single.received.size(); ++peer) {
    ASSERT_EQ(trains.received[peer].size(), single.received[peer].size()) << "peer " << peer;
    for (std::size_t i = 0; i < single.received[peer].size(); ++i) {
      ASSERT_EQ(trains.received[peer][i].octets, single.received[peer][i].octets) << "peer " << peer << ", " << i;
      ASSERT_EQ(trains.received[peer][i].from, single.received[peer][i].from) << "peer " << peer << ", " << i;
    }
  }
  EXPECT_EQ(trains.drops, single.drops);
  EXPECT_EQ(trains.up, single.up);
  EXPECT_EQ(trains.down, single.down);
  EXPECT_EQ(trains.octets_up, single.octets_up);
  EXPECT_EQ(trains.octets_down, single.octets_down);
  EXPECT_EQ(trains.reserved_set, single.reserved_set);
}

/// Bursts, of one batch each, of a client that has many targets, and bursts of answers, drawn
/// from `seed`: equal sizes mostly.
class Bursts {
 public:
  Bursts(std::uint64_t seed, double train) : chance_(seed), engine_(1, {.udp_train = train}), rig_(engine_) {
    rig_.add_name("origin.example", {ip("192.0.2.1")});
    rig_.owner.admits = [](const Target&, const std::optional<Address>& candidate) {
      return !candidate || *candidate != ip("192.0.2.66");
    };
    AssociationRequest request;
    request.client = ip("198.51.100.7");
    request.local = ip("10.0.0.1");
    request.targets_max = 3;
    association_ = &rig_.open(request);
  }

  [[nodiscard]] Outcome run() {
    for (int burst = 0; burst < 30; ++burst) {
      if (chance_.chance(0.6)) {
        up();
      } else {
        down();
      }
      if (chance_.chance(0.1)) ++rig_.owner.generation;
      rig_.settle();
    }
    const AssociationTotals& totals = association_->totals();
    Outcome outcome{.received = {},
                    .drops = totals.drops,
                    .up = totals.up.datagrams,
                    .down = totals.down.datagrams,
                    .octets_up = totals.up.octets,
                    .octets_down = totals.down.octets,
                    .reserved_set = totals.reserved_set};
    for (UdpPeer* const peer : {&client_, &stranger_, &other_port_, &origin_, &origin6_, &other_}) {
      outcome.received.push_back(peer->received());
    }
    return outcome;
  }

 private:
  [[nodiscard]] std::string payload() {
    constexpr std::array<std::size_t, 8> sizes{20, 20, 20, 20, 20, 20, 7, 0};
    return std::string(sizes[chance_.below(sizes.size())], static_cast<char>('a' + chance_.below(26)));
  }
  void up() {
    const std::array targets{target_of("192.0.2.1", 53),      target_of("192.0.2.1", 53), target_of("192.0.2.1", 53),
                             target_of("2001:db8::1", 53),    target_of("192.0.2.2", 53), target_of("192.0.2.66", 53),
                             target_of("origin.example", 53), target_of("192.0.2.1", 54)};
    const std::uint64_t from = chance_.below(10);
    UdpPeer& sender = from == 0 ? stranger_ : from == 1 ? other_port_ : client_;
    for (std::uint64_t i = chance_.below(limits::udp_batch_datagrams_max + 1); i > 0; --i) {
      const Target& target = targets[chance_.chance(0.7) ? 0 : chance_.below(targets.size())];
      constexpr std::array<std::uint8_t, 6> fragments{1, 2, 3, 0x82, 0x83, 0x84};
      const std::uint8_t fragment = chance_.chance(0.9) ? 0 : fragments[chance_.below(fragments.size())];
      std::string octets = packet(target, payload(), fragment);
      if (chance_.chance(0.03)) octets[1] = 1;  // RSV
      if (chance_.chance(0.03)) octets[3] = 9;  // no address type
      if (chance_.chance(0.03)) octets.resize(chance_.below(octets.size()));
      sender.send(association_->bound(), octets);
    }
  }
  void down() {
    for (UdpPeer* const from : {&origin_, &origin6_, &other_}) {
      if (from->received().empty()) continue;
      for (std::uint64_t i = chance_.below(limits::udp_batch_datagrams_max + 1); i > 0; --i) {
        // To an address that the client may have forgotten by now, and from a stranger to it.
        UdpPeer& sender = from->where().address.is_v4() && chance_.chance(0.2) ? other_ : *from;
        sender.send(from->received().back().from, payload());
      }
      rig_.settle();
    }
  }

  engine::Prng chance_;
  engine::SimEngine engine_;
  UdpRig rig_;
  UdpPeer& client_ = rig_.peer(at("198.51.100.7:5000"));
  UdpPeer& other_port_ = rig_.peer(at("198.51.100.7:5001"));
  UdpPeer& stranger_ = rig_.peer(at("203.0.113.5:5000"));
  UdpPeer& origin_ = rig_.peer(at("192.0.2.1:53"));
  UdpPeer& origin6_ = rig_.peer(at("[2001:db8::1]:53"));
  UdpPeer& other_ = rig_.peer(at("192.0.2.2:53"));
  Association* association_ = nullptr;
};

TEST(UdpTrains, NobodyCanTellThemFromSingleDatagrams) {
  std::uint64_t relayed = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Outcome single = Bursts(seed, 0).run();
    for (const double train : {0.7, 1.0}) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << ", trains " << train);
      expect_equal(Bursts(seed, train).run(), single);
    }
    if (testing::Test::HasFailure()) return;
    relayed += single.up + single.down;
  }
  EXPECT_GT(relayed, 50'000U);
}

TEST(UdpTrains, AreNeverLongerThanTheListThatSendsThem) {
  engine::SimEngine engine(1, {.udp_train = 1});
  UdpRig rig(engine);
  UdpPeer& client = rig.peer(at("127.0.0.1:5000"));
  UdpPeer& origin = rig.peer(at("127.0.0.2:53"));
  Association& association = rig.open();
  for (int i = 0; i < 3'000; ++i) client.send(association.bound(), packet(target_of(origin.where()), "x"));
  rig.settle();
  ASSERT_EQ(origin.received().size(), 3'000U);
  for (int i = 0; i < 3'000; ++i) origin.send(origin.received()[0].from, "y");
  rig.settle();
  EXPECT_EQ(client.received().size(), 3'000U);
}

// The relay socket was full while something else had its turn: RFC 1928 says nothing of it, the records do.
TEST(UdpTrains, WhatTheSocketLostIsCountedAsLimit) {
  engine::SimEngine engine(1);
  UdpRig rig(engine);
  UdpPeer& client = rig.peer(at("127.0.0.1:5000"));
  UdpPeer& origin = rig.peer(at("127.0.0.2:53"));
  Association& association = rig.open();
  const std::string longest(60'000, 'x');
  for (int i = 0; i < 20; ++i) client.send(association.bound(), packet(target_of(origin.where()), longest));
  rig.settle();
  client.send(association.bound(), packet(target_of(origin.where()), "after"));
  rig.settle();
  const AssociationTotals& totals = association.totals();
  EXPECT_GT(totals.dropped(UdpDrop::limit), 0U);
  EXPECT_EQ(totals.up.datagrams + totals.dropped(UdpDrop::limit), 21U);
  EXPECT_EQ(rig.owner.first_drops.size(), 1U) << "told once";
  EXPECT_EQ(rig.owner.drops, totals.dropped(UdpDrop::limit)) << "but counted each";
}

}  // namespace
}  // namespace stile::relay
