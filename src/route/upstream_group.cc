#include "route/upstream_group.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include "base/assert.h"

namespace stile::route {
namespace {

constexpr std::uint64_t whole = 1000;       // of a weight
constexpr std::uint64_t ramp_begins = 100;  // a member that comes back counts for so much of a whole one
constexpr double newest_share_min = 0.25;   // of the newest latency in the average, however soon it follows the last
constexpr auto latency_max = limits::proxy_conversation;

// What random numbers are spread for, so that one decision does not foretell another.
constexpr std::uint64_t for_ramp = 0x72616D70;
constexpr std::uint64_t for_look = 0x6C6F6F6B;

/// Every bit of `value` over all bits (splitmix64: Steele, Lea, Flood 2014).
constexpr std::uint64_t spread(std::uint64_t value) noexcept {
  value += 0x9E3779B97F4A7C15U;
  value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9U;
  value = (value ^ (value >> 27)) * 0x94D049BB133111EBU;
  return value ^ (value >> 31);
}

constexpr bool hashes(Pick pick) noexcept {
  return pick == Pick::hash_source || pick == Pick::hash_user || pick == Pick::hash_target;
}

Duration doubled(Duration duration, Duration max) noexcept {
  return duration > max / 2 ? max : 2 * duration;
}

}  // namespace

/// Where a member stands in an order: the lowest first.
struct UpstreamGroup::Rank {
  enum class Tier : std::uint8_t { trial, chosen, spared, half_open, half_open_tried, down };

  [[nodiscard]] auto key() const noexcept { return std::tie(tier, cost, turn, member); }
  [[nodiscard]] bool is_alive() const noexcept { return tier == Tier::chosen || tier == Tier::spared; }

