// Simulated ICMP echo: paths of routers, each of which takes one hop; hosts that answer, as their route behaves.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/limits.h"
#include "engine/sim/sim_engine.h"
#include "sys/errno_table.h"

namespace stile::engine {
namespace {

constexpr std::uint8_t first_hops = 64;  // of a reply, as its sender set it

std::unexpected<Error> os_error(int errno_value) noexcept {
  return std::unexpected(sys::make_error(errno_value));
}

}  // namespace

void SimEngine::set_path(const Cidr& where, std::vector<Address> routers) {
  STILE_ASSERT(routers.size() < first_hops);
  std::erase_if(paths_, [&](const Path& path) { return path.where == where; });
  paths_.push_back(Path{where, std::move(routers)});
}

const std::vector<Address>& SimEngine::path_to(const Address& destination) const {
  static const std::vector<Address> none;
  const Path* best = nullptr;
  for (const Path& path : paths_) {
    if (path.where.contains(destination) && (best == nullptr || path.where.length > best->where.length)) best = &path;
  }
  return best != nullptr ? best->routers : none;
}

Result<void> SimEngine::open_icmp(Socket& socket, Family family) {
  if (const auto error = injected()) return std::unexpected(*error);
  if (icmp_refused_) return os_error(EACCES);
  if (!room_for(1)) return os_error(EMFILE);
  const int handle = open_node(sim::Node::Kind::icmp, &socket);
  nodes_[static_cast<std::size_t>(handle)].local = {family == Family::ipv4 ? Address{} : *Address::parse("::"), 0};
  return {};
}

Result<Instant> SimEngine::send_echo(Socket& socket, const EchoProbe& probe) {
  STILE_ASSERT(socket.is_open() && probe.hops_max > 0 && probe.payload.size() <= limits::ping_payload_octets);
  if (const auto error = injected()) return std::unexpected(*error);
  const sim::Node& from = node(socket);
  STILE_ASSERT(from.kind == sim::Node::Kind::icmp);
  if (probe.to.family() != from.local.address.family()) return os_error(EAFNOSUPPORT);
  const SimBehaviour& behaviour = behaviour_of(probe.to);
  if (behaviour.answer == SimBehaviour::Answer::local_error) return std::unexpected(behaviour.error);
  sim::Echo answer{.from = probe.to, .probed = probe.to, .sequence = probe.sequence};
  if (!echo_answer(probe, behaviour, answer)) return now_;
  const Wakeup asker{socket.handle(), from.generation};
  if (prng_.chance(faults_.icmp_forgery)) {
    sim::Echo forged = answer;
    forged.error.reset();
    forged.from = forged.probed;
    forged.sequence = static_cast<std::uint16_t>(forged.sequence + prng_.below(2));
    forged.octets.assign(probe.payload.size(), 0);
    after(latency(), [this, asker, forged = std::move(forged)] { deliver_echo(asker, forged); });
  }
  const int copies = prng_.chance(faults_.udp_duplicate) ? 2 : 1;
  for (int copy = 0; copy < copies; ++copy) {
    if (prng_.chance(faults_.udp_drop)) continue;
    after(latency() + latency() + 2 * behaviour.delay, [this, asker, answer] { deliver_echo(asker, answer); });
  }
  return now_;
}

/// What the network makes of a probe; false: silence.
bool SimEngine::echo_answer(const EchoProbe& probe, const SimBehaviour& behaviour, sim::Echo& answer) const {
  const std::vector<Address>& routers = path_to(probe.to);
  if (probe.hops_max <= routers.size()) {
    answer.from = routers[probe.hops_max - std::size_t{1}];
    answer.error = SimBehaviour::ttl_exceeded(probe.to.family()).icmp;
    answer.error->offender = answer.from;
    return behaviour_of(answer.from).answer != SimBehaviour::Answer::silent;
  }
  if (behaviour.answer == SimBehaviour::Answer::silent) return false;
  if (behaviour.answer == SimBehaviour::Answer::icmp) {
    answer.error = behaviour.icmp;
    if (!routers.empty()) answer.error->offender = routers.back();
    answer.from = answer.error->offender;
    return true;
  }
  answer.ttl = static_cast<std::uint8_t>(first_hops - routers.size());
  answer.octets.assign(probe.payload.begin(), probe.payload.end());
  return true;
}

void SimEngine::deliver_echo(const Wakeup& asker, const sim::Echo& answer) {
  sim::Node& receiver = nodes_[static_cast<std::size_t>(asker.handle)];
  if (receiver.generation != asker.generation) return;
  trace(answer.octets);
  receiver.echoes.push_back(answer);
  receiver.echoes.back().at = now_;
  notify(asker.handle);
}

Result<EchoAnswer> SimEngine::receive_echo(Socket& socket, MutableBytes room) {
  STILE_ASSERT(socket.is_open());
  if (const auto error = injected()) return std::unexpected(*error);
  sim::Node& at = node(socket);
  STILE_ASSERT(at.kind == sim::Node::Kind::icmp);
  if (at.echoes.empty()) return os_error(EAGAIN);
  const sim::Echo echo = std::move(at.echoes.front());
  at.echoes.pop_front();
  const std::size_t size = std::min(room.size(), echo.octets.size());
  std::copy_n(echo.octets.begin(), size, room.begin());
  return EchoAnswer{.from = echo.from,
                    .probed = echo.probed,
                    .sequence = echo.sequence,
                    .ttl = echo.ttl,
                    .error = echo.error,
                    .payload = room.first(size),
                    .at = echo.at};
}

}  // namespace stile::engine
