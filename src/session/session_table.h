// The session's phase × event table as data: which function handles which event in which phase, and where it may lead.
// ServerSession runs from it, the diagram in ARCHITECTURE.md is generated from it, and a test visits every row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "session/server_session.h"

namespace stile::session {

struct SessionRow {
  Phase phase;
  std::size_t event;  // index into the Event variant
  void (ServerSession::*handler)(const Event&, Actions&);
  std::uint32_t next;  // bit set of phases

  [[nodiscard]] constexpr bool leads_to(Phase to) const noexcept {
    return ((next >> static_cast<unsigned>(to)) & 1U) != 0;
  }
};

struct SessionTable {
  [[nodiscard]] static std::span<const SessionRow> rows() noexcept;
  /// nullptr where the phase does not know the event.
  [[nodiscard]] static const SessionRow* find(Phase phase, std::size_t event) noexcept;
};

}  // namespace stile::session
