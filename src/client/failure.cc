#include "client/failure.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sys/errno_table.h"

namespace stile::client {
namespace {

using route::Obstacle;
using session::ProxyFault;

/// What connect(2) would have said of the target (RFC 1928, section 6).
int errno_of_socks5(int reply) noexcept {
  switch (reply) {
    case 0x02:
      return EACCES;
    case 0x03:
      return ENETUNREACH;
    case 0x04:
    case 0x06:
      return EHOSTUNREACH;
    case 0x07:
      return EOPNOTSUPP;
    case 0x08:
      return EAFNOSUPPORT;
    default:
      return ECONNREFUSED;
  }
}

int errno_of_http(int status) noexcept {
  switch (status) {
    case 403:
      return EACCES;
    case 404:
    case 503:
      return EHOSTUNREACH;
    case 405:
    case 501:
      return EOPNOTSUPP;
    case 504:
      return ETIMEDOUT;
    default:
      return ECONNREFUSED;
  }
}

stile_protocol protocol_of(wire::ProxyProtocol protocol) noexcept {
  switch (protocol) {
    case wire::ProxyProtocol::socks4:
      return STILE_PROTOCOL_SOCKS4;
    case wire::ProxyProtocol::socks5:
      return STILE_PROTOCOL_SOCKS5;
    case wire::ProxyProtocol::http:
      return STILE_PROTOCOL_HTTP;
    case wire::ProxyProtocol::proxy_protocol:
      break;
  }
  return STILE_PROTOCOL_NONE;
}

/// Code and errno of what a proxy did wrong, or answered.
void judge(const session::ProxyFailure& met, Failure& failure) noexcept {
  const auto is = [&](stile_code code, int system_error) {
    failure.code = code;
    failure.system_error = system_error;
  };
  failure.protocol = protocol_of(met.protocol);
  switch (met.fault) {
    case ProxyFault::no_such_command:
      return is(STILE_ERROR_UNSUPPORTED, EOPNOTSUPP);
    case ProxyFault::not_socks:
    case ProxyFault::method_not_offered:
    case ProxyFault::address_type:
      return is(STILE_ERROR_PROTOCOL, EPROTO);
    case ProxyFault::no_method:
      return is(STILE_ERROR_LOGIN, EACCES);
    case ProxyFault::login_refused:
      failure.reply = met.code;
      return is(STILE_ERROR_LOGIN, EACCES);
    case ProxyFault::refused:
      failure.reply = met.code;
      if (met.protocol == wire::ProxyProtocol::http && met.code == 407) return is(STILE_ERROR_LOGIN, EACCES);
      if (met.protocol == wire::ProxyProtocol::http) return is(STILE_ERROR_REFUSED, errno_of_http(met.code));
      if (met.protocol == wire::ProxyProtocol::socks4) return is(STILE_ERROR_REFUSED, ECONNREFUSED);
      return is(STILE_ERROR_REFUSED, errno_of_socks5(met.code));
    case ProxyFault::closed:
    case ProxyFault::lost:
      return is(STILE_ERROR_CLOSED, ENETUNREACH);
    case ProxyFault::timed_out:
      return is(STILE_ERROR_TIMEOUT, ETIMEDOUT);
  }
}

/// Whether `trouble` lies with this process: it met no other.
bool is_ours(const route::Trouble& trouble) noexcept {
  return trouble.obstacle != Obstacle::conversation &&
         (trouble.reason == Reason::no_resources || trouble.reason == Reason::dial_no_ports);
}

struct CodeOfObstacle {
  Obstacle obstacle;
  stile_code code;
  int system_error;
};
constexpr CodeOfObstacle obstacle_codes[] = {
    {Obstacle::proxy_name, STILE_ERROR_PROXY_NAME, ENETUNREACH},
    {Obstacle::target_name, STILE_ERROR_TARGET_NAME, EHOSTUNREACH},
    {Obstacle::target_family, STILE_ERROR_UNSUPPORTED, EAFNOSUPPORT},
    {Obstacle::login_half, STILE_ERROR_SETTINGS, EINVAL},
    {Obstacle::clear_password, STILE_ERROR_CLEAR_PASSWORD, EACCES},
    {Obstacle::dial, STILE_ERROR_PROXY_DOWN, ENETUNREACH},
    {Obstacle::announcement, STILE_ERROR_CLOSED, ENETUNREACH},
    {Obstacle::protection, STILE_ERROR_PROTECTION, ENETUNREACH},
    {Obstacle::canceled, STILE_ERROR_CANCELED, ECANCELED},
};

}  // namespace

void tell(const Failure& failure, stile_error* error) noexcept {
  errno = failure.system_error;
  if (error == nullptr) return;
  *error = {};
  error->code = failure.code;
  error->system_error = failure.system_error;
  error->reply = failure.reply;
  error->protocol = failure.protocol;
  error->hop = failure.hop;
  failure.text.copy(error->text, sizeof error->text - 1);
}

Failure failure_of(const route::Trouble& trouble, std::span<const route::Hop* const> hops) {
  Failure failure;
  if (trouble.obstacle == Obstacle::none) return failure;
  failure.text = route::explain(trouble).why;
  if (trouble.obstacle == Obstacle::conversation) {
    judge(trouble.failure, failure);
  } else {
    const auto* const row = std::ranges::find(obstacle_codes, trouble.obstacle, &CodeOfObstacle::obstacle);
    failure.code = row->code;
    failure.system_error = trouble.reason == Reason::dial_timeout ? ETIMEDOUT : row->system_error;
  }
  if (is_ours(trouble)) {
    failure.code = STILE_ERROR_SYSTEM;
    failure.system_error = trouble.reason == Reason::no_resources ? ENOBUFS : EADDRNOTAVAIL;
  }
  const bool at_a_hop = trouble.obstacle != Obstacle::canceled && trouble.obstacle != Obstacle::target_name &&
                        failure.code != STILE_ERROR_SYSTEM;
  if (at_a_hop && trouble.hop < hops.size()) {
    failure.hop = static_cast<int>(trouble.hop);
    failure.text = hops[trouble.hop]->url.to_string() + ": " + failure.text;
  }
  return failure;
}

Failure direct_failure(Reason reason, const Target& target) {
  const auto is = [&](stile_code code, int system_error, std::string_view why) {
    return Failure{.code = code, .system_error = system_error, .text = target.to_string() + ": " + std::string(why)};
  };
  switch (reason) {
    case Reason::none:
      return {};
    case Reason::dns_not_found:
    case Reason::dns_reserved:
      return is(STILE_ERROR_TARGET_NAME, EHOSTUNREACH, "the name does not exist");
    case Reason::dns_failed:
      return is(STILE_ERROR_TARGET_NAME, EHOSTUNREACH, "the name could not be looked up");
    case Reason::dial_refused:
      return is(STILE_ERROR_TARGET, ECONNREFUSED, "nobody listens there");
    case Reason::dial_host_unreachable:
    case Reason::dial_ttl_expired:
      return is(STILE_ERROR_TARGET, EHOSTUNREACH, "the host does not answer");
    case Reason::dial_timeout:
      return is(STILE_ERROR_TARGET, ETIMEDOUT, "it did not answer in time");
    case Reason::dial_forbidden:
      return is(STILE_ERROR_TARGET, EACCES, "this host's own rules forbid it");
    case Reason::dial_family_off:
      return is(STILE_ERROR_TARGET, EAFNOSUPPORT, "this host does not speak its address family");
    case Reason::client_reset:
      return is(STILE_ERROR_CANCELED, ECANCELED, "it was interrupted");
    case Reason::no_resources:
      return is(STILE_ERROR_SYSTEM, ENOBUFS, "this process has no descriptors or memory left");
    case Reason::dial_no_ports:
      return is(STILE_ERROR_SYSTEM, EADDRNOTAVAIL, "this host has no free port");
    default:
      return is(STILE_ERROR_TARGET, ENETUNREACH, "there is no route to it");
  }
}

Failure system_failure(std::string_view what, const Error& error) {
  return {.code = STILE_ERROR_SYSTEM,
          .system_error = error.os_code != 0 ? error.os_code : EIO,
          .text = std::string(what) + ": " + std::string(sys::describe(error))};
}

Failure argument_failure(std::string text) {
  return {.code = STILE_ERROR_ARGUMENT, .system_error = EINVAL, .text = std::move(text)};
}

Failure state_failure(std::string text) {
  return {.code = STILE_ERROR_STATE, .system_error = EINVAL, .text = std::move(text)};
}

Failure timeout_failure(std::string text) {
  return {.code = STILE_ERROR_TIMEOUT, .system_error = ETIMEDOUT, .text = std::move(text)};
}

}  // namespace stile::client
