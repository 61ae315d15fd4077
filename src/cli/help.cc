// Help and version.
#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "auth/pam_login.h"
#include "cli/pages.h"
#include "observe/accounting_store.h"
#include "protect/gss.h"
#include "protect/tls.h"
#include "sys/packet_rules.h"

namespace stile::cli {
namespace {

constexpr std::size_t width = 100;

constexpr std::string_view root_example = "stile serve\ncurl --proxy socks5h://127.0.0.1:1080 https://example.com/";

// Breaks text at spaces; every line begins with `indent` spaces.
std::string wrapped(std::string_view text, std::size_t indent) {
  std::string out;
  std::string line;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (!line.empty() && indent + line.size() + 1 + word.size() > width) {
      out += std::string(indent, ' ') + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + std::string(word);
  }
  return out + std::string(indent, ' ') + line + "\n";
}

struct Row {
  std::string left;
  std::string right;
};

std::string columns(const std::vector<Row>& rows) {
  std::size_t widest = 0;
  for (const Row& row : rows) widest = std::max(widest, row.left.size());
  std::string out;
  for (const Row& row : rows) {
    const std::string right = wrapped(row.right, widest + 4);
    out += fmt::format("  {:<{}}  {}", row.left, widest, right.substr(widest + 4));
  }
  return out;
}

Row row_of(const Flag& flag) {
  const std::string short_name = flag.short_name.empty() ? "    " : fmt::format("{}, ", flag.short_name);
  Row row{fmt::format("{}{}{}{}", short_name, flag.name, flag.value.empty() ? "" : " ", flag.value),
          std::string(flag.help)};
  if (!flag.default_text.empty()) row.right += fmt::format(" [default: {}]", flag.default_text);
  if (!flag.environment.empty()) row.right += fmt::format(" [environment: {}]", flag.environment);
  return row;
}

std::string flag_section(std::span<const Flag> flags) {
  std::vector<Row> rows;
  for (const Flag& flag : flags) rows.push_back(row_of(flag));
  return "\nFlags:\n" + columns(rows);
}

std::string example_section(std::string_view example) {
  std::string out = "\nExample:\n";
  while (!example.empty()) {
    const std::string_view line = example.substr(0, example.find('\n'));
    example.remove_prefix(std::min(example.size(), line.size() + 1));
    out += fmt::format("  {}\n", line);
  }
  return out;
}

std::string compiler_text() {
#if defined(__clang__)
  return fmt::format("clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("g++ {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

}  // namespace

std::string help_text() {
  std::vector<Row> rows;
  for (const Command& command : commands()) {
    if (!command.hidden) rows.push_back({std::string(command.name), std::string(command.summary)});
  }
  return "Stile is a SOCKS server: it connects to where its clients ask, as far as its policy lets them.\n"
         "\nUsage: stile COMMAND [FLAGS]\n"
         "\nCommands:\n" +
         columns(rows) + flag_section(global_flags()) + example_section(root_example) +
         "\nFlags win over the environment, the environment over the configuration file.\n"
         "'stile COMMAND --help' tells of one command. Exit codes: 0 done, 1 failed, 2 usage, 78 bad configuration.\n";
}

namespace {

std::string usage_of(const Command& command) {
  std::string usage = fmt::format("Usage: stile {}", command.name);
  // Flags behind the other command would be its own.
  if (command.operand.takes_the_rest)
    return fmt::format("{} [FLAGS] [--] {} [ARGUMENT...]", usage, command.operand.name);
  for (const Operand& operand : {command.operand, command.second_operand}) {
    if (operand.name.empty()) continue;
    const std::string_view more = operand.repeats ? "..." : "";
    const std::string word = fmt::format("{}{}", operand.name, more);
    usage += operand.required ? fmt::format(" {}", word) : fmt::format(" [{}]", word);
  }
  if (command.flags.size() > 1) usage += " [FLAGS]";
  return usage;
}

}  // namespace

std::string help_text(const Command& command) {
  std::string text = usage_of(command) + "\n\n" + wrapped(command.description, 0);
  std::vector<Row> operands;
  for (const Operand& operand : {command.operand, command.second_operand}) {
    if (!operand.name.empty()) operands.push_back({std::string(operand.name), std::string(operand.help)});
  }
  if (!operands.empty()) text += fmt::format("\nArgument{}:\n", operands.size() == 1 ? "" : "s") + columns(operands);
  return text + flag_section(command.flags) + example_section(command.example);
}

std::string version_text() {
#if defined(STILE_MINIMAL)
  constexpr std::string_view build = "minimal, static";
#else
  constexpr std::string_view build = "dynamic";
#endif
  const std::string_view tls = protect::has_tls() ? " tls" : "";
  const std::string_view accounting = observe::AccountingStore::built_in() ? " accounting" : "";
  const std::string_view gssapi = protect::has_gssapi() ? " gssapi" : "";
  const std::string_view pam = auth::pam_built_in() ? " pam" : "";
  const std::string_view run = sys::has_packet_rules() ? " run" : "";
  return fmt::format(
      "stile {} ({}, {})\nfeatures: socks5 socks4 http bind udp resolve ping proxy-protocol unix policy sandbox "
      "systemd command{}{}{}{}{}\n",
      STILE_VERSION, compiler_text(), build, pam, gssapi, tls, accounting, run);
}

}  // namespace stile::cli
