// Dante's rules as lines of Stile's policy. Part of dante.h.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "config/dante.h"

namespace stile::config {

/// What settings outside of all rules say to each of them.
struct DanteCommon {
  std::vector<std::string> methods;  // of socksmethod
  std::string egress;                // the one address of `external`, or nothing
};

/// One line a rule, a deny where a block cannot be said exactly, nothing where a pass cannot.
[[nodiscard]] std::string dante_rules(const std::vector<DanteStatement>& statements, const DanteCommon& common,
                                      std::vector<ConfigError>& notes);

}  // namespace stile::config
