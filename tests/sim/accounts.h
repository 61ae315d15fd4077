// What the simulated server accounted for, and what must hold of it: of each admitted session one start, then interim
// entries whose totals never shrink, then one stop, whose totals are those of its record (I6).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "observe/accounting_store.h"
#include "observe/record.h"

namespace stile::sim_test {

class Accounts {
 public:
  struct Totals {
    std::uint64_t up = 0;
    std::uint64_t down = 0;

    friend bool operator==(const Totals&, const Totals&) = default;
  };

  void write(observe::AccountingKind kind, const observe::Record& record) {
    Account& account = accounts_[record.session];
    account.kinds += kind == observe::AccountingKind::start ? 's' : kind == observe::AccountingKind::stop ? 'e' : 'i';
    const Totals totals{record.bytes_up.value_or(0), record.bytes_down.value_or(0)};
    account.shrank = account.shrank || totals.up < account.totals.up || totals.down < account.totals.down;
    account.totals = totals;
  }

  /// `ended`: the sessions that the records say were admitted, with their totals.
  [[nodiscard]] std::optional<std::string> complaint(const std::map<std::uint64_t, Totals>& ended) const {
    for (const auto& [session, account] : accounts_) {
      const std::string& kinds = account.kinds;
      const bool once = kinds.size() >= 2 && kinds.front() == 's' && kinds.back() == 'e' &&
                        kinds.find_first_not_of('i', 1) == kinds.size() - 1;
      if (!once) return "I6: a session with the accounting entries '" + kinds + "'";
      if (account.shrank) return "I6: a session's totals shrank between its accounting entries";
      const auto record = ended.find(session);
      if (record == ended.end()) return "I6: accounting entries of a session that has no record";
      if (record->second != account.totals) return "I6: a session's accounting is not what its record says";
    }
    if (accounts_.size() != ended.size()) return "I6: a session without accounting entries";
    return std::nullopt;
  }

 private:
  struct Account {
    std::string kinds;
    Totals totals;
    bool shrank = false;
  };
  std::map<std::uint64_t, Account> accounts_;
};

}  // namespace stile::sim_test
