#include "protect/datagram_layers.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "wire/udp_header.h"

namespace stile::protect {
namespace {

/// How long the header is with which it begins, if it is one.
std::optional<std::size_t> header_octets(ConstBytes datagram) {
  const auto decoded = wire::decode_udp_header(datagram);
  const auto* const header = std::get_if<wire::Parsed<wire::UdpHeader>>(&decoded);
  if (header == nullptr) return std::nullopt;
  return header->consumed;
}

}  // namespace

bool DatagramLayers::any() const noexcept {
  return std::ranges::any_of(relays_, [](const GssStream* relay) { return relay != nullptr; });
}

/// Behind it everything is plain; asked only where there is one.
std::size_t DatagramLayers::last_protected() const noexcept {
  std::size_t last = relays_.size() - 1;
  while (relays_[last] == nullptr) --last;
  return last;
}

bool DatagramLayers::wrap(ConstBytes plain, std::vector<std::uint8_t>& datagram) {
  const std::size_t last = last_protected();
  // Where in `plain` begins what each relay reads.
  std::vector<std::size_t> begins{0};
  for (std::size_t i = 0; i < last; ++i) {
    const auto header = header_octets(plain.subspan(begins[i]));
    if (!header) return false;
    begins.push_back(begins[i] + *header);
  }
  std::vector<std::uint8_t> inner(plain.begin() + static_cast<std::ptrdiff_t>(begins[last]), plain.end());
  for (std::size_t i = last + 1; i-- > 0;) {
    if (i != last) {
      const ConstBytes header = plain.subspan(begins[i], begins[i + 1] - begins[i]);
      inner.insert(inner.begin(), header.begin(), header.end());
    }
    if (relays_[i] == nullptr) continue;
    std::vector<std::uint8_t> wrapped;
    if (!relays_[i]->wrap_datagram(inner, wrapped)) return false;
    inner = std::move(wrapped);
  }
  datagram.insert(datagram.end(), inner.begin(), inner.end());
  return true;
}

bool DatagramLayers::unwrap(ConstBytes datagram, std::vector<std::uint8_t>& plain) {
  const std::size_t last = last_protected();
  std::vector<std::uint8_t> inner(datagram.begin(), datagram.end());
  for (std::size_t i = 0; i <= last; ++i) {
    if (relays_[i] != nullptr) {
      std::vector<std::uint8_t> unwrapped;
      if (!relays_[i]->unwrap_datagram(inner, unwrapped)) return false;
      inner = std::move(unwrapped);
    }
    if (i == last) break;
    const auto header = header_octets(inner);
    if (!header) return false;
    const auto end = inner.begin() + static_cast<std::ptrdiff_t>(*header);
    plain.insert(plain.end(), inner.begin(), end);
    inner.erase(inner.begin(), end);
  }
  plain.insert(plain.end(), inner.begin(), inner.end());
  return true;
}

}  // namespace stile::protect
