#include "admin/control_socket.h"

#include <utility>

#include "admin/control_message.h"
#include "base/limits.h"
#include "sys/errno_table.h"
#include "sys/line_exchange.h"

namespace stile::admin {

std::expected<std::unique_ptr<ControlSocket>, sys::UnixListenerRefusal> ControlSocket::create(
    const std::string& path, const std::optional<sys::Account>& owner, server::Control& control) {
  sys::UnixListenerOptions options{.path = path, .mode = 0660, .owner = {}, .group = {}};
  if (owner) {
    options.owner = owner->user;
    options.group = owner->group;
  }
  auto listener = sys::UnixListener::create(options);
  if (!listener) return std::unexpected(std::move(listener.error()));
  auto listening = listener->duplicate();
  auto stop = sys::Notification::create();
  if (!listening || !stop) {
    return std::unexpected(sys::UnixListenerRefusal{.why = "the kernel gives no descriptors", .cure = {}});
  }
  return std::unique_ptr<ControlSocket>(
      new ControlSocket(std::move(*listener), std::move(*listening), std::move(*stop), control));
}

ControlSocket::ControlSocket(sys::UnixListener listener, sys::UniqueFd listening, sys::Notification stop,
                             server::Control& control)
    : listener_(std::move(listener)), listening_(std::move(listening)), stop_(std::move(stop)), control_(control) {}

ControlSocket::~ControlSocket() {
  if (!thread_.joinable()) return;
  stop_.notify();
  thread_.join();
}

void ControlSocket::begin() {
  thread_ = std::thread([this] { serve(); });
}

std::string ControlSocket::answer(std::string_view line) {
  const auto request = parse_request(line);
  if (!request) {
    const server::Refusal refusal{.bad_configuration = false, .messages = {request.error()}};
    return to_line(Answer<server::Reloaded>(std::unexpected(refusal)));
  }
  switch (*request) {
    case Request::reload:
      return to_line(control_.reload());
    case Request::upstreams:
      return to_line(control_.upstreams());
    case Request::counters:
      break;
  }
  return to_line(control_.counters());
}

void ControlSocket::serve() {
  const sys::LineLimits limits{.clients_max = limits::admin_connections_max,
                               .octets_max = limits::admin_request_octets_max,
                               .wait = limits::admin_wait};
  sys::serve_lines(listening_, stop_.descriptor(), limits, [this](std::string_view line) { return answer(line); });
}

}  // namespace stile::admin
