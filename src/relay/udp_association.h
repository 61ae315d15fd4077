// One association of the UDP relay; see udp_relay.h, where the contract stands.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/error.h"
#include "base/udp_drop.h"
#include "engine/engine.h"
#include "relay/detour.h"
#include "relay/port_pin.h"
#include "relay/udp_relay.h"
#include "relay/udp_targets.h"
#include "resolve/resolver.h"
#include "wire/fragments.h"

namespace stile::relay {

class SendList;
struct LastWay;
struct LastSender;
struct LastAnswer;

/// What a datagram is dropped for when sending it, or opening the socket to send it from, failed like this.
[[nodiscard]] UdpDrop drop_of(ErrorKind kind) noexcept;
/// What a datagram was dropped for that the network sent this message about (RFC 792, RFC 1122 section 3.2.2.1, RFC
/// 4443 section 3).
[[nodiscard]] UdpDrop drop_of(const engine::IcmpReport& report) noexcept;
/// True for errors that an ICMP message about an earlier datagram leaves behind for the next call on the socket
/// (ECONNREFUSED and its like): that call's own datagram has nothing to do with it.
[[nodiscard]] bool may_concern_an_earlier_datagram(ErrorKind kind) noexcept;

class Association {
 public:
  Association(UdpRelay& relay, AssociationOwner& owner, const AssociationRequest& request);
  Association(const Association&) = delete;
  Association& operator=(const Association&) = delete;
  ~Association() = default;

  /// Where the relay socket is bound: what BND.ADDR says, unless an advertised address takes its place.
  [[nodiscard]] const Endpoint& bound() const noexcept { return bound_; }
  [[nodiscard]] const AssociationTotals& totals() const noexcept { return totals_; }
  /// It is open, or closed: another path than before, or none.
  void detour_changed(Detour& detour);
  /// The policy is another one: the targets that are reached through other proxies are decided at once, and ways that
  /// none of them takes any longer are closed.
  void reconsider();
  /// Closes everything at once and tells the owner. A no-op on one that has ended.
  void end(Reason reason) noexcept;

 private:
  friend class UdpRelay;
  friend struct LastWay;

  /// A name that is being resolved, and the datagrams that wait for it.
  struct NameWait {
    NameWait(Association& of, const Target& target) : association(of), asked(target) {
      lookup.bind<&NameWait::on_resolved>(this);
    }
    void on_resolved(engine::Status) { association.on_resolved(*this); }

    Association& association;
    Target asked;
    resolve::Lookup lookup;
    std::vector<std::vector<std::uint8_t>> held;
    std::size_t octets = 0;
  };

  /// A socket and how often in a row receiving from it failed.
  struct Side {
    engine::Socket socket;
    int errors_in_a_row = 0;
    std::uint32_t lost = 0;  // by its full queue, as far as it was counted
    [[nodiscard]] bool broken() const noexcept;
  };

  /// Of targets of one family whose rule says where to leave.
  struct EgressSide {
    EgressSide(Association& of, DatagramTerms& for_terms, Family for_family)
        : association(of), terms(for_terms), family(for_family) {
      side.socket.bind<&EgressSide::on_ready>(this);
    }
    void on_ready(engine::Status) { association.on_targets_ready(side); }

    Association& association;
    DatagramTerms& terms;
    Family family;
    Side side;
  };

  /// Of targets whose rule leads through other proxies.
  struct DetourSide {
    DetourSide(Association& of, Detour& through, std::uint32_t numbered)
        : association(of), detour(through), number(numbered) {
      side.socket.bind<&DetourSide::on_ready>(this);
    }
    void on_ready(engine::Status) { association.on_detour_ready(*this); }

    struct Held {
      Target target;
      std::vector<std::uint8_t> payload;
    };
    Association& association;
    Detour& detour;
    std::uint32_t number;    // of the way, for UdpTargets
    Side side;               // open only while the detour is
    std::vector<Held> held;  // until it is
    std::size_t octets = 0;  // of them
  };

  void start(engine::Socket& bound_socket, const Endpoint& bound);
  void on_client_ready(engine::Status status);
  void on_ipv4_ready(engine::Status) { on_targets_ready(side(Family::ipv4)); }
  void on_ipv6_ready(engine::Status) { on_targets_ready(side(Family::ipv6)); }
  void on_targets_ready(Side& way);
  void on_timer(engine::Status status);
  void on_resolved(NameWait& wait);
  [[nodiscard]] std::span<engine::Datagram> receive(Side& side);
  void count_losses(Side& side, const engine::Datagram& told);
  void take_errors(Side& side);

