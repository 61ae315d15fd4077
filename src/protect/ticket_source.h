// Where Kerberos tickets for proxies come from: a KDC, asked with the keys of a client's keytab, without anybody's
// password or prompt. Blocks for as long as the KDC and DNS take, so it is for a process of its own
// (ticket_keeper.h). Refuses: tickets that may be forwarded, and to hand out the one with which others are asked for.
// Threading: one thread. Tested against a real realm by tests/e2e/gssapi_upstream_test.py.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>

#include "base/secret.h"
#include "base/time.h"
#include "protect/gss_ticket.h"

namespace stile::protect {

/// For GssTicket::import.
struct GotTicket {
  std::string client;   // whose it is, as a principal
  std::string service;  // for which it is, likewise
  WallTime expires{};
  Secret exported;
};

class TicketSource {
 public:
  /// Loads what the library has to load: before a process shuts itself away. nullptr: this build has none, or the library
  /// does not come up (its configuration cannot be read).
  [[nodiscard]] static std::unique_ptr<TicketSource> create();
  virtual ~TicketSource() = default;
  TicketSource(const TicketSource&) = delete;
  TicketSource& operator=(const TicketSource&) = delete;

  /// The error says why there is none, as part of a sentence.
  [[nodiscard]] virtual std::expected<GotTicket, std::string> get(const TicketWish& wish) = 0;
  /// From now on everything is asked for anew: a keytab may be another one.
  virtual void forget() noexcept = 0;

 protected:
  TicketSource() noexcept = default;
};

}  // namespace stile::protect
