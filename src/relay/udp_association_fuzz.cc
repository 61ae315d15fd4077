// Sequences of events around one association, in virtual time: the first three octets of the input choose the
// association and the network's faults, the rest is a program of datagrams from everybody, calls that fail, reloads and
// pauses, with payloads of its own. Whatever comes: no stranger's datagram is relayed in either direction, no more is
// relayed than was admitted, the association lives until it is ended, and then everything is given back.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/assert.h"
#include "engine/sim/sim_engine.h"
#include "relay/udp_association.h"
#include "relay/udp_rig_for_tests.h"
#include "sys/errno_table.h"
#include "wire/udp_header.h"

namespace {

using namespace std::chrono_literals;
using namespace stile;
using namespace stile::relay;

/// In every payload that may not pass, and in no other: what the input gives has the uppermost bit cleared.
constexpr char stranger_mark = '\xFF';
constexpr std::size_t operations_max = 64;
constexpr Duration mapping_idle = 100s;
constexpr Duration repin = 30s;

/// Who sends to the relay socket. Only the first two have the client's address.
constexpr std::array senders{"198.51.100.7:5000", "198.51.100.7:5001", "198.51.100.8:5000", "203.0.113.5:5001"};
/// Who sends to the outgoing sockets; nothing is ever sent to the last.
constexpr std::array remotes{"192.0.2.1:53", "192.0.2.1:99", "192.0.2.2:53", "[2001:db8::1]:53", "203.0.113.5:53"};
constexpr std::size_t client_ports = 2;
constexpr std::size_t targets = 4;
/// Addresses that a policy may deny; every other but the targets' is denied always.
constexpr std::array deniable{"192.0.2.1", "192.0.2.2", "2001:db8::1"};

/// The input, octet by octet; zeros where it has ended.
class Program {
 public:
  explicit Program(ConstBytes octets) : octets_(octets) {}
  [[nodiscard]] bool over() const { return octets_.empty(); }
  std::uint8_t next() {
    if (over()) return 0;
    const std::uint8_t octet = octets_.front();
    octets_ = octets_.subspan(1);
    return octet;
  }
  std::string text() {
    std::string octets;
    for (int left = next() % 64; left > 0 && !over(); --left) octets.push_back(static_cast<char>(next() & 0x7F));
    return octets;
  }

 private:
  ConstBytes octets_;
};

engine::SimFaults faults_of(std::uint8_t bits) {
  engine::SimFaults faults;
  faults.spurious_ready = (bits & 0x01) != 0 ? 0.2 : 0;
  faults.late_completion = (bits & 0x02) != 0 ? 0.2 : 0;
  faults.shuffle_completions = (bits & 0x04) != 0;
  faults.udp_drop = (bits & 0x08) != 0 ? 0.2 : 0;
  faults.udp_duplicate = (bits & 0x10) != 0 ? 0.2 : 0;
  faults.udp_leftover = (bits & 0x20) != 0 ? 0.2 : 0;
  faults.udp_refusal = (bits & 0x40) != 0 ? 0.2 : 0;
  return faults;
}

AssociationRequest request_of(std::uint8_t bits) {
  AssociationRequest request;
  request.client = ip("198.51.100.7");
  request.local = ip("10.0.0.1");
  request.filter = (bits & 0x01) != 0 ? UdpFilter::full_cone : UdpFilter::address;
  request.repin = (bits & 0x02) != 0 ? 0s : repin;
  request.reassemble = (bits & 0x04) == 0;
  request.claimed_port = (bits & 0x08) != 0 ? at(senders[0]).port : 0;
  request.targets_max = (bits & 0x10) != 0 ? 2 : limits::udp_targets_per_association_max;
  request.mapping_idle = mapping_idle;
  return request;
}

/// True where the relay can tell from these octets where to.
bool well_formed(const std::string& octets) {
  const auto decoded = wire::decode_udp_header({reinterpret_cast<const std::uint8_t*>(octets.data()), octets.size()});
  const auto* const header = std::get_if<wire::Parsed<wire::UdpHeader>>(&decoded);
  if (header == nullptr) return false;
  const auto target = header->value.address.target();
  return target && target->port != 0;
}

class Run {
 public:
  Run(std::uint8_t request, std::uint8_t faults, std::uint8_t seed)
      : engine_(seed, faults_of(faults)),
        rig_(engine_),
        request_(request_of(request)),
        loses_(engine_.faults().udp_drop > 0),
        duplicates_(engine_.faults().udp_duplicate > 0) {
    for (const char* const where : senders) senders_.push_back(&rig_.peer(at(where)));
    for (const char* const where : remotes) remotes_.push_back(&rig_.peer(at(where)));
    rig_.add_name("origin.example", {ip("192.0.2.1")});
    rig_.add_name("late.example", {ip("192.0.2.2")}, 2s);
    rig_.owner.admits = [this](const Target&, const std::optional<Address>& candidate) {
      return !candidate || allows(*candidate);
    };
    if (request_.claimed_port != 0) pin_ = request_.claimed_port;
    open((request & 0x20) != 0);
  }

