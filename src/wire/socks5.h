// SOCKS5 messages, RFC 1928: decoder and encoder of each, for both ends of the conversation.
//
//   greeting       client  VER 05 | NMETHODS 1 | METHODS 0..255                       section 3
//   method choice  server  VER 05 | METHOD 1                                          section 3
//   request        client  VER 05 | CMD 1 | RSV 00 | ATYP | DST.ADDR | DST.PORT       section 4
//   reply          server  VER 05 | REP 1 | RSV 00 | ATYP | BND.ADDR | BND.PORT       section 6
//
// Every decoder takes the message from its first octet on and gives a ParseResult (parse.h).
// Refuses: policy and phases; RSV is handed on as it came, port 0 and 0.0.0.0 are values.
// Threading: pure functions. Tested in socks5_test.cc against tests/vectors/socks5.txt and a naive oracle; fuzzed in
// socks5_fuzz.cc.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/address.h"
#include "base/bytes.h"
#include "base/reason.h"
#include "wire/address_field.h"
#include "wire/parse.h"
#include "wire/wire_buffer.h"

namespace stile::wire {

inline constexpr std::uint8_t socks5_version = 0x05;

/// Authentication methods, RFC 1928 section 3. Any other octet is a method nobody here speaks.
enum class Method : std::uint8_t { none = 0x00, gssapi = 0x01, password = 0x02, no_acceptable = 0xFF };

/// RFC 1928 section 4, then Tor's RESOLVE and RESOLVE_PTR, then NEC's PING and TRACEROUTE.
enum class Command : std::uint8_t {
  connect = 0x01,
  bind = 0x02,
  udp_associate = 0x03,
  ping = 0x80,
  traceroute = 0x81,
  resolve = 0xF0,
  resolve_ptr = 0xF1,
};

/// What PING and TRACEROUTE are told in RSV (protocol reference, section 9.2).
inline constexpr std::uint8_t probe_without_names = 0x01;  // addresses stand for the names of routers
inline constexpr std::uint8_t probe_verbose = 0x02;        // ICMP types and codes are shown
inline constexpr std::uint8_t probe_each_hop_once = 0x04;  // TRACEROUTE sends one probe a hop instead of three

/// As records and the policy's reader call it: "connect", "bind", "udp-associate", …
[[nodiscard]] std::string_view name(Command command) noexcept;

/// Absent for an octet that names no command above.
[[nodiscard]] std::optional<Command> known_command(std::uint8_t octet) noexcept;

struct Greeting {
  std::bitset<256> methods;  // by method octet; an offered FF is in it too and means nothing
  std::uint8_t count = 0;    // NMETHODS as sent, duplicates counted

  [[nodiscard]] bool offers(Method method) const noexcept { return methods[static_cast<std::uint8_t>(method)]; }

  friend bool operator==(const Greeting&, const Greeting&) = default;
};

struct MethodChoice {
  Method method = Method::no_acceptable;  // may hold any octet

  friend bool operator==(const MethodChoice&, const MethodChoice&) = default;
};

struct Request {
  Command command = Command::connect;
  std::uint8_t reserved = 0;  // RSV as sent: to be ignored and counted, flags for PING and TRACEROUTE
  AddressField destination;

  friend bool operator==(const Request&, const Request&) = default;
};

struct Reply {
  ReplyCode code = ReplyCode::succeeded;  // may hold any octet
  std::uint8_t reserved = 0;
  AddressField bound;

  friend bool operator==(const Reply&, const Reply&) = default;
};

inline constexpr std::size_t greeting_octets_max = 2 + 255;
inline constexpr std::size_t request_octets_max = 3 + address_field_octets_max;
inline constexpr std::size_t reply_octets_max = request_octets_max;

/// Malformed: protocol_unknown at the first octet, if that is not 05. No methods at all are Parsed.
[[nodiscard]] ParseResult<Greeting> decode_greeting(ConstBytes input) noexcept;
/// As a client reads it. Malformed: protocol_unknown.
[[nodiscard]] ParseResult<MethodChoice> decode_method_choice(ConstBytes input) noexcept;
/// Malformed: request_version after 1 octet; address_type_unknown after 4, since what follows cannot be framed;
/// command_unknown after the whole request, or after 4 octets where the address type is unknown too.
[[nodiscard]] ParseResult<Request> decode_request(ConstBytes input);
/// As a client reads it. Malformed: protocol_unknown after 1 octet, address_type_unknown after 4.
[[nodiscard]] ParseResult<Reply> decode_reply(ConstBytes input);

/// How many octets of a reply are certain to follow its `beginning`, so that a client that must not take what stands
/// behind the reply can read that many. 0 exactly where decode_reply has its verdict.
[[nodiscard]] std::size_t reply_octets_missing(ConstBytes beginning) noexcept;

/// At most 255 methods (asserted), in order of preference.
[[nodiscard]] WireBuffer<greeting_octets_max> encode_greeting(std::span<const Method> methods) noexcept;
[[nodiscard]] std::array<std::uint8_t, 2> encode_method_choice(Method method) noexcept;
[[nodiscard]] WireBuffer<request_octets_max> encode_request(Command command, const Target& destination,
                                                            std::uint8_t reserved = 0) noexcept;
/// Without `bound`: BND is 0.0.0.0:0, as every failure carries it.
[[nodiscard]] WireBuffer<reply_octets_max> encode_reply(ReplyCode code, const Target& bound = {}) noexcept;

}  // namespace stile::wire
