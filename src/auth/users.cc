#include "auth/users.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <map>
#include <tuple>
#include <utility>

#include "auth/password_hash.h"
#include "base/limits.h"

namespace stile::auth {
namespace {

constexpr std::size_t own_fields_max = 3;
constexpr std::size_t shadow_fields = 9;
constexpr std::size_t shadow_last_change = 2;
constexpr std::size_t shadow_expires = 7;

// Of the policy language: a rule that says one of them means another thing.
constexpr std::array<std::string_view, 3> words_of_rules{"anyone", "anonymous", "authenticated"};

struct Field {
  std::string_view text;
  int column = 1;
};

std::unexpected<UsersError> fault(int column, std::string message) {
  return std::unexpected(UsersError{0, column, std::move(message)});
}

std::vector<Field> split(std::string_view text, char separator, int column) {
  std::vector<Field> fields;
  while (true) {
    const std::size_t end = text.find(separator);
    fields.push_back({text.substr(0, end), column});
    if (end == std::string_view::npos) return fields;
    text.remove_prefix(end + 1);
    column += static_cast<int>(end) + 1;
  }
}

// What ends or changes a word of the policy language, or could forge a line somewhere.
std::expected<void, std::string> judge_word(std::string_view word, std::string_view what) {
  if (word.empty()) return std::unexpected("the " + std::string(what) + " is empty");
  if (word.size() > limits::credential_octets_max) {
    return std::unexpected("the " + std::string(what) + " is longer than 255 octets");
  }
  for (const char octet : word) {
    const auto value = static_cast<unsigned char>(octet);
    if (value > 0x20 && value != 0x7F && std::string_view(":,\"#").find(octet) == std::string_view::npos) continue;
    return std::unexpected("the " + std::string(what) +
                           " holds a blank, a control octet, or one of : , \" #, which no rule could write");
  }
  return {};
}

std::expected<std::vector<std::string>, UsersError> parse_groups(const Field& field) {
  std::vector<std::string> groups;
  if (field.text.empty()) return groups;
  for (const Field& group : split(field.text, ',', field.column)) {
    if (auto judged = judge_group_name(group.text); !judged) return fault(group.column, std::move(judged.error()));
    if (std::ranges::find(groups, group.text) != groups.end()) {
      return fault(group.column, "the group stands twice");
    }
    if (groups.size() == limits::user_groups_max) return fault(group.column, "more than 64 groups");
    groups.emplace_back(group.text);
  }
  return groups;
}

std::expected<std::string, UsersError> parse_hash(const Field& field) {
  if (field.text.empty() || field.text.starts_with('!') || field.text.starts_with('*')) return std::string();
  std::string hash(field.text);
  switch (judge_hash(hash)) {
    case HashFault::none:
      return hash;
    case HashFault::weak:
      return fault(field.column, "the hash's scheme is broken (set a password anew: stile user passwd)");
    case HashFault::unknown:
      break;
  }
  return fault(field.column,
               "this is no password hash of crypt(5), which begins with $y$, $6$, $2b$ or the like (a password is "
               "never written here: stile user passwd)");
}

std::expected<std::optional<std::int64_t>, UsersError> parse_day(const Field& field) {
  if (field.text.empty()) return std::optional<std::int64_t>();
  std::int64_t day = 0;
  const char* const end = field.text.data() + field.text.size();
  const auto [rest, error] = std::from_chars(field.text.data(), end, day);
  if (error != std::errc{} || rest != end) return fault(field.column, "expected a number of days, or nothing");
  return std::optional(day);
}

std::expected<void, UsersError> read_shadow_dates(const std::vector<Field>& fields, UserRecord& record) {
  for (std::size_t i = shadow_last_change; i + 1 < shadow_fields; ++i) {
    const auto day = parse_day(fields[i]);
    if (!day) return std::unexpected(day.error());
    if (i == shadow_expires && *day) record.expires = **day;
    if (i == shadow_last_change && *day == 0) record.hash.clear();
  }
  return {};
}

// Two hashes of one user have different salts even where the password is the same, so the number changes with each
// setting of it.
std::uint64_t state_of(const std::string& hash) {
  return std::hash<std::string>{}(hash) | 1U;
}

}  // namespace

std::expected<void, std::string> judge_user_name(std::string_view name) {
  if (auto judged = judge_word(name, "name"); !judged) return judged;
  if (name.starts_with('+') || name.starts_with('-')) {
    return std::unexpected("a name does not begin with + or -, which mean other things in such files");
  }
  if (std::ranges::find(words_of_rules, name) != words_of_rules.end()) {
    return std::unexpected("'" + std::string(name) +
                           "' is a word of the policy language, no rule could name this user");
  }
  return {};
}

std::expected<void, std::string> judge_group_name(std::string_view name) {
  return judge_word(name, "group");
}

bool is_blank_or_comment(std::string_view line) noexcept {
  const std::size_t first = line.find_first_not_of(" \t");
  return first == std::string_view::npos || line[first] == '#';
}

std::expected<UserRecord, UsersError> parse_user_line(std::string_view line) {
  if (line.size() > limits::users_file_line_octets_max) return fault(1, "the line is longer than 4 KiB");
  if (line.ends_with('\r')) {
    return fault(static_cast<int>(line.size()), "a carriage return ends the line (save the file with LF alone)");
  }
  const std::vector<Field> fields = split(line, ':', 1);
  const bool shadow = fields.size() == shadow_fields;
  if (!shadow && (fields.size() < 2 || fields.size() > own_fields_max)) {
    return fault(1, "expected NAME:HASH:GROUP,GROUP, or a line of /etc/shadow with its nine fields");
  }
  if (auto judged = judge_user_name(fields[0].text); !judged) return fault(1, std::move(judged.error()));
  auto hash = parse_hash(fields[1]);
  if (!hash) return std::unexpected(std::move(hash.error()));
  UserRecord record{.name = std::string(fields[0].text), .hash = std::move(*hash), .groups = {}, .expires = {}};
  if (shadow) {
    if (auto read = read_shadow_dates(fields, record); !read) return std::unexpected(std::move(read.error()));
  } else if (fields.size() == own_fields_max) {
    auto groups = parse_groups(fields[2]);
    if (!groups) return std::unexpected(std::move(groups.error()));
    record.groups = std::move(*groups);
  }
  record.state = state_of(record.hash);
  return record;
}

Users::Users() {
  sort_and_count();
}

std::expected<Users, std::vector<UsersError>> Users::parse(std::string_view text) {
  Users users;
  std::vector<UsersError> errors;
  std::map<std::string, int, std::less<>> lines;
  int number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (is_blank_or_comment(line)) continue;
    auto record = parse_user_line(line);
    if (!record) {
      errors.push_back({number, record.error().column, std::move(record.error().message)});
      continue;
    }
    record->line = number;
    const auto [first, added] = lines.emplace(record->name, number);
    if (!added) {
      errors.push_back({number, 1, "the user stands in line " + std::to_string(first->second) + " already"});
    } else if (users.records_.size() == limits::users_max) {
      errors.push_back({number, 1, "more than 100000 users"});
      break;
    } else {
      users.records_.push_back(std::move(*record));
    }
  }
  if (!errors.empty()) return std::unexpected(std::move(errors));
  users.sort_and_count();
  return users;
}

void Users::sort_and_count() {
  std::ranges::sort(records_, {}, &UserRecord::name);
  std::map<std::string, std::pair<std::size_t, const std::string*>> counted;
  for (const UserRecord& record : records_) {
    if (record.hash.empty()) continue;
    auto& [count, example] = counted[cost_of(record.hash)];
    ++count;
    example = &record.hash;
  }
  std::size_t most = 0;
  decoy_ = decoy_hash();
  for (const auto& [cost, tally] : counted) {
    costs_.push_back({cost, tally.first});
    if (tally.first <= most) continue;
    most = tally.first;
    decoy_ = *tally.second;
  }
  std::ranges::sort(costs_, [](const HashCost& left, const HashCost& right) {
    return std::tie(right.records, left.cost) < std::tie(left.records, right.cost);
  });
}

const UserRecord* Users::find(std::string_view name) const noexcept {
  const auto found = std::ranges::lower_bound(records_, name, {}, &UserRecord::name);
  return found != records_.end() && found->name == name ? &*found : nullptr;
}

}  // namespace stile::auth
