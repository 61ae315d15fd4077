// Datagrams that pass several relays one behind the other (wire/nested_headers.h), of which some agreed with us on a
// protection by Kerberos (RFC 1961): such a relay takes a frame that is all of the datagram, and finds in it, wrapped,
// what it would have got plain. So the innermost is wrapped first, and each wrapping grows what lies inside the next.
//
//   frame for the first relay ( to the 2nd relay | frame for the 2nd relay ( to the target | DATA ) )
//
// What is plain here is what would travel if no relay were protected. Refuses: frames that are not the context's, that
// came before, or hold no header where one is due.
// Threading: as the contexts, one engine's thread. Tested in datagram_layers_test.cc.
#pragma once

#include <span>
#include <vector>

#include "base/bytes.h"
#include "protect/gss_stream.h"

namespace stile::protect {

class DatagramLayers {
 public:
  DatagramLayers() = default;
  /// One for each relay, from the first one on, whose datagrams that stream's context wraps; null where they are plain.
  /// All outlive the layers.
  explicit DatagramLayers(std::vector<GssStream*> relays) : relays_(std::move(relays)) {}

  /// There is anything to wrap.
  [[nodiscard]] bool any() const noexcept;
  /// `plain` begins with the header that the first relay reads. Appends what is sent; false where that would be too
  /// long for a frame, or a context wraps no longer.
  [[nodiscard]] bool wrap(ConstBytes plain, std::vector<std::uint8_t>& datagram);
  /// Appends the plain datagram; false where it is to be dropped.
  [[nodiscard]] bool unwrap(ConstBytes datagram, std::vector<std::uint8_t>& plain);

 private:
  [[nodiscard]] std::size_t last_protected() const noexcept;

  std::vector<GssStream*> relays_;
};

}  // namespace stile::protect
