// Why a conversation with a proxy came to nothing: one value a failure, and its words for people, the proxy's own reply
// among them. No text holds an octet that the proxy chose other than as a number.
// Refuses: to judge. Which failure lets another proxy be tried is its caller's to say.
// Threading: values and pure functions. Tested in proxy_failure_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "wire/proxy_url.h"
#include "wire/socks5.h"

namespace stile::session {

enum class ProxyFault : std::uint8_t {
  no_such_command,     // the protocol has no such request: nothing was sent
  not_socks,           // `code` is the octet that no answer has there
  no_method,           // none of the offered authentication methods is acceptable (05 FF)
  method_not_offered,  // `code` is a method that was not offered
  login_refused,       // `code` is the status
  refused,             // `code` is REP, CD of SOCKS4 or the status of HTTP
  address_type,        // a success whose address is of the unknown type `code`
  closed,              // FIN in the middle of the conversation
  lost,                // RST or a socket error
  timed_out,           // the deadline passed
};
inline constexpr std::size_t proxy_fault_count = static_cast<std::size_t>(ProxyFault::timed_out) + 1;

/// Which of the proxy's messages was awaited.
enum class Awaited : std::uint8_t { method, login, reply, peer };

struct ProxyFailure {
  ProxyFault fault = ProxyFault::lost;
  Awaited awaited = Awaited::method;
  std::uint16_t code = 0;
  wire::ProxyProtocol protocol = wire::ProxyProtocol::socks5;
  wire::Command command = wire::Command::connect;
  bool login_offered = false;

  friend bool operator==(const ProxyFailure&, const ProxyFailure&) = default;
};

/// Two clauses for "what failed: why (what to do)"; either may go to a terminal.
struct Advice {
  std::string why;
  std::string cure;  // may be empty

  friend bool operator==(const Advice&, const Advice&) = default;
};

[[nodiscard]] Advice explain(const ProxyFailure& failure);

/// As the standards write it: "CONNECT", "UDP ASSOCIATE", "PING", …
[[nodiscard]] std::string_view standard_name(wire::Command command) noexcept;

}  // namespace stile::session
