// Parsing by CLI11, set up from the table; what it cannot place is corrected from the same table.
#include <fmt/core.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdio>
#include <deque>

#include "base/nearest.h"
#include "cli/options.h"
#include "cli/pages.h"

namespace stile::cli {
namespace {

Answer mistake(std::string_view what, std::string_view cure) {
  return {fmt::format("stile: cannot understand the command line: {} ({})\n", what, cure), exit_usage};
}

std::string help_hint(const Command* command) {
  if (command == nullptr) return "see 'stile --help'";
  return fmt::format("see 'stile {} --help'", command->name);
}

/// The library's parser for one list of flags, with the places that values go to.
class FlagParser {
 public:
  explicit FlagParser(std::span<const Flag> flags) {
    app_.set_help_flag();
    app_.allow_extras();
    for (const Flag& flag : flags) {
      Slot& slot = slots_.emplace_back();
      slot.flag = &flag;
      if (flag.value.empty()) {
        slot.option = app_.add_flag(spelling(flag));
      } else {
        slot.option = app_.add_option(spelling(flag), slot.values)->allow_extra_args(false);
        slot.option->type_name(std::string(flag.value));
      }
    }
  }

  /// Throws CLI::ParseError.
  void parse(const std::vector<std::string>& words) {
    app_.parse(std::vector<std::string>(words.rbegin(), words.rend()));  // it takes them back to front
  }

  [[nodiscard]] std::map<std::string, std::vector<std::string>, std::less<>> given() const {
    std::map<std::string, std::vector<std::string>, std::less<>> flags;
    for (const Slot& slot : slots_) {
      if (slot.option->count() > 0) flags.emplace(slot.flag->name, slot.values);
    }
    return flags;
  }

  /// The words that are no flag and no flag's value.
  [[nodiscard]] std::vector<std::string> left_over() const { return app_.remaining(); }

 private:
  struct Slot {
    const Flag* flag = nullptr;
    CLI::Option* option = nullptr;
    std::vector<std::string> values;
  };

  static std::string spelling(const Flag& flag) {
    if (flag.short_name.empty()) return std::string(flag.name);
    return fmt::format("{},{}", flag.short_name, flag.name);
  }

