// The oracle of policy_model_test.cc: a policy and questions as plain words, and a verdict on them that shares nothing
// with the product but the comparison of an address with a prefix. Addresses are a short list whose facets and classes
// are written down by hand; every condition is spelled out from the design (5.3) and the security reference (1.1, 3.1,
// 3.3, 3.4). Not part of the product.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/policy_test_support.h"

namespace stile::policy::model {

using Decision = Verdict::Decision;
using Strings = std::vector<std::string>;

/// One facet of an address.
struct Piece {
  Piece(std::string_view text, std::string word) : address(policy::address(text)), target_class(std::move(word)) {}

  Address address;
  std::string target_class;  // "neutral" for the outside of NAT64
};

struct Place {
  Place(std::string_view text, std::vector<Piece> facets)
      : name(text), address(policy::address(text)), pieces(std::move(facets)) {}

  std::string name;
  Address address;
  std::vector<Piece> pieces;
};

// With 10.0.0.7, 8.8.4.4 and 2606:4700::7 being this host's own.
inline const std::vector<Place> places = {
    {"8.8.8.8", {{"8.8.8.8", "public"}}},
    {"8.8.4.4", {{"8.8.4.4", "self"}}},
    {"10.0.0.1", {{"10.0.0.1", "private"}}},
    {"10.0.0.7", {{"10.0.0.7", "self"}}},
    {"100.64.0.1", {{"100.64.0.1", "cgnat"}}},
    {"127.0.0.1", {{"127.0.0.1", "loopback"}}},
    {"169.254.1.1", {{"169.254.1.1", "link-local"}}},
    {"169.254.169.254", {{"169.254.169.254", "metadata"}}},
    {"224.0.0.1", {{"224.0.0.1", "multicast"}}},
    {"192.0.2.1", {{"192.0.2.1", "reserved"}}},
    {"2606:4700::1", {{"2606:4700::1", "public"}}},
    {"2606:4700::7", {{"2606:4700::7", "self"}}},
    {"fd00::1", {{"fd00::1", "private"}}},
    {"fd00:ec2::254", {{"fd00:ec2::254", "metadata"}}},
    {"::1", {{"::1", "loopback"}}},
    {"64:ff9b::808:808", {{"64:ff9b::808:808", "neutral"}, {"8.8.8.8", "public"}}},
    {"64:ff9b::a00:1", {{"64:ff9b::a00:1", "neutral"}, {"10.0.0.1", "private"}}},
    {"2002:808:808::1", {{"2002:808:808::1", "reserved"}, {"8.8.8.8", "public"}}},
    {"2606:4700::5efe:a00:1", {{"2606:4700::5efe:a00:1", "public"}, {"10.0.0.1", "private"}}},
    {"2001:0:808:808::f5ff:fffe",
     {{"2001:0:808:808::f5ff:fffe", "reserved"}, {"8.8.8.8", "public"}, {"10.0.0.1", "private"}}},
};

/// Where a client is: its facets, each with the words of a `from` that hold it. A neutral one need not be held.
struct SourcePiece {
  Strings words;
  bool neutral = false;
};
struct SourcePlace {
  std::string address;
  std::vector<SourcePiece> pieces;
};

inline const std::vector<SourcePlace> source_places = {
    {"198.51.100.9", {{{"198.51.100.9", "reserved"}}}},
    {"10.0.0.9", {{{"10.0.0.0/8", "10.0.0.0/24", "private"}}}},
    {"10.0.0.7", {{{"10.0.0.0/8", "10.0.0.0/24", "private", "self"}}}},
    {"8.8.8.8", {{{"public"}}}},
    {"169.254.169.254", {{{"link-local", "metadata"}}}},
    {"64:ff9b::a00:9", {{{"reserved", "64:ff9b::/96"}, true}, {{"10.0.0.0/8", "10.0.0.0/24", "private"}}}},
    {"2606:4700::5efe:a00:9", {{{"public"}}, {{"10.0.0.0/8", "10.0.0.0/24", "private"}}}},
};

struct ModelTarget {
  std::string host;            // any, a class, a prefix, a name, *.name or list:NAME
  std::optional<Cidr> prefix;  // where it is one
  std::string prefix_in;       // the class whose row of table 3.1 holds it; empty where none does
  std::vector<std::pair<int, int>> ports;
};

struct ModelWhen {
  int first_day = 0;  // 0: Monday; to last_day, both among them, never over the end of a week
  int last_day = 0;
  int first = 0;  // minutes of the day
  int last = 0;
};

struct ModelRule {
  bool allow = false;
  Strings who;
  Strings sources;  // empty: none given
  Strings commands;
  std::vector<ModelTarget> targets;
  std::vector<ModelWhen> when;
  bool redirect = false;
};

/// alice is in group staff, bob in staff and ops, carol in none.
inline Strings groups_of(const std::string& user) {
  if (user == "alice") return {"staff"};
  if (user == "bob") return {"staff", "ops"};
  return {};
}

struct ModelQuery {
  std::string user;  // empty: anonymous
  const SourcePlace* source = nullptr;
  std::string command;
  bool anywhere = false;         // no target at all
  std::string name;              // empty: a literal
  const Place* place = nullptr;  // absent: not resolved
  int port = 0;
  int day = 0;
  int minute = 0;
};

/// Lists, entry by entry.
struct ModelList {
  std::string name;
  Strings names;  // and *.names
  std::vector<Cidr> prefixes;
};
inline const std::vector<ModelList> lists = {
    {"ads", {"a.example", "*.b.example"}, {}},
    {"nets", {}, {cidr("8.8.8.0/24"), cidr("10.0.0.0/8"), cidr("2606:4700::/32")}},
    {"mixed", {"*.example"}, {cidr("169.254.169.254"), cidr("2002::/16"), cidr("64:ff9b::/96")}},
    {"empty", {}, {}},
};

inline const Strings classes = {"public",    "private",  "loopback", "link-local", "cgnat",
                                "multicast", "metadata", "reserved", "self"};
inline const Strings names = {"a.example", "b.example", "x.a.example", "x.b.example",
                              "c.test",    "*.example", "*.a.example", "*.test"};

inline bool is_one_of(const std::string& word, const Strings& words) {
  for (const std::string& each : words) {
    if (each == word) return true;
  }
  return false;
}

inline bool ends_with_label(const std::string& name, const std::string& suffix) {
  return name.size() > suffix.size() && name.substr(name.size() - suffix.size() - 1) == "." + suffix;
}

class Oracle {
 public:
  Oracle(const std::vector<ModelRule>& rules, const ModelQuery& query) : rules_(rules), query_(query) {}

