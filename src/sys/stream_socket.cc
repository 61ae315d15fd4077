#include "sys/stream_socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/assert.h"
#include "sys/errno_table.h"
#include "sys/sockaddr.h"

namespace stile::sys {
namespace {

std::unexpected<Error> last_error() noexcept {
  return std::unexpected(make_error(errno));
}

bool switch_on(int fd, int level, int option) noexcept {
  constexpr int on = 1;
  return ::setsockopt(fd, level, option, &on, sizeof on) == 0;
}

}  // namespace

Result<UniqueFd> begin_stream(const Endpoint& peer, const std::optional<Address>& source) noexcept {
  STILE_ASSERT(!source || source->family() == peer.address.family());
  UniqueFd fd{::socket(address_family(peer.address), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!fd.is_open() || !switch_on(fd.get(), IPPROTO_TCP, TCP_NODELAY)) return last_error();
  if (source) {
    if (!switch_on(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT)) return last_error();
    const SocketAddress from{{*source, 0}};
    if (::bind(fd.get(), &from.generic, from.length) == -1) return last_error();
  }
  const SocketAddress to{peer};
  // Not repeated after EINTR: the attempt goes on then, as it does after EINPROGRESS.
  const int result = ::connect(fd.get(), &to.generic, to.length);
  if (result == -1 && errno != EINPROGRESS && errno != EINTR) return last_error();
  return fd;
}

}  // namespace stile::sys
