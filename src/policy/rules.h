// Rules as parsed: the text of [policy] rules as a list of plain values, in file order, ready to be matched one by one.
// Grammar: the design's section 5.3. Every fault is reported with its line and column, and with the word that was
// probably meant. Pure; a RuleSet is immutable once made.
// Refuses cert: and every word it does not know. Tested in rules_test.cc, fuzzed in rules_fuzz.cc.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/address.h"
#include "base/port_range.h"
#include "policy/classes.h"
#include "policy/options.h"
#include "policy/policy.h"

namespace stile::policy {

// WHO
struct Anyone {};
struct Anonymous {};
struct Authenticated {};
struct User {
  std::string name;
};
struct Group {
  std::string name;
};
using Who = std::variant<Anyone, Anonymous, Authenticated, User, Group>;

// SOURCE
using Source = std::variant<TargetClass, Cidr>;

// HOST
struct Any {};
struct ExactName {
  HostName name;
};
/// `*.name`: one or more labels before `name`, never `name` itself.
struct NamesBelow {
  HostName name;
};
/// `list:NAME`
struct ListRef {
  std::string name;
  std::shared_ptr<const TargetList> list;  // never null
};
using HostPattern = std::variant<Any, TargetClass, Cidr, ExactName, NamesBelow, ListRef>;

struct TargetPattern {
  HostPattern host;
  std::vector<PortRange> ports;  // empty: none were given
  int column = 0;
};

/// The commands of a rule. None given is tcp in an allow and every command in a deny.
class CommandSet {
 public:
  void insert(Command command) noexcept { bits_ = static_cast<std::uint8_t>(bits_ | bit(command)); }
  [[nodiscard]] bool empty() const noexcept { return bits_ == 0; }
  [[nodiscard]] bool contains(Command command) const noexcept { return (bits_ & bit(command)) != 0; }

 private:
  static constexpr std::uint8_t bit(Command command) noexcept {
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(command));
  }
  std::uint8_t bits_ = 0;
};

struct Rule {
  bool allow = false;
  std::vector<Who> who;         // any of them
  std::vector<Source> sources;  // any of them; empty: no `from`
  CommandSet commands;          // as written
  std::vector<TargetPattern> targets;
  Options options;
};

struct RuleSet {
  std::vector<Rule> rules;
  std::vector<RuleInfo> infos;  // one a rule, same order
};

[[nodiscard]] std::expected<RuleSet, std::vector<RuleError>> parse_rules(std::string_view text, const Lists& lists = {},
                                                                         const Upstreams& upstreams = {});

}  // namespace stile::policy
