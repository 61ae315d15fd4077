#include "wire/http_status.h"

#include <array>

#include "base/assert.h"

namespace stile::wire {
namespace {

constexpr std::string_view bad_request = "http_request_error";
constexpr std::string_view denied = "http_request_denied";
constexpr std::string_view unroutable = "destination_ip_unroutable";
constexpr std::string_view unavailable = "destination_unavailable";
constexpr std::string_view limit = "connection_limit_reached";
constexpr std::string_view ended = "connection_terminated";

// In the order of the enumeration, which the static_assert below holds. Those that end a conversation without a word
// have the status that would fit if one were ever sent.
constexpr std::array<HttpOutcome, reason_count> table{{
    {Reason::none, 200, ""},
    {Reason::protocol_unknown, 400, bad_request},
    {Reason::protocol_off, 400, bad_request},
    {Reason::method_none, 407, ""},
    {Reason::auth_version, 400, bad_request},
    {Reason::auth_failed, 407, ""},
    {Reason::auth_busy, 503, limit},
    {Reason::auth_unavailable, 503, limit},
    {Reason::auth_crashed, 503, limit},
    {Reason::auth_penalty, 503, limit},
    {Reason::request_version, 400, bad_request},
    {Reason::request_user, 400, bad_request},
    {Reason::request_name, 400, bad_request},
    {Reason::request_port, 400, bad_request},
    {Reason::name_impossible, 400, bad_request},
    {Reason::command_unknown, 405, bad_request},
    {Reason::address_type_unknown, 400, bad_request},
    {Reason::proxy_missing, 400, bad_request},
    {Reason::proxy_version, 400, bad_request},
    {Reason::proxy_syntax, 400, bad_request},
    {Reason::proxy_timeout, 400, bad_request},
    {Reason::gss_version, 400, bad_request},
    {Reason::gss_order, 400, bad_request},
    {Reason::gss_accept, 407, ""},
    {Reason::gss_token, 400, bad_request},
    {Reason::gss_ticket, 502, "http_protocol_error"},
    {Reason::gss_level, 400, bad_request},
    {Reason::http_syntax, 400, bad_request},
    {Reason::http_host, 400, bad_request},
    {Reason::http_target, 400, bad_request},
    {Reason::http_framing, 400, bad_request},
    {Reason::http_method, 405, bad_request},
    {Reason::http_line_long, 414, bad_request},
    {Reason::http_fields_large, 431, bad_request},
    {Reason::http_scheme, 501, bad_request},
    {Reason::http_coding, 501, bad_request},
    {Reason::http_version, 505, bad_request},
    {Reason::http_response, 502, "http_protocol_error"},
    {Reason::http_incomplete, 502, "http_response_incomplete"},
    {Reason::http_unavailable, 504, "http_response_timeout"},
    {Reason::tls_hello, 400, bad_request},
    {Reason::tls_missing, 400, bad_request},
    {Reason::tls_version, 400, bad_request},
    {Reason::tls_handshake, 400, bad_request},
    {Reason::tls_record, 400, bad_request},
    {Reason::tls_truncated, 400, bad_request},
    {Reason::tls_certificate_missing, 400, bad_request},
    {Reason::tls_certificate_untrusted, 400, bad_request},
    {Reason::tls_certificate_expired, 400, bad_request},
    {Reason::tls_certificate_revoked, 400, bad_request},
    {Reason::tls_certificate_name, 400, bad_request},
    {Reason::tls_certificate_refused, 400, bad_request},
    {Reason::ping_line, 400, bad_request},
    {Reason::eof_greeting, 400, bad_request},
    {Reason::eof_auth, 400, bad_request},
    {Reason::eof_request, 400, bad_request},
    {Reason::timeout_handshake, 400, bad_request},
    {Reason::client_reset, 400, bad_request},
    {Reason::deny_unspecified, 403, "destination_ip_prohibited"},
    {Reason::deny_policy, 403, denied},
    // The same octets as any other denial: that the target is Stile itself is nobody's business.
    {Reason::deny_self, 403, denied},
    {Reason::policy_changed, 403, denied},
    {Reason::dns_not_found, 502, "dns_error"},
    {Reason::dns_failed, 504, "dns_timeout"},
    {Reason::dns_reserved, 502, "dns_error"},
    {Reason::dial_refused, 502, "connection_refused"},
    {Reason::dial_network_unreachable, 502, unroutable},
    {Reason::dial_host_unreachable, 502, unroutable},
    {Reason::dial_timeout, 504, "connection_timeout"},
    {Reason::dial_ttl_expired, 502, unroutable},
    {Reason::dial_forbidden, 403, denied},
    {Reason::dial_family_off, 502, unroutable},
    {Reason::dial_no_ports, 503, limit},
    {Reason::dial_egress, 503, limit},
    {Reason::dial_failed, 502, unavailable},
    {Reason::upstream_failed, 502, unavailable},
    {Reason::upstream_general, 502, unavailable},
    {Reason::upstream_denied, 403, denied},
    {Reason::upstream_network_unreachable, 502, unroutable},
    {Reason::upstream_host_unreachable, 502, unroutable},
    {Reason::upstream_timeout, 504, "connection_timeout"},
    {Reason::upstream_refused, 502, "connection_refused"},
    {Reason::upstream_ttl_expired, 502, unroutable},
    {Reason::upstream_command, 502, unavailable},
    {Reason::upstream_address_type, 502, unroutable},
    {Reason::udp_claim, 400, bad_request},
    {Reason::bind_peer, 403, denied},
    {Reason::bind_timeout, 504, "connection_timeout"},
    {Reason::ping_no_socket, 503, "proxy_internal_error"},
    {Reason::no_resources, 503, "proxy_internal_error"},
    {Reason::limit_sessions, 503, limit},
    {Reason::limit_accounting, 503, limit},
    {Reason::limit_listener, 503, limit},
    {Reason::limit_source, 403, denied},
    {Reason::limit_user, 403, denied},
    {Reason::limit_associations, 403, denied},
    {Reason::limit_rule, 403, denied},
    {Reason::limit_quota, 403, denied},
    {Reason::fin_client, 400, bad_request},
    {Reason::fin_target, 502, ended},
    {Reason::reset_client, 400, bad_request},
    {Reason::reset_target, 502, ended},
    {Reason::idle, 504, "connection_read_timeout"},
    {Reason::drain, 503, unavailable},
}};

constexpr bool in_enumeration_order() {
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (static_cast<std::size_t>(table[i].reason) != i) return false;
  }
  return true;
}
static_assert(in_enumeration_order());

}  // namespace

