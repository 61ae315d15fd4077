#include "policy/match.h"

#include <algorithm>

#include "base/assert.h"
#include "policy/target_list.h"

namespace stile::policy {
namespace {

constexpr std::uint16_t mail_port = 25;

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};

bool admits(const Who& who, const Identity& identity) {
  return std::visit(Overloaded{
                        [](Anyone) { return true; },
                        [&](Anonymous) { return identity.is_anonymous(); },
                        [&](Authenticated) { return !identity.is_anonymous(); },
                        [&](const User& user) { return !identity.is_anonymous() && identity.user() == user.name; },
                        [&](const Group& group) {
                          return !identity.is_anonymous() &&
                                 std::ranges::find(identity.groups(), group.name) != identity.groups().end();
                        },
                    },
                    who);
}

bool who_matches(const Rule& rule, const Question& question) {
  return std::ranges::any_of(rule.who, [&](const Who& who) { return admits(who, question.who); });
}

// Membership, not the one most specific class: this host's own 10.0.0.7 is a private source and also `self`.
bool holds(const Source& source, const Facet& facet, const Question& question) {
  if (const auto* prefix = std::get_if<Cidr>(&source)) return prefix->contains(facet.address);
  switch (const auto target_class = std::get<TargetClass>(source)) {
    case TargetClass::self:
      return question.source_is_self;
    case TargetClass::metadata:
      return facet.target_class == TargetClass::metadata;
    default:
      return class_prefix_of(facet.address).target_class == target_class;
  }
}

// As for targets: a deny looks at any facet, an allow at every one.
bool source_matches(const Rule& rule, const Question& question) {
  if (rule.sources.empty()) return true;
  const auto named = [&](const Facet& facet) {
    return std::ranges::any_of(rule.sources, [&](const Source& source) { return holds(source, facet, question); });
  };
  if (!rule.allow) return std::ranges::any_of(question.source, named);
  return std::ranges::all_of(question.source, [&](const Facet& facet) { return facet.neutral || named(facet); });
}

bool command_matches(const Rule& rule, Command command) {
  if (!rule.commands.empty()) return rule.commands.contains(command);
  return !rule.allow || command == Command::tcp;
}

bool holds(const When& when, const WeekTime& at) {
  const bool today = when.days[at.day];
  if (when.first < when.last) return today && when.first <= at.minute && at.minute < when.last;
  const bool yesterday = when.days[(at.day + when.days.size() - 1) % when.days.size()];
  return (today && when.first <= at.minute) || (yesterday && at.minute < when.last);
}

bool time_matches(const Rule& rule, const WeekTime& at) {
  const std::vector<When>& when = rule.options.when;
  return when.empty() || std::ranges::any_of(when, [&](const When& each) { return holds(each, at); });
}

Mismatch match_port(const Rule& rule, const TargetPattern& target, const Question& question) {
  if (target.ports.empty()) {
    const bool mail = question.command == Command::tcp && question.port == mail_port;
    return rule.allow && mail ? Mismatch::port_not_named : Mismatch::none;
  }
  // ping and resolve have no port. A rule that names them means them whatever its ports; "every command" of a deny on
  // ports means the commands that have some.
  if (!has_port(question.command)) return rule.commands.empty() ? Mismatch::port : Mismatch::none;
  const bool listed = std::ranges::any_of(target.ports, [&](const PortRange& range) {
    return range.first <= question.port && question.port <= range.last;
  });
  return listed ? Mismatch::none : Mismatch::port;
}

bool names(const ExactName& pattern, const HostName* asked) {
  return asked != nullptr && *asked == pattern.name;
}

bool names(const NamesBelow& pattern, const HostName* asked) {
  return asked != nullptr && asked->is_or_below(pattern.name.text()) && *asked != pattern.name;
}

bool names(const ListRef& pattern, const HostName* asked) {
  return asked != nullptr && pattern.list->names(*asked);
}

Mismatch closed_unless(bool open) {
  return open ? Mismatch::none : Mismatch::class_closed;
}

// May an allow on this host pattern reach this facet? Security reference, 3.1: what opens an inside class.
Mismatch reach(const HostPattern& host, const Facet& facet, const HostName* asked) {
  const TargetClass target_class = facet.target_class;
  const bool is_public = target_class == TargetClass::public_space;
  return std::visit(
      Overloaded{
          [&](Any) { return closed_unless(is_public); },
          [&](TargetClass named) { return named == target_class ? Mismatch::none : Mismatch::host; },
          [&](const Cidr& prefix) {
            if (!prefix.contains(facet.address)) return Mismatch::host;
            return closed_unless(opens(prefix, facet.address, target_class));
          },
          [&](const ExactName& name) {
            return names(name, asked) ? closed_unless(is_public || is_soft(target_class)) : Mismatch::host;
          },
          [&](const NamesBelow& name) { return names(name, asked) ? closed_unless(is_public) : Mismatch::host; },
          [&](const ListRef& list) {
            const bool listed = names(list, asked) || list.list->contains(facet.address);
            return listed ? closed_unless(is_public) : Mismatch::host;
          },
      },
      host);
}

Mismatch cover(const Rule& rule, const TargetPattern& target, const Facet& facet, const Question& question) {
  const Mismatch host = reach(target.host, facet, question.host_name);
  if (host != Mismatch::none) return host;
  if (facet.target_class == TargetClass::multicast && question.command != Command::udp) return Mismatch::multicast;
  return match_port(rule, target, question);
}

struct TargetMatch {
  Certainty certainty = Certainty::no;
  Mismatch why = Mismatch::host;
  std::optional<Facet> facet;
};

TargetMatch match_allow(const Rule& rule, const Question& question, const FacetSet& facets) {
  for (const Facet& facet : facets) {
    if (facet.neutral) continue;
    TargetMatch closest{.certainty = Certainty::no, .why = Mismatch::host, .facet = facet};
    bool covered = false;
    for (const TargetPattern& target : rule.targets) {
      const Mismatch mismatch = cover(rule, target, facet, question);
      covered = covered || mismatch == Mismatch::none;
      closest.why = std::max(closest.why, mismatch);
    }
    if (!covered) return closest;
  }
  return {.certainty = Certainty::yes, .why = Mismatch::none, .facet = std::nullopt};
}

bool hits(const HostPattern& host, const Facet& facet, const HostName* asked) {
  return std::visit(Overloaded{
                        [](Any) { return true; },
                        [&](TargetClass named) { return !facet.neutral && named == facet.target_class; },
                        [&](const Cidr& prefix) { return prefix.contains(facet.address); },
                        [&](const ListRef& list) { return names(list, asked) || list.list->contains(facet.address); },
                        [&](const auto& name) { return names(name, asked); },
                    },
                    host);
}

TargetMatch match_deny(const Rule& rule, const Question& question, const FacetSet& facets) {
  TargetMatch closest;
  for (const TargetPattern& target : rule.targets) {
    const bool hit =
        std::ranges::any_of(facets, [&](const Facet& facet) { return hits(target.host, facet, question.host_name); });
    if (!hit) continue;
    const Mismatch port = match_port(rule, target, question);
    if (port == Mismatch::none) return {.certainty = Certainty::yes, .why = port, .facet = std::nullopt};
    closest.why = std::max(closest.why, port);
  }
  return closest;
}

bool is_multicast(const HostPattern& host) {
  if (const auto* named = std::get_if<TargetClass>(&host)) return *named == TargetClass::multicast;
  const auto* prefix = std::get_if<Cidr>(&host);
  return prefix != nullptr && hard_class_opened_by(*prefix) == TargetClass::multicast;
}

/// `localhost` and what is below it stand for this host, whoever resolves them (RFC 6761 section 6.3).
bool is_local(const HostName& name) {
  return name.is_or_below("localhost");
}

// What a target says while the address is unknown. An allow that connects to the name asked for is never certain: every
// candidate is decided again.
TargetMatch match_unresolved(const Rule& rule, const TargetPattern& target, const Question& question) {
  // With `redirect` the addresses of the name asked for do not matter: it is never resolved. Nor is it here where it
  // goes to an upstream that takes names.
  const bool goes_as_it_is = rule.options.redirect || (rule.options.via_takes_names && !is_local(*question.host_name));
  const auto by_name = [&](const auto& name) {
    if (!names(name, question.host_name)) return Certainty::no;
    return rule.allow && !goes_as_it_is ? Certainty::maybe : Certainty::yes;
  };
  TargetMatch match;
  match.certainty =
      std::visit(Overloaded{
                     [&](Any) {
                       const bool certain = !rule.allow || (goes_as_it_is && !rule.options.redirect);
                       return certain ? Certainty::yes : Certainty::maybe;
                     },
                     [](TargetClass) { return Certainty::maybe; },
                     [](const Cidr&) { return Certainty::maybe; },
                     [&](const ListRef& list) {
                       const Certainty named = by_name(list);
                       return named == Certainty::no && list.list->has_addresses() ? Certainty::maybe : named;
                     },
                     by_name,
                 },
                 target.host);
  if (match.certainty == Certainty::no) return match;
  match.why = match_port(rule, target, question);
  if (rule.allow && question.command != Command::udp && is_multicast(target.host)) match.why = Mismatch::multicast;
  if (match.why != Mismatch::none) match.certainty = Certainty::no;
  return match;
}

// Nothing in particular is asked for: what may match somewhere is a maybe, and only a deny of everything is certain.
TargetMatch match_anywhere(const Rule& rule) {
  const bool everything = std::ranges::any_of(rule.targets, [](const TargetPattern& target) {
    return std::holds_alternative<Any>(target.host) && target.ports.empty();
  });
  const Certainty certainty = !rule.allow && everything ? Certainty::yes : Certainty::maybe;
  return {.certainty = certainty, .why = Mismatch::none, .facet = std::nullopt};
}

TargetMatch match_targets(const Rule& rule, const Question& question) {
  if (question.anywhere) return match_anywhere(rule);
  if (question.address) {
    return rule.allow ? match_allow(rule, question, *question.address) : match_deny(rule, question, *question.address);
  }
  TargetMatch best;
  for (const TargetPattern& target : rule.targets) {
    const TargetMatch match = match_unresolved(rule, target, question);
    if (match.certainty > best.certainty || (best.certainty == Certainty::no && match.why > best.why)) best = match;
  }
  return best;
}

bool is_own_socket(const Facet& facet, const Question& question, const OwnAddresses& own) noexcept {
  return std::ranges::any_of(own.sockets, [&](const Endpoint& socket) {
    if (socket.port != question.port) return false;
    if (!socket.address.is_unspecified()) return socket.address == facet.address;
    return class_prefix_of(facet.address).target_class == TargetClass::loopback || is_self(facet.address, own);
  });
}

}  // namespace

