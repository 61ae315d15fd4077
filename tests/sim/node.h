// One whole Stile server in the simulation, with what stands around it: names of its own, a resolver, logins, a ledger
// for its records. Which network it is on, and when it begins, reloads and ends, its owner says. Threading: the
// simulation's one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "auth/table_verifier.h"
#include "engine/engine.h"
#include "observe/counters.h"
#include "resolve/caching_resolver.h"
#include "resolve/table_resolver.h"
#include "server/worker.h"
#include "sim/ledger.h"

namespace stile::sim_test {

class Node {
 public:
  struct Settings {
    std::vector<Endpoint> places;  // where it listens
    std::vector<Cidr> proxy_protocol_from;
    std::string rules;
    route::UpstreamPlans upstreams;
    unsigned busy_one_in = 0;  // logins that are not looked at; 0: none
  };

  Node(engine::Engine& engine, const Settings& settings);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  /// After `forget_worker` and `close_names`, with what these posted run.
  ~Node() = default;

  /// Takes connections; false where it cannot listen at all of its places.
  bool start();
  /// Everybody is decided again by these rules. Nothing where it has ended.
  void reload(std::string_view decided_by, const route::UpstreamPlans& upstreams);
  void request_stop() noexcept {
    if (worker_ != nullptr) worker_->request_stop();
  }
  void request_drain() noexcept {
    if (worker_ != nullptr) worker_->request_drain();
  }
  /// It has ended.
  void forget_worker() { worker_.reset(); }
  void close_names();

  [[nodiscard]] bool is_up() const noexcept { return worker_ != nullptr; }
  [[nodiscard]] resolve::TableResolver& names() noexcept { return names_; }
  [[nodiscard]] const resolve::TableResolver& names() const noexcept { return names_; }
  [[nodiscard]] const Ledger& ledger() const noexcept { return ledger_; }
  [[nodiscard]] std::uint64_t sessions_open() const { return counters_.sessions_open.value(); }
  [[nodiscard]] std::string traces() const { return worker_ == nullptr ? std::string() : worker_->traces(); }
  [[nodiscard]] const std::vector<Endpoint>& places() const noexcept { return places_; }

 private:
  void on_closed(engine::Status) {}

  engine::Engine& engine_;
  std::vector<Endpoint> places_;
  server::Admission admission_;
  resolve::TableResolver names_;
  resolve::CachingResolver resolver_;
  engine::Operation closed_;
  observe::Counters counters_;
  Ledger ledger_;
  auth::TableVerifier verifier_;
  std::shared_ptr<const server::Common> common_;
  std::unique_ptr<server::Worker> worker_;
};

}  // namespace stile::sim_test
