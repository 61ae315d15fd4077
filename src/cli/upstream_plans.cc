#include "cli/upstream_plans.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/limits.h"
#include "base/secret.h"
#include "cli/settings.h"
#include "client/proxy_files.h"
#include "protect/gss.h"
#include "protect/tls.h"
#include "sys/trusted_file.h"

namespace stile::cli {
namespace {

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
    check_keytab();
    for (const wire::ProxyUrl& url : settings_.servers) {
      route::Hop hop{.url = url,
                     .clear_password_allowed = settings_.clear_password,
                     .gss_service = settings_.gss_service,
                     .gss_encrypted = !settings_.gss_integrity_only,
                     .ticket = by_ticket(url) ? std::make_shared<protect::GssTicketPlace>(wish_for(url)) : nullptr,
                     // A conversation by ticket cannot be said all at once.
                     .pipelined = settings_.pipelined && url.protocol == wire::ProxyProtocol::socks5 && !by_ticket(url),
                     .announces = settings_.announces,
                     .fast_open = settings_.fast_open,
                     .egress = settings_.egress};
      hop.egress.mark = settings_.mark;
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

  [[nodiscard]] std::string at(const std::string& path) const { return path.empty() ? path : beside(file_, path); }

  std::string read_password() {
    const std::string& path = settings_.password_file;
    if (path.empty()) return {};
    auto password = client::password_in(at(path));
    if (password) return *std::move(password);
    fail("password_file", path, password.error().why, password.error().cure);
    return {};
  }

  static bool by_ticket(const wire::ProxyUrl& url) noexcept { return url.protection == wire::ProxyProtection::gssapi; }

  [[nodiscard]] protect::TicketWish wish_for(const wire::ProxyUrl& url) const {
    return {.service = settings_.gss_service,
            .host = to_string(url.server.host),
            .keytab = at(settings_.keytab),
            .principal = settings_.principal};
  }

  /// Whoever gets the tickets reads it, each time: here it is only seen that he may, and that nobody else does.
  void check_keytab() {
    if (std::ranges::none_of(settings_.servers, by_ticket)) return;
    if (!protect::has_gssapi()) {
      return fail("servers", "+gssapi", "this stile was built without GSSAPI", "build it with STILE_GSSAPI");
    }
    const std::string& path = settings_.keytab;
    if (path.empty()) return;
    auto keys = sys::read_trusted_file(at(path), limits::tls_file_octets_max, sys::Secrecy::secret);
    if (!keys) return fail("keytab", path, keys.error().why, keys.error().cure);
    const bool is_keytab = keys->size() > 2 && (*keys)[0] == '\x05' && ((*keys)[1] == '\x01' || (*keys)[1] == '\x02');
    wipe({reinterpret_cast<std::uint8_t*>(keys->data()), keys->size()});
    if (!is_keytab) fail("keytab", path, "it is no keytab, or has no keys", "write one with ktutil or kadmin's ktadd");
  }

  std::shared_ptr<const protect::TlsClient> make_tls() {
    const auto has_tls = [](const wire::ProxyUrl& url) { return url.protection == wire::ProxyProtection::tls; };
    if (std::ranges::none_of(settings_.servers, has_tls)) return nullptr;
    auto client = client::tls_client_of(
        {.ca = at(settings_.ca), .certificate = at(settings_.certificate), .key = at(settings_.key)});
    if (client) return *std::move(client);
    const protect::TlsFault& fault = client.error();
    switch (fault.file) {
      case protect::TlsFile::client_ca:
        fail("ca", settings_.ca, fault.why, fault.cure);
        break;
      case protect::TlsFile::key:
        fail("key", settings_.key, fault.why, fault.cure);
        break;
      default:
        fail("certificate", settings_.certificate, fault.why, fault.cure);
        break;
    }
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
