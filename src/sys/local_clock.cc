#include "sys/local_clock.h"

#include <ctime>

namespace stile::sys {

WeekTime LocalClock::week_time(WallTime now) noexcept {
  const auto minute = std::chrono::floor<std::chrono::minutes>(now);
  if (minute_ == minute) return of_minute_;
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(minute.time_since_epoch()).count();
  std::tm parts{};
  if (localtime_r(&seconds, &parts) == nullptr) gmtime_r(&seconds, &parts);  // a year that no calendar has
  of_minute_ = {.day = static_cast<std::uint8_t>((parts.tm_wday + 6) % 7),
                .minute = static_cast<std::uint16_t>(parts.tm_hour * 60 + parts.tm_min)};
  minute_ = minute;
  return of_minute_;
}

}  // namespace stile::sys
