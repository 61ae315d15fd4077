// The calls by which another program's processes use sockets, heard before they are made: bind, listen and connect, by
// seccomp's user notification (seccomp_unotify(2), Linux 5.5). Whoever made the call waits until it is told to go on,
// or is given an answer in its place. Programs of a 32-bit or x32 kind are heard as well.
// Refuses: to be a guard. What a call points to may be changed by another thread before it goes on.
// Threading: one thread a watch. Tested in socket_calls_test.cc.
#pragma once

#include <cstdint>
#include <optional>

#include "base/address.h"
#include "base/error.h"
#include "sys/unique_fd.h"

namespace stile::sys {

/// From now on, of this process and all that it starts, whatever they execute. Needs CAP_SYS_ADMIN in the process's own
/// user namespace, so that programs with the set-user-ID bit are not kept from anything. What is returned is for
/// whoever listens: readable when there is a call. Fails where the system refuses it, where such a watch is there
/// already (EBUSY), and on processors whose calls are not known here (ENOSYS).
[[nodiscard]] Result<UniqueFd> hear_socket_calls() noexcept;

struct SocketCall {
  enum class Kind : std::uint8_t { bind, listen, connect };
  Kind kind = Kind::listen;
  std::uint64_t id = 0;
  int thread = 0;  // who calls
  int descriptor = -1;
  std::optional<Endpoint> address;  // what bind and connect are about; absent: none of the Internet's
};

/// The next one, which waits for its answer. would_block: there is none, or it was given up; not_found: nobody is left
/// who could call.
[[nodiscard]] Result<SocketCall> next_socket_call(int watch) noexcept;
/// The call is made as if nobody had heard it.
void let_go_on(int watch, const SocketCall& call) noexcept;
/// The call is not made, and succeeds. False: a signal has ended it before (on Linux before 5.19; later, only while it
/// was not heard yet); the program may call again.
[[nodiscard]] bool answer_success(int watch, const SocketCall& call) noexcept;

/// Who calls, as a process.
struct Caller {
  int process = 0;
  UniqueFd watch;  // pidfd_open(2)
};
[[nodiscard]] std::optional<Caller> caller_of(const SocketCall& call) noexcept;
[[nodiscard]] bool is_running(const Caller& caller) noexcept;

/// The socket that a call is about: another descriptor of it, which keeps it open.
[[nodiscard]] UniqueFd socket_of(int watch, const SocketCall& call, const Caller& caller) noexcept;

struct StreamSocket {
  bool is_v6 = false;
  bool is_v6_only = false;
  std::uint64_t cookie = 0;  // of this socket alone
  Endpoint local;            // port 0: it has none yet
};
/// Nothing where it is no TCP socket.
[[nodiscard]] std::optional<StreamSocket> stream_socket_of(int fd) noexcept;
/// To an address that need not be there. The port 0 leaves the choice to the system.
[[nodiscard]] Result<void> bind_freely(int fd, const StreamSocket& socket, const Endpoint& local) noexcept;

}  // namespace stile::sys
