// Invariant I12 and threat TU1: a stranger's datagram is never relayed, in either direction, in any state. Random
// sequences of events in virtual time against a naive oracle that says exactly who receives what.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "engine/prng.h"
#include "engine/sim/sim_engine.h"
#include "relay/udp_association.h"
#include "relay/udp_rig_for_tests.h"

namespace stile::relay {
namespace {

using namespace std::chrono_literals;

constexpr Duration latency = 50us;  // of the simulation's fault-free network
constexpr Duration mapping_idle = 100s;

/// Who sends to the relay socket. Only the first two have the client's address.
constexpr std::array senders{"198.51.100.7:5000", "198.51.100.7:5001", "198.51.100.8:5000", "203.0.113.5:5001"};
/// Who sends to the outgoing socket; the first three are targets.
constexpr std::array remotes{"192.0.2.1:53", "192.0.2.1:99", "192.0.2.2:53", "192.0.2.3:53", "203.0.113.5:53"};
constexpr std::size_t targets_sent_to = 3;

/// The rules of the protocol reference, 3.3, in the shortest words.
class Oracle {
 public:
  Oracle(Duration repin, UdpFilter filter) : repin_(repin), filter_(filter) {}

  /// True when a datagram from `sender`, for the target `asked` at `address`, is relayed.
  bool relays_up(const Endpoint& sender, bool well_formed, const Target& asked, const Address& address, bool allowed,
                 Instant now) {
    if (sender.address != ip("198.51.100.7")) return false;
    const bool pinned = pin_ == sender.port;
    const bool vacant = !pin_ || (repin_ > 0s && now - heard_ >= repin_);
    if (!pinned && !vacant) return false;
    if (pinned || well_formed) {
      pin_ = sender.port;
      heard_ = now;
    }
    if (!well_formed) return false;
    use(asked, address, allowed, now);
    opened_ = opened_ || allowed;
    return allowed;
  }

  /// The client's port to which a datagram from `remote` is passed on, if at all.
  std::optional<std::uint16_t> relays_down(const Address& remote, bool allowed, Instant now) {
    Seen* answering = nullptr;
    for (Seen& seen : seen_) {
      if (seen.address != remote || !seen.allowed || now - seen.used >= mapping_idle) continue;
      if (!allowed) seen.allowed = false;
      if (seen.allowed && (answering == nullptr || before(seen.asked, answering->asked))) answering = &seen;
    }
    if (answering != nullptr) answering->used = now;
    if (!opened_ || (answering == nullptr && filter_ == UdpFilter::address)) return std::nullopt;
    return pin_;
  }

 private:
  struct Seen {
    Target asked;
    Address address;
    bool allowed;
    Instant used;
  };
  static bool before(const Target& a, const Target& b) { return a.port != b.port ? a.port < b.port : a.host < b.host; }
  void use(const Target& asked, const Address& address, bool allowed, Instant now) {
    std::erase_if(seen_, [&](const Seen& seen) { return seen.asked == asked; });
    seen_.push_back({asked, address, allowed, now});
  }

  Duration repin_;
  UdpFilter filter_;
  std::optional<std::uint16_t> pin_;
  Instant heard_{};
  std::vector<Seen> seen_;
  bool opened_ = false;
};

class Model {
 public:
  explicit Model(std::uint64_t seed, const engine::SimFaults& faults = {})
      : chance_(seed),
        engine_(seed, faults),
        rig_(engine_),
        repin_(chance_.chance(0.3) ? 0s : 30s),
        filter_(chance_.chance(0.3) ? UdpFilter::full_cone : UdpFilter::address),
        oracle_(repin_, filter_) {
    for (const char* const where : senders) senders_.push_back(&rig_.peer(at(where)));
    for (const char* const where : remotes) remotes_.push_back(&rig_.peer(at(where)));
    rig_.add_name("origin.example", {ip("192.0.2.1")});
    rig_.owner.admits = [this](const Target&, const std::optional<Address>& candidate) {
      return !candidate || candidate != denied_;
    };
    AssociationRequest request;
    request.client = ip("198.51.100.7");
    request.local = ip("10.0.0.1");
    request.repin = repin_;
    request.filter = filter_;
    request.mapping_idle = mapping_idle;
    association_ = &rig_.open(request);
  }

