// Short forms for the tests of this room: addresses, targets and identities from text. Not part of the product.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/assert.h"
#include "base/identity.h"
#include "policy/policy.h"

namespace stile::auth {

// Stands in for the maker of identities, which lives in a room above this one.
class Authenticator {
 public:
  static Identity make(std::string user, std::vector<std::string> groups = {}) {
    return Identity(std::move(user), std::move(groups));
  }
};

}  // namespace stile::auth

namespace stile::policy {

inline Address address(std::string_view text) {
  const auto parsed = Address::parse(text);
  STILE_ASSERT(parsed.has_value());
  return *parsed;
}

inline Cidr cidr(std::string_view text) {
  const auto parsed = Cidr::parse(text);
  STILE_ASSERT(parsed.has_value());
  return *parsed;
}

inline Target target(std::string_view host, std::uint16_t port) {
  auto canonical = canonical_host(host);
  STILE_ASSERT(canonical.has_value());
  return Target{.host = std::move(*canonical), .port = port};
}

inline Policy compiled(std::string_view rules) {
  auto policy = Policy::compile(rules);
  STILE_ASSERT(policy.has_value());
  return std::move(*policy);
}

// One client at one place asking a policy, with everything changeable.
struct Asker {
  Identity who = Identity::anonymous();
  Address source = address("198.51.100.9");
  OwnAddresses own;

  [[nodiscard]] Verdict verdict(const Policy& policy, Command command, const Target& target,
                                std::optional<Address> candidate = std::nullopt) const {
    return policy.decide({.who = &who, .source = source, .command = command, .target = &target, .candidate = candidate},
                         own);
  }
  // A literal, or a name that resolved to `resolved`.
  [[nodiscard]] Verdict tcp(const Policy& policy, std::string_view host, std::uint16_t port,
                            std::string_view resolved = "") const {
    const auto candidate = resolved.empty() ? std::nullopt : std::optional(address(resolved));
    return verdict(policy, Command::tcp, target(host, port), candidate);
  }
  [[nodiscard]] bool allows(std::string_view rules, std::string_view host, std::uint16_t port = 443,
                            std::string_view resolved = "") const {
    return tcp(compiled(rules), host, port, resolved).decision == Verdict::Decision::allow;
  }
  [[nodiscard]] bool allows(std::string_view rules, Command command, std::string_view host,
                            std::uint16_t port = 443) const {
    return verdict(compiled(rules), command, target(host, port)).decision == Verdict::Decision::allow;
  }
};

}  // namespace stile::policy
