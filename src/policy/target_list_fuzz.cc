// Any text as a list: parse never crashes, its faults are in order, and what it makes holds what the lines say, and of
// names and addresses near them nothing else, as a scan of the lines finds.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "policy/patterns.h"
#include "policy/target_list.h"

namespace {

using namespace stile;

std::vector<policy::HostPattern> entries_of(std::string_view text) {
  std::vector<policy::HostPattern> entries;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string line(text.substr(0, std::min(end, text.find('#'))));
    std::erase_if(line, [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); });
    if (!line.empty()) entries.push_back(*policy::parse_host(line));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return entries;
}

bool scan(const std::vector<policy::HostPattern>& entries, const HostName& asked) {
  return std::ranges::any_of(entries, [&](const policy::HostPattern& entry) {
    if (const auto* exact = std::get_if<policy::ExactName>(&entry)) return exact->name == asked;
    const auto* below = std::get_if<policy::NamesBelow>(&entry);
    return below != nullptr && asked != below->name && asked.is_or_below(below->name.text());
  });
}

bool scan(const std::vector<policy::HostPattern>& entries, const Address& asked) {
  return std::ranges::any_of(entries, [&](const policy::HostPattern& entry) {
    const auto* prefix = std::get_if<Cidr>(&entry);
    return prefix != nullptr && prefix->contains(asked);
  });
}

void ask_name(const policy::TargetList& list, const std::vector<policy::HostPattern>& entries,
              const std::string& text) {
  const auto host = canonical_host(text);
  if (!host) return;
  const auto* name = std::get_if<HostName>(&*host);
  if (name != nullptr) STILE_ASSERT(list.names(*name) == scan(entries, *name));
}

void ask_address(const policy::TargetList& list, const std::vector<policy::HostPattern>& entries, const Cidr& prefix) {
  std::array<std::uint8_t, 16> octets{};
  const std::size_t size = prefix.base.octets().size();
  for (unsigned bit = 0; bit <= size * 8; ++bit) {
    std::ranges::copy(prefix.base.octets(), octets.begin());
    if (bit < size * 8) octets[bit / 8] = static_cast<std::uint8_t>(octets[bit / 8] ^ (0x80U >> bit % 8));
    const Address asked = size == 4 ? Address::v4(std::span(octets).first<4>()) : Address::v6(octets);
    STILE_ASSERT(list.contains(asked) == scan(entries, asked));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto list = policy::TargetList::parse(text);
  if (!list) {
    STILE_ASSERT(!list.error().empty());
    int line = 1;
    for (const policy::RuleError& error : list.error()) {
      STILE_ASSERT(error.line >= line && error.column >= 1 && !error.message.empty());
      line = error.line;
    }
    return 0;
  }
  const auto entries = entries_of(text);
  STILE_ASSERT(list->entries() == entries.size());
  for (const policy::HostPattern& entry : entries) {
    if (const auto* prefix = std::get_if<Cidr>(&entry)) {
      ask_address(*list, entries, *prefix);
      continue;
    }
    const auto* exact = std::get_if<policy::ExactName>(&entry);
    const std::string& name = exact != nullptr ? exact->name.text() : std::get<policy::NamesBelow>(entry).name.text();
    ask_name(*list, entries, name);
    ask_name(*list, entries, "x." + name);
    ask_name(*list, entries, "x" + name);
    ask_name(*list, entries, name.substr(name.find('.') + 1));
  }
  return 0;
}
