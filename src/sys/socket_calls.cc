#include "sys/socket_calls.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "sys/errno_table.h"
#include "sys/file.h"
#include "sys/retry.h"
#include "sys/sockaddr.h"

namespace stile::sys {
namespace {

using Kind = SocketCall::Kind;

// ── which calls ─────────────────────────────────────────────────────────────────────────────────────────────────────

/// The numbers of one kind of program (the kernel's syscall tables). 0: it has no such call.
struct Numbers {
  std::uint32_t architecture;
  std::uint32_t mask;  // what of a number counts
  std::uint32_t bind;
  std::uint32_t listen;
  std::uint32_t connect;
  std::uint32_t multiplexed;  // socketcall(2), of 32-bit programs
};

constexpr std::uint32_t not_x32 = ~0x40000000U;
[[maybe_unused]] constexpr std::uint32_t all = ~0U;
#if defined(__x86_64__)
constexpr std::array<Numbers, 2> programs{
    {{AUDIT_ARCH_X86_64, not_x32, 49, 50, 42, 0}, {AUDIT_ARCH_I386, all, 361, 363, 362, 102}}};
#elif defined(__aarch64__)
constexpr std::array<Numbers, 2> programs{
    {{AUDIT_ARCH_AARCH64, all, 200, 201, 203, 0}, {AUDIT_ARCH_ARM, all, 282, 284, 283, 0}}};
#else
constexpr std::array<Numbers, 0> programs{};
#endif

// Of the kernel's linux/net.h: the first argument of socketcall(2).
constexpr std::uint64_t multiplexed_bind = 2;
constexpr std::uint64_t multiplexed_connect = 3;
constexpr std::uint64_t multiplexed_listen = 4;

// What an address of the Internet may have for a length; those of Unix-domain sockets have others.
constexpr std::array<std::uint32_t, 3> address_lengths{sizeof(sockaddr_in), sizeof(sockaddr_in6),
                                                       sizeof(sockaddr_storage)};

/// The filter, from its first instruction on.
class Program {
 public:
  Program() {
    for (const Numbers& one : programs) add(one);
    answer(SECCOMP_RET_ALLOW);
  }
  [[nodiscard]] sock_fprog whole() noexcept {
    return {.len = static_cast<unsigned short>(code_.size()), .filter = code_.data()};
  }

 private:
  // Behind the first instructions: what is not of this architecture jumps over the rest.
  void add(const Numbers& of) {
    load(offsetof(seccomp_data, arch));
    const std::size_t gate = code_.size();
    code_.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, of.architecture, 0, 0));
    load(offsetof(seccomp_data, nr));
    code_.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, of.mask));
    hear(of.listen);
    hear_internet(of.bind);
    hear_internet(of.connect);
    if (of.multiplexed != 0) {
      code_.push_back(equals(of.multiplexed, 0, 5));
      load(offsetof(seccomp_data, args));
      code_.push_back(equals(multiplexed_bind, 2, 0));
      code_.push_back(equals(multiplexed_connect, 1, 0));
      code_.push_back(equals(multiplexed_listen, 0, 1));
      answer(SECCOMP_RET_USER_NOTIF);
    }
    answer(SECCOMP_RET_ALLOW);
    code_[gate].jf = static_cast<std::uint8_t>(code_.size() - gate - 1);
  }
  void hear(std::uint32_t call) {
    code_.push_back(equals(call, 0, 1));
    answer(SECCOMP_RET_USER_NOTIF);
  }
  // Most of those that are not the Internet's are told by their address's length.
  void hear_internet(std::uint32_t call) {
    const auto lengths = static_cast<std::uint8_t>(address_lengths.size());
    code_.push_back(equals(call, 0, static_cast<std::uint8_t>(lengths + 3)));
    load(offsetof(seccomp_data, args) + 2 * sizeof(std::uint64_t));
    for (std::uint8_t i = 0; i < lengths; ++i) {
      code_.push_back(equals(address_lengths[i], static_cast<std::uint8_t>(lengths - i), 0));
    }
    answer(SECCOMP_RET_ALLOW);
    answer(SECCOMP_RET_USER_NOTIF);
  }
  static sock_filter equals(std::uint64_t value, std::uint8_t if_so, std::uint8_t if_not) {
    return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(value), if_so, if_not);
  }
  void load(std::size_t offset) {
    code_.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset)));
  }
  void answer(std::uint32_t how) { code_.push_back(BPF_STMT(BPF_RET | BPF_K, how)); }

  std::vector<sock_filter> code_;
};

// ── notifications ───────────────────────────────────────────────────────────────────────────────────────────────────

// Of a later linux/seccomp.h (Linux 5.19): a signal that the caller handles does not end a call that was heard. No
// program expects EINTR of bind(2) or listen(2).
constexpr unsigned wait_for_answer = 1U << 5;
// And of Linux 6.6: whoever calls is waiting already, so that its processor may be handed over.
constexpr std::uint64_t wake_at_once = 1;
constexpr unsigned long set_notification_flags = _IOW('!', 4, std::uint64_t);

