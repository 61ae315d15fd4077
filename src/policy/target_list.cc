#include "policy/target_list.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "base/limits.h"
#include "policy/patterns.h"
#include "policy/words.h"

namespace stile::policy {
namespace {

constexpr std::uint32_t itself = 1;
constexpr std::uint32_t below = 2;

constexpr std::string_view spaces = " \t\r\v\f";

// Why an entry of two words is none, for the format that it most often comes from.
std::string two_words_fault(std::string_view first, std::string_view rest) {
  const bool hosts_file = Address::parse(first).has_value();
  return "expected one entry a line, found " + quoted(rest) + " behind " + quoted(first) +
         (hosts_file ? " (of a hosts file, keep the names alone)" : "");
}

}  // namespace

class TargetListParser {
 public:
  std::expected<TargetList, std::vector<RuleError>> parse(std::string_view text);

 private:
  void parse_line(std::string_view line, int line_number);
  void add(HostPattern&& entry, std::string_view word, int line_number, int column);
  void report(int line, int column, std::string message) {
    errors_.push_back({.line = line, .column = column, .message = std::move(message)});
  }

  TargetList list_;
  std::vector<RuleError> errors_;
};

std::expected<TargetList, std::vector<RuleError>> TargetListParser::parse(std::string_view text) {
  if (text.size() > limits::list_octets_max) {
    report(1, 1, "a list may have " + std::to_string(limits::list_octets_max / limits::MiB) + " MiB");
    return std::unexpected(std::move(errors_));
  }
  for (int line_number = 1; !text.empty(); ++line_number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    parse_line(text.substr(0, end), line_number);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (list_.entries_ > limits::list_entries_max) {
      report(line_number, 1, "more than " + std::to_string(limits::list_entries_max) + " entries");
      break;
    }
    if (errors_.size() == limits::list_faults_shown_max) break;
  }
  if (!errors_.empty()) return std::unexpected(std::move(errors_));
  list_.names_.seal();
  list_.addresses_.seal();
  return std::move(list_);
}

void TargetListParser::parse_line(std::string_view line, int line_number) {
  line = line.substr(0, line.find('#'));
  const std::size_t begin = line.find_first_not_of(spaces);
  if (begin == std::string_view::npos) return;
  const int column = static_cast<int>(begin) + 1;
  line = line.substr(begin, line.find_last_not_of(spaces) + 1 - begin);
  const std::size_t end = std::min(line.find_first_of(spaces), line.size());
  const std::string_view word = line.substr(0, end);
  if (end < line.size()) {
    const std::size_t second = line.find_first_not_of(spaces, end);
    report(line_number, column + static_cast<int>(second), two_words_fault(word, line.substr(second)));
    return;
  }
  if (word.size() > 1 && word.front() == '.' && word[1] != '.') {
    report(line_number, column, quoted(word) + " is not a host name (did you mean '*" + std::string(word) + "'?)");
    return;
  }
  ++list_.entries_;
  if (auto entry = parse_host(word)) {
    add(std::move(*entry), word, line_number, column);
  } else {
    report(line_number, column + static_cast<int>(entry.error().offset), std::move(entry.error().message));
  }
}

void TargetListParser::add(HostPattern&& entry, std::string_view word, int line_number, int column) {
  if (const auto* prefix = std::get_if<Cidr>(&entry)) return list_.addresses_.add(*prefix);
  if (const auto* name = std::get_if<ExactName>(&entry)) return list_.names_.add(name->name.text(), itself);
  if (const auto* names = std::get_if<NamesBelow>(&entry)) return list_.names_.add(names->name.text(), below);
  report(line_number, column,
         quoted(word) + " has no place in a list: a rule names it itself (a host of that name must be quoted)");
}

std::expected<TargetList, std::vector<RuleError>> TargetList::parse(std::string_view text) {
  return TargetListParser{}.parse(text);
}

bool TargetList::names(const HostName& name) const noexcept {
  bool listed = false;
  names_.visit_suffixes(name.text(), [&](std::uint32_t value, bool whole) {
    listed = listed || (value & (whole ? itself : below)) != 0;
  });
  return listed;
}

}  // namespace stile::policy
