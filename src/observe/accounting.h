// Accounting beside the sessions: workers hand entries over, one thread writes them to the store (accounting_store.h)
// in batches. Handing over never waits for the disk: what cannot be written yet waits in memory, up to a bound; beyond
// it entries are lost, which is counted and said once. Of what waits, interim entries go first: they may fill half of
// the bound, since a later entry of the session carries their octets.
// Refuses: to be exact about a session whose start and stop both found the bound reached.
// Threading: `write`, `full` and `lost` from any thread. Tested in accounting_test.cc, under every fault of a server in
// tests/sim.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "observe/accounting_store.h"
#include "observe/record.h"

namespace stile::observe {

class Accounting {
 public:
  /// Told from the writing thread: what failed, why, what to do. "stile: warning: …"
  using Warn = std::function<void(std::string_view what, std::string_view why, std::string_view cure)>;

  /// Opens the store and starts the thread. The bound is for tests.
  [[nodiscard]] static std::expected<std::unique_ptr<Accounting>, AccountingFault> open(
      const std::string& file, Warn warn, std::size_t spool_octets_max = limits::accounting_spool_octets_max);
  Accounting(const Accounting&) = delete;
  Accounting& operator=(const Accounting&) = delete;
  /// Writes what waits, for at most limits::accounting_flush. No thread may hand over any more.
  ~Accounting();

  /// The words of `record` are copied. False: there was no room, and the entry is lost.
  bool write(AccountingKind kind, const Record& record) noexcept;

  /// Nearly: who refuses sessions from here on leaves room for those that are open to end.
  [[nodiscard]] bool full() const noexcept;
  /// Entries lost so far.
  [[nodiscard]] std::uint64_t lost() const noexcept;
  /// Sessions that a server before this one left open.
  [[nodiscard]] std::uint64_t left_open() const noexcept;

 private:
  class Writer;
  explicit Accounting(std::unique_ptr<Writer> writer) noexcept;
  std::unique_ptr<Writer> writer_;
};

}  // namespace stile::observe
