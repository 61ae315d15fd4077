#include "server/probe_run.h"

#include <algorithm>
#include <utility>

namespace stile::server {
namespace {

constexpr int answers_per_turn = 64;
constexpr std::uint64_t mix = 0x9E3779B97F4A7C15u;  // spreads a sequence over the payload

}  // namespace

ProbeRun::ProbeRun(engine::Engine& engine, std::shared_ptr<ProbeGate> gate, ProbeClient& client, ProbeRequest request,
                   std::size_t payload_octets)
    : engine_(engine),
      gate_(std::move(gate)),
      client_(client),
      request_(std::move(request)),
      payload_octets_(payload_octets),
      secret_(engine.random()) {
  socket_.bind<&ProbeRun::on_socket_ready>(this);
  timer_.bind<&ProbeRun::on_timer>(this);
}

ProbeRun::~ProbeRun() {
  STILE_ASSERT(!running_);
}

Result<void> ProbeRun::open() {
  if (!gate_->enter()) return std::unexpected(Error{ErrorKind::no_descriptors, 0});
  auto opened = engine_.open_icmp(socket_, request_.address.family());
  if (!opened) gate_->leave();
  return opened;
}

void ProbeRun::begin() {
  running_ = true;
  write_first();
  engine_.wait(socket_, engine::Interest::readable);
  work();
}

/// Everything that is due; then it waits for the next thing.
void ProbeRun::work() {
  const Instant next = advance();
  if (running_) engine_.start_timer(timer_, next);
}

void ProbeRun::on_timer(engine::Status status) {
  if (!running_) return complete_when_quiet();
  if (status == engine::Status::done) work();
}

void ProbeRun::on_socket_ready(engine::Status) {
  if (!running_) return complete_when_quiet();
  for (int i = 0; i < answers_per_turn && running_; ++i) {
    Payload room;
    const auto answer = engine_.receive_echo(socket_, room);
    if (answer) {
      take(*answer);
      continue;
    }
    if (answer.error().kind != ErrorKind::would_block) return finish();  // the socket is of no more use
    break;
  }
  if (!running_) return complete_when_quiet();
  engine_.wait(socket_, engine::Interest::readable);
  work();
}

void ProbeRun::take(const engine::EchoAnswer& answer) {
  if (answer.probed != request_.address || !awaits(answer.sequence)) return;
  Answer told{
      .from = answer.from, .sequence = answer.sequence, .ttl = answer.ttl, .at = answer.at, .error = {}, .detail = {}};
  if (answer.error) {
    told.error = meaning_of(*answer.error);
    // This host is known from the reply; of all others the policy decides.
    const bool own = answer.from == request_.source;
    if (!told.error || (!own && !client_.may_see(answer.from))) return;
    if (own) told.from = request_.source_shown;
    if (request_.show_codes) told.detail = wire::IcmpDetail{answer.error->type, answer.error->code};
  } else {
    const Payload expected = payload_of(answer.sequence);
    if (!std::ranges::equal(answer.payload, ConstBytes(expected).first(payload_octets_))) return;
    ++answered_;
    const std::uint8_t echo_reply = answer.from.is_v4() ? 0 : 129;  // RFC 792, RFC 4443 section 4.2
    if (request_.show_codes) told.detail = wire::IcmpDetail{echo_reply, 0};
  }
  on_answer(told);
}

ProbeRun::Payload ProbeRun::payload_of(std::uint16_t sequence) const noexcept {
  Payload payload;
  const std::uint64_t word = secret_ ^ (sequence * mix);
  for (std::size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<std::uint8_t>(word >> (i % 8 * 8));
  return payload;
}

std::optional<Instant> ProbeRun::held_back() {
  if (!client_.keeps_up()) return engine_.now() + limits::ping_interval;
  if (request_.client.empty()) return std::nullopt;
  return gate_->later(request_.client, engine_.now());
}

void ProbeRun::probe(std::uint16_t sequence, std::uint8_t hops_max, Instant& sent_at) {
  const Payload payload = payload_of(sequence);
  const auto sent = engine_.send_echo(socket_, {.to = request_.address,
                                                .sequence = sequence,
                                                .hops_max = hops_max,
                                                .payload = ConstBytes(payload).first(payload_octets_)});
  ++sent_;
  sent_at = sent.value_or(engine_.now());
  if (sent) return;
  const auto meaning = meaning_of(sent.error());
  if (!meaning) return;  // no answer will come, as if it had been lost
  on_answer(
      {.from = request_.source_shown, .sequence = sequence, .ttl = 0, .at = sent_at, .error = meaning, .detail = {}});
}

wire::IcmpTime ProbeRun::elapsed(Instant from, Instant to) noexcept {
  return std::chrono::duration_cast<wire::IcmpTime>(std::max(to - from, Duration::zero()));
}

// ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────

void ProbeRun::stop() {
  if (running_) finish();
}

void ProbeRun::finish() {
  write_last();
  cancel();
}

void ProbeRun::cancel() noexcept {
  if (std::exchange(running_, false)) completion_due_ = true;
  release();
  complete_when_quiet();
}

void ProbeRun::release() noexcept {
  if (socket_.is_open()) {
    engine_.close(socket_);
    gate_->leave();
  }
  engine_.cancel(timer_);
  stop_naming();
}

void ProbeRun::complete_when_quiet() noexcept {
  if (running_ || socket_.pending() || timer_.pending() || naming()) return;
  if (std::exchange(completion_due_, false)) engine_.post(done_);
}

}  // namespace stile::server
