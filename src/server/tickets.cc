// The Kerberos tickets by which upstreams are met: who gets them is started, told what is wished for, and heard; what
// it says is written for the operator.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "protect/gss.h"
#include "protect/ticket_keeper.h"
#include "server/banner.h"
#include "server/server.h"
#include "sys/errno_table.h"

namespace stile::server {
namespace {

// How long a start or a reload is held up for a KDC that answers, so that the first sessions find their tickets. One
// that does not answer holds up nothing else.
constexpr Duration first_tickets_wait = std::chrono::seconds(2);

std::string until(WallTime expires) {
  return fmt::format("valid until {:%F %T} UTC", std::chrono::floor<std::chrono::seconds>(expires));
}

}  // namespace

// Forked before there is a thread, as the other processes are.
bool Server::start_ticket_keeper() {
  if (!shows_tickets(config_)) return true;
  auto keeper = protect::TicketKeeper::start(
      [this] {
        forget_secrets();
        return enclosure_->enter_keeper();
      },
      {});
  if (!keeper) {
    diagnostics_.error("cannot start the process that gets Kerberos tickets", sys::describe(keeper.error()));
    return false;
  }
  ticket_keeper_ = std::move(*keeper);
  protect::prepare_gssapi();
  return true;
}

void Server::want_tickets() {
  if (ticket_keeper_ == nullptr) return;
  std::vector<std::shared_ptr<protect::GssTicketPlace>> places;
  for (const auto& plan : upstreams_) {
    for (const route::Hop& hop : plan->hops) {
      if (hop.ticket != nullptr) places.push_back(hop.ticket);
    }
  }
  ticket_keeper_->want(places);
  tell_of_tickets(ticket_keeper_->await(first_tickets_wait));
}

void Server::hear_tickets() {
  tell_of_tickets(ticket_keeper_->hear());
}

void Server::tell_of_tickets(const std::vector<protect::TicketNews>& all) {
  for (const protect::TicketNews& news : all) {
    const std::string wished = fmt::format("{}@{}", news.wish.service, news.wish.host);
    if (news.why.empty()) {
      diagnostics_.notice(fmt::format("Kerberos ticket for {} as {}, {}", news.service, news.client,
                                      until(news.expires.value_or(WallTime{}))));
    } else if (news.expires) {
      diagnostics_.warning(fmt::format("cannot renew the Kerberos ticket for {}, {}", wished, until(*news.expires)),
                           news.why);
    } else {
      diagnostics_.warning(fmt::format("no Kerberos ticket for {}", wished), news.why);
    }
  }
  if (ticket_keeper_->ended()) {
    diagnostics_.warning("the process that gets Kerberos tickets has ended", "those at hand are used until they expire",
                         "restart the server");
  }
}

}  // namespace stile::server
