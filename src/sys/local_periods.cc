#include "sys/local_periods.h"

#include <chrono>
#include <ctime>

namespace stile::sys {
namespace {

// Of a clock that leaps over midnight, the first moment behind it.
WallTime begin_of(int year, int month, int day) noexcept {
  std::tm date{};
  date.tm_year = year;
  date.tm_mon = month;
  date.tm_mday = day;
  date.tm_isdst = -1;
  return WallTime(std::chrono::seconds(std::mktime(&date)));
}

}  // namespace

LocalPeriods local_periods(WallTime moment) noexcept {
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(moment).time_since_epoch().count();
  std::tm date{};
  ::localtime_r(&seconds, &date);
  return {.day_begin = begin_of(date.tm_year, date.tm_mon, date.tm_mday),
          .day_end = begin_of(date.tm_year, date.tm_mon, date.tm_mday + 1),
          .month_begin = begin_of(date.tm_year, date.tm_mon, 1)};
}

}  // namespace stile::sys
