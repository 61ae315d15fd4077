// A whole file of Dante's as a configuration file.
#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>

#include "base/address.h"
#include "base/number.h"
#include "config/dante.h"
#include "config/dante_rules.h"
#include "policy/words.h"

namespace stile::config {
namespace {

constexpr unsigned default_port = 1080;

/// The settings outside of all rules.
class Settings {
 public:
  explicit Settings(std::vector<ConfigError>& notes) : notes_(notes) {}

  void take(const DanteEntry& entry) {
    const auto found = takers().find(entry.key);
    if (found != takers().end()) return (this->*found->second)(entry);
    note(entry, fmt::format("'{}' is left out", entry.key));
  }

  /// Once all are taken.
  void finish() {
    if (externals_.size() == 1) {
      common_.egress = externals_.front();
    } else if (externals_.size() > 1) {
      notes_.push_back(
          {external_line_, 1,
           "several external addresses or interfaces: the routing table chooses (write 'egress ADDRESS' behind the "
           "rules that are to leave from one)"});
    }
  }

  [[nodiscard]] const DanteCommon& common() const { return common_; }
  [[nodiscard]] std::string text() const {
    std::string text;
    for (const std::string& address : listeners_) {
      text += fmt::format("[[listen]]\naddress = \"{}\"\n{}\n", address, auth());
    }
    if (has_passwords()) text += "[users]\nfile = \"users\"\n\n";
    if (!limits_.empty()) text += "[limits]\n" + limits_ + "\n";
    if (!udp_.empty()) text += "[udp]\n" + udp_ + "\n";
    return text;
  }

 private:
  using Taker = void (Settings::*)(const DanteEntry&);

  static const std::map<std::string, Taker, std::less<>>& takers() {
    static const std::map<std::string, Taker, std::less<>> table{
        {"internal", &Settings::take_internal},
        {"external", &Settings::take_external},
        {"external.rotation", &Settings::take_rotation},
        {"method", &Settings::take_methods},
        {"socksmethod", &Settings::take_methods},
        {"clientmethod", &Settings::take_client_methods},
        {"timeout.negotiate", &Settings::take_timeout},
        {"timeout.connect", &Settings::take_timeout},
        {"timeout.io", &Settings::take_timeout},
        {"timeout.io.tcp", &Settings::take_timeout},
        {"timeout.io.udp", &Settings::take_timeout},
        {"connecttimeout", &Settings::take_timeout},
        {"iotimeout", &Settings::take_timeout},
        {"udp.portrange", &Settings::take_port_range},
        {"logoutput", &Settings::take_log},
        {"errorlog", &Settings::take_log},
        {"user.privileged", &Settings::take_user},
        {"user.unprivileged", &Settings::take_user},
        {"user.notprivileged", &Settings::take_user},
        {"user.libwrap", &Settings::take_user},
    };
    return table;
  }
  void note(const DanteEntry& entry, std::string message) { notes_.push_back({entry.line, 1, std::move(message)}); }

  void take_internal(const DanteEntry& entry) {
    const auto address = entry.words.empty() ? std::nullopt : Address::parse(entry.words.front());
    std::optional<unsigned> port = default_port;
    if (entry.words.size() > 1) {
      port = entry.words.size() == 4 && entry.words[1] == "port" && entry.words[2] == "="
                 ? whole_number<unsigned>(entry.words[3])
                 : std::nullopt;
    }
    if (!address || !port || *port == 0 || *port > 65'535) {
      return note(entry, "no listener: write [[listen]] with an address of this interface and a port");
    }
    const std::string place = Endpoint{*address, static_cast<std::uint16_t>(*port)}.to_string();
    if (std::ranges::find(listeners_, place) == listeners_.end()) listeners_.push_back(place);
  }

  void take_external(const DanteEntry& entry) {
    const std::string_view word = entry.words.empty() ? std::string_view() : entry.words.front();
    const auto address = Address::parse(word);
    if (!address && !InterfaceName::parse(word)) return note(entry, "neither an address nor an interface");
    if (!address) note(entry, "an interface: connections leave by it, and not only from its address");
    externals_.push_back(address ? address->to_string() : std::string(word));
    external_line_ = entry.line;
  }

  void take_rotation(const DanteEntry& entry) {
    if (entry.words != std::vector<std::string>{"route"}) note(entry, "the routing table chooses, as 'route' does");
  }

