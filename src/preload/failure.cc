#include "preload/failure.h"

#include <cerrno>

namespace stile::preload {

int errno_of(Reason reason) noexcept {
  if (reason == Reason::none) return 0;
  if (reason == Reason::upstream_timeout || reason == Reason::dial_timeout) return ETIMEDOUT;
  if (reason == Reason::no_resources) return ENOBUFS;
  // The proxy tried, and does not say what became of it: not the same as having no proxy.
  if (reason == Reason::upstream_general) return EHOSTUNREACH;
  switch (reply_code(reason)) {
    case ReplyCode::connection_refused:
      return ECONNREFUSED;
    case ReplyCode::host_unreachable:
    case ReplyCode::ttl_expired:
      return EHOSTUNREACH;
    case ReplyCode::not_allowed:
      return EACCES;
    case ReplyCode::address_type_not_supported:
      return EAFNOSUPPORT;
    case ReplyCode::command_not_supported:
      return EOPNOTSUPP;
    case ReplyCode::network_unreachable:
    case ReplyCode::general_failure:
    case ReplyCode::succeeded:
      break;
  }
  return ENETUNREACH;
}

}  // namespace stile::preload
