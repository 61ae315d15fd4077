// What only this host can reach. Pure; tested in address_test.cc.
#pragma once

#include <cstdint>

#include "base/address.h"

namespace stile {

/// 127.0.0.0/8 and ::1. An unspecified address is not: it means every address of the host.
[[nodiscard]] inline bool is_loopback(const Address& address) noexcept {
  constexpr Cidr ipv4{Address::v4(127, 0, 0, 0), 8};
  constexpr std::uint8_t one[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return ipv4.contains(address) || address == Address::v6(one);
}

}  // namespace stile
