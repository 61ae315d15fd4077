// A Kerberos ticket for one service, where somebody else asked the KDC for it (ticket_keeper.h), so that a thread that
// may not wait can show it: beginning a context by it asks nobody, neither a KDC nor DNS. And the place where the
// newest one for a service is found. Refuses: to show a ticket that is no longer valid.
// Threading: a ticket is immutable, a place is locked: any thread. Tested in ticket_keeper_test.cc; against a real
// realm by tests/e2e/gssapi_upstream_test.py.
#pragma once

#include <compare>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/time.h"

namespace stile::protect {

class GssInitiator;  // gss.h

/// Which ticket.
struct TicketWish {
  std::string service;    // what the proxy is called by Kerberos: "rcmd", "socks"
  std::string host;       // where it is
  std::string keytab;     // a path, whose keys prove who we are; empty: the one that Kerberos has for clients
  std::string principal;  // who we are; empty: the first in the keytab

  friend auto operator<=>(const TicketWish&, const TicketWish&) = default;
};

class GssTicket {
 public:
  /// `exported`: of TicketSource; `service`: the principal whose ticket it is, with its realm. nullptr: it is none.
  [[nodiscard]] static std::shared_ptr<const GssTicket> import(ConstBytes exported, std::string service,
                                                               WallTime expires);
  virtual ~GssTicket() = default;
  GssTicket(const GssTicket&) = delete;
  GssTicket& operator=(const GssTicket&) = delete;

  [[nodiscard]] WallTime expires() const noexcept { return expires_; }
  /// Which never waits, and keeps what it needs of this. Not null.
  [[nodiscard]] virtual std::unique_ptr<GssInitiator> initiator() const = 0;

 protected:
  explicit GssTicket(WallTime expires) noexcept : expires_(expires) {}

 private:
  WallTime expires_;
};

class GssTicketPlace {
 public:
  explicit GssTicketPlace(TicketWish wish) : wish_(std::move(wish)) {}
  GssTicketPlace(const GssTicketPlace&) = delete;
  GssTicketPlace& operator=(const GssTicketPlace&) = delete;

  [[nodiscard]] const TicketWish& wish() const noexcept { return wish_; }
  void put(std::shared_ptr<const GssTicket> ticket) {
    const std::scoped_lock lock(mutex_);
    ticket_.swap(ticket);  // the one of before goes outside of the lock
  }
  /// nullptr: there is none that is valid then.
  [[nodiscard]] std::shared_ptr<const GssTicket> ticket(WallTime now) const {
    const std::scoped_lock lock(mutex_);
    return ticket_ != nullptr && now < ticket_->expires() ? ticket_ : nullptr;
  }

 private:
  const TicketWish wish_;
  mutable std::mutex mutex_;
  std::shared_ptr<const GssTicket> ticket_;  // under mutex_
};

}  // namespace stile::protect
