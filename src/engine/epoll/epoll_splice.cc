// Pipes and splice(2) on epoll.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "engine/epoll/epoll_engine.h"
#include "engine/epoll/epoll_flags.h"
#include "sys/errno_table.h"
#include "sys/retry.h"

namespace stile::engine {
namespace {

ssize_t splice_some(int from, int to, std::size_t octets_max) noexcept {
  return sys::retry(
      [&] { return ::splice(from, nullptr, to, nullptr, octets_max, SPLICE_F_MOVE | SPLICE_F_NONBLOCK); });
}

}  // namespace

Result<void> EpollEngine::open_pipe(Pipe& pipe, std::size_t capacity_wanted) {
  STILE_ASSERT(!pipe.is_open() && capacity_wanted <= INT_MAX);
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) == -1) return std::unexpected(sys::make_error(errno));
  sys::UniqueFd read_end{ends[0]};
  sys::UniqueFd write_end{ends[1]};
  // Refused where this user's pipe pages are used up (pipe(7)): what pipe2 gave is taken then, however small.
  (void)::fcntl(write_end.get(), F_SETPIPE_SZ, static_cast<int>(capacity_wanted));
  const int granted = ::fcntl(write_end.get(), F_GETPIPE_SZ);
  if (granted <= 0) return std::unexpected(sys::make_error(errno));
  pipe.read_handle = read_end.release();
  pipe.write_handle = write_end.release();
  pipe.capacity = static_cast<std::size_t>(granted);
  pipe.held = 0;
  ++open_pipes_;
  return {};
}

void EpollEngine::close_pipe(Pipe& pipe) noexcept {
  if (!pipe.is_open()) return;
  ::close(pipe.read_handle);
  ::close(pipe.write_handle);
  pipe.read_handle = -1;
  pipe.write_handle = -1;
  pipe.capacity = 0;
  pipe.held = 0;
  --open_pipes_;
}

Result<std::size_t> EpollEngine::splice_in(Socket& from, Pipe& pipe, std::size_t octets_max) {
  STILE_ASSERT(from.is_open() && pipe.is_open() && octets_max > 0);
  if (epoll::known_drained(from, SocketState::flags(from)) && SocketState::failure(from) == 0) {
    return std::unexpected(Error{ErrorKind::would_block, EAGAIN});
  }
  const ssize_t count = splice_some(from.handle(), pipe.write_handle, octets_max);
  if (count > 0) {
    pipe.held += static_cast<std::size_t>(count);
    return static_cast<std::size_t>(count);
  }
  std::uint8_t& ready = SocketState::ready(from);
  if (count == -1) {
    const Error error = stream_error(from, errno);
    if (error.kind != ErrorKind::would_block) return std::unexpected(error);
    // EAGAIN is also what a full pipe gives. Readiness forgotten then would be lost: no edge comes for octets that
    // have arrived before.
    int waiting = 0;
    const bool drained = pipe.held == 0 || (::ioctl(from.handle(), FIONREAD, &waiting) == 0 && waiting == 0 &&
                                            (ready & epoll::short_read_proves_nothing) == 0);
    if (drained) epoll::clear(ready, epoll::readable);
    if (pipe.held > 0 || SocketState::failure(from) == 0) return std::unexpected(error);
  }
  if (SocketState::failure(from) != 0) return std::unexpected(SocketState::failure_error(from));
  epoll::set(ready, epoll::readable | epoll::short_read_proves_nothing);
  return std::size_t{0};
}

Result<std::size_t> EpollEngine::splice_out(Pipe& pipe, Socket& to) {
  STILE_ASSERT(to.is_open() && pipe.is_open() && pipe.held > 0);
  const ssize_t count = splice_some(pipe.read_handle, to.handle(), pipe.held);
  if (count == -1) {
    const Error error = stream_error(to, errno);
    if (error.kind == ErrorKind::would_block) epoll::clear(SocketState::ready(to), epoll::writable);
    return std::unexpected(error);
  }
  // Giving less than all does not prove here, as it does for send, that the socket is full.
  STILE_ASSERT(count > 0 && static_cast<std::size_t>(count) <= pipe.held);
  pipe.held -= static_cast<std::size_t>(count);
  return static_cast<std::size_t>(count);
}

}  // namespace stile::engine
