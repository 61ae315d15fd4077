// What a server goes by that is a part of its user's own command (`stile run`, `stile forward`): every connection goes
// through upstreams, all of them in turn, whatever it is to; and no limit is meant for clients that share a server.
// Pure. Tested by tests/e2e/run_test.py and forward_test.py.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "observe/record_sink.h"
#include "route/upstreams.h"
#include "server/worker.h"

namespace stile::server {

/// Their names, in order: the value of `via`.
[[nodiscard]] std::vector<std::string> names_of(const route::UpstreamPlans& upstreams);

/// The first server of each; valid as long as those.
[[nodiscard]] std::vector<const route::Hop*> hops_of(const route::UpstreamPlans& upstreams);

/// What an inside address means is for the proxy to say. `first`: rules that come before, whole lines.
[[nodiscard]] std::shared_ptr<Common> common_through(const route::UpstreamPlans& upstreams,
                                                     std::string_view first = {});

/// Tells people of each connection, as records of it are written.
class Teller final : public Reporter {
 public:
  /// `sink` outlives it.
  explicit Teller(observe::RecordSink& sink) noexcept : sink_(sink) {}
  void report(const observe::Record& record) noexcept override { sink_.write(record); }
  bool account(observe::AccountingKind, const observe::Record&) noexcept override { return true; }
  [[nodiscard]] bool refuses() const noexcept override { return false; }

 private:
  observe::RecordSink& sink_;
};

}  // namespace stile::server