  /// Decision and index of the rule, -1 where none has the last word.
  [[nodiscard]] std::pair<Decision, int> verdict() const {
    for (std::size_t i = 0; i < rules_.size(); ++i) {
      const ModelRule& rule = rules_[i];
      if (!who(rule) || !source(rule) || !command(rule) || !time(rule)) continue;
      const auto index = static_cast<int>(i);
      if (query_.anywhere) {
        if (rule.allow) return {Decision::undecided, -1};
        if (denies_everything(rule)) return {Decision::deny, index};
      } else if (query_.place == nullptr) {
        if (rule.allow && surely_allows(rule)) return {Decision::allow, index};
        if (rule.allow && could_allow(rule)) return {Decision::undecided, -1};
        if (!rule.allow && surely_denies(rule)) return {Decision::deny, index};
      } else if (rule.allow ? allows(rule) : denies(rule)) {
        return {rule.allow ? Decision::allow : Decision::deny, index};
      }
    }
    return {Decision::deny, -1};
  }

 private:
  [[nodiscard]] bool who(const ModelRule& rule) const {
    for (const std::string& word : rule.who) {
      if (word == "anyone") return true;
      if (word == "anonymous" && query_.user.empty()) return true;
      if (query_.user.empty()) continue;
      if (word == "authenticated" || word == query_.user) return true;
      for (const std::string& group : groups_of(query_.user)) {
        if (word == "group:" + group) return true;
      }
    }
    return false;
  }

  [[nodiscard]] bool source(const ModelRule& rule) const {
    if (rule.sources.empty()) return true;
    bool any = false;
    bool every = true;
    for (const SourcePiece& piece : query_.source->pieces) {
      bool held = false;
      for (const std::string& word : rule.sources) held = held || is_one_of(word, piece.words);
      any = any || held;
      every = every && (held || piece.neutral);
    }
    return rule.allow ? every : any;
  }

  [[nodiscard]] bool command(const ModelRule& rule) const {
    if (rule.commands.empty()) return !rule.allow || query_.command == "tcp";
    return is_one_of(query_.command, rule.commands);
  }

  [[nodiscard]] bool time(const ModelRule& rule) const {
    if (rule.when.empty()) return true;
    for (const ModelWhen& when : rule.when) {
      // Minute by minute of the span that began today or yesterday.
      const int length = (when.last - when.first + 1440 - 1) % 1440 + 1;
      for (const int days_ago : {0, 1}) {
        const int began = (query_.day + 7 - days_ago) % 7;
        const int since = query_.minute + 1440 * days_ago - when.first;
        if (when.first_day <= began && began <= when.last_day && since >= 0 && since < length) return true;
      }
    }
    return false;
  }