  CLI::App app_;
  std::deque<Slot> slots_;  // the library keeps references into it
};

Answer unknown_word(std::string_view word, const Command* command) {
  std::vector<std::string_view> known;
  if (word.starts_with('-')) {
    for (const Flag& flag : command == nullptr ? global_flags() : command->flags) known.push_back(flag.name);
    const std::string_view name = word.substr(0, word.find('='));
    const auto meant = nearest(name, known);
    return mistake(fmt::format("unknown flag '{}'", name),
                   meant ? fmt::format("did you mean '{}'?", *meant) : help_hint(command));
  }
  if (command != nullptr) return mistake(fmt::format("'{}' is one word too many", word), help_hint(command));
  for (const Command& row : commands()) {
    if (!row.hidden) known.push_back(row.name);
  }
  const auto meant = nearest(word, known);
  return mistake(fmt::format("unknown command '{}'", word),
                 meant ? fmt::format("did you mean '{}'?", *meant) : help_hint(nullptr));
}

// Takes the operand from what is left over; an answer when something is wrong with it.
std::optional<Answer> take_operand(const std::vector<std::string>& words, Arguments& arguments) {
  const Command& command = *arguments.command;
  for (const std::string& word : words) {
    const bool is_first = !command.operand.name.empty() && (arguments.operand.empty() || command.operand.repeats);
    const bool is_second = !is_first && !command.second_operand.name.empty() && arguments.second_operand.empty();
    if (word.starts_with('-') || (!is_first && !is_second)) return unknown_word(word, &command);
    (is_first ? arguments.operand : arguments.second_operand) = word;
    if (command.operand.repeats) arguments.rest.push_back(word);
  }
  if (arguments.operand.empty()) {
    if (!command.operand.required) return std::nullopt;
    return mistake(fmt::format("'{}' needs {}: {}", command.name, command.operand.name, command.operand.help),
                   help_hint(&command));
  }
  if (command.second_operand.required && arguments.second_operand.empty()) {
    return mistake(fmt::format("'{}' needs {} behind {}: {}", command.name, command.second_operand.name,
                               command.operand.name, command.second_operand.help),
                   help_hint(&command));
  }
  const auto& choices = command.operand.choices;
  if (choices.empty() || std::ranges::find(choices, arguments.operand) != choices.end()) return std::nullopt;
  const auto meant = nearest(arguments.operand, command.operand.choices);
  return mistake(fmt::format("{} '{}' is unknown", command.operand.name, arguments.operand),
                 meant ? fmt::format("did you mean '{}'?", *meant) : help_hint(&command));
}

std::optional<Answer> repeated_flag(const Arguments& arguments) {
  for (const Flag& flag : arguments.command->flags) {
    const auto given = arguments.flags.find(flag.name);
    if (flag.repeatable || given == arguments.flags.end() || given->second.size() < 2) continue;
    return mistake(fmt::format("{} is given twice", flag.name), "give it once");
  }
  return std::nullopt;
}

// A flag at the end of the line without its value; the library's own words name its types, not ours.
Answer answer_for(const CLI::ParseError& error, const std::vector<std::string>& words, const Command& command) {
  for (const Flag& flag : command.flags) {
    if (flag.value.empty() || words.empty()) continue;
    if (words.back() != flag.name && (flag.short_name.empty() || words.back() != flag.short_name)) continue;
    return mistake(fmt::format("{} needs a value, {}", flag.name, flag.value), help_hint(&command));
  }
  return mistake(error.what(), help_hint(&command));
}

Invocation answered(Answer answer) {
  return {std::move(answer), {}};
}

// Where the command begins that ours is to run: behind "--", or at the first word that is no flag and no flag's value.
std::size_t begin_of_rest(const Command& command, const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--" || !words[i].starts_with('-')) return i;
    const auto is_it = [&](const Flag& flag) { return flag.name == words[i] || flag.short_name == words[i]; };
    const auto flag = std::ranges::find_if(command.flags, is_it);
    if (flag != command.flags.end() && !flag->value.empty()) ++i;
  }
  return words.size();
}

Invocation parse_command(const Command& command, std::vector<std::string> words) {
  std::vector<std::string> rest;
  if (command.operand.takes_the_rest) {
    const std::size_t begin = begin_of_rest(command, words);
    rest.assign(words.begin() + static_cast<std::ptrdiff_t>(begin), words.end());
    if (!rest.empty() && rest.front() == "--") rest.erase(rest.begin());
    words.resize(begin);
  }
  FlagParser parser(command.flags);
  try {
    parser.parse(words);
  } catch (const CLI::ParseError& error) {
    return answered(answer_for(error, words, command));
  }
  Arguments arguments{.command = &command, .flags = parser.given(), .operand = {}, .second_operand = {}, .rest = {}};
  if (arguments.has("--help")) return answered({help_text(command), exit_done});
  std::vector<std::string> operands = parser.left_over();
  if (!rest.empty()) operands.push_back(rest.front());
  arguments.rest = std::move(rest);
  if (auto answer = take_operand(operands, arguments)) return answered(std::move(*answer));
  if (auto answer = repeated_flag(arguments)) return answered(std::move(*answer));
  return {std::nullopt, std::move(arguments)};
}

Invocation parse_without_command(const std::vector<std::string>& words) {
  FlagParser parser(global_flags());
  try {
    parser.parse(words);
  } catch (const CLI::ParseError& error) {
    return answered(mistake(error.what(), help_hint(nullptr)));
  }
  const std::vector<std::string> left_over = parser.left_over();
  if (!left_over.empty()) return answered(unknown_word(left_over.front(), nullptr));
  if (parser.given().contains("--version")) return answered({version_text(), exit_done});
  return answered({help_text(), exit_done});
}

}  // namespace

Invocation parse_command_line(const std::vector<std::string>& words) {
  const Command* command = words.empty() ? nullptr : find_command(words.front());
  if (command == nullptr) return parse_without_command(words);
  return parse_command(*command, {words.begin() + 1, words.end()});
}

int print(const Answer& answer) {
  std::FILE* stream = answer.exit_code == exit_done ? stdout : stderr;
  const bool written = std::fwrite(answer.text.data(), 1, answer.text.size(), stream) == answer.text.size();
  return written && std::fflush(stream) == 0 ? answer.exit_code : exit_failed;
}

}  // namespace stile::cli
