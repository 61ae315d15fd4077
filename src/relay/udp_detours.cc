// What an association does with the targets that it reaches through other proxies.
#include <algorithm>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "base/limits.h"
#include "relay/udp_association.h"
#include "relay/udp_buffers.h"
#include "relay/udp_turn.h"
#include "wire/nested_headers.h"

namespace stile::relay {

static_assert(limits::udp_way_heads_octets_max >= wire::nested_headers_octets_max);

Target LastWay::target() const {
  const auto decoded = wire::decode_udp_header(head.subspan(outer_octets));
  const auto* const innermost = std::get_if<wire::Parsed<wire::UdpHeader>>(&decoded);
  return innermost == nullptr ? Target{to.address, to.port} : innermost->value.address.target().value();
}

Association::DetourSide& Association::detour_side(Detour& detour) {
  const auto found = std::ranges::find(detour_sides_, &detour, [](const auto& one) { return &one->detour; });
  if (found != detour_sides_.end()) return **found;
  const auto number = static_cast<std::uint32_t>(detour_sides_.size() + 1);
  return *detour_sides_.emplace_back(std::make_unique<DetourSide>(*this, detour, number));
}

// ── from the client ─────────────────────────────────────────────────────────────────────────────────────────────────

std::optional<LastWay> Association::send_through(UdpTargets::Entry& entry, DatagramTerms& terms, MutableBytes payload) {
  DetourSide& way = detour_side(*terms.detour);
  const Target& asked = entry.asked();
  const auto path = way.detour.path();
  if (!path) {
    wait_for_detour(way, asked, payload);
    return std::nullopt;
  }
  if (!open_side(way, *path)) {
    drop(UdpDrop::upstream, asked);
    return std::nullopt;
  }
  const ConstBytes outer = path->headers.outer();
  const Address& address = entry.value().address;
  const LastWay last{.to = path->relay,
                     .side = &way.side,
                     .terms = &terms,
                     .head = entry.value().by_name ? keep_head(outer, asked) : keep_head(outer, {address, asked.port}),
                     .outer_octets = outer.size(),
                     .layers = path->layers};
  send_up(last, payload);
  return last;
}

/// What goes up with its headers, cut so that what counts as its payload is as long as what the client sent.
bool Association::layer(protect::DatagramLayers& layers, ConstBytes& head, MutableBytes& payload) {
  std::vector<std::uint8_t> plain(head.begin(), head.end());
  plain.insert(plain.end(), payload.begin(), payload.end());
  std::vector<std::uint8_t> datagram;
  if (!layers.wrap(plain, datagram)) return false;
  const MutableBytes whole = turned_.emplace_back(std::move(datagram));
  head = whole.first(whole.size() - payload.size());
  payload = whole.last(payload.size());
  return true;
}

void Association::wait_for_detour(DetourSide& way, const Target& target, ConstBytes payload) {
  if (const auto refusal = way.detour.open(target)) return drop(*refusal, target);
  const bool full = way.held.size() >= limits::udp_waiting_datagrams_max ||
                    way.octets + payload.size() > limits::udp_waiting_octets_max || !relay_.may_hold(payload.size());
  if (full) return drop(UdpDrop::limit, target);
  way.held.push_back({target, {payload.begin(), payload.end()}});
  way.octets += payload.size();
  relay_.held_octets_ += payload.size();
}

// The socket, from the address by which the first proxy knows us. A relay of this process is not sent to: it would be a
// loop.
bool Association::open_side(DetourSide& way, const Detour::Path& path) {
  Side& side = way.side;
  if (side.socket.is_open()) return true;
  if (side.socket.pending() || relay_.live_.reaches(path.relay)) return false;
  STILE_ASSERT(path.from.address.has_value());
  if (!relay_.engine_.open_udp(side.socket, {*path.from.address, 0}, &path.from)) return false;
  side.errors_in_a_row = 0;
  side.lost = 0;
  (void)relay_.engine_.use_trains(side.socket);
  (void)relay_.engine_.keep_datagram_errors(side.socket);
  relay_.engine_.wait(side.socket, engine::Interest::readable);
  return true;
}

/// The headers of one way, where they stay until all that bear them are sent.
ConstBytes Association::keep_head(ConstBytes outer, const Target& inner) {
  const auto header = wire::encode_udp_header(inner);
  const std::size_t octets = outer.size() + header.octets().size();
  MutableBytes room = relay_.buffers().head_room(octets);
  if (room.empty()) {
    flush_up();
    flush(relay_.buffers().down(), client_side_.socket, totals_.down);
    relay_.buffers().forget_heads();
    room = relay_.buffers().head_room(octets);
  }
  std::ranges::copy(header.octets(), std::ranges::copy(outer, room.begin()).out);
  return room;
}

void Association::detour_changed(Detour& detour) {
  if (ended_) return;
  DetourSide& way = detour_side(detour);
  std::vector<DetourSide::Held> held = std::exchange(way.held, {});
  relay_.held_octets_ -= std::exchange(way.octets, 0);
  if (!detour.path()) {
    relay_.engine_.close(way.side.socket);
    for (const DetourSide::Held& one : held) drop(detour.failure(), one.target);
    return;
  }
  relay_.buffers().forget_heads();
  for (DetourSide::Held& one : held) (void)route(one.target, one.payload);
  flush_up();
  arm_timer();
}

// ── to the client ───────────────────────────────────────────────────────────────────────────────────────────────────

void Association::on_detour_ready(DetourSide& way) {
  if (ended_) return release_when_quiet();
  if (!way.side.socket.is_open()) return;
  take_errors(way.side);
  relay_.buffers().forget_heads();
  const auto path = way.detour.path();
  LastAnswer last;
  for (const engine::Datagram& received : receive(way.side)) {
    if (!path || received.peer != path->relay) {
      drop(UdpDrop::reply, received.peer, datagrams_in(received));
      continue;
    }
    for_each_datagram(received, [&](MutableBytes datagram) {
      if (path->layers != nullptr) {
        datagram = unlayered(*path->layers, datagram);
        if (datagram.empty()) return drop(UdpDrop::token, path->relay);
      }
      from_detour(way, *path, datagram, last);
    });
  }
  flush(relay_.buffers().down(), client_side_.socket, totals_.down);
  turned_.clear();
  if (way.side.broken()) return relay_.engine_.close(way.side.socket);  // the next datagram that way opens another
  relay_.engine_.wait(way.side.socket, engine::Interest::readable);
}

/// Empty where it is not what a relay wrapped.
MutableBytes Association::unlayered(protect::DatagramLayers& layers, ConstBytes datagram) {
  std::vector<std::uint8_t> plain;
  if (!layers.unwrap(datagram, plain)) return {};
  return turned_.emplace_back(std::move(plain));
}

void Association::from_detour(DetourSide& way, const Detour::Path& path, MutableBytes datagram, LastAnswer& last) {
  if (!begins_with(datagram, last.header) && !read_answer(way, path, datagram, last)) return;
  if (!last.expected) return drop(UdpDrop::reply, last.from);
  const MutableBytes payload = datagram.subspan(last.header.size());
  if (const auto refusal = refused(last.terms, &Terms::down, payload.size())) return drop(*refusal, last.from);
  send_down(last.head, payload, last.from);
}

/// False where it is dropped. The sender as the last proxy tells it: how it looked there is not known here.
bool Association::read_answer(DetourSide& way, const Detour::Path& path, ConstBytes datagram, LastAnswer& last) {
  last = LastAnswer{};
  auto answer = path.headers.peel(datagram);
  if (!answer) {
    drop(answer.error(), path.relay);
    return false;
  }
  last.header = datagram.first(answer->consumed);
  last.from = std::move(answer->from);
  const Address* const address = last.from.address();
  last.expected =
      pin_.port() && expected(way.number, address == nullptr ? Address{} : *address, last.from.port, last.terms);
  last.head = keep_head({}, last.from);
  return true;
}

// ── the end of a way ────────────────────────────────────────────────────────────────────────────────────────────────

void Association::reconsider() {
  if (ended_ || detour_sides_.empty()) return;
  for (const Target& asked : targets_.on_detours()) {
    UdpTargets::Entry* const entry = known(asked);
    if (entry != nullptr && entry->value().allowed) (void)terms_of(*entry);
  }
  close_unused_detours();
}

void Association::close_unused_detours() {
  for (const auto& way : detour_sides_) {
    if (way->held.empty() && !targets_.uses(way->number)) way->detour.close();
  }
}

void Association::release_held(DetourSide& way) noexcept {
  relay_.held_octets_ -= std::exchange(way.octets, 0);
  way.held.clear();
}

}  // namespace stile::relay
