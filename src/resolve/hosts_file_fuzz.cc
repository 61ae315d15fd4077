// Any text is a hosts file; what comes out is within its limits, and reading it line by line changes nothing.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "base/limits.h"
#include "resolve/hosts_file.h"

using stile::resolve::HostsTable;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const HostsTable table = HostsTable::parse(text);
  // A name takes at least an address, a blank and an octet of a line.
  STILE_ASSERT(table.size() <= size);
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t end = text.find('\n', start);
    const std::string_view line = text.substr(start, end == std::string_view::npos ? end : end - start);
    STILE_ASSERT(HostsTable::parse(line).size() <= table.size());
    start += line.size() + 1;
  }
  for (const char* name : {"localhost", "box", "box.example", "a"}) {
    const auto host = stile::canonical_host(name);
    const auto* const addresses = table.find(std::get<stile::HostName>(*host));
    STILE_ASSERT(addresses == nullptr || !addresses->empty());
    STILE_ASSERT(addresses == nullptr || addresses->size() <= stile::limits::candidates_max);
  }
  return 0;
}
