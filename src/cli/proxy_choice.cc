#include "cli/proxy_choice.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include "client/plan.h"
#include "client/proxy_files.h"
#include "policy/words.h"
#include "protect/gss.h"
#include "protect/tls.h"
#include "wire/helper_record.h"
#include "wire/proxy_url.h"

namespace stile::cli {
namespace {

struct Given {
  std::string url;
  std::string_view where;  // "--via", or the name of a variable
};

std::optional<Given> given_url(const Arguments& arguments, const Environment& environment) {
  if (const auto flag = arguments.value("--via")) return Given{*flag, "--via"};
  for (const std::string_view variable : client::proxy_variables) {
    const auto value = environment(variable);
    if (value && !value->empty()) return Given{*value, variable};
  }
  return std::nullopt;
}

void add_no_proxy(ProxyChoice& choice, const Environment& environment) {
  for (const std::string_view variable : client::no_proxy_variables) {
    const auto value = environment(variable);
    if (!value || value->empty()) continue;
    choice.no_proxy = wire::NoProxy::parse(*value);
    choice.no_proxy_where = variable;
    return;
  }
}

std::unexpected<std::string> unusable(std::string_view what, std::string_view why, std::string_view cure) {
  return std::unexpected(
      fmt::format("stile: cannot use {}: {}{}", what, why, cure.empty() ? "" : fmt::format(" ({})", cure)));
}

constexpr std::string_view tls_flags[] = {"--ca", "--certificate", "--key"};

/// What the flags name, as one value for the library.
std::expected<std::shared_ptr<const protect::TlsClient>, std::string> tls_for(const Arguments& arguments) {
  client::ProxyTlsFiles files{.ca = arguments.value("--ca").value_or(""),
                              .certificate = arguments.value("--certificate").value_or(""),
                              .key = {}};
  files.key = arguments.value("--key").value_or(files.certificate);
  auto client = client::tls_client_of(files);
  if (client) return *std::move(client);
  const protect::TlsFault& fault = client.error();
  const std::string& file = fault.file == protect::TlsFile::client_ca ? files.ca
                            : fault.file == protect::TlsFile::key     ? files.key
                                                                      : files.certificate;
  return unusable(file.empty() ? "TLS" : file, fault.why, fault.cure);
}

std::expected<void, std::string> add_gssapi(route::Hop& proxy, const Arguments& arguments) {
  const bool by_ticket = proxy.url.protection == wire::ProxyProtection::gssapi;
  const auto service = arguments.value("--gss-service");
  if (service && !by_ticket) {
    return std::unexpected(
        "stile: cannot use --gss-service: the proxy is not asked to take a Kerberos ticket (write "
        "socks5h+gssapi://HOST:PORT)");
  }
  if (service && !wire::is_service_name(*service)) {
    return std::unexpected(fmt::format(
        "stile: cannot use --gss-service {}: no service is called so (write rcmd or socks)", policy::quoted(*service)));
  }
  if (by_ticket && !protect::has_gssapi()) {
    return std::unexpected("stile: cannot use a Kerberos ticket: this stile was built without GSSAPI");
  }
  if (service) proxy.gss_service = *service;
  return {};
}

std::expected<void, std::string> add_tls(route::Hop& proxy, const Arguments& arguments) {
  if (proxy.url.protection == wire::ProxyProtection::tls) {
    if (arguments.has("--key") && !arguments.has("--certificate")) {
      return std::unexpected("stile: cannot use --key: it is the key of no certificate (add --certificate FILE)");
    }
    auto tls = tls_for(arguments);
    if (!tls) return std::unexpected(std::move(tls.error()));
    proxy.tls = *std::move(tls);
    return {};
  }
  for (const std::string_view flag : tls_flags) {
    if (!arguments.has(flag)) continue;
    return std::unexpected(fmt::format(
        "stile: cannot use {}: the proxy is not spoken to inside TLS (write socks5h+tls://HOST:PORT, or https://)",
        flag));
  }
  return {};
}

std::shared_ptr<const route::UpstreamPlan> plan_of(route::Hop hop, std::size_t number) {
  auto plan = std::make_shared<route::UpstreamPlan>();
  plan->settings.name = number == 0 ? std::string("proxy") : fmt::format("proxy-{}", number + 1);
  plan->settings.servers = {hop.url};
  plan->settings.servers.front().password.reset();
  plan->hops.push_back(std::move(hop));
  return plan;
}

constexpr std::array<std::string_view, 5> flags_of_one_proxy{"--password-file", "--ca", "--certificate", "--key",
                                                             "--gss-service"};

}  // namespace

std::expected<ProxyChoice, std::string> choose_proxy(const Arguments& arguments, const Environment& environment) {
  const auto given = given_url(arguments, environment);
  if (!given) {
    return std::unexpected(
        fmt::format("stile: cannot {}: no proxy is named (add --via socks5h://HOST:PORT, or set ALL_PROXY)",
                    arguments.command->name));
  }
  auto url = wire::parse_proxy_url(given->url);
  if (!url) {
    const wire::ProxyUrlError& error = url.error();
    return std::unexpected(fmt::format("stile: cannot use {}: at character {}: {} ({})", given->where, error.column,
                                       error.why, error.cure));
  }
  ProxyChoice choice;
  choice.where = given->where;
  if (given->where != "--via") add_no_proxy(choice, environment);
  if (given->where == "--via" && url->password) {
    choice.warning =
        "stile: warning: a password on the command line shows in the list of processes (put the URL into STILE_VIA, or "
        "the password into a file for --password-file)";
  }
  if (const auto path = arguments.value("--password-file")) {
    if (!url->user || url->password || url->protocol == wire::ProxyProtocol::socks4) {
      return std::unexpected(
          "stile: cannot use --password-file: it goes with a SOCKS5 or HTTP proxy's user that has no password yet "
          "(write "
          "socks5h://USER@HOST:PORT)");
    }
    auto password = client::password_in(*path);
    if (!password) return unusable(*path, password.error().why, password.error().cure);
    url->password = *std::move(password);
  }
  choice.proxy = {.url = *std::move(url), .clear_password_allowed = arguments.has("--clear-password")};
  if (auto added = add_gssapi(choice.proxy, arguments); !added) return std::unexpected(std::move(added.error()));
  if (auto added = add_tls(choice.proxy, arguments); !added) return std::unexpected(std::move(added.error()));
  return choice;
}

std::expected<std::vector<ProxyChoice>, std::string> choose_proxies(const Arguments& arguments,
                                                                    const Environment& environment) {
  const auto given = arguments.flags.find("--via");
  const std::size_t count = given == arguments.flags.end() ? 1 : given->second.size();
  for (const std::string_view flag : flags_of_one_proxy) {
    if (count > 1 && arguments.has(flag)) {
      return std::unexpected(fmt::format("stile: cannot use {}: there are several proxies (give one --via)", flag));
    }
  }
  std::vector<ProxyChoice> choices;
  for (std::size_t i = 0; i < count; ++i) {
    Arguments one = arguments;
    if (given != arguments.flags.end()) one.flags["--via"] = {given->second[i]};
    auto choice = choose_proxy(one, environment);
    if (!choice) return std::unexpected(std::move(choice.error()));
    choices.push_back(*std::move(choice));
  }
  return choices;
}

route::UpstreamPlans way_through(std::vector<ProxyChoice> choices) {
  route::UpstreamPlans way;
  for (ProxyChoice& choice : choices) way.push_back(plan_of(std::move(choice.proxy), way.size()));
  return way;
}

std::string text_of(const std::vector<ProxyChoice>& choices) {
  std::string way;
  for (const ProxyChoice& choice : choices) way += (way.empty() ? "" : " > ") + choice.proxy.url.to_string();
  return way;
}

void warn(const std::vector<ProxyChoice>& choices, bool of_names) {
  for (const ProxyChoice& choice : choices) {
    if (!choice.warning.empty()) fmt::print(stderr, "{}\n", choice.warning);
    if (of_names && !choice.proxy.url.resolves_names) {
      fmt::print(stderr, "stile: warning: names are looked up here, by this host's resolver, for {} (write socks5h)\n",
                 choice.proxy.url.to_string());
    }
  }
}

void tell_of_no_proxy(const Environment& environment) {
  for (const std::string_view variable : client::no_proxy_variables) {
    if (const auto value = environment(variable); value && !value->empty()) {
      fmt::print(stderr, "stile: {} is not followed: there is no way but the proxy\n", variable);
    }
  }
}

void conceal_passwords(std::span<char* const> words) noexcept {
  for (char* const word : words) {
    const std::string_view text(word);
    const std::size_t at = text.rfind('@');
    if (at == std::string_view::npos) continue;
    const std::size_t scheme = text.find("://");
    const std::size_t colon = text.find(':', scheme == std::string_view::npos ? 0 : scheme + 3);
    if (colon < at) std::fill(word + colon + 1, word + at, '*');
  }
}

}  // namespace stile::cli
