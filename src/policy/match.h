// Does one rule match one question? The one evaluator: Policy::decide walks with it, explain() asks it what was in the
// way. Pure; any thread. Semantics: the design's section 5.3 and the security reference, 1.1, 3.1, 3.3, 3.4.
// Tested in policy_test.cc, and against a naive oracle in policy_model_test.cc.
#pragma once

#include <cstdint>
#include <optional>

#include "policy/facets.h"
#include "policy/policy.h"
#include "policy/rules.h"

namespace stile::policy {

/// A query made ready for many rules.
struct Question {
  Question(const Query& query, const OwnAddresses& own);

  const Identity& who;
  FacetSet source;
  bool source_is_self = false;
  Command command;
  WeekTime at;
  bool anywhere;  // no target at all: whoever comes (BIND), wherever datagrams go (UDP)
  std::uint16_t port;
  const HostName* host_name;        // null for an address literal, which no name rule ever matches
  std::optional<FacetSet> address;  // absent: the name is not resolved yet
};

/// What keeps a rule from matching. From `host` on, the later the closer to a match.
enum class Mismatch : std::uint8_t {
  none,
  who,
  source,
  command,
  when,
  host,            // no target of the rule names this host or address
  class_closed,    // a target holds it, but does not open the class of the address
  multicast,       // a target opens it, but multicast is reached by udp only
  port,            // a target opens it, but on other ports
  port_not_named,  // a target without ports in an allow leaves tcp 25 out
};

enum class Certainty : std::uint8_t {
  no,
  maybe,  // depends on what the name resolves to
  yes,
};

struct RuleMatch {
  Certainty certainty = Certainty::no;
  Mismatch why = Mismatch::none;  // the first mismatch, in the order who, source, command, when, target
  int mismatches = 0;             // how many of these five fail
  std::optional<Facet> facet;     // the facet that an allow does not cover
};

/// How far to look once a mismatch is found.
enum class Search : std::uint8_t { first_mismatch, all_mismatches };

[[nodiscard]] RuleMatch match_rule(const Rule& rule, const Question& question, Search search);

/// The same of command and target alone: whoever asks, from wherever, at whatever time.
[[nodiscard]] Certainty match_request(const Rule& rule, const Question& question);

/// True where no rule may decide: the reason says which of the refusals beyond all rules it is, none otherwise.
[[nodiscard]] Reason refused_beyond_rules(const Question& question, const OwnAddresses& own) noexcept;

/// Commands that go to a port. The others pass over the ports of a rule that names them.
[[nodiscard]] constexpr bool has_port(Command command) noexcept {
  return command == Command::tcp || command == Command::udp || command == Command::bind;
}

}  // namespace stile::policy
