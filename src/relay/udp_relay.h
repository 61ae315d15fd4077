// The UDP data plane: associations of UDP ASSOCIATE (RFC 1928 sections 4, 6 and 7; protocol reference, 3.3), each a
// relay socket that one client sends to and up to two outgoing sockets, one a family, opened at the first need.
// The contract: datagrams of anybody but the client's pinned port are never relayed, in either direction, in any state;
// every target is decided, and again under every policy generation; no bad datagram, no failed name, no socket error
// ends an association; an idle one holds no buffer.
// Where a rule leads through other proxies, its datagrams go inside headers for each of them, from a socket of that
// way's own, and only answers that came by it are passed on as its targets' (detour.h).
// Refuses: to know who the client is (the owner does), to decide, to open ways, to fragment towards the client, to send
// to a relay of this process, whichever worker holds it (live_sockets.h). Datagrams come in batches and in trains, and
// leave so; each is judged by itself (docs/decisions/0006-datagram-trains.md). Bounded: one batch of datagrams a socket
// and turn; targets, names waited for and octets held as limits.h says. Threading: everything here belongs to one
// engine's thread; LiveSockets alone is shared. Tested in udp_association_test.cc on both engines, udp_rules_test.cc,
// udp_model_test.cc, udp_faults_test.cc, udp_detour_test.cc, udp_trains_test.cc and udp_association_fuzz.cc on the
// simulation, and in tests/e2e/udp_test.py.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>

#include "base/address.h"
#include "base/limits.h"
#include "base/port_range.h"
#include "base/reason.h"
#include "base/udp_drop.h"
#include "engine/engine.h"
#include "policy/policy.h"
#include "protect/gss_stream.h"
#include "relay/live_sockets.h"
#include "relay/terms.h"
#include "resolve/resolver.h"

namespace stile::relay {

/// From whom answers are passed on (RFC 4787 section 5).
enum class UdpFilter : std::uint8_t {
  address,    // from addresses that the client has sent to, whatever the port
  full_cone,  // from anybody, once the client has sent to someone of that family
};

/// One client's wish for an association.
struct AssociationRequest {
  Address client;                    // the control connection's peer: nobody else is served
  std::uint16_t claimed_port = 0;    // not 0: this port alone is served (udp.claimed_source = require)
  Address local;                     // where to bind: the address that the client reached
  PortRange ports;                   // one of these, drawn at random; the default: any
  std::optional<Address> advertise;  // what `local` is called outside: no target either
  UdpFilter filter = UdpFilter::address;
  bool reassemble = true;              // false: every FRAG but 00 is dropped, RFC 1928's minimum
  Duration repin = limits::udp_repin;  // zero: never
  Duration mapping_idle = limits::udp_mapping_idle;
  std::size_t targets_max = limits::udp_targets_per_association_max;
  protect::GssStream* protection = nullptr;  // what the client's datagrams are wrapped by; outlives the association
};

/// Under udp.claimed_source = require, the port to put into `claimed_port`: as DST declared it, 0 where it left it
/// open. Absent: DST names somebody else than the client. `claimed` null: it names nobody.
[[nodiscard]] std::optional<std::uint16_t> claimed_port(const Target* claimed, const Address& client) noexcept;

struct UdpCount {
  std::uint64_t datagrams = 0;
  std::uint64_t octets = 0;  // of payload, headers excepted
};

struct AssociationTotals {
  UdpCount up;                                        // client to targets
  UdpCount down;                                      // targets to client
  std::array<std::uint64_t, udp_drop_count> drops{};  // by UdpDrop
  std::uint64_t socket_errors = 0;  // that belong to no datagram in hand: ICMP about earlier ones, failed receives
  std::uint64_t reserved_set = 0;   // accepted although RSV was not 0000

