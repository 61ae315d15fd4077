// Simulated UDP. Like an unconnected Linux socket, a sender is told of refusals that the network sends only where it
// asks for them.
#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "engine/sim/sim_engine.h"
#include "sys/errno_table.h"

namespace stile::engine {
namespace {

constexpr std::size_t payload_octets_max = 65'507;  // 65,535 less the IPv4 and UDP headers

std::unexpected<Error> os_error(int errno_value) noexcept {
  return std::unexpected(sys::make_error(errno_value));
}

}  // namespace

Result<void> SimEngine::open_udp(Socket& socket, const Endpoint& local, const Egress* from) {
  if (const auto error = injected()) return std::unexpected(*error);
  if (!room_for(1)) return os_error(EMFILE);
  if (const auto fault = egress_fault(from)) return std::unexpected(*fault);
  Endpoint bound = local;
  if (bound.port == 0) {
    const auto port = free_port(bound.address, udp_in_use_);
    if (!port) return os_error(EADDRINUSE);
    bound.port = *port;
  }
  if (udp_ports_.contains(bound)) return os_error(EADDRINUSE);
  const int handle = open_node(sim::Node::Kind::udp, &socket);
  nodes_[static_cast<std::size_t>(handle)].local = bound;
  udp_ports_[bound] = handle;
  udp_in_use_.insert(bound);
  return {};
}

/// Linux keeps one such error a socket and gives it to whichever call comes next.
std::optional<Error> SimEngine::leftover(sim::Node& of) {
  constexpr std::array errors{ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EPROTO, EACCES};
  if (bystanders_ > 0 || std::exchange(of.leftover_told, false)) return std::nullopt;
  of.leftover_told = prng_.chance(faults_.udp_leftover);
  if (!of.leftover_told) return std::nullopt;
  return sys::make_error(errors[prng_.below(errors.size())]);
}

Result<void> SimEngine::use_trains(Socket& socket) {
  STILE_ASSERT(socket.is_open());
  if (const auto error = injected()) return std::unexpected(*error);
  node(socket).takes_trains = true;
  return {};
}

Result<std::size_t> SimEngine::receive_datagrams(Socket& socket, std::span<Datagram> datagrams) {
  STILE_ASSERT(socket.is_open() && !datagrams.empty());
  if (const auto error = injected()) return std::unexpected(*error);
  sim::Node& from = node(socket);
  STILE_ASSERT(from.kind == sim::Node::Kind::udp);
  if (const auto error = leftover(from)) return std::unexpected(*error);
  if (const auto error = left_behind(from)) return std::unexpected(*error);
  if (from.packets.empty()) return os_error(EAGAIN);
  std::size_t count = 0;
  while (count < datagrams.size() && !from.packets.empty()) {
    const sim::Packet& packet = from.packets.front();
    Datagram& into = datagrams[count++];
    const std::size_t room = into.payload.size();
    const std::size_t size = std::min(into.payload.size(), packet.octets.size());
    std::copy_n(packet.octets.begin(), size, into.payload.begin());
    into.peer = packet.from;
    into.truncated = size < packet.octets.size();
    into.segment = 0;
    into.lost = packet.lost;
    into.payload = into.payload.first(size);
    from.packet_octets -= packet.octets.size();
    from.packets.pop_front();
    if (from.takes_trains && !into.truncated && size != 0) couple(from, into, room);
  }
  return count;
}

// What follows joins the datagram just received, as the kernel's rules for a train allow.
void SimEngine::couple(sim::Node& from, Datagram& into, std::size_t room) {
  const std::size_t segment = into.payload.size();
  bool whole = true;
  while (whole && !from.packets.empty()) {
    const sim::Packet& next = from.packets.front();
    const std::size_t octets = next.octets.size();
    const std::size_t sum = into.payload.size() + octets;
    whole = octets == segment;
    if (next.from != into.peer || octets == 0 || octets > segment || sum > room) return;
    if (!prng_.chance(faults_.udp_train)) return;
    into.payload = MutableBytes(into.payload.data(), sum);
    std::ranges::copy(next.octets, into.payload.last(octets).begin());
    into.segment = segment;
    from.packet_octets -= octets;
    from.packets.pop_front();
  }
}

Result<std::size_t> SimEngine::send_datagrams(Socket& socket, std::span<const Datagram> datagrams) {
  STILE_ASSERT(socket.is_open() && !datagrams.empty());
  if (const auto error = injected()) return std::unexpected(*error);
  sim::Node& from = node(socket);
  STILE_ASSERT(from.kind == sim::Node::Kind::udp);
  if (const auto error = leftover(from)) return std::unexpected(*error);
  if (bystanders_ == 0 && prng_.chance(faults_.udp_refusal)) {
    constexpr std::array errors{EAGAIN, ENOBUFS, EMSGSIZE, EPERM};
    return os_error(errors[prng_.below(errors.size())]);
  }
  if (const auto error = left_behind(from)) return std::unexpected(*error);
  std::size_t count = 0;
  for (const Datagram& datagram : datagrams) {
    const Result<void> sent = send_one(socket.handle(), datagram);
    if (!sent && count == 0) return std::unexpected(sent.error());
    if (!sent) break;
    ++count;
  }
  return count;
}

Result<void> SimEngine::send_one(int handle, const Datagram& datagram) {
  const sim::Node& from = nodes_[static_cast<std::size_t>(handle)];
  if (datagram.peer.address.family() != from.local.address.family()) return os_error(EAFNOSUPPORT);
  if (datagram.head.size() + datagram.payload.size() > payload_octets_max) return os_error(EMSGSIZE);
  const SimBehaviour& behaviour = behaviour_of(datagram.peer.address);
  if (behaviour.answer == SimBehaviour::Answer::local_error) return std::unexpected(behaviour.error);
  if (behaviour.answer == SimBehaviour::Answer::icmp) {
    const Wakeup sender{handle, from.generation};
    after(latency() + latency(), [this, sender, to = datagram.peer, behaviour] { reject(sender, to, behaviour); });
  }
  if (behaviour.answer != SimBehaviour::Answer::normal) return {};
  Endpoint source = from.local;
  if (source.address.is_unspecified()) source.address = source_for(datagram.peer.address);
  std::vector<std::uint8_t> octets(datagram.head.begin(), datagram.head.end());
  octets.insert(octets.end(), datagram.payload.begin(), datagram.payload.end());
  const int copies = prng_.chance(faults_.udp_duplicate) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    if (prng_.chance(faults_.udp_drop)) continue;
    after(latency() + behaviour.delay, [this, source, to = datagram.peer, octets] { deliver(source, to, octets); });
  }
  return {};
}

