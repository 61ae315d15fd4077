// Short forms for the tests of this room: addresses, targets and identities from text. Not part of the product.
#pragma once

#include <array>
#include <cstdint>
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

// Every IPv6 form that carries `quad`, security reference 3.3; the first is mapped and thus the same address.
inline std::vector<Address> encodings(std::array<std::uint8_t, 4> quad) {
  const auto filled = [](std::initializer_list<std::pair<std::size_t, std::uint8_t>> octets) {
    std::array<std::uint8_t, 16> address{};
    for (const auto& [at, value] : octets) address[at] = value;
    return Address::v6(address);
  };
  const auto [a, b, c, d] = quad;
  const auto inverse = [](std::uint8_t octet) { return static_cast<std::uint8_t>(~octet); };
  return {
      filled({{10, 0xff}, {11, 0xff}, {12, a}, {13, b}, {14, c}, {15, d}}),
      filled({{8, 0xff}, {9, 0xff}, {12, a}, {13, b}, {14, c}, {15, d}}),
      filled({{12, a}, {13, b}, {14, c}, {15, d}}),
      filled({{1, 0x64}, {2, 0xff}, {3, 0x9b}, {12, a}, {13, b}, {14, c}, {15, d}}),
      filled({{1, 0x64}, {2, 0xff}, {3, 0x9b}, {5, 1}, {6, a}, {7, b}, {9, c}, {10, d}}),
      filled({{1, 0x64}, {2, 0xff}, {3, 0x9b}, {5, 1}, {7, a}, {9, b}, {10, c}, {11, d}}),
      filled({{1, 0x64}, {2, 0xff}, {3, 0x9b}, {5, 1}, {9, a}, {10, b}, {11, c}, {12, d}}),
      filled({{1, 0x64}, {2, 0xff}, {3, 0x9b}, {5, 1}, {12, a}, {13, b}, {14, c}, {15, d}}),
      filled({{0, 0x20}, {1, 0x02}, {2, a}, {3, b}, {4, c}, {5, d}, {15, 1}}),
      filled({{0, 0x20}, {1, 0x01}, {4, a}, {5, b}, {6, c}, {7, d}, {12, 0xf7}, {13, 0xf7}, {14, 0xf7}, {15, 0xf7}}),
      filled({{0, 0x20},
              {1, 0x01},
              {4, 8},
              {5, 8},
              {6, 8},
              {7, 8},
              {12, inverse(a)},
              {13, inverse(b)},
              {14, inverse(c)},
              {15, inverse(d)}}),
      filled({{0, 0x26}, {1, 0x06}, {2, 0x47}, {10, 0x5e}, {11, 0xfe}, {12, a}, {13, b}, {14, c}, {15, d}}),
      filled({{0, 0x26}, {1, 0x06}, {2, 0x47}, {8, 2}, {10, 0x5e}, {11, 0xfe}, {12, a}, {13, b}, {14, c}, {15, d}}),
  };
}

inline std::array<std::uint8_t, 4> quad_of(const Address& v4) {
  const ConstBytes octets = v4.octets();
  return {octets[0], octets[1], octets[2], octets[3]};
}

// One client at one place asking a policy, with everything changeable.
struct Asker {
  Identity who = Identity::anonymous();
  Address source = address("198.51.100.9");
  OwnAddresses own;

  [[nodiscard]] Verdict verdict(const Policy& policy, Command command, const Target& target,
                                std::optional<Address> candidate = std::nullopt) const {
    return policy.decide(
        {.who = &who, .source = source, .command = command, .target = &target, .candidate = candidate, .at = {}}, own);
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
