#include "resolve/stand_in_names.h"

#include <algorithm>
#include <array>

#include "base/assert.h"

namespace stile::resolve {
namespace {

// The first 256 addresses of each prefix are the network's own.
constexpr std::uint32_t reserved = 256;
// A program may be late to connect.
constexpr Duration believed = 2 * std::chrono::seconds(limits::stand_in_ttl_seconds);
constexpr std::uint32_t places = (1U << 17U) - reserved;  // that a name may have in 198.18.0.0/15

Address v4_of(std::uint32_t number) noexcept {
  const std::uint32_t host = number + reserved;
  return Address::v4(198, static_cast<std::uint8_t>(18 + (host >> 16)), static_cast<std::uint8_t>((host >> 8) & 0xFF),
                     static_cast<std::uint8_t>(host & 0xFF));
}

constexpr std::array<std::uint8_t, 16> v6_base{0xfd, 0x73, 0x74, 0x69, 0x6c, 0x65};

Address v6_of(std::uint32_t host) noexcept {
  std::array<std::uint8_t, 16> octets = v6_base;
  for (std::size_t i = 0; i < 4; ++i) octets[15 - i] = static_cast<std::uint8_t>((host >> (8 * i)) & 0xFF);
  return Address::v6(octets);
}

std::optional<std::uint32_t> place_in(const Address& address) noexcept {
  const ConstBytes octets = address.octets();
  std::uint32_t host = 0;
  for (const std::uint8_t octet : octets.last(4)) host = host << 8 | octet;
  if (address.is_v4()) {
    if (octets[0] != 198 || (octets[1] & 0xFE) != 18) return std::nullopt;
    host &= 0x1FFFF;
  } else if (!std::ranges::equal(octets.first(12), ConstBytes(v6_base).first(12))) {
    return std::nullopt;
  }
  return host < reserved ? std::nullopt : std::optional(host - reserved);
}

}  // namespace

Address own_v4() noexcept {
  return Address::v4(198, 18, 0, 1);
}

Address own_v6() noexcept {
  return v6_of(1);
}

StandInNames::StandInNames(std::size_t names_max, std::uint32_t first, Clock clock)
    : names_max_(names_max), first_(first % places), clock_(clock) {
  STILE_ASSERT(names_max_ > 0 && names_max_ <= limits::stand_in_names_max);
}

std::size_t StandInNames::size() const {
  const std::scoped_lock lock(mutex_);
  return order_.size();
}

std::uint32_t StandInNames::place_of(std::uint32_t number) const noexcept {
  return (number + first_) % places;
}

std::optional<std::uint32_t> StandInNames::number_at(std::uint32_t place) const noexcept {
  if (place >= places) return std::nullopt;
  const std::uint32_t number = (place + places - first_) % places;
  return number < by_number_.size() ? std::optional(number) : std::nullopt;
}

std::optional<StandInNames::Addresses> StandInNames::stand_ins_of(const HostName& name) {
  const Duration now = clock_();
  const std::scoped_lock lock(mutex_);
  auto found = by_name_.find(name.text());
  if (found != by_name_.end()) {
    use(found->second);
  } else if (order_.size() < names_max_) {
    order_.push_front({.name = name, .number = static_cast<std::uint32_t>(order_.size())});
    by_number_.push_back(order_.begin());
    by_name_.emplace(order_.front().name.text(), order_.begin());
  } else if (now - order_.back().told < believed) {
    return std::nullopt;
  } else {
    use(std::prev(order_.end()));
    by_name_.erase(order_.front().name.text());
    order_.front().name = name;
    by_name_.emplace(order_.front().name.text(), order_.begin());
  }
  order_.front().told = now;
  const std::uint32_t place = place_of(order_.front().number);
  return Addresses{.v4 = v4_of(place), .v6 = v6_of(place + reserved)};
}

std::optional<HostName> StandInNames::name_of(const Address& address) {
  const auto place = place_in(address);
  const std::scoped_lock lock(mutex_);
  const auto number = place ? number_at(*place) : std::nullopt;
  if (!number) return std::nullopt;
  use(by_number_[*number]);
  return order_.front().name;
}

bool StandInNames::is_lost(const Address& address) {
  static const std::array prefixes{*Cidr::parse(stand_in_prefix_v4), *Cidr::parse(stand_in_prefix_v6)};
  const bool stands_in = std::ranges::any_of(prefixes, [&](const Cidr& prefix) { return prefix.contains(address); });
  return stands_in && !name_of(address);
}

Host StandInNames::host_of(const Address& called) {
  if (auto name = name_of(called)) return *std::move(name);
  return called;
}

}  // namespace stile::resolve
