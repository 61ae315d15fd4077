// The policy: rules as values, compiled once, asked for every target address. Pure: no DNS, no clock, no I/O. A Policy
// is immutable after it is made and may be read from any thread.
// Grammar: the design's section 5.3. Classes, facets and the walk: security reference, section 3.
// Refuses: certificate names, which this build does not know (a located error).
// Rules are indexed, not scanned: index.h. Tested in policy_test.cc and policy_model_test.cc, the parser in
// rules_test.cc; fuzzed in rules_fuzz.cc.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/identity.h"
#include "base/reason.h"
#include "policy/options.h"

namespace stile::policy {

/// What a client wants to do, in the policy language's words. CONNECT and HTTP are `tcp`.
enum class Command : std::uint8_t { tcp, udp, bind, ping, resolve };

[[nodiscard]] std::string_view name(Command command) noexcept;

/// Stile's own reach, which no rule may open: addresses of this host (class `self`) and the sockets Stile listens on.
struct OwnAddresses {
  std::vector<Cidr> local_routes;  // every route of type local, loopback excepted
  std::vector<Endpoint> sockets;  // Stile's own listeners, loopback ones included; an unspecified address means any own
};

/// One thing to decide. `who` and `target` are never null. Pointers must outlive the call.
struct Query {
  const Identity* who = nullptr;
  Address source;  // the client's address
  Command command = Command::tcp;
  const Target* target = nullptr;    // as the client asked; nullptr: nothing in particular, each peer is decided later
  std::optional<Address> candidate;  // the address to be dialled; absent before the name is resolved. Absent for an
                                     // address literal means that literal
  WeekTime at;                       // when it is asked, by the server's clock
};

struct Verdict {
  enum class Decision : std::uint8_t {
    allow,
    deny,
    undecided,  // candidate absent: depends on what the name resolves to
  };
  Decision decision = Decision::deny;
  Reason reason = Reason::deny_policy;  // Reason::none for an allow
  int rule = -1;                        // index into Policy::rules(), or -1: none matched, or refused beyond all rules
};

/// A rule for people: its name (or "rule N"), its text, its line in the rules text (1-based).
struct RuleInfo {
  std::string name;
  std::string text;
  int line = 0;  // 0: built in
};

/// A fault in the rules text.
struct RuleError {
  int line = 0;         // 1-based within the rules text
  int column = 0;       // 1-based
  std::string message;  // "unknown class 'pubic' (did you mean 'public'?)"
};

class PolicyIndex;  // index.h
struct RuleSet;     // rules.h
class TargetList;   // target_list.h

/// What `list:NAME` may name in rules; no value is null.
using Lists = std::map<std::string, std::shared_ptr<const TargetList>, std::less<>>;

/// An upstream, as far as it matters to rules.
struct UpstreamTraits {
  bool takes_names = false;  // a name goes to it as it is
  std::size_t hops = 1;
};
/// What `via` may name.
using Upstreams = std::map<std::string, UpstreamTraits, std::less<>>;

class Policy {
 public:
  /// Compiles rules; all faults are reported, in line order.
  [[nodiscard]] static std::expected<Policy, std::vector<RuleError>> compile(std::string_view rules,
                                                                             const Lists& lists = {},
                                                                             const Upstreams& upstreams = {});
  /// For connections over loopback without a [policy]: what a local user could reach (security reference, 1.1).
  [[nodiscard]] static Policy loopback_preset();
  /// For every other listener without a [policy].
  [[nodiscard]] static Policy deny_all();

  Policy(Policy&&) noexcept;
  Policy& operator=(Policy&&) noexcept;
  ~Policy();

  /// First match decides; nothing matched is denied. With `candidate` absent and a host name asked for, the walk runs
  /// with the address unknown: deny only when a deny is certain, allow only where the name is not to be resolved here
  /// (`redirect`, `via` an upstream that takes names), undecided otherwise. Beyond all rules: 0.0.0.0 and ::
  /// are deny_unspecified, Stile's own sockets deny_self, both in every encoding.
  [[nodiscard]] Verdict decide(const Query& query, const OwnAddresses& own) const;

  /// In file order.
  [[nodiscard]] const std::vector<RuleInfo>& rules() const noexcept;
  /// Of the rule that a verdict names; those of -1 are empty.
  [[nodiscard]] const Options& options(int rule) const noexcept;
  /// The rules as values (rules.h), for whoever says something about them: explain, expectations, cautions.
  [[nodiscard]] const RuleSet& rule_set() const noexcept { return *rules_; }

  /// True when some rule has a quota.
  [[nodiscard]] bool has_quotas() const noexcept;

  /// True when every allow rule that could admit a client without authentication names its sources (a `from`): then
  /// an unauthenticated listener is not an open proxy. Also true when no rule admits such a client at all.
  [[nodiscard]] bool every_anonymous_allow_names_its_sources() const noexcept;

  /// What `stile check` warns of: each allow rule that opens a hard class (security reference, 3.1). In rule order.
  [[nodiscard]] std::vector<RuleError> warnings() const;

 private:
  explicit Policy(std::unique_ptr<const RuleSet> rules);
  std::unique_ptr<const RuleSet> rules_;      // null only when moved from, as is
  std::unique_ptr<const PolicyIndex> index_;  // that of rules_
};

}  // namespace stile::policy
