#include "server/bind_wait.h"

#include <algorithm>
#include <utility>

namespace stile::server {
namespace {

constexpr int peers_waiting_max = 16;  // one is expected; more are strangers
constexpr int accepts_per_turn = 16;

// A wide range that others on this host have filled is not searched to its end: each look is a system call.
constexpr int listens_max = 1'024;

}  // namespace

BindWait::BindWait(engine::Engine& engine, relay::LiveSockets& live) : engine_(engine), live_(live) {
  listener_.bind<&BindWait::on_listener_ready>(this);
  timer_.bind<&BindWait::on_deadline>(this);
}

Result<Endpoint> BindWait::start(const Address& local, std::uint16_t wanted, const PortRange& ports, Rules rules) {
  rules_ = std::move(rules);
  if (const auto opened = open(local, wanted, ports); !opened) return std::unexpected(opened.error());
  const auto where = engine_.local_endpoint(listener_);
  if (!where) {
    engine_.close(listener_);
    return std::unexpected(where.error());
  }
  local_ = *where;
  live_.add(local_);
  if (const auto other = outside()) live_.add(*other);
  waiting_ = true;
  engine_.start_timer(timer_, engine_.now() + rules_.limit);
  engine_.wait(listener_, engine::Interest::readable);
  return *where;
}

// At `wanted` where it may be had, else from a random port of the range on, each once.
Result<void> BindWait::open(const Address& local, std::uint16_t wanted, const PortRange& ports) {
  const engine::ListenOptions options{.backlog = peers_waiting_max,
                                      .egress = rules_.egress ? &*rules_.egress : nullptr};
  const bool any_port = ports.first == 0;
  const bool may_have_wanted = wanted != 0 && (any_port || (ports.first <= wanted && wanted <= ports.last));
  if (may_have_wanted && engine_.listen(listener_, {local, wanted}, options)) return {};
  const std::uint64_t offset = any_port ? 0 : engine_.random() % ports.size();
  Result<void> opened = std::unexpected(Error{ErrorKind::address_in_use, 0});
  for (std::uint32_t i = 0; i < ports.size() && i < listens_max; ++i) {
    const auto port = static_cast<std::uint16_t>(ports.first + (offset + i) % ports.size());
    opened = engine_.listen(listener_, {local, port}, options);
    if (opened || opened.error().kind != ErrorKind::address_in_use) break;
  }
  return opened;
}

void BindWait::on_listener_ready(engine::Status) {
  if (!waiting_) return complete_when_quiet();
  for (int i = 0; i < accepts_per_turn; ++i) {
    const auto peer = engine_.try_accept(listener_, accepted_);
    if (!peer) {
      const ErrorKind kind = peer.error().kind;
      if (kind == ErrorKind::would_block) break;
      // The peer stays in the queue, so that waiting for it again would spin.
      if (kind == ErrorKind::no_descriptors || kind == ErrorKind::no_memory) return finish(Reason::no_resources);
      continue;
    }
    peer_ = *peer;
    if (expects(*peer)) return finish(Reason::none);
    ++strangers_;
    engine_.abort(accepted_);
    if (rules_.stranger_ends) return finish(Reason::bind_peer);
  }
  engine_.wait(listener_, engine::Interest::readable);
}

bool BindWait::expects(const Endpoint& peer) const {
  const bool named =
      rules_.expected.empty() || std::ranges::find(rules_.expected, peer.address) != rules_.expected.end();
  return named && rules_.admits(peer);
}

void BindWait::on_deadline(engine::Status status) {
  if (!waiting_) return complete_when_quiet();
  if (status == engine::Status::done) finish(Reason::bind_timeout);
}

std::optional<Endpoint> BindWait::outside() const noexcept {
  if (!rules_.advertise) return std::nullopt;
  return Endpoint{*rules_.advertise, local_.port};
}

void BindWait::cancel() noexcept {
  if (waiting_) finish(Reason::client_reset);
  if (accepted_.is_open()) engine_.abort(accepted_);
}

void BindWait::finish(Reason reason) noexcept {
  waiting_ = false;
  finished_ = true;
  reason_ = reason;
  live_.remove(local_);
  if (const auto other = outside()) live_.remove(*other);
  engine_.close(listener_);
  engine_.cancel(timer_);
  complete_when_quiet();
}

void BindWait::complete_when_quiet() noexcept {
  if (listener_.pending() || timer_.pending() || !std::exchange(finished_, false)) return;
  engine_.post(done_);
}

}  // namespace stile::server
