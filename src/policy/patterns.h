// The single words of a rule, read one at a time: who, source, target host, ports. Each gives a value or the sentence
// that says what is wrong with it; line and column are the caller's (rules.cc). Pure. Tested in rules_test.cc.
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "policy/rules.h"

namespace stile::policy {

/// What begins a target that is a list.
inline constexpr std::string_view list_prefix = "list:";

/// What is wrong, and how many octets into the word.
struct Fault {
  std::string message;
  std::size_t offset = 0;
};

[[nodiscard]] std::expected<Who, Fault> parse_who(std::string_view word);
[[nodiscard]] std::expected<Source, Fault> parse_source(std::string_view word);

/// HOST[:PORTS] taken apart; of a list, the host is `list:NAME`.
struct TargetWord {
  std::string_view host;
  std::optional<std::string_view> ports;
  std::size_t ports_offset = 0;
};
[[nodiscard]] std::expected<TargetWord, Fault> split_target(std::string_view word);

/// Any host but a list.
[[nodiscard]] std::expected<HostPattern, Fault> parse_host(std::string_view host);
/// The octets of rule names and of lists' names.
[[nodiscard]] bool is_plain_name(std::string_view name) noexcept;
/// `list:NAME`, of which `name` is the part behind the colon.
[[nodiscard]] std::expected<ListRef, Fault> parse_list_name(std::string_view name, const Lists& lists);

/// True for digits and for digits-digits: behind a comma these go on with the ports.
[[nodiscard]] bool is_port_number(std::string_view word) noexcept;
/// One port, range or service name.
[[nodiscard]] std::expected<PortRange, Fault> parse_ports(std::string_view word);

}  // namespace stile::policy
