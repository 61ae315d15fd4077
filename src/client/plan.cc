#include "client/plan.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/limits.h"
#include "client/proxy_files.h"
#include "protect/gss.h"
#include "wire/helper_record.h"
#include "wire/proxy_url.h"

namespace stile::client {
namespace {

constexpr auto timeout_default = std::chrono::seconds(60);
constexpr std::size_t password_octets_max = 255;  // RFC 1929 section 2
static_assert(STILE_CHAIN_MAX == limits::chain_hops_max);

std::unexpected<Failure> unusable(std::string text) {
  return std::unexpected(Failure{.code = STILE_ERROR_SETTINGS, .system_error = EINVAL, .text = std::move(text)});
}

std::string_view text_of(const char* text) noexcept {
  return text == nullptr ? std::string_view() : std::string_view(text);
}

std::optional<std::string> first_of(std::span<const char* const> variables, const Plan::Environment& environment) {
  for (const char* const variable : variables) {
    auto value = environment(variable);
    if (value && !value->empty()) return value;
  }
  return std::nullopt;
}

/// The words of `text`, blanks between.
std::vector<std::string> words_of(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n";
  std::vector<std::string> words;
  for (std::size_t begin = 0; (begin = text.find_first_not_of(blanks, begin)) != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(blanks, begin), text.size());
    words.emplace_back(text.substr(begin, end - begin));
    begin = end;
  }
  return words;
}

std::expected<void, Failure> add_password(route::Hop& hop, std::string_view password) {
  wire::ProxyUrl& url = hop.url;
  if (password.empty()) return {};
  if (!url.user || url.password || url.protocol == wire::ProxyProtocol::socks4) {
    return unusable("a password goes with a SOCKS5 or HTTP proxy's user that has none yet");
  }
  if (password.size() > password_octets_max) return unusable("a password has 1 to 255 octets");
  url.password = std::string(password);
  return {};
}

std::expected<void, Failure> add_tls(route::Hop& hop, const stile_proxy& given) {
  const ProxyTlsFiles files{.ca = std::string(text_of(given.ca)),
                            .certificate = std::string(text_of(given.certificate)),
                            .key = std::string(text_of(given.key == nullptr ? given.certificate : given.key))};
  const bool any = !files.ca.empty() || !files.certificate.empty() || !files.key.empty();
  if (hop.url.protection != wire::ProxyProtection::tls) {
    return any ? unusable("certificates go with a proxy that is spoken to inside TLS") : std::expected<void, Failure>();
  }
  if (files.certificate.empty() && !files.key.empty()) return unusable("the key is of no certificate");
  auto tls = tls_client_of(files);
  if (!tls) {
    const protect::TlsFault& fault = tls.error();
    const std::string& file = fault.file == protect::TlsFile::client_ca ? files.ca
                              : fault.file == protect::TlsFile::key     ? files.key
                                                                        : files.certificate;
    return unusable((file.empty() ? "TLS" : file) + ": " + fault.why);
  }
  hop.tls = *std::move(tls);
  return {};
}

std::expected<void, Failure> add_gssapi(route::Hop& hop, const stile_proxy& given) {
  const bool by_ticket = hop.url.protection == wire::ProxyProtection::gssapi;
  if (by_ticket && !protect::has_gssapi()) return unusable("this library was built without GSSAPI");
  const std::string_view service = text_of(given.gss_service);
  if (service.empty()) return {};
  if (!by_ticket) return unusable("a name for Kerberos goes with a proxy that takes its tickets");
  if (!wire::is_service_name(service)) return unusable("no service of Kerberos is called so");
  hop.gss_service = std::string(service);
  return {};
}

std::expected<route::Hop, Failure> hop_of(const stile_proxy& given, std::size_t position, unsigned flags) {
  const std::string where = "proxy " + std::to_string(position + 1) + ": ";
  auto url = wire::parse_proxy_url(text_of(given.url));
  if (!url) {
    return unusable(where + "at character " + std::to_string(url.error().column) + ": " + url.error().why + " (" +
                    url.error().cure + ")");
  }
  route::Hop hop{.url = *std::move(url), .clear_password_allowed = ((given.flags | flags) & STILE_CLEAR_PASSWORD) != 0};
  if (auto added = add_password(hop, text_of(given.password)); !added) return std::unexpected(added.error());
  for (const auto& add : {add_tls, add_gssapi}) {
    auto added = add(hop, given);
    if (added) continue;
    added.error().text = where + added.error().text;
    return std::unexpected(std::move(added.error()));
  }
  return hop;
}

/// A struct of the caller's, whose library may have been another: of what it has, as much as is known here.
template <class Struct>
std::optional<Struct> copied(const void* from) noexcept {
  std::size_t size = 0;
  std::memcpy(&size, from, sizeof size);
  if (size < sizeof size || size > sizeof(Struct)) return std::nullopt;
  Struct copy{};
  std::memcpy(&copy, from, size);
  return copy;
}

/// The proxies as the settings give them, in one form or the other. The texts are the caller's, or in `words`.
std::expected<std::vector<stile_proxy>, Failure> proxies_of(const stile_settings& settings,
                                                            std::span<const std::string> words) {
  std::vector<stile_proxy> proxies;
  for (const std::string& word : words) {
    stile_proxy proxy{};
    proxy.url = word.c_str();
    proxies.push_back(proxy);
  }
  if (!words.empty()) return proxies;
  const char* at = reinterpret_cast<const char*>(settings.chain);
  for (std::size_t i = 0; i < std::min<std::size_t>(settings.chain_length, STILE_CHAIN_MAX + 1); ++i) {
    const auto proxy = copied<stile_proxy>(at);
    if (!proxy) return unusable("stile_proxy.size is not that of this library, or of one before it");
    proxies.push_back(*proxy);
    at += proxy->size;
  }
  return proxies;
}

}  // namespace

