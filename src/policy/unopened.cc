#include "policy/unopened.h"

#include <algorithm>

#include "policy/target_list.h"

namespace stile::policy {
namespace {

Cidr cidr_of(const ClassPrefix& row) {
  const Address base =
      row.family == Family::ipv4 ? Address::v4(std::span(row.octets).first<4>()) : Address::v6(row.octets);
  return {base, row.length};
}

// An allow opens an inside class by its word, or by a prefix that lies inside the class's own (classes.h); a wider one
// opens nothing of it, and a name nothing to those who ask for an address.
bool opens_some(const HostPattern& host, const ClassPrefix& row) {
  if (const auto* const named = std::get_if<TargetClass>(&host)) {
    // Addresses of this host, and of metadata services, may lie in any prefix.
    return *named == row.target_class || *named == TargetClass::self || *named == TargetClass::metadata;
  }
  if (const auto* const prefix = std::get_if<Cidr>(&host)) return row.contains(*prefix);
  const auto* const list = std::get_if<ListRef>(&host);
  return list != nullptr && list->list->has_addresses();  // whichever they are
}

bool allows_tcp(const Rule& rule) noexcept {
  return rule.allow && (rule.commands.empty() || rule.commands.contains(Command::tcp));
}

}  // namespace

std::vector<Cidr> unopened_networks(const RuleSet& rules) {
  std::vector<Cidr> networks;
  for (const ClassPrefix& row : class_prefixes()) {
    if (!is_soft(row.target_class)) continue;
    const bool opened = std::ranges::any_of(rules.rules, [&](const Rule& rule) {
      return allows_tcp(rule) && std::ranges::any_of(rule.targets, [&](const TargetPattern& target) {
               return opens_some(target.host, row);
             });
    });
    if (!opened) networks.push_back(cidr_of(row));
  }
  return networks;
}

}  // namespace stile::policy
