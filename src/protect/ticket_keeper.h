// Who gets the Kerberos tickets by which a server shows itself to proxies (RFC 1961): a process of its own, forked
// before there is a thread, because asking a KDC and DNS takes as long as it takes. It alone reads keytabs and holds
// tickets with which others can be asked for; to the server it hands tickets for single services. Each is renewed when
// half of its life is over; what fails is tried again, after pauses that double from ticket_pause_first up to
// ticket_pause_max, while the ticket at hand goes on being used. It takes a new list of wishes whenever it asks nobody.
// Refuses: to outlive its process, and to believe what it says about anything but what it was asked.
// Threading: one thread (the server's main one); tickets are put where any thread finds them. Tested in
// ticket_keeper_test.cc with a source that is no KDC, and by tests/e2e/gssapi_upstream_test.py with one.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "protect/gss_ticket.h"
#include "protect/ticket_source.h"
#include "sys/process.h"
#include "sys/unique_fd.h"

namespace stile::protect {

inline constexpr Duration ticket_pause_first = std::chrono::seconds(1);
inline constexpr Duration ticket_pause_max = std::chrono::seconds(60);
/// How soon a ticket is renewed at the earliest, however short its life is.
inline constexpr Duration ticket_renewal_min = std::chrono::seconds(1);

/// When the next ticket is asked for. Pure.
class TicketSchedule {
 public:
  /// One was got, which is valid for so long.
  void got(Duration now, Duration life) noexcept;
  void failed(Duration now) noexcept;
  [[nodiscard]] Duration due() const noexcept { return due_; }

 private:
  Duration due_{};  // at first at once
  Duration pause_{};
};

/// What an operator should know of one ticket.
struct TicketNews {
  TicketWish wish;
  std::string client;               // whose it is; empty: there is trouble
  std::string service;              // for which principal
  std::string why;                  // what the trouble is
  std::optional<WallTime> expires;  // of the ticket at hand; absent: there is none
};

class TicketKeeper {
 public:
  /// What makes tickets, and what understands them.
  struct Mechanism {
    // In the new process, before `enclose`.
    std::function<std::unique_ptr<TicketSource>()> source = TicketSource::create;
    std::function<std::shared_ptr<const GssTicket>(ConstBytes, std::string, WallTime)> import = GssTicket::import;
  };

  /// `enclose` runs in the new process, before it is asked anything: it gives up what it can; false ends it.
  [[nodiscard]] static Result<std::unique_ptr<TicketKeeper>> start(const std::function<bool()>& enclose,
                                                                   Mechanism mechanism);
  TicketKeeper(const TicketKeeper&) = delete;
  TicketKeeper& operator=(const TicketKeeper&) = delete;

  /// From now on, what these wish for. What is at hand for a wish that was there before is put in its new places.
  void want(const std::vector<std::shared_ptr<GssTicketPlace>>& places);
  /// Readable when there is something to hear; -1 once the process has ended.
  [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }
  /// Puts what has come in its places. Told is a first ticket, trouble that is not what was told last, and its end;
  /// not what is renewed in time. Never waits.
  [[nodiscard]] std::vector<TicketNews> hear();
  /// The same, until there is a ticket or an answer for every wish, or so long.
  [[nodiscard]] std::vector<TicketNews> await(Duration longest);
  /// It has ended by itself, and nobody gets tickets any longer.
  [[nodiscard]] bool ended() const noexcept { return !socket_.is_open(); }

 private:
  struct Wanted {
    TicketWish wish;
    std::vector<std::shared_ptr<GssTicketPlace>> places;
    std::shared_ptr<const GssTicket> ticket;
    std::string trouble;    // as told
    bool answered = false;  // or there was a ticket before
  };

  TicketKeeper(Mechanism mechanism, sys::Process process, sys::UniqueFd socket);
  void send_wishes();
  [[nodiscard]] std::optional<TicketNews> take(ConstBytes record);
  [[nodiscard]] bool settled() const noexcept;

  Mechanism mechanism_;
  sys::Process process_;
  sys::UniqueFd socket_;
  std::vector<Wanted> wanted_;
  std::uint32_t list_ = 0;
  bool unsent_ = false;  // the list in hand
  std::vector<std::uint8_t> room_;
};

}  // namespace stile::protect
