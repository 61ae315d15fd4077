// What a tunnel, or the datagrams to one rule's targets, are held to beside the limits of all: rates, quotas, an idle
// limit. Absent where there is nothing of the kind, which costs nothing. Budgets and quotas outlive it.
// Threading: belongs to one engine's thread; what it points to does not. Tested in metered_relay_test.cc and
// udp_metered_test.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/time.h"
#include "relay/quota.h"
#include "relay/rate.h"

namespace stile::relay {

struct Terms {
  std::optional<Duration> idle;  // in the place of the limit of all; zero: off
  Flow up;
  Flow down;
  std::vector<Quota*> quotas;  // both directions count

  void charge(std::uint64_t octets) const noexcept {
    for (Quota* const quota : quotas) quota->charge(octets);
  }
  [[nodiscard]] bool is_used_up() const noexcept { return std::ranges::any_of(quotas, &Quota::is_used_up); }
  [[nodiscard]] bool is_exceeded() const noexcept { return std::ranges::any_of(quotas, &Quota::is_exceeded); }
};

}  // namespace stile::relay
