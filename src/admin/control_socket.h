// The control socket: a Unix-domain socket at which a running server is asked things. Its own thread; what is asked
// goes to server/control.h, one request after another. Tested in tests/e2e/reload_test.py and
// tests/e2e/upstreams_test.py.
#pragma once

#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "server/control.h"
#include "sys/account.h"
#include "sys/main_loop.h"
#include "sys/unix_listener.h"

namespace stile::admin {

class ControlSocket final : public server::Attendant {
 public:
  /// Opens the socket at `path` with mode 0660, which belongs to `owner`, where that is not who this process is;
  /// `control` outlives it.
  [[nodiscard]] static std::expected<std::unique_ptr<ControlSocket>, sys::UnixListenerRefusal> create(
      const std::string& path, const std::optional<sys::Account>& owner, server::Control& control);
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;
  /// Blocks until the request in hand is answered.
  ~ControlSocket() override;

  /// Serves from now on, until this object ends.
  void begin() override;

 private:
  ControlSocket(sys::UnixListener listener, sys::UniqueFd listening, sys::Notification stop, server::Control& control);
  void serve();
  [[nodiscard]] std::string answer(std::string_view line);

  sys::UnixListener listener_;
  sys::UniqueFd listening_;
  sys::Notification stop_;
  server::Control& control_;
  std::thread thread_;
};

}  // namespace stile::admin
