// What `stile forward` says while it runs. On standard output where each forward listens, one line each, for people and
// scripts, or JSON objects with every event; on standard error what failed, a line each, and, where it is asked for,
// every connection. Nobody is waited for: what a descriptor does not take in time is lost (observe/record_sink.h).
// Refuses: to let an octet that a peer chose forge a line. Threading: one thread. Tested by tests/e2e/forward_test.py.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/reason.h"
#include "observe/record_sink.h"
#include "route/upstreams.h"
#include "server/worker.h"

namespace stile::forward {

struct Manner {
  bool json = false;
  bool every_connection = false;  // on standard error
};

class Teller final : public server::Reporter {
 public:
  /// `figures`: of the upstreams, on the engine's thread; called while the teller is told of failures.
  using Figures = std::function<std::vector<route::ServerFigures>()>;
  [[nodiscard]] static Result<std::unique_ptr<Teller>> create(Manner manner);
  void look_at(Figures figures) { figures_ = std::move(figures); }

  /// A forward listens at `place` from now on; `kind`: "tcp", "udp" or "reverse".
  void listening(std::string_view place, std::string_view kind, std::string_view target);
  /// "stile: cannot …: why (cure)".
  void failed(std::string_view what, std::string_view why, std::string_view cure);

  void report(const observe::Record& record) noexcept override;
  bool account(observe::AccountingKind, const observe::Record&) noexcept override { return true; }
  [[nodiscard]] bool refuses() const noexcept override { return false; }

 private:
  Teller(Manner manner, std::unique_ptr<observe::RecordSink> output,
         std::unique_ptr<observe::RecordSink> errors) noexcept
      : manner_(manner), output_(std::move(output)), errors_(std::move(errors)) {}
  [[nodiscard]] std::string why(Reason reason) const;

  const Manner manner_;
  std::unique_ptr<observe::RecordSink> output_;
  std::unique_ptr<observe::RecordSink> errors_;
  Figures figures_;
};

}  // namespace stile::forward
