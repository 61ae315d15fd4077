// SOCKS4 and SOCKS4a messages, after the two notes that define them (Ying-Da Lee: "SOCKS: A protocol for TCP proxy
// across firewalls", "SOCKS 4A"): decoder and encoder of each, for both ends of the conversation.
//
//   request  client  VN 04 | CD 1 | DSTPORT 2 | DSTIP 4 | USERID 0..255 | 00
//                    and, when DSTIP is 0.0.0.x with x not 0 (SOCKS4a):     | NAME 0..255 | 00
//   reply    server  VN 00 | CD 1 | DSTPORT 2 | DSTIP 4
//
// Refuses: policy. 0.0.0.0, port 0 and impossible names are values here; the user id is a claim, never proof.
// Threading: values and pure functions. Tested in socks4_test.cc against tests/vectors/socks4.txt and a naive oracle;
// fuzzed in socks4_fuzz.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/reason.h"
#include "wire/address_field.h"
#include "wire/parse.h"
#include "wire/socks5.h"
#include "wire/wire_buffer.h"

namespace stile::wire {

inline constexpr std::uint8_t socks4_version = 0x04;
inline constexpr std::size_t socks4_request_octets_max =
    8 + limits::socks4_user_octets_max + 1 + limits::socks4_name_octets_max + 1;
inline constexpr std::size_t socks4_reply_octets = 8;

/// Stile asks no identd and sends the first two only.
enum class Socks4Code : std::uint8_t { granted = 90, rejected = 91, no_identd = 92, identd_differs = 93 };

/// Granted for Reason::none, rejected for all else: SOCKS4 has no finer answer.
[[nodiscard]] Socks4Code socks4_code(Reason reason) noexcept;

struct Socks4Request {
  Command command = Command::connect;  // connect, bind or resolve
  AddressField destination;            // of type name for SOCKS4a, else ipv4
  std::string user;                    // as sent: any octets but NUL

  friend bool operator==(const Socks4Request&, const Socks4Request&) = default;
};

struct Socks4Reply {
  Socks4Code code = Socks4Code::rejected;  // may hold any octet
  Endpoint bound;                          // always IPv4

  friend bool operator==(const Socks4Reply&, const Socks4Reply&) = default;
};

/// Malformed: protocol_unknown after 1 octet, if that is not 04; request_user or request_name after the 256th octet
/// without a NUL; command_unknown (not CONNECT, BIND or RESOLVE) after the whole request. An empty name is Parsed.
[[nodiscard]] ParseResult<Socks4Request> decode_socks4_request(ConstBytes input);
/// As a client reads it: VN 00, or 04 as some servers send it. Malformed: protocol_unknown after 1 octet.
[[nodiscard]] ParseResult<Socks4Reply> decode_socks4_reply(ConstBytes input) noexcept;

/// `command` as in Socks4Request, `user` at most 255 octets without NUL (both asserted). Names, IPv6 addresses and
/// 0.0.0.x travel as SOCKS4a names.
[[nodiscard]] WireBuffer<socks4_request_octets_max> encode_socks4_request(Command command, const Target& destination,
                                                                          std::string_view user) noexcept;
/// An IPv6 address, which this reply cannot hold, is shown as 0.0.0.0.
[[nodiscard]] std::array<std::uint8_t, socks4_reply_octets> encode_socks4_reply(Socks4Code code,
                                                                                const Endpoint& bound = {}) noexcept;

}  // namespace stile::wire
