// docs/configuration.md, made from the key table.
#include <fmt/core.h>

#include "config/duration.h"
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

Durations are one whole number and a unit, in quotes: `"250ms"`, `"10s"`, `"5m"`, `"1h"`, `"7d"`.
)";

std::string_view type_text(KeyType type) {
  switch (type) {
    case KeyType::address:
      return "address and port";
    case KeyType::number:
      return "whole number";
    case KeyType::duration:
      return "duration";
    case KeyType::optional_duration:
      return "duration or `\"off\"`";
    case KeyType::log_format:
      return "one of `\"auto\"`, `\"json\"`, `\"text\"`, `\"none\"`";
    case KeyType::rules:
      return "policy rules";
  }
  return {};
}

std::string default_text(const Key& key) {
  if (key.default_text.empty()) return key.table == "listen" ? "none: required" : "none";
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
                                 type_text(key.type), bounds_text(key), default_text(key));
  if (!table.header.empty()) text += fmt::format("{}\n", table.header);
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
