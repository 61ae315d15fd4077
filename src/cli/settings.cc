#include "cli/settings.h"

#include <fmt/core.h>

#include <array>
#include <cstdlib>
#include <iterator>

#include "auth/users_file.h"
#include "base/limits.h"
#include "cli/upstream_plans.h"
#include "sys/trusted_file.h"

namespace stile::cli {
namespace {

using config::Origin;

BadSettings one_fault(int exit_code, std::string message) {
  return {exit_code, {{"", 0, 0, std::move(message)}}};
}

std::string refusal_text(const sys::FileRefusal& refusal) {
  return refusal.cure.empty() ? refusal.why : fmt::format("{} ({})", refusal.why, refusal.cure);
}

// A list that the configuration at `configuration` names.
std::expected<config::NamedFile, std::string> read_named(const std::string& configuration, const std::string& written) {
  const std::string path = beside(configuration, written);
  auto text = sys::read_trusted_file(path, limits::list_octets_max);
  if (!text) return std::unexpected(refusal_text(text.error()));
  return config::NamedFile{.path = path, .text = std::move(*text)};
}

std::expected<config::Config, BadSettings> load_file(const std::string& path, const config::ReadFile& read_named) {
  if (path.empty()) return config::zero_configuration();
  const auto text = sys::read_trusted_file(path, limits::configuration_octets_max);
  if (!text) {
    return std::unexpected(
        one_fault(exit_configuration, fmt::format("cannot read {}: {}", path, refusal_text(text.error()))));
  }
  auto parsed = config::parse(*text, path, read_named);
  if (parsed) return std::move(*parsed);
  BadSettings bad;
  for (config::ConfigError& error : parsed.error()) {
    const std::string& file = error.file.empty() ? path : error.file;
    bad.faults.push_back({file, error.line, error.column, std::move(error.message)});
  }
  return std::unexpected(std::move(bad));
}

std::expected<std::shared_ptr<const auth::Users>, BadSettings> load_users(const config::Config& config,
                                                                          const std::string& file) {
  if (config.users.file.empty()) return nullptr;
  const std::string path = beside(file, config.users.file);
  auto users = auth::load_users(path);
  if (users) return std::make_shared<const auth::Users>(std::move(*users));
  BadSettings bad;
  for (auth::UsersError& error : users.error()) {
    bad.faults.push_back({error.line == 0 ? "" : path, error.line, error.column, std::move(error.message)});
  }
  return std::unexpected(std::move(bad));
}

Fault tls_fault(const config::Config& config, const std::string& file, std::size_t listener, std::string message) {
  const auto origin = config.origins.find(fmt::format("listen[{}].tls", listener));
  return {file, origin == config.origins.end() ? 0 : origin->second.line, 1, "listen.tls: " + std::move(message)};
}

std::expected<std::shared_ptr<const protect::TlsServer>, std::string> load_tls(const config::Tls& tls,
                                                                               const std::string& file) {
  const auto message = [](std::string_view path, std::string_view why, std::string_view cure) {
    return fmt::format("cannot use {}: {}{}", path, why, cure.empty() ? "" : fmt::format(" ({})", cure));
  };
  const std::array paths{&tls.certificate, &tls.key, &tls.client_ca, &tls.crl};  // as protect::TlsFile
  std::array<std::string, paths.size()> texts;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (paths[i]->empty()) continue;
    const bool key = i == static_cast<std::size_t>(protect::TlsFile::key);
    auto text = sys::read_trusted_file(beside(file, *paths[i]), limits::tls_file_octets_max,
                                       key ? sys::Secrecy::secret : sys::Secrecy::none);
    if (!text) return std::unexpected(message(*paths[i], text.error().why, text.error().cure));
    texts[i] = *std::move(text);
  }
  protect::TlsServerTexts given{
      .own = {.certificate = std::move(texts[0]), .key = Secret(texts[1])}, .client_ca = {}, .crl = {}};
  wipe({reinterpret_cast<std::uint8_t*>(texts[1].data()), texts[1].size()});
  if (!tls.client_ca.empty()) given.client_ca = std::move(texts[2]);
  if (!tls.crl.empty()) given.crl = std::move(texts[3]);
  auto server = protect::TlsServer::create(given);
  if (server) return *std::move(server);
  const protect::TlsFault& fault = server.error();
  return std::unexpected(message(*paths[static_cast<std::size_t>(fault.file)], fault.why, fault.cure));
}

std::expected<server::TlsServers, BadSettings> load_all_tls(const config::Config& config, const std::string& file) {
  server::TlsServers servers;
  BadSettings bad;
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const config::Tls& tls = config.listeners[i].tls;
    if (!tls.is_on() || servers.contains(tls)) continue;
    auto server = load_tls(tls, file);
    if (server) {
      servers.emplace(tls, *std::move(server));
    } else {
      bad.faults.push_back(tls_fault(config, file, i, std::move(server.error())));
    }
  }
  if (!bad.faults.empty()) return std::unexpected(std::move(bad));
  return servers;
}

