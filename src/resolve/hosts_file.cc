#include "resolve/hosts_file.h"

#include <algorithm>

#include "base/limits.h"

namespace stile::resolve {
namespace {

constexpr std::string_view blanks = " \t\r\v\f";

/// Cuts the first word off `line`; empty at its end.
std::string_view next_word(std::string_view& line) noexcept {
  line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
  const std::string_view word = line.substr(0, line.find_first_of(blanks));
  line.remove_prefix(word.size());
  return word;
}

}  // namespace

HostsTable HostsTable::parse(std::string_view text) {
  HostsTable table;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    table.add_line(line.substr(0, line.find('#')));
  }
  return table;
}

void HostsTable::add_line(std::string_view line) {
  const auto address = Address::parse(next_word(line));
  if (!address) return;
  for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) {
    const auto host = canonical_host(word);
    if (!host || !std::holds_alternative<HostName>(*host)) continue;
    add(*address, std::get<HostName>(*host));
  }
}

void HostsTable::add(const Address& address, const HostName& name) {
  reverse_.emplace(address, name);
  std::vector<Address>& addresses = names_[name];
  const bool known = std::ranges::find(addresses, address) != addresses.end();
  if (!known && addresses.size() < limits::candidates_max) addresses.push_back(address);
}

const std::vector<Address>* HostsTable::find(const HostName& name) const {
  const auto entry = names_.find(name);
  return entry == names_.end() ? nullptr : &entry->second;
}

const HostName* HostsTable::find(const Address& address) const {
  const auto entry = reverse_.find(address);
  return entry == reverse_.end() ? nullptr : &entry->second;
}

}  // namespace stile::resolve
