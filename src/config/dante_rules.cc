#include "config/dante_rules.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string_view>

#include "base/address.h"
#include "base/number.h"
#include "policy/words.h"

namespace stile::config {
namespace {

using Words = std::vector<std::string>;
using Sources = std::vector<Cidr>;

const Cidr all_v4{Address::v4(0, 0, 0, 0), 0};
const Cidr all_v6{Address::parse("::").value(), 0};

bool has(const Words& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

/// 255.255.0.0 or 16.
std::optional<unsigned> prefix_length(std::string_view text, unsigned bits) {
  if (text.find('.') == std::string_view::npos) return whole_number<unsigned>(text, bits);
  const auto mask = Address::parse(text);
  if (!mask || !mask->is_v4()) return std::nullopt;
  unsigned length = 0;
  bool ended = false;
  for (const std::uint8_t octet : mask->octets()) {
    for (unsigned bit = 0x80; bit != 0; bit >>= 1) {
      if ((octet & bit) == 0)
        ended = true;
      else if (ended)
        return std::nullopt;
      else
        ++length;
    }
  }
  return length;
}

/// An address or network as Dante writes it: host bits do not count.
std::optional<Sources> networks(std::string_view word) {
  if (word == "0/0") return Sources{all_v4, all_v6};
  const std::size_t slash = word.find('/');
  const auto address = Address::parse(word.substr(0, slash));
  if (!address) return std::nullopt;
  const unsigned bits = address->is_v4() ? 32 : 128;
  const auto length = slash == std::string_view::npos ? bits : prefix_length(word.substr(slash + 1), bits);
  if (!length) return std::nullopt;
  constexpr std::array<std::uint8_t, 16> no_host{};
  const Cidr wide{*address, static_cast<std::uint8_t>(*length)};
  return Sources{Cidr{wide.address_with(no_host), wide.length}};
}

bool is_interface(std::string_view word) {
  const std::size_t digits = word.find_first_of("0123456789");
  return word == "lo" || (word.find('.') == std::string_view::npos && digits != 0 && digits != std::string_view::npos);
}

std::optional<std::uint16_t> port_of(std::string_view word) {
  if (const auto service = policy::service_port(word)) return service;
  const auto port = whole_number<unsigned>(word, 65'535);
  return port ? std::optional(static_cast<std::uint16_t>(*port)) : std::nullopt;
}

/// The words behind `port`: "= 80", "gt 1023", "8000-8099". Empty text: any port.
std::optional<std::string> ports_of(const Words& words) {
  if (words.empty()) return std::string();
  if (words.front() != "port") return std::nullopt;
  std::string_view relation = "eq";
  std::string_view value;
  if (words.size() == 2)
    value = words[1];
  else if (words.size() == 3)
    relation = words[1], value = words[2];
  else
    return std::nullopt;
  if (const std::size_t dash = value.find('-'); dash != std::string_view::npos && dash != 0) {
    const auto first = port_of(value.substr(0, dash));
    const auto last = port_of(value.substr(dash + 1));
    if (!first || !last || *first > *last || *first == 0 || (relation != "eq" && relation != "=")) return std::nullopt;
    return fmt::format("{}-{}", *first, *last);
  }
  const auto port = port_of(value);
  if (!port) return std::nullopt;
  const unsigned at = *port;
  const auto range = [](unsigned first, unsigned last) -> std::optional<std::string> {
    if (first > last || first == 0) return std::nullopt;
    return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
  };
  if (relation == "eq" || relation == "=") return at == 0 ? std::string() : range(at, at);
  if (relation == "gt") return range(at + 1, 65'535);
  if (relation == "ge") return range(std::max(at, 1U), 65'535);
  if (relation == "lt") return range(1, at == 0 ? 0 : at - 1);
  if (relation == "le") return range(1, at);
  if (relation != "neq" && relation != "ne" && relation != "!=") return std::nullopt;
  const auto below = range(1, at == 0 ? 0 : at - 1);
  const auto above = range(at + 1, 65'535);
  if (below && above) return *below + "," + *above;
  return below ? below : above;
}

/// Names that a policy can write without quotes.
bool is_plain_name(std::string_view name) {
  return !name.empty() &&
         std::ranges::all_of(name,
                             [](char octet) {
                               return (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') ||
                                      (octet >= '0' && octet <= '9') || octet == '_' || octet == '-';
                             }) &&
         name.front() != '-' && name != "anyone" && name != "anonymous" && name != "authenticated";
}

/// What one rule says, as far as it could be read.
struct Rule {
  int line = 1;
  bool pass = false;
  Sources from{all_v4, all_v6};
  Words targets{"any"};
  std::string ports;
  std::set<std::string> commands;  // empty: all
  bool replies_only = false;
  bool drops_replies = false;
  Words who;
  std::optional<Words> methods;
  std::map<std::string, std::string> options;  // by their first words
  std::string fault;                           // why it cannot be said exactly
  bool without_effect = false;                 // a block of what is closed anyway
};

class RuleReader {
 public:
  RuleReader(const DanteStatement& statement, bool pass, std::vector<ConfigError>& notes) : notes_(notes) {
    rule_.line = statement.line;
    rule_.pass = pass;
    for (const DanteEntry& entry : statement.entries) take(entry);
    finish_commands();
  }
  [[nodiscard]] Rule rule() && { return std::move(rule_); }

 private:
  void fail(std::string why) {
    if (rule_.fault.empty()) rule_.fault = std::move(why);
  }

  void take(const DanteEntry& entry) {
    const Words& words = entry.words;
    if (!seen_.insert(entry.key).second) return take_again(entry.key);
    if (entry.key == "from") return take_from(words);
    if (entry.key == "to") return take_to(words);
    if (entry.key == "command")
      commands_.insert(words.begin(), words.end());
    else if (entry.key == "protocol")
      protocols_.insert(words.begin(), words.end());
    else if (entry.key == "user" || entry.key == "group")
      take_who(entry);
    else if (entry.key == "method" || entry.key == "socksmethod")
      rule_.methods = words;
    else if (entry.key == "redirect to" || entry.key == "redirect from")
      take_redirect(entry);
    else if (entry.key == "bandwidth" || entry.key == "session.max")
      take_limit(entry);
    else if (entry.key == "libwrap")
      fail("libwrap");
    else if (entry.key != "log" && entry.key != "clientmethod") {
      notes_.push_back({entry.line, 1, fmt::format("'{}' is left out", entry.key)});
    }
  }

  // Which of the two holds is not for us to guess.
  void take_again(const std::string& key) {
    rule_.without_effect = false;
    rule_.from = {all_v4, all_v6};
    rule_.targets = {"any"};
    rule_.ports.clear();
    rule_.who.clear();
    rule_.methods.reset();
    fail(fmt::format("a second '{}'", key));
  }

  void take_from(const Words& words) {
    if (words.empty()) return fail("from");
    const auto found = networks(words.front());
    if (!found) return fail(fmt::format("from: {}", policy::quoted(words.front())));
    rule_.from = *found;
    if (words.size() > 1) fail("the port of the client");
  }

  void take_to(const Words& words) {
    if (words.empty()) return fail("to");
    const std::string& word = words.front();
    if (is_interface(word)) {
      // An address of this host: closed unless a rule names it.
      rule_.without_effect = !rule_.pass;
      return fail(fmt::format("to: {}", policy::quoted(word)));
    }
    if (const auto found = networks(word)) {
      const bool all = found->front().length == 0;
      rule_.targets = all ? Words{"any"} : Words{target_of(found->front())};
    } else {
      const bool below = word.starts_with('.');
      const auto host = canonical_host(below ? std::string_view(word).substr(1) : std::string_view(word));
      const HostName* const name = host ? std::get_if<HostName>(&*host) : nullptr;
      if (name == nullptr) return fail(fmt::format("to: {}", policy::quoted(word)));
      rule_.targets = {'"' + name->text() + '"'};
      if (below) rule_.targets.push_back("*." + name->text());
    }
    const auto ports = ports_of(Words(words.begin() + 1, words.end()));
    if (!ports) return fail("the port of the target");
    rule_.ports = *ports;
  }
  static std::string target_of(const Cidr& network) {
    const bool host = network.length == (network.base.is_v4() ? 32 : 128);
    const std::string text = host ? network.base.to_string() : network.to_string();
    return network.base.is_v4() ? text : "[" + text + "]";
  }

  void take_who(const DanteEntry& entry) {
    for (const std::string& name : entry.words) {
      if (!is_plain_name(name)) {
        fail(fmt::format("{}: {}", entry.key, policy::quoted(name)));
        everybody_ = true;
      } else {
        rule_.who.push_back((entry.key == "group" ? "group:" : "") + name);
      }
    }
    if (everybody_) rule_.who.clear();
  }

  void take_redirect(const DanteEntry& entry) {
    const Words& words = entry.words;
    const auto address = words.empty() ? std::nullopt : Address::parse(words.front());
    if (entry.key == "redirect from" && address && words.size() == 1) {
      rule_.options["egress"] = address->to_string();
      return;
    }
    const auto ports = words.empty() ? std::nullopt : ports_of(Words(words.begin() + 1, words.end()));
    const bool one = ports && !ports->empty() && ports->find_first_of("-,") == std::string::npos;
    if (entry.key == "redirect from" || !address || !one) return fail(entry.key);
    const std::string host = address->is_v4() ? address->to_string() : "[" + address->to_string() + "]";
    rule_.options["redirect"] = fmt::format("{}:{}", host, *ports);
  }

  void take_limit(const DanteEntry& entry) {
    const auto value =
        entry.words.size() == 1 ? whole_number<unsigned>(entry.words.front(), 1'000'000'000) : std::nullopt;
    if (!value || *value == 0) return fail(entry.key);
    if (entry.key == "session.max") {
      rule_.options["sessions"] = fmt::format("{}", *value);
      return;
    }
    const auto [size, unit] = *value % 1'000'000 == 0 ? std::pair(*value / 1'000'000, "MB")
                              : *value % 1'000 == 0   ? std::pair(*value / 1'000, "KB")
                                                      : std::pair(*value, "B");
    rule_.options["rate"] = fmt::format("{}{}/s", size, unit);
  }

  void finish_commands() {
    std::set<std::string> asked;
    if (commands_.empty()) asked = {"connect", "bind", "udpassociate"};
    for (const std::string& command : commands_) {
      if (command == "bindreply" || command == "udpreply")
        rule_.drops_replies = true;
      else
        asked.insert(command);
    }
    rule_.replies_only = asked.empty();
    const bool tcp = protocols_.empty() || protocols_.contains("tcp");
    const bool udp = protocols_.empty() || protocols_.contains("udp");
    for (const std::string& command : asked) {
      if (command == "connect" && tcp)
        rule_.commands.insert("tcp");
      else if (command == "bind" && tcp)
        rule_.commands.insert("bind");
      else if (command == "udpassociate" && udp)
        rule_.commands.insert("udp");
      else if (command != "connect" && command != "bind" && command != "udpassociate") {
        fail(fmt::format("command: {}", policy::quoted(command)));
      }
    }
    if (rule_.commands.empty() && !rule_.replies_only) fail("no command is left");
  }

  std::vector<ConfigError>& notes_;
  Rule rule_;
  std::set<std::string> seen_;
  std::set<std::string> commands_;
  std::set<std::string> protocols_;
  bool everybody_ = false;  // a name among them cannot be said
};

class Translator {
 public:
  Translator(const DanteCommon& common, std::vector<ConfigError>& notes) : common_(common), notes_(notes) {}

  std::string translate(const std::vector<DanteStatement>& statements) {
    for (const DanteStatement& statement : statements) {
      if (statement.head.starts_with("client ") || statement.head.starts_with("hostid ")) read_client(statement);
    }
    for (const DanteStatement& statement : statements) {
      const std::string& head = statement.head;
      // Before 1.4 the rules of requests had no name of their own.
      const bool pass = head == "socks pass" || head == "pass";
      if (pass || head == "socks block" || head == "block") {
        add(RuleReader(statement, pass, notes_).rule());
      } else if (head == "route" || head == "monitor") {
        note(statement.line, fmt::format("{} {{ … }} is left out", policy::quoted(head)));
      }
    }
    return std::move(text_);
  }

 private:
  void note(int line, std::string message) { notes_.push_back({line, 1, std::move(message)}); }

  // Who may connect at all becomes the sources of each rule behind it.
  void read_client(const DanteStatement& statement) {
    const bool pass = statement.head == "client pass";
    Rule rule = RuleReader(statement, pass, notes_).rule();
    if (rule.fault.starts_with("to:")) rule.fault.clear();  // which of Dante's own addresses: the listener says that
    if (statement.head.starts_with("hostid")) rule.fault = "hostid";
    if (!rule.fault.empty()) {
      if (statement.head == "client pass") {
        return note(rule.line, fmt::format("left out: {} cannot be said", rule.fault));
      }
      note(rule.line, fmt::format("{} cannot be said: nobody is let in by this rule and those behind it", rule.fault));
      closed_ = true;
    }
    if (closed_) return;
    if (pass) {
      clients_.insert(clients_.end(), rule.from.begin(), rule.from.end());
      return;
    }
    for (const Cidr& source : rule.from) {
      const auto holds = [&](const Cidr& passed) { return passed.contains(source); };
      if (std::ranges::any_of(clients_, holds)) continue;  // an earlier rule lets all of it in
      const auto within = [&](const Cidr& passed) { return source.contains(passed); };
      if (std::ranges::any_of(clients_, within)) {
        note(rule.line, "also closes a network in it that an earlier rule lets in: write that one's rules first");
      }
      text_ += fmt::format("{}: deny anyone from {} to any\n", name_of(rule.line), source.to_string());
    }
  }

  /// Addresses from which both let a request through.
  [[nodiscard]] Sources admitted(const Rule& rule) const {
    Sources both;
    const auto add = [&](const Cidr& source) {
      if (std::ranges::find(both, source) == both.end()) both.push_back(source);
    };
    for (const Cidr& source : rule.from) {
      for (const Cidr& client : clients_) {
        if (client.contains(source))
          add(source);
        else if (source.contains(client))
          add(client);
      }
    }
    return both;
  }

  void add(const Rule& rule) {
    if (rule.replies_only) {
      if (!rule.pass) note(rule.line, "left out: answers come back only where the request was allowed");
      return;
    }
    if (rule.without_effect)
      return note(rule.line, "left out: addresses of this host are closed unless a rule names them");
    if (!rule.fault.empty() && rule.pass)
      return note(rule.line, fmt::format("left out: {} cannot be said", rule.fault));
    if (!rule.fault.empty()) note(rule.line, fmt::format("denies more than it did: {} cannot be said", rule.fault));
    Sources sources = rule.pass ? admitted(rule) : rule.from;
    if (sources.empty()) return note(rule.line, "left out: no client rule lets anybody in for it");
    std::string line = fmt::format("{}: {} {}", name_of(rule.line), rule.pass ? "allow" : "deny", who(rule));
    const bool everywhere =
        std::ranges::find(sources, all_v4) != sources.end() && std::ranges::find(sources, all_v6) != sources.end();
    if (!everywhere) {
      Words words;
      for (const Cidr& source : sources) words.push_back(source.to_string());
      line += fmt::format(" from {}", fmt::join(words, ", "));
    }
    line += " to ";
    if (rule.pass || rule.commands.size() < 3) {
      for (const std::string& command : rule.commands) line += command + " ";
    }
    Words targets;
    for (const std::string& target : rule.targets) {
      targets.push_back(rule.ports.empty() ? target : target + ":" + rule.ports);
    }
    line += fmt::format("{}", fmt::join(targets, ", "));
    if (rule.pass) {
      std::map<std::string, std::string> options = rule.options;
      if (!common_.egress.empty()) options.emplace("egress", common_.egress);
      for (const auto& [word, value] : options) line += fmt::format(" {} {}", word, value);
    }
    text_ += line + "\n";
  }

  [[nodiscard]] std::string who(const Rule& rule) const {
    if (!rule.who.empty()) return fmt::format("{}", fmt::join(rule.who, ", "));
    const Words& methods = rule.methods ? *rule.methods : common_.methods;
    const bool named = rule.pass || rule.methods.has_value();
    if (!named || methods.empty()) return "anyone";
    const bool proved = std::ranges::any_of(methods, [](const std::string& method) { return method != "none"; });
    if (!has(methods, "none")) return "authenticated";
    return proved || !rule.methods ? "anyone" : "anonymous";
  }

  std::string name_of(int line) {
    const int before = lines_[line]++;
    return before == 0 ? fmt::format("line-{}", line) : fmt::format("line-{}-{}", line, before + 1);
  }

  const DanteCommon& common_;
  std::vector<ConfigError>& notes_;
  Sources clients_;
  bool closed_ = false;
  std::map<int, int> lines_;
  std::string text_;
};

}  // namespace

std::string dante_rules(const std::vector<DanteStatement>& statements, const DanteCommon& common,
                        std::vector<ConfigError>& notes) {
  return Translator(common, notes).translate(statements);
}

}  // namespace stile::config
