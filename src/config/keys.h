// The one table of configuration keys (keys.cc), and the tables that hold them (tables.cc). The parser's known keys,
// its "did you mean", what the environment and flags may set, `stile check --effective` and docs/configuration.md are
// all made from it: a key that is not here does not exist. Pure and immutable. Tested in keys_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/config.h"

namespace stile::config {

enum class KeyType : std::uint8_t {
  address,            // "ADDRESS:PORT" or "unix:/PATH"
  number,             // a TOML integer
  duration,           // see duration.h
  optional_duration,  // a duration or "off"
  log_format,
  rules,        // the policy language
  expect,       // its expectations
  lists,        // a table of names and files
  choice,       // one of two words
  ports,        // "40000-40999", "40000" or "any"
  addresses,    // a list of IP addresses, one a family
  protocols,    // a list of protocol names
  networks,     // a list of ADDRESS or CIDR
  targets,      // a list of ADDRESS:PORTS, CIDR:PORTS
  mode,         // octal permissions
  account,      // a user's or group's name or number
  socket,       // "unix:/PATH"
  file,         // a path; a relative one begins at the folder of the configuration file
  auth,         // a list of methods, in order of preference
  tls,          // a table of files
  service,      // a file of /etc/pam.d, or the first part of a principal
  principal,    // one of Kerberos'
  user,         // a name in /etc/passwd
  sandbox,      // of what a server gives up
  program,      // a path and its arguments
  realms,       // a list of Kerberos realms
  suffixes,     // a list of names
  dns_servers,  // a list of ADDRESS or ADDRESS:PORT
  hosts,        // a table of names and addresses
  name,         // letters, digits, '-', '_' and '.'
  servers,      // a list of proxies' addresses
  pick,         // which of them
  egress,       // an address or interface of this host, or both
  pac_ways,     // a list of what browsers are offered
  host,         // a host's name or address
  direct,       // a list of names, addresses and networks
  interfaces,   // a list of names of interfaces
  mappings,     // a list of NETWORK=USER
  dns_address,  // "ADDRESS:PORT" or an address
};

/// A list in the file; one string is as good as a list of one.
[[nodiscard]] constexpr bool is_list(KeyType type) noexcept {
  return type == KeyType::addresses || type == KeyType::protocols || type == KeyType::networks ||
         type == KeyType::targets || type == KeyType::auth || type == KeyType::program || type == KeyType::realms ||
         type == KeyType::suffixes || type == KeyType::dns_servers || type == KeyType::servers ||
         type == KeyType::pac_ways || type == KeyType::direct || type == KeyType::interfaces ||
         type == KeyType::mappings;
}

/// Where a value goes: the member of the part of the configuration that has it.
using DurationField = std::variant<std::nullptr_t, Duration Limits::*, Duration Udp::*, Duration Bind::*,
                                   Duration Users::*, Duration Engine::*, Duration Accounting::*, Duration Pam::*,
                                   Duration Command::*, Duration Upstream::*, Duration Resolver::*>;
using ChoiceField =
    std::variant<std::nullptr_t, bool Limits::*, bool Udp::*, bool Bind::*, bool Accounting::*, bool Gssapi::*,
                 bool Config::*, bool Upstream::*, bool Resolver::*, bool Listener::*, bool Gateway::*>;
using TextField = std::variant<std::nullptr_t, std::string Admin::*, std::string Users::*, std::string Accounting::*,
                               std::string Pam::*, std::string Gssapi::*, std::string Pac::*, std::string Config::*,
                               std::string Upstream::*, std::string Helper::*>;

struct Key {
  std::string_view table;  // "" for the top level; see Table::repeats
  std::string_view name;
  KeyType type = KeyType::number;
  std::string_view default_text;  // as the file would have it, without quotes; "" when there is no single value
  std::string_view help;          // whole sentences
  std::string_view example;       // the TOML value
  // Where the value goes, and its bounds: `duration`, `number`, `limit`, `choice` or `text`, as the type says. The
  // other types have one place each.
  DurationField duration;
  Duration shortest{};
  Duration longest{};
  std::uint32_t Config::* number = nullptr;
  std::uint32_t Limits::* limit = nullptr;
  std::uint32_t Upstream::* count = nullptr;
  std::uint32_t least = 0;
  std::uint32_t most = 0;
  ChoiceField choice;
  std::array<std::string_view, 2> words{};  // of a choice: for false, for true
  TextField text;
};

/// A table of the file, for the reference.
struct Table {
  std::string_view name;
  std::string_view header;  // "[limits]", "[[listen]]"
  std::string_view help;
  bool repeats = false;            // an array of tables
  std::string_view required = {};  // the key without which the table means nothing
};

/// In the order of the reference; the keys of a table stand together.
[[nodiscard]] std::span<const Key> keys() noexcept;
[[nodiscard]] std::span<const Table> tables() noexcept;

/// "limits.idle", or "workers" at the top level.
[[nodiscard]] std::string path(const Key& key);

[[nodiscard]] const Key* find_key(std::string_view table, std::string_view name) noexcept;
[[nodiscard]] const Table* find_table(std::string_view name) noexcept;
/// How many of it there are: of one that does not repeat, one.
[[nodiscard]] std::size_t table_count(const Config& config, const Table& table) noexcept;
/// Adds another of a table that repeats.
void add_table(Config& config, const Table& table);

/// The words that `log` takes.
[[nodiscard]] std::span<const std::string_view> log_format_words() noexcept;
[[nodiscard]] std::string_view word(LogFormat format) noexcept;

/// The words that `sandbox` takes.
[[nodiscard]] std::span<const std::string_view> sandbox_words() noexcept;
[[nodiscard]] std::string_view word(Sandbox sandbox) noexcept;

/// The words that `auth` takes, in a row, each between two marks.
[[nodiscard]] std::string auth_words(std::string_view open = "", std::string_view close = "");

/// Reads one value and stores it; the message of a failure says what is expected. A key of a table that repeats goes
/// into the last one of `config`, which must be there. Not for `rules`, `expect`, `lists`, `tls` and `hosts`, which are
/// more than one value; `store_text` not for lists.
[[nodiscard]] std::expected<void, std::string> store_text(const Key& key, std::string_view text, Config& config);
[[nodiscard]] std::expected<void, std::string> store_number(const Key& key, std::int64_t number, Config& config);

/// Which item of a list is at fault.
struct ListFault {
  std::size_t item = 0;
  std::string message;
};
[[nodiscard]] std::expected<void, ListFault> store_list(const Key& key, const std::vector<std::string>& items,
                                                        Config& config);

/// "127.0.0.1:1080", "[::1]:1080" and "unix:/run/stile.sock"; a host name is refused, it is not looked up here.
[[nodiscard]] std::expected<ListenPlace, std::string> parse_listen_place(std::string_view text);

/// Adds one name and its addresses to `names.hosts`.
[[nodiscard]] std::expected<void, std::string> store_host(std::string_view name,
                                                          const std::vector<std::string>& addresses, Config& config);

/// The value in force, as text; of a table that repeats, that of the `index`-th.
[[nodiscard]] std::string value_text(const Key& key, const Config& config, std::size_t index = 0);
/// The same of a list.
[[nodiscard]] std::vector<std::string> value_list(const Key& key, const Config& config, std::size_t index = 0);

/// The whole of docs/configuration.md.
[[nodiscard]] std::string reference_markdown();

}  // namespace stile::config
