// What a client of libstile goes by, read and checked once: the proxies with what they are shown, what is reached
// without them, and how long things may take. From stile_settings (include/stile/stile.h), where they name no proxy
// from the environment's conventions (protocol reference, section 10). Refuses: to repeat a password in any text. Reads
// files; the environment is passed in. Threading: a plan is immutable, any thread. Tested in plan_test.cc.
#pragma once

#include <stile/stile.h>

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "client/failure.h"
#include "route/chain.h"
#include "wire/no_proxy.h"

namespace stile::client {

class Plan {
 public:
  /// The value of a variable; absent where it is not set, or not to be trusted.
  using Environment = std::function<std::optional<std::string>(const char* name)>;
  /// That of this process, but for one with another user's rights (secure_getenv(3)).
  [[nodiscard]] static std::optional<std::string> environment(const char* name);

  [[nodiscard]] static std::expected<std::shared_ptr<const Plan>, Failure> create(const stile_settings& settings,
                                                                                  const Environment& environment);

  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  /// 1 to limits::chain_hops_max.
  [[nodiscard]] std::span<const route::Hop* const> hops() const noexcept { return pointers_; }
  [[nodiscard]] const wire::NoProxy& no_proxy() const noexcept { return no_proxy_; }
  /// Of one operation; absent: it may take for ever.
  [[nodiscard]] std::optional<Duration> timeout() const noexcept { return timeout_; }
  /// Datagrams may go to another address than that of the proxy which says so.
  [[nodiscard]] bool any_relay() const noexcept { return any_relay_; }
  /// Some name may have to be looked up by this host.
  [[nodiscard]] bool needs_names() const noexcept;

 private:
  Plan() = default;

  std::vector<route::Hop> hops_;
  std::vector<const route::Hop*> pointers_;
  wire::NoProxy no_proxy_;
  std::optional<Duration> timeout_;
  bool any_relay_ = false;
};

/// The variables that name a proxy, the first that is set and not empty counting.
inline constexpr const char* proxy_variables[] = {"STILE_VIA", "all_proxy", "ALL_PROXY", "SOCKS_PROXY"};
inline constexpr const char* no_proxy_variables[] = {"no_proxy", "NO_PROXY"};

}  // namespace stile::client
