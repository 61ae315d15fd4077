// What `stile usage` understands as a moment, and how it shows sums: a table for people, JSON for programs. Names come
// from clients: no octet of theirs can forge a line (threat TL1). Threading: pure but for the local time zone. Tested
// in usage_report_test.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "observe/accounting_store.h"

namespace stile::cli {

/// "today", "yesterday": since local midnight. "30m", "12h", "7d", "2w": so long before `now`. "2026-11-01" and
/// "2026-11-01 08:30": local time.
[[nodiscard]] std::optional<WallTime> parse_moment(std::string_view text, WallTime now);

/// "today, yesterday, 7d, 12h or 2026-11-01": for error messages.
[[nodiscard]] std::string_view moments_understood() noexcept;

/// "user", "target" and "rule".
[[nodiscard]] std::optional<observe::UsageKey> usage_key_named(std::string_view name) noexcept;

/// Aligned columns with a line of totals.
[[nodiscard]] std::string usage_table(observe::UsageKey by, const std::vector<observe::Usage>& rows);

/// {"by": …, "since": …, "until": …, "rows": […], "total": {…}}; octets as exact numbers.
[[nodiscard]] std::string usage_json(observe::UsageKey by, const observe::Period& period,
                                     const std::vector<observe::Usage>& rows);

}  // namespace stile::cli
