// What is in use, of everything that is counted: sessions of each listener, source and user, and what the options of a
// rule count for the rule as a whole or for each of its users (sessions, rates, quotas). A session holds a Claim, which
// gives back what it counts when it goes.
// A session that nothing counts but its listener's limit costs one atomic addition; everything else is looked up under
// one of a few locks, when the session begins and when it ends, never while it carries octets.
// Refuses: to decide who may go where; to read a clock or a store. Threading: Usage from any thread, one object a
// process, which outlives every Claim; a Claim belongs to one thread. Tested in usage_test.cc.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/limits.h"
#include "base/reason.h"
#include "base/time.h"
#include "config/config.h"
#include "engine/engine.h"
#include "policy/options.h"
#include "policy/policy.h"
#include "relay/quota.h"
#include "relay/rate.h"
#include "relay/terms.h"

namespace stile::server {

/// The day and the month that hold a moment, in local time.
struct Periods {
  WallTime day_begin;
  WallTime day_end;
  WallTime month_begin;
};
/// Where the host's local time is the UTC.
[[nodiscard]] Periods utc_periods(WallTime now) noexcept;

/// Octets, both directions together, that a user of a rule has carried before.
struct Spent {
  std::string rule;
  std::string user;  // empty: anonymous
  std::uint64_t octets = 0;
};
/// Asks the accounting store: everything since a moment, one row for each user of a rule.
using SpentSince = std::function<std::vector<Spent>(WallTime)>;

/// Whom a session is counted for.
struct Holder {
  std::atomic<std::uint32_t>* listener = nullptr;
  std::optional<Address> source;  // absent: a client on this host
  std::string_view user;          // empty: anonymous
  bool associates = false;        // UDP ASSOCIATE
};

class Usage {
 public:
  using PeriodsOf = std::function<Periods(WallTime)>;

  explicit Usage(PeriodsOf periods_of = utc_periods) : periods_of_(std::move(periods_of)) {}
  Usage(const Usage&) = delete;
  Usage& operator=(const Usage&) = delete;
  /// No Claim may be left (asserted).
  ~Usage();

  /// Sessions of the listener with this name. The number stays in place.
  [[nodiscard]] std::atomic<std::uint32_t>& listener(const std::string& name);

  /// What the store knows of the quotas of a policy: at start, and when a policy replaces another. Quotas that are
  /// counted already stay as they are.
  void remember(const policy::Policy& policy, const SpentSince& spent_since, WallTime now);
  /// The quotas of a new day or month begin, where one began since the last call.
  void roll_over(WallTime now);
  /// When the present day ends.
  [[nodiscard]] WallTime day_end() const;

  /// Engines to be woken when a quota is exceeded: on each, tunnels of it may live (Relay::end_exceeded).
  void attach(engine::Engine& engine);
  void detach(engine::Engine& engine);
  void quota_exceeded();
  /// Another number than before whenever one was.
  [[nodiscard]] std::uint64_t exceeded() const noexcept { return exceeded_.load(std::memory_order_acquire); }

  /// Of everything that is counted by a lock, how many things there are: nobody can make it grow without holding a
  /// session, quotas of users excepted.
  [[nodiscard]] std::size_t size() const;

 private:
  friend class Claim;

  struct Shard;
  struct Tally {
    Shard* shard = nullptr;
    const std::string* key = nullptr;
    std::uint32_t sessions = 0;  // that hold it
    std::uint32_t associations = 0;
    relay::RateBudget up;
    relay::RateBudget down;
    relay::Quota day;
    relay::Quota month;

    [[nodiscard]] bool is_of_use() const noexcept { return sessions > 0 || day.used() > 0 || month.used() > 0; }
  };
  struct Shard {
    mutable std::mutex mutex;
    std::map<std::string, Tally, std::less<>> tallies;  // by keys that no peer can make collide
  };
  static constexpr std::size_t shards = 16;

  [[nodiscard]] Shard& shard_of(std::string_view key) noexcept;
  [[nodiscard]] static Tally& tally_in(Shard& shard, std::string key);
  /// `check` is asked of the tally before it counts one session more.
  template <class Check>
  [[nodiscard]] Reason hold(std::string key, const Check& check, Tally*& held);
  void release(Tally*& held, bool associated) noexcept;
  void remember_one(const std::string& key, relay::Quota Tally::* quota, std::uint64_t octets);

  PeriodsOf periods_of_;
  std::array<Shard, shards> shards_;
  mutable std::mutex mutex_;  // of what is below
  std::map<std::string, std::atomic<std::uint32_t>> listeners_;
  std::vector<engine::Engine*> engines_;
  std::optional<Periods> periods_;
  std::map<std::string, bool, std::less<>> remembered_;  // rules whose quotas are known
  std::atomic<std::uint64_t> exceeded_{0};
};

class Claim {
 public:
  Claim() noexcept = default;
  Claim(Claim&& other) noexcept;
  Claim& operator=(Claim&& other) noexcept;
  ~Claim() { release(); }

  /// Counts one session more, unless a limit is reached, which is told. Not while it counts one.
  [[nodiscard]] Reason enter(Usage& usage, const Holder& holder, const config::Limits& limits);
  [[nodiscard]] bool is_held() const noexcept { return usage_ != nullptr; }
  /// What the numbers of one rule, named `name`, say to it. A session that may go by several rules asks each once.
  [[nodiscard]] Reason enter_rule(int rule, const std::string& name, const policy::Options& options,
                                  std::string_view user, WallTime now);
  /// It goes by this rule: all others are released.
  void keep(int rule) noexcept;
  /// The policy is another one: the session goes on, by whatever rule it then asks.
  void release_rules() noexcept;
  void release() noexcept;
  /// Of a plain claim: forgets it, and whoever counts for the listener subtracts it once.
  void leave_to_listener() noexcept;

  /// What the octets that go by this rule are held to; null: to nothing. Outlived by the claim.
  [[nodiscard]] std::unique_ptr<relay::Terms> terms(int rule, const policy::Options& options);
  /// Counts nothing but its listener: what is released by one subtraction.
  [[nodiscard]] bool is_plain() const noexcept { return source_ == nullptr && user_ == nullptr && rules_.empty(); }

 private:
  struct OfRule {
    int rule = -1;
    Usage::Tally* whole = nullptr;
    Usage::Tally* own = nullptr;              // the user's
    std::unique_ptr<relay::RateBudget> up{};  // the tunnel's
    std::unique_ptr<relay::RateBudget> down{};
  };

  [[nodiscard]] Reason enter_scope(std::string key, policy::Scope scope, const policy::Options& options,
                                   Usage::Tally*& held);
  void release(OfRule& rule) noexcept;
  static void hold_to(policy::Scope scope, Usage::Tally& tally, const policy::Options& options, relay::Terms& terms);

  Usage* usage_ = nullptr;
  std::atomic<std::uint32_t>* listener_ = nullptr;
  Usage::Tally* source_ = nullptr;
  Usage::Tally* user_ = nullptr;
  bool associates_ = false;
  std::vector<OfRule> rules_;
};

}  // namespace stile::server
