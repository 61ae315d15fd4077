// The users that a file names, as an immutable value: parsed from text, looked up by name. Who holds one may go on
// using it while another takes its place.
//
//   alice:$y$j9T$...:staff,ops       name, hash as crypt(5) writes it, groups (may be left out)
//   bob:$6$...:19000:0:99999:7:::    a line of /etc/shadow: nine fields, no groups
//
// A line of one or two colons is Stile's own, one of eight is /etc/shadow's, any other number is a fault. A hash that
// is empty or begins with "!" or "*" locks its user out. Of /etc/shadow's dates two count: the day on which the account
// expires, and a last change of 0, which means that a new password is due; Stile does not ask for one, so nobody logs
// in. Blank lines, and those that begin with "#", mean nothing. Refuses: names that no rule could write, hashes of
// unknown or broken schemes, users named twice. No message shows a hash. Threading: immutable; any thread. Tested in
// users_test.cc, fuzzed in users_fuzz.cc.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stile::auth {

struct UserRecord {
  std::string name;
  std::string hash;  // empty where nobody can log in
  std::vector<std::string> groups;
  std::optional<std::int64_t> expires;  // days since 1970: from then on nobody can log in
  std::uint64_t state = 0;              // another number for another hash; never 0
  int line = 0;

  /// `day` counts from 1970.
  [[nodiscard]] bool may_log_in(std::int64_t day) const noexcept {
    return !hash.empty() && (!expires || day < *expires);
  }
};

/// A fault with its place, printed as "FILE:LINE:COLUMN: message".
struct UsersError {
  int line = 0;
  int column = 0;
  std::string message;
};

/// So many records have a hash of this scheme and cost.
struct HashCost {
  std::string cost;  // "$y$j9T$"
  std::size_t records = 0;
};

class Users {
 public:
  /// Nobody.
  Users();

  /// All faults, in the file's order.
  [[nodiscard]] static std::expected<Users, std::vector<UsersError>> parse(std::string_view text);

  [[nodiscard]] const UserRecord* find(std::string_view name) const noexcept;
  /// By name.
  [[nodiscard]] std::span<const UserRecord> records() const noexcept { return records_; }
  /// What the password of somebody who cannot log in is compared with: it costs what most records cost, so that time
  /// does not tell who is known.
  [[nodiscard]] const std::string& decoy() const noexcept { return decoy_; }
  /// The commonest first. More than one tells known from unknown users by time.
  [[nodiscard]] std::span<const HashCost> costs() const noexcept { return costs_; }

 private:
  void sort_and_count();

  std::vector<UserRecord> records_;
  std::vector<HashCost> costs_;
  std::string decoy_;
};

/// Reads one line that is neither blank nor a comment; the fault has its column, and no line.
[[nodiscard]] std::expected<UserRecord, UsersError> parse_user_line(std::string_view line);
/// What a user or a group may be called; a fault says why not.
[[nodiscard]] std::expected<void, std::string> judge_user_name(std::string_view name);
[[nodiscard]] std::expected<void, std::string> judge_group_name(std::string_view name);
/// A line that means nothing.
[[nodiscard]] bool is_blank_or_comment(std::string_view line) noexcept;

}  // namespace stile::auth
