#include "base/secret.h"

#include <string.h>  // explicit_bzero

#include <algorithm>
#include <cstdint>
#include <utility>

namespace stile {

void wipe(MutableBytes octets) noexcept {
  if (!octets.empty()) ::explicit_bzero(octets.data(), octets.size());
}

Secret::Secret(std::string_view octets)
    : octets_(octets.empty() ? nullptr : std::make_unique_for_overwrite<char[]>(octets.size())), size_(octets.size()) {
  std::ranges::copy(octets, octets_.get());
}

Secret::Secret(Secret&& other) noexcept
    : octets_(std::move(other.octets_)), size_(std::exchange(other.size_, std::size_t{0})) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this == &other) return *this;
  clear();
  octets_ = std::move(other.octets_);
  size_ = std::exchange(other.size_, std::size_t{0});
  return *this;
}

void Secret::clear() noexcept {
  if (octets_ != nullptr) wipe({reinterpret_cast<std::uint8_t*>(octets_.get()), size_});
  octets_.reset();
  size_ = 0;
}

}  // namespace stile