  void step() {
    const std::uint64_t what = chance_.below(10);
    if (what == 0) {
      reload();
    } else if (what <= 2) {
      constexpr std::array<Duration, 5> pauses{1s, 10s, 29'995ms, 30s, 100s};
      rig_.run_for(pauses[chance_.below(pauses.size())]);
    } else if (what <= 5) {
      from_remote();
    } else {
      from_sender();
    }
    rig_.settle();
    learn_outside();
  }

  /// Exactly what the oracle said, nobody else and nothing else.
  void compare() {
    for (std::size_t i = 0; i < senders_.size(); ++i) {
      ASSERT_EQ(senders_[i]->payloads(), to_senders_[i]) << senders[i];
    }
    for (std::size_t i = 0; i < remotes_.size(); ++i) {
      ASSERT_EQ(remotes_[i]->payloads(), to_remotes_[i]) << remotes[i];
    }
  }

  /// What holds on a network that loses, repeats and reorders too.
  void check_strangers() {
    const auto has_stranger = [](const UdpPeer& peer) {
      return std::ranges::any_of(peer.payloads(), [](const std::string& one) { return one.contains("stranger"); });
    };
    for (const UdpPeer* const remote : remotes_) ASSERT_FALSE(has_stranger(*remote));
    for (std::size_t i = 2; i < senders_.size(); ++i) ASSERT_TRUE(senders_[i]->received().empty());
    if (filter_ == UdpFilter::full_cone) return;
    for (std::size_t i = 0; i < 2; ++i) ASSERT_FALSE(has_stranger(*senders_[i]));
  }

  [[nodiscard]] std::uint64_t relayed() const {
    return association_->totals().up.datagrams + association_->totals().down.datagrams;
  }

 private:
  void reload() {
    denied_ = chance_.chance(0.5) ? std::optional(ip("192.0.2.1")) : std::nullopt;
    ++rig_.owner.generation;
  }

  [[nodiscard]] std::string payload(bool stranger) {
    return (stranger ? "stranger " : "friend ") + std::to_string(serial_++);
  }

  void from_sender() {
    const std::size_t who = chance_.below(senders_.size());
    const std::size_t which = chance_.below(targets_sent_to);
    const Endpoint to = at(remotes[which]);
    const bool by_name = which == 0 && chance_.chance(0.4);
    const Target asked = by_name ? target_of("origin.example", to.port) : target_of(to);
    const bool well_formed = chance_.chance(0.8);
    const std::string text = payload(who >= 2);
    std::string octets = packet(asked, text, chance_.chance(0.2) ? 0x81 : 0x00);
    if (!well_formed) octets = chance_.chance(0.5) ? octets.substr(0, 5) : packet(target_of("192.0.2.1", 0), text);
    senders_[who]->send(association_->bound(), octets);
    const bool allowed = denied_ != to.address;
    if (oracle_.relays_up(at(senders[who]), well_formed, asked, to.address, allowed, engine_.now() + latency)) {
      to_remotes_[which].push_back(text);
    }
  }

  void from_remote() {
    if (!outside_) return;
    const std::size_t who = chance_.below(remotes_.size());
    const std::string text = payload(who >= targets_sent_to);
    remotes_[who]->send(*outside_, text);
    const Endpoint from = at(remotes[who]);
    const auto port = oracle_.relays_down(from.address, denied_ != from.address, engine_.now() + latency);
    if (port) to_senders_[*port == 5000 ? 0 : 1].push_back(packet(target_of(from), text));
  }

  void learn_outside() {
    for (UdpPeer* const remote : remotes_) {
      if (!remote->received().empty()) outside_ = remote->received().back().from;
    }
  }

  engine::Prng chance_;
  engine::SimEngine engine_;
  UdpRig rig_;
  Duration repin_;
  UdpFilter filter_;
  Oracle oracle_;
  Association* association_ = nullptr;
  std::optional<Address> denied_;
  std::optional<Endpoint> outside_;
  std::vector<UdpPeer*> senders_;
  std::vector<UdpPeer*> remotes_;
  std::array<std::vector<std::string>, senders.size()> to_senders_;
  std::array<std::vector<std::string>, remotes.size()> to_remotes_;
  int serial_ = 0;
};

TEST(UdpModel, RelaysExactlyWhatTheOracleSays) {
  std::uint64_t relayed = 0;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Model model(seed);
    for (int step = 0; step < 80 && !testing::Test::HasFatalFailure(); ++step) {
      SCOPED_TRACE(step);
      model.step();
      model.compare();
    }
    relayed += model.relayed();
    if (testing::Test::HasFailure()) return;
  }
  EXPECT_GT(relayed, 2'000U);  // the oracle does not agree by saying no to everything
}

TEST(UdpModel, NoStrangerPassesOnABadNetwork) {
  engine::SimFaults faults;
  faults.spurious_ready = 0.2;
  faults.late_completion = 0.2;
  faults.shuffle_completions = true;
  faults.udp_drop = 0.1;
  faults.udp_duplicate = 0.1;
  faults.latency_max = 3ms;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Model model(seed, faults);
    for (int step = 0; step < 60; ++step) model.step();
    model.check_strangers();
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace stile::relay
