#include "relay/rate.h"

#include <algorithm>

#include "base/assert.h"

namespace stile::relay {
namespace {

constexpr std::uint64_t per_second = 1'000'000'000;

}  // namespace

// Rounded to the nearest nanosecond. A quantum is small and a datagram at most 64 KiB, so that nothing overflows.
Duration RateBudget::cost(std::size_t octets) const noexcept {
  const std::uint64_t rate = std::max<std::uint64_t>(1, this->rate());
  return Duration(static_cast<Duration::rep>((octets * per_second + rate / 2) / rate));
}

// With n flows that always want more, a turn of `turn` / (1 + backlog / turn) settles at about turn / sqrt(n): the wait
// of each grows with the square root of their number only.
std::size_t RateBudget::quantum(Instant now) const noexcept {
  const std::uint64_t rate = this->rate();
  const std::uint64_t most = limits::rate_quantum_octets_max;
  const std::uint64_t least = std::clamp<std::uint64_t>(rate / limits::rate_slow_turns, 1, limits::rate_quantum_octets);
  const Duration::rep ahead = next_.load(std::memory_order_relaxed) - now.time_since_epoch().count();
  const auto waiting = static_cast<double>(std::max<Duration::rep>(ahead, 0)) / static_cast<double>(turn.count());
  const double wanted = static_cast<double>(rate) * (static_cast<double>(turn.count()) / per_second) / (1 + waiting);
  return static_cast<std::size_t>(std::clamp(wanted, static_cast<double>(least), static_cast<double>(most)));
}

Instant RateBudget::reserve(std::size_t octets, Instant now) noexcept {
  const Duration::rep earliest = (now.time_since_epoch() - credit).count();
  const Duration::rep length = cost(octets).count();
  Duration::rep next = next_.load(std::memory_order_relaxed);
  Duration::rep begin = 0;
  do {
    begin = std::max(next, earliest);
  } while (!next_.compare_exchange_weak(next, begin + length, std::memory_order_relaxed));
  return Instant(Duration(begin));
}

void RateBudget::refund(std::size_t octets) noexcept {
  next_.fetch_sub(cost(octets).count(), std::memory_order_relaxed);
}

bool RateBudget::take(std::size_t octets, Instant now) noexcept {
  const Duration ahead = Duration(next_.load(std::memory_order_relaxed)) - now.time_since_epoch();
  if (ahead > limits::rate_datagrams_ahead) return false;
  static_cast<void>(reserve(octets, now));
  return true;
}

void Flow::draw_on(RateBudget& budget) noexcept {
  STILE_ASSERT(count_ < budgets_.size());
  budgets_[count_++] = &budget;
}

std::size_t Flow::allowed(Instant now) noexcept {
  if (reserved_ == 0) {
    reserved_ = budgets_[0]->quantum(now);
    for (std::size_t i = 1; i < count_; ++i) reserved_ = std::min(reserved_, budgets_[i]->quantum(now));
    due_ = budgets_[0]->reserve(reserved_, now);
    for (std::size_t i = 1; i < count_; ++i) due_ = std::max(due_, budgets_[i]->reserve(reserved_, now));
  }
  return due_ <= now ? reserved_ : 0;
}

void Flow::moved(std::size_t octets) noexcept {
  const std::size_t rest = reserved_ - std::min(octets, reserved_);
  reserved_ = 0;
  if (rest == 0) return;
  for (std::size_t i = 0; i < count_; ++i) budgets_[i]->refund(rest);
}

bool Flow::take(std::size_t octets, Instant now) noexcept {
  for (std::size_t i = 0; i < count_; ++i) {
    if (budgets_[i]->take(octets, now)) continue;
    while (i > 0) budgets_[--i]->refund(octets);
    return false;
  }
  return true;
}

}  // namespace stile::relay
