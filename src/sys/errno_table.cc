#include "sys/errno_table.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace stile::sys {
namespace {

struct Row {
  int errno_value;
  ErrorKind kind;
};

// What is not listed is ErrorKind::other. The dialling rows follow section 2.5 of the protocol reference.
constexpr Row rows[] = {
    {EAGAIN, ErrorKind::would_block},
    {EINPROGRESS, ErrorKind::would_block},
    {EALREADY, ErrorKind::would_block},

    {ECONNREFUSED, ErrorKind::refused},

    {ECONNRESET, ErrorKind::reset},
    {EPIPE, ErrorKind::reset},  // a RST behind the peer's FIN, and every send after a RST was told
    {ECONNABORTED, ErrorKind::reset},
    {ENETRESET, ErrorKind::reset},
    {ENOTCONN, ErrorKind::reset},  // shutdown of a connection that a RST has ended
    {ESHUTDOWN, ErrorKind::reset},

    {ENETUNREACH, ErrorKind::net_unreachable},
    {ENETDOWN, ErrorKind::net_unreachable},

    {EHOSTUNREACH, ErrorKind::host_unreachable},
    {EHOSTDOWN, ErrorKind::host_unreachable},
    {ENONET, ErrorKind::host_unreachable},

    {ETIMEDOUT, ErrorKind::timed_out},

    {EACCES, ErrorKind::not_permitted},
    {EPERM, ErrorKind::not_permitted},

    {EADDRNOTAVAIL, ErrorKind::address_unavailable},
    {EADDRINUSE, ErrorKind::address_in_use},

    {EAFNOSUPPORT, ErrorKind::family_unsupported},
    {EPFNOSUPPORT, ErrorKind::family_unsupported},
    {EPROTONOSUPPORT, ErrorKind::family_unsupported},
    {ESOCKTNOSUPPORT, ErrorKind::family_unsupported},

    {EMFILE, ErrorKind::no_descriptors},
    {ENFILE, ErrorKind::no_descriptors},

    {ENOMEM, ErrorKind::no_memory},
    {ENOBUFS, ErrorKind::no_memory},

    {EMSGSIZE, ErrorKind::message_too_big},

    {EPROTO, ErrorKind::protocol},
    {ENOPROTOOPT, ErrorKind::protocol},  // ICMP protocol unreachable
    {EOPNOTSUPP, ErrorKind::protocol},   // ICMP source route failed

    {EINVAL, ErrorKind::invalid},
    {EBADF, ErrorKind::invalid},
    {EFAULT, ErrorKind::invalid},
    {ENOTSOCK, ErrorKind::invalid},
    {EDESTADDRREQ, ErrorKind::invalid},
    {EISCONN, ErrorKind::invalid},
    {ENAMETOOLONG, ErrorKind::invalid},

    {ENOENT, ErrorKind::not_found},
    {ENOTDIR, ErrorKind::not_found},
    {ENODEV, ErrorKind::not_found},
    {ENXIO, ErrorKind::not_found},

    {ECANCELED, ErrorKind::canceled},
};

constexpr auto table = [] {
  std::array<ErrorKind, errno_max + 1> kinds{};
  kinds.fill(ErrorKind::other);
  for (const Row& row : rows) kinds[static_cast<std::size_t>(row.errno_value)] = row.kind;
  return kinds;
}();

}  // namespace

ErrorKind error_kind(int errno_value) noexcept {
  if (errno_value < 0 || errno_value > errno_max) return ErrorKind::other;
  return table[static_cast<std::size_t>(errno_value)];
}

std::string_view describe(const Error& error) noexcept {
  const char* const text = ::strerrordesc_np(error.os_code);
  return text == nullptr || error.os_code == 0 ? "unknown error" : text;
}

}  // namespace stile::sys
