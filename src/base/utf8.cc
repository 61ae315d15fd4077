#include "base/utf8.h"

#include <cstddef>
#include <cstdint>

namespace stile {
namespace {

struct Lead {
  std::size_t following = 0;
  std::uint32_t bits = 0;
  std::uint32_t least = 0;  // that needs so many octets
};

constexpr Lead lead_of(unsigned char octet) noexcept {
  if (octet >= 0xC2 && octet < 0xE0) return {1, octet & 0x1FU, 0x80};
  if (octet >= 0xE0 && octet < 0xF0) return {2, octet & 0x0FU, 0x800};
  if (octet >= 0xF0 && octet < 0xF5) return {3, octet & 0x07U, 0x10000};
  return {};
}

}  // namespace

bool is_utf8(std::string_view octets) noexcept {
  for (std::size_t at = 0; at < octets.size(); ++at) {
    const auto first = static_cast<unsigned char>(octets[at]);
    if (first < 0x80) continue;
    const Lead lead = lead_of(first);
    if (lead.following == 0 || octets.size() - at <= lead.following) return false;
    std::uint32_t value = lead.bits;
    for (std::size_t i = 0; i < lead.following; ++i) {
      const auto next = static_cast<unsigned char>(octets[++at]);
      if ((next & 0xC0) != 0x80) return false;
      value = (value << 6) | (next & 0x3FU);
    }
    if (value < lead.least || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return false;
  }
  return true;
}

}  // namespace stile
