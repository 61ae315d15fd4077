// Whom pings.h and traces.h ask about a host. Threading: one engine's thread.
#pragma once

#include <memory>

#include "base/address.h"
#include "route/chain.h"

namespace stile::netns {

/// Says of whom each machine may ask, and which proxy probes for it.
class PingJudge {
 public:
  virtual ~PingJudge() = default;
  /// nullptr: nobody does.
  [[nodiscard]] virtual std::shared_ptr<const route::Hop> judge(const Address& from, const Host& target) = 0;
};

/// Everybody may ask of everyone, by one proxy.
class SoleProxy final : public PingJudge {
 public:
  /// Outlives it, and those who ask it; nullptr: there is none that could be asked.
  explicit SoleProxy(const route::Hop* proxy) : proxy_(proxy, [](const route::Hop*) {}) {}
  std::shared_ptr<const route::Hop> judge(const Address&, const Host&) override { return proxy_; }

 private:
  std::shared_ptr<const route::Hop> proxy_;
};

}  // namespace stile::netns
