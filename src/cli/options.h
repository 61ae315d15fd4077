// The command line: one table of commands and one of flags, from which parsing, --help, shell completions, man pages
// and the environment's names are made. A flag that is not in the table does not exist. Pure but for
// parse_command_line, which reads nothing but its arguments. Tested in cli_test.cc.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace stile::cli {

// Of sysexits.h, the one that service managers and scripts tell apart.
inline constexpr int exit_done = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;
inline constexpr int exit_configuration = 78;

struct Flag {
  std::string_view name;          // "--listen"
  std::string_view value;         // "ADDR:PORT"; empty: a switch
  std::string_view environment;   // "STILE_LISTEN"; empty: none
  std::string_view key;           // the configuration key that it sets; empty: none
  std::string_view help;          // a clause without capital and full stop
  std::string_view default_text;  // for people
  bool repeatable = false;
  bool names_a_file = false;
  std::span<const std::string_view> choices = {};
  std::string_view short_name = {};  // "-c"; empty: none
};

/// A word that a command may take.
struct Operand {
  std::string_view name;  // "SHELL"; empty: the command takes none
  std::string_view help;
  bool required = false;
  std::span<const std::string_view> choices = {};  // empty: any word
  bool takes_the_rest = false;  // a command of its own: all that stands from it, or from "--", on is no flag of ours
  bool repeats = false;         // any number of them
};

struct Command {
  std::string_view name;
  std::string_view summary;      // a clause
  std::string_view description;  // whole sentences
  std::string_view example;      // lines for a shell
  std::span<const Flag> flags;
  Operand operand = {};
  bool hidden = false;
  Operand second_operand = {};  // only behind the first
};

[[nodiscard]] std::span<const Command> commands() noexcept;
[[nodiscard]] const Command* find_command(std::string_view name) noexcept;
/// --help and --version.
[[nodiscard]] std::span<const Flag> global_flags() noexcept;

struct Arguments {
  const Command* command = nullptr;
  std::map<std::string, std::vector<std::string>, std::less<>> flags;  // by name; a switch has an empty list
  std::string operand;
  std::string second_operand;
  std::vector<std::string> rest;  // from an operand on that takes it; all operands of one that repeats

  [[nodiscard]] bool has(std::string_view flag) const { return flags.contains(flag); }
  /// The last value, or nothing.
  [[nodiscard]] std::optional<std::string> value(std::string_view flag) const;
};

/// What to print instead of running a command; to standard output when the code is 0, else to standard error.
struct Answer {
  std::string text;
  int exit_code = exit_done;
};

struct Invocation {
  std::optional<Answer> answer;
  Arguments arguments;  // without an answer: complete
};

/// `words` without the program's name.
[[nodiscard]] Invocation parse_command_line(const std::vector<std::string>& words);

/// Prints and gives the exit code back.
int print(const Answer& answer);

}  // namespace stile::cli