void SimEngine::reject(const Wakeup& sender, const Endpoint& peer, const SimBehaviour& behaviour) {
  sim::Node& told = nodes_[static_cast<std::size_t>(sender.handle)];
  if (told.generation != sender.generation || !told.keeps_errors) return;
  told.errors.push_back({peer, behaviour.icmp});
  told.left_behind = behaviour.error;
  notify(sender.handle);
}

std::optional<Error> SimEngine::left_behind(sim::Node& node) noexcept {
  return std::exchange(node.left_behind, std::nullopt);
}

Result<void> SimEngine::keep_datagram_errors(Socket& socket) {
  STILE_ASSERT(socket.is_open());
  if (const auto error = injected()) return std::unexpected(*error);
  node(socket).keeps_errors = true;
  return {};
}

Result<DatagramError> SimEngine::receive_datagram_error(Socket& socket) {
  STILE_ASSERT(socket.is_open());
  sim::Node& told = node(socket);
  if (told.errors.empty()) return os_error(EAGAIN);
  const DatagramError error = told.errors.front();
  told.errors.pop_front();
  if (told.errors.empty()) told.left_behind.reset();
  return error;
}

void SimEngine::deliver(const Endpoint& from, const Endpoint& to, const std::vector<std::uint8_t>& octets) {
  auto found = udp_ports_.find(to);
  if (found == udp_ports_.end() && is_here(to.address)) {
    found = udp_ports_.find(Endpoint{to.address.is_v4() ? Address{} : Address::parse("::").value(), to.port});
  }
  if (found == udp_ports_.end()) return;
  sim::Node& receiver = nodes_[static_cast<std::size_t>(found->second)];
  if (receiver.packet_octets + octets.size() > faults_.udp_octets_max) {
    ++receiver.packets_lost;
    return;
  }
  trace(octets);
  receiver.packets.push_back(sim::Packet{from, octets, receiver.packets_lost});
  receiver.packet_octets += octets.size();
  notify(found->second);
}

}  // namespace stile::engine
