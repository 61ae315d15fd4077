// Any text as rules: compile never crashes; what compiles decides a few questions, explains them alike, and never opens
// the unspecified address or a socket of Stile's own.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "policy/explain.h"
#include "policy/policy.h"

namespace {

using namespace stile;

void check_errors(const std::vector<policy::RuleError>& errors, std::string_view text) {
  STILE_ASSERT(!errors.empty());
  int line = 1;
  for (const policy::RuleError& error : errors) {
    STILE_ASSERT(error.line >= line && error.column >= 1 && !error.message.empty());
    STILE_ASSERT(static_cast<std::size_t>(error.column) <= text.size() + 1);
    line = error.line;
  }
}

void check_question(const policy::Policy& policy, const policy::Query& query, const policy::OwnAddresses& own) {
  const policy::Verdict verdict = policy.decide(query, own);
  const policy::Explanation explanation = policy::explain(policy, query, own);
  STILE_ASSERT(explanation.verdict.decision == verdict.decision && explanation.verdict.rule == verdict.rule);
  STILE_ASSERT(verdict.rule < static_cast<int>(policy.rules().size()));
  STILE_ASSERT(!policy::to_text(explanation, query).empty());
  const bool allowed = verdict.decision == policy::Verdict::Decision::allow;
  const bool redirected = policy.options(verdict.rule).redirect.has_value();
  STILE_ASSERT(!allowed || (verdict.reason == Reason::none && (query.candidate.has_value() || redirected)));
  if (!allowed || !query.candidate) return;
  STILE_ASSERT(!query.candidate->is_unspecified());
  const bool is_own = *query.candidate == own.sockets[0].address && query.target->port == own.sockets[0].port;
  STILE_ASSERT(!is_own || !(query.command == policy::Command::tcp || query.command == policy::Command::udp));
}

void check_policy(const policy::Policy& policy) {
  const policy::OwnAddresses own{.local_routes = {Cidr{.base = Address::v4(10, 0, 0, 7)}},
                                 .sockets = {{.address = Address::v4(127, 0, 0, 1), .port = 443}}};
  const Identity anonymous = Identity::anonymous();
  static constexpr std::string_view addresses[] = {"8.8.8.8",         "10.0.0.1",       "10.0.0.7",
                                                   "127.0.0.1",       "0.0.0.0",        "169.254.169.254",
                                                   "2002:808:808::1", "64:ff9b::a00:1", "224.0.0.1"};
  for (const std::uint16_t port : {std::uint16_t{443}, std::uint16_t{25}}) {
    const Target named{.host = *canonical_host("www.example.com"), .port = port};
    for (const policy::Command command : {policy::Command::tcp, policy::Command::udp, policy::Command::ping}) {
      policy::Query query{.who = &anonymous,
                          .source = Address::v4(10, 0, 0, 9),
                          .command = command,
                          .target = &named,
                          .candidate = std::nullopt};
      check_question(policy, query, own);
      for (const std::string_view text : addresses) {
        query.candidate = Address::parse(text);
        check_question(policy, query, own);
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto policy = policy::Policy::compile(text);
  if (!policy) {
    check_errors(policy.error(), text);
    return 0;
  }
  static_cast<void>(policy->every_anonymous_allow_names_its_sources());
  static_cast<void>(policy->warnings());
  // What a rule says of itself compiles to the same rule.
  std::string again;
  for (const policy::RuleInfo& rule : policy->rules()) again += rule.text + "\n";
  const auto same = policy::Policy::compile(again);
  STILE_ASSERT(same.has_value() && same->rules().size() == policy->rules().size());
  check_policy(*policy);
  return 0;
}
