#include "sys/unix_listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/assert.h"
#include "sys/errno_table.h"
#include "sys/retry.h"
#include "sys/socket_options.h"

namespace stile::sys {
namespace {

constexpr int backlog = 4096;
// A folder is locked for as long as one server needs to make its socket: a moment.
constexpr int lock_attempts_max = 40;
constexpr timespec lock_pause{.tv_sec = 0, .tv_nsec = 50'000'000};

std::unexpected<UnixListenerRefusal> refuse(std::string why, std::string cure = {}) {
  return std::unexpected(UnixListenerRefusal{std::move(why), std::move(cure)});
}

std::unexpected<UnixListenerRefusal> refuse_errno(std::string_view what) {
  const Error error = make_error(errno);
  return refuse(std::string(what) + ": " + std::string(describe(error)));
}

sockaddr_un address_of(const std::string& path) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  STILE_ASSERT(path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

UniqueFd stream_socket() noexcept {
  return UniqueFd{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
}

// flock(2), whose own header is hidden by this room's file.h.
long flock_folder(int folder, int operation) noexcept {
  return retry([&] { return ::syscall(SYS_flock, folder, operation); });
}

bool lock(int folder) noexcept {
  for (int attempt = 0; attempt < lock_attempts_max; ++attempt) {
    if (flock_folder(folder, LOCK_EX | LOCK_NB) == 0) return true;
    ::nanosleep(&lock_pause, nullptr);
  }
  return false;
}

using Outcome = std::expected<void, UnixListenerRefusal>;

/// Makes room for a socket file: what stands there is removed only if it is a socket that nobody serves.
Outcome clear_place(int folder, const std::string& name, const std::string& path) {
  struct stat status{};
  if (::fstatat(folder, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return refuse_errno("the path cannot be looked at");
  }
  if (!S_ISSOCK(status.st_mode)) {
    return refuse("something that is no socket stands there", "move it away, or choose another path");
  }
  const UniqueFd probe = stream_socket();
  if (!probe.is_open()) return refuse_errno("the socket there cannot be tried");
  const sockaddr_un address = address_of(path);
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
  const bool taken = retry([&] { return ::connect(probe.get(), generic, sizeof address); }) == 0;
  // EAGAIN: it is served, and more clients wait than its backlog holds.
  if (taken || errno == EAGAIN) {
    return refuse("Address already in use", "stop the other server, or choose another path");
  }
  if (errno != ECONNREFUSED) return refuse_errno("the socket there cannot be tried");
  if (::unlinkat(folder, name.c_str(), 0) != 0 && errno != ENOENT) {
    return refuse_errno("the old socket there cannot be removed");
  }
  return {};
}

/// bind(2) makes the file with the permissions that the umask leaves of 0777.
Outcome make_file(int socket, const UnixListenerOptions& options) {
  const sockaddr_un address = address_of(options.path);
  const mode_t before = ::umask(static_cast<mode_t>(0777 & ~options.mode));
  const int bound = ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int failure = errno;
  ::umask(before);
  errno = failure;
  if (bound != 0) return refuse_errno("the socket cannot be made");
  return {};
}

}  // namespace

std::expected<UnixListener, UnixListenerRefusal> UnixListener::create(const UnixListenerOptions& options) {
  const std::size_t slash = options.path.rfind('/');
  STILE_ASSERT(slash != std::string::npos && options.path.front() == '/');
  UnixListener listener;
  listener.name_ = options.path.substr(slash + 1);
  const std::string folder = options.path.substr(0, slash + 1);
  listener.folder_.reset(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!listener.folder_.is_open()) return refuse_errno("its folder cannot be opened");
  const int where = listener.folder_.get();
  if (!lock(where)) return refuse("its folder is locked by another program", "try again");
  if (auto cleared = clear_place(where, listener.name_, options.path); !cleared) {
    return std::unexpected(std::move(cleared.error()));
  }
  UniqueFd socket = stream_socket();
  if (!socket.is_open()) return refuse_errno("the socket cannot be made");
  if (auto made = make_file(socket.get(), options); !made) return std::unexpected(std::move(made.error()));
  struct stat status{};
  if (::fstatat(where, listener.name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return refuse_errno("the socket is gone");
  }
  // From here on the destructor removes the file.
  listener.socket_ = std::move(socket);
  listener.device_ = status.st_dev;
  listener.inode_ = status.st_ino;
  if (options.owner || options.group) {
    constexpr auto unchanged = static_cast<std::uint32_t>(-1);
    const auto changed = ::fchownat(where, listener.name_.c_str(), options.owner.value_or(unchanged),
                                    options.group.value_or(unchanged), AT_SYMLINK_NOFOLLOW);
    if (changed != 0) return refuse_errno("the socket cannot be given to that owner or group");
  }
  // Last: nobody can connect before, so nobody does under another owner.
  if (::listen(listener.socket_.get(), backlog) != 0) return refuse_errno("the socket cannot be listened on");
  flock_folder(where, LOCK_UN);
  return listener;
}

UnixListener::~UnixListener() {
  if (!socket_.is_open()) return;
  struct stat status{};
  const bool there = ::fstatat(folder_.get(), name_.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
  // While this process still listens no other server takes the place, so what is compared here is what is removed.
  if (there && status.st_dev == device_ && status.st_ino == inode_) ::unlinkat(folder_.get(), name_.c_str(), 0);
}

Result<UniqueFd> UnixListener::duplicate() const noexcept {
  return sys::duplicate(socket_);
}

}  // namespace stile::sys
