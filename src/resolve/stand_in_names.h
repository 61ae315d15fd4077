// Addresses that stand for names, in a network where DNS is answered from here: a program asks for a name, gets an
// address of 198.18.0.0/15 (RFC 2544, in nobody's use) or of a prefix of fd00::/8 (RFC 4193), and connects to it; by
// this table the name is known again, and goes to the proxy as it is. At most limits::stand_in_names_max names: then
// the name that was longest not asked for nor connected to gives its addresses up, as soon as nobody who was told them
// believes them any longer: else who asks for many names would have others call him.
// Refuses: addresses for address literals, and for names that mean this host. Reads the clock. Threading: any thread.
// Tested in stand_in_names_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/address.h"
#include "base/limits.h"
#include "base/time.h"
#include "sys/wait_any.h"

namespace stile::resolve {

/// What the network itself has: its own addresses, where it also can be asked for names.
[[nodiscard]] Address own_v4() noexcept;
[[nodiscard]] Address own_v6() noexcept;
/// The prefixes that stand-in addresses, and its own, are taken from.
inline constexpr std::string_view stand_in_prefix_v4 = "198.18.0.0/15";
inline constexpr std::string_view stand_in_prefix_v6 = "fd73:7469:6c65::/48";  // "stile"

class StandInNames {
 public:
  /// `names_max`: other than the limit for tests. `first`: where in the prefixes addresses begin to be given out; where
  /// askers outlive the table, another place each time, so that what they remember is soon nobody's.
  using Clock = Duration (*)() noexcept;
  explicit StandInNames(std::size_t names_max = limits::stand_in_names_max, std::uint32_t first = 0,
                        Clock clock = sys::monotonic_now);

  struct Addresses {
    Address v4;
    Address v6;
  };
  /// Absent: there is none to give for now.
  [[nodiscard]] std::optional<Addresses> stand_ins_of(const HostName& name);
  /// Whom an address stands for; nobody where it is none, or has been given up.
  [[nodiscard]] std::optional<HostName> name_of(const Address& address);
  /// The name, or the address itself.
  [[nodiscard]] Host host_of(const Address& called);
  /// It is of the prefixes, and nobody's.
  [[nodiscard]] bool is_lost(const Address& address);

  [[nodiscard]] std::size_t size() const;

 private:
  struct Entry {
    HostName name;
    std::uint32_t number = 0;
    Duration told{};  // when somebody last was
  };
  using Order = std::list<Entry>;  // the one used last at the front

  void use(Order::iterator entry) { order_.splice(order_.begin(), order_, entry); }
  [[nodiscard]] std::uint32_t place_of(std::uint32_t number) const noexcept;
  [[nodiscard]] std::optional<std::uint32_t> number_at(std::uint32_t place) const noexcept;

  const std::size_t names_max_;
  const std::uint32_t first_;
  const Clock clock_;
  mutable std::mutex mutex_;  // over all that follows
  Order order_;
  std::unordered_map<std::string_view, Order::iterator> by_name_;  // the texts are the entries' own
  std::vector<Order::iterator> by_number_;
};

}  // namespace stile::resolve
