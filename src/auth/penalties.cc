#include "auth/penalties.h"

#include <algorithm>

namespace stile::auth {

Duration penalty_for(Reason reason) noexcept {
  switch (reason) {
    case Reason::auth_failed:
    case Reason::gss_accept:
      return limits::penalty_login;
    case Reason::auth_crashed:
      return limits::penalty_crash;
    case Reason::method_none:
      return limits::penalty_method;
    case Reason::timeout_handshake:
      return limits::penalty_timeout;
    case Reason::protocol_unknown:
    case Reason::auth_version:
    case Reason::gss_version:
    case Reason::gss_order:
    case Reason::gss_token:
    case Reason::request_version:
    case Reason::request_user:
    case Reason::http_syntax:
    case Reason::http_framing:
      return limits::penalty_malformed;
    default:
      return Duration::zero();
  }
}

Address source_of(const Address& address) noexcept {
  if (address.is_v4()) return address;
  std::array<std::uint8_t, 16> octets{};
  std::ranges::copy(address.octets().first(8), octets.begin());
  return Address::v6(octets);
}

void Penalties::add(const Address& address, Duration penalty, Instant now) {
  if (penalty <= Duration::zero()) return;
  const Address source = source_of(address);
  const std::scoped_lock lock(mutex_);
  Sources& sources = families_[source.is_v4() ? 0 : 1];
  const auto [found, added] = sources.standings.try_emplace(source);
  Standing& standing = found->second;
  if (added) {
    standing.age = sources.by_age.insert(sources.by_age.end(), source);
  } else {
    sources.by_age.splice(sources.by_age.end(), sources.by_age, standing.age);
  }
  if (standing.over <= now) standing = {.over = now, .refused = false, .age = standing.age};
  standing.over = std::min(standing.over + penalty, now + limits::penalty_max);
  standing.refused = standing.refused || standing.over - now >= limits::penalty_begin;
  if (sources.standings.size() > sources_max_) {
    sources.standings.erase(sources.by_age.front());
    sources.by_age.pop_front();
  }
  any_.store(true, std::memory_order_relaxed);
}

bool Penalties::refuses(const Address& address, Instant now) const {
  if (!any_.load(std::memory_order_relaxed)) return false;
  const Address source = source_of(address);
  const std::scoped_lock lock(mutex_);
  const auto& standings = families_[source.is_v4() ? 0 : 1].standings;
  const auto found = standings.find(source);
  return found != standings.end() && found->second.refused && now < found->second.over;
}

std::size_t Penalties::size() const {
  const std::scoped_lock lock(mutex_);
  return families_[0].standings.size() + families_[1].standings.size();
}

}  // namespace stile::auth
