#include "policy/policy.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"
#include "policy/index.h"
#include "policy/match.h"
#include "policy/rules.h"

namespace stile::policy {
namespace {

// What a local user could reach without Stile. IPv6 link-local is left out: it means nothing without a zone. Ports are
// named so that tcp 25 is among them. The source is named too: the preset opens nothing even where it is misapplied.
constexpr std::string_view loopback_rules =
    "loopback-preset: allow anyone from loopback to tcp udp bind ping resolve public:0-65535, loopback:0-65535, "
    "self:0-65535, private:0-65535, cgnat:0-65535, 169.254.0.0/16:0-65535";

constexpr std::array<std::string_view, 5> command_names = {"tcp", "udp", "bind", "ping", "resolve"};

bool may_be_anonymous(const Rule& rule) {
  return std::ranges::any_of(rule.who, [](const Who& who) {
    return std::holds_alternative<Anyone>(who) || std::holds_alternative<Anonymous>(who);
  });
}

// Behind such a rule no anonymous client is left.
bool denies_every_anonymous(const Rule& rule) {
  return !rule.allow && may_be_anonymous(rule) && rule.sources.empty() && rule.commands.empty() &&
         rule.options.when.empty() && std::ranges::any_of(rule.targets, [](const TargetPattern& target) {
           return std::holds_alternative<Any>(target.host) && target.ports.empty();
         });
}

std::optional<TargetClass> hard_class_of(const TargetPattern& target) {
  if (const auto* prefix = std::get_if<Cidr>(&target.host)) return hard_class_opened_by(*prefix);
  const auto* named = std::get_if<TargetClass>(&target.host);
  if (named == nullptr || !is_hard(*named)) return std::nullopt;
  return *named;
}

}  // namespace

std::string_view name(Command command) noexcept {
  return command_names[static_cast<std::size_t>(command)];
}

Policy::Policy(std::unique_ptr<const RuleSet> rules)
    : rules_(std::move(rules)), index_(std::make_unique<const PolicyIndex>(rules_->rules)) {}
Policy::Policy(Policy&&) noexcept = default;
Policy& Policy::operator=(Policy&&) noexcept = default;
Policy::~Policy() = default;

std::expected<Policy, std::vector<RuleError>> Policy::compile(std::string_view rules, const Lists& lists,
                                                              const Upstreams& upstreams) {
  auto set = parse_rules(rules, lists, upstreams);
  if (!set) return std::unexpected(std::move(set.error()));
  return Policy(std::make_unique<const RuleSet>(std::move(*set)));
}

Policy Policy::loopback_preset() {
  auto set = parse_rules(loopback_rules);
  STILE_ASSERT(set.has_value());
  for (RuleInfo& info : set->infos) info.line = 0;
  return Policy(std::make_unique<const RuleSet>(std::move(*set)));
}

Policy Policy::deny_all() {
  return Policy(std::make_unique<const RuleSet>());
}

Verdict Policy::decide(const Query& query, const OwnAddresses& own) const {
  STILE_ASSERT(query.who != nullptr);
  const Question question(query, own);
  if (const Reason reason = refused_beyond_rules(question, own); reason != Reason::none) return {.reason = reason};
  const auto decider = index_->first(question);
  if (!decider) return {};
  if (decider->certainty == Certainty::maybe) return {.decision = Verdict::Decision::undecided, .reason = Reason::none};
  const bool allow = rules_->rules[decider->rule].allow;
  return {.decision = allow ? Verdict::Decision::allow : Verdict::Decision::deny,
          .reason = allow ? Reason::none : Reason::deny_policy,
          .rule = static_cast<int>(decider->rule)};
}

const std::vector<RuleInfo>& Policy::rules() const noexcept {
  return rules_->infos;
}

const Options& Policy::options(int rule) const noexcept {
  static const Options none;
  return rule < 0 ? none : rules_->rules[static_cast<std::size_t>(rule)].options;
}

bool Policy::has_quotas() const noexcept {
  return std::ranges::any_of(rules_->rules, [](const Rule& rule) { return !rule.options.quotas.empty(); });
}

bool Policy::every_anonymous_allow_names_its_sources() const noexcept {
  for (const Rule& rule : rules_->rules) {
    if (rule.allow && may_be_anonymous(rule) && rule.sources.empty()) return false;
    if (denies_every_anonymous(rule)) return true;
  }
  return true;
}

std::vector<RuleError> Policy::warnings() const {
  std::vector<RuleError> warnings;
  for (std::size_t i = 0; i < rules_->rules.size(); ++i) {
    if (!rules_->rules[i].allow) continue;
    for (const TargetPattern& target : rules_->rules[i].targets) {
      const auto opened = hard_class_of(target);
      if (!opened) continue;
      warnings.push_back({.line = rules_->infos[i].line,
                          .column = target.column,
                          .message = "'" + rules_->infos[i].name + "' opens the class '" + std::string(name(*opened)) +
                                     "', which is closed for good reason"});
    }
  }
  return warnings;
}

}  // namespace stile::policy
