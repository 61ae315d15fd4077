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
  auth_busy,         // too many logins at once to look at this one
  auth_unavailable,  // who judges passwords does not answer
  auth_crashed,      // who judged the password died of it
  auth_penalty,      // the source failed too often of late
  request_version,   // request with a version other than 05
  request_user,      // SOCKS4 user id without its NUL
  request_name,      // the name is empty or holds an octet that no name may hold
  request_port,      // CONNECT to port 0
  name_impossible,   // well-formed octets, but no host can bear this name
  command_unknown,   // a command nobody defined, or not spoken by this build
  address_type_unknown,
  proxy_missing,      // a source that must send a PROXY header sent something else
  proxy_version,      // PROXY header of a version other than 1 and 2
  proxy_syntax,       // PROXY header that breaks its format
  proxy_timeout,      // PROXY header not complete in time
  gss_version,        // RFC 1961 message with a version other than 01
  gss_order,          // RFC 1961 message of an unknown type, or out of turn
  gss_accept,         // the mechanism refused the client's context token
  gss_token,          // empty where a token is due, or one that does not unwrap
  gss_ticket,         // at a client: there is no ticket for the proxy
  gss_level,          // a protection level that cannot be granted
  http_syntax,        // a head that is not HTTP/1, with everything that could hide a second request
  http_host,          // not exactly one Host, or none that could be one
  http_target,        // a request target that a proxy cannot serve: origin-form, asterisk-form, no port in CONNECT
  http_framing,       // a body whose length is said twice, or not at all
  http_method,        // CONNECT, or this method, is not served here
  http_line_long,     // the request line exceeds its limit
  http_fields_large,  // its fields exceed theirs
  http_scheme,        // an absolute-form target that is not http
  http_coding,        // a transfer coding other than chunked
  http_version,       // not HTTP/1.x
  http_response,      // the origin's answer is not HTTP/1, or breaks its framing
  http_incomplete,    // the origin ended inside its answer
  http_unavailable,   // the origin did not answer in time
  tls_hello,          // a ClientHello that breaks its format
  tls_missing,        // a listener that speaks TLS only was spoken to in plain
  tls_version,        // no version of TLS in common: 1.2 and 1.3 are spoken
  tls_handshake,      // the TLS handshake failed otherwise
  tls_record,         // a TLS record that cannot be trusted, behind the handshake
  tls_truncated,      // the connection ended without the TLS stream's end
  tls_certificate_missing,    // the peer has shown no certificate
  tls_certificate_untrusted,  // its certificate leads to no CA that counts here
  tls_certificate_expired,    // its certificate has expired, or is not valid yet
  tls_certificate_revoked,    // its certificate is on the revocation list
  tls_certificate_name,       // its certificate bears no name that could be used, or another one
  tls_certificate_refused,    // it does not take the one that it was shown
  ping_line,                  // a line of PING or TRACEROUTE that no server of ours writes
  eof_greeting,
  eof_auth,
  eof_request,
  timeout_handshake,
  client_reset,  // the client aborted before the relay began

  // Policy.
  deny_unspecified,  // 0.0.0.0 or ::
  deny_policy,       // no rule allows it
  deny_self,         // the target is Stile itself
  policy_changed,    // a session that the policy no longer allows

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
  dial_no_ports,    // source ports exhausted
  dial_egress,      // the address or interface to leave by is not this host's, or the mark is refused
  dial_failed,      // anything else
  // Through another proxy: it is beyond reach, or it said so of the target.
  upstream_failed,   // it cannot be reached, it does not let us in, or what it says is no answer
  upstream_general,  // it failed and does not say why
  upstream_denied,   // its rules forbid it
  upstream_network_unreachable,
  upstream_host_unreachable,
  upstream_timeout,
  upstream_refused,
  upstream_ttl_expired,
  upstream_command,       // it has no such command
  upstream_address_type,  // it cannot carry the address

  // BIND and UDP ASSOCIATE.
  udp_claim,     // the address and port that it names are not the client's, where they must be
  bind_peer,     // another peer than the expected one came, where that ends the wait
  bind_timeout,  // nobody came in time

  // PING and TRACEROUTE.
  ping_no_socket,  // the system gives this process no ICMP socket

  // Ourselves.
  no_resources,        // descriptors, memory, ceilings
  limit_sessions,      // of the process
  limit_accounting,    // accounting can hold no more, and is configured to refuse
  limit_listener,      // of the listener
  limit_source,        // of the client's address
  limit_user,          // of the user
  limit_associations,  // of the user's UDP associations
  limit_rule,          // of the rule, or of one user of it
  limit_quota,         // nothing is left of the rule's, or of the user's; also how a tunnel ends that exceeds it

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
