// Where days and months begin by this host's time zone (tzset(3): TZ, else /etc/localtime), for quotas. A change of
// clocks makes a day of 23 or 25 hours.
// Any thread. Tested in local_periods_test.cc.
#pragma once

#include "base/time.h"

namespace stile::sys {

/// The day and the month that hold a moment.
struct LocalPeriods {
  WallTime day_begin;
  WallTime day_end;
  WallTime month_begin;
};

[[nodiscard]] LocalPeriods local_periods(WallTime moment) noexcept;

}  // namespace stile::sys
