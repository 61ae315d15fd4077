// What sources did wrong of late, as time that they have to wait (security reference, 5.4; OpenSSH's
// PerSourcePenalties, adapted). Mistakes add up and wear off as time passes; from penalty_begin on a source is turned
// away until nothing is left, penalty_max at most. A source is an IPv4 address or an IPv6 /64. Who is exempt is the
// caller's to say. Bounded for each family apart, the oldest makes room: whoever owns many addresses cannot make
// anybody else wait. Trees, not hash tables: nobody can choose keys that collide (threat TF3). Threading: any thread.
// Tested in penalties_test.cc.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <list>
#include <map>
#include <mutex>

#include "base/address.h"
#include "base/limits.h"
#include "base/reason.h"
#include "base/time.h"

namespace stile::auth {

/// What an end by this reason costs its source; zero for most.
[[nodiscard]] Duration penalty_for(Reason reason) noexcept;

/// The source that an address counts for: itself, or its /64.
[[nodiscard]] Address source_of(const Address& address) noexcept;

class Penalties {
 public:
  explicit Penalties(std::size_t sources_max = limits::penalty_sources_max) noexcept : sources_max_(sources_max) {}

  void add(const Address& address, Duration penalty, Instant now);
  [[nodiscard]] bool refuses(const Address& address, Instant now) const;
  /// Sources remembered, of both families.
  [[nodiscard]] std::size_t size() const;

 private:
  struct Standing {
    Instant over;
    bool refused = false;              // it reached the threshold, and `over` has not come yet
    std::list<Address>::iterator age;  // in Sources::by_age
  };
  struct Sources {
    std::map<Address, Standing> standings;
    std::list<Address> by_age;  // whose last mistake is longest ago first
  };

  std::size_t sources_max_;
  mutable std::mutex mutex_;
  std::array<Sources, 2> families_;
  std::atomic<bool> any_{false};  // so that a server without penalties pays no lock for each connection
};

}  // namespace stile::auth
