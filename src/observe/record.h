// The access record: one line an event, JSON for machines or text for people. Encoding is pure; writing is
// record_sink.h. Names and users come from peers: no octet of theirs can forge or break a line (threats TL1, TL2).
// Tested in record_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"
#include "base/reason.h"
#include "base/time.h"
#include "base/udp_drop.h"

namespace stile::observe {

/// Beside a session's start and end: `drop`, the first datagram that an association dropped for one reason; `request`,
/// an HTTP request that was seen in a tunnel.
enum class Event : std::uint8_t { session_start, session_end, denied, auth_failed, error, drop, request };

/// Everything a record may say. Empty or absent values are left out. Views must outlive the call.
struct Record {
  Event event = Event::error;
  WallTime time{};
  std::uint64_t session = 0;  // printed as 16 hex digits
  std::string_view listener;  // "127.0.0.1:1080"
  std::optional<Endpoint> client;
  std::string_view protocol;        // "socks5"
  std::string_view user;            // authenticated, or claimed in auth.failed
  std::string_view method;          // "none", "password", …
  std::string_view command;         // "connect", …
  std::string_view target;          // as the client asked: any octets
  std::optional<Endpoint> address;  // the endpoint dialled
  std::string_view rule;            // the rule that decided
  std::string_view route;           // "direct", or the upstream's name
  std::optional<ReplyCode> reply;
  std::optional<std::uint64_t> bytes_up;
  std::optional<std::uint64_t> bytes_down;
  std::optional<std::uint64_t> packets_up;
  std::optional<std::uint64_t> packets_down;
  std::optional<std::uint64_t> packets_dropped;  // whatever the reason
  std::optional<std::uint64_t> socket_errors;    // ICMP among them; none ends an association
  std::optional<Duration> duration;              // printed as "seconds"
  Reason reason = Reason::none;
  std::optional<UdpDrop> drop;      // printed as the reason of Event::drop
  std::string_view announced_user;  // whom the proxy in front says that it asks for: any octets, and no proof
  std::string_view cache;           // "hit", "miss", …: what a service in the path says of a forwarded request
  std::string_view url;             // "GET http://example.com/", as the client asked: any octets
  std::string_view sni;             // likewise: the server's name in a TLS ClientHello
  std::string_view alpn;            // likewise: the protocols that it offers, comma-separated
};

/// One JSON object and a newline. Printable ASCII only: all else is escaped, and octets that are not UTF-8 become
/// U+FFFD.
[[nodiscard]] std::string to_json(const Record& record);

/// One line for people and a newline; every octet outside 0x20..0x7e of peer-chosen text is escaped.
[[nodiscard]] std::string to_text(const Record& record);

/// The sink's own record: so many were lost before it. An `error` with the reason `log.dropped`.
struct Loss {
  WallTime time{};
  std::uint64_t records = 0;
};

[[nodiscard]] std::string to_json(const Loss& loss);
[[nodiscard]] std::string to_text(const Loss& loss);

}  // namespace stile::observe
