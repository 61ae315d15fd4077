#include "cli/upstream_plans.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "base/secret.h"
#include "cli/settings.h"
#include "protect/tls.h"
#include "sys/trusted_file.h"

namespace stile::cli {
namespace {

constexpr std::size_t password_file_octets_max = 1024;
constexpr std::size_t password_octets_max = 255;

/// Reads the files of one upstream; the first fault is kept.
class Loader {
 public:
  Loader(const config::Config& config, std::size_t index, const std::string& file)
      : config_(config), index_(index), settings_(config.upstreams[index]), file_(file) {}

  std::shared_ptr<const route::UpstreamPlan> load() {
    auto plan = std::make_shared<route::UpstreamPlan>();
    plan->settings = settings_;
    const std::string password = read_password();
    const auto tls = make_tls();
    for (const wire::ProxyUrl& url : settings_.servers) {
      route::Hop hop{.url = url,
                     .clear_password_allowed = settings_.clear_password,
                     .pipelined = settings_.pipelined && url.protocol == wire::ProxyProtocol::socks5,
                     .announces = settings_.announces};
      if (url.user && url.protocol != wire::ProxyProtocol::socks4) hop.url.password = password;
      if (url.protection == wire::ProxyProtection::tls) hop.tls = tls;
      plan->hops.push_back(std::move(hop));
    }
    return plan;
  }
  [[nodiscard]] const std::optional<UpstreamFault>& fault() const noexcept { return fault_; }

 private:
  void fail(std::string_view key, std::string_view path, std::string_view why, std::string_view cure) {
    if (fault_) return;
    const auto origin = config_.origins.find(fmt::format("upstream[{}].{}", index_, key));
    fault_ = UpstreamFault{origin == config_.origins.end() ? 0 : origin->second.line,
                           fmt::format("upstream.{}: cannot use {}: {}{}", key, path, why,
                                       cure.empty() ? "" : fmt::format(" ({})", cure))};
  }

  std::string read(std::string_view key, const std::string& path, std::size_t octets_max, sys::Secrecy secrecy) {
    if (path.empty()) return {};
    auto text = sys::read_trusted_file(beside(file_, path), octets_max, secrecy);
    if (text) return *std::move(text);
    fail(key, path, text.error().why, text.error().cure);
    return {};
  }

  std::string read_password() {
    const std::string& path = settings_.password_file;
    std::string text = read("password_file", path, password_file_octets_max, sys::Secrecy::secret);
    std::string password = text.substr(0, text.find_first_of("\r\n"));
    wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
    if (!path.empty() && (password.empty() || password.size() > password_octets_max)) {
      fail("password_file", path, "its first line is no password", "write 1 to 255 octets there");
    }
    return password;
  }

  std::shared_ptr<const protect::TlsClient> make_tls() {
    const auto has_tls = [](const wire::ProxyUrl& url) { return url.protection == wire::ProxyProtection::tls; };
    if (std::ranges::none_of(settings_.servers, has_tls)) return nullptr;
    protect::TlsClientTexts texts;
    if (!settings_.ca.empty()) texts.ca = read("ca", settings_.ca, limits::tls_file_octets_max, sys::Secrecy::none);
    if (!settings_.certificate.empty()) {
      std::string certificate =
          read("certificate", settings_.certificate, limits::tls_file_octets_max, sys::Secrecy::none);
      std::string key = read("key", settings_.key, limits::tls_file_octets_max, sys::Secrecy::secret);
      texts.own = protect::TlsOwnTexts{.certificate = std::move(certificate), .key = Secret(key)};
      wipe({reinterpret_cast<std::uint8_t*>(key.data()), key.size()});
    }
    if (fault_) return nullptr;
    auto client = protect::TlsClient::create(texts);
    if (client) return *std::move(client);
    const protect::TlsFault& fault = client.error();
    const bool ca = fault.file == protect::TlsFile::client_ca;
    const bool key = fault.file == protect::TlsFile::key;
    fail(ca    ? "ca"
         : key ? "key"
               : "certificate",
         ca    ? settings_.ca
         : key ? settings_.key
               : settings_.certificate,
         fault.why, fault.cure);
    return nullptr;
  }

  const config::Config& config_;
  std::size_t index_;
  const config::Upstream& settings_;
  const std::string& file_;
  std::optional<UpstreamFault> fault_;
};

}  // namespace

std::expected<route::UpstreamPlans, std::vector<UpstreamFault>> load_upstreams(const config::Config& config,
                                                                               const std::string& file) {
  route::UpstreamPlans plans;
  std::vector<UpstreamFault> faults;
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    Loader loader(config, i, file);
    plans.push_back(loader.load());
    if (loader.fault()) faults.push_back(*loader.fault());
  }
  if (!faults.empty()) return std::unexpected(std::move(faults));
  return plans;
}

}  // namespace stile::cli