  Tier tier = Tier::down;
  std::uint8_t member = 0;
  std::uint64_t cost = 0;
  std::uint64_t turn = 0;
  std::uint64_t weight = 0;
};

std::uint64_t group_hash(std::string_view octets) noexcept {
  std::uint64_t hash = 0xCBF29CE484222325U;  // FNV-1a, which alone would leave the last octets in the low bits
  for (const char octet : octets) {
    hash = (hash ^ static_cast<unsigned char>(octet)) * 0x100000001B3U;
  }
  return spread(hash);
}

UpstreamGroup::UpstreamGroup(Pick pick, std::span<const std::uint64_t> identities, const HealthSettings& settings,
                             Instant now)
    : pick_(pick), settings_(settings), members_(identities.size()) {
  STILE_ASSERT(!identities.empty() && identities.size() <= limits::upstream_members_max);
  STILE_ASSERT(settings.failures_to_down >= 1);
  STILE_ASSERT(settings.down_first > Duration::zero() && settings.down_first <= settings.down_max);
  STILE_ASSERT(settings.slow_start >= Duration::zero() && settings.probe_every >= Duration::zero());
  const auto count = static_cast<Duration::rep>(members_.size());
  Duration::rep index = 0;
  for (Member& member : members_) {
    member.identity = spread(identities[static_cast<std::size_t>(index)]);
    member.since = member.heard = member.waiting = now;
    // The first one's probe is due at once, the others' spread over the period.
    member.looked_at = now - settings.probe_every / count * (count - index);
    ++index;
  }
}

MemberState UpstreamGroup::state(const Member& member, Instant now) const noexcept {
  if (member.is_down) {
    return now < member.trial_at ? MemberState::down : MemberState::half_open;
  }
  return now - member.since < member.ramp ? MemberState::slow_start : MemberState::up;
}

Duration UpstreamGroup::silence(const Member& member, Instant now) noexcept {
  return member.under_way == 0 ? Duration::zero() : now - member.waiting;
}

std::uint64_t UpstreamGroup::weight(const Member& member, Instant now) const noexcept {
  if (state(member, now) != MemberState::slow_start) {
    return whole;
  }
  const double stood = static_cast<double>((now - member.since).count()) / static_cast<double>(member.ramp.count());
  return ramp_begins + static_cast<std::uint64_t>(static_cast<double>(whole - ramp_begins) * std::max(stood, 0.0));
}

Order UpstreamGroup::order(Instant now, std::uint64_t key, std::uint64_t random) noexcept {
  Ranks ranks{};
  Order result;
  result.count = static_cast<std::uint8_t>(members_.size());
  for (std::uint8_t index = 0; index < result.count; ++index) {
    const Member& member = members_[index];
    Rank& rank = ranks[index];
    rank.member = index;
    rank.turn = member.turn;
    switch (state(member, now)) {
      case MemberState::up:
      case MemberState::slow_start:
        rank.tier = silence(member, now) < limits::upstream_silence ? Rank::Tier::chosen : Rank::Tier::spared;
        ++result.alive;
        break;
      case MemberState::half_open:
        rank.tier = member.is_tried ? Rank::Tier::half_open_tried : Rank::Tier::half_open;
        break;
      case MemberState::down:
        rank.tier = Rank::Tier::down;
        break;
    }
  }
  if (result.alive > 0) {
    rank_alive(ranks, now, key, random);
    result.trial = offer_trial(ranks, now);
  }
  std::sort(ranks.begin(), ranks.begin() + result.count,
            [](const Rank& one, const Rank& other) { return one.key() < other.key(); });
  for (std::size_t index = 0; index < result.count; ++index) {
    result.members[index] = ranks[index].member;
  }
  members_[result.members[0]].turn = ++orders_;
  return result;
}

/// By `pick_`. A member in slow start is left out, behind the others, of as many requests as its weight falls short of
/// the greatest one: where all come back at once, none of them has to be spared. Of hashed keys always the same ones
/// are left out, so that each moves once.
void UpstreamGroup::rank_alive(Ranks& ranks, Instant now, std::uint64_t key, std::uint64_t random) noexcept {
  std::uint64_t greatest = 0;
  for (std::size_t index = 0; index < members_.size(); ++index) {
    if (ranks[index].tier == Rank::Tier::chosen) {
      ranks[index].weight = weight(members_[index], now);
      greatest = std::max(greatest, ranks[index].weight);
    }
  }
  if (pick_ == Pick::round_robin) {
    take_turns(ranks);
    return;
  }
  for (std::size_t index = 0; index < members_.size(); ++index) {
    Rank& rank = ranks[index];
    if (!rank.is_alive()) {
      continue;
    }
    const Member& member = members_[index];
    const std::uint64_t dice = spread(member.identity ^ (hashes(pick_) ? spread(key) : random) ^ for_ramp);
    if (dice % whole * greatest >= rank.weight * whole) {
      rank.tier = Rank::Tier::spared;
    }
    rank.cost = cost(member, index, now, key);
  }
  if (pick_ == Pick::least_latency) {
    look_again(ranks, now, random);
  }
}

std::uint64_t UpstreamGroup::cost(const Member& member, std::size_t index, Instant now,
                                  std::uint64_t key) const noexcept {
  constexpr auto worst = std::numeric_limits<std::uint64_t>::max();
  switch (pick_) {
    case Pick::first_alive:
      return index;
    case Pick::least_sessions:
      return member.sessions + member.under_way;
    case Pick::hash_source:
    case Pick::hash_user:
    case Pick::hash_target:
      return worst - spread(member.identity ^ spread(key));
    case Pick::least_latency: {
      if (!member.latency) {
        return member.under_way == 0 ? 0 : worst;  // one request finds out
      }
      return static_cast<std::uint64_t>(std::max(*member.latency, silence(member, now)).count());
    }
    case Pick::round_robin:
      break;
  }
  return 0;
}

/// Each member that is neither down nor silent is owed turns by its weight; the one that is owed most has this one, and
/// pays for all. What a member is owed stays meanwhile: the sum of all stays 0, so that none can fall behind for long.
void UpstreamGroup::take_turns(Ranks& ranks) noexcept {
  std::int64_t total = 0;
  std::int64_t most = std::numeric_limits<std::int64_t>::min();
  std::size_t first = 0;
  for (std::size_t index = 0; index < members_.size(); ++index) {
    if (ranks[index].tier != Rank::Tier::chosen) {
      continue;
    }
    const auto owed = static_cast<std::int64_t>(ranks[index].weight);
    members_[index].owed += owed;
    total += owed;
    if (members_[index].owed > most) {
      most = members_[index].owed;
      first = index;
    }
  }
  for (std::size_t index = 0; index < members_.size(); ++index) {
    if (ranks[index].tier == Rank::Tier::chosen) {
      ranks[index].cost = static_cast<std::uint64_t>(most - members_[index].owed);
    }
  }
  members_[first].owed -= total;
}

/// A member that was slow once would never be asked again: the one that was not heard of for longest is put first, of
/// few requests and one at a time.
void UpstreamGroup::look_again(Ranks& ranks, Instant now, std::uint64_t random) const noexcept {
  if (spread(random ^ for_look) % limits::upstream_latency_looks != 0) {
    return;
  }
  Rank* stalest = nullptr;
  for (std::size_t index = 0; index < members_.size(); ++index) {
    const Member& member = members_[index];
    if (ranks[index].tier == Rank::Tier::chosen && member.under_way == 0 &&
        now - member.heard >= limits::upstream_latency_stale &&
        (stalest == nullptr || member.heard < members_[stalest->member].heard)) {
      stalest = &ranks[index];
    }
  }
  if (stalest != nullptr) {
    stalest->cost = 0;
  }
}

/// Puts the half-open member first whose time down has been over for longest, where this request is to be its trial.
bool UpstreamGroup::offer_trial(Ranks& ranks, Instant now) noexcept {
  if (settings_.probe_every > Duration::zero() || (offered_ && now - *offered_ < limits::upstream_trial_offer) ||
      std::ranges::any_of(members_, &Member::is_tried)) {
    return false;
  }
  Rank* longest = nullptr;
  for (std::size_t index = 0; index < members_.size(); ++index) {
    if (ranks[index].tier == Rank::Tier::half_open &&
        (longest == nullptr || members_[index].trial_at < members_[longest->member].trial_at)) {
      longest = &ranks[index];
    }
  }
  if (longest == nullptr) {
    return false;
  }
  longest->tier = Rank::Tier::trial;
  offered_ = now;
  return true;
}

Attempt UpstreamGroup::begin(std::size_t index, Instant now, bool is_probe) noexcept {
  STILE_ASSERT(index < members_.size());
  Member& member = members_[index];
  Attempt attempt{.member = static_cast<std::uint8_t>(index), .is_probe = is_probe, .epoch = member.epoch};
  attempt.begun_half_open = state(member, now) == MemberState::half_open;
  attempt.is_trial = attempt.begun_half_open && !member.is_tried;
  if (attempt.is_trial) {
    member.is_tried = true;
    offered_.reset();
  }
  if (is_probe) {
    STILE_ASSERT(!member.is_probed);
    member.is_probed = true;
  }
  if (member.under_way == 0) {
    member.waiting = now;
  }
  ++member.under_way;
  ++member.attempts;
  return attempt;
}

/// What every end of an attempt gives back.
UpstreamGroup::Member& UpstreamGroup::end(const Attempt& attempt) noexcept {
  STILE_ASSERT(attempt.member < members_.size());
  Member& member = members_[attempt.member];
  STILE_ASSERT(member.under_way > 0);
  --member.under_way;
  if (attempt.is_probe) {
    STILE_ASSERT(member.is_probed);
    member.is_probed = false;
  }
  if (attempt.is_trial && attempt.epoch == member.epoch) {
    member.is_tried = false;
  }
  return member;
}

bool UpstreamGroup::succeeded(const Attempt& attempt, Instant now, Duration latency) noexcept {
  STILE_ASSERT(latency >= Duration::zero());
  Member& member = end(attempt);
  ++member.successes;
  latency = std::min<Duration>(latency, latency_max);
  if (!member.latency || latency >= *member.latency) {
    member.latency = latency;  // a rise counts at once, so that who is in trouble is spared at once
  } else {
    const std::chrono::duration<double> age = now - member.heard;
    const std::chrono::duration<double> memory = limits::upstream_latency_memory;
    const double old_share = std::min(std::exp(-age / memory), 1 - newest_share_min);
    *member.latency =
        latency +
        Duration(static_cast<Duration::rep>(static_cast<double>((*member.latency - latency).count()) * old_share));
  }
  member.heard = member.waiting = member.looked_at = now;
  if (attempt.epoch != member.epoch) {
    return false;
  }
  member.consecutive_failures = 0;
  if (!member.is_down) {
    return false;
  }
  come_back(member, now);
  return true;
}

bool UpstreamGroup::failed(const Attempt& attempt, Instant now) noexcept {
  Member& member = end(attempt);
  ++member.failures;
  if (member.latency) {
    // A failure costs its request at least the time of another attempt.
    *member.latency = std::max<Duration>(*member.latency, doubled(*member.latency, latency_max));
  }
  member.heard = member.waiting = member.looked_at = now;
  if (attempt.epoch != member.epoch) {
    return false;
  }
  ++member.consecutive_failures;
  if (member.is_down) {
    if (attempt.begun_half_open) {
      fall(member, now);
    }
    return false;
  }
  if (member.consecutive_failures < settings_.failures_to_down) {
    return false;
  }
  ++member.falls;
  fall(member, now);
  return true;
}

void UpstreamGroup::abandoned(const Attempt& attempt, Instant now) noexcept {
  Member& member = end(attempt);
  if (member.latency) {
    // What was waited for in vain took at least as long.
    *member.latency = std::max(*member.latency, std::min<Duration>(now - member.waiting, latency_max));
  }
  member.waiting = now;
  if (attempt.is_probe) {
    member.looked_at = now;
  }
  if (attempt.is_trial && attempt.epoch == member.epoch) {
    // Of a member that swallows whatever is sent, clients grow tired before the attempt fails: the next one is not to
    // be its victim at once. Of any other, this says nothing, and the wait is short.
    member.trial_at = now + settings_.down_first;
  }
}

void UpstreamGroup::overtaken(const Attempt& attempt, Instant now, Duration after) noexcept {
  Member& member = end(attempt);
  member.latency = std::max(member.latency.value_or(Duration::zero()), std::min<Duration>(after, latency_max));
  member.heard = member.waiting = now;
}

void UpstreamGroup::withdrawn(const Attempt& attempt) noexcept {
  (void)end(attempt);
}

/// For longer than the last time, where that did not help: a trial failed, or the member did not stand for as long.
void UpstreamGroup::fall(Member& member, Instant now) noexcept {
  const bool has_recovered = !member.is_down && now - member.since >= std::max(member.down_for, member.ramp);
  const bool is_first = member.down_for == Duration::zero() || has_recovered;
  member.down_for = is_first ? settings_.down_first : doubled(member.down_for, settings_.down_max);
  member.is_down = true;
  member.is_tried = false;
  member.since = now;
  member.trial_at = now + member.down_for;
  ++member.epoch;
}

void UpstreamGroup::come_back(Member& member, Instant now) noexcept {
  member.is_down = false;
  member.is_tried = false;
  member.since = now;
  member.ramp = settings_.slow_start;
  ++member.epoch;
}

void UpstreamGroup::session_began(std::size_t member) noexcept {
  STILE_ASSERT(member < members_.size());
  ++members_[member].sessions;
}

void UpstreamGroup::session_ended(std::size_t member) noexcept {
  STILE_ASSERT(member < members_.size());
  STILE_ASSERT(members_[member].sessions > 0);
  --members_[member].sessions;
}

std::optional<Instant> UpstreamGroup::probe_at(const Member& member) const noexcept {
  if (settings_.probe_every == Duration::zero() || member.is_probed) {
    return std::nullopt;
  }
  const bool is_doubtful = !member.is_down && member.consecutive_failures > 0;
  const Instant due =
      member.looked_at +
      (is_doubtful ? std::min<Duration>(settings_.probe_every, limits::upstream_probe_doubt) : settings_.probe_every);
  // A trial is due as soon as its time has come.
  return member.is_down && member.looked_at < member.trial_at ? std::min(due, member.trial_at) : due;
}

std::optional<std::size_t> UpstreamGroup::probe_due(Instant now) const noexcept {
  std::optional<std::size_t> first;
  std::optional<Instant> earliest;
  for (std::size_t index = 0; index < members_.size(); ++index) {
    const auto due = probe_at(members_[index]);
    if (due && *due <= now && (!earliest || *due < *earliest)) {
      earliest = due;
      first = index;
    }
  }
  return first;
}

std::optional<Instant> UpstreamGroup::next_probe() const noexcept {
  std::optional<Instant> earliest;
  for (const Member& member : members_) {
    const auto due = probe_at(member);
    if (due && (!earliest || *due < *earliest)) {
      earliest = due;
    }
  }
  return earliest;
}

UpstreamGroup::Figures UpstreamGroup::figures(std::size_t index, Instant now) const noexcept {
  STILE_ASSERT(index < members_.size());
  const Member& member = members_[index];
  Figures figures{.state = state(member, now),
                  .since = member.since,
                  .down_for = member.down_for,
                  .latency = member.latency,
                  .sessions = member.sessions,
                  .under_way = member.under_way,
                  .attempts = member.attempts,
                  .successes = member.successes,
                  .failures = member.failures,
                  .falls = member.falls,
                  .consecutive_failures = member.consecutive_failures};
  if (figures.state == MemberState::half_open) {
    figures.since = member.trial_at;
  } else if (figures.state == MemberState::up) {
    figures.since += member.ramp;
  }
  return figures;
}

}  // namespace stile::route
