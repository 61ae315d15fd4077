#include "policy/explain.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "policy/option_values.h"
#include "policy/rules.h"
#include "policy/words.h"

namespace stile::policy {
namespace {

std::string client_text(const Identity& who) {
  if (who.is_anonymous()) return "an anonymous client";
  std::string groups;
  for (const std::string& group : who.groups()) groups += (groups.empty() ? "" : ", ") + quoted(group);
  return quoted(who.user()) + (groups.empty() ? " of no group" : " of " + groups);
}

std::string class_text(const Facet& facet) {
  return facet.address.to_string() + " is " + std::string(name(facet.target_class));
}

std::string detail_of(const RuleMatch& match, const Query& query) {
  switch (match.why) {
    case Mismatch::who:
      return client_text(*query.who) + " is not among its clients";
    case Mismatch::source:
      return query.source.to_string() + " is not among its sources";
    case Mismatch::command:
      return "it is not about " + std::string(name(query.command));
    case Mismatch::when:
      return "it does not hold on " + to_text(query.at);
    case Mismatch::class_closed:
      return class_text(*match.facet) + ", which it does not open";
    case Mismatch::multicast:
      return "multicast is reached by udp only";
    case Mismatch::port:
      return has_port(query.command) ? "port " + std::to_string(query.target->port) + " is not among its ports"
                                     : "it is about ports, and " + std::string(name(query.command)) + " has none";
    case Mismatch::port_not_named:
      return "a target without ports leaves out tcp port 25; name the port to open it";
    case Mismatch::none:
    case Mismatch::host:
      break;
  }
  assertion_failed("a near miss has a cause", __FILE__, __LINE__);
}

// Every facet that an allow has to name.
std::vector<std::string> addresses_to_name(const FacetSet& facets, bool brackets) {
  std::vector<std::string> addresses;
  for (const Facet& facet : facets) {
    if (facet.neutral) continue;
    const std::string text = facet.address.to_string();
    addresses.push_back(brackets && !facet.address.is_v4() ? '[' + text + ']' : text);
  }
  return addresses;
}

// The name where it is enough, else the addresses.
std::vector<std::string> hosts_to_name(const Question& question) {
  const bool name_is_enough =
      question.host_name != nullptr && std::ranges::all_of(*question.address, [](const Facet& facet) {
        return facet.neutral || !is_hard(facet.target_class);
      });
  if (name_is_enough) return {'"' + question.host_name->text() + '"'};
  return addresses_to_name(*question.address, true);
}

std::string joined(const std::vector<std::string>& items, const std::string& suffix) {
  std::string text;
  for (const std::string& item : items) {
    if (!text.empty()) text += ", ";
    text += item;
    text += suffix;
  }
  return text;
}

bool can_be_quoted(std::string_view user) {
  return std::ranges::none_of(user, [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet < 0x20 || octet == 0x7F || c == '"';
  });
}

std::string opening_rule(const Query& query, const Question& question) {
  const bool multicast = std::ranges::any_of(
      *question.address, [](const Facet& facet) { return facet.target_class == TargetClass::multicast; });
  if (multicast && query.command != Command::udp) return "";  // no rule opens that
  const std::string& user = query.who->user();
  if (!can_be_quoted(user)) return "";
  const std::string ports = has_port(query.command) ? ':' + std::to_string(query.target->port) : "";
  return "allow " + (query.who->is_anonymous() ? "anonymous" : '"' + user + '"') + " from " +
         joined(addresses_to_name(question.source, false), "") + " to " + std::string(name(query.command)) + " " +
         joined(hosts_to_name(question), ports);
}

std::string rule_text(const RuleInfo& rule, std::string_view file) {
  const std::string line = std::to_string(rule.line);
  const std::string place = rule.line == 0 ? "built in"
                            : file.empty() ? "line " + line
                                           : std::string(file) + ":" + line;
  return rule.name + " (" + place + "): " + rule.text;
}

std::string decision_text(const Explanation& explanation, const Query& query) {
  switch (explanation.verdict.decision) {
    case Verdict::Decision::allow:
      return "allowed";
    case Verdict::Decision::undecided:
      return "undecided: it depends on the addresses of " + to_string(query.target->host);
    case Verdict::Decision::deny:
      break;
  }
  if (explanation.verdict.reason == Reason::deny_unspecified) return "denied: no rule opens the unspecified address";
  if (explanation.verdict.reason == Reason::deny_self) return "denied: that is a socket of this server itself";
  return explanation.rule ? "denied by a rule" : "denied: no rule allows it";
}

std::string facet_text(const Facet& facet) {
  const std::string target_class = facet.neutral ? "judged by what it embeds" : std::string(name(facet.target_class));
  std::string text = facet.address.to_string() + " (" + target_class;
  if (facet.form != FacetForm::address) text += ", embedded as " + std::string(name(facet.form));
  return text + ")";
}

}  // namespace

Explanation explain(const Policy& policy, const Query& query, const OwnAddresses& own) {
  Explanation explanation{.verdict = policy.decide(query, own)};
  const Question question(query, own);
  if (question.address) explanation.facets.assign(question.address->begin(), question.address->end());
  const std::vector<RuleInfo>& infos = policy.rules();
  const int decided_by = explanation.verdict.rule;
  if (decided_by >= 0) {
    explanation.rule = infos[static_cast<std::size_t>(decided_by)];
    explanation.options = option_texts(policy.options(decided_by));
  }

  const bool by_rules =
      explanation.verdict.decision != Verdict::Decision::deny || explanation.verdict.reason == Reason::deny_policy;
  const std::size_t walked = !by_rules ? 0 : decided_by >= 0 ? static_cast<std::size_t>(decided_by) : infos.size();
  for (std::size_t i = 0; i < walked; ++i) {
    const RuleMatch match = match_rule(policy.rule_set().rules[i], question, Search::all_mismatches);
    if (match.mismatches != 1 || match.why == Mismatch::host) continue;
    explanation.near_misses.push_back({.rule = infos[i], .why = match.why, .detail = detail_of(match, query)});
  }
  if (explanation.verdict.reason == Reason::deny_policy && question.address) {
    explanation.opening_rule = opening_rule(query, question);
  }
  return explanation;
}

std::string to_text(const Explanation& explanation, const Query& query, std::string_view file, std::string_view more) {
  std::string text = decision_text(explanation, query) + "\n";
  text += "  asked   " + std::string(name(query.command)) + " " +
          (has_port(query.command) ? query.target->to_string() : to_string(query.target->host)) + " by " +
          client_text(*query.who) + " from " + query.source.to_string() + " on " + to_text(query.at) + "\n";
  for (const Facet& facet : explanation.facets) text += "  address " + facet_text(facet) + "\n";
  if (explanation.rule) text += "  rule    " + rule_text(*explanation.rule, file) + "\n";
  for (const std::string& option : explanation.options) text += "  option  " + option + "\n";
  text += more;
  if (!explanation.near_misses.empty()) text += "  came close:\n";
  for (const NearMiss& near_miss : explanation.near_misses) {
    text += "    " + rule_text(near_miss.rule, file) + "\n      " + near_miss.detail + "\n";
  }
  if (!explanation.opening_rule.empty()) text += "  would be allowed by: " + explanation.opening_rule + "\n";
  return text;
}

}  // namespace stile::policy
