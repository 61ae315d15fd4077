#include "policy/format.h"

#include <algorithm>
#include <span>
#include <utility>

#include "policy/patterns.h"
#include "policy/tokens.h"
#include "policy/words.h"

namespace stile::policy {
namespace {

using Tokens = std::span<const Token>;

// A line taken apart: cells that may line up with those of its neighbours, then the rest.
struct Row {
  std::vector<std::string> cells;  // none: the line is not one of the usual form
  std::string rest;
  std::string comment;  // from its `#`
};

std::string without_trailing_space(std::string_view text) {
  return std::string(text.substr(0, text.find_last_not_of(" \t\r") + 1));
}

// What follows the words of a line.
std::string comment_of(std::string_view line, const LineTokens& tokens) {
  std::size_t end = 0;
  if (!tokens.tokens.empty()) {
    const Token& last = tokens.tokens.back();
    end = static_cast<std::size_t>(last.column) - 1 + last.text.size();
  }
  const std::size_t hash = line.find('#', end);
  return hash == std::string_view::npos ? "" : without_trailing_space(line.substr(hash));
}

// `continues` says of a comma whether what follows it goes on with the word before, as ports do.
template <class Continues>
std::string joined(Tokens tokens, Continues continues) {
  std::string text;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const bool behind_comma = i > 0 && tokens[i - 1].is_comma();
    const bool close = i == 0 || tokens[i].is_comma() || (behind_comma && continues(i - 1));
    if (!close) text += ' ';
    text += tokens[i].text;
  }
  return text;
}

std::size_t position_of(Tokens tokens, std::string_view word) {
  return static_cast<std::size_t>(std::ranges::find(tokens, word, &Token::text) - tokens.begin());
}

// ── rules ───────────────────────────────────────────────────────────────────────────────────────────────────────────

bool has_ports(const Token& target) {
  const auto split = split_target(target.text);
  return split && split->ports;
}

bool may_be_ports(const Token& token) {
  return is_port_number(token.text) || service_port(token.text);
}

// Behind a target that has ports, and behind ports that go on with them.
bool goes_on_with_ports(Tokens tokens, std::size_t comma) {
  if (comma + 1 >= tokens.size() || !may_be_ports(tokens[comma + 1])) return false;
  std::size_t word = comma;
  while (word-- > 0) {
    if (has_ports(tokens[word])) return true;
    if (!may_be_ports(tokens[word]) || word == 0 || !tokens[--word].is_comma()) return false;
  }
  return false;
}

// WHO, sources, targets, options, with their own use of commas.
std::string rule_text(Tokens tokens) {
  const std::size_t targets = position_of(tokens, "to");
  std::size_t options = targets;
  while (options < tokens.size() && !is_option(tokens[options].text)) ++options;
  return joined(tokens, [&](std::size_t comma) {
    if (comma > options) return true;  // days
    return comma > targets && goes_on_with_ports(tokens, comma);
  });
}

Row rule_row(Tokens tokens) {
  Row row;
  const Token& first = tokens.front();
  const bool named = !first.is_quoted() && first.text.ends_with(':');
  const std::size_t action = named ? 1 : 0;
  const bool usual = tokens.size() > action + 1 && (tokens[action].text == "allow" || tokens[action].text == "deny");
  if (!usual) {
    row.rest = rule_text(tokens);
    return row;
  }
  row.cells = {named ? std::string(first.text) : "", std::string(tokens[action].text)};
  row.rest = rule_text(tokens.subspan(action + 1));
  return row;
}

// ── expectations ────────────────────────────────────────────────────────────────────────────────────────────────────

Row expectation_row(Tokens tokens) {
  const std::size_t may = position_of(tokens, "may");
  const auto text = [&](Tokens part, bool ports) { return joined(part, [&](std::size_t) { return ports; }); };
  Row row;
  const std::size_t words = may + 1 < tokens.size() && tokens[may + 1].text == "not" ? 2 : 1;
  const std::size_t command = may + words;
  const Tokens who = tokens.first(may);
  if (command + 1 >= tokens.size() || position_of(who, "from") < who.size()) {
    row.rest = text(who, false);
    if (may < tokens.size()) row.rest += (may > 0 ? " " : "") + text(tokens.subspan(may), true);
    return row;
  }
  row.cells = {text(who, false), words == 2 ? "may not" : "may", std::string(tokens[command].text)};
  row.rest = text(tokens.subspan(command + 1), true);
  return row;
}

// ── the whole ───────────────────────────────────────────────────────────────────────────────────────────────────────

// Rows up to a blank line.
void write_paragraph(const std::vector<Row>& rows, std::string& text) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    if (row.cells.size() > widths.size()) widths.resize(row.cells.size());
    for (std::size_t i = 0; i < row.cells.size(); ++i) widths[i] = std::max(widths[i], row.cells[i].size());
  }
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      if (widths[i] == 0) continue;
      line += row.cells[i] + std::string(widths[i] - row.cells[i].size() + 1, ' ');
    }
    line += row.rest;
    if (!row.comment.empty()) line += (line.empty() ? "" : "  ") + row.comment;
    text += line + '\n';
  }
}

std::expected<std::string, std::vector<RuleError>> format(std::string_view text, Row (*row_of)(Tokens)) {
  std::string result;
  std::vector<Row> paragraph;
  std::vector<RuleError> errors;
  const auto end_paragraph = [&] {
    if (paragraph.empty()) return;
    if (!result.empty()) result += '\n';
    write_paragraph(std::exchange(paragraph, {}), result);
  };
  for (int line_number = 1; !text.empty(); ++line_number) {
    const std::string_view line = text.substr(0, std::min(text.find('\n'), text.size()));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const auto tokenized = tokenize(line, line_number);
    if (!tokenized) {
      errors.push_back(tokenized.error());
      continue;
    }
    Row row = tokenized->tokens.empty() ? Row{} : row_of(tokenized->tokens);
    row.comment = comment_of(line, *tokenized);
    if (tokenized->tokens.empty() && row.comment.empty()) {
      end_paragraph();
    } else {
      paragraph.push_back(std::move(row));
    }
  }
  end_paragraph();
  if (!errors.empty()) return std::unexpected(std::move(errors));
  return result;
}

}  // namespace

std::expected<std::string, std::vector<RuleError>> format_rules(std::string_view text) {
  return format(text, rule_row);
}

std::expected<std::string, std::vector<RuleError>> format_expectations(std::string_view text) {
  return format(text, expectation_row);
}

}  // namespace stile::policy
