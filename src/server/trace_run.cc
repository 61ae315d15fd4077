#include "server/trace_run.h"

#include <algorithm>
#include <utility>

namespace stile::server {

TraceRun::TraceRun(engine::Engine& engine, std::shared_ptr<ProbeGate> gate, ProbeClient& client, ProbeRequest request,
                   resolve::Resolver& resolver)
    : ProbeRun(engine, std::move(gate), client, std::move(request), limits::trace_payload_octets), resolver_(resolver) {
  for (Naming& naming : namings_) {
    naming.run = this;
    naming.lookup.bind<&Naming::on_named>(&naming);
  }
}

void TraceRun::write_first() {
  next_ = engine().now();
  write(wire::TraceStart{.target = request().target, .address = request().address, .hops_max = limits::trace_hops_max});
}

void TraceRun::write_last() {
  write(wire::TraceEnd{.outcome = outcome_});
}

Instant TraceRun::advance() {
  const Instant now = engine().now();
  if (!hop_complete_) {
    const bool settled = probes_.empty() || probes_.back().answer || overdue_ <= now;
    if (settled && probes_.size() == (request().each_hop_once ? 1 : limits::trace_probes_per_hop)) {
      hop_complete_ = true;
      overdue_ = now + limits::trace_name_wait;
    } else if (settled && next_ <= now) {
      send_next();
    }
  }
  if (hop_complete_ && (!names_awaited() || overdue_ <= now)) end_hop();
  if (hop_complete_) return overdue_;
  const bool waiting = !probes_.empty() && !probes_.back().answer && now < overdue_;
  return waiting ? overdue_ : std::max(next_, now);
}

void TraceRun::send_next() {
  if (const auto later = held_back()) {
    next_ = *later;
    return;
  }
  const Instant now = engine().now();
  next_ = now + limits::ping_interval;
  overdue_ = now + limits::trace_probe_wait;
  probes_.push_back({.sequence = ++sequence_, .sent = now, .answer = {}});
  Instant sent{};
  probe(sequence_, hop_, sent);
  if (!probes_.back().answer) probes_.back().sent = sent;
}

bool TraceRun::awaits(std::uint16_t sequence) const noexcept {
  const auto probe = std::ranges::find(probes_, sequence, &Probe::sequence);
  return probe != probes_.end() && !probe->answer;
}

void TraceRun::on_answer(const Answer& answer) {
  const auto probe = std::ranges::find(probes_, answer.sequence, &Probe::sequence);
  probe->answer = wire::TraceProbe{.from = answer.from,
                                   .name = {},
                                   .time = elapsed(probe->sent, answer.at),
                                   .mark = answer.error ? answer.error->mark : wire::TraceMark::none,
                                   .detail = answer.detail};
  if (!answer.error) {
    hop_outcome_ = wire::TraceOutcome::reached;
  } else if (answer.error->mark != wire::TraceMark::none && hop_outcome_ == wire::TraceOutcome::ended) {
    hop_outcome_ = wire::TraceOutcome::unreachable;
  }
  if (request().show_names) ask_name(answer.from);
}

/// The hop's line; then the next hop, or the end.
void TraceRun::end_hop() {
  stop_naming();
  wire::TraceHop line{.hop = hop_, .probes = {}};
  for (const Probe& probe : probes_) {
    line.probes.push_back(probe.answer);
    if (probe.answer) line.probes.back()->name = name_of(probe.answer->from);
  }
  write(line);
  for (Naming& naming : namings_) naming.asked = false;
  probes_.clear();
  hop_complete_ = false;
  outcome_ = hop_outcome_;
  if (outcome_ == wire::TraceOutcome::ended && hop_ == limits::trace_hops_max) outcome_ = wire::TraceOutcome::hop_limit;
  if (outcome_ != wire::TraceOutcome::ended) return finish();
  ++hop_;
}

// ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────

// As many as a hop has probes, so that there is one for each router, unless a lookup of the hop before is not over yet.
void TraceRun::ask_name(const Address& address) {
  for (const Naming& naming : namings_) {
    if (naming.asked && naming.address == address) return;
  }
  const auto free =
      std::ranges::find_if(namings_, [](const Naming& naming) { return !naming.asked && !naming.lookup.pending(); });
  if (free == namings_.end()) return;
  free->asked = true;
  free->address = address;
  resolver_.reverse(free->lookup, address);
}

void TraceRun::Naming::on_named(engine::Status) {
  if (run->running()) return run->work();
  run->complete_when_quiet();
}

std::optional<HostName> TraceRun::name_of(const Address& address) const {
  for (const Naming& naming : namings_) {
    if (naming.asked && naming.address == address && !naming.lookup.pending()) return naming.lookup.answer().name;
  }
  return std::nullopt;
}

bool TraceRun::names_awaited() const noexcept {
  return std::ranges::any_of(namings_, [](const Naming& naming) { return naming.asked && naming.lookup.pending(); });
}

bool TraceRun::naming() const noexcept {
  return std::ranges::any_of(namings_, [](const Naming& naming) { return naming.lookup.pending(); });
}

void TraceRun::stop_naming() noexcept {
  for (Naming& naming : namings_) resolver_.cancel(naming.lookup);
}

}  // namespace stile::server
