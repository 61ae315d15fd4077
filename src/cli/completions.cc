// Completion scripts. Each is the whole table written out in the shell's own words, so that completing starts nothing.
#include <fmt/core.h>

#include "cli/pages.h"

namespace stile::cli {
namespace {

template <class Words>
std::string joined(const Words& words) {
  std::string out;
  for (const std::string_view word : words) out += (out.empty() ? "" : " ") + std::string(word);
  return out;
}

std::string flag_names(std::span<const Flag> flags) {
  std::string out;
  for (const Flag& flag : flags) out += (out.empty() ? "" : " ") + std::string(flag.name);
  return out;
}

std::string command_names() {
  std::string out;
  for (const Command& command : commands()) {
    if (!command.hidden) out += (out.empty() ? "" : " ") + std::string(command.name);
  }
  return out;
}

// Inside single quotes of any of the three shells.
std::string quotable(std::string_view text) {
  std::string out;
  for (const char letter : text) {
    if (letter == '\'') {
      out += "'\\''";
    } else {
      out += letter;
    }
  }
  return out;
}

// A colon and brackets have a meaning of their own to _arguments.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char letter : quotable(text)) {
    if (letter == ':' || letter == '[' || letter == ']') out += '\\';
    out += letter;
  }
  return out;
}

std::string bash() {
  std::string values;
  std::string words;
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    for (const Flag& flag : command.flags) {
      const std::string_view candidates = flag.names_a_file ? "compgen -f" : "compgen -W";
      if (flag.value.empty()) continue;
      values += flag.names_a_file ? fmt::format("    {}:{}) COMPREPLY=($({} -- \"$word\")); return;;\n", command.name,
                                                flag.name, candidates)
                                  : fmt::format("    {}:{}) COMPREPLY=($({} '{}' -- \"$word\")); return;;\n",
                                                command.name, flag.name, candidates, joined(flag.choices));
    }
    const std::string operand = joined(command.operand.choices);
    words += fmt::format("    {}) words='{}{}{}';;\n", command.name, operand, operand.empty() ? "" : " ",
                         flag_names(command.flags));
  }
  return fmt::format(R"(# bash completion for stile
_stile() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" command="${{COMP_WORDS[1]}}" words
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W '{} {}' -- "$word"))
    return
  fi
  case "$command:$before" in
{}  esac
  case "$command" in
{}    *) words='';;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -F _stile stile
)",
                     command_names(), flag_names(global_flags()), values, words);
}

std::string zsh_flag(const Flag& flag) {
  std::string spec = fmt::format("      '{}{}[{}]", flag.repeatable ? "*" : "", flag.name, zsh_text(flag.help));
  if (flag.names_a_file) {
    spec += fmt::format(":{}:_files", flag.value);
  } else if (!flag.choices.empty()) {
    spec += fmt::format(":{}:({})", flag.value, joined(flag.choices));
  } else if (!flag.value.empty()) {
    spec += fmt::format(":{}: ", zsh_text(flag.value));
  }
  return spec + "'";
}

std::string zsh() {
  std::string list;
  std::string cases;
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    list += fmt::format("    '{}:{}'\n", command.name, quotable(command.summary));
    cases += fmt::format("    {}) _arguments", command.name);
    for (const Flag& flag : command.flags) cases += " \\\n" + zsh_flag(flag);
    if (!command.operand.name.empty()) {
      const std::string words = joined(command.operand.choices);
      cases += fmt::format(" \\\n      '1:{}:{}'", command.operand.name,
                           words.empty() ? "_hosts" : fmt::format("({})", words));
    }
    if (!command.second_operand.name.empty()) cases += fmt::format(" \\\n      '2:{}: '", command.second_operand.name);
    cases += ";;\n";
  }
  return fmt::format(R"(#compdef stile
_stile() {{
  local -a commands=(
{}  )
  if ((CURRENT == 2)); then
    _describe command commands
    compadd -- {}
    return
  fi
  local command="$words[2]"
  shift words
  ((CURRENT--))
  case "$command" in
{}  esac
}}
if [[ "$funcstack[1]" = _stile ]]; then _stile "$@"; else compdef _stile stile; fi
)",
                     list, flag_names(global_flags()), cases);
}

std::string fish() {
  std::string out = "# fish completion for stile\ncomplete -c stile -f\n";
  for (const Flag& flag : global_flags()) {
    out += fmt::format("complete -c stile -n __fish_use_subcommand -l {} -d '{}'\n", flag.name.substr(2),
                       quotable(flag.help));
  }
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    out += fmt::format("complete -c stile -n __fish_use_subcommand -a {} -d '{}'\n", command.name,
                       quotable(command.summary));
    const std::string inside = fmt::format("complete -c stile -n '__fish_seen_subcommand_from {}'", command.name);
    if (!command.operand.choices.empty()) out += fmt::format("{} -a '{}'\n", inside, joined(command.operand.choices));
    for (const Flag& flag : command.flags) {
      out += fmt::format("{} -l {} -d '{}'", inside, flag.name.substr(2), quotable(flag.help));
      if (flag.names_a_file) {
        out += " -r -F";
      } else if (!flag.value.empty()) {
        out += " -x";
      }
      if (!flag.choices.empty()) out += fmt::format(" -a '{}'", joined(flag.choices));
      out += "\n";
    }
  }
  return out;
}

}  // namespace

std::string completion_script(std::string_view shell) {
  if (shell == "bash") return bash();
  return shell == "zsh" ? zsh() : fish();
}

}  // namespace stile::cli