  [[nodiscard]] bool port(const ModelRule& rule, const ModelTarget& target) const {
    const bool portless = query_.command == "ping" || query_.command == "resolve";
    if (target.ports.empty()) return !(rule.allow && query_.command == "tcp" && query_.port == 25);
    if (portless) return !rule.commands.empty();
    for (const auto& [first, last] : target.ports) {
      if (first <= query_.port && query_.port <= last) return true;
    }
    return false;
  }

  [[nodiscard]] bool is_called(const std::string& pattern) const {
    if (query_.name.empty()) return false;
    if (pattern.starts_with("*.")) return ends_with_label(query_.name, pattern.substr(2));
    return pattern == query_.name;
  }

  static bool is_class(const ModelTarget& target) { return is_one_of(target.host, classes); }
  static const ModelList* list_of(const ModelTarget& target) {
    for (const ModelList& list : lists) {
      if (target.host == "list:" + list.name) return &list;
    }
    return nullptr;
  }

  [[nodiscard]] bool is_named(const ModelTarget& target) const {
    const ModelList* const list = list_of(target);
    if (list == nullptr) return is_called(target.host);
    for (const std::string& name : list->names) {
      if (is_called(name)) return true;
    }
    return false;
  }

  static bool lists_address(const ModelTarget& target, const Piece& piece) {
    const ModelList* const list = list_of(target);
    if (list == nullptr) return false;
    for (const Cidr& prefix : list->prefixes) {
      if (prefix.contains(piece.address)) return true;
    }
    return false;
  }

  [[nodiscard]] bool covers(const ModelRule& rule, const ModelTarget& target, const Piece& piece) const {
    const std::string& kind = piece.target_class;
    if (!port(rule, target)) return false;
    if (kind == "multicast" && query_.command != "udp") return false;
    if (target.host == "any") return kind == "public";
    if (is_class(target)) return target.host == kind;
    if (target.prefix) {
      if (!target.prefix->contains(piece.address)) return false;
      if (kind == "public") return true;
      const bool exact_host = target.host.find('/') == std::string::npos;
      return kind == "metadata" || kind == "self" ? exact_host : target.prefix_in == kind;
    }
    if (list_of(target) != nullptr) return kind == "public" && (is_named(target) || lists_address(target, piece));
    const bool soft = kind == "private" || kind == "cgnat";
    return is_named(target) && (kind == "public" || (soft && !target.host.starts_with("*.")));
  }

  [[nodiscard]] bool allows(const ModelRule& rule) const {
    for (const Piece& piece : query_.place->pieces) {
      if (piece.target_class == "neutral") continue;
      bool covered = false;
      for (const ModelTarget& target : rule.targets) covered = covered || covers(rule, target, piece);
      if (!covered) return false;
    }
    return true;
  }

  [[nodiscard]] bool denies(const ModelRule& rule) const {
    for (const ModelTarget& target : rule.targets) {
      if (!port(rule, target)) continue;
      if (target.host == "any" || is_named(target)) return true;
      for (const Piece& piece : query_.place->pieces) {
        if (is_class(target) && target.host == piece.target_class) return true;
        if (target.prefix && target.prefix->contains(piece.address)) return true;
        if (lists_address(target, piece)) return true;
      }
    }
    return false;
  }

  [[nodiscard]] bool could_allow(const ModelRule& rule) const {
    for (const ModelTarget& target : rule.targets) {
      const bool multicast = target.host == "multicast" || target.prefix_in == "multicast";
      if (!port(rule, target) || (multicast && query_.command != "udp")) continue;
      if (target.host == "any" || is_class(target) || target.prefix || is_named(target)) return true;
      const ModelList* const list = list_of(target);
      if (list != nullptr && !list->prefixes.empty()) return true;
    }
    return false;
  }

  // What is redirected by name goes elsewhere, whatever the name resolves to.
  [[nodiscard]] bool surely_allows(const ModelRule& rule) const {
    if (!rule.redirect) return false;
    for (const ModelTarget& target : rule.targets) {
      if (port(rule, target) && is_named(target)) return true;
    }
    return false;
  }

  [[nodiscard]] bool surely_denies(const ModelRule& rule) const {
    for (const ModelTarget& target : rule.targets) {
      if (port(rule, target) && (target.host == "any" || is_named(target))) return true;
    }
    return false;
  }

  static bool denies_everything(const ModelRule& rule) {
    for (const ModelTarget& target : rule.targets) {
      if (target.host == "any" && target.ports.empty()) return true;
    }
    return false;
  }

  const std::vector<ModelRule>& rules_;
  const ModelQuery& query_;
};

}  // namespace stile::policy::model
