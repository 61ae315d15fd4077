// Why something ended or was refused: one enumerator a cause, with the token that records print and the SOCKS5 reply
// code that a client sees. This is the one table to extend for a new cause or reply code. Sources: RFC 1928 section 6,
// and the outcome table of the protocol reference (its section 2.5).
#pragma once

#include <cstdint>
#include <string_view>

namespace stile {

/// SOCKS5 reply codes, RFC 1928 section 6.
enum class ReplyCode : std::uint8_t {
  succeeded = 0x00,
  general_failure = 0x01,
  not_allowed = 0x02,
  network_unreachable = 0x03,
  host_unreachable = 0x04,
  connection_refused = 0x05,
  ttl_expired = 0x06,
  command_not_supported = 0x07,
  address_type_not_supported = 0x08,
};

enum class Reason : std::uint8_t {
  none,  // no failure: the request was granted

  // The client's conversation.
  protocol_unknown,  // the first octet belongs to no protocol we speak
  protocol_off,      // it belongs to one this listener does not admit
  method_none,       // no acceptable authentication method was offered
  auth_version,      // RFC 1929 message with a version other than 01
  auth_failed,       // wrong user or password
  request_version,   // request with a version other than 05
  request_name,      // the name is empty or holds an octet that no name may hold
  request_port,      // CONNECT to port 0
  name_impossible,   // well-formed octets, but no host can bear this name
  command_unknown,   // a command nobody defined, or not spoken by this build
  address_type_unknown,
  eof_greeting,
  eof_auth,
  eof_request,
  timeout_handshake,
  client_reset,  // the client aborted before the relay began

  // Policy.
  deny_unspecified,  // 0.0.0.0 or ::
  deny_policy,       // no rule allows it
  deny_self,         // the target is Stile itself

  // Names.
  dns_not_found,  // NXDOMAIN, no A/AAAA, SERVFAIL
  dns_failed,     // resolver silent, refusing, or none configured
  dns_reserved,   // .invalid, .onion, .local, .alt

  // Dialling.
  dial_refused,
  dial_network_unreachable,
  dial_host_unreachable,
  dial_timeout,
  dial_ttl_expired,
  dial_forbidden,   // this host's own firewall, routing or sandbox
  dial_family_off,  // the kernel does not speak the family
  dial_no_ports,    // source ports exhausted or egress address missing
  dial_failed,      // anything else

  // Ourselves.
  no_resources,  // descriptors, memory, ceilings
  limit_sessions,

  // How a relay ends.
  fin_client,
  fin_target,
  reset_client,
  reset_target,
  idle,
  drain,  // the server is shutting down
};

inline constexpr int reason_count = static_cast<int>(Reason::drain) + 1;

/// What is said about a reason, to whom.
struct ReasonInfo {
  Reason reason;
  std::string_view token;  // in records and logs, e.g. "dial.refused"
  ReplyCode reply;         // what a SOCKS5 client is told when this ends its request
};

[[nodiscard]] const ReasonInfo& info(Reason reason) noexcept;

[[nodiscard]] inline std::string_view token(Reason reason) noexcept {
  return info(reason).token;
}
[[nodiscard]] inline ReplyCode reply_code(Reason reason) noexcept {
  return info(reason).reply;
}

}  // namespace stile
