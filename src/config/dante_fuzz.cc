// Any octets as a file of Dante's: no crash, and whatever comes of it is a configuration that Stile takes.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "config/config.h"
#include "config/dante.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto result = stile::config::import_dante(text);
  const auto lines = 1 + std::ranges::count(text, '\n');
  const auto& said = result ? result->notes : result.error();
  STILE_ASSERT(result || !said.empty());
  for (const stile::config::ConfigError& error : said) {
    STILE_ASSERT(!error.message.empty() && error.line >= 1 && error.line <= lines);
  }
  if (result) STILE_ASSERT(stile::config::parse(result->text, "imported.toml").has_value());
  return 0;
}
