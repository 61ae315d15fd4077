// The configuration of another server, Dante's sockd.conf, said in Stile's words (docs/coming-from-dante.md): rule by
// rule, in order, each client rule folded into the rules that it lets through. What cannot be said, or means less than
// it did, is named with its line; nothing is made wider than it was.
// Pure: text in, text out. Refuses: to look up interfaces, names and users. Tested in dante_test.cc, fuzzed in
// dante_fuzz.cc; tests/e2e/import_test.py asks a real danted the same questions.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace stile::config {

/// A word list such as `from: 10.0.0.0/8 port = 80` or `log: connect`.
struct DanteEntry {
  int line = 1;
  std::string key;  // without the colon, lower case; "redirect to" and "redirect from" are keys of their own
  std::vector<std::string> words;
};

/// `socks pass { … }`, or a line outside of all blocks.
struct DanteStatement {
  int line = 1;
  std::string head;  // "client pass", "socks block", "route"; of a line: empty
  std::vector<DanteEntry> entries;
};

/// Faults: braces that do not match, words that belong to no key.
[[nodiscard]] std::expected<std::vector<DanteStatement>, std::vector<ConfigError>> read_dante(std::string_view text);

struct DanteImport {
  std::string text;                // a whole configuration file
  std::vector<ConfigError> notes;  // what needs a look, by Dante's lines
};

/// Faults are those of `read_dante`.
[[nodiscard]] std::expected<DanteImport, std::vector<ConfigError>> import_dante(std::string_view text);

}  // namespace stile::config
