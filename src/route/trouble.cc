#include "route/trouble.h"

#include <string>
#include <string_view>

namespace stile::route {
namespace {

using session::Advice;
using session::ProxyFault;

Advice name_advice(std::string_view whose, Reason reason) {
  switch (reason) {
    case Reason::dns_not_found:
      return {std::string(whose) + " name does not exist", "check how it is spelt"};
    case Reason::dns_reserved:
      return {std::string(whose) + " name is reserved and never looked up here", "use socks5h, if the proxy knows it"};
    default:
      return {std::string(whose) + " name could not be looked up", "check this host's resolver"};
  }
}

Advice protection_advice(Reason reason) {
  switch (reason) {
    case Reason::none:
      return {"it closed the connection where TLS was due", "check that it speaks TLS at this port"};
    case Reason::tls_missing:
      return {"the proxy does not speak TLS there", "check its port, or use the scheme without TLS"};
    case Reason::tls_version:
      return {"it speaks no version of TLS from 1.2 on", "have it brought up to date"};
    case Reason::tls_certificate_untrusted:
      return {"its certificate leads to no CA that counts here", "add --ca FILE with the CA that signed it"};
    case Reason::tls_certificate_expired:
      return {"its certificate is not valid today", "have it renewed, or check this host's clock"};
    case Reason::tls_certificate_name:
      return {"its certificate does not bear the name or address that was dialled",
              "name the proxy as its certificate does"};
    case Reason::tls_certificate_missing:
      return {"it lets only clients with a certificate in", "add --certificate FILE and --key FILE"};
    case Reason::tls_certificate_refused:
      return {"it does not take the certificate of --certificate", "show a valid one of a CA that it trusts"};
    case Reason::gss_ticket:
      return {"there is no Kerberos ticket for it",
              "run kinit, and see with klist; --gss-service says what it is called"};
    case Reason::gss_accept:
      return {"it does not take the Kerberos ticket, or does not prove itself", "its log may tell more"};
    case Reason::gss_level:
      return {"it does not encrypt what passes", "have it grant level 2 of RFC 1961"};
    case Reason::gss_token:
    case Reason::gss_order:
    case Reason::gss_version:
      return {"what it says is not RFC 1961, or was changed on the way", "check who is at its address"};
    case Reason::no_resources:
      return {"this process has no memory left", "raise its limits"};
    default:
      return {"the TLS handshake with it failed", "its log may tell more"};
  }
}

Advice dial_advice(Reason reason) {
  switch (reason) {
    case Reason::dial_refused:
      return {"nobody listens there", "start the proxy, or check its host and port"};
    case Reason::dial_network_unreachable:
      return {"there is no route to it", "check this host's network"};
    case Reason::dial_host_unreachable:
      return {"its host does not answer", "check the proxy's host"};
    case Reason::dial_timeout:
      return {"it did not answer in time", "check the proxy's host and the firewalls between"};
    case Reason::dial_ttl_expired:
      return {"the packets went in circles", "check the routes"};
    case Reason::dial_forbidden:
      return {"this host's own rules forbid it", "check its firewall"};
    case Reason::dial_family_off:
      return {"this host does not speak its address family", ""};
    case Reason::dial_no_ports:
      return {"this host has no free port", "try again"};
    case Reason::no_resources:
      return {"this process has no descriptors or memory left", "raise its limits"};
    default:
      return {"the connection failed", "try again"};
  }
}

}  // namespace

Advice explain(const Trouble& trouble) {
  switch (trouble.obstacle) {
    case Obstacle::none:
      return {};
    case Obstacle::proxy_name:
      return name_advice("the proxy's", trouble.reason);
    case Obstacle::target_name:
      return name_advice("the target's", trouble.reason);
    case Obstacle::target_family:
      return {"SOCKS4 carries IPv4 addresses only", "use socks4a, socks5 or socks5h"};
    case Obstacle::login_half:
      return {"the proxy's user has no password", "write USER:PASSWORD@, or add --password-file"};
    case Obstacle::clear_password:
      return {"the password would cross the network in clear", "add --clear-password where nobody else can read along"};
    case Obstacle::dial:
      return dial_advice(trouble.reason);
    case Obstacle::announcement:
      return {"it did not take the word of who we are", "check that it takes PROXY headers"};
    case Obstacle::protection:
      return protection_advice(trouble.reason);
    case Obstacle::conversation:
      return session::explain(trouble.failure);
    case Obstacle::canceled:
      return {"it was interrupted", ""};
  }
  return {};
}

namespace {

/// RFC 1928 section 6; what else a proxy may answer is no code that a client knows.
Reason of_socks5(std::uint16_t code) noexcept {
  switch (code) {
    case 0x02:
      return Reason::upstream_denied;
    case 0x03:
      return Reason::upstream_network_unreachable;
    case 0x04:
      return Reason::upstream_host_unreachable;
    case 0x05:
      return Reason::upstream_refused;
    case 0x06:
      return Reason::upstream_ttl_expired;
    case 0x07:
      return Reason::upstream_command;
    case 0x08:
      return Reason::upstream_address_type;
    default:
      return Reason::upstream_general;
  }
}

Reason of_http(std::uint16_t status) noexcept {
  switch (status) {
    case 403:
      return Reason::upstream_denied;
    case 404:
    case 502:
      return Reason::upstream_host_unreachable;
    case 504:
      return Reason::upstream_timeout;
    case 407:
      return Reason::upstream_failed;
    default:
      return Reason::upstream_general;
  }
}

/// Every other server would meet the same.
bool is_of_this_host(Reason reason) noexcept {
  return reason == Reason::no_resources || reason == Reason::dial_egress;
}

/// Nobody came to it while we waited. It is about to say so itself, unless we are a moment earlier.
bool no_peer_came(const Trouble& trouble) noexcept {
  return trouble.obstacle == Obstacle::conversation && trouble.failure.fault == ProxyFault::timed_out &&
         trouble.failure.awaited == session::Awaited::peer;
}

/// HTTP says with a status that it does not know us; that is no word on the target.
bool refuses_us(const session::ProxyFailure& failure) noexcept {
  return failure.protocol == wire::ProxyProtocol::http && failure.code == 407;
}

}  // namespace

Reason reason_of(const Trouble& trouble, std::size_t hops) noexcept {
  const bool last = trouble.hop + 1 == hops;
  switch (trouble.obstacle) {
    case Obstacle::none:
      return Reason::none;
    case Obstacle::canceled:
      return Reason::client_reset;
    case Obstacle::target_name:
      return trouble.reason;
    case Obstacle::target_family:
      return last ? Reason::upstream_address_type : Reason::upstream_failed;
    case Obstacle::conversation:
      break;
    default:
      return is_of_this_host(trouble.reason) ? trouble.reason : Reason::upstream_failed;
  }
  if (last && trouble.failure.fault == ProxyFault::no_such_command) return Reason::upstream_command;
  if (last && no_peer_came(trouble)) return Reason::bind_timeout;
  if (!last || !trouble.is_answer()) return Reason::upstream_failed;
  switch (trouble.failure.protocol) {
    case wire::ProxyProtocol::socks5:
      return of_socks5(trouble.failure.code);
    case wire::ProxyProtocol::http:
      return of_http(trouble.failure.code);
    default:
      return Reason::upstream_general;
  }
}

Reason cause_of(const Trouble& trouble) noexcept {
  return trouble.reason == Reason::none ? Reason::upstream_failed : trouble.reason;
}

std::string cause_text(const Trouble& trouble, std::size_t hop) {
  const std::string why = explain(trouble).why;
  return trouble.hop == hop ? why : "the proxy in front of it says: " + why;
}

std::optional<std::size_t> blamed_hop(const Trouble& trouble, std::size_t hops) noexcept {
  switch (trouble.obstacle) {
    case Obstacle::none:
    case Obstacle::canceled:
    case Obstacle::target_name:
    case Obstacle::target_family:
      return std::nullopt;
    case Obstacle::conversation:
      break;
    default:
      if (is_of_this_host(trouble.reason)) return std::nullopt;
      return trouble.hop;
  }
  if (trouble.failure.fault == ProxyFault::no_such_command || no_peer_came(trouble)) return std::nullopt;
  // It let us in, and is still at it: the target may be slow.
  const bool slow =
      trouble.failure.fault == ProxyFault::timed_out && trouble.failure.awaited != session::Awaited::method;
  if (slow && trouble.hop + 1 == hops && trouble.failure.protocol == wire::ProxyProtocol::socks5) return std::nullopt;
  if (!trouble.is_answer() || refuses_us(trouble.failure)) return trouble.hop;
  // A hop that answers does its work: what it could not reach is the next one.
  if (trouble.hop + 1 < hops) return trouble.hop + 1;
  return std::nullopt;
}

}  // namespace stile::route
