// A list of targets from a file of its own, `list:NAME` in a rule: names and addresses in a form that is small and
// quick to ask, up to limits::list_entries_max of them. Pure; immutable, any thread.
// The file: one entry a line, a name, `*.name` (what is below it), an address or a CIDR; `#` begins a comment.
// Refuses whole classes and `any`, which a rule names itself, and the formats of hosts files and of filter lists.
// Tested in target_list_test.cc, fuzzed in target_list_fuzz.cc, measured in policy_bench.cc.
#pragma once

#include <cstddef>
#include <expected>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "policy/address_ranges.h"
#include "policy/name_table.h"
#include "policy/policy.h"

namespace stile::policy {

class TargetList {
 public:
  /// Every fault with its line, in order, up to limits::list_faults_shown_max of them.
  [[nodiscard]] static std::expected<TargetList, std::vector<RuleError>> parse(std::string_view text);

  /// True when `name` is an entry or below a `*.name`.
  [[nodiscard]] bool names(const HostName& name) const noexcept;
  [[nodiscard]] bool contains(const Address& address) const noexcept { return addresses_.contains(address); }

  [[nodiscard]] bool has_names() const noexcept { return !names_.empty(); }
  [[nodiscard]] bool has_addresses() const noexcept { return !addresses_.empty(); }
  /// As written: what stands there twice counts twice.
  [[nodiscard]] std::size_t entries() const noexcept { return entries_; }
  /// Memory taken.
  [[nodiscard]] std::size_t octets() const noexcept { return sizeof *this + names_.octets() + addresses_.octets(); }

 private:
  friend class TargetListParser;
  TargetList() = default;

  NameTable names_;  // the value says whether the name itself is listed, what is below it, or both
  AddressRanges addresses_;
  std::size_t entries_ = 0;
};

}  // namespace stile::policy