  void step(Program& program) {
    const std::uint8_t operation = program.next();
    const std::uint8_t detail = program.next();
    switch (operation & 0x07) {
      case 0:
        from_sender(detail, 0, program.text());
        break;
      case 1:
        from_sender(detail, program.next(), program.text());
        break;
      case 2:
        raw(detail, program.text());
        break;
      case 3:
        from_remote(detail, program.text());
        break;
      case 4:
        pause(detail);
        break;
      case 5:
        fail(detail);
        break;
      case 6:
        reload(detail);
        break;
      default:
        route(detail);
        break;
    }
    if ((operation & 0x80) == 0) settle();
    learn_outside();
    check();
  }

  /// On a network without faults and under a policy without denials, one of the client's ports is served.
  void check_alive() {
    settle();
    engine_.faults() = {};
    engine_.fail_nth(0, {});
    reload(0);
    const std::size_t before = remotes_[0]->received().size();
    for (std::size_t i = 0; i < client_ports; ++i) from_sender(static_cast<std::uint8_t>(i), 0, "alive");
    settle();
    STILE_ASSERT(remotes_[0]->received().size() > before);
    check();
  }

  void end() {
    association_->end(Reason::fin_client);
    STILE_ASSERT(rig_.owner.ends == 1);
    STILE_ASSERT(rig_.relay.held_octets() == 0);
    STILE_ASSERT(rig_.live.list().empty());
    rig_.run_until([&] { return rig_.relay.quiet(); });
    STILE_ASSERT(engine_.open_sockets() == senders.size() + remotes.size());
    rig_.run_for(10s);  // the answer to a question that nobody waits for any longer
    STILE_ASSERT(engine_.pending_timers() == 0);
  }

 private:
  void open(bool fails) {
    if (fails) {
      engine_.fail_nth(engine_.calls() + 1, sys::make_error(ENOBUFS));
      STILE_ASSERT(!rig_.relay.open(request_, rig_.owner) && rig_.live.list().empty());
    }
    association_ = rig_.relay.open(request_, rig_.owner).value();
  }

  // Longer than a completion is late, a few times over.
  void settle() { rig_.run_for(100ms); }

  [[nodiscard]] bool allows(const Address& address) const {
    for (std::size_t i = 0; i < deniable.size(); ++i) {
      if (address == ip(deniable[i])) return (denied_ >> i & 1) == 0;
    }
    return false;
  }

  // True where the pin lets this datagram of the client pass, as far as can be said: on a network that loses datagrams
  // nobody knows which port was heard.
  [[nodiscard]] bool serves(std::uint16_t port, bool is_well_formed) {
    if (loses_) return true;
    const bool pinned = pin_ == port;
    const bool repins = request_.repin > 0s && request_.claimed_port == 0;
    if (!pinned && repins && std::chrono::abs(engine_.now() - heard_ - repin) < 1s) rig_.run_for(2s);
    const bool vacant = !pin_ || (repins && engine_.now() - heard_ >= repin);
    if (pinned || (vacant && is_well_formed)) {
      pin_ = port;
      heard_ = engine_.now();
    }
    return pinned || vacant;
  }

  /// Sends it and answers whether it is the client's and may pass.
  bool admit(std::size_t who, bool is_well_formed) {
    if (who >= client_ports || !serves(at(senders[who]).port, is_well_formed)) return false;
    if (!is_well_formed) return true;
    ++admitted_up_;
    heard_from_[who] = true;
    return true;
  }

  void from_sender(std::uint8_t detail, std::uint8_t fragment, std::string text) {
    const std::size_t who = detail % senders.size();
    const std::size_t which = detail / senders.size() % targets;
    const Endpoint to = at(remotes[which]);
    const bool by_name = (detail & 0x10) != 0 && to.address.is_v4();
    const char* const name = which == 2 ? "late.example" : "origin.example";
    const Target asked = by_name ? target_of(name, to.port) : target_of(to);
    const bool admitted = admit(who, well_formed(packet(asked, text, fragment)));
    // What waits for a name or for other fragments is decided later on.
    const bool denied = !by_name && fragment == 0 && !allows(to.address);
    if (admitted) asked_.insert(to.address);
    if (!admitted || denied) text.push_back(stranger_mark);
    senders_[who]->send(association_->bound(), packet(asked, text, fragment));
  }

  void raw(std::uint8_t detail, std::string octets) {
    const std::size_t who = detail % senders.size();
    // A target of seven-bit octets is one of the names, or denied.
    const bool is_well_formed = well_formed(octets);
    const bool admitted = admit(who, is_well_formed);
    if (admitted && is_well_formed) asked_.insert({ip("192.0.2.1"), ip("192.0.2.2")});
    if (!admitted && is_well_formed) octets.push_back(stranger_mark);
    senders_[who]->send(association_->bound(), octets);
  }

