// What the simulated server recorded, as plain values, and what must hold of every session's records.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/session_id.h"
#include "observe/record.h"
#include "server/worker.h"
#include "sim/accounts.h"

namespace stile::sim_test {

class Ledger final : public server::Reporter {
 public:
  struct Entry {
    observe::Event event;
    std::uint64_t session;
    Reason reason;
    std::optional<ReplyCode> reply;
    std::optional<Endpoint> client;
    std::optional<Endpoint> address;
    std::uint64_t bytes_up;
    std::uint64_t bytes_down;
    std::uint64_t packets_up;
    std::uint64_t packets_down;
    std::string user;

    /// For a failing run.
    [[nodiscard]] std::string text() const {
      const char* const kind = event == observe::Event::session_start ? "start"
                               : event == observe::Event::session_end ? "end"
                               : event == observe::Event::denied      ? "denied"
                                                                      : "error";
      return session_text(session) + " " + (client ? client->to_string() : "nobody") + " " + kind + " " +
             std::string(token(reason)) + " up " + std::to_string(bytes_up) + " down " + std::to_string(bytes_down);
    }
  };
  void report(const observe::Record& record) noexcept override {
    if (record.event == observe::Event::drop) {
      repeated_ = repeated_ || !drops_.emplace(record.session, *record.drop).second;
      return;
    }
    if (record.event == observe::Event::request) return;
    entries_.push_back({record.event, record.session, record.reason, record.reply, record.client, record.address,
                        record.bytes_up.value_or(0), record.bytes_down.value_or(0), record.packets_up.value_or(0),
                        record.packets_down.value_or(0), std::string(record.user)});
  }

  bool account(observe::AccountingKind kind, const observe::Record& record) noexcept override {
    accounts_.write(kind, record);
    return true;
  }
  [[nodiscard]] bool refuses() const noexcept override { return false; }

  /// The records of the connection that came from there, in order.
  [[nodiscard]] std::vector<Entry> of(const std::optional<Endpoint>& client) const {
    std::vector<Entry> found;
    for (const Entry& entry : entries_) {
      if (client && entry.client == client) found.push_back(entry);
    }
    return found;
  }

  [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }

  /// An admitted session has one start and then one end; every other one outcome. Of the datagrams that an association
  /// drops, only the first of each reason is recorded.
  [[nodiscard]] std::optional<std::string> complaint() const {
    if (repeated_) return "a drop was recorded twice for one association and reason";
    std::map<std::uint64_t, std::string> sessions;
    std::map<std::uint64_t, Accounts::Totals> ended;
    for (const Entry& entry : entries_) {
      if (entry.event == observe::Event::session_end) ended[entry.session] = {entry.bytes_up, entry.bytes_down};
      sessions[entry.session] += entry.event == observe::Event::session_start ? 's'
                                 : entry.event == observe::Event::session_end ? 'e'
                                                                              : 'o';
    }
    for (const auto& [session, outcome] : sessions) {
      if (outcome != "se" && outcome != "o") return "I6: a session with the records '" + outcome + "'";
    }
    return accounts_.complaint(ended);
  }

 private:
  std::vector<Entry> entries_;
  Accounts accounts_;
  std::set<std::pair<std::uint64_t, UdpDrop>> drops_;
  bool repeated_ = false;
};

}  // namespace stile::sim_test
