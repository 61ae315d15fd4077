#include "config/config.h"

#include <fmt/core.h>

#include <algorithm>

#include "config/duration.h"
#include "config/keys.h"
#include "config/loopback.h"

namespace stile::config {
namespace {

std::expected<void, std::string> set_listeners(Config& config, const std::vector<std::string>& values) {
  std::vector<Listener> listeners;
  for (const std::string& value : values) {
    const auto address = parse_listen_address(value);
    if (!address) return std::unexpected(fmt::format("'{}': {}", value, address.error()));
    listeners.push_back({.address = *address});
  }
  config.listeners = std::move(listeners);
  std::erase_if(config.origins, [](const auto& entry) { return entry.first.starts_with("listen["); });
  return {};
}

std::string describe(const Config& config, std::string_view key) {
  const auto found = config.origins.find(key);
  if (found == config.origins.end()) return "default";
  const Origin& origin = found->second;
  switch (origin.source) {
    case Origin::Source::built_in:
      break;
    case Origin::Source::file:
      return fmt::format("{}:{}", origin.name, origin.line);
    case Origin::Source::environment:
      return fmt::format("environment {}", origin.name);
    case Origin::Source::flag:
      return fmt::format("flag {}", origin.name);
  }
  return "default";
}

// The line of the later of two keys: the one that a reader would correct.
int line_of(const Config& config, std::string_view key) {
  const auto found = config.origins.find(key);
  return found == config.origins.end() ? 0 : found->second.line;
}

}  // namespace

Config zero_configuration() {
  Config config;
  config.listeners = {{.address = Endpoint::parse("127.0.0.1:1080").value()},
                      {.address = Endpoint::parse("[::1]:1080").value(), .optional = true}};
  return config;
}

std::expected<void, std::string> set(Config& config, std::string_view key, const std::vector<std::string>& values,
                                     Origin origin) {
  if (key == "listen") {
    if (auto stored = set_listeners(config, values); !stored) return stored;
  } else {
    for (const Key& known : keys()) {
      if (path(known) != key) continue;
      if (auto stored = store_text(known, values.back(), config); !stored) {
        return std::unexpected(fmt::format("'{}': {}", values.back(), stored.error()));
      }
    }
  }
  config.origins.insert_or_assign(std::string(key), std::move(origin));
  return {};
}

std::vector<ConfigError> contradictions(const Config& config) {
  std::vector<ConfigError> errors;
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const Endpoint& address = config.listeners[i].address;
    const auto earlier = config.listeners.begin() + static_cast<std::ptrdiff_t>(i);
    const auto same = [&](const Listener& other) { return other.address == address; };
    if (address.port != 0 && std::any_of(config.listeners.begin(), earlier, same)) {
      errors.push_back({line_of(config, fmt::format("listen[{}].address", i)), 1,
                        fmt::format("listen.address: {} is named twice", address.to_string())});
    }
  }
  if (config.limits.connect_per_address > config.limits.connect_total) {
    errors.push_back({std::max(line_of(config, "limits.connect"), line_of(config, "limits.connect_total")), 1,
                      fmt::format("limits.connect ({}) is longer than limits.connect_total ({})",
                                  to_text(config.limits.connect_per_address), to_text(config.limits.connect_total))});
  }
  return errors;
}

std::vector<std::string> exposures(const Config& config) {
  std::vector<std::string> messages;
  const bool sources_named = config.policy != nullptr && config.policy->every_anonymous_allow_names_its_sources();
  for (const Listener& listener : config.listeners) {
    if (sources_named || is_loopback(listener.address.address)) continue;
    const std::string_view why = config.policy == nullptr
                                     ? "no [policy] says who may use it, and it has no authentication"
                                     : "a rule of [policy] allows clients from anywhere, and it has no authentication";
    const std::string_view cure = config.policy == nullptr
                                      ? "add a [policy] with a rule that names its clients, such as 'allow anyone from "
                                        "192.168.1.0/24 to public'"
                                      : "add `from` to every such allow rule of [policy]";
    messages.push_back(fmt::format("cannot listen on {}: {} ({}, or listen on 127.0.0.1:{} only)",
                                   listener.address.to_string(), why, cure, listener.address.port));
  }
  return messages;
}

std::vector<EffectiveValue> effective(const Config& config) {
  std::vector<EffectiveValue> values;
  for (const Key& key : keys()) {
    if (key.type != KeyType::address) {
      if (key.type == KeyType::rules && config.policy == nullptr) continue;
      const std::string key_path = path(key);
      values.push_back({key_path, value_text(key, config), key.type == KeyType::number, describe(config, key_path)});
      continue;
    }
    for (std::size_t i = 0; i < config.listeners.size(); ++i) {
      const std::string own = fmt::format("listen[{}].address", i);
      values.push_back({own, config.listeners[i].address.to_string(), false,
                        describe(config, config.origins.contains(own) ? own : "listen")});
    }
  }
  return values;
}

}  // namespace stile::config
