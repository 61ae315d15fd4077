#include "sys/main_loop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "base/assert.h"
#include "sys/errno_table.h"
#include "sys/retry.h"

namespace stile::sys {

Result<SignalQueue> SignalQueue::create(std::initializer_list<int> signals) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : signals) ::sigaddset(&set, signal);
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
    return std::unexpected(make_error(error));
  }
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return std::unexpected(make_error(errno));
  return SignalQueue(std::move(fd));
}

std::optional<int> SignalQueue::next() noexcept {
  const auto signal = next_with_sender();
  return signal ? std::optional(signal->number) : std::nullopt;
}

std::optional<SignalQueue::Signal> SignalQueue::next_with_sender() noexcept {
  signalfd_siginfo info{};
  ssize_t got = 0;
  do {
    got = ::read(fd_.get(), &info, sizeof info);
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof info)) return std::nullopt;
  return Signal{.number = static_cast<int>(info.ssi_signo), .by_kernel = info.ssi_code == SI_KERNEL};
}

Result<Notification> Notification::create() {
  UniqueFd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return std::unexpected(make_error(errno));
  return Notification(std::move(fd));
}

void Notification::notify() noexcept {
  const std::uint64_t one = 1;
  // EAGAIN means that the flag is raised already.
  while (::write(fd_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void Notification::clear() noexcept {
  std::uint64_t count = 0;
  while (::read(fd_.get(), &count, sizeof count) < 0 && errno == EINTR) {
  }
}

Result<std::size_t> wait_readable(std::span<const int> descriptors, std::optional<Duration> longest) noexcept {
  std::array<pollfd, 8> polled{};
  STILE_ASSERT(descriptors.size() <= polled.size());
  for (std::size_t i = 0; i < descriptors.size(); ++i)
    polled[i] = {.fd = descriptors[i], .events = POLLIN, .revents = 0};
  int milliseconds = -1;  // rounded up, so that a wait never spins
  if (longest) milliseconds = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(*longest).count());
  const int ready = retry([&] { return ::poll(polled.data(), descriptors.size(), milliseconds); });
  if (ready < 0) return std::unexpected(make_error(errno));
  if (ready == 0) return std::unexpected(make_error(EAGAIN));
  for (std::size_t i = 0; i < descriptors.size(); ++i) {
    if (polled[i].revents != 0) return i;
  }
  return std::unexpected(make_error(EIO));
}

void ignore_broken_pipes() noexcept {
  std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace stile::sys
