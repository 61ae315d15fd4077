// Manual pages, in man(7).
#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "cli/pages.h"

namespace stile::cli {
namespace {

// A hyphen is typed as such, a backslash stands for itself, and no text line begins a request.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char letter : text) {
    if (letter == '-') {
      out += "\\-";
    } else if (letter == '\\') {
      out += "\\e";
    } else {
      out += letter;
    }
  }
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

std::string title(std::string_view page, std::string_view summary) {
  std::string upper(page);
  std::ranges::transform(upper, upper.begin(), [](char letter) {
    return letter >= 'a' && letter <= 'z' ? char(letter - 'a' + 'A') : letter;
  });
  return fmt::format(".TH {} 1 \"\" \"stile {}\" \"Stile manual\"\n.SH NAME\n{} \\- {}\n", escaped(upper),
                     STILE_VERSION, escaped(page), escaped(summary));
}

std::string flag_item(const Flag& flag) {
  std::string text = ".TP\n";
  if (!flag.short_name.empty() && flag.value.empty()) {
    text += fmt::format(".BR {} \", \" {}\n", escaped(flag.short_name), escaped(flag.name));
  } else if (!flag.short_name.empty()) {
    text += fmt::format(".BI {} \" {}\" \", {}\" \" {}\"\n", escaped(flag.short_name), escaped(flag.value),
                        escaped(flag.name), escaped(flag.value));
  } else if (flag.value.empty()) {
    text += fmt::format(".B {}\n", escaped(flag.name));
  } else {
    text += fmt::format(".BI {} \" {}\"\n", escaped(flag.name), escaped(flag.value));
  }
  text += escaped(flag.help) + ".\n";
  if (!flag.default_text.empty()) text += fmt::format("Default: {}.\n", escaped(flag.default_text));
  if (!flag.environment.empty()) text += fmt::format("Environment: {}.\n", escaped(flag.environment));
  return text;
}

std::string flags_section(std::span<const Flag> flags) {
  std::string text = ".SH OPTIONS\n";
  for (const Flag& flag : flags) text += flag_item(flag);
  return text;
}

std::string example_section(std::string_view example) {
  std::string text = ".SH EXAMPLE\n.nf\n";
  while (!example.empty()) {
    const std::string_view line = example.substr(0, example.find('\n'));
    example.remove_prefix(std::min(example.size(), line.size() + 1));
    text += escaped(line) + "\n";
  }
  return text + ".fi\n";
}

constexpr std::string_view exit_section =
    ".SH EXIT STATUS\n"
    ".TP\n.B 0\nDone.\n"
    ".TP\n.B 1\nFailed.\n"
    ".TP\n.B 2\nThe command line could not be understood.\n"
    ".TP\n.B 78\nThe configuration is bad.\n";

}  // namespace

std::string man_page() {
  std::string text = title("stile", "a SOCKS server");
  text +=
      ".SH SYNOPSIS\n.B stile\n.I COMMAND\n.RI [ FLAGS ]\n"
      ".SH DESCRIPTION\nStile connects to where its clients ask, as far as its policy lets them.\n"
      "Flags win over the environment, the environment over the configuration file.\n.SH COMMANDS\n";
  std::string see_also;
  for (const Command& command : commands()) {
    if (command.hidden) continue;
    text += fmt::format(".TP\n.B {}\n{}.\n", escaped(command.name), escaped(command.summary));
    see_also += fmt::format("{}.BR stile\\-{} (1)", see_also.empty() ? "" : ",\n", escaped(command.name));
  }
  return text + flags_section(global_flags()) + example_section(find_command("serve")->example) +
         std::string(exit_section) + ".SH SEE ALSO\n" + see_also + "\n";
}

std::string man_page(const Command& command) {
  std::string text = title(fmt::format("stile-{}", command.name), command.summary);
  text += fmt::format(".SH SYNOPSIS\n.B stile {}\n", escaped(command.name));
  const std::array operands{command.operand, command.second_operand};
  // Flags behind another command would be its own.
  const bool takes_the_rest = command.operand.takes_the_rest;
  if (takes_the_rest) text += ".RI [ FLAGS ]\n.RB [ \\-\\- ]\n";
  for (const Operand& operand : operands) {
    if (operand.name.empty()) continue;
    const std::string_view more = operand.repeats ? "..." : "";
    text += operand.required ? fmt::format(".I {}{}\n", operand.name, more)
                             : fmt::format(".RI [ {}{} ]\n", operand.name, more);
  }
  text += takes_the_rest ? ".RI [ ARGUMENT... ]\n" : ".RI [ FLAGS ]\n";
  text += fmt::format(".SH DESCRIPTION\n{}\n", escaped(command.description));
  for (const Operand& operand : operands) {
    if (operand.name.empty()) continue;
    text += fmt::format(".TP\n.I {}\n{}.\n", escaped(operand.name), escaped(operand.help));
  }
  return text + flags_section(command.flags) + example_section(command.example) + std::string(exit_section) +
         ".SH SEE ALSO\n.BR stile (1)\n";
}

}  // namespace stile::cli
