// The accounting file: one row for each admitted session, and for each of these a `start`, any number of `interim` and
// a `stop` entry, whose octets add up to the session's. Each entry is written once or not at all, however often the
// caller tries: a repeated start or stop changes nothing, and entries of one call are written together or none is.
// One server writes a file at a time; readers may read meanwhile. What a crash left open is closed as `lost` when the
// file is opened for writing again. Schema and choices: docs/decisions/0009-accounting.md.
// Blocking: for a thread that may wait for the disk, one at a time. A build without SQLite has a store that cannot be
// opened (accounting_store_absent.cc). Tested in accounting_store_sqlite_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"

namespace stile::observe {

enum class AccountingKind : std::uint8_t { start, interim, stop };

/// One entry as a worker reports it. Octets and packets are the session's totals so far. Of the
/// words, interim entries have the rule alone.
struct AccountingEntry {
  AccountingKind kind = AccountingKind::start;
  std::uint64_t session = 0;
  WallTime time{};
  WallTime began{};
  std::string listener;
  std::string client;
  std::string protocol;
  std::string user;  // empty: nobody proved who they are
  std::string method;
  std::string command;
  std::string target;
  std::string address;
  std::string rule;
  std::string reason;
  std::uint64_t octets_up = 0;
  std::uint64_t octets_down = 0;
  std::uint64_t packets_up = 0;
  std::uint64_t packets_down = 0;
};

/// Why a store cannot be used, and what to do.
struct AccountingFault {
  std::string why;
  std::string cure;
};

enum class UsageKey : std::uint8_t { user, target, rule };

/// What was moved in a period, of all sessions that have something in common.
struct Usage {
  std::string name;  // empty: no user, or no rule
  std::uint64_t sessions = 0;
  std::uint64_t octets_up = 0;
  std::uint64_t octets_down = 0;

  friend bool operator==(const Usage&, const Usage&) = default;
};

/// From `since` on and before `until`.
struct Period {
  WallTime since{};
  WallTime until{WallTime::max()};
};

/// What counts against a rule's quota.
struct RuleUsage {
  std::string rule;
  std::string user;
  std::uint64_t octets = 0;  // both ways

  friend bool operator==(const RuleUsage&, const RuleUsage&) = default;
};

class AccountingStore {
 public:
  template <class T>
  using Outcome = std::expected<T, AccountingFault>;

  /// This build can keep accounts.
  [[nodiscard]] static bool built_in() noexcept;

  /// For writing: creates the file where there is none (mode 0640), and closes what was left open.
  [[nodiscard]] static Outcome<std::unique_ptr<AccountingStore>> open(const std::string& path);

  AccountingStore(const AccountingStore&) = delete;
  AccountingStore& operator=(const AccountingStore&) = delete;
  ~AccountingStore();

  /// All of them, or none and why.
  [[nodiscard]] Outcome<void> write(std::span<const AccountingEntry> entries);

  /// Sessions that the opening closed as lost.
  [[nodiscard]] std::uint64_t lost() const noexcept;

  /// Reading, beside a server that writes or without one. Largest first, then by name.
  [[nodiscard]] static Outcome<std::vector<Usage>> usage(const std::string& path, UsageKey by, const Period& period);
  /// For quotas; by rule, then user.
  [[nodiscard]] static Outcome<std::vector<RuleUsage>> usage_of_rules(const std::string& path, WallTime since);

 private:
  class Database;
  explicit AccountingStore(std::unique_ptr<Database> database) noexcept;
  std::unique_ptr<Database> database_;
};

}  // namespace stile::observe
