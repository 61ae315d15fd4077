#include "sys/record_socket.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/limits.h"
#include "sys/errno_table.h"
#include "sys/retry.h"

namespace stile::sys {
namespace {

union Right {
  cmsghdr header;  // aligns it
  std::array<char, CMSG_SPACE(sizeof(int))> octets;
};
constexpr int records_waiting_max = 128;

}  // namespace

Result<RecordPair> record_pair() noexcept {
  int descriptors[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, descriptors) != 0) {
    return std::unexpected(make_error(errno));
  }
  return RecordPair{UniqueFd(descriptors[0]), UniqueFd(descriptors[1])};
}

Result<UniqueFd> connect_records(const std::string& path) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return std::unexpected(make_error(ENAMETOOLONG));
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket.is_open()) return std::unexpected(make_error(errno));
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
  if (retry([&] { return ::connect(socket.get(), generic, sizeof address); }) != 0) {
    return std::unexpected(make_error(errno));
  }
  return socket;
}

Result<UniqueFd> listen_records(std::string_view abstract_name) noexcept {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (abstract_name.size() >= sizeof address.sun_path) return std::unexpected(make_error(ENAMETOOLONG));
  std::memcpy(address.sun_path + 1, abstract_name.data(), abstract_name.size());
  UniqueFd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket.is_open()) return std::unexpected(make_error(errno));
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + abstract_name.size());
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0 ||
      ::listen(socket.get(), records_waiting_max) != 0) {
    return std::unexpected(make_error(errno));
  }
  return socket;
}

Result<UniqueFd> accept_records(int listening) noexcept {
  UniqueFd socket{retry([&] { return ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); })};
  if (!socket.is_open()) return std::unexpected(make_error(errno));
  return socket;
}

std::optional<std::uint32_t> peer_user(int descriptor) noexcept {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return std::nullopt;
  return credentials.uid;
}

Result<PeerProcess> peer_process(int descriptor) noexcept {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return std::unexpected(make_error(errno));
  }
  // The header of glibc 2.36 that declares its wrapper is not one for C++.
  UniqueFd watch(static_cast<int>(::syscall(SYS_pidfd_open, credentials.pid, 0)));
  if (!watch) return std::unexpected(make_error(errno));
  return PeerProcess{.id = credentials.pid, .watch = std::move(watch)};
}

Result<void> send_record(int descriptor, ConstBytes record) noexcept {
  const auto sent =
      retry([&] { return ::send(descriptor, record.data(), record.size(), MSG_NOSIGNAL | MSG_DONTWAIT); });
  if (sent >= 0) return {};
  const Error error = make_error(errno);
  return std::unexpected(error.os_code == EPIPE ? Error{ErrorKind::reset, EPIPE} : error);
}

Result<void> send_descriptor(int descriptor, const Result<UniqueFd>& what) noexcept {
  const int os_code = what ? 0 : what.error().os_code;
  iovec part{.iov_base = const_cast<int*>(&os_code), .iov_len = sizeof os_code};
  Right right{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (what) {
    const int handed = what->get();
    message.msg_control = right.octets.data();
    message.msg_controllen = right.octets.size();
    right.header.cmsg_level = SOL_SOCKET;
    right.header.cmsg_type = SCM_RIGHTS;
    right.header.cmsg_len = CMSG_LEN(sizeof handed);
    std::memcpy(CMSG_DATA(&right.header), &handed, sizeof handed);
  }
  if (retry([&] { return ::sendmsg(descriptor, &message, MSG_NOSIGNAL | MSG_DONTWAIT); }) >= 0) return {};
  const Error error = make_error(errno);
  return std::unexpected(error.os_code == EPIPE ? Error{ErrorKind::reset, EPIPE} : error);
}

Result<UniqueFd> receive_descriptor(int descriptor) noexcept {
  int os_code = 0;
  iovec part{.iov_base = &os_code, .iov_len = sizeof os_code};
  Right right{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = right.octets.data();
  message.msg_controllen = right.octets.size();
  const auto received = retry([&] { return ::recvmsg(descriptor, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC); });
  if (received < 0) return std::unexpected(make_error(errno));
  if (received == 0) return std::unexpected(Error{ErrorKind::reset, 0});
  UniqueFd handed;
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int))) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    handed.reset(fd);
  }
  if ((message.msg_flags & MSG_CTRUNC) != 0) return std::unexpected(make_error(EMFILE));
  const bool whole = received == static_cast<ssize_t>(sizeof os_code) && (message.msg_flags & MSG_TRUNC) == 0;
  if (!whole || handed.is_open() != (os_code == 0)) return std::unexpected(Error{ErrorKind::invalid, EINVAL});
  if (os_code != 0) return std::unexpected(make_error(os_code));
  return handed;
}

Result<std::size_t> receive_record(int descriptor, MutableBytes buffer) noexcept {
  iovec part{.iov_base = buffer.data(), .iov_len = buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const auto received = retry([&] { return ::recvmsg(descriptor, &message, MSG_DONTWAIT); });
  if (received < 0) return std::unexpected(make_error(errno));
  // No record of this program is empty.
  if (received == 0) return std::unexpected(Error{ErrorKind::reset, 0});
  if ((message.msg_flags & MSG_TRUNC) != 0) return std::unexpected(Error{ErrorKind::message_too_big, EMSGSIZE});
  return static_cast<std::size_t>(received);
}

}  // namespace stile::sys