const HttpOutcome& http_outcome(Reason reason) noexcept {
  return table[static_cast<std::size_t>(reason)];
}

std::string_view http_phrase(std::uint16_t status) noexcept {
  switch (status) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 403:
      return "Forbidden";
    case 405:
      return "Method Not Allowed";
    case 407:
      return "Proxy Authentication Required";
    case 414:
      return "URI Too Long";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return {};
  }
}

std::string_view http_connect_established() noexcept {
  return "HTTP/1.1 200 Connection established\r\n\r\n";
}

std::string encode_http_refusal(const HttpRefusal& refusal) {
  const std::string_view phrase = http_phrase(refusal.status);
  STILE_ASSERT(!phrase.empty());
  const std::string status = std::to_string(refusal.status).append(" ").append(phrase);
  const std::string body = status + "\n";
  std::string octets = "HTTP/1.1 " + status + "\r\n";
  if (!refusal.error.empty()) octets.append("Proxy-Status: stile; error=").append(refusal.error).append("\r\n");
  // RFC 7617 section 2 for the realm, RFC 4559 section 4 for Negotiate.
  if (refusal.negotiate_challenge) octets.append("Proxy-Authenticate: Negotiate\r\n");
  if (refusal.basic_challenge) octets.append("Proxy-Authenticate: Basic realm=\"stile\", charset=\"UTF-8\"\r\n");
  // RFC 9110 section 15.5.6: a 405 must say which methods there are.
  if (refusal.status == 405) octets.append("Allow: ").append(refusal.allow).append("\r\n");
  if (refusal.retry.count() > 0)
    octets.append("Retry-After: ").append(std::to_string(refusal.retry.count())).append("\r\n");
  octets.append("Content-Type: text/plain\r\nContent-Length: ").append(std::to_string(body.size())).append("\r\n");
  if (refusal.close) octets.append("Connection: close\r\n");
  octets.append("\r\n");
  return refusal.to_head_request ? octets : octets + body;
}

}  // namespace stile::wire