  [[nodiscard]] std::uint64_t dropped(UdpDrop drop) const noexcept { return drops[static_cast<std::size_t>(drop)]; }
};

struct AssociationEnd {
  Reason reason = Reason::none;
  AssociationTotals totals;
};

class Detour;  // detour.h

/// What the datagrams to one rule's targets are held to, and which way they leave.
struct DatagramTerms {
  Terms terms;
  std::optional<engine::Egress> egress;  // not with a detour, which has its own
  Detour* detour = nullptr;              // through other proxies; outlives the association
};

/// Whose association it is. Outlives it, which is until `association_ended`. None of these may end an association.
class AssociationOwner {
 public:
  virtual ~AssociationOwner() = default;
  /// The policy's word on a target, command `udp`, for this client; `candidate` as in policy::Query.
  [[nodiscard]] virtual policy::Verdict decide(const Target& asked, const std::optional<Address>& candidate) = 0;
  /// Another number than before whenever `decide` might say something else than before. A cheap getter: it is asked for
  /// every datagram.
  [[nodiscard]] virtual std::uint64_t policy_generation() const noexcept = 0;
  /// What targets that this rule allows are held to; null: to nothing. It stays until the association ends. Or why
  /// their datagrams are dropped at present.
  [[nodiscard]] virtual std::expected<DatagramTerms*, UdpDrop> terms_of(int rule) {
    static_cast<void>(rule);
    return nullptr;
  }
  /// A datagram exceeded a quota; those behind it are dropped.
  virtual void quota_exceeded() noexcept {}
  /// The rule leads through other proxies that take names: one that it allows goes on as it is.
  [[nodiscard]] virtual bool takes_names(int rule) const noexcept {
    static_cast<void>(rule);
    return false;
  }
  /// So many datagrams were dropped, at least one; `first`: the first of their association, for this reason. `about`:
  /// the target that was asked for where the datagram told one, else its sender; of datagrams that the socket lost, the
  /// sender of the next one.
  virtual void dropped(UdpDrop drop, const Target& about, std::uint64_t datagrams, bool first) noexcept = 0;
  /// Once, when its sockets are closed; the association is not to be touched from then on.
  virtual void association_ended(const AssociationEnd& end) noexcept = 0;
};

class Association;
class UdpBuffers;

/// All associations of one worker, with what they share: the buffers and the bound on held octets.
class UdpRelay {
 public:
  /// All four outlive the relay. `held_octets_max`: this worker's share of limits::udp_held_octets_max.
  UdpRelay(engine::Engine& engine, resolve::Resolver& resolver, LiveSockets& live,
           std::size_t held_octets_max = limits::udp_held_octets_max);
  UdpRelay(const UdpRelay&) = delete;
  UdpRelay& operator=(const UdpRelay&) = delete;
  /// All associations must have ended and their completions run (asserted).
  ~UdpRelay();

  /// Binds a relay socket and serves it from this moment on, so that BND.ADDR of the reply is true when it is read
  /// (`Association::bound`). Fails where no port of the range is free (address_in_use), or as the system says.
  [[nodiscard]] Result<Association*> open(const AssociationRequest& request, AssociationOwner& owner);

  void end_all(Reason reason) noexcept;
  /// While draining: known targets go on being served, others are dropped.
  void refuse_other_targets() noexcept { takes_targets_ = false; }

  [[nodiscard]] std::size_t associations() const noexcept { return associations_; }
  /// No associations, and nothing of ended ones is pending in the engine.
  [[nodiscard]] bool quiet() const noexcept { return first_ == nullptr; }
  /// Octets of datagrams that wait for a name or for their other fragments.
  [[nodiscard]] std::size_t held_octets() const noexcept { return held_octets_; }

 private:
  friend class Association;

  [[nodiscard]] Result<Endpoint> bind(engine::Socket& socket, const AssociationRequest& request);
  [[nodiscard]] UdpBuffers& buffers() noexcept { return *buffers_; }
  [[nodiscard]] bool may_hold(std::size_t octets) const noexcept { return held_octets_ + octets <= held_octets_max_; }
  void link(Association& association) noexcept;
  void release(Association& association) noexcept;

  engine::Engine& engine_;
  resolve::Resolver& resolver_;
  LiveSockets& live_;
  std::size_t held_octets_max_;
  std::size_t held_octets_ = 0;
  std::unique_ptr<UdpBuffers> buffers_;  // from the first association on
  std::size_t associations_ = 0;
  Association* first_ = nullptr;  // every association that is not released, the ending ones included
  bool takes_targets_ = true;
};

}  // namespace stile::relay
