// Where access records go: many threads append lines to one bounded ring, one thread writes them in batches to one
// descriptor. An appender never waits for the descriptor: a sink that is slow, full or gone costs records, which are
// counted and reported, never a relay (threat TL3).
// A record reaches the descriptor within limits::record_delay_max of its event, as long as the descriptor takes it.
// Refuses to: rotate files, reopen anything, block. Tested in record_sink_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/error.h"
#include "base/limits.h"
#include "observe/record.h"

namespace stile::observe {

enum class RecordFormat : std::uint8_t { none, json, text };

class RecordSink {
 public:
  /// Starts the writer. `descriptor` stays the caller's, and must stay open longer than this object; -1 with
  /// RecordFormat::none, which needs neither thread nor memory. The ring's bound is for tests.
  [[nodiscard]] static Result<std::unique_ptr<RecordSink>> create(
      int descriptor, RecordFormat format, std::size_t ring_octets_max = limits::log_ring_octets_max);
  RecordSink(const RecordSink&) = delete;
  RecordSink& operator=(const RecordSink&) = delete;
  /// Writes what is left, for at most two seconds. No thread may append any more.
  ~RecordSink();

  /// From any thread. Copies the record; drops it when the ring is full.
  void write(const Record& record) noexcept;
  /// Likewise whole lines of the caller's own.
  void write_lines(std::string_view lines) noexcept;

  /// False when records are discarded unread: callers may spare themselves making them.
  [[nodiscard]] bool wants_records() const noexcept;

  /// Records lost so far, because the ring was full or the descriptor was gone. From any thread.
  [[nodiscard]] std::uint64_t dropped() const noexcept;

 private:
  class Writer;
  RecordSink(RecordFormat format, std::unique_ptr<Writer> writer) noexcept;
  RecordFormat format_;
  std::unique_ptr<Writer> writer_;  // null: no records are wanted
};

}  // namespace stile::observe
