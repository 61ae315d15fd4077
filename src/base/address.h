// Network addresses, host names and targets in their one canonical form. Everything that crosses the trust boundary
// (wire, rules, command line) becomes one of these here and is compared nowhere else. Pure; no DNS, no system calls.
// Sources: RFC 4291, and the host-name rules of the security reference (its section 4), whose table is
// host_name_test.cc.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/bytes.h"

namespace stile {

enum class Family : std::uint8_t { ipv4, ipv6 };

/// An IPv4 or IPv6 address, canonical by construction: an IPv4-mapped IPv6 address *is* the IPv4 address. Never holds
/// a zone. A value: copy and compare freely.
class Address {
 public:
  /// 0.0.0.0
  constexpr Address() noexcept = default;

  [[nodiscard]] static constexpr Address v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) noexcept {
    Address address;
    address.octets_[12] = a;
    address.octets_[13] = b;
    address.octets_[14] = c;
    address.octets_[15] = d;
    return address;
  }
  [[nodiscard]] static Address v4(std::span<const std::uint8_t, 4> octets) noexcept;
  /// Canonicalises: ::ffff:a.b.c.d becomes the IPv4 address a.b.c.d.
  [[nodiscard]] static Address v6(std::span<const std::uint8_t, 16> octets) noexcept;

  /// Strict text: dotted quad without leading zeros, or RFC 4291 text. No brackets, no zone, no surrounding space.
  [[nodiscard]] static std::optional<Address> parse(std::string_view text) noexcept;

  [[nodiscard]] constexpr Family family() const noexcept { return family_; }
  [[nodiscard]] constexpr bool is_v4() const noexcept { return family_ == Family::ipv4; }

  /// 4 octets for IPv4, 16 for IPv6; valid as long as this object.
  [[nodiscard]] ConstBytes octets() const noexcept {
    return is_v4() ? ConstBytes(octets_).last(4) : ConstBytes(octets_);
  }

  /// 0.0.0.0 or ::
  [[nodiscard]] bool is_unspecified() const noexcept;

  /// Dotted quad, or RFC 5952 text without brackets.
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const Address&, const Address&) = default;
  friend auto operator<=>(const Address&, const Address&) = default;

 private:
  Family family_ = Family::ipv4;
  std::array<std::uint8_t, 16> octets_{};  // an IPv4 address lies in the last four
};

/// An address with a transport port (host byte order).
struct Endpoint {
  Address address;
  std::uint16_t port = 0;

  /// "192.0.2.1:80" or "[2001:db8::1]:80".
  [[nodiscard]] std::string to_string() const;
  /// ADDRESS:PORT, an IPv6 address in brackets and in any RFC 4291 spelling; the port decimal without leading zeros.
  [[nodiscard]] static std::optional<Endpoint> parse(std::string_view text) noexcept;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

/// True where the first `bits` bits are the same; both are at least as long.
[[nodiscard]] inline bool same_prefix(ConstBytes a, ConstBytes b, unsigned bits) noexcept {
  const std::size_t whole = bits / 8;
  for (std::size_t i = 0; i < whole; ++i) {
    if (a[i] != b[i]) return false;
  }
  const unsigned rest = bits % 8;
  return rest == 0 || ((a[whole] ^ b[whole]) & (0xFF00U >> rest) & 0xFFU) == 0;
}

/// A prefix: all addresses of one family whose first `length` bits equal those of `base`.
struct Cidr {
  Address base;
  std::uint8_t length = 32;  // 0..32 or 0..128

  [[nodiscard]] bool contains(const Address& address) const noexcept;
  /// True when every address of `inner` is in this prefix.
  [[nodiscard]] bool contains(const Cidr& inner) const noexcept;
  /// "ADDRESS/LENGTH", or an address alone (a host prefix). Host bits must be zero.
  [[nodiscard]] static std::optional<Cidr> parse(std::string_view text) noexcept;
  /// The one address.
  [[nodiscard]] static Cidr host(const Address& address) noexcept;
  /// The address of this prefix whose host bits are those of `bits`, of whose end they are taken.
  [[nodiscard]] Address address_with(std::span<const std::uint8_t, 16> bits) const noexcept;
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const Cidr&, const Cidr&) = default;
};

/// A canonical DNS name: lower-case, no trailing dot, 1..253 octets of [a-z0-9-_.]. Only `canonical_host` makes one.
class HostName {
 public:
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  /// True for `name` itself and everything below it; `name` in canonical form, e.g. "localhost".
  [[nodiscard]] bool is_or_below(std::string_view name) const noexcept;

  friend bool operator==(const HostName&, const HostName&) = default;
  friend auto operator<=>(const HostName&, const HostName&) = default;

 private:
  friend class HostCanonicaliser;
  explicit HostName(std::string text) noexcept : text_(std::move(text)) {}
  std::string text_;
};

/// What a client may name as a host.
using Host = std::variant<Address, HostName>;

/// Why a host was refused; each has a token (`name`) for the log.
enum class HostRejection : std::uint8_t {
  empty,
  bad_byte,
  bad_colon,
  empty_label,
  label_too_long,
  name_too_long,
  leading_hyphen,
  numeric,
};

[[nodiscard]] std::string_view name(HostRejection rejection) noexcept;

struct HostError {
  HostRejection rejection = HostRejection::empty;
  std::uint8_t octet = 0;  // for bad_byte: the first octet that is not allowed

  friend bool operator==(const HostError&, const HostError&) = default;
};

/// The one canonicaliser (security reference, section 4.1): wire names, rule patterns, operator input.
/// `text` is octets as received, of any length and content. Never asks DNS.
[[nodiscard]] std::expected<Host, HostError> canonical_host(std::string_view text);

/// Address text without brackets, or the canonical name.
[[nodiscard]] std::string to_string(const Host& host);

/// Where a client wants to go.
struct Target {
  Host host = Address{};
  std::uint16_t port = 0;

  [[nodiscard]] const Address* address() const noexcept { return std::get_if<Address>(&host); }
  [[nodiscard]] const HostName* host_name() const noexcept { return std::get_if<HostName>(&host); }
  /// "name:80", "192.0.2.1:80" or "[2001:db8::1]:80".
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const Target&, const Target&) = default;
};

}  // namespace stile
