#include "client/stand_ins.h"

namespace stile::client {

Address StandIns::for_name(const HostName& name) {
  const std::scoped_lock lock(mutex_);
  auto found = numbers_.find(name);
  if (found == numbers_.end()) {
    const std::size_t place = next_;
    if (place == names_.size()) {
      names_.push_back(name);
    } else {
      numbers_.erase(names_[place]);
      names_[place] = name;
    }
    next_ = (place + 1) % names_max;
    found = numbers_.emplace(name, static_cast<std::uint16_t>(place + 1)).first;
  }
  return Address::v4(0, 0, static_cast<std::uint8_t>(found->second >> 8), static_cast<std::uint8_t>(found->second));
}

std::optional<Host> StandIns::host_of(const Address& address) const {
  const ConstBytes octets = address.octets();
  if (!address.is_v4() || octets[0] != 0 || octets[1] != 0 || address.is_unspecified()) return address;
  const std::size_t number = static_cast<std::size_t>(octets[2]) << 8 | octets[3];
  const std::scoped_lock lock(mutex_);
  if (number > names_.size()) return std::nullopt;
  return names_[number - 1];
}

}  // namespace stile::client
