#include "relay/udp_association.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

#include "relay/udp_buffers.h"
#include "relay/udp_turn.h"
#include "wire/udp_header.h"

namespace stile::relay {
namespace {

// ICMP leaves one error at a time, so a socket that has nothing but errors to give, so many in a row, is beyond use. As
// many messages about earlier datagrams are read in one turn.
constexpr int receive_errors_max = 64;

// UDP gives no sign of a family that leads nowhere, so the one that works nearly everywhere comes first.
std::vector<Address> ipv4_first(std::span<const Address> addresses) {
  std::vector<Address> ordered;
  for (const bool v4 : {true, false}) {
    std::ranges::copy_if(addresses, std::back_inserter(ordered),
                         [v4](const Address& one) { return one.is_v4() == v4; });
  }
  ordered.resize(std::min(ordered.size(), limits::candidates_max));
  return ordered;
}

}  // namespace

UdpDrop drop_of(ErrorKind kind) noexcept {
  switch (kind) {
    case ErrorKind::would_block:  // the socket's own queue is full
    case ErrorKind::no_memory:    // ENOBUFS: the interface's is
    case ErrorKind::no_descriptors:
      return UdpDrop::limit;
    case ErrorKind::message_too_big:
      return UdpDrop::too_big;
    case ErrorKind::refused:
    case ErrorKind::reset:
    case ErrorKind::net_unreachable:
    case ErrorKind::host_unreachable:
    case ErrorKind::timed_out:
    case ErrorKind::not_permitted:
    case ErrorKind::address_unavailable:
    case ErrorKind::address_in_use:
    case ErrorKind::family_unsupported:
    case ErrorKind::protocol:
    case ErrorKind::invalid:
    case ErrorKind::not_found:
    case ErrorKind::canceled:
    case ErrorKind::other:
      return UdpDrop::send;
  }
  assertion_failed("ErrorKind in range", __FILE__, __LINE__);
}

UdpDrop drop_of(const engine::IcmpReport& report) noexcept {
  const bool v4 = report.family == Family::ipv4;
  if (report.type == (v4 ? 11 : 3)) return UdpDrop::icmp_expired;
  if (report.type == (v4 ? 3 : 1)) {
    static constexpr std::array v4_codes{
        UdpDrop::icmp_network, UdpDrop::icmp_host,       UdpDrop::icmp_other,      UdpDrop::icmp_port,
        UdpDrop::icmp_too_big, UdpDrop::icmp_other,      UdpDrop::icmp_network,    UdpDrop::icmp_host,
        UdpDrop::icmp_host,    UdpDrop::icmp_prohibited, UdpDrop::icmp_prohibited, UdpDrop::icmp_network,
        UdpDrop::icmp_host,    UdpDrop::icmp_prohibited, UdpDrop::icmp_prohibited, UdpDrop::icmp_prohibited};
    static constexpr std::array v6_codes{UdpDrop::icmp_network,   UdpDrop::icmp_prohibited, UdpDrop::icmp_host,
                                         UdpDrop::icmp_host,      UdpDrop::icmp_port,       UdpDrop::icmp_prohibited,
                                         UdpDrop::icmp_prohibited};
    const auto codes = v4 ? std::span<const UdpDrop>(v4_codes) : std::span<const UdpDrop>(v6_codes);
    return report.code < codes.size() ? codes[report.code] : UdpDrop::icmp_other;
  }
  return !v4 && report.type == 2 ? UdpDrop::icmp_too_big : UdpDrop::icmp_other;
}

bool may_concern_an_earlier_datagram(ErrorKind kind) noexcept {
  // The errors of the kernel's table of ICMP codes: ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED, EMSGSIZE,
  // EOPNOTSUPP, EHOSTDOWN, ENONET, EACCES, EPROTO.
  return kind == ErrorKind::net_unreachable || kind == ErrorKind::host_unreachable || kind == ErrorKind::refused ||
         kind == ErrorKind::protocol || kind == ErrorKind::message_too_big || kind == ErrorKind::not_permitted;
}

bool Association::Side::broken() const noexcept {
  return errors_in_a_row >= receive_errors_max;
}

Association::Association(UdpRelay& relay, AssociationOwner& owner, const AssociationRequest& request)
    : relay_(relay),
      owner_(owner),
      client_(request.client),
      advertise_(request.advertise),
      filter_(request.filter),
      reassemble_(request.reassemble),
      pin_(request.claimed_port, request.repin),
      protection_(request.protection),
      targets_(request.targets_max, request.mapping_idle) {
  client_side_.socket.bind<&Association::on_client_ready>(this);
  side(Family::ipv4).socket.bind<&Association::on_ipv4_ready>(this);
  side(Family::ipv6).socket.bind<&Association::on_ipv6_ready>(this);
  timer_.bind<&Association::on_timer>(this);
}

void Association::start(engine::Socket& bound_socket, const Endpoint& bound) {
  relay_.engine_.move(bound_socket, client_side_.socket);
  bound_ = bound;
  (void)relay_.engine_.use_trains(client_side_.socket);  // without it they come one by one
  relay_.live_.add(bound_);
  if (advertise_) relay_.live_.add({*advertise_, bound_.port});
  relay_.engine_.wait(client_side_.socket, engine::Interest::readable);
}

// ── from the client ─────────────────────────────────────────────────────────────────────────────────────────────────

void Association::on_client_ready(engine::Status) {
  if (ended_) return release_when_quiet();
  relay_.buffers().forget_heads();
  LastWay last;
  for (const engine::Datagram& received : receive(client_side_)) from_client(received, last);
  flush_up();
  turned_.clear();
  if (client_side_.broken()) return end(Reason::no_resources);
  arm_timer();
  // What is left is still cached as readable: the wait completes at once, after everybody else's turn.
  relay_.engine_.wait(client_side_.socket, engine::Interest::readable);
}

std::span<engine::Datagram> Association::receive(Side& side) {
  const std::span<engine::Datagram> room = relay_.buffers().receive_room();
  const auto count = relay_.engine_.receive_datagrams(side.socket, room);
  if (count || count.error().kind == ErrorKind::would_block) {
    side.errors_in_a_row = 0;
    const std::span<engine::Datagram> received = room.first(count.value_or(0));
    relay_.buffers().suit(received);
    if (!received.empty()) count_losses(side, received.back());
    return received;
  }
  ++side.errors_in_a_row;
  ++totals_.socket_errors;
  return {};
}

void Association::count_losses(Side& side, const engine::Datagram& told) {
  const auto more = static_cast<std::int32_t>(told.lost - side.lost);  // the count wraps
  if (more <= 0) return;
  side.lost = told.lost;
  drop(UdpDrop::limit, told.peer, static_cast<std::uint64_t>(more));
}

void Association::from_client(const engine::Datagram& received, LastWay& last) {
  // "It MUST drop any datagrams arriving from any source IP address other than the one recorded for the particular
  // association" (RFC 1928 section 7). Both addresses are canonical.
  const Endpoint& from = received.peer;
  if (from.address != client_) return drop(UdpDrop::source, from, datagrams_in(received));
  for_each_datagram(received, [&](MutableBytes datagram) { from_port(from.port, datagram, last); });
}

void Association::from_port(std::uint16_t port, MutableBytes datagram, LastWay& last) {
  const PortPin::Standing standing = pin_.judge(port, now());
  if (standing == PortPin::Standing::stranger) return drop(UdpDrop::port, Endpoint{client_, port});
  if (protection_ != nullptr) {
    datagram = unwrapped(datagram);
    if (datagram.empty()) return drop(UdpDrop::token, Endpoint{client_, port});
  }
  if (standing == PortPin::Standing::pinned) pin_.heard(port, now());
  if (last.is_that_of(datagram)) {
    pin_.heard(port, now());
    return send_up(last, datagram.subspan(last.header.size()));
  }

  last = LastWay{};
  const auto decoded = wire::decode_udp_header(datagram);
  const auto* const header = std::get_if<wire::Parsed<wire::UdpHeader>>(&decoded);
  if (header == nullptr) return drop(UdpDrop::header, Endpoint{client_, port});
  auto went = judge(datagram, header->value, header->consumed, port);
  const bool plain = header->value.fragment.stands_alone() && header->value.reserved == 0;
  if (!went || !plain) return;
  last = *went;
  last.header = datagram.first(header->consumed);
}

/// Empty where it is not the context's.
MutableBytes Association::unwrapped(ConstBytes datagram) {
  std::vector<std::uint8_t> plain;
  if (!protection_->unwrap_datagram(datagram, plain)) return {};
  return turned_.emplace_back(std::move(plain));
}

// How the datagram went, if it did at once.
std::optional<LastWay> Association::judge(MutableBytes datagram, const wire::UdpHeader& header,
                                          std::size_t header_octets, std::uint16_t port) {
  const auto target = header.address.target();
  if (!target || target->port == 0) {
    drop(UdpDrop::header, Endpoint{client_, port});
    return std::nullopt;
  }
  pin_.heard(port, now());
  if (header.reserved != 0) ++totals_.reserved_set;
  return reassemble(header.fragment, *target, datagram.subspan(header_octets));
}

std::optional<LastWay> Association::reassemble(wire::FragmentOctet fragment, const Target& target,
                                               MutableBytes payload) {
  if (!fragment.stands_alone() && (!reassemble_ || !relay_.may_hold(payload.size()))) {
    drop(reassemble_ ? UdpDrop::limit : UdpDrop::fragment, target);
    return std::nullopt;
  }
  relay_.held_octets_ -= fragments_.octets();
  wire::FragmentOutcome outcome = fragments_.accept(fragment, target, payload, now());
  relay_.held_octets_ += fragments_.octets();

  if (outcome.abandoned) drop(UdpDrop::fragment, target);
  if (outcome.fate == wire::FragmentFate::stands_alone) return route(target, payload);
  if (outcome.fate == wire::FragmentFate::complete) {
    (void)route(target, outcome.payload);
    flush_up();  // the payload goes with this call
  }
  if (outcome.fate == wire::FragmentFate::dropped) drop(UdpDrop::fragment, target);
  return std::nullopt;
}

std::optional<LastWay> Association::route(const Target& target, MutableBytes payload) {
  UdpTargets::Entry* entry = known(target);
  if (entry == nullptr && !relay_.takes_targets_) {
    drop(UdpDrop::limit, target);
    return std::nullopt;
  }
  if (entry == nullptr && target.host_name() != nullptr) entry = name_asked(target, payload);
  if (entry == nullptr && target.host_name() != nullptr) return std::nullopt;
  if (entry == nullptr) entry = &add_target(target, *target.address(), decide(target, *target.address()));
  targets_.touch(*entry, now());
  // Sockets of ours come and go without the policy's generation, so they are asked for in each batch.
  const Endpoint to{entry->value().address, target.port};
  if (!entry->value().allowed || (!entry->value().by_name && relay_.live_.reaches(to))) {
    drop(UdpDrop::denied, target);
    return std::nullopt;
  }
  return send_to(*entry, payload);
}

UdpTargets::Entry& Association::add_target(const Target& target, const Address& address, const policy::Verdict& verdict,
                                           bool by_name) {
  const bool allowed = verdict.decision == policy::Verdict::Decision::allow;
  return targets_.add(target,
                      {.address = address,
                       .by_name = by_name,
                       .allowed = allowed,
                       .generation = owner_.policy_generation(),
                       .rule = verdict.rule},
                      now());
}

// The target with a verdict of the policy in force; absent where it must be resolved, or was never asked for.
UdpTargets::Entry* Association::known(const Target& target) {
  UdpTargets::Entry* const entry = targets_.find(target, now());
  const std::uint64_t generation = owner_.policy_generation();
  if (entry == nullptr || entry->value().generation == generation) return entry;
  const policy::Verdict verdict = decided_again(*entry);
  const bool allowed = verdict.decision == policy::Verdict::Decision::allow;
  if (target.host_name() != nullptr && !allowed) {
    targets_.erase(*entry);  // another candidate may be admitted, or the name itself
    return nullptr;
  }
  targets_.decide(*entry, allowed, generation, verdict.rule);
  return entry;
}

// Where the answer for a name might be another kind of way, it is not an allow: the name is judged anew.
policy::Verdict Association::decided_again(const UdpTargets::Entry& entry) {
  const Target& asked = entry.asked();
  if (asked.host_name() == nullptr) return decide(asked, entry.value().address);
  if (!entry.value().allowed) return {};
  const policy::Verdict by_name = owner_.decide(asked, std::nullopt);
  const bool goes_by_name = by_name.decision == policy::Verdict::Decision::allow && owner_.takes_names(by_name.rule);
  if (goes_by_name || entry.value().by_name) return goes_by_name && entry.value().by_name ? by_name : policy::Verdict{};
  return decide(asked, entry.value().address);
}

// While the owner does not let it have its terms it is asked again: a session may end, or a day begin.
std::expected<DatagramTerms*, UdpDrop> Association::terms_of(UdpTargets::Entry& entry) {
  if (!entry.value().terms_known) {
    const auto terms = owner_.terms_of(entry.value().rule);
    if (!terms) return terms;
    const bool leads = *terms != nullptr && (*terms)->detour != nullptr;
    targets_.hold_to(entry, *terms, leads ? detour_side(*(*terms)->detour).number : 0);
  }
  return entry.value().terms;
}

bool Association::may_move(DatagramTerms* held, Flow Terms::* way, std::size_t octets, const Endpoint& about) {
  const std::optional<UdpDrop> refusal = refused(held, way, octets);
  if (refusal) drop(*refusal, about);
  return !refusal;
}

std::optional<UdpDrop> Association::refused(DatagramTerms* held, Flow Terms::* way, std::size_t octets) {
  if (held == nullptr) return std::nullopt;
  Terms& terms = held->terms;
  const bool used_up = terms.is_used_up();
  if (used_up || !(terms.*way).take(octets, now())) return used_up ? UdpDrop::quota : UdpDrop::rate;
  terms.charge(octets);
  if (terms.is_exceeded()) owner_.quota_exceeded();
  return std::nullopt;
}

std::optional<LastWay> Association::send_to(UdpTargets::Entry& entry, MutableBytes payload) {
  const Target& asked = entry.asked();
  const auto terms = terms_of(entry);
  if (!terms) {
    drop(terms.error(), asked);
    return std::nullopt;
  }
  if (*terms != nullptr && (*terms)->detour != nullptr) return send_through(entry, **terms, payload);
  STILE_ASSERT(!entry.value().by_name);
  Side* const side = outgoing(asked, entry.value().address.family(), *terms);
  if (side == nullptr) return std::nullopt;
  const LastWay way{.to = {entry.value().address, asked.port}, .side = side, .terms = *terms};
  send_up(way, payload);
  return way;
}

void Association::send_up(const LastWay& way, MutableBytes payload) {
  const auto too_big = [&](ConstBytes head) { return head.size() + payload.size() > limits::udp_payload_octets_max; };
  if (too_big(way.head)) return drop(UdpDrop::too_big, way.target());
  if (const auto refusal = refused(way.terms, &Terms::up, payload.size())) return drop(*refusal, way.target());
  ConstBytes head = way.head;
  if (way.layers != nullptr && !layer(*way.layers, head, payload)) return drop(UdpDrop::token, way.target());
  if (too_big(head)) return drop(UdpDrop::too_big, way.target());
  const Family family = way.to.address.family();
  SendList& list = relay_.buffers().up(family);
  Side*& through = up_through_[static_cast<std::size_t>(family)];
  if (list.full() || through != way.side) flush_up(family);
  through = way.side;
  list.add(way.to, head, payload);
}

Association::Side* Association::outgoing(const Target& asked, Family family, DatagramTerms* terms) {
  const bool leaves_from = terms != nullptr && terms->egress;
  if (leaves_from && terms->egress->address && terms->egress->address->family() != family) {
    drop(UdpDrop::send, asked);
    return nullptr;
  }
  Side& way = leaves_from ? egress_side(*terms, family) : side(family);
  if (way.socket.is_open()) return &way;
  const Address any = family == Family::ipv4 ? Address{} : Address::v6(std::array<std::uint8_t, 16>{});
  const engine::Egress* const from = leaves_from ? &*terms->egress : nullptr;
  const Address local = from == nullptr ? any : from->address.value_or(any);
  if (const auto opened = relay_.engine_.open_udp(way.socket, {local, 0}, from); !opened) {
    drop(drop_of(opened.error().kind), asked);
    return nullptr;
  }
  way.errors_in_a_row = 0;
  way.lost = 0;
  (void)relay_.engine_.use_trains(way.socket);
  // Without it the network's word on a datagram is not heard; the association works all the same.
  (void)relay_.engine_.keep_datagram_errors(way.socket);
  relay_.engine_.wait(way.socket, engine::Interest::readable);
  return &way;
}

// At most one of each family for each rule that says where.
Association::Side& Association::egress_side(DatagramTerms& terms, Family family) {
  const auto is_it = [&](const auto& one) { return &one->terms == &terms && one->family == family; };
  const auto found = std::ranges::find_if(egress_sides_, is_it);
  if (found != egress_sides_.end()) return (*found)->side;
  return egress_sides_.emplace_back(std::make_unique<EgressSide>(*this, terms, family))->side;
}

void Association::flush_up(Family family) {
  Side* const through = up_through_[static_cast<std::size_t>(family)];
  if (through != nullptr) flush(relay_.buffers().up(family), through->socket, totals_.up);
}

void Association::flush_up() {
  for (const Family family : {Family::ipv4, Family::ipv6}) flush_up(family);
}

void Association::flush(SendList& list, engine::Socket& socket, UdpCount& count) {
  const std::span<const engine::Datagram> all = list.datagrams();
  std::size_t done = 0;
  bool once_more = false;
  while (done < all.size()) {
    const auto sent = relay_.engine_.send_datagrams(socket, all.subspan(done));
    if (sent) {
      for (const std::size_t end = done + *sent; done < end; ++done) {
        ++count.datagrams;
        count.octets += all[done].payload.size();
      }
      if (std::exchange(once_more, false)) ++totals_.socket_errors;
      continue;
    }
    const ErrorKind kind = sent.error().kind;
    if (!once_more && may_concern_an_earlier_datagram(kind)) {
      once_more = true;
      continue;
    }
    once_more = false;
    // A full socket takes none of the others either; nothing is queued here.
    const std::size_t lost = kind == ErrorKind::would_block ? all.size() - done : 1;
    for (std::size_t i = 0; i < lost; ++i) drop(drop_of(kind), all[done++].peer);
  }
  list.clear();
}

// ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────

// The target, where the name goes on as it is; nothing where the datagram is dropped, or waits for its addresses.
UdpTargets::Entry* Association::name_asked(const Target& target, ConstBytes payload) {
  const auto found = std::ranges::find(waits_, target, [](const auto& wait) -> const Target& { return wait->asked; });
  const bool asks = found == waits_.end();
  if (asks) {
    const policy::Verdict verdict = owner_.decide(target, std::nullopt);
    if (verdict.decision == policy::Verdict::Decision::deny) {
      add_target(target, Address{}, {});
      drop(UdpDrop::denied, target);
      return nullptr;
    }
    const bool by_name = verdict.decision == policy::Verdict::Decision::allow && owner_.takes_names(verdict.rule);
    if (by_name) return &add_target(target, Address{}, verdict, true);
  }
  if (!asks || waits_.size() < limits::udp_waiting_names_max) {
    wait_for_name(asks ? nullptr : found->get(), target, payload);
  } else {
    drop(UdpDrop::limit, target);
  }
  return nullptr;
}

void Association::wait_for_name(NameWait* asked, const Target& target, ConstBytes payload) {
  const std::size_t octets = asked == nullptr ? 0 : asked->octets;
  const bool full = asked != nullptr && asked->held.size() >= limits::udp_waiting_datagrams_max;
  if (full || octets + payload.size() > limits::udp_waiting_octets_max || !relay_.may_hold(payload.size())) {
    return drop(UdpDrop::limit, target);
  }
  NameWait& wait = asked == nullptr ? *waits_.emplace_back(std::make_unique<NameWait>(*this, target)) : *asked;
  wait.held.emplace_back(payload.begin(), payload.end());
  wait.octets += payload.size();
  relay_.held_octets_ += payload.size();
  if (asked == nullptr) relay_.resolver_.resolve(wait.lookup, *target.host_name());
}

// The first admitted candidate is the one for as long as the target is in use.
void Association::on_resolved(NameWait& wait) {
  const auto place = std::ranges::find(waits_, &wait, [](const auto& one) { return one.get(); });
  const std::unique_ptr<NameWait> ending = std::move(*place);
  waits_.erase(place);
  if (ended_) return release_when_quiet();
  relay_.held_octets_ -= ending->octets;
  relay_.buffers().forget_heads();

  const Target& asked = ending->asked;
  const std::vector<Address> candidates = ipv4_first(ending->lookup.answer().addresses);
  policy::Verdict verdict;
  const auto chosen = std::ranges::find_if(candidates, [&](const Address& candidate) {
    verdict = decide(asked, candidate);
    return verdict.decision == policy::Verdict::Decision::allow && !relay_.live_.reaches({candidate, asked.port});
  });
  if (chosen == candidates.end()) {
    const UdpDrop reason = candidates.empty() ? UdpDrop::name : UdpDrop::denied;
    for (std::size_t i = 0; i < ending->held.size(); ++i) drop(reason, asked);
    return;
  }
  UdpTargets::Entry& entry = add_target(asked, *chosen, verdict);
  for (std::vector<std::uint8_t>& payload : ending->held) (void)send_to(entry, payload);
  flush_up();
  arm_timer();
}

// ── to the client ───────────────────────────────────────────────────────────────────────────────────────────────────

void Association::on_targets_ready(Side& way) {
  if (ended_) return release_when_quiet();
  take_errors(way);
  LastSender last;
  for (const engine::Datagram& received : receive(way)) from_target(received, last);
  flush(relay_.buffers().down(), client_side_.socket, totals_.down);
  turned_.clear();
  if (way.broken()) return relay_.engine_.close(way.socket);  // the next datagram that way opens another
  relay_.engine_.wait(way.socket, engine::Interest::readable);
}

void Association::take_errors(Side& side) {
  for (int i = 0; i < receive_errors_max; ++i) {
    const auto error = relay_.engine_.receive_datagram_error(side.socket);
    if (!error) return;
    drop(drop_of(error->icmp), error->peer);
  }
}

void Association::from_target(const engine::Datagram& received, LastSender& last) {
  const Endpoint& from = received.peer;
  const auto client_port = pin_.port();
  if (client_port && last.from != from) {
    last.expected = expected(0, from.address, from.port, last.terms);
    // The sender as it is, not as the client asked for it (RFC 1928 section 7). Never fragmented.
    last.header = wire::encode_udp_header({from.address, from.port});
    last.from = from;
  }
  if (!client_port || !last.expected) return drop(UdpDrop::reply, from, datagrams_in(received));
  const ConstBytes header = UdpBuffers::header_before(last.header->octets(), received.payload);
  for_each_datagram(received, [&](MutableBytes payload) {
    if (may_move(last.terms, &Terms::down, payload.size(), from)) send_down(header, payload, from);
  });
}

template <class Sender>
void Association::send_down(ConstBytes header, MutableBytes payload, const Sender& from) {
  if (protection_ != nullptr && !wrap(header, payload)) return drop(UdpDrop::token, from);
  if (header.size() + payload.size() > limits::udp_payload_octets_max) return drop(UdpDrop::too_big, from);
  SendList& list = relay_.buffers().down();
  if (list.full()) flush(list, client_side_.socket, totals_.down);
  list.add({client_, *pin_.port()}, header, payload);
}

template void Association::send_down(ConstBytes header, MutableBytes payload, const Target& from);  // udp_detours.cc

// The wrapped datagram, cut so that what counts as its payload is as long as what was wrapped.
bool Association::wrap(ConstBytes& header, MutableBytes& payload) {
  std::vector<std::uint8_t> plain(header.begin(), header.end());
  plain.insert(plain.end(), payload.begin(), payload.end());
  std::vector<std::uint8_t> datagram;
  if (!protection_->wrap_datagram(plain, datagram)) return false;
  const MutableBytes whole = turned_.emplace_back(std::move(datagram));
  header = whole.first(whole.size() - payload.size());
  payload = whole.last(payload.size());
  return true;
}

// True where the filter lets the sender through. An answer counts as use of the target, so that a stream that flows one
// way only does not go idle (RFC 4787 section 4.3 leaves that open).
bool Association::expected(std::uint32_t way, const Address& sender, std::uint16_t port, DatagramTerms*& terms) {
  terms = nullptr;
  while (UdpTargets::Entry* const entry = targets_.answering(way, sender, port, now())) {
    if (entry->value().generation != owner_.policy_generation()) {
      const policy::Verdict verdict = decided_again(*entry);
      const bool allowed = verdict.decision == policy::Verdict::Decision::allow;
      const bool judged_anew = !allowed && entry->asked().host_name() != nullptr;  // by its next datagram
      judged_anew ? targets_.erase(*entry) : targets_.decide(*entry, allowed, owner_.policy_generation(), verdict.rule);
      if (!allowed) continue;  // another one may answer
    }
    const auto known = terms_of(*entry);
    if (!known) return false;
    if (entry->value().way != way) continue;  // its datagrams go by another one from now on
    targets_.touch(*entry, now());
    terms = *known;
    return true;
  }
  return filter_ == UdpFilter::full_cone;
}

// ── time, drops, the end ────────────────────────────────────────────────────────────────────────────────────────────

// The timer is not moved by each datagram; when it fires it asks what is next.
void Association::arm_timer() {
  std::optional<Instant> next = targets_.next_expiry();
  if (const auto deadline = fragments_.deadline()) next = std::min(next.value_or(*deadline), *deadline);
  if (next && (!timer_.pending() || *next < timer_.deadline())) relay_.engine_.start_timer(timer_, *next);
}

void Association::on_timer(engine::Status status) {
  if (ended_) return release_when_quiet();
  if (status == engine::Status::canceled) return;
  targets_.expire(now());
  close_unused_detours();
  const std::size_t held = fragments_.octets();
  if (fragments_.expire(now())) {
    relay_.held_octets_ -= held;
    drop(UdpDrop::fragment, Endpoint{client_, pin_.port().value_or(0)});
  }
  arm_timer();
}

void Association::drop(UdpDrop reason, const Target& about, std::uint64_t datagrams) noexcept {
  std::uint64_t& so_far = totals_.drops[static_cast<std::size_t>(reason)];
  const bool first = so_far == 0;
  so_far += datagrams;
  owner_.dropped(reason, about, datagrams, first);
}

void Association::end(Reason reason) noexcept {
  if (ended_) return;
  ended_ = true;
  release_held();
  relay_.live_.remove(bound_);
  if (advertise_) relay_.live_.remove({*advertise_, bound_.port});
  relay_.engine_.close(client_side_.socket);
  for (Side& way : outgoing_) relay_.engine_.close(way.socket);
  for (const auto& way : egress_sides_) relay_.engine_.close(way->side.socket);
  for (const auto& way : detour_sides_) relay_.engine_.close(way->side.socket);
  relay_.engine_.cancel(timer_);
  for (const auto& wait : waits_) relay_.resolver_.cancel(wait->lookup);
  --relay_.associations_;
  owner_.association_ended({reason, totals_});
  release_when_quiet();
}

void Association::release_held() noexcept {
  relay_.held_octets_ -= fragments_.octets();
  fragments_ = wire::FragmentQueue{};
  for (const auto& wait : waits_) {
    relay_.held_octets_ -= wait->octets;
    wait->held.clear();
  }
  for (const auto& way : detour_sides_) release_held(*way);
  targets_.clear();
}

void Association::release_when_quiet() noexcept {
  const bool pending = client_side_.socket.pending() || outgoing_[0].socket.pending() ||
                       outgoing_[1].socket.pending() || timer_.pending() || !waits_.empty() ||
                       std::ranges::any_of(egress_sides_, [](const auto& way) { return way->side.socket.pending(); }) ||
                       std::ranges::any_of(detour_sides_, [](const auto& way) { return way->side.socket.pending(); });
  if (!pending) relay_.release(*this);
}

}  // namespace stile::relay
