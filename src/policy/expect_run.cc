// Holds expectations against a policy. What is said of everything is tried with enough cases to be true of everything:
// the answer of a policy changes only where a rule names a client, where a prefix of sources begins or ends, and when a
// `when` begins or ends. Of clients the least ones are enough: the more groups a client has, the more rules match it,
// so a rule that decides for any client decides for the one that matches it by that one word alone.
#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/limits.h"
#include "policy/classes.h"
#include "policy/expect.h"
#include "policy/match.h"
#include "policy/option_values.h"
#include "policy/supposition.h"
#include "policy/target_list.h"
#include "policy/words.h"

namespace stile::policy {
namespace {

using Names = std::set<std::string, std::less<>>;

struct Client {
  Identity who = Identity::anonymous();
  std::string text;  // for people
};

// All that a decision depends on; of the trial.
struct Case {
  const Target* target = nullptr;
  const Client* client = nullptr;
  const Address* source = nullptr;
  const WeekTime* at = nullptr;
};

// Spread over the public space: one of them is in no prefix that a rule names, unless the rules name nearly everything.
constexpr std::array<Address, 12> public_addresses{
    Address::v4(11, 67, 133, 9),  Address::v4(23, 67, 133, 9),  Address::v4(45, 67, 133, 9),
    Address::v4(63, 67, 133, 9),  Address::v4(93, 67, 133, 9),  Address::v4(104, 67, 133, 9),
    Address::v4(129, 67, 133, 9), Address::v4(146, 67, 133, 9), Address::v4(159, 67, 133, 9),
    Address::v4(185, 67, 133, 9), Address::v4(202, 67, 133, 9), Address::v4(217, 67, 133, 9)};

// The one that fewest of `count_of` count.
template <class Count>
Address least_named(Count count_of) {
  return *std::ranges::min_element(public_addresses, {}, count_of);
}

bool holds(const HostPattern& host, const Address& address) {
  if (const auto* const prefix = std::get_if<Cidr>(&host)) return prefix->contains(address);
  const auto* const list = std::get_if<ListRef>(&host);
  return list != nullptr && list->list->contains(address);
}

Address public_target(const RuleSet& rules) {
  return least_named([&](const Address& address) {
    std::size_t count = 0;
    for (const Rule& rule : rules.rules) {
      for (const TargetPattern& target : rule.targets) count += holds(target.host, address) ? 1 : 0;
    }
    return count;
  });
}

// The address behind the last one of a prefix; the first of all behind the last of all.
Address behind(const Address& base, unsigned length) {
  std::array<std::uint8_t, 16> octets{};
  const std::size_t size = base.octets().size();
  std::ranges::copy(base.octets(), octets.begin());
  unsigned carry = length == 0 ? 0 : 1U << (7 - (length - 1) % 8);
  for (std::size_t i = length == 0 ? 0 : (length - 1) / 8 + 1; i-- > 0 && carry != 0;) {
    const unsigned sum = octets[i] + carry;
    octets[i] = static_cast<std::uint8_t>(sum);
    carry = sum >> 8U;
  }
  return size == 4 ? Address::v4(std::span(octets).first<4>()) : Address::v6(octets);
}

class Trial {
 public:
  Trial(const Policy& policy, const Expectation& expectation, const OwnAddresses& own, const GroupsOf& groups_of,
        const Address& public_address)
      : policy_(policy), expectation_(expectation), own_(own), groups_of_(groups_of), public_(public_address) {}

  // What is wrong with the expectation; nothing where it holds.
  std::optional<std::string> fault(int rules_line);

 private:
  void collect_rules();
  void collect_clients();
  void add_client(const Who& who);
  void add_members(const std::vector<std::string>& groups, const std::string& text);
  void collect_sources();
  void add_sources_of_classes();
  void collect_moments();
  [[nodiscard]] bool about(const Rule& rule) const;
  [[nodiscard]] Query query(const Target& target, const std::optional<Address>& candidate) const;
  [[nodiscard]] std::optional<Address> candidate_of(const Target& target) const;
  [[nodiscard]] Verdict decide(const Case& tried) const;
  [[nodiscard]] bool holds_in(const Case& tried) const;
  [[nodiscard]] std::optional<std::string> fault_in_cases(int rules_line) const;
  [[nodiscard]] std::string describe(const Verdict& verdict, int rules_line) const;
  [[nodiscard]] std::string case_text(const Case& tried) const;

