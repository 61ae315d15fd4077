#include "session/client_table.h"

#include <array>
#include <type_traits>

namespace stile::session {
namespace {

using S = ClientSession;

constexpr std::array<std::string_view, std::variant_size_v<S::Event>> event_names{"Connected", "Received", "ProxyFin",
                                                                                  "ProxyLost", "DeadlinePassed"};

template <class Kind, std::size_t Index = 0>
consteval std::size_t event() {
  if constexpr (std::is_same_v<std::variant_alternative_t<Index, S::Event>, Kind>) {
    return Index;
  } else {
    return event<Kind, Index + 1>();
  }
}

template <class... Phases>
consteval std::uint32_t to(Phases... phases) {
  return (... | (1U << static_cast<unsigned>(phases)));
}

}  // namespace

std::span<const ClientRow> ClientTable::rows() noexcept {
  using enum ClientPhase;
  static constexpr ClientRow table[] = {
      // In protocol order; ends last in each phase.
      {opening, event<S::Connected>(), &S::on_connected, to(method, reply, over)},
      {opening, event<S::ProxyLost>(), &S::on_lost, to(over)},
      {opening, event<S::DeadlinePassed>(), &S::on_deadline, to(over)},

      {method, event<S::Received>(), &S::on_method, to(method, login, reply, over)},
      {method, event<S::ProxyFin>(), &S::on_fin, to(over)},
      {method, event<S::ProxyLost>(), &S::on_lost, to(over)},
      {method, event<S::DeadlinePassed>(), &S::on_deadline, to(over)},

      {login, event<S::Received>(), &S::on_login, to(login, reply, over)},
      {login, event<S::ProxyFin>(), &S::on_fin, to(over)},
      {login, event<S::ProxyLost>(), &S::on_lost, to(over)},
      {login, event<S::DeadlinePassed>(), &S::on_deadline, to(over)},

      {reply, event<S::Received>(), &S::on_reply, to(reply, peer, over)},
      {reply, event<S::ProxyFin>(), &S::on_fin, to(over)},
      {reply, event<S::ProxyLost>(), &S::on_lost, to(over)},
      {reply, event<S::DeadlinePassed>(), &S::on_deadline, to(over)},

      {peer, event<S::Received>(), &S::on_reply, to(peer, over)},
      {peer, event<S::ProxyFin>(), &S::on_fin, to(over)},
      {peer, event<S::ProxyLost>(), &S::on_lost, to(over)},
      {peer, event<S::DeadlinePassed>(), &S::on_deadline, to(over)},
  };
  return table;
}

const ClientRow* ClientTable::find(ClientPhase phase, std::size_t event) noexcept {
  for (const ClientRow& row : rows()) {
    if (row.phase == phase && row.event == event) return &row;
  }
  return nullptr;
}

std::string client_diagram() {
  std::string text = "stateDiagram-v2\n  [*] --> opening\n";
  for (const ClientRow& row : ClientTable::rows()) {
    for (std::size_t to = 0; to < client_phase_count; ++to) {
      if (!row.leads_to(static_cast<ClientPhase>(to))) continue;
      text += "  ";
      text += name(row.phase);
      text += " --> ";
      text += name(static_cast<ClientPhase>(to));
      text += ": ";
      text += event_names[row.event];
      text += "\n";
    }
  }
  return text + "  over --> [*]\n";
}

}  // namespace stile::session
