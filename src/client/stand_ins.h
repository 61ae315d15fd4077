// Addresses that stand for names, where a program asks for a name's address and then connects to that: 0.0.0.1 to
// 0.0.255.255, which lead nowhere should one of them go past the proxy. The last 65,535 names are known.
// Threading: any. Tested in stand_ins_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "base/address.h"

namespace stile::client {

class StandIns {
 public:
  static constexpr std::size_t names_max = 65'535;

  [[nodiscard]] Address for_name(const HostName& name);
  /// The name itself, of a stand-in; any other address as it is. Absent: a stand-in for none.
  [[nodiscard]] std::optional<Host> host_of(const Address& address) const;

 private:
  mutable std::mutex mutex_;
  std::map<HostName, std::uint16_t> numbers_;
  std::vector<HostName> names_;  // of 1, of 2, …
  std::size_t next_ = 0;         // to be given anew, once all are in use
};

}  // namespace stile::client
