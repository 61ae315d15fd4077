#include "wire/no_proxy.h"

#include <algorithm>
#include <utility>

#include "base/number.h"

namespace stile::wire {
namespace {

constexpr std::string_view separators = ", \t\r\n";

/// ADDRESS or ADDRESS/LENGTH; what stands behind the prefix in the address does not count.
std::optional<Cidr> read_prefix(std::string_view text) {
  const std::size_t slash = text.find('/');
  std::string_view host = text.substr(0, slash);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const auto address = Address::parse(host);
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return Cidr::host(*address);
  const auto length = whole_number<std::uint8_t>(text.substr(slash + 1));
  if (!length || *length > 8 * address->octets().size()) return std::nullopt;
  return Cidr{.base = *address, .length = *length};
}

}  // namespace

NoProxy NoProxy::parse(std::string_view text) {
  NoProxy rules;
  std::size_t begin = 0;
  std::size_t words = 0;
  while ((begin = text.find_first_not_of(separators, begin)) != std::string_view::npos) {
    const std::size_t end = std::min(text.find_first_of(separators, begin), text.size());
    if (auto entry = read(text.substr(begin, end - begin))) rules.entries_.push_back(*std::move(entry));
    begin = end;
    ++words;
  }
  if (words > 1) {
    std::erase_if(rules.entries_, [](const Entry& entry) { return std::holds_alternative<Everything>(entry.hosts); });
  }
  return rules;
}

std::optional<NoProxy::Entry> NoProxy::read(std::string_view text) {
  if (text == "*") return Entry{.text = std::string(text), .hosts = Everything{}, .port = {}};
  if (const auto prefix = read_prefix(text)) return Entry{.text = std::string(text), .hosts = *prefix, .port = {}};
  std::optional<std::uint16_t> port;
  std::string_view host = text;
  if (const std::size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    port = whole_number<std::uint16_t>(text.substr(colon + 1));
    if (!port || *port == 0) return std::nullopt;
    host = text.substr(0, colon);
    const bool bare_v6 = host.find(':') != std::string_view::npos && host.front() != '[';
    if (bare_v6) return std::nullopt;
    if (const auto prefix = read_prefix(host)) return Entry{.text = std::string(text), .hosts = *prefix, .port = port};
  }
  if (host.starts_with('.')) host.remove_prefix(1);
  auto name = canonical_host(host);
  if (!name || !std::holds_alternative<HostName>(*name)) return std::nullopt;
  return Entry{.text = std::string(text), .hosts = std::get<HostName>(*std::move(name)), .port = port};
}

bool NoProxy::matches(const Entry& entry, const Target& target) noexcept {
  if (entry.port && *entry.port != target.port) return false;
  if (std::holds_alternative<Everything>(entry.hosts)) return true;
  if (const auto* const name = std::get_if<HostName>(&entry.hosts)) {
    return target.host_name() != nullptr && target.host_name()->is_or_below(name->text());
  }
  return target.address() != nullptr && std::get<Cidr>(entry.hosts).contains(*target.address());
}

const std::string* NoProxy::entry_for(const Target& target) const noexcept {
  const auto found = std::ranges::find_if(entries_, [&](const Entry& entry) { return matches(entry, target); });
  return found == entries_.end() ? nullptr : &found->text;
}

}  // namespace stile::wire