std::vector<std::string> files_of(const config::Config& config, const std::string& file) {
  if (file.empty()) return {};
  std::vector<std::string> files{file};
  const auto add = [&](const std::string& written) {
    if (!written.empty()) files.push_back(beside(file, written));
  };
  add(config.users.file);
  for (const auto& [name, list] : config.policy_lists) add(list);
  for (const config::Listener& listener : config.listeners) {
    for (const std::string* const one :
         {&listener.tls.certificate, &listener.tls.key, &listener.tls.client_ca, &listener.tls.crl}) {
      add(*one);
    }
  }
  for (const config::Upstream& upstream : config.upstreams) {
    for (const std::string* const one :
         {&upstream.password_file, &upstream.ca, &upstream.certificate, &upstream.key, &upstream.keytab}) {
      add(*one);
    }
  }
  return files;
}

// The environment has one text where the command line has a list.
std::vector<std::string> list_of(std::string_view text) {
  std::vector<std::string> items;
  while (!text.empty()) {
    const std::size_t end = text.find_first_of(", ");
    if (end != 0) items.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return items;
}

// The flag's value, else the environment's; an empty variable is as good as none.
struct Given {
  std::vector<std::string> values;
  Origin origin;
};

std::optional<Given> given_for(const Flag& flag, const Arguments& arguments, const Environment& environment) {
  if (const auto found = arguments.flags.find(flag.name); found != arguments.flags.end()) {
    return Given{found->second, {Origin::Source::flag, 0, std::string(flag.name)}};
  }
  if (flag.environment.empty()) return std::nullopt;
  const std::optional<std::string> text = environment(flag.environment);
  if (!text) return std::nullopt;
  const std::vector<std::string> values = flag.repeatable ? list_of(*text) : std::vector<std::string>{*text};
  if (values.empty() || values.front().empty()) return std::nullopt;
  return Given{values, {Origin::Source::environment, 0, std::string(flag.environment)}};
}

std::string file_given(const Arguments& arguments, const Environment& environment) {
  for (const Flag& flag : arguments.command->flags) {
    if (flag.name != "--config") continue;
    if (const auto given = given_for(flag, arguments, environment)) return given->values.back();
  }
  return {};
}

/// With what the environment and the flags say, and what the files say that it names.
std::expected<Settings, BadSettings> complete(std::expected<config::Config, BadSettings> config,
                                              const std::string& path, const Arguments& arguments,
                                              const Environment& environment) {
  if (!config) return std::unexpected(std::move(config.error()));
  BadSettings bad;
  for (const Flag& flag : arguments.command->flags) {
    if (flag.key.empty()) continue;
    const auto given = given_for(flag, arguments, environment);
    if (!given) continue;
    const auto set = config::set(*config, flag.key, given->values, given->origin);
    if (set) continue;
    bad.faults.push_back({"", 0, 0, fmt::format("cannot use {} {}", given->origin.name, set.error())});
    if (given->origin.source == Origin::Source::flag) bad.exit_code = exit_usage;
  }
  if (bad.faults.empty()) {
    for (config::ConfigError& error : config::contradictions(*config)) {
      bad.faults.push_back({"", 0, 0, fmt::format("cannot use the configuration: {}", error.message)});
    }
  }
  if (!bad.faults.empty()) return std::unexpected(std::move(bad));
  auto users = load_users(*config, path);
  if (!users) return std::unexpected(std::move(users.error()));
  if (!config->accounting.file.empty()) config->accounting.file = beside(path, config->accounting.file);
  config->gssapi.keytab = beside(path, config->gssapi.keytab);
  auto tls = load_all_tls(*config, path);
  if (!tls) return std::unexpected(std::move(tls.error()));
  auto upstreams = load_upstreams(*config, path);
  if (!upstreams) {
    for (UpstreamFault& fault : upstreams.error())
      bad.faults.push_back({path, fault.line, 1, std::move(fault.message)});
    return std::unexpected(std::move(bad));
  }
  auto files = files_of(*config, path);
  return Settings{std::move(*config), path, std::move(*users), std::move(*tls), std::move(*upstreams),
                  std::move(files)};
}

}  // namespace

