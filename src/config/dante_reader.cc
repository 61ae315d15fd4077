// Dante's file as statements; sockd.conf(5).
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "config/dante.h"

namespace stile::config {
namespace {

struct Word {
  int line = 1;
  std::string text;
};

constexpr std::array<std::string_view, 10> heads{"client pass", "client block", "hostid pass", "hostid block",
                                                 "socks pass",  "socks block",  "pass",        "block",
                                                 "route",       "monitor"};

bool is_letter(char octet) {
  return (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z');
}

// An address may end with colons, too: a key is letters and dots.
bool is_key(std::string_view word) {
  return word.size() > 1 && word.back() == ':' && std::ranges::all_of(word.substr(0, word.size() - 1), [](char octet) {
           return is_letter(octet) || octet == '.' || octet == '_';
         });
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& octet : result) {
    if (octet >= 'A' && octet <= 'Z') octet = static_cast<char>(octet - 'A' + 'a');
  }
  return result;
}

// `=` stands alone wherever it is written, and so do braces. A colon behind a key may stand apart.
std::vector<Word> words_of(std::string_view text) {
  std::vector<Word> words;
  int line = 1;
  bool comment = false;
  bool within = false;
  for (const char octet : text) {
    if (octet == '\n') {
      ++line;
      comment = within = false;
      continue;
    }
    if (octet == '#') comment = true;
    if (comment) continue;
    if (octet == ' ' || octet == '\t' || octet == '\r' || octet == ',') {
      within = false;
    } else if (octet == '{' || octet == '}' || octet == '=') {
      words.push_back({line, std::string(1, octet)});
      within = false;
    } else if (octet == ':' && !within && !words.empty() && words.back().line == line) {
      words.back().text += ':';
    } else {
      if (!within) words.push_back({line, {}});
      words.back().text += octet;
      within = true;
    }
  }
  return words;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : words_(words_of(text)) {}

  std::vector<DanteStatement> read() {
    while (at_ < words_.size()) {
      if (is_key(words_[at_].text) || is_redirect()) {
        statements_.push_back({words_[at_].line, {}, {entry()}});
      } else {
        block();
      }
    }
    return std::move(statements_);
  }
  std::vector<ConfigError> faults;

 private:
  void complain(int line, std::string message) { faults.push_back({line, 1, std::move(message)}); }
  [[nodiscard]] bool is_redirect() const {
    return at_ + 1 < words_.size() && lower(words_[at_].text) == "redirect" && is_key(words_[at_ + 1].text);
  }
  [[nodiscard]] bool ends_entry(int line) const {
    const Word& word = words_[at_];
    return word.line != line || word.text == "{" || word.text == "}" || is_key(word.text) || is_redirect();
  }

  DanteEntry entry() {
    DanteEntry entry{.line = words_[at_].line, .key = {}, .words = {}};
    if (is_redirect()) entry.key = lower(words_[at_++].text) + " ";
    const std::string key = lower(words_[at_++].text);
    entry.key += key.substr(0, key.size() - 1);
    while (at_ < words_.size() && !ends_entry(entry.line)) entry.words.push_back(words_[at_++].text);
    return entry;
  }

  void block() {
    DanteStatement statement{.line = words_[at_].line, .head = {}, .entries = {}};
    for (; at_ < words_.size() && words_[at_].text != "{"; ++at_) {
      const Word& word = words_[at_];
      if (word.text == "}" || is_key(word.text)) break;
      statement.head += (statement.head.empty() ? "" : " ") + lower(word.text);
    }
    if (at_ == words_.size() || words_[at_].text != "{") {
      const std::string what = statement.head.empty() ? words_[at_].text : statement.head;
      if (statement.head.empty()) ++at_;
      return complain(statement.line, fmt::format("'{}' is neither a setting nor the beginning of a rule", what));
    }
    if (std::ranges::find(heads, statement.head) == heads.end()) {
      complain(statement.line, fmt::format("'{}' is no kind of rule", statement.head));
    }
    ++at_;
    while (at_ < words_.size() && words_[at_].text != "}") {
      if (is_key(words_[at_].text) || is_redirect()) {
        statement.entries.push_back(entry());
        continue;
      }
      complain(words_[at_].line, fmt::format("'{}' belongs to no setting of this rule", words_[at_].text));
      ++at_;
    }
    if (at_ == words_.size()) return complain(statement.line, fmt::format("'{}' is not closed", statement.head));
    ++at_;
    statements_.push_back(std::move(statement));
  }

  std::vector<Word> words_;
  std::size_t at_ = 0;
  std::vector<DanteStatement> statements_;
};

}  // namespace

std::expected<std::vector<DanteStatement>, std::vector<ConfigError>> read_dante(std::string_view text) {
  if (text.size() > limits::configuration_octets_max) {
    return std::unexpected(std::vector{
        ConfigError{1, 1, fmt::format("the file is larger than {} octets", limits::configuration_octets_max)}});
  }
  if (text.find('\0') != std::string_view::npos) {
    return std::unexpected(std::vector{ConfigError{1, 1, "the file holds a zero octet: it is no text"}});
  }
  Reader reader(text);
  std::vector<DanteStatement> statements = reader.read();
  if (!reader.faults.empty()) return std::unexpected(std::move(reader.faults));
  return statements;
}

}  // namespace stile::config
