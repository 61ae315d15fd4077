// What is reached without a proxy, as people write it in NO_PROXY: entries with commas or blanks between.
//
//   *                  everything; only where it stands alone
//   example.org        the name and everything below it; .example.org and example.org. mean the same
//   192.0.2.1  2001:db8::1  [2001:db8::1]  10.0.0.0/8  2001:db8::/32      addresses, compared by value
//   any of these with :PORT behind it, an IPv6 address in brackets then: only there
//
// An entry of addresses never matches a name, whatever that leads to, nor the other way round: nothing is looked up.
// These are curl's rules. Refuses: to guess; an entry that is none of these matches nothing.
// Threading: values and pure functions. Tested in no_proxy_test.cc, fuzzed in no_proxy_fuzz.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/address.h"

namespace stile::wire {

class NoProxy {
 public:
  NoProxy() = default;
  /// `text` is octets of any length and content.
  [[nodiscard]] static NoProxy parse(std::string_view text);

  /// The entry by which `target` is reached without a proxy, as it was written; absent where there is none. Valid as
  /// long as this object.
  [[nodiscard]] const std::string* entry_for(const Target& target) const noexcept;
  [[nodiscard]] bool covers(const Target& target) const noexcept { return entry_for(target) != nullptr; }
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }

 private:
  struct Everything {};
  struct Entry {
    std::string text;
    std::variant<Everything, HostName, Cidr> hosts;
    std::optional<std::uint16_t> port;  // absent: all of them
  };
  [[nodiscard]] static std::optional<Entry> read(std::string_view text);
  [[nodiscard]] static bool matches(const Entry& entry, const Target& target) noexcept;

  std::vector<Entry> entries_;
};

}  // namespace stile::wire
