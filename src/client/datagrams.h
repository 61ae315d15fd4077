// An association as its caller holds it: datagrams to a target by name or address, and from whoever answers, through
// the relay of one proxy or of several, each of which carries the datagrams for the next in datagrams of its own (RFC
// 1928 section 7). Where the proxy protects them (RFC 1961) they are wrapped by the stream's own context. Refuses:
// fragments; datagrams that a nearer relay says to come from another than the next one. Threading: one thread at a
// time, whichever; it knows nothing of the client that made it. Tested by tests/e2e/libstile_commands_test.py.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/time.h"
#include "client/failure.h"
#include "protect/gss_stream.h"
#include "sys/datagram_link.h"
#include "wire/nested_headers.h"

namespace stile::client {

class Datagrams {
 public:
  /// `link` leads to the relay of the nearest proxy; `further`: where the relays of those behind it are, the nearest of
  /// them first. `protection` of the nearest, absent: none.
  Datagrams(sys::DatagramLink link, std::span<const Target> further, std::unique_ptr<protect::GssStream> protection);

  [[nodiscard]] int descriptor() const noexcept { return link_.descriptor(); }
  [[nodiscard]] int socket() const noexcept { return link_.socket(); }
  [[nodiscard]] Failure send(ConstBytes datagram, const Target& to);

  struct Received {
    std::size_t octets = 0;  // as many as there was room for
    std::optional<Endpoint> from;
  };
  /// Waits so long, for ever where nothing is said.
  [[nodiscard]] std::expected<Received, Failure> receive(MutableBytes into, std::optional<Duration> longest);
  /// Until there may be something to receive. From any thread, whatever the others do.
  [[nodiscard]] Result<bool> wait(std::optional<Duration> longest) const noexcept { return link_.wait(longest); }
  /// Of another process: forked.
  [[nodiscard]] bool forked() const noexcept;

 private:
  [[nodiscard]] std::optional<Received> take(ConstBytes datagram, MutableBytes into);

  sys::DatagramLink link_;
  wire::NestedHeaders headers_;
  std::unique_ptr<protect::GssStream> protection_;
  const int process_;
  std::vector<std::uint8_t> buffer_;
  std::vector<std::uint8_t> plain_;
};

}  // namespace stile::client
