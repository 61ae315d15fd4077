// A range of transport ports, both ends included. A value; pure.
#pragma once

#include <cstdint>

namespace stile {

struct PortRange {
  std::uint16_t first = 0;  // 0 to 0: any port that the kernel chooses
  std::uint16_t last = 0;

  [[nodiscard]] constexpr std::uint32_t size() const noexcept { return std::uint32_t{last} - first + 1U; }
  friend constexpr bool operator==(const PortRange&, const PortRange&) = default;
};

}  // namespace stile