Question::Question(const Query& query, const OwnAddresses& own)
    : who(*query.who),
      source(query.source, own),
      source_is_self(is_self(query.source, own)),
      command(query.command),
      at(query.at),
      anywhere(query.target == nullptr),
      port(anywhere ? std::uint16_t{0} : query.target->port),
      host_name(anywhere ? nullptr : query.target->host_name()) {
  if (query.target == nullptr) return;
  if (query.candidate) {
    address.emplace(*query.candidate, own);
  } else if (const Address* literal = query.target->address()) {
    address.emplace(*literal, own);
  }
}

RuleMatch match_rule(const Rule& rule, const Question& question, Search search) {
  RuleMatch result;
  const auto enough = [&](Mismatch why) {
    if (result.why == Mismatch::none) result.why = why;
    ++result.mismatches;
    return search == Search::first_mismatch;
  };
  if (!who_matches(rule, question) && enough(Mismatch::who)) return result;
  if (!source_matches(rule, question) && enough(Mismatch::source)) return result;
  if (!command_matches(rule, question.command) && enough(Mismatch::command)) return result;
  if (!time_matches(rule, question.at) && enough(Mismatch::when)) return result;
  const TargetMatch target = match_targets(rule, question);
  if (target.certainty == Certainty::no) {
    result.facet = target.facet;
    enough(target.why);
  } else if (result.mismatches == 0) {
    result.certainty = target.certainty;
  }
  return result;
}

Certainty match_request(const Rule& rule, const Question& question) {
  if (!command_matches(rule, question.command)) return Certainty::no;
  return match_targets(rule, question).certainty;
}

Reason refused_beyond_rules(const Question& question, const OwnAddresses& own) noexcept {
  if (!question.address) return Reason::none;
  for (const Facet& facet : *question.address) {
    if (facet.address.is_unspecified()) return Reason::deny_unspecified;
  }
  if (!has_port(question.command)) return Reason::none;
  for (const Facet& facet : *question.address) {
    if (is_own_socket(facet, question, own)) return Reason::deny_self;
  }
  return Reason::none;
}

}  // namespace stile::policy
