#include "session/session_table.h"

#include <type_traits>

namespace stile::session {
namespace {

template <class Kind, std::size_t Index = 0>
consteval std::size_t event() {
  if constexpr (std::is_same_v<std::variant_alternative_t<Index, Event>, Kind>) {
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

std::span<const SessionRow> SessionTable::rows() noexcept {
  using S = ServerSession;
  using enum Phase;
  static constexpr SessionRow table[] = {
      // In protocol order; ends last in each phase.
      {opening, event<Received>(), &S::on_opening,
       to(opening, protection, greeting, login, encapsulation, authentication, request4, authorisation, over)},
      {opening, event<Diverted>(), &S::on_diverted, to(authorisation, over)},
      {opening, event<ClientFin>(), &S::on_client_fin, to(over)},
      {opening, event<ClientFailed>(), &S::on_client_failed, to(over)},
      {opening, event<DeadlinePassed>(), &S::on_deadline, to(over)},

      {protection, event<Protected>(), &S::on_protected, to(opening)},
      {protection, event<Failed>(), &S::on_failed_protection, to(over)},
      {protection, event<ClientFin>(), &S::on_client_fin, to(over)},
      {protection, event<ClientFailed>(), &S::on_client_failed, to(over)},
      {protection, event<DeadlinePassed>(), &S::on_deadline, to(over)},

      {greeting, event<Received>(), &S::on_greeting, to(greeting, login, encapsulation, authentication, over)},
      {greeting, event<ClientFin>(), &S::on_client_fin, to(over)},
      {greeting, event<ClientFailed>(), &S::on_client_failed, to(over)},
      {greeting, event<DeadlinePassed>(), &S::on_deadline, to(over)},

      {login, event<Received>(), &S::on_login, to(login, authentication, over)},
      {login, event<ClientFin>(), &S::on_client_fin, to(over)},
      {login, event<ClientFailed>(), &S::on_client_failed, to(over)},
      {login, event<DeadlinePassed>(), &S::on_deadline, to(over)},

      {encapsulation, event<Protected>(), &S::on_encapsulated, to(request, authorisation, over)},
      {encapsulation, event<Failed>(), &S::on_failed_protection, to(over)},
      {encapsulation, event<ClientFin>(), &S::on_client_fin, to(over)},
      {encapsulation, event<ClientFailed>(), &S::on_client_failed, to(over)},
      {encapsulation, event<DeadlinePassed>(), &S::on_deadline, to(over)},

      {authentication, event<Authenticated>(), &S::on_authenticated, to(request, authorisation, over)},
      {authentication, event<Failed>(), &S::on_not_authenticated, to(over)},
      {authentication, event<ClientFin>(), &S::on_client_fin, to(over)},
      {authentication, event<ClientFailed>(), &S::on_client_failed, to(over)},
      {authentication, event<DeadlinePassed>(), &S::on_deadline, to(over)},

      {request, event<Received>(), &S::on_request, to(request, authorisation, over)},
      {request, event<ClientFin>(), &S::on_client_fin, to(over)},
      {request, event<ClientFailed>(), &S::on_client_failed, to(over)},
      {request, event<DeadlinePassed>(), &S::on_deadline, to(over)},

      {request4, event<Received>(), &S::on_request4, to(request4, authorisation, over)},
      {request4, event<ClientFin>(), &S::on_client_fin, to(over)},
      {request4, event<ClientFailed>(), &S::on_client_failed, to(over)},
      {request4, event<DeadlinePassed>(), &S::on_deadline, to(over)},

      {authorisation, event<Authorised>(), &S::on_authorised, to(performing, over)},
      {authorisation, event<ClientFailed>(), &S::on_client_failed, to(over)},

      {performing, event<Granted>(), &S::on_granted, to(waiting, over)},
      {performing, event<Failed>(), &S::on_failed, to(over)},
      {performing, event<ClientFailed>(), &S::on_client_failed, to(over)},

      {waiting, event<Granted>(), &S::on_peer, to(over)},
      {waiting, event<Failed>(), &S::on_failed, to(over)},
      {waiting, event<Received>(), &S::on_early_octets, to(waiting)},
      {waiting, event<ClientFin>(), &S::on_client_fin, to(over)},
      {waiting, event<ClientFailed>(), &S::on_client_failed, to(over)},
  };
  return table;
}

const SessionRow* SessionTable::find(Phase phase, std::size_t event) noexcept {
  for (const SessionRow& row : rows()) {
    if (row.phase == phase && row.event == event) return &row;
  }
  return nullptr;
}

std::string diagram() {
  std::string text = "stateDiagram-v2\n  [*] --> opening\n";
  for (const SessionRow& row : SessionTable::rows()) {
    for (std::size_t to = 0; to < phase_count; ++to) {
      if (!row.leads_to(static_cast<Phase>(to))) continue;
      text += "  ";
      text += name(row.phase);
      text += " --> ";
      text += name(static_cast<Phase>(to));
      text += ": ";
      text += event_name(row.event);
      text += "\n";
    }
  }
  return text + "  over --> [*]\n";
}

}  // namespace stile::session
