// stile serve
#include "server/serve.h"

#include <fmt/core.h>

#include <cstdio>
#include <optional>

#include "admin/control_socket.h"
#include "cli/run.h"
#include "config/listener.h"
#include "netns/gateway.h"
#include "sys/account.h"
#include "sys/privileges.h"

namespace stile::cli {
namespace {

class Nobody final : public server::Attendant {
 public:
  void begin() override {}
};

std::unique_ptr<server::Attendant> open_control_socket(const config::Config& config, server::Control& control) {
  const config::Admin& admin = config.admin;
  if (admin.socket.empty()) return std::make_unique<Nobody>();
  std::optional<sys::Account> owner;  // whom the server becomes
  if (sys::is_root()) owner = sys::account_named(config.user);
  auto opened = admin::ControlSocket::create(config::socket_path(admin.socket), owner, control);
  if (opened) return std::move(*opened);
  const sys::UnixListenerRefusal& refusal = opened.error();
  fmt::print(stderr, "stile: cannot open the control socket {}: {}{}\n", admin.socket, refusal.why,
             refusal.cure.empty() ? "" : fmt::format(" ({})", refusal.cure));
  return nullptr;
}

}  // namespace

int serve_loaded(const LoadSettings& load) {
  auto settings = load();
  if (!settings) {
    const int exit_code = print(settings.error());
    const Fault& first = settings.error().faults.front();
    if (!first.file.empty()) {
      fmt::print(stderr, "stile: cannot start: {} is not a good configuration (correct what is listed above)\n",
                 first.file);
    }
    return exit_code;
  }
  server::LoadConfiguration reload;
  if (!settings->file.empty()) {
    reload = [&]() -> std::expected<server::Configuration, std::vector<std::string>> {
      auto next = load();
      if (next) {
        return server::Configuration{std::move(next->config), std::move(next->users), std::move(next->tls),
                                     std::move(next->upstreams), std::move(next->files)};
      }
      std::vector<std::string> messages;
      for (const Fault& fault : next.error().faults) messages.push_back(to_text(fault));
      return std::unexpected(std::move(messages));
    };
  }
  std::optional<netns::Gateway> gateway;
  if (settings->config.gateway.is_on()) gateway.emplace(settings->config.gateway);
  // Handed over whole: no second copy of a key may stay for the helper.
  return server::serve(
      {settings->config, std::move(settings->users), std::move(settings->tls), std::move(settings->upstreams),
       settings->files},
      std::move(reload), [&](server::Control& control) { return open_control_socket(settings->config, control); },
      gateway ? &*gateway : nullptr);
}

int run_serve(const Arguments& arguments, const Environment& environment) {
  return serve_loaded([&] { return load_server_settings(arguments, environment); });
}

}  // namespace stile::cli
