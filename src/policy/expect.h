// Expectations: the lines of [policy] expect, which say what the rules must allow and must not. Parsed like rules,
// every fault with its place; held against a policy without DNS and without a clock. Pure; any thread. Grammar: the
// design's section 5.3. Tested in expect_test.cc, fuzzed in expect_fuzz.cc.
//
// What an expectation leaves open it says of everything: of every client that its WHO may be, without `from` of every
// source, without `at` of every time. A name without `resolving to` counts as a public address that no rule names.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/rules.h"

namespace stile::policy {

struct Expectation {
  std::string text;  // as written, without comment
  int line = 0;      // 1-based within the text of expectations
  std::vector<Who> who;
  std::optional<Address> source;
  bool may = false;
  Command command = Command::tcp;
  std::vector<Target> targets;  // one host, and each of its ports
  std::optional<Address> resolving;
  std::optional<WeekTime> at;
};

[[nodiscard]] std::expected<std::vector<Expectation>, std::vector<RuleError>> parse_expectations(std::string_view text);

/// The groups of a user; nothing where they are not known, which counts as none.
using GroupsOf = std::function<std::optional<std::vector<std::string>>(const std::string& user)>;

/// One failure for each expectation that does not hold: what was expected, what is decided, by which rule and, where
/// the expectation left that open, for whom. `rules_line` is the line of the file where the rules begin.
[[nodiscard]] std::vector<RuleError> failures(const Policy& policy, std::span<const Expectation> expectations,
                                              const OwnAddresses& own, const GroupsOf& groups_of, int rules_line = 1);

}  // namespace stile::policy
