// The one table of configuration keys. The parser's known keys, its "did you mean", what the environment and flags may
// set, `stile check --effective` and docs/configuration.md are all made from it: a key that is not here does not exist.
// Pure and immutable. Tested in keys_test.cc.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/config.h"

namespace stile::config {

enum class KeyType : std::uint8_t {
  address,            // "ADDRESS:PORT"
  number,             // a TOML integer
  duration,           // see duration.h
  optional_duration,  // a duration or "off"
  log_format,
  rules,  // the policy language
};

struct Key {
  std::string_view table;  // "" for the top level; "listen" is an array of tables
  std::string_view name;
  KeyType type = KeyType::number;
  std::string_view default_text;  // as the file would have it, without quotes; "" when there is no single value
  std::string_view help;          // whole sentences
  std::string_view example;       // the TOML value
  // Where the value goes, and its bounds: `duration`, `number` or `limit`, as the type says.
  Duration Limits::* duration = nullptr;
  Duration shortest{};
  Duration longest{};
  std::uint32_t Config::* number = nullptr;
  std::uint32_t Limits::* limit = nullptr;
  std::uint32_t least = 0;
  std::uint32_t most = 0;
};

/// A table of the file, for the reference.
struct Table {
  std::string_view name;
  std::string_view header;  // "[limits]", "[[listen]]"
  std::string_view help;
};

/// In the order of the reference; the keys of a table stand together.
[[nodiscard]] std::span<const Key> keys() noexcept;
[[nodiscard]] std::span<const Table> tables() noexcept;

/// "limits.idle", or "workers" at the top level.
[[nodiscard]] std::string path(const Key& key);

[[nodiscard]] const Key* find_key(std::string_view table, std::string_view name) noexcept;

/// The words that `log` takes.
[[nodiscard]] std::span<const std::string_view> log_format_words() noexcept;
[[nodiscard]] std::string_view word(LogFormat format) noexcept;

/// Reads one value from text and stores it; the message of a failure says what is expected. Not for `rules` and
/// `address`, which are more than one value.
[[nodiscard]] std::expected<void, std::string> store_text(const Key& key, std::string_view text, Config& config);
[[nodiscard]] std::expected<void, std::string> store_number(const Key& key, std::int64_t number, Config& config);

/// "127.0.0.1:1080" and "[::1]:1080"; a host name is refused, it is not looked up here.
[[nodiscard]] std::expected<Endpoint, std::string> parse_listen_address(std::string_view text);

/// The value in force, as text.
[[nodiscard]] std::string value_text(const Key& key, const Config& config);

/// The whole of docs/configuration.md.
[[nodiscard]] std::string reference_markdown();

}  // namespace stile::config