std::optional<std::string> Plan::environment(const char* name) {
  const char* const value = ::secure_getenv(name);
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

std::expected<std::shared_ptr<const Plan>, Failure> Plan::create(const stile_settings& given,
                                                                 const Environment& environment) {
  const auto settings = copied<stile_settings>(&given);
  if (!settings) return unusable("stile_settings.size is not that of this library, or of one before it");
  if (settings->urls != nullptr && settings->chain != nullptr) return unusable("either urls or a chain, not both");
  const bool from_environment = settings->urls == nullptr && settings->chain == nullptr;
  std::optional<std::string> urls;
  if (settings->urls != nullptr) urls = settings->urls;
  if (from_environment) urls = first_of(proxy_variables, environment);
  if (from_environment && !urls) {
    return std::unexpected(Failure{.code = STILE_ERROR_NO_PROXY,
                                   .system_error = ENETUNREACH,
                                   .text = "no proxy is named: set ALL_PROXY to socks5h://HOST:PORT"});
  }
  const auto words = words_of(urls.value_or(""));
  const auto proxies = proxies_of(*settings, words);
  if (!proxies) return std::unexpected(proxies.error());
  if (proxies->empty() || proxies->size() > STILE_CHAIN_MAX) return unusable("a chain has 1 to 8 proxies");

  std::shared_ptr<Plan> plan(new Plan);
  for (std::size_t i = 0; i < proxies->size(); ++i) {
    auto hop = hop_of((*proxies)[i], i, settings->flags);
    if (!hop) return std::unexpected(std::move(hop.error()));
    plan->hops_.push_back(*std::move(hop));
  }
  for (const route::Hop& hop : plan->hops_) plan->pointers_.push_back(&hop);
  std::optional<std::string> directly;
  if (settings->no_proxy != nullptr) directly = settings->no_proxy;
  if (!directly && from_environment) directly = first_of(no_proxy_variables, environment);
  plan->no_proxy_ = wire::NoProxy::parse(directly.value_or(""));
  if (settings->timeout >= 0) {
    plan->timeout_ = settings->timeout == 0 ? timeout_default : Duration(std::chrono::milliseconds(settings->timeout));
  }
  plan->any_relay_ = (settings->flags & STILE_ANY_RELAY) != 0;
  return plan;
}

bool Plan::needs_names() const noexcept {
  return !no_proxy_.empty() || hops_.front().url.server.host_name() != nullptr ||
         std::ranges::any_of(hops_, [](const route::Hop& hop) { return !hop.url.resolves_names; });
}

}  // namespace stile::client
