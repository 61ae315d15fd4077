#include "server/listening.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/limits.h"
#include "engine/epoll/epoll_engine.h"
#include "sys/errno_table.h"
#include "sys/socket_options.h"

namespace stile::server {
namespace {

std::unexpected<ListenRefusal> refusal(const config::Listener& listener, std::string why, std::string cure = {}) {
  return std::unexpected(ListenRefusal{
      .what = fmt::format("cannot listen on {}", listener.where()), .why = std::move(why), .cure = std::move(cure)});
}

// One listening socket for all workers, each with a descriptor of its own: SO_REUSEPORT is for IP.
std::expected<OpenedListener, ListenRefusal> open_at_file(const config::Listener& listener, std::size_t workers,
                                                          const std::optional<sys::Account>& becomes) {
  sys::UnixListenerOptions options{.path = listener.file.path, .mode = listener.file.mode, .owner = {}, .group = {}};
  if (!listener.file.owner.empty()) options.owner = sys::user_id(listener.file.owner);
  if (!listener.file.group.empty()) options.group = sys::group_id(listener.file.group);
  if (options.owner.has_value() == listener.file.owner.empty() ||
      options.group.has_value() == listener.file.group.empty()) {
    return refusal(listener, "its owner or group is unknown", "name one of /etc/passwd and /etc/group, or a number");
  }
  if (becomes && !options.owner) options.owner = becomes->user;
  if (becomes && !options.group) options.group = becomes->group;
  auto file = sys::UnixListener::create(options);
  if (!file) return refusal(listener, file.error().why, file.error().cure);
  OpenedListener opened;
  for (std::size_t i = 0; i < workers; ++i) {
    auto descriptor = file->duplicate();
    if (!descriptor) return refusal(listener, std::string(sys::describe(descriptor.error())));
    opened.descriptors.push_back(std::move(*descriptor));
  }
  opened.bound = {
      .listener = listener, .endpoint = {}, .file = std::make_shared<const sys::UnixListener>(std::move(*file))};
  return opened;
}

std::unexpected<ListenRefusal> refusal_at_address(const config::Listener& listener, const Error& error) {
  const bool in_use = error.kind == ErrorKind::address_in_use;
  auto refused = refusal(listener, std::string(sys::describe(error)),
                         in_use ? "stop the other server, or choose another address with --listen" : "");
  refused.error().missing = error.kind == ErrorKind::address_unavailable;
  return refused;
}

// One socket a worker. The first is opened alone and without SO_REUSEPORT, so that a second server on the same address
// is told that it is in use instead of sharing it; SO_REUSEPORT is for the workers only.
std::expected<OpenedListener, ListenRefusal> open_at_address(const config::Listener& listener, std::size_t workers) {
  OpenedListener opened{.bound = {.listener = listener, .endpoint = listener.address}, .descriptors = {}};
  Endpoint& where = opened.bound.endpoint;
  if (workers > 1) {
    auto alone = engine::EpollEngine::open_listener(where, {});
    if (!alone) return refusal_at_address(listener, alone.error());
    where = alone->local;
  }
  for (std::size_t i = 0; i < workers; ++i) {
    auto open = engine::EpollEngine::open_listener(where, {.reuse_port = workers > 1, .fast_open = listener.fast_open});
    if (!open) return refusal_at_address(listener, open.error());
    where = open->local;
    opened.descriptors.push_back(std::move(open->fd));
  }
  return opened;
}

// A queue of connections for all workers, as that of a socket file. Its options are those of our own: who accepts
// inherits them.
std::expected<OpenedListener, ListenRefusal> take_given(const config::Listener& listener, std::size_t workers,
                                                        const sys::GivenSocket& given) {
  if (given.both_families) {
    return refusal(listener, "the service manager's socket takes IPv4 as well", "BindIPv6Only=ipv6-only in its unit");
  }
  if (!listener.is_unix()) {
    if (const auto set = sys::set_stream_options(given.descriptor.get()); !set) {
      return refusal(listener, std::string(sys::describe(set.error())));
    }
    if (listener.fast_open) {
      (void)sys::set_fast_open_listen(given.descriptor.get(), limits::fast_open_waiting_max);
    }
  }
  OpenedListener opened{.bound = {.listener = listener, .endpoint = given.address}, .descriptors = {}};
  for (std::size_t i = 0; i < workers; ++i) {
    auto descriptor = sys::duplicate(given.descriptor);
    if (!descriptor) return refusal(listener, std::string(sys::describe(descriptor.error())));
    opened.descriptors.push_back(std::move(*descriptor));
  }
  return opened;
}

}  // namespace

std::string where(const sys::GivenSocket& given) {
  return given.path.empty() ? given.address.to_string() : "unix:" + given.path;
}

std::expected<OpenedListener, ListenRefusal> open_listener(const config::Listener& listener, std::size_t workers,
                                                           std::vector<sys::GivenSocket>& given,
                                                           const std::optional<sys::Account>& becomes) {
  const auto here = [&](const sys::GivenSocket& one) { return where(one) == listener.where(); };
  if (const auto found = std::ranges::find_if(given, here); found != given.end()) {
    const sys::GivenSocket taken = std::move(*found);
    given.erase(found);
    return take_given(listener, workers, taken);
  }
  return listener.is_unix() ? open_at_file(listener, workers, becomes) : open_at_address(listener, workers);
}

}  // namespace stile::server
