#include "policy/words.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/nearest.h"

namespace stile::policy {
namespace {

constexpr auto commands = std::to_array<std::pair<std::string_view, Command>>({
    {"tcp", Command::tcp},
    {"connect", Command::tcp},
    {"udp", Command::udp},
    {"bind", Command::bind},
    {"ping", Command::ping},
    {"resolve", Command::resolve},
});

// Names of the IANA service registry and those people use in their place. Fixed, so that a policy means the same on
// every host, whatever its /etc/services says.
constexpr auto services = std::to_array<std::pair<std::string_view, std::uint16_t>>({
    {"amqp", 5672},       {"bgp", 179},          {"dns", 53},           {"domain", 53},      {"finger", 79},
    {"ftp", 21},          {"ftp-data", 20},      {"ftps", 990},         {"git", 9418},       {"gopher", 70},
    {"http", 80},         {"http-alt", 8080},    {"https", 443},        {"imap", 143},       {"imaps", 993},
    {"ipp", 631},         {"irc", 194},          {"ircs", 6697},        {"kerberos", 88},    {"ldap", 389},
    {"ldaps", 636},       {"microsoft-ds", 445}, {"mongodb", 27017},    {"mqtt", 1883},      {"mqtts", 8883},
    {"ms-sql-s", 1433},   {"mysql", 3306},       {"netbios-ssn", 139},  {"nfs", 2049},       {"nntp", 119},
    {"nntps", 563},       {"ntp", 123},          {"openvpn", 1194},     {"pop3", 110},       {"pop3s", 995},
    {"postgresql", 5432}, {"rdp", 3389},         {"redis", 6379},       {"rsync", 873},      {"rtsp", 554},
    {"sip", 5060},        {"sips", 5061},        {"smtp", 25},          {"smtps", 465},      {"snmp", 161},
    {"socks", 1080},      {"ssh", 22},           {"stun", 3478},        {"submission", 587}, {"submissions", 465},
    {"svn", 3690},        {"syslog", 514},       {"telnet", 23},        {"tftp", 69},        {"vnc", 5900},
    {"whois", 43},        {"xmpp-client", 5222}, {"xmpp-server", 5269},
});

constexpr auto options = std::to_array<std::string_view>(
    {"via", "rate", "sessions", "quota", "when", "egress", "mark", "redirect", "idle", "log"});

constexpr auto days = std::to_array<std::string_view>({"mon", "tue", "wed", "thu", "fri", "sat", "sun"});

constexpr auto hosts = std::to_array<std::string_view>(
    {"public", "private", "loopback", "link-local", "cgnat", "multicast", "metadata", "reserved", "self", "any"});

template <class Table>
constexpr auto keys_of(const Table& table) {
  std::array<std::string_view, std::tuple_size_v<Table>> keys{};
  for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = table[i].first;
  return keys;
}

constexpr auto command_keys = keys_of(commands);
constexpr auto service_keys = keys_of(services);

}  // namespace

std::optional<Command> command_named(std::string_view word) noexcept {
  const auto found = std::ranges::find(command_keys, word);
  if (found == command_keys.end()) return std::nullopt;
  return commands[static_cast<std::size_t>(found - command_keys.begin())].second;
}

std::optional<std::uint16_t> service_port(std::string_view word) noexcept {
  const auto found = std::ranges::find(service_keys, word);
  if (found == service_keys.end()) return std::nullopt;
  return services[static_cast<std::size_t>(found - service_keys.begin())].second;
}

bool is_option(std::string_view word) noexcept {
  return std::ranges::find(options, word) != options.end();
}

std::span<const std::string_view> command_words() noexcept {
  return command_keys;
}
std::span<const std::string_view> service_words() noexcept {
  return service_keys;
}
std::span<const std::string_view> option_words() noexcept {
  return options;
}
std::span<const std::string_view> day_words() noexcept {
  return days;
}
std::span<const std::string_view> class_words() noexcept {
  return std::span(hosts).first(hosts.size() - 1);
}
std::span<const std::string_view> host_words() noexcept {
  return hosts;
}

std::string quoted(std::string_view word) {
  constexpr std::size_t shown_octets_max = 64;
  constexpr std::string_view hex = "0123456789abcdef";
  std::string text = "'";
  for (const char c : word.substr(0, shown_octets_max)) {
    const auto octet = static_cast<unsigned char>(c);
    if (octet >= 0x20 && octet <= 0x7E) {
      text += c;
    } else {
      text += "\\x";
      text += hex[octet >> 4];
      text += hex[octet & 0xF];
    }
  }
  if (word.size() > shown_octets_max) text += "…";
  return text + "'";
}

std::string suggestion(std::string_view word, std::span<const std::string_view> known) {
  const auto meant = nearest(word, known);
  return meant ? " (did you mean '" + std::string(*meant) + "'?)" : "";
}

}  // namespace stile::policy
