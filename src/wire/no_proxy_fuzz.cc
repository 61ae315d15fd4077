// NO_PROXY on arbitrary octets: the first line is a target's host, the rest the rules. What decides is a word of the
// rules, blanks and commas around them change nothing, and whoever is written out is covered.
#include "wire/no_proxy.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t line = input.find('\n');
  const std::string rules(line == std::string_view::npos ? input : input.substr(line + 1));
  const auto host = stile::canonical_host(line == std::string_view::npos ? "example.org" : input.substr(0, line));
  if (!host) return 0;
  const stile::Target target{.host = *host, .port = static_cast<std::uint16_t>(size)};

  const auto no_proxy = stile::wire::NoProxy::parse(rules);
  const std::string* const entry = no_proxy.entry_for(target);
  STILE_ASSERT(entry == nullptr || (!entry->empty() && rules.find(*entry) != std::string::npos));
  const auto spaced = stile::wire::NoProxy::parse(" ,\t" + rules + ",\n");
  const std::string* const same = spaced.entry_for(target);
  STILE_ASSERT((same == nullptr) == (entry == nullptr) && (entry == nullptr || *same == *entry));

  const stile::Address* const address = target.address();
  const std::string written = address != nullptr ? address->to_string() : std::string(target.host_name()->text());
  STILE_ASSERT(stile::wire::NoProxy::parse(rules + "," + written).covers(target));
  return 0;
}
