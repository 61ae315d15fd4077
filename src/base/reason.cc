#include "base/reason.h"

#include <array>

namespace stile {
namespace {

// In the order of the enumeration, which the static_assert below holds.
constexpr std::array<ReasonInfo, reason_count> table{{
    {Reason::none, "none", ReplyCode::succeeded},
    {Reason::protocol_unknown, "proto.unknown", ReplyCode::general_failure},
    {Reason::protocol_off, "proto.off", ReplyCode::general_failure},
    {Reason::method_none, "method.none", ReplyCode::general_failure},
    {Reason::auth_version, "auth.version", ReplyCode::general_failure},
    {Reason::auth_failed, "auth.failed", ReplyCode::general_failure},
    {Reason::auth_busy, "auth.busy", ReplyCode::general_failure},
    {Reason::auth_unavailable, "auth.unavailable", ReplyCode::general_failure},
    {Reason::auth_crashed, "auth.crashed", ReplyCode::general_failure},
    {Reason::auth_penalty, "auth.penalty", ReplyCode::general_failure},
    {Reason::request_version, "request.version", ReplyCode::general_failure},
    {Reason::request_user, "request.user", ReplyCode::general_failure},
    {Reason::request_name, "request.name", ReplyCode::general_failure},
    {Reason::request_port, "request.port", ReplyCode::general_failure},
    {Reason::name_impossible, "name.impossible", ReplyCode::host_unreachable},
    {Reason::command_unknown, "command.unknown", ReplyCode::command_not_supported},
    {Reason::address_type_unknown, "address_type.unknown", ReplyCode::address_type_not_supported},
    {Reason::proxy_missing, "pp.missing", ReplyCode::general_failure},
    {Reason::proxy_version, "pp.version", ReplyCode::general_failure},
    {Reason::proxy_syntax, "pp.syntax", ReplyCode::general_failure},
    {Reason::proxy_timeout, "pp.timeout", ReplyCode::general_failure},
    {Reason::gss_version, "gss.version", ReplyCode::general_failure},
    {Reason::gss_order, "gss.order", ReplyCode::general_failure},
    {Reason::gss_accept, "gss.accept", ReplyCode::general_failure},
    {Reason::gss_token, "gss.token", ReplyCode::general_failure},
    {Reason::gss_ticket, "gss.ticket", ReplyCode::general_failure},
    {Reason::gss_level, "gss.level", ReplyCode::general_failure},
    {Reason::http_syntax, "http.syntax", ReplyCode::general_failure},
    {Reason::http_host, "http.host", ReplyCode::general_failure},
    {Reason::http_target, "http.target", ReplyCode::general_failure},
    {Reason::http_framing, "http.framing", ReplyCode::general_failure},
    {Reason::http_method, "http.method", ReplyCode::general_failure},
    {Reason::http_line_long, "http.line_long", ReplyCode::general_failure},
    {Reason::http_fields_large, "http.fields_large", ReplyCode::general_failure},
    {Reason::http_scheme, "http.scheme", ReplyCode::general_failure},
    {Reason::http_coding, "http.coding", ReplyCode::general_failure},
    {Reason::http_version, "http.version", ReplyCode::general_failure},
    {Reason::http_response, "http.response", ReplyCode::general_failure},
    {Reason::http_incomplete, "http.incomplete", ReplyCode::general_failure},
    {Reason::http_unavailable, "http.unavailable", ReplyCode::general_failure},
    {Reason::tls_hello, "tls.hello", ReplyCode::general_failure},
    {Reason::tls_missing, "tls.missing", ReplyCode::general_failure},
    {Reason::tls_version, "tls.version", ReplyCode::general_failure},
    {Reason::tls_handshake, "tls.handshake", ReplyCode::general_failure},
    {Reason::tls_record, "tls.record", ReplyCode::general_failure},
    {Reason::tls_truncated, "tls.truncated", ReplyCode::general_failure},
    {Reason::tls_certificate_missing, "tls.certificate.missing", ReplyCode::general_failure},
    {Reason::tls_certificate_untrusted, "tls.certificate.untrusted", ReplyCode::general_failure},
    {Reason::tls_certificate_expired, "tls.certificate.expired", ReplyCode::general_failure},
    {Reason::tls_certificate_revoked, "tls.certificate.revoked", ReplyCode::general_failure},
    {Reason::tls_certificate_name, "tls.certificate.name", ReplyCode::general_failure},
    {Reason::tls_certificate_refused, "tls.certificate.refused", ReplyCode::general_failure},
    {Reason::ping_line, "ping.line", ReplyCode::general_failure},
    {Reason::eof_greeting, "eof.greeting", ReplyCode::general_failure},
    {Reason::eof_auth, "eof.auth", ReplyCode::general_failure},
    {Reason::eof_request, "eof.request", ReplyCode::general_failure},
    {Reason::timeout_handshake, "timeout.handshake", ReplyCode::general_failure},
    {Reason::client_reset, "client.reset", ReplyCode::general_failure},
    {Reason::deny_unspecified, "deny.unspecified", ReplyCode::not_allowed},
    {Reason::deny_policy, "deny.policy", ReplyCode::not_allowed},
    {Reason::deny_self, "deny.self", ReplyCode::not_allowed},
    {Reason::policy_changed, "policy.changed", ReplyCode::not_allowed},
    {Reason::dns_not_found, "dns.not_found", ReplyCode::host_unreachable},
    {Reason::dns_failed, "dns.failed", ReplyCode::general_failure},
    {Reason::dns_reserved, "dns.reserved", ReplyCode::host_unreachable},
    {Reason::dial_refused, "dial.refused", ReplyCode::connection_refused},
    {Reason::dial_network_unreachable, "dial.network_unreachable", ReplyCode::network_unreachable},
    {Reason::dial_host_unreachable, "dial.host_unreachable", ReplyCode::host_unreachable},
    {Reason::dial_timeout, "dial.timeout", ReplyCode::host_unreachable},
    {Reason::dial_ttl_expired, "dial.ttl_expired", ReplyCode::ttl_expired},
    {Reason::dial_forbidden, "dial.forbidden", ReplyCode::not_allowed},
    {Reason::dial_family_off, "dial.family_off", ReplyCode::address_type_not_supported},
    {Reason::dial_no_ports, "dial.no_ports", ReplyCode::general_failure},
    {Reason::dial_egress, "dial.egress", ReplyCode::general_failure},
    {Reason::dial_failed, "dial.failed", ReplyCode::general_failure},
    {Reason::upstream_failed, "upstream.failed", ReplyCode::general_failure},
    {Reason::upstream_general, "upstream.general", ReplyCode::general_failure},
    {Reason::upstream_denied, "upstream.denied", ReplyCode::not_allowed},
    {Reason::upstream_network_unreachable, "upstream.network_unreachable", ReplyCode::network_unreachable},
    {Reason::upstream_host_unreachable, "upstream.host_unreachable", ReplyCode::host_unreachable},
    {Reason::upstream_timeout, "upstream.timeout", ReplyCode::host_unreachable},
    {Reason::upstream_refused, "upstream.refused", ReplyCode::connection_refused},
    {Reason::upstream_ttl_expired, "upstream.ttl_expired", ReplyCode::ttl_expired},
    {Reason::upstream_command, "upstream.command", ReplyCode::command_not_supported},
    {Reason::upstream_address_type, "upstream.address_type", ReplyCode::address_type_not_supported},
    {Reason::udp_claim, "udp.claim", ReplyCode::general_failure},
    {Reason::bind_peer, "bind.peer", ReplyCode::not_allowed},
    {Reason::bind_timeout, "timeout.bind", ReplyCode::host_unreachable},
    {Reason::ping_no_socket, "ping.no_socket", ReplyCode::general_failure},
    {Reason::no_resources, "no_resources", ReplyCode::general_failure},
    {Reason::limit_sessions, "limit.sessions", ReplyCode::general_failure},
    {Reason::limit_accounting, "limit.accounting", ReplyCode::general_failure},
    {Reason::limit_listener, "limit.listener", ReplyCode::general_failure},
    {Reason::limit_source, "limit.source", ReplyCode::not_allowed},
    {Reason::limit_user, "limit.user", ReplyCode::not_allowed},
    {Reason::limit_associations, "limit.associations", ReplyCode::not_allowed},
    {Reason::limit_rule, "limit.rule", ReplyCode::not_allowed},
    {Reason::limit_quota, "limit.quota", ReplyCode::not_allowed},
    {Reason::fin_client, "fin.client", ReplyCode::general_failure},
    {Reason::fin_target, "fin.target", ReplyCode::general_failure},
    {Reason::reset_client, "rst.client", ReplyCode::general_failure},
    {Reason::reset_target, "rst.target", ReplyCode::general_failure},
    {Reason::idle, "idle", ReplyCode::general_failure},
    {Reason::drain, "drain", ReplyCode::general_failure},
}};

constexpr bool in_enumeration_order() {
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (static_cast<std::size_t>(table[i].reason) != i) return false;
  }
  return true;
}
static_assert(in_enumeration_order());

}  // namespace

const ReasonInfo& info(Reason reason) noexcept {
  return table[static_cast<std::size_t>(reason)];
}

}  // namespace stile
