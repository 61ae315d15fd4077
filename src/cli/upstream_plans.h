// The upstreams of a configuration made ready for use: the files that they name are read, and each server becomes a
// hop. Threading: none of it matters. Tested in tests/e2e/chain_test.py.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "config/config.h"
#include "route/upstreams.h"

namespace stile::cli {

/// A fault of one upstream, by its place in the file.
struct UpstreamFault {
  int line = 0;
  std::string message;
};

/// `file`: the configuration's own, at whose folder relative paths begin.
[[nodiscard]] std::expected<route::UpstreamPlans, std::vector<UpstreamFault>> load_upstreams(
    const config::Config& config, const std::string& file);

}  // namespace stile::cli
