#include "sys/file_keeper.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/limits.h"
#include "base/time.h"
#include "sys/errno_table.h"
#include "sys/file.h"
#include "sys/record_socket.h"
#include "sys/retry.h"
#include "sys/wait_any.h"

namespace stile::sys {
namespace {

struct Question {
  std::uint32_t number = 0;
  std::uint32_t file = 0;
};
struct Answer {
  std::uint32_t number = 0;  // of the question
  std::int32_t error = 0;    // 0: a descriptor comes with it
};

template <class Record>
ConstBytes octets_of(const Record& record) noexcept {
  return {reinterpret_cast<const std::uint8_t*>(&record), sizeof record};
}

/// Room for one descriptor beside a record.
union Ancillary {
  cmsghdr header;
  std::array<char, CMSG_SPACE(sizeof(int))> room;
};

void send_answer(int socket, Answer answer, int descriptor) noexcept {
  iovec part{.iov_base = &answer, .iov_len = sizeof answer};
  Ancillary beside{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (descriptor >= 0) {
    message.msg_control = beside.room.data();
    message.msg_controllen = beside.room.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  }
  // Who does not take it has given up waiting.
  static_cast<void>(retry([&] { return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT); }));
}

struct Received {
  Answer answer;
  UniqueFd descriptor;
};

std::optional<Received> receive_answer(int socket) noexcept {
  Received received;
  iovec part{.iov_base = &received.answer, .iov_len = sizeof received.answer};
  Ancillary beside{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = beside.room.data();
  message.msg_controllen = beside.room.size();
  const auto got = retry([&] { return ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC); });
  if (got < 0) return std::nullopt;
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header != nullptr && header->cmsg_type == SCM_RIGHTS && header->cmsg_len == CMSG_LEN(sizeof(int))) {
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    received.descriptor.reset(descriptor);
  }
  if (got != static_cast<ssize_t>(sizeof received.answer)) return std::nullopt;
  return received;
}

/// Not blocking on a pipe that stands under the name.
void answer(int socket, const std::vector<std::string>& paths, Question question) noexcept {
  if (question.file >= paths.size()) return;
  const UniqueFd file{::open(paths[question.file].c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  send_answer(socket, {.number = question.number, .error = file.is_open() ? 0 : errno}, file.get());
}

/// Until the other end is closed.
int keep(int socket, const std::vector<std::string>& paths) noexcept {
  for (;;) {
    std::array watched{Waited{.descriptor = socket}};
    if (!wait_any(watched, std::nullopt)) return 1;
    Question question;
    const MutableBytes room{reinterpret_cast<std::uint8_t*>(&question), sizeof question};
    const auto received = receive_record(socket, room);
    if (received && *received == sizeof question) answer(socket, paths, question);
    if (!received && received.error().kind == ErrorKind::reset) return 0;
  }
}

}  // namespace

Result<std::unique_ptr<FileKeeper>> FileKeeper::start(std::vector<std::string> paths,
                                                      const std::function<bool()>& enclose) {
  auto pair = record_pair();
  if (!pair) return std::unexpected(pair.error());
  const std::array kept{pair->there.get()};
  auto process = Process::fork("stile-files", kept, [&] {
    hide_memory();
    ignore_end_signals();
    return enclose() ? keep(kept[0], paths) : 1;
  });
  if (!process) return std::unexpected(process.error());
  return std::unique_ptr<FileKeeper>(new FileKeeper(std::move(paths), std::move(*process), std::move(pair->here)));
}

Result<UniqueFd> FileKeeper::open(std::size_t index) {
  const std::scoped_lock lock(mutex_);
  const Question question{.number = ++asked_, .file = static_cast<std::uint32_t>(index)};
  if (auto sent = send_record(socket_.get(), octets_of(question)); !sent) return std::unexpected(sent.error());
  const Duration due = monotonic_now() + limits::file_keeper_wait;
  for (;;) {
    std::array watched{Waited{.descriptor = socket_.get()}};
    const Duration left = due - monotonic_now();
    if (left <= Duration::zero() || !wait_any(watched, left)) {
      return std::unexpected(Error{.kind = ErrorKind::timed_out, .os_code = ETIMEDOUT});
    }
    if (!watched[0].ready) continue;
    auto received = receive_answer(socket_.get());
    if (!received) return std::unexpected(Error{.kind = ErrorKind::reset, .os_code = ECONNRESET});
    // An answer that came too late for an earlier question is passed over.
    if (received->answer.number != question.number) continue;
    if (received->answer.error != 0) return std::unexpected(make_error(received->answer.error));
    return std::move(received->descriptor);
  }
}

Result<std::string> FileKeeper::read(const std::string& path, std::size_t octets_max) {
  const auto found = std::ranges::find(paths_, path);
  if (found == paths_.end()) return std::unexpected(Error{.kind = ErrorKind::not_found, .os_code = ENOENT});
  const auto file = open(static_cast<std::size_t>(found - paths_.begin()));
  if (!file) return std::unexpected(file.error());
  return read_all(file->get(), octets_max);
}

}  // namespace stile::sys
