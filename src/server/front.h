// What a server's workers serve beside its listeners, and what that needs of this host: the sockets of a gateway
// (netns/gateway.h). The server calls it in this order: `open`, `attach` for each worker, `finish` on each worker's
// thread, `close`; a server that does not come as far ends it by destruction, from any of these states.
// Threading: the main thread's, but for `finish`.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "engine/epoll/epoll_engine.h"
#include "resolve/resolver.h"
#include "server/banner.h"
#include "server/worker.h"

namespace stile::server {

/// Of one worker; all of it outlives `finish`.
struct FrontCrew {
  engine::EpollEngine& engine;
  resolve::Resolver& resolver;
  Worker& worker;
  Reporter* reporter = nullptr;  // nullptr: nobody is told
};

class Front {
 public:
  virtual ~Front() = default;
  /// Everything that needs a right, while the process has one thread. `forget` wipes the server's secrets from a copy
  /// of the process. Answers what was in the way.
  [[nodiscard]] virtual std::optional<Shortcoming> open(std::size_t workers, const std::function<void()>& forget) = 0;
  /// Where its sockets stand: no targets for anybody.
  [[nodiscard]] virtual std::vector<Endpoint> sockets() const = 0;
  /// What people should know of it, one line each.
  [[nodiscard]] virtual std::vector<std::string> facts() const = 0;
  /// Before the worker of this number runs.
  virtual void attach(std::size_t worker, const FrontCrew& crew) = 0;
  /// On that worker's thread, once it has ended: ends what is left, and turns the engine until nothing of it is
  /// pending.
  virtual void finish(std::size_t worker) = 0;
  /// No worker runs any longer: what `open` changed outside of this process is as before. Answers what is not.
  [[nodiscard]] virtual std::optional<Shortcoming> close() = 0;
};

}  // namespace stile::server
