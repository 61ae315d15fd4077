// The headers in front of a datagram that passes several relays one behind the other (RFC 1928 section 7): the
// outermost tells the first relay where the second one is, and so on; the innermost names the target. An answer comes
// in the same shape: each header says who sent what lies inside, the outermost that it was the second relay.
//
//   to the first relay  | to the 2nd relay | to the 3rd relay | … | to the target   | DATA
//   from the first      | by the 2nd relay | by the 3rd relay | … | by who answered | DATA
//
// Refuses: answers of anybody but the relays that were named, fragments (FRAG not 00), and whatever is cut short.
// Threading: a plain object. Tested in nested_headers_test.cc against a naive oracle; fuzzed in nested_headers_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/udp_drop.h"
#include "wire/udp_header.h"

namespace stile::wire {

/// Of all that stands in front of DATA, the innermost header included.
inline constexpr std::size_t nested_headers_octets_max = limits::chain_hops_max * udp_header_octets_max;

class NestedHeaders {
 public:
  /// One relay: nothing stands around the target's header.
  NestedHeaders() = default;
  /// The relays behind the first one, in the order in which they are met; at most limits::chain_hops_max - 1.
  explicit NestedHeaders(std::span<const Target> behind);

  /// What stands in front of the innermost header on the way there. Valid as long as this object.
  [[nodiscard]] ConstBytes outer() const noexcept { return outer_; }

  struct Answer {
    Target from;               // as the last relay says it: an address, or a name where it tells no more
    std::size_t consumed = 0;  // where DATA begins
  };
  /// Reads an answer. Of a relay that was named and not addressed, the first answer tells the address, to which it is
  /// held from then on. An error says what it is dropped for: UdpDrop::header, fragment, or reply where it is another
  /// one's.
  [[nodiscard]] std::expected<Answer, UdpDrop> peel(ConstBytes datagram);

 private:
  struct Relay {
    Target at;
    std::optional<Address> heard_from;  // where `at` is a name
  };
  [[nodiscard]] static bool is_of(Relay& relay, const Target& from);

  std::vector<Relay> relays_;
  std::vector<std::uint8_t> outer_;
};

}  // namespace stile::wire