/// The kernel's own structures may have grown.
template <class Of>
union Room {
  Of known;
  std::array<std::uint8_t, 1024> octets{};
};

bool is_still_waiting(int watch, std::uint64_t id) noexcept {
  return ::ioctl(watch, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

bool send(int watch, std::uint64_t id, std::uint32_t flags) noexcept {
  Room<seccomp_notif_resp> answer;
  answer.known.id = id;
  answer.known.flags = flags;
  return retry([&] { return ::ioctl(watch, SECCOMP_IOCTL_NOTIF_SEND, &answer); }) == 0;
}

bool read_memory(int thread, std::uint64_t from, std::span<std::uint8_t> into) noexcept {
  iovec here{.iov_base = into.data(), .iov_len = into.size()};
  iovec there{.iov_base = reinterpret_cast<void*>(static_cast<std::uintptr_t>(from)),  // NOLINT: another's memory
              .iov_len = into.size()};
  return ::process_vm_readv(thread, &here, 1, &there, 1, 0) == static_cast<ssize_t>(into.size());
}

/// What was called, with its arguments.
struct Arguments {
  std::optional<Kind> kind;
  int descriptor = -1;
  std::uint64_t address = 0;
  std::uint64_t length = 0;
};

Arguments multiplexed(const seccomp_notif& heard) noexcept {
  Arguments call;
  std::array<std::uint32_t, 3> words{};
  if (!read_memory(static_cast<int>(heard.pid), heard.data.args[1],
                   {reinterpret_cast<std::uint8_t*>(words.data()), sizeof words})) {
    return call;
  }
  if (heard.data.args[0] == multiplexed_bind) call.kind = Kind::bind;
  if (heard.data.args[0] == multiplexed_connect) call.kind = Kind::connect;
  if (heard.data.args[0] == multiplexed_listen) call.kind = Kind::listen;
  call.descriptor = static_cast<int>(words[0]);
  call.address = words[1];
  call.length = words[2];
  return call;
}

Arguments arguments_of(const seccomp_notif& heard) noexcept {
  const auto of = std::ranges::find(programs, heard.data.arch, &Numbers::architecture);
  if (of == programs.end()) return {};
  const std::uint32_t number = static_cast<std::uint32_t>(heard.data.nr) & of->mask;
  if (of->multiplexed != 0 && number == of->multiplexed) return multiplexed(heard);
  Arguments call{.kind = {},
                 .descriptor = static_cast<int>(heard.data.args[0]),
                 .address = heard.data.args[1],
                 .length = heard.data.args[2] & 0xFFFFFFFF};
  if (number == of->bind) call.kind = Kind::bind;
  if (number == of->listen) call.kind = Kind::listen;
  if (number == of->connect) call.kind = Kind::connect;
  return call;
}

std::optional<Endpoint> address_of(const seccomp_notif& heard, const Arguments& call) noexcept {
  if (call.kind == Kind::listen || call.length < sizeof(sockaddr_in)) return std::nullopt;
  sockaddr_storage room{};
  const std::size_t length = std::min<std::size_t>(call.length, sizeof(sockaddr_in6));
  if (!read_memory(static_cast<int>(heard.pid), call.address, {reinterpret_cast<std::uint8_t*>(&room), length})) {
    return std::nullopt;
  }
  if (room.ss_family == AF_INET) return endpoint_of(&room, sizeof(sockaddr_in));
  if (room.ss_family == AF_INET6 && length == sizeof(sockaddr_in6)) return endpoint_of(&room, sizeof(sockaddr_in6));
  return std::nullopt;
}

int option(int fd, int level, int name) noexcept {
  int value = -1;
  socklen_t octets = sizeof value;
  return ::getsockopt(fd, level, name, &value, &octets) == 0 ? value : -1;
}

/// Of a thread.
int process_of(int thread) {
  constexpr std::size_t octets_max = 8192;
  constexpr std::string_view label = "\nTgid:";
  const auto status = read_file("/proc/" + std::to_string(thread) + "/status", octets_max);
  const std::size_t at = status ? status->find(label) : std::string::npos;
  int process = 0;
  if (at == std::string::npos || std::sscanf(status->c_str() + at + label.size(), "%d", &process) != 1) return 0;
  return process;
}

}  // namespace

Result<UniqueFd> hear_socket_calls() noexcept {
  if (programs.empty()) return std::unexpected(make_error(ENOSYS));
  seccomp_notif_sizes sizes{};
  if (::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) return std::unexpected(make_error(errno));
  if (std::max(sizes.seccomp_notif, sizes.seccomp_notif_resp) > sizeof(Room<seccomp_notif>)) {
    return std::unexpected(make_error(ENOSYS));
  }
  Program program;
  sock_fprog whole = program.whole();
  // Nothing is guarded here, so that nobody has to be slowed down for it either.
  constexpr unsigned flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  const auto load = [&](unsigned how) {
    return UniqueFd(static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, how, &whole)));
  };
  UniqueFd watch = load(flags | wait_for_answer);
  if (!watch && errno == EINVAL) watch = load(flags);
  if (!watch) return std::unexpected(make_error(errno));
  ::ioctl(watch.get(), set_notification_flags, wake_at_once);  // older kernels do without
  return watch;
}

