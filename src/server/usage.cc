#include "server/usage.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "base/assert.h"

namespace stile::server {
namespace {

using policy::Direction;
using policy::Scope;

// Keys of tallies. Names of rules hold no control octets, and a user stands last, so that no two things share a key.
std::string key_of_source(const Address& source) {
  if (source.is_v4()) return "source\n" + source.to_string();
  constexpr std::array<std::uint8_t, 16> no_host{};
  return "source\n" + Cidr{source, limits::source_prefix_v6}.address_with(no_host).to_string();
}
std::string key_of_user(std::string_view user) {
  return std::string("user\n").append(user);
}
std::string key_of_rule(std::string_view name) {
  return std::string("rule\n").append(name);
}
std::string key_of_rule(std::string_view name, std::string_view user) {
  return key_of_rule(name).append("\n").append(user);
}

bool counts(const policy::Options& options, Scope scope) {
  const auto has = [scope](const auto& numbers) {
    return std::ranges::any_of(numbers, [scope](const auto& number) { return number.scope == scope; });
  };
  return has(options.rates) || has(options.sessions) || has(options.quotas);
}

/// The least of the rates that hold for a direction; 0: none does.
std::uint64_t rate_of(const policy::Options& options, Scope scope, Direction direction) {
  std::uint64_t least = 0;
  for (const policy::Rate& rate : options.rates) {
    const bool holds = rate.scope == scope && (rate.direction == Direction::both || rate.direction == direction);
    if (holds && (least == 0 || rate.octets_per_second < least)) least = rate.octets_per_second;
  }
  return least;
}

bool sessions_are_full(const policy::Options& options, Scope scope, std::uint32_t sessions) {
  return std::ranges::any_of(options.sessions, [&](const policy::SessionsLimit& limit) {
    return limit.scope == scope && sessions >= limit.most;
  });
}

}  // namespace

Periods utc_periods(WallTime now) noexcept {
  const auto day = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day date{day};
  return {.day_begin = day,
          .day_end = day + std::chrono::days{1},
          .month_begin = std::chrono::sys_days{date.year() / date.month() / 1}};
}

// ── usage ───────────────────────────────────────────────────────────────────────────────────────────────────────────

Usage::~Usage() {
  for (const Shard& shard : shards_) {
    for (const auto& [key, tally] : shard.tallies) STILE_ASSERT(tally.sessions == 0);
  }
}

Usage::Shard& Usage::shard_of(std::string_view key) noexcept {
  return shards_[std::hash<std::string_view>{}(key) % shards_.size()];
}

// Under the shard's lock. Where a tally stands is written once: whoever holds it reads that without the lock.
Usage::Tally& Usage::tally_in(Shard& shard, std::string key) {
  const auto [place, fresh] = shard.tallies.try_emplace(std::move(key));
  Tally& tally = place->second;
  if (fresh) {
    tally.shard = &shard;
    tally.key = &place->first;
  }
  return tally;
}

template <class Check>
Reason Usage::hold(std::string key, const Check& check, Tally*& held) {
  Shard& shard = shard_of(key);
  const std::scoped_lock lock(shard.mutex);
  Tally& tally = tally_in(shard, std::move(key));
  const Reason reason = check(tally);
  if (reason == Reason::none) {
    ++tally.sessions;
    held = &tally;
  } else if (!tally.is_of_use()) {
    shard.tallies.erase(shard.tallies.find(*tally.key));
  }
  return reason;
}

void Usage::release(Tally*& held, bool associated) noexcept {
  if (held == nullptr) return;
  Tally& tally = *std::exchange(held, nullptr);
  Shard& shard = *tally.shard;
  const std::scoped_lock lock(shard.mutex);
  --tally.sessions;
  if (associated) --tally.associations;
  if (!tally.is_of_use()) shard.tallies.erase(shard.tallies.find(*tally.key));
}

std::atomic<std::uint32_t>& Usage::listener(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  return listeners_[name];
}

std::size_t Usage::size() const {
  std::size_t size = 0;
  for (const Shard& shard : shards_) {
    const std::scoped_lock lock(shard.mutex);
    size += shard.tallies.size();
  }
  return size;
}

// ── quotas ──────────────────────────────────────────────────────────────────────────────────────────────────────────

void Usage::remember(const policy::Policy& policy, const SpentSince& spent_since, WallTime now) {
  roll_over(now);
  Periods periods;
  std::map<std::string, bool, std::less<>> rules;
  {
    const std::scoped_lock lock(mutex_);
    periods = *periods_;
    for (std::size_t i = 0; i < policy.rules().size(); ++i) {
      const bool has_quotas = !policy.options(static_cast<int>(i)).quotas.empty();
      const std::string& name = policy.rules()[i].name;
      if (has_quotas && remembered_.emplace(name, true).second) rules.emplace(name, true);
    }
  }
  if (rules.empty()) return;
  const auto take = [&](WallTime since, relay::Quota Tally::* quota) {
    for (const Spent& spent : spent_since(since)) {
      if (!rules.contains(spent.rule)) continue;
      remember_one(key_of_rule(spent.rule), quota, spent.octets);
      remember_one(key_of_rule(spent.rule, spent.user), quota, spent.octets);
    }
  };
  take(periods.day_begin, &Tally::day);
  take(periods.month_begin, &Tally::month);
}

void Usage::remember_one(const std::string& key, relay::Quota Tally::* quota, std::uint64_t octets) {
  Shard& shard = shard_of(key);
  const std::scoped_lock lock(shard.mutex);
  (tally_in(shard, key).*quota).charge(octets);
}

void Usage::roll_over(WallTime now) {
  const std::scoped_lock lock(mutex_);
  const bool first = !periods_.has_value();
  if (!first && periods_->day_begin <= now && now < periods_->day_end) return;
  const Periods before = first ? Periods{} : *periods_;
  periods_ = periods_of_(now);
  // A clock that was set back begins no new day.
  const bool new_day = !first && periods_->day_begin > before.day_begin;
  const bool new_month = !first && periods_->month_begin > before.month_begin;
  if (!new_day) return;
  for (Shard& shard : shards_) {
    const std::scoped_lock shard_lock(shard.mutex);
    for (auto place = shard.tallies.begin(); place != shard.tallies.end();) {
      Tally& tally = place->second;
      tally.day.set_used(0);
      if (new_month) tally.month.set_used(0);
      place = tally.is_of_use() ? std::next(place) : shard.tallies.erase(place);
    }
  }
}

WallTime Usage::day_end() const {
  const std::scoped_lock lock(mutex_);
  return periods_ ? periods_->day_end : WallTime{};
}

void Usage::attach(engine::Engine& engine) {
  const std::scoped_lock lock(mutex_);
  engines_.push_back(&engine);
}

void Usage::detach(engine::Engine& engine) {
  const std::scoped_lock lock(mutex_);
  std::erase(engines_, &engine);
}

void Usage::quota_exceeded() {
  exceeded_.fetch_add(1, std::memory_order_release);
  const std::scoped_lock lock(mutex_);
  for (engine::Engine* const engine : engines_) engine->wake();
}

// ── claims ──────────────────────────────────────────────────────────────────────────────────────────────────────────

Claim::Claim(Claim&& other) noexcept {
  *this = std::move(other);
}

Claim& Claim::operator=(Claim&& other) noexcept {
  if (this == &other) return *this;
  release();
  usage_ = std::exchange(other.usage_, nullptr);
  listener_ = std::exchange(other.listener_, nullptr);
  source_ = std::exchange(other.source_, nullptr);
  user_ = std::exchange(other.user_, nullptr);
  associates_ = std::exchange(other.associates_, false);
  rules_ = std::exchange(other.rules_, {});
  return *this;
}

Reason Claim::enter(Usage& usage, const Holder& holder, const config::Limits& limits) {
  STILE_ASSERT(!is_held());
  usage_ = &usage;
  if (holder.listener != nullptr) {
    listener_ = holder.listener;
    if (listener_->fetch_add(1, std::memory_order_relaxed) >= limits.sessions_per_listener) {
      release();
      return Reason::limit_listener;
    }
  }
  Reason reason = Reason::none;
  if (holder.source) {
    reason = usage.hold(
        key_of_source(*holder.source),
        [&](const Usage::Tally& tally) {
          return tally.sessions < limits.sessions_per_source ? Reason::none : Reason::limit_source;
        },
        source_);
  }
  if (reason == Reason::none && !holder.user.empty()) {
    reason = usage.hold(
        key_of_user(holder.user),
        [&](Usage::Tally& tally) {
          if (tally.sessions >= limits.sessions_per_user) return Reason::limit_user;
          if (!holder.associates) return Reason::none;
          if (tally.associations >= limits.udp_associations_per_user) return Reason::limit_associations;
          ++tally.associations;
          associates_ = true;
          return Reason::none;
        },
        user_);
  }
  if (reason != Reason::none) release();
  return reason;
}

Reason Claim::enter_rule(int rule, const std::string& name, const policy::Options& options, std::string_view user,
                         WallTime now) {
  STILE_ASSERT(is_held());
  const bool of_rule = counts(options, Scope::rule);
  const bool of_user = counts(options, Scope::user);
  const auto same = [rule](const OfRule& held) { return held.rule == rule; };
  const bool of_tunnel = counts(options, Scope::tunnel);
  if ((!of_rule && !of_user && !of_tunnel) || std::ranges::any_of(rules_, same)) return Reason::none;
  if (!options.quotas.empty()) usage_->roll_over(now);
  OfRule& held = rules_.emplace_back();
  held.rule = rule;
  Reason reason = Reason::none;
  if (of_rule) reason = enter_scope(key_of_rule(name), Scope::rule, options, held.whole);
  if (reason == Reason::none && of_user) {
    reason = enter_scope(key_of_rule(name, user), Scope::user, options, held.own);
  }
  if (reason != Reason::none) {
    release(held);
    rules_.pop_back();
  }
  return reason;
}

Reason Claim::enter_scope(std::string key, Scope scope, const policy::Options& options, Usage::Tally*& held) {
  const auto check = [&](Usage::Tally& tally) {
    if (const auto rate = rate_of(options, scope, Direction::up)) tally.up.set_rate(rate);
    if (const auto rate = rate_of(options, scope, Direction::down)) tally.down.set_rate(rate);
    if (sessions_are_full(options, scope, tally.sessions)) return Reason::limit_rule;
    for (const policy::Quota& quota : options.quotas) {
      if (quota.scope != scope) continue;
      relay::Quota& of_period = quota.period == policy::Quota::Period::day ? tally.day : tally.month;
      of_period.set_most(quota.octets);
      if (of_period.is_used_up()) return Reason::limit_quota;
    }
    return Reason::none;
  };
  return usage_->hold(std::move(key), check, held);
}

void Claim::keep(int rule) noexcept {
  std::erase_if(rules_, [&](OfRule& held) {
    if (held.rule == rule) return false;
    release(held);
    return true;
  });
}

void Claim::release(OfRule& rule) noexcept {
  usage_->release(rule.whole, false);
  usage_->release(rule.own, false);
}

void Claim::release_rules() noexcept {
  for (OfRule& held : rules_) release(held);
  rules_.clear();
}

void Claim::release() noexcept {
  if (!is_held()) return;
  release_rules();
  usage_->release(user_, associates_);
  associates_ = false;
  usage_->release(source_, false);
  if (listener_ != nullptr) listener_->fetch_sub(1, std::memory_order_relaxed);
  listener_ = nullptr;
  usage_ = nullptr;
}

void Claim::leave_to_listener() noexcept {
  STILE_ASSERT(is_plain());
  usage_ = nullptr;
  listener_ = nullptr;
}

std::unique_ptr<relay::Terms> Claim::terms(int rule, const policy::Options& options) {
  if (options.rates.empty() && options.quotas.empty() && !options.idle) return nullptr;
  auto terms = std::make_unique<relay::Terms>();
  terms->idle = options.idle;
  const auto held = std::ranges::find(rules_, rule, &OfRule::rule);
  if (held == rules_.end()) return terms;
  if (held->whole != nullptr) hold_to(Scope::rule, *held->whole, options, *terms);
  if (held->own != nullptr) hold_to(Scope::user, *held->own, options, *terms);
  if (const auto rate = rate_of(options, Scope::tunnel, Direction::up)) {
    held->up = std::make_unique<relay::RateBudget>(rate);
    terms->up.draw_on(*held->up);
  }
  if (const auto rate = rate_of(options, Scope::tunnel, Direction::down)) {
    held->down = std::make_unique<relay::RateBudget>(rate);
    terms->down.draw_on(*held->down);
  }
  return terms;
}

void Claim::hold_to(Scope scope, Usage::Tally& tally, const policy::Options& options, relay::Terms& terms) {
  if (rate_of(options, scope, Direction::up) != 0) terms.up.draw_on(tally.up);
  if (rate_of(options, scope, Direction::down) != 0) terms.down.draw_on(tally.down);
  for (const policy::Quota& quota : options.quotas) {
    if (quota.scope != scope) continue;
    relay::Quota* const of_period = quota.period == policy::Quota::Period::day ? &tally.day : &tally.month;
    if (std::ranges::find(terms.quotas, of_period) == terms.quotas.end()) terms.quotas.push_back(of_period);
  }
}

}  // namespace stile::server
