// Any text as expectations, in front of NUL, against any text as rules, behind it: the parser never crashes and places
// its faults in the text; what parses is held against what compiles, and what fails fails again.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "policy/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stile;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t nul = input.find('\0');
  const std::string_view text = input.substr(0, nul);
  const auto expectations = policy::parse_expectations(text);
  if (!expectations) {
    STILE_ASSERT(!expectations.error().empty());
    int line = 1;
    for (const policy::RuleError& error : expectations.error()) {
      STILE_ASSERT(error.line >= line && error.column >= 1 && !error.message.empty());
      STILE_ASSERT(static_cast<std::size_t>(error.column) <= text.size() + 1);
      line = error.line;
    }
    return 0;
  }
  // What an expectation says of itself parses to the same.
  for (const policy::Expectation& expectation : *expectations) {
    const auto again = policy::parse_expectations(expectation.text);
    STILE_ASSERT(again.has_value() && again->size() == 1 && again->front().targets == expectation.targets);
  }
  constexpr std::size_t enough = 20;  // expectations: rules may multiply their cases
  if (nul == std::string_view::npos || expectations->size() > enough) return 0;
  const auto policy = policy::Policy::compile(input.substr(nul + 1));
  if (!policy || policy->rules().size() > enough) return 0;
  const auto no_groups = [](const std::string&) { return std::nullopt; };
  const auto first = policy::failures(*policy, *expectations, {}, no_groups);
  const auto second = policy::failures(*policy, *expectations, {}, no_groups);
  STILE_ASSERT(first.size() == second.size() && first.size() <= expectations->size());
  return 0;
}
