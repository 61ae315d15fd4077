#include "server/ping_run.h"

#include <algorithm>
#include <cmath>

namespace stile::server {
namespace {

constexpr std::uint8_t hops_max = 64;

}  // namespace

void PingRun::write_first() {
  began_ = engine().now();
  next_ = began_;
  write(wire::PingStart{.target = request().target, .address = request().address});
}

Instant PingRun::advance() {
  const Instant now = engine().now();
  while (!under_way_.empty() && under_way_.front().sent + limits::ping_wait <= now) {
    write(wire::PingTimeout{.sequence = under_way_.front().sequence});
    under_way_.erase(under_way_.begin());
  }
  if (tried_ < limits::ping_probes_max && next_ <= now) send_next();
  if (tried_ == limits::ping_probes_max && under_way_.empty()) {
    finish();
    return now;
  }
  Instant next = tried_ < limits::ping_probes_max ? next_ : Instant::max();
  if (!under_way_.empty()) next = std::min(next, under_way_.front().sent + limits::ping_wait);
  return next;
}

void PingRun::send_next() {
  if (const auto later = held_back()) {
    next_ = *later;
    return;
  }
  const auto sequence = static_cast<std::uint16_t>(++tried_);
  next_ = engine().now() + limits::ping_interval;
  // Known before it is sent, and timed after: a refusal comes at once, and takes it out again.
  under_way_.push_back({sequence, engine().now()});
  Instant sent{};
  probe(sequence, hops_max, sent);
  if (awaits(sequence)) under_way_.back().sent = sent;
}

bool PingRun::awaits(std::uint16_t sequence) const noexcept {
  return std::ranges::find(under_way_, sequence, &Probe::sequence) != under_way_.end();
}

void PingRun::on_answer(const Answer& answer) {
  const auto probe = std::ranges::find(under_way_, answer.sequence, &Probe::sequence);
  const wire::IcmpTime time = elapsed(probe->sent, answer.at);
  under_way_.erase(probe);
  if (answer.error) {
    return write(wire::PingFailure{
        .sequence = answer.sequence, .from = answer.from, .trouble = answer.error->trouble, .detail = answer.detail});
  }
  count(time);
  write(wire::PingAnswer{
      .from = answer.from, .sequence = answer.sequence, .ttl = answer.ttl, .time = time, .detail = answer.detail});
}

void PingRun::count(wire::IcmpTime time) noexcept {
  shortest_ = std::min(shortest_, time);
  longest_ = std::max(longest_, time);
  const auto microseconds = static_cast<std::uint64_t>(time.count());
  sum_ += microseconds;
  sum_squares_ += microseconds * microseconds;
}

void PingRun::write_last() {
  const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(engine().now() - began_);
  write(wire::PingTitle{.target = request().target});
  write(wire::PingCounts{.sent = sent(), .received = answered(), .elapsed = whole});
  if (answered() == 0) return;
  const double count = answered();
  const double mean = static_cast<double>(sum_) / count;
  const double variance = std::max(static_cast<double>(sum_squares_) / count - mean * mean, 0.0);
  write(wire::PingTimes{.shortest = shortest_,
                        .mean = wire::IcmpTime(std::llround(mean)),
                        .longest = longest_,
                        .deviation = wire::IcmpTime(std::llround(std::sqrt(variance)))});
}

}  // namespace stile::server
