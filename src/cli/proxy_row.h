// Several proxies in a row, each --via leading to the next one, as the commands choose them that carry everything
// through them: run and gateway. Tested in tests/e2e.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "cli/proxy_choice.h"
#include "route/upstreams.h"

namespace stile::cli {

/// Each of the proxies, as the commands that go through one choose it; at least one. The error is a whole message.
[[nodiscard]] std::expected<std::vector<ProxyChoice>, std::string> choose_proxies(const Arguments& arguments,
                                                                                  const Environment& environment);

/// On standard error: passwords that others see, and names that are looked up here.
void warn_of(const std::vector<ProxyChoice>& choices);

/// An upstream each, to be gone through in this order: "proxy", "proxy-2", …
[[nodiscard]] route::UpstreamPlans plans_of(std::vector<ProxyChoice> choices);

}  // namespace stile::cli
