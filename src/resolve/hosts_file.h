// The hosts file (hosts(5)) as a table: an address and the names it bears, one line each. A name in several lines has
// the addresses of all of them. What cannot be read is skipped, line by line or name by name, as every reader of this
// file does: addresses with a zone, names that no client may ask for.
// An address asked for its name has the first name of the first line that bears it.
// Pure; the file itself is read by hosts_source.h. Tested in hosts_file_test.cc, fuzzed in hosts_file_fuzz.cc.
#pragma once

#include <cstddef>
#include <map>
#include <string_view>
#include <vector>

#include "base/address.h"

namespace stile::resolve {

class HostsTable {
 public:
  HostsTable() noexcept = default;
  [[nodiscard]] static HostsTable parse(std::string_view text);
  /// One more name of `address`.
  void add(const Address& address, const HostName& name);

  /// In the order of the file, without repetitions, at most limits::candidates_max; nullptr for an unknown name.
  [[nodiscard]] const std::vector<Address>* find(const HostName& name) const;
  /// The name that the file gives this address; nullptr for an unknown one.
  [[nodiscard]] const HostName* find(const Address& address) const;
  [[nodiscard]] std::size_t size() const noexcept { return names_.size(); }

 private:
  void add_line(std::string_view line);

  std::map<HostName, std::vector<Address>> names_;
  std::map<Address, HostName> reverse_;
};

}  // namespace stile::resolve
