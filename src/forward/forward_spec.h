// What `stile forward` is told, as people write it:
//
//   FORWARD  LISTEN "=" TARGET             REVERSE  PORT "=" TARGET
//   LISTEN   [ ADDRESS ":" ] PORT [ "/tcp" | "/udp" ]  |  "unix:" PATH
//   TARGET   HOST ":" PORT [ "/tcp" | "/udp" ]         of a REVERSE also PORT alone, on this host
//
// A LISTEN without an address, or with "localhost", is loopback, by IPv4 and by IPv6; with port 0, which lets the
// system choose, by IPv4 alone. An IPv6 address stands in brackets. What is said of TCP or UDP at one side goes for
// both. Refuses: to guess. Threading: values and pure functions. Tested in forward_spec_test.cc; fuzzed in
// forward_spec_fuzz.cc.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"

namespace stile::forward {

/// A listener on this host, and where its clients are led through the proxy.
struct Forward {
  bool datagrams = false;
  std::vector<Endpoint> at;  // one, or the two of loopback, IPv4 first; empty: a Unix-domain socket
  std::string path;          // of that: absolute, at most 107 octets
  Target target;

  /// The address of the listener that there has to be, as it is written; "unix:/PATH".
  [[nodiscard]] std::string place() const;
  friend bool operator==(const Forward&, const Forward&) = default;
};

/// A listener at the proxy, and where its peers are led on this side.
struct Reverse {
  std::uint16_t port = 0;  // wanted; 0: the proxy's choice
  Target target;

  friend bool operator==(const Reverse&, const Reverse&) = default;
};

struct SpecError {
  std::string why;
  std::string cure;
};

/// `text` is octets of any length and content.
[[nodiscard]] std::expected<Forward, SpecError> parse_forward(std::string_view text);
[[nodiscard]] std::expected<Reverse, SpecError> parse_reverse(std::string_view text);

}  // namespace stile::forward