  void take_methods(const DanteEntry& entry) {
    for (const std::string& method : entry.words) {
      if (method == "none" || method == "username") {
        if (std::ranges::find(common_.methods, method) == common_.methods.end()) common_.methods.push_back(method);
      } else {
        note(entry, fmt::format("the method {} is left out", policy::quoted(method)));
        if (common_.methods.empty()) common_.methods.emplace_back("username");
      }
    }
    if (has_passwords()) note(entry, "users of the system are not taken over: make them with 'stile user add'");
  }

  void take_client_methods(const DanteEntry& entry) {
    if (entry.words != std::vector<std::string>{"none"}) note(entry, "clients are let in by address, not by method");
  }

  void take_timeout(const DanteEntry& entry) {
    const auto seconds = entry.words.size() == 1 ? whole_number<unsigned>(entry.words.front()) : std::nullopt;
    const bool is_long = entry.key.starts_with("timeout.io") || entry.key == "iotimeout";
    if (!seconds || *seconds > (is_long ? 86'400U : 600U))
      return note(entry, fmt::format("'{}' is left out", entry.key));
    if (*seconds == 0) return;  // for ever, or as the system has it
    if (entry.key == "timeout.io.udp") {
      set(udp_, "mapping_idle", *seconds);
    } else if (entry.key == "timeout.negotiate") {
      set(limits_, "handshake", *seconds);
    } else if (entry.key == "timeout.connect" || entry.key == "connecttimeout") {
      set(limits_, "connect", *seconds);
      set(limits_, "connect_total", std::max(*seconds, 30U));
    } else {
      set(limits_, "idle", *seconds);
    }
  }
  /// The first of several stands.
  static void set(std::string& table, std::string_view key, unsigned seconds) {
    const std::string line = fmt::format("{} = ", key);
    if (!table.starts_with(line) && table.find("\n" + line) == std::string::npos) {
      table += fmt::format("{}\"{}s\"\n", line, seconds);
    }
  }

  void take_port_range(const DanteEntry& entry) {
    const std::string text = entry.words.size() == 1 ? entry.words.front() : "";
    const std::size_t dash = text.find('-');
    const auto first = whole_number<unsigned>(std::string_view(text).substr(0, dash));
    const auto last =
        dash == std::string::npos ? std::nullopt : whole_number<unsigned>(std::string_view(text).substr(dash + 1));
    if (!first || !last || *first == 0 || *first > *last || *last > 65'535 || udp_.find("ports") != std::string::npos) {
      return note(entry, "'udp.portrange' is left out");
    }
    udp_ += fmt::format("ports = \"{}-{}\"\n", *first, *last);
  }

  void take_log(const DanteEntry& entry) { note(entry, "records go to standard output, messages to standard error"); }
  void take_user(const DanteEntry& entry) { note(entry, "start Stile as the user that it is to be"); }

  [[nodiscard]] bool has_passwords() const {
    return std::ranges::find(common_.methods, "username") != common_.methods.end();
  }
  [[nodiscard]] std::string auth() const {
    std::string words;
    for (const std::string& method : common_.methods) {
      words += fmt::format("{}\"{}\"", words.empty() ? "" : ", ", method == "username" ? "password" : "none");
    }
    return words.empty() ? "auth = [\"none\"]\n" : fmt::format("auth = [{}]\n", words);
  }

  std::vector<ConfigError>& notes_;
  std::vector<std::string> listeners_;
  std::vector<std::string> externals_;
  int external_line_ = 0;
  DanteCommon common_;
  std::string limits_;
  std::string udp_;
};

}  // namespace

std::expected<DanteImport, std::vector<ConfigError>> import_dante(std::string_view text) {
  auto statements = read_dante(text);
  if (!statements) return std::unexpected(std::move(statements.error()));
  DanteImport result;
  Settings settings(result.notes);
  for (const DanteStatement& statement : *statements) {
    if (statement.head.empty()) settings.take(statement.entries.front());
  }
  settings.finish();
  const std::string rules = dante_rules(*statements, settings.common(), result.notes);
  result.text =
      "# Read from a file of Dante's. Narrower than there: `any` is every public address (name `private` or a\n"
      "# network to reach inside), and without ports it leaves out tcp 25.\n" +
      settings.text() + "[policy]\nrules = '''\n" + rules + "'''\n";
  std::ranges::sort(result.notes, {}, &ConfigError::line);
  return result;
}

}  // namespace stile::config
