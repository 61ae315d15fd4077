#include "policy/futile.h"

#include <algorithm>
#include <bitset>
#include <optional>
#include <string>

#include "policy/classes.h"
#include "policy/match.h"
#include "policy/target_list.h"

namespace stile::policy {
namespace {

constexpr std::size_t earlier_rules_max = 1'000;  // looked at for each rule
constexpr unsigned minutes_of_day = 24 * 60;
constexpr unsigned minutes_of_week = 7 * minutes_of_day;
constexpr auto commands = std::to_array({Command::tcp, Command::udp, Command::bind, Command::ping, Command::resolve});

// ── rules that no request can match ─────────────────────────────────────────────────────────────────────────────────

bool names_command(const Rule& rule, Command command) {
  return rule.commands.empty() ? !rule.allow || command == Command::tcp : rule.commands.contains(command);
}

bool is_multicast(const HostPattern& host) {
  if (const auto* const named = std::get_if<TargetClass>(&host)) return *named == TargetClass::multicast;
  const auto* const prefix = std::get_if<Cidr>(&host);
  return prefix != nullptr && hard_class_opened_by(*prefix) == TargetClass::multicast;
}

bool is_unspecified(const HostPattern& host) {
  const auto* const prefix = std::get_if<Cidr>(&host);
  return prefix != nullptr && *prefix == Cidr::host(prefix->base) && prefix->base.is_unspecified();
}

bool is_empty(const HostPattern& host) {
  const auto* const list = std::get_if<ListRef>(&host);
  return list != nullptr && list->list->entries() == 0;
}

// No client comes from there.
bool is_nowhere(const Source& source) {
  if (const auto* const named = std::get_if<TargetClass>(&source)) return *named == TargetClass::multicast;
  const Cidr& prefix = std::get<Cidr>(source);
  return hard_class_opened_by(prefix) == TargetClass::multicast || is_unspecified(prefix);
}

// Why the rule matches nothing.
std::optional<std::string> impossibility(const Rule& rule) {
  const auto all_targets = [&](auto is_such) {
    return std::ranges::all_of(rule.targets, [&](const TargetPattern& target) { return is_such(target.host); });
  };
  if (!rule.sources.empty() && std::ranges::all_of(rule.sources, is_nowhere)) return "no client comes from there";
  if (all_targets(is_empty)) return "its list is empty";
  if (all_targets(is_unspecified)) return "the unspecified address is closed beyond all rules";
  if (rule.allow && !names_command(rule, Command::udp) && all_targets(is_multicast)) {
    return "multicast is reached by udp only";
  }
  return std::nullopt;
}

// ── does one rule hold all that another holds? ──────────────────────────────────────────────────────────────────────

bool covers(const Who& wide, const Who& narrow) {
  if (std::holds_alternative<Anyone>(wide)) return true;
  const bool both_anonymous = std::holds_alternative<Anonymous>(wide) && std::holds_alternative<Anonymous>(narrow);
  if (both_anonymous) return true;
  if (std::holds_alternative<Authenticated>(wide)) {
    return !std::holds_alternative<Anyone>(narrow) && !std::holds_alternative<Anonymous>(narrow);
  }
  const auto* const user = std::get_if<User>(&wide);
  const auto* const group = std::get_if<Group>(&wide);
  const auto* const other_user = std::get_if<User>(&narrow);
  const auto* const other_group = std::get_if<Group>(&narrow);
  return (user != nullptr && other_user != nullptr && user->name == other_user->name) ||
         (group != nullptr && other_group != nullptr && group->name == other_group->name);
}

template <class Item, class Covers>
bool each_is_covered(const std::vector<Item>& wide, const std::vector<Item>& narrow, Covers covers_one) {
  return std::ranges::all_of(narrow, [&](const Item& item) {
    return std::ranges::any_of(wide, [&](const Item& other) { return covers_one(other, item); });
  });
}

bool covers(const Source& wide, const Source& narrow) {
  const auto* const prefix = std::get_if<Cidr>(&wide);
  const auto* const inner = std::get_if<Cidr>(&narrow);
  if (prefix != nullptr && inner != nullptr) return prefix->contains(*inner);
  return prefix == nullptr && inner == nullptr && std::get<TargetClass>(wide) == std::get<TargetClass>(narrow);
}

// An allow wants every facet of the source, a deny is content with one.
bool sources_cover(const Rule& wide, const Rule& narrow) {
  if (wide.sources.empty()) return true;
  if (narrow.sources.empty() || (wide.allow && !narrow.allow)) return false;
  return each_is_covered(wide.sources, narrow.sources,
                         [](const Source& one, const Source& other) { return covers(one, other); });
}

std::bitset<minutes_of_week> minutes_of(const std::vector<When>& when) {
  std::bitset<minutes_of_week> minutes;
  for (const When& each : when) {
    const unsigned length = (each.last > each.first ? 0 : minutes_of_day) + each.last - each.first;
    for (unsigned day = 0; day < each.days.size(); ++day) {
      if (!each.days[day]) continue;
      for (unsigned i = 0; i < length; ++i) minutes.set((day * minutes_of_day + each.first + i) % minutes_of_week);
    }
  }
  return minutes;
}

bool times_cover(const Rule& wide, const Rule& narrow) {
  const std::vector<When>& when = wide.options.when;
  if (when.empty() || when == narrow.options.when) return true;
  const auto held = minutes_of(when);
  if (narrow.options.when.empty()) return held.all();
  return (minutes_of(narrow.options.when) & ~held).none();
}

// Every address in it is public, and stays so whatever this host's own addresses are.
bool is_public_only(const Cidr& prefix) {
  if (prefix == Cidr::host(prefix.base)) return false;  // an exact host also opens `self`
  const ClassPrefix& row = class_prefix_of(prefix.base);
  if (row.target_class != TargetClass::public_space || !row.contains(prefix)) return false;
  const auto lies_inside = [&](const ClassPrefix& other) {
    const Address base =
        other.family == Family::ipv4 ? Address::v4(std::span(other.octets).first<4>()) : Address::v6(other.octets);
    return prefix.contains(base) && !(base == prefix.base && other.length <= prefix.length);
  };
  return std::ranges::none_of(class_prefixes(), lies_inside) && std::ranges::none_of(metadata_prefixes(), lies_inside);
}

// As the target of an allow, reaches nothing but public addresses.
bool opens_public_only(const HostPattern& host) {
  if (const auto* const named = std::get_if<TargetClass>(&host)) return *named == TargetClass::public_space;
  if (const auto* const prefix = std::get_if<Cidr>(&host)) return is_public_only(*prefix);
  return !std::holds_alternative<ExactName>(host);
}

bool opens_all_public(const HostPattern& host) {
  const auto* const named = std::get_if<TargetClass>(&host);
  return std::holds_alternative<Any>(host) || (named != nullptr && *named == TargetClass::public_space);
}

// Of allows: does `wide` open whatever `narrow`, inside it, opens?
bool opens_as_much(const Cidr& wide, const Cidr& narrow) {
  if (wide == narrow || is_public_only(narrow)) return true;
  if (narrow == Cidr::host(narrow.base)) return false;  // `self` and metadata open to the exact host alone
  return class_prefix_of(narrow.base).contains(wide);
}

bool names_cover(const HostPattern& wide, const HostPattern& narrow, bool wide_allows) {
  const auto* const name = std::get_if<ExactName>(&wide);
  const auto* const below = std::get_if<NamesBelow>(&wide);
  const auto* const list = std::get_if<ListRef>(&wide);
  const auto* const other_name = std::get_if<ExactName>(&narrow);
  const auto* const other_below = std::get_if<NamesBelow>(&narrow);
  const auto* const other_list = std::get_if<ListRef>(&narrow);
  if (name != nullptr) return other_name != nullptr && name->name == other_name->name;
  if (list != nullptr) return other_list != nullptr && list->list == other_list->list;
  if (below == nullptr) return false;
  if (other_below != nullptr) return other_below->name.is_or_below(below->name.text());
  // An allow on one exact name opens more than one on what is below another.
  return other_name != nullptr && !wide_allows && other_name->name.is_or_below(below->name.text()) &&
         other_name->name != below->name;
}

bool covers(const HostPattern& wide, const HostPattern& narrow, bool wide_allows) {
  if (opens_all_public(wide) && wide_allows) return opens_public_only(narrow);
  if (std::holds_alternative<Any>(wide)) return true;
  const auto* const prefix = std::get_if<Cidr>(&wide);
  const auto* const inner = std::get_if<Cidr>(&narrow);
  if (prefix != nullptr && inner != nullptr) {
    return prefix->contains(*inner) && (!wide_allows || opens_as_much(*prefix, *inner));
  }
  const auto* const named = std::get_if<TargetClass>(&wide);
  const auto* const other = std::get_if<TargetClass>(&narrow);
  if (named != nullptr && other != nullptr) return *named == *other;
  return names_cover(wide, narrow, wide_allows);
}

// Is each port of `narrow` one of `wide`?
bool ports_cover(const Rule& wide, const TargetPattern& outer, const Rule& narrow, const TargetPattern& inner) {
  constexpr unsigned mail = 25;
  const auto range_with = [](const TargetPattern& target, unsigned port) {
    return std::ranges::find_if(target.ports,
                                [&](const PortRange& range) { return range.first <= port && port <= range.last; });
  };
  if (outer.ports.empty()) {
    const bool mail_is_out = wide.allow && names_command(narrow, Command::tcp);
    const bool mail_is_asked = inner.ports.empty() ? !narrow.allow : range_with(inner, mail) != inner.ports.end();
    return !mail_is_out || !mail_is_asked;
  }
  const auto holds_all = [&](const PortRange& asked) {
    for (unsigned port = asked.first; port <= asked.last;) {
      const auto range = range_with(outer, port);
      if (range == outer.ports.end()) return false;
      port = range->last + 1U;
    }
    return true;
  };
  return inner.ports.empty() ? holds_all({0, 65535}) : std::ranges::all_of(inner.ports, holds_all);
}

// What a rule says of one command to one of its targets: a deny of every command leaves those without ports to targets
// without ports.
bool says(const Rule& rule, const TargetPattern& target, Command command) {
  if (!names_command(rule, command)) return false;
  return has_port(command) || !rule.commands.empty() || target.ports.empty();
}

bool commands_cover(const Rule& wide, const TargetPattern& outer, const Rule& narrow, const TargetPattern& inner) {
  return std::ranges::all_of(
      commands, [&](Command command) { return !says(narrow, inner, command) || says(wide, outer, command); });
}

template <class HostsCover>
bool targets_cover(const Rule& wide, const Rule& narrow, HostsCover hosts_cover) {
  return each_is_covered(wide.targets, narrow.targets, [&](const TargetPattern& outer, const TargetPattern& inner) {
    return hosts_cover(outer.host, inner.host) && commands_cover(wide, outer, narrow, inner) &&
           ports_cover(wide, outer, narrow, inner);
  });
}

bool clients_cover(const Rule& wide, const Rule& narrow) {
  return each_is_covered(wide.who, narrow.who, [](const Who& one, const Who& other) { return covers(one, other); }) &&
         sources_cover(wide, narrow);
}

// Whatever the later rule matches, the earlier one matches as well.
bool decides_all_of(const Rule& earlier, const Rule& later) {
  if (earlier.allow && !later.allow) return false;  // an allow wants every facet, the deny is content with one
  return clients_cover(earlier, later) &&
         targets_cover(
             earlier, later,
             [&](const HostPattern& wide, const HostPattern& narrow) { return covers(wide, narrow, earlier.allow); }) &&
         times_cover(earlier, later);
}

// The allow takes every public address of the deny. What is left to it has a facet that is not public, and counts for
// nothing where no rule behind it opens such addresses.
bool allows_all_of(const Rule& earlier, const Rule& later) {
  if (!earlier.allow || later.allow || !earlier.sources.empty()) return false;
  return clients_cover(earlier, later) && times_cover(earlier, later) &&
         targets_cover(earlier, later, [](const HostPattern& wide, const HostPattern& narrow) {
           const auto* const named = std::get_if<TargetClass>(&narrow);
           const auto* const prefix = std::get_if<Cidr>(&narrow);
           const bool about_public =
               (named == nullptr || *named == TargetClass::public_space) &&
               (prefix == nullptr || class_prefix_of(prefix->base).target_class == TargetClass::public_space);
           return opens_all_public(wide) && about_public;
         });
}

bool opens_public_only(const Rule& rule) {
  return std::ranges::all_of(rule.targets, [](const TargetPattern& target) { return opens_public_only(target.host); });
}

}  // namespace

std::vector<RuleError> futile_rules(const RuleSet& rules) {
  std::vector<RuleError> found;
  // From here on, allows reach public addresses only.
  std::size_t public_from = rules.rules.size();
  while (public_from > 0 && (!rules.rules[public_from - 1].allow || opens_public_only(rules.rules[public_from - 1]))) {
    --public_from;
  }
  for (std::size_t i = 0; i < rules.rules.size(); ++i) {
    const Rule& rule = rules.rules[i];
    const RuleInfo& info = rules.infos[i];
    const auto report = [&](const std::string& why) {
      found.push_back({.line = info.line, .column = 1, .message = "'" + info.name + "' " + why});
    };
    if (const auto why = impossibility(rule)) {
      report("can never match: " + *why);
      continue;
    }
    for (std::size_t earlier = 0; earlier < std::min(i, earlier_rules_max); ++earlier) {
      const Rule& other = rules.rules[earlier];
      const bool decided = decides_all_of(other, rule);
      if (!decided && !(i + 1 >= public_from && allows_all_of(other, rule))) continue;
      report("has no effect: '" + rules.infos[earlier].name + "' stands before it and " +
             (other.allow ? "allows" : "denies") + " all that it is about");
      break;
    }
  }
  return found;
}

}  // namespace stile::policy
