#include "config/keys.h"

#include <fmt/core.h>

#include <array>
#include <charconv>

#include "config/duration.h"

namespace stile::config {
namespace {

using namespace std::chrono_literals;

constexpr Table table_rows[] = {
    {"", "", "Keys outside any table stand at the top of the file, before the first table."},
    {"listen", "[[listen]]",
     "One table a listening socket. Without any, Stile listens on 127.0.0.1:1080 and [::1]:1080."},
    {"limits", "[limits]", "How long and how much. The defaults suit a server on the internet."},
    {"policy", "[policy]",
     "Who may go where. Without this table, clients that connect over loopback may reach whatever a local user could "
     "reach, and everybody else is refused. With it, only its rules say who may go where, on every listener."},
};

constexpr Key key_rows[] = {
    {.table = "",
     .name = "workers",
     .type = KeyType::number,
     .default_text = "0",
     .help = "Threads that serve connections. 0 means one for each processor core.",
     .example = "4",
     .number = &Config::workers,
     .least = 0,
     .most = 1024},
    {.table = "",
     .name = "log",
     .type = KeyType::log_format,
     .default_text = "auto",
     .help = "How access records are written to standard output: `json` (one object a line), `text` (for people), "
             "`none`, or `auto`: text when standard output is a terminal, JSON otherwise.",
     .example = "\"json\""},
    {.table = "listen",
     .name = "address",
     .type = KeyType::address,
     .default_text = "",
     .help = "The IP address and TCP port to listen on; an IPv6 address stands in brackets. Host names are refused, "
             "because what they resolve to may change. Port 0 lets the kernel choose. An address that is not loopback "
             "needs a `[policy]` whose allow rules for unauthenticated clients all name their sources with `from`.",
     .example = "\"192.0.2.10:1080\""},
    {.table = "limits",
     .name = "handshake",
     .type = KeyType::duration,
     .default_text = "10s",
     .help = "From the accepted connection to the complete request; an absolute deadline that no octet extends.",
     .example = "\"10s\"",
     .duration = &Limits::handshake,
     .shortest = 100ms,
     .longest = 10min},
    {.table = "limits",
     .name = "idle",
     .type = KeyType::optional_duration,
     .default_text = "off",
     .help = "A tunnel through which no octet passes for this long is closed. `off` leaves that to TCP keepalive.",
     .example = "\"1h\"",
     .duration = &Limits::idle,
     .shortest = 1s,
     .longest = std::chrono::days{30}},
    {.table = "limits",
     .name = "half_closed",
     .type = KeyType::duration,
     .default_text = "5m",
     .help = "A tunnel that one side has finished is closed when no octet passes the other way for this long.",
     .example = "\"5m\"",
     .duration = &Limits::half_closed,
     .shortest = 1s,
     .longest = std::chrono::days{30}},
    {.table = "limits",
     .name = "connect",
     .type = KeyType::duration,
     .default_text = "10s",
     .help = "How long one address of a target may take to answer.",
     .example = "\"5s\"",
     .duration = &Limits::connect_per_address,
     .shortest = 100ms,
     .longest = 10min},
    {.table = "limits",
     .name = "connect_total",
     .type = KeyType::duration,
     .default_text = "30s",
     .help = "How long all addresses of a target together may take; not less than `connect`.",
     .example = "\"15s\"",
     .duration = &Limits::connect_total,
     .shortest = 100ms,
     .longest = 10min},
    {.table = "limits",
     .name = "drain",
     .type = KeyType::duration,
     .default_text = "1m",
     .help = "After SIGTERM or SIGINT, how long open tunnels may go on before they are closed.",
     .example = "\"30s\"",
     .duration = &Limits::drain,
     .shortest = 0s,
     .longest = std::chrono::days{7}},
    {.table = "limits",
     .name = "sessions",
     .type = KeyType::number,
     .default_text = "50000",
     .help = "Sessions in the whole process; further clients are refused until one ends.",
     .example = "20000",
     .limit = &Limits::sessions,
     .least = 1,
     .most = 1'000'000},
    {.table = "policy",
     .name = "rules",
     .type = KeyType::rules,
     .default_text = "",
     .help = "The rules, one a line, in the policy language; the first that matches decides, and what none matches is "
             "refused. Write them between `'''`, so that errors carry the exact line and column.",
     .example = "'''\noffice: allow anyone from 192.168.1.0/24 to public\n'''"},
};

// In the order of LogFormat.
constexpr std::array<std::string_view, 4> log_words{"auto", "json", "text", "none"};

std::string duration_hint(const Key& key) {
  const std::string_view off = key.type == KeyType::optional_duration ? " or \"off\"" : "";
  return fmt::format("expected a duration such as \"250ms\", \"10s\", \"5m\" or \"1h\"{}, from {} to {}", off,
                     to_text(key.shortest), to_text(key.longest));
}

std::expected<void, std::string> store_duration(const Key& key, std::string_view text, Config& config) {
  if (key.type == KeyType::optional_duration && text == "off") {
    config.limits.*key.duration = Duration::zero();
    return {};
  }
  const std::optional<Duration> duration = parse_duration(text);
  if (!duration || *duration < key.shortest || *duration > key.longest) return std::unexpected(duration_hint(key));
  config.limits.*key.duration = *duration;
  return {};
}

std::expected<void, std::string> store_log_format(std::string_view text, Config& config) {
  for (std::size_t i = 0; i < log_words.size(); ++i) {
    if (log_words[i] != text) continue;
    config.log = static_cast<LogFormat>(i);
    return {};
  }
  return std::unexpected("expected one of json, text, none, auto");
}

}  // namespace

std::span<const Key> keys() noexcept {
  return key_rows;
}

std::span<const Table> tables() noexcept {
  return table_rows;
}

std::string path(const Key& key) {
  return key.table.empty() ? std::string(key.name) : fmt::format("{}.{}", key.table, key.name);
}

const Key* find_key(std::string_view table, std::string_view name) noexcept {
  for (const Key& key : keys()) {
    if (key.table == table && key.name == name) return &key;
  }
  return nullptr;
}

std::span<const std::string_view> log_format_words() noexcept {
  return log_words;
}

std::string_view word(LogFormat format) noexcept {
  return log_words[static_cast<std::size_t>(format)];
}

std::expected<void, std::string> store_text(const Key& key, std::string_view text, Config& config) {
  if (key.type == KeyType::log_format) return store_log_format(text, config);
  if (key.type == KeyType::number) {
    std::int64_t number = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc{} && rest == text.data() + text.size();
    return store_number(key, whole ? number : -1, config);
  }
  return store_duration(key, text, config);
}

std::expected<void, std::string> store_number(const Key& key, std::int64_t number, Config& config) {
  if (number < std::int64_t{key.least} || number > std::int64_t{key.most}) {
    return std::unexpected(fmt::format("expected a whole number from {} to {}", key.least, key.most));
  }
  (key.limit != nullptr ? config.limits.*key.limit : config.*key.number) = static_cast<std::uint32_t>(number);
  return {};
}

std::expected<Endpoint, std::string> parse_listen_address(std::string_view text) {
  if (const std::optional<Endpoint> endpoint = Endpoint::parse(text)) return *endpoint;
  return std::unexpected(
      "expected an IP address and a port, such as \"127.0.0.1:1080\" or \"[::1]:1080\"; host names are not looked up "
      "here");
}

std::string value_text(const Key& key, const Config& config) {
  switch (key.type) {
    case KeyType::number:
      return std::to_string(key.limit != nullptr ? config.limits.*key.limit : config.*key.number);
    case KeyType::duration:
      return to_text(config.limits.*key.duration);
    case KeyType::optional_duration: {
      const Duration duration = config.limits.*key.duration;
      return duration == Duration::zero() ? "off" : to_text(duration);
    }
    case KeyType::log_format:
      return std::string(word(config.log));
    case KeyType::rules:
      return config.policy_rules;
    case KeyType::address:
      break;  // one value a listener: see effective()
  }
  return {};
}

}  // namespace stile::config
