// The policy: rules as values, compiled once, asked for every target address. Pure: no DNS, no clock, no I/O. A Policy
// is immutable after it is made and may be read from any thread.
// Grammar: the design's section 5.3. Classes, facets and the walk: security reference, section 3. This part knows rules
// without options and users; it is tested in policy_test.cc, classes_test.cc, and fuzzed in rules_fuzz.cc.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/identity.h"
#include "base/reason.h"

namespace stile::policy {

/// What a client wants to do, in the policy language's words. CONNECT and HTTP are `tcp`.
enum class Command : std::uint8_t { tcp, udp, bind, ping, resolve };

[[nodiscard]] std::string_view name(Command command) noexcept;

/// Stile's own reach, which no rule may open: addresses of this host (class `self`) and the sockets Stile listens on.
struct OwnAddresses {
  std::vector<Cidr> local_routes;  // every route of type local, loopback excepted
  std::vector<Endpoint> sockets;   // Stile's own listeners, loopback ones included; an unspecified address means any own
};

/// One thing to decide. Pointers must outlive the call.
struct Query {
  const Identity* who = nullptr;
  Address source;                    // the client's address
  Command command = Command::tcp;
  const Target* target = nullptr;    // as the client asked
  std::optional<Address> candidate;  // the address to be dialled; absent before the name is resolved
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
  int line = 0;
};

/// A fault in the rules text.
struct RuleError {
  int line = 0;    // 1-based within the rules text
  int column = 0;  // 1-based
  std::string message;  // "unknown class 'pubic' (did you mean 'public'?)"
};

class Policy {
 public:
  /// Compiles rules; all faults are reported, in line order.
  [[nodiscard]] static std::expected<Policy, std::vector<RuleError>> compile(std::string_view rules);
  /// For connections over loopback without a [policy]: what a local user could reach (security reference, 1.1).
  [[nodiscard]] static Policy loopback_preset();
  /// For every other listener without a [policy].
  [[nodiscard]] static Policy deny_all();

  Policy(Policy&&) noexcept;
  Policy& operator=(Policy&&) noexcept;
  ~Policy();

  /// First match decides; nothing matched is denied. With `candidate` absent and a host name asked for, the walk runs
  /// with the address unknown: deny only when a deny is certain, undecided otherwise.
  [[nodiscard]] Verdict decide(const Query& query, const OwnAddresses& own) const;

  /// In file order.
  [[nodiscard]] const std::vector<RuleInfo>& rules() const noexcept;

  /// True when some allow rule could admit a client without authentication from a source that is not loopback only
  /// because it names its sources (a `from`): then an unauthenticated listener is not an open proxy.
  [[nodiscard]] bool every_anonymous_allow_names_its_sources() const noexcept;

 private:
  struct Compiled;
  explicit Policy(std::unique_ptr<const Compiled> compiled) noexcept;
  std::unique_ptr<const Compiled> compiled_;
};

}  // namespace stile::policy