std::string beside(const std::string& file, const std::string& path) {
  const std::size_t slash = file.rfind('/');
  return path.starts_with('/') || slash == std::string::npos ? path : file.substr(0, slash + 1) + path;
}

Environment process_environment() {
  return [](std::string_view name) -> std::optional<std::string> {
    const char* value = std::getenv(std::string(name).c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

std::string to_text(const Fault& fault) {
  if (fault.file.empty()) return fmt::format("stile: {}", fault.message);
  return fmt::format("{}:{}:{}: {}", fault.file, fault.line, fault.column, fault.message);
}

std::expected<Settings, BadSettings> load_settings(const Arguments& arguments, const Environment& environment) {
  const std::string path = file_given(arguments, environment);
  auto config = load_file(path, [&](const std::string& written) { return read_named(path, written); });
  return complete(std::move(config), path, arguments, environment);
}

std::expected<Settings, BadSettings> load_settings_upon(config::Config base, const Arguments& arguments,
                                                        const Environment& environment) {
  return complete(std::move(base), "", arguments, environment);
}

std::expected<config::Config, BadSettings> load_configuration_alone(const Arguments& arguments,
                                                                    const Environment& environment) {
  const std::string path = file_given(arguments, environment);
  auto config =
      load_file(path, [](const std::string& written) { return config::NamedFile{.path = written, .text = {}}; });
  if (config) config->gssapi.keytab = beside(path, config->gssapi.keytab);
  return config;
}

std::optional<std::vector<std::string>> Settings::groups_of(const std::string& user) const {
  const auth::UserRecord* const record = users == nullptr ? nullptr : users->find(user);
  if (record == nullptr) return std::nullopt;
  return record->groups;
}

std::vector<Fault> failed_expectations(const Settings& settings) {
  const auto groups_of = [&](const std::string& user) { return settings.groups_of(user); };
  std::vector<Fault> faults;
  for (config::ConfigError& error : config::failed_expectations(settings.config, groups_of)) {
    faults.push_back({settings.file, error.line, error.column, std::move(error.message)});
  }
  return faults;
}

std::expected<Settings, BadSettings> load_server_settings(const Arguments& arguments, const Environment& environment) {
  return for_a_server(load_settings(arguments, environment));
}

std::expected<Settings, BadSettings> for_a_server(std::expected<Settings, BadSettings> settings) {
  if (!settings) return settings;
  // Security reference, 1.1: never an open proxy, whatever the file, the environment and the flags add up to.
  BadSettings bad;
  for (std::string& message : config::exposures(settings->config)) bad.faults.push_back({"", 0, 0, std::move(message)});
  for (Fault& fault : failed_expectations(*settings)) bad.faults.push_back(std::move(fault));
  if (!bad.faults.empty()) return std::unexpected(std::move(bad));
  return settings;
}

}  // namespace stile::cli