  void from_remote(std::uint8_t detail, std::string text) {
    const std::size_t who = detail % remotes.size();
    const Address from = at(remotes[who]).address;
    const auto& outside = outside_[from.is_v4() ? 0 : 1];
    if (!outside) return;
    const bool expected = request_.filter == UdpFilter::full_cone || (asked_.contains(from) && allows(from));
    if (expected) ++admitted_down_;
    if (!expected) text.push_back(stranger_mark);
    remotes_[who]->send(*outside, text);
  }

  void pause(std::uint8_t detail) {
    constexpr std::array<Duration, 6> pauses{10ms, 1s, 4'900ms, 10s, 30s, 3 * mapping_idle};
    const Duration chosen = pauses[detail % pauses.size()];
    rig_.run_for(chosen);
    if (chosen > 2 * mapping_idle) asked_.clear();
  }

  void fail(std::uint8_t detail) {
    constexpr std::array errors{EAGAIN, ENOBUFS, ENOMEM, EMSGSIZE, ECONNREFUSED,  EHOSTUNREACH, ENETUNREACH, EPROTO,
                                EPERM,  EACCES,  EINVAL, EMFILE,   EADDRNOTAVAIL, EAFNOSUPPORT, ENFILE,      EIO};
    engine_.fail_nth(engine_.calls() + 1 + detail / errors.size(), sys::make_error(errors[detail % errors.size()]));
  }

  // What is under way is still judged by the policy that it was sent under.
  void reload(std::uint8_t detail) {
    settle();
    denied_ = detail;
    ++rig_.owner.generation;
  }

  void route(std::uint8_t detail) {
    using engine::SimBehaviour;
    const std::array behaviours{SimBehaviour::normal(),
                                SimBehaviour::silent(),
                                SimBehaviour::host_unreachable(Family::ipv4),
                                SimBehaviour::ttl_exceeded(Family::ipv4),
                                SimBehaviour::local_error(sys::make_error(ENOBUFS)),
                                SimBehaviour::local_error(sys::make_error(EAGAIN)),
                                SimBehaviour::local_error(sys::make_error(EMSGSIZE)),
                                SimBehaviour::local_error(sys::make_error(ENETUNREACH))};
    engine_.set_route(ip("192.0.2.2"), behaviours[detail % behaviours.size()]);
  }

  void learn_outside() {
    for (UdpPeer* const remote : remotes_) {
      const auto& received = remote->received();
      if (!received.empty()) outside_[remote->where().address.is_v4() ? 0 : 1] = received.back().from;
    }
  }

  void check() {
    STILE_ASSERT(rig_.owner.ends == 0);
    const std::size_t copies = duplicates_ ? 2 : 1;
    const AssociationTotals& totals = association_->totals();
    STILE_ASSERT(totals.up.datagrams <= copies * admitted_up_);
    STILE_ASSERT(totals.down.datagrams <= copies * admitted_down_);
    STILE_ASSERT(received_by(remotes_) <= copies * totals.up.datagrams);
    STILE_ASSERT(received_by(senders_) <= copies * totals.down.datagrams);
    STILE_ASSERT(remotes_.back()->received().empty());
    for (std::size_t i = 0; i < senders_.size(); ++i) {
      if (i >= client_ports || !heard_from_[i]) STILE_ASSERT(senders_[i]->received().empty());
    }
  }

  // Anywhere in a payload: a stranger's may have become a part of one that was put together.
  [[nodiscard]] static std::size_t received_by(const std::vector<UdpPeer*>& peers) {
    std::size_t count = 0;
    for (UdpPeer* const peer : peers) {
      count += peer->received().size();
      for (const std::string& payload : peer->payloads()) STILE_ASSERT(!payload.contains(stranger_mark));
    }
    return count;
  }

  engine::SimEngine engine_;
  UdpRig rig_;
  AssociationRequest request_;
  Association* association_ = nullptr;
  std::vector<UdpPeer*> senders_;
  std::vector<UdpPeer*> remotes_;
  std::array<std::optional<Endpoint>, 2> outside_;  // the outgoing sockets, by family
  std::optional<std::uint16_t> pin_;
  Instant heard_{};
  bool loses_;               // the network does, some of the time
  bool duplicates_;          // likewise
  std::uint8_t denied_ = 0;  // a bit for each that may be
  std::set<Address> asked_;  // whose answers may be expected
  std::array<bool, client_ports> heard_from_{};
  std::size_t admitted_up_ = 0;
  std::size_t admitted_down_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  Run run(data[0], data[1], data[2]);
  Program program(ConstBytes(data + 3, size - 3));
  for (std::size_t i = 0; i < operations_max && !program.over(); ++i) run.step(program);
  if ((data[0] & 0x80) == 0) run.check_alive();
  run.end();
  return 0;
}
