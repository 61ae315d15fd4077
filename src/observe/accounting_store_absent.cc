// For builds without SQLite: the store that cannot be opened.
#include "observe/accounting_store.h"

namespace stile::observe {
namespace {

AccountingFault absent() {
  return {"this build has no SQLite", "use an executable whose `stile --version` names accounting"};
}

}  // namespace

class AccountingStore::Database {};

AccountingStore::AccountingStore(std::unique_ptr<Database> database) noexcept : database_(std::move(database)) {}
AccountingStore::~AccountingStore() = default;

bool AccountingStore::built_in() noexcept {
  return false;
}

AccountingStore::Outcome<std::unique_ptr<AccountingStore>> AccountingStore::open(const std::string&) {
  return std::unexpected(absent());
}

AccountingStore::Outcome<void> AccountingStore::write(std::span<const AccountingEntry>) {
  return std::unexpected(absent());
}

std::uint64_t AccountingStore::lost() const noexcept {
  return 0;
}

AccountingStore::Outcome<std::vector<Usage>> AccountingStore::usage(const std::string&, UsageKey, const Period&) {
  return std::unexpected(absent());
}

AccountingStore::Outcome<std::vector<RuleUsage>> AccountingStore::usage_of_rules(const std::string&, WallTime) {
  return std::unexpected(absent());
}

}  // namespace stile::observe
