// docs/configuration.md, made from the key table.
#include <fmt/format.h>

#include "base/duration.h"
#include "config/keys.h"

namespace stile::config {
namespace {

constexpr std::string_view opening = R"(# Configuration reference

This page is generated from the key table: `stile config-reference > docs/configuration.md`.

`stile serve --config FILE` reads one TOML file of at most 1 MiB. The file is read strictly: an unknown key, a value of the
wrong type or outside its bounds, or a contradiction is an error that names its line and column, and the server does not
start (exit code 78). `stile check --config FILE` reports the same without starting anything; `stile check --effective`
prints every value in force and where it came from. Flags win over the environment (`STILE_…`), the environment over the
file. The file and its folder must not be writable by the group or by others.

A list may be written as one string where it has one item. Durations are one whole number and a unit, in quotes: `"250ms"`, `"10s"`, `"5m"`, `"1h"`, `"7d"`.
)";

std::string list_text(const Key& key) {
  switch (key.type) {
    case KeyType::addresses:
      return "list of IP addresses";
    case KeyType::protocols:
      return "list of `\"socks5\"`, `\"socks4\"`, `\"http\"`";
    case KeyType::networks:
      return "list of addresses and networks";
    case KeyType::targets:
      return "list of addresses and networks, each with ports";
    case KeyType::auth:
      return "list of " + auth_words("`\"", "\"`");
    case KeyType::program:
      return "path and arguments";
    case KeyType::realms:
      return "list of realms";
    case KeyType::suffixes:
      return "list of names";
    case KeyType::dns_servers:
      return "list of `ADDRESS` or `ADDRESS:PORT`";
    case KeyType::servers:
      return "list of proxies' addresses";
    case KeyType::pac_ways:
      return "list of `\"http\"`, `\"socks5\"`";
    case KeyType::direct:
      return "list of names, addresses and networks";
    case KeyType::interfaces:
      return "list of interfaces";
    case KeyType::mappings:
      return "list of `NETWORK=USER`";
    default:
      return {};
  }
}

std::string type_text(const Key& key) {
  switch (key.type) {
    case KeyType::address:
      return "address and port, or `unix:` and a path";
    case KeyType::number:
      return "whole number";
    case KeyType::duration:
      return "duration";
    case KeyType::optional_duration:
      return "duration or `\"off\"`";
    case KeyType::dns_address:
      return "address, or address and port";
    case KeyType::log_format:
      return "one of `\"auto\"`, `\"json\"`, `\"text\"`, `\"none\"`";
    case KeyType::rules:
      return "policy rules";
    case KeyType::expect:
      return "expectations";
    case KeyType::lists:
      return "table of names and paths";
    case KeyType::choice:
      return fmt::format("`\"{}\"` or `\"{}\"`", key.words[0], key.words[1]);
    case KeyType::ports:
      return "port, range of ports, or `\"any\"`";
    case KeyType::mode:
      return "octal number in quotes";
    case KeyType::account:
      return "name or number, in quotes";
    case KeyType::socket:
      return "`unix:` and a path";
    case KeyType::file:
      return "path";
    case KeyType::tls:
      return "table of files, with `optional`";
    case KeyType::service:
      return "name of a service";
    case KeyType::principal:
      return "Kerberos principal";
    case KeyType::user:
      return "name of a user";
    case KeyType::sandbox:
      return "one of `\"best-effort\"`, `\"required\"`, `\"off\"`";
    case KeyType::hosts:
      return "table of names and addresses";
    case KeyType::name:
      return "name";
    case KeyType::pick:
      return fmt::format("one of `\"{}\"`", fmt::join(pick_words, "\"`, `\""));
    case KeyType::egress:
      return "address, interface, or `ADDRESS%INTERFACE`";
    case KeyType::host:
      return "name or address of a host";
    default:
      return list_text(key);
  }
}

std::string default_text(const Key& key) {
  const Table* const table = find_table(key.table);
  if (key.default_text.empty()) return table->repeats && table->required == key.name ? "none: required" : "none";
  if (is_list(key.type)) {
    std::string text(key.default_text);
    for (std::size_t at = 0; (at = text.find(", ", at)) != std::string::npos; at += 4) text.replace(at, 2, "\", \"");
    return fmt::format("`[\"{}\"]`", text);
  }
  if (key.type == KeyType::number) return fmt::format("`{}`", key.default_text);
  return fmt::format("`\"{}\"`", key.default_text);
}

std::string bounds_text(const Key& key) {
  switch (key.type) {
    case KeyType::number:
      return fmt::format(", {} to {}", key.least, key.most);
    case KeyType::duration:
    case KeyType::optional_duration:
      return fmt::format(", {} to {}", to_text(key.shortest), to_text(key.longest));
    default:
      return {};
  }
}

std::string key_section(const Key& key, const Table& table) {
  std::string text = fmt::format("\n### `{}`\n\n{}\n\n- Type: {}{}\n- Default: {}\n\n```toml\n", path(key), key.help,
                                 type_text(key), bounds_text(key), default_text(key));
  if (!table.header.empty()) text += fmt::format("{}\n", table.header);
  if (key.type == KeyType::mode || key.type == KeyType::account) text += "address = \"unix:/run/stile/socks.sock\"\n";
  return text + fmt::format("{} = {}\n```\n", key.name, key.example);
}

}  // namespace

std::string reference_markdown() {
  std::string text(opening);
  for (const Table& table : tables()) {
    const std::string title = table.header.empty() ? "The top of the file" : fmt::format("`{}`", table.header);
    text += fmt::format("\n## {}\n\n{}\n", title, table.help);
    for (const Key& key : keys()) {
      if (key.table == table.name) text += key_section(key, table);
    }
  }
  return text;
}

}  // namespace stile::config
