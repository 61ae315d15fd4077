// The client session's phase × event table as data: which function handles which event in which phase, and where it may
// lead. ClientSession runs from it, the diagram in ARCHITECTURE.md is generated from it.
// Threading: constants. Tested in client_table_test.cc, which visits every row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "session/client_session.h"

namespace stile::session {

struct ClientRow {
  ClientPhase phase;
  std::size_t event;  // index into the Event variant
  void (ClientSession::*handler)(const ClientSession::Event&, ClientSession::Actions&);
  std::uint32_t next;  // bit set of phases

  [[nodiscard]] constexpr bool leads_to(ClientPhase to) const noexcept {
    return ((next >> static_cast<unsigned>(to)) & 1U) != 0;
  }
};

struct ClientTable {
  [[nodiscard]] static std::span<const ClientRow> rows() noexcept;
  /// nullptr where the phase does not know the event.
  [[nodiscard]] static const ClientRow* find(ClientPhase phase, std::size_t event) noexcept;
};

}  // namespace stile::session
