// Addresses as numbers, to search among many of them. Pure; any thread.
#pragma once

#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>

#include "base/address.h"

namespace stile::policy {

/// An IPv6 address.
struct Number128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend auto operator<=>(const Number128&, const Number128&) = default;
};

template <class Unsigned>
[[nodiscard]] Unsigned read_big_endian(const std::uint8_t* octets) noexcept {
  Unsigned value = 0;
  std::memcpy(&value, octets, sizeof value);
  return std::endian::native == std::endian::little ? std::byteswap(value) : value;
}

/// Of an IPv4 address.
[[nodiscard]] inline std::uint32_t number32_of(const Address& address) noexcept {
  return read_big_endian<std::uint32_t>(address.octets().data());
}

/// Of an IPv6 address.
[[nodiscard]] inline Number128 number128_of(const Address& address) noexcept {
  const std::uint8_t* const octets = address.octets().data();
  return {.high = read_big_endian<std::uint64_t>(octets), .low = read_big_endian<std::uint64_t>(octets + 8)};
}

/// The lowest `bits` bits, all of them from 64 on.
[[nodiscard]] constexpr std::uint64_t low_ones(unsigned bits) noexcept {
  return bits >= 64 ? UINT64_MAX : (std::uint64_t{1} << bits) - 1;
}

/// The last address of a prefix that begins with `first`.
[[nodiscard]] constexpr std::uint32_t last_of(std::uint32_t first, unsigned length) noexcept {
  return first | static_cast<std::uint32_t>(low_ones(32U - length));
}
[[nodiscard]] constexpr Number128 last_of(const Number128& first, unsigned length) noexcept {
  const unsigned free_bits = 128U - length;
  return {.high = first.high | (free_bits > 64 ? low_ones(free_bits - 64) : 0), .low = first.low | low_ones(free_bits)};
}

}  // namespace stile::policy
