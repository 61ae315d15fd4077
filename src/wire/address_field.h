// ATYP, address and port, as SOCKS5 requests, replies and datagram headers carry them (RFC 1928 sections 4 to 7):
//
//   +------+----------+------+     ATYP 01: 4 octets, IPv4
//   | ATYP |   ADDR   | PORT |     ATYP 03: a length octet n, then n octets of name, no terminator
//   +------+----------+------+     ATYP 04: 16 octets, IPv6
//   |  1   | variable |  2   |
//   +------+----------+------+
//
// Refuses: to judge. Unspecified addresses, port 0 and impossible names are values here; the session decides.
// Threading: values and pure functions. Tested in socks5_test.cc, with the messages that hold such a field.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/bytes.h"
#include "base/reason.h"

namespace stile::wire {

enum class AddressType : std::uint8_t { ipv4 = 0x01, name = 0x03, ipv6 = 0x04 };

/// ATYP, a length octet, 255 octets of name, the port.
inline constexpr std::size_t address_field_octets_max = 1 + 1 + 255 + 2;

struct AddressField {
  AddressType type = AddressType::ipv4;             // as sent: an IPv4-mapped address has type ipv6 and an IPv4 host
  std::expected<Host, HostError> host = Address{};  // canonical, or why it names no host
  std::string received_name;                        // octets of a name as sent, for the log; empty for address types
  std::uint16_t port = 0;

  /// Absent when the name was refused.
  [[nodiscard]] std::optional<Target> target() const;
  /// A name of no octets: "unspecified" in BIND and UDP ASSOCIATE, an error in CONNECT.
  [[nodiscard]] bool is_empty_name() const noexcept;

  friend bool operator==(const AddressField&, const AddressField&) = default;
};

/// Why a request with such a name fails: request_name or name_impossible.
[[nodiscard]] Reason reason_of(const HostError& error) noexcept;

/// Absent for an octet that RFC 1928 does not define.
[[nodiscard]] std::optional<AddressType> known_address_type(std::uint8_t octet) noexcept;

/// Reads what follows an ATYP octet of `type`. Absent when the input is too short.
[[nodiscard]] std::optional<AddressField> read_address_field(ByteReader& reader, AddressType type);

/// Writes ATYP, address and port.
void write_address_field(ByteWriter& writer, const Target& target) noexcept;

}  // namespace stile::wire
