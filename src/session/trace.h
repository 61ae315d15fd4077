// The last few steps of one conversation, kept with every connection and printed when something went wrong. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/limits.h"
#include "base/time.h"

namespace stile::session {

/// One step: in which phase which event came, and which actions were asked for. Codes are those of ServerSession's
/// Phase, EventKind and ActionKind.
struct TraceEntry {
  std::uint32_t milliseconds = 0;  // since the connection began
  std::uint8_t phase = 0;
  std::uint8_t event = 0;
  std::array<std::uint8_t, 2> actions{};  // two four-bit codes each, 0: none
};
static_assert(sizeof(TraceEntry) == 8);

class TraceRing {
 public:
  void add(const TraceEntry& entry) noexcept {
    entries_[written_ % entries_.size()] = entry;
    ++written_;
  }

  [[nodiscard]] std::size_t entries() const noexcept { return written_ < entries_.size() ? written_ : entries_.size(); }

  /// Entries kept, oldest first, through `visit(const TraceEntry&)`.
  template <class Visit>
  void each(Visit visit) const {
    for (std::size_t i = written_ - entries(); i < written_; ++i) visit(entries_[i % entries_.size()]);
  }

 private:
  std::array<TraceEntry, limits::trace_ring_entries> entries_{};
  std::uint32_t written_ = 0;
};

/// "+12ms request received: authorise" lines, oldest first.
[[nodiscard]] std::string to_text(const TraceRing& ring);

}  // namespace stile::session
