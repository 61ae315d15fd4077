#include "relay/tcp_relay.h"

#include <utility>

#include "relay/tunnel.h"

namespace stile::relay {
namespace {

// A gigabyte through 1 MiB costs a fifth to a third less than through 256 KiB, and through 64 KiB a quarter more than
// that (docs/decisions/0002-adaptive-splice.md). But few large ones use up what may be parked, so they are for the
// first.
constexpr std::size_t pipe_octets = limits::MiB;
constexpr std::size_t pipe_octets_of_many = 256 * limits::KiB;
constexpr std::size_t idle_pipes_max = 16;

}  // namespace

Relay::Relay(engine::Engine& engine, TunnelOwner& owner, const RelayLimits& limits)
    : engine_(engine),
      owner_(owner),
      limits_(limits),
      buffer_(std::make_unique_for_overwrite<std::uint8_t[]>(limits::relay_buffer_octets)) {}

Relay::~Relay() {
  STILE_ASSERT(first_ == nullptr);
  for (const auto& pipe : idle_pipes_) engine_.close_pipe(*pipe);
}

void Relay::start(protect::Line& client, protect::Line& target, ConstBytes early, void* context, Watch watch,
                  std::unique_ptr<Terms> terms) {
  auto* const tunnel = new Tunnel(*this, context, std::move(terms));
  tunnel->next_ = first_;
  tunnel->previous_next_ = &first_;
  if (first_ != nullptr) first_->previous_next_ = &tunnel->next_;
  first_ = tunnel;
  ++tunnels_;
  if (watch != Watch::nothing) watches_.try_emplace(tunnel, owner_, context);
  tunnel->start(client, target, early, watch != Watch::nothing);
}

void Relay::end_all(Reason reason) noexcept {
  for (Tunnel* tunnel = first_; tunnel != nullptr;) {
    Tunnel* const next = tunnel->next_;  // ending one may release it
    tunnel->end_gently(reason);
    tunnel = next;
  }
}

void Relay::set_limits(const RelayLimits& limits) {
  limits_ = limits;
  for (Tunnel* tunnel = first_; tunnel != nullptr; tunnel = tunnel->next_) {
    if (!tunnel->ended_) tunnel->arm_idle_timer();
  }
}

std::size_t Relay::end_if(const std::function<bool(void* context)>& chosen, Reason reason) {
  std::size_t count = 0;
  for (Tunnel* tunnel = first_; tunnel != nullptr;) {
    Tunnel* const next = tunnel->next_;
    if (!tunnel->ended_ && chosen(tunnel->context_)) {
      tunnel->end_gently(reason);
      ++count;
    }
    tunnel = next;
  }
  return count;
}

void Relay::visit(const See& see) const {
  for (const Tunnel* tunnel = first_; tunnel != nullptr; tunnel = tunnel->next_) {
    if (!tunnel->ended_) see(tunnel->context_, tunnel->up_.octets, tunnel->down_.octets);
  }
}

void Relay::end_exceeded() noexcept {
  for (Tunnel* tunnel = first_; tunnel != nullptr;) {
    Tunnel* const next = tunnel->next_;
    if (tunnel->has_exceeded()) tunnel->end_gently(Reason::limit_quota);
    tunnel = next;
  }
}

std::unique_ptr<engine::Pipe> Relay::borrow_pipe() {
  std::unique_ptr<engine::Pipe> pipe;
  if (!idle_pipes_.empty()) {
    pipe = std::move(idle_pipes_.back());
    idle_pipes_.pop_back();
  } else {
    const bool few = parked_octets_ + pipe_octets <= limits_.parked_octets_max / 4;
    const std::size_t wanted = few ? pipe_octets : pipe_octets_of_many;
    if (parked_octets_ + wanted > limits_.parked_octets_max) return nullptr;
    pipe = std::make_unique<engine::Pipe>();
    if (!engine_.open_pipe(*pipe, wanted)) return nullptr;  // no descriptors, or the user's pipe pages are used up
  }
  parked_octets_ += pipe->capacity;
  return pipe;
}

void Relay::give_back_pipe(std::unique_ptr<engine::Pipe> pipe) noexcept {
  parked_octets_ -= pipe->capacity;
  // A pipe that still holds octets of a tunnel that was cut short must never carry another's.
  if (pipe->held > 0 || idle_pipes_.size() >= idle_pipes_max) {
    engine_.close_pipe(*pipe);
    return;
  }
  idle_pipes_.push_back(std::move(pipe));
}

bool Relay::look(const Tunnel& tunnel, ConstBytes octets) {
  const auto watch = watches_.find(&tunnel);
  if (watch->second.look(octets)) return true;
  watches_.erase(watch);
  return false;
}

void Relay::ended(Tunnel& tunnel, const TunnelEnd& end) noexcept {
  --tunnels_;
  if (tunnel.watched_) watches_.erase(&tunnel);
  owner_.tunnel_ended(end);
}

void Relay::release(Tunnel& tunnel) noexcept {
  *tunnel.previous_next_ = tunnel.next_;
  if (tunnel.next_ != nullptr) tunnel.next_->previous_next_ = tunnel.previous_next_;
  delete &tunnel;
}

}  // namespace stile::relay
