// Any text laid out as rules and as expectations: its words stay, a second time changes nothing, and what the text
// means as rules the result means as well.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "policy/expect.h"
#include "policy/format.h"
#include "policy/rules.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto formatted = policy::format_rules(text)) {
    STILE_ASSERT(policy::format_rules(*formatted) == *formatted);
    const auto before = policy::parse_rules(text);
    const auto after = policy::parse_rules(*formatted);
    STILE_ASSERT(before.has_value() == after.has_value());
    if (before) STILE_ASSERT(before->rules.size() == after->rules.size());
    if (!before) STILE_ASSERT(before.error().size() == after.error().size());
  }
  if (const auto formatted = policy::format_expectations(text)) {
    STILE_ASSERT(policy::format_expectations(*formatted) == *formatted);
    const auto before = policy::parse_expectations(text);
    const auto after = policy::parse_expectations(*formatted);
    STILE_ASSERT(before.has_value() == after.has_value());
    if (before) STILE_ASSERT(before->size() == after->size());
  }
  return 0;
}
