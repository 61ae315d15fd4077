// The policy of a configuration file in one layout (policy/format.h): the text of [policy] rules and expect, where it
// stands between '''; every other octet of the file stays. Pure. Tested in format_test.cc.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace stile::config {

/// What stands between the ''' of each, a part of the file's text; empty where it is written in another way or not at
/// all.
struct PolicyTexts {
  std::string_view rules;
  std::string_view expect;
  std::optional<ConfigError> fault;  // the file is not TOML
};
[[nodiscard]] PolicyTexts policy_texts(std::string_view text);

/// The file's text, laid out.
[[nodiscard]] std::expected<std::string, std::vector<ConfigError>> format(std::string_view text);

}  // namespace stile::config
