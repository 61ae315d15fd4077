#include "sys/standard_streams.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <optional>
#include <thread>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "sys/errno_table.h"
#include "sys/main_loop.h"
#include "sys/retry.h"
#include "sys/wait_any.h"

namespace stile::sys {

struct StandardStreams::Shared {
  int input = -1;
  int output = -1;
  UniqueFd inner;
  Notification changed;
  std::atomic<State> input_state{State::open};
  std::atomic<State> output_state{State::open};

  Shared(int from, int to, UniqueFd socket, Notification changes) noexcept
      : input(from), output(to), inner(std::move(socket)), changed(std::move(changes)) {}

  void change(std::atomic<State>& state, State to) noexcept {
    state.store(to);
    changed.notify();
  }
  void carry_input() noexcept;
  void carry_output() noexcept;
};

namespace {

using Buffer = std::array<std::uint8_t, limits::relay_buffer_octets / 4>;

/// True where the call is to be made again: somebody who shares the descriptor has made it non-blocking.
bool waited(int descriptor, WaitFor what) noexcept {
  if (errno != EAGAIN) return false;
  std::array waited{Waited{.descriptor = descriptor, .what = what}};
  return wait_any(waited, std::nullopt).has_value();
}

/// -1 where it failed.
ssize_t read_some(int descriptor, MutableBytes into) noexcept {
  for (;;) {
    const ssize_t count = retry([&] { return ::read(descriptor, into.data(), into.size()); });
    if (count >= 0 || !waited(descriptor, WaitFor::readable)) return count;
  }
}

template <class Write>
bool write_all(int descriptor, ConstBytes octets, Write write) noexcept {
  while (!octets.empty()) {
    const ssize_t count = retry([&] { return write(octets); });
    if (count < 0 && !waited(descriptor, WaitFor::writable)) return false;
    if (count > 0) octets = octets.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

/// Not by close(2): the number would be taken by the next descriptor that is opened, and written to.
void close_in_place(int descriptor) noexcept {
  const UniqueFd nothing(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  if (nothing) (void)::dup2(nothing.get(), descriptor);
}

}  // namespace

void StandardStreams::Shared::carry_input() noexcept {
  const auto buffer = std::make_unique<Buffer>();
  for (;;) {
    const ssize_t count = read_some(input, *buffer);
    if (count < 0) return change(input_state, State::failed);
    if (count == 0) break;
    const ConstBytes octets = ConstBytes(*buffer).first(static_cast<std::size_t>(count));
    // Nobody takes it any more: the other end knows why.
    const auto send = [this](ConstBytes rest) { return ::send(inner.get(), rest.data(), rest.size(), MSG_NOSIGNAL); };
    if (!write_all(inner.get(), octets, send)) break;
  }
  ::shutdown(inner.get(), SHUT_WR);
  change(input_state, State::ended);
}

void StandardStreams::Shared::carry_output() noexcept {
  const auto buffer = std::make_unique<Buffer>();
  for (;;) {
    const ssize_t count = read_some(inner.get(), *buffer);
    if (count <= 0) break;  // a reset as well: the other end knows of it
    const ConstBytes octets = ConstBytes(*buffer).first(static_cast<std::size_t>(count));
    const auto write = [this](ConstBytes rest) { return ::write(output, rest.data(), rest.size()); };
    if (write_all(output, octets, write)) continue;
    ::shutdown(inner.get(), SHUT_RD);
    return change(output_state, State::failed);
  }
  close_in_place(output);
  change(output_state, State::ended);
}

StandardStreams::StandardStreams(std::shared_ptr<Shared> shared, UniqueFd outer) noexcept
    : shared_(std::move(shared)), outer_(std::move(outer)) {}

Result<StandardStreams> StandardStreams::create(int input, int output) {
  int descriptors[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, descriptors) != 0) {
    return std::unexpected(make_error(errno));
  }
  UniqueFd inner(descriptors[0]);
  UniqueFd outer(descriptors[1]);
  // As an engine wants it; the other end stays as it is.
  if (::fcntl(outer.get(), F_SETFL, O_NONBLOCK) != 0) return std::unexpected(make_error(errno));
  auto changed = Notification::create();
  if (!changed) return std::unexpected(changed.error());
  auto shared = std::make_shared<Shared>(input, output, std::move(inner), *std::move(changed));
  return StandardStreams(std::move(shared), std::move(outer));
}

void StandardStreams::start() {
  std::thread([shared = shared_] { shared->carry_input(); }).detach();
  std::thread([shared = shared_] { shared->carry_output(); }).detach();
}

UniqueFd StandardStreams::take_socket() noexcept {
  STILE_ASSERT(outer_.is_open());
  return std::move(outer_);
}

StandardStreams::State StandardStreams::input() const noexcept {
  return shared_->input_state.load();
}

StandardStreams::State StandardStreams::output() const noexcept {
  return shared_->output_state.load();
}

int StandardStreams::changes() const noexcept {
  return shared_->changed.descriptor();
}

void StandardStreams::clear() noexcept {
  shared_->changed.clear();
}

}  // namespace stile::sys
