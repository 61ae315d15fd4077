// Local time, as rules and quotas count it: by TZ, else /etc/localtime.
// Threading: an object a thread. Tested in local_clock_test.cc.
#pragma once

#include <optional>

#include "base/time.h"

namespace stile::sys {

class LocalClock {
 public:
  /// Asks the system once a minute; summer and winter time begin with a minute.
  [[nodiscard]] WeekTime week_time(WallTime now) noexcept;

 private:
  std::optional<std::chrono::sys_time<std::chrono::minutes>> minute_;
  WeekTime of_minute_;
};

}  // namespace stile::sys