  // From the client.
  void from_client(const engine::Datagram& received, LastWay& last);
  void from_port(std::uint16_t port, MutableBytes datagram, LastWay& last);
  [[nodiscard]] MutableBytes unwrapped(ConstBytes datagram);
  [[nodiscard]] std::optional<LastWay> judge(MutableBytes datagram, const wire::UdpHeader& header,
                                             std::size_t header_octets, std::uint16_t port);
  [[nodiscard]] std::optional<LastWay> reassemble(wire::FragmentOctet fragment, const Target& target,
                                                  MutableBytes payload);
  [[nodiscard]] std::optional<LastWay> route(const Target& target, MutableBytes payload);
  [[nodiscard]] UdpTargets::Entry* known(const Target& target);
  [[nodiscard]] policy::Verdict decided_again(const UdpTargets::Entry& entry);
  [[nodiscard]] policy::Verdict decide(const Target& target, const Address& candidate) {
    return owner_.decide(target, candidate);
  }
  [[nodiscard]] std::expected<DatagramTerms*, UdpDrop> terms_of(UdpTargets::Entry& entry);
  [[nodiscard]] bool may_move(DatagramTerms* held, Flow Terms::* way, std::size_t octets, const Endpoint& about);
  [[nodiscard]] std::optional<UdpDrop> refused(DatagramTerms* held, Flow Terms::* way, std::size_t octets);
  [[nodiscard]] UdpTargets::Entry* name_asked(const Target& target, ConstBytes payload);
  void wait_for_name(NameWait* asked, const Target& target, ConstBytes payload);
  UdpTargets::Entry& add_target(const Target& target, const Address& address, const policy::Verdict& verdict,
                                bool by_name = false);
  [[nodiscard]] std::optional<LastWay> send_to(UdpTargets::Entry& entry, MutableBytes payload);
  void send_up(const LastWay& way, MutableBytes payload);
  [[nodiscard]] Side* outgoing(const Target& asked, Family family, DatagramTerms* terms);
  [[nodiscard]] Side& egress_side(DatagramTerms& terms, Family family);
  void flush_up(Family family);
  void flush_up();

  // Through other proxies (udp_detours.cc).
  [[nodiscard]] DetourSide& detour_side(Detour& detour);
  [[nodiscard]] std::optional<LastWay> send_through(UdpTargets::Entry& entry, DatagramTerms& terms,
                                                    MutableBytes payload);
  [[nodiscard]] bool layer(protect::DatagramLayers& layers, ConstBytes& head, MutableBytes& payload);
  [[nodiscard]] MutableBytes unlayered(protect::DatagramLayers& layers, ConstBytes datagram);
  void wait_for_detour(DetourSide& way, const Target& target, ConstBytes payload);
  [[nodiscard]] bool open_side(DetourSide& way, const Detour::Path& path);
  [[nodiscard]] ConstBytes keep_head(ConstBytes outer, const Target& inner);
  void on_detour_ready(DetourSide& way);
  void from_detour(DetourSide& way, const Detour::Path& path, MutableBytes datagram, LastAnswer& last);
  [[nodiscard]] bool read_answer(DetourSide& way, const Detour::Path& path, ConstBytes datagram, LastAnswer& last);
  void close_unused_detours();
  void release_held(DetourSide& way) noexcept;

  // To the client.
  void from_target(const engine::Datagram& received, LastSender& last);
  template <class Sender>
  void send_down(ConstBytes header, MutableBytes payload, const Sender& from);
  [[nodiscard]] bool wrap(ConstBytes& header, MutableBytes& payload);
  [[nodiscard]] bool expected(std::uint32_t way, const Address& sender, std::uint16_t port, DatagramTerms*& terms);

  void flush(SendList& list, engine::Socket& socket, UdpCount& count);
  void drop(UdpDrop reason, const Target& about, std::uint64_t datagrams = 1) noexcept;
  void drop(UdpDrop reason, const Endpoint& about, std::uint64_t datagrams = 1) noexcept {
    drop(reason, Target{about.address, about.port}, datagrams);
  }
  void arm_timer();
  void release_held() noexcept;
  void release_when_quiet() noexcept;
  [[nodiscard]] Instant now() const noexcept { return relay_.engine_.now(); }
  [[nodiscard]] Side& side(Family family) noexcept { return outgoing_[static_cast<std::size_t>(family)]; }

  UdpRelay& relay_;
  AssociationOwner& owner_;
  Endpoint bound_;
  Address client_;
  std::optional<Address> advertise_;
  UdpFilter filter_;
  bool reassemble_;
  bool ended_ = false;
  PortPin pin_;
  protect::GssStream* protection_;
  std::vector<std::vector<std::uint8_t>> turned_;  // of the batch in hand: datagrams unwrapped, or wrapped
  Side client_side_;
  std::array<Side, 2> outgoing_;  // by family; closed until the first datagram that way
  std::vector<std::unique_ptr<EgressSide>> egress_sides_;
  std::vector<std::unique_ptr<DetourSide>> detour_sides_;
  std::array<Side*, 2> up_through_{};  // by family: through which of them the batch in hand leaves
  engine::Timer timer_;                // to the first of: a target idle too long, the end of a fragment sequence
  wire::FragmentQueue fragments_;
  UdpTargets targets_;
  std::vector<std::unique_ptr<NameWait>> waits_;
  AssociationTotals totals_;
  Association* next_ = nullptr;
  Association** previous_next_ = nullptr;
};

}  // namespace stile::relay