Result<SocketCall> next_socket_call(int watch) noexcept {
  pollfd ready{.fd = watch, .events = POLLIN, .revents = 0};
  if (retry([&] { return ::poll(&ready, 1, 0); }) < 0) return std::unexpected(make_error(errno));
  if ((ready.revents & POLLIN) == 0) {
    return std::unexpected(make_error((ready.revents & (POLLHUP | POLLERR)) != 0 ? ENOENT : EAGAIN));
  }
  Room<seccomp_notif> heard;
  if (retry([&] { return ::ioctl(watch, SECCOMP_IOCTL_NOTIF_RECV, &heard); }) != 0) {
    return std::unexpected(make_error(errno == ENOENT ? EAGAIN : errno));
  }
  const Arguments call = arguments_of(heard.known);
  SocketCall told{.kind = call.kind.value_or(Kind::listen),
                  .id = heard.known.id,
                  .thread = static_cast<int>(heard.known.pid),
                  .descriptor = call.descriptor,
                  .address = call.kind ? address_of(heard.known, call) : std::nullopt};
  // What was read is its own only while it waits: the number may be another's by then.
  if (call.kind && is_still_waiting(watch, told.id)) return told;
  let_go_on(watch, told);
  return std::unexpected(make_error(EAGAIN));
}

void let_go_on(int watch, const SocketCall& call) noexcept {
  (void)send(watch, call.id, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

bool answer_success(int watch, const SocketCall& call) noexcept {
  return send(watch, call.id, 0);
}

std::optional<Caller> caller_of(const SocketCall& call) noexcept {
  Caller caller{.process = process_of(call.thread), .watch = {}};
  if (caller.process == 0) return std::nullopt;
  caller.watch.reset(static_cast<int>(::syscall(SYS_pidfd_open, caller.process, 0)));
  if (!caller.watch) return std::nullopt;
  return caller;
}

bool is_running(const Caller& caller) noexcept {
  pollfd ended{.fd = caller.watch.get(), .events = POLLIN, .revents = 0};
  return ::poll(&ended, 1, 0) == 0;
}

UniqueFd socket_of(int watch, const SocketCall& call, const Caller& caller) noexcept {
  UniqueFd socket(static_cast<int>(::syscall(SYS_pidfd_getfd, caller.watch.get(), call.descriptor, 0)));
  return is_still_waiting(watch, call.id) ? std::move(socket) : UniqueFd();
}

std::optional<StreamSocket> stream_socket_of(int fd) noexcept {
  const int family = option(fd, SOL_SOCKET, SO_DOMAIN);
  if (family != AF_INET && family != AF_INET6) return std::nullopt;
  if (option(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM) return std::nullopt;
  const int protocol = option(fd, SOL_SOCKET, SO_PROTOCOL);
  if (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP) return std::nullopt;
  StreamSocket socket{.is_v6 = family == AF_INET6, .is_v6_only = false, .cookie = 0, .local = {}};
  socket.is_v6_only = socket.is_v6 && option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1;
  socklen_t octets = sizeof socket.cookie;
  if (::getsockopt(fd, SOL_SOCKET, SO_COOKIE, &socket.cookie, &octets) != 0) return std::nullopt;
  SocketAddress local;
  if (::getsockname(fd, &local.generic, &local.length) != 0) return std::nullopt;
  socket.local = local.endpoint();
  return socket;
}

Result<void> bind_freely(int fd, const StreamSocket& socket, const Endpoint& local) noexcept {
  const int on = 1;
  (void)::setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on);
  if (socket.is_v6) (void)::setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on);
  if (local.port == 0) (void)::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  SocketAddress address(local);
  if (socket.is_v6 && local.address.is_v4()) {
    // As such a socket has it: ::ffff:0:0/96 (RFC 4291 section 2.5.5.2); of the wildcard it means both families.
    sockaddr_in6 mapped{};
    mapped.sin6_family = AF_INET6;
    mapped.sin6_port = address.v4.sin_port;
    if (!local.address.is_unspecified()) {
      constexpr std::size_t prefix = 12;
      mapped.sin6_addr.s6_addr[prefix - 2] = mapped.sin6_addr.s6_addr[prefix - 1] = 0xFF;
      std::memcpy(mapped.sin6_addr.s6_addr + prefix, &address.v4.sin_addr, sizeof address.v4.sin_addr);
    }
    address.v6 = mapped;
    address.length = sizeof mapped;
  }
  if (::bind(fd, &address.generic, address.length) == -1) return std::unexpected(make_error(errno));
  return {};
}

}  // namespace stile::sys