  const Policy& policy_;
  const Expectation& expectation_;
  const OwnAddresses& own_;
  const GroupsOf& groups_of_;
  Address public_;
  std::vector<const Rule*> rules_;  // whose command and target match
  Names users_;                     // that these name
  Names groups_;
  std::vector<Client> clients_;
  std::vector<Address> sources_;
  std::vector<WeekTime> moments_;
};

Query Trial::query(const Target& target, const std::optional<Address>& candidate) const {
  static const Identity anonymous = Identity::anonymous();
  return {.who = &anonymous,
          .source = public_,
          .command = expectation_.command,
          .target = &target,
          .candidate = candidate,
          .at = {}};
}

std::optional<Address> Trial::candidate_of(const Target& target) const {
  if (const Address* const literal = target.address()) return *literal;
  if (expectation_.resolving) return expectation_.resolving;
  return target.host_name()->is_or_below("localhost") ? Address::v4(127, 0, 0, 1) : public_;
}

bool Trial::about(const Rule& rule) const {
  return std::ranges::any_of(expectation_.targets, [&](const Target& target) {
    const auto matches = [&](const std::optional<Address>& candidate) {
      return match_request(rule, Question(query(target, candidate), own_)) != Certainty::no;
    };
    return matches(candidate_of(target)) || (target.host_name() != nullptr && matches(std::nullopt));
  });
}

void Trial::collect_rules() {
  for (const Rule& rule : policy_.rule_set().rules) {
    if (about(rule)) rules_.push_back(&rule);
  }
  for (const Rule* const rule : rules_) {
    for (const Who& who : rule->who) {
      if (const auto* const user = std::get_if<User>(&who)) users_.insert(user->name);
      if (const auto* const group = std::get_if<Group>(&who)) groups_.insert(group->name);
    }
  }
}

// A member of `groups` that no rule names, and each member that a rule names besides.
void Trial::add_members(const std::vector<std::string>& groups, const std::string& text) {
  std::string stranger = "someone";
  while (users_.contains(stranger)) stranger += '+';
  const auto with = [&](const std::string& group) {
    std::vector<std::string> more = groups;
    more.push_back(group);
    return more;
  };
  clients_.push_back({Supposition::user(stranger, groups), text});
  for (const std::string& group : groups_) {
    clients_.push_back({Supposition::user(stranger, with(group)), text + " in group:" + group});
  }
  for (const std::string& user : users_) {
    const auto known = groups_of_(user);
    const bool is_member = !known || std::ranges::all_of(groups, [&](const std::string& group) {
      return std::ranges::find(*known, group) != known->end();
    });
    if (is_member) clients_.push_back({Supposition::user(user, known.value_or(groups)), quoted(user)});
  }
}

void Trial::add_client(const Who& who) {
  const bool anyone = std::holds_alternative<Anyone>(who);
  if (anyone || std::holds_alternative<Anonymous>(who)) clients_.push_back({Identity::anonymous(), "anonymous"});
  if (anyone || std::holds_alternative<Authenticated>(who)) add_members({}, "a user");
  if (const auto* const group = std::get_if<Group>(&who))
    add_members({group->name}, "a member of group:" + group->name);
  if (const auto* const user = std::get_if<User>(&who)) {
    clients_.push_back({Supposition::user(user->name, groups_of_(user->name).value_or(std::vector<std::string>{})),
                        quoted(user->name)});
  }
}

void Trial::collect_clients() {
  for (const Who& who : expectation_.who) add_client(who);
}

void Trial::add_sources_of_classes() {
  const auto add = [&](const ClassPrefix& row) {
    const Address base =
        row.family == Family::ipv4 ? Address::v4(std::span(row.octets).first<4>()) : Address::v6(row.octets);
    // IPv4 in IPv6 is the IPv4 address, which has rows of its own.
    if ((row.family == Family::ipv4) != base.is_v4()) return;
    sources_.push_back(base);
    sources_.push_back(behind(base, row.length));
  };
  std::ranges::for_each(class_prefixes(), add);
  std::ranges::for_each(metadata_prefixes(), add);
  for (const Cidr& route : own_.local_routes) sources_.push_back(route.base);
  for (const Endpoint& socket : own_.sockets) sources_.push_back(socket.address);
}

void Trial::collect_sources() {
  if (expectation_.source) {
    sources_.push_back(*expectation_.source);
    return;
  }
  bool classes = false;
  std::vector<Cidr> prefixes;
  for (const Rule* const rule : rules_) {
    for (const Source& source : rule->sources) {
      const auto* const prefix = std::get_if<Cidr>(&source);
      classes = classes || prefix == nullptr;
      if (prefix != nullptr) prefixes.push_back(*prefix);
    }
  }
  sources_.push_back(least_named([&](const Address& address) {
    return std::ranges::count_if(prefixes, [&](const Cidr& prefix) { return prefix.contains(address); });
  }));
  for (const Cidr& prefix : prefixes) {
    sources_.push_back(prefix.base);
    sources_.push_back(behind(prefix.base, prefix.length));
  }
  if (classes) add_sources_of_classes();
}

void Trial::collect_moments() {
  if (expectation_.at) return moments_.push_back(*expectation_.at);
  constexpr unsigned minutes_of_day = 24 * 60;
  std::set<unsigned> minutes{0};  // of the week
  for (const Rule* const rule : rules_) {
    for (const When& when : rule->options.when) {
      for (unsigned day = 0; day < when.days.size(); ++day) {
        const unsigned last = when.last + (when.last <= when.first ? minutes_of_day : 0);
        const auto week = static_cast<unsigned>(when.days.size()) * minutes_of_day;
        if (!when.days[day]) continue;
        minutes.insert(day * minutes_of_day + when.first);
        minutes.insert((day * minutes_of_day + last) % week);
      }
    }
  }
  for (const unsigned minute : minutes) {
    moments_.push_back({.day = static_cast<std::uint8_t>(minute / minutes_of_day),
                        .minute = static_cast<std::uint16_t>(minute % minutes_of_day)});
  }
}

// As a server does: first by the name, then by its address.
Verdict Trial::decide(const Case& tried) const {
  Query asked = query(*tried.target, std::nullopt);
  asked.who = &tried.client->who;
  asked.source = *tried.source;
  asked.at = *tried.at;
  const Verdict verdict = policy_.decide(asked, own_);
  if (verdict.decision != Verdict::Decision::undecided) return verdict;
  asked.candidate = candidate_of(*tried.target);
  return policy_.decide(asked, own_);
}

std::string Trial::describe(const Verdict& verdict, int rules_line) const {
  if (verdict.reason == Reason::deny_unspecified) return "no rule opens the unspecified address";
  if (verdict.reason == Reason::deny_self) return "that is a socket of this server itself";
  if (verdict.rule < 0) return "no rule allows it";
  const RuleInfo& rule = policy_.rules()[static_cast<std::size_t>(verdict.rule)];
  const bool allowed = verdict.decision == Verdict::Decision::allow;
  return "'" + rule.name + "' (line " + std::to_string(rules_line + rule.line - 1) + ") " +
         (allowed ? "allows it" : "denies it");
}

bool Trial::holds_in(const Case& tried) const {
  return (decide(tried).decision == Verdict::Decision::allow) == expectation_.may;
}

// Of what the expectation left open, that which matters: with another client, source or time it would hold.
std::string Trial::case_text(const Case& tried) const {
  const auto holds_with = [&](const auto& values, auto member) {
    return std::ranges::any_of(values, [&](const auto& value) {
      Case other = tried;
      other.*member = &value;
      return holds_in(other);
    });
  };
  std::string text =
      holds_with(expectation_.targets, &Case::target) ? " on port " + std::to_string(tried.target->port) : "";
  if (holds_with(clients_, &Case::client)) text += " to " + tried.client->text;
  if (holds_with(sources_, &Case::source)) text += " from " + tried.source->to_string();
  if (holds_with(moments_, &Case::at)) text += " on " + to_text(*tried.at);
  return text;
}

std::optional<std::string> Trial::fault_in_cases(int rules_line) const {
  for (const Target& target : expectation_.targets) {
    for (const Client& client : clients_) {
      for (const Address& source : sources_) {
        for (const WeekTime& at : moments_) {
          const Case tried{.target = &target, .client = &client, .source = &source, .at = &at};
          if (holds_in(tried)) continue;
          return "expected '" + expectation_.text + "', but " + describe(decide(tried), rules_line) + case_text(tried);
        }
      }
    }
  }
  return std::nullopt;
}

std::optional<std::string> Trial::fault(int rules_line) {
  collect_rules();
  collect_clients();
  collect_sources();
  collect_moments();
  const std::size_t cases = sources_.size() * moments_.size();
  if (cases > limits::expectation_cases_max / clients_.size() / expectation_.targets.size()) {
    return "'" + expectation_.text + "' is about too many cases (narrow it with 'from' and 'at')";
  }
  return fault_in_cases(rules_line);
}

}  // namespace

std::vector<RuleError> failures(const Policy& policy, std::span<const Expectation> expectations,
                                const OwnAddresses& own, const GroupsOf& groups_of, int rules_line) {
  std::vector<RuleError> found;
  const Address public_address = public_target(policy.rule_set());
  for (const Expectation& expectation : expectations) {
    auto fault = Trial(policy, expectation, own, groups_of, public_address).fault(rules_line);
    if (fault) found.push_back({.line = expectation.line, .column = 1, .message = std::move(*fault)});
  }
  return found;
}

}  // namespace stile::policy
