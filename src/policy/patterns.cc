#include "policy/patterns.h"

#include <algorithm>
#include <array>

#include "base/nearest.h"
#include "base/number.h"
#include "policy/words.h"

namespace stile::policy {
namespace {

constexpr auto who_words = std::to_array<std::string_view>({"anyone", "anonymous", "authenticated"});
constexpr auto who_kinds = std::to_array<std::string_view>({"group", "cert", "uid"});

std::unexpected<Fault> fault(std::string message, std::size_t offset = 0) {
  return std::unexpected(Fault{.message = std::move(message), .offset = offset});
}

bool is_quoted(std::string_view word) noexcept {
  return word.size() >= 2 && word.front() == '"' && word.find('"', 1) == word.size() - 1;
}

std::string_view without_quotes(std::string_view word) noexcept {
  return is_quoted(word) ? word.substr(1, word.size() - 2) : word;
}

bool all_digits(std::string_view text) noexcept {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// A user's or group's name, quoted or not; the caller says what it is in `kind`.
std::expected<std::string, Fault> parse_name(std::string_view word, std::string_view kind) {
  const std::string_view text = without_quotes(word);
  if (text.empty()) return fault("the name of a " + std::string(kind) + " is missing");
  if (text.find('"') != std::string_view::npos) return fault("quotes must enclose the whole name");
  return std::string(text);
}

// [IPv6] and [IPv6/n] without their brackets; anything else as it is.
std::string_view without_brackets(std::string_view text) noexcept {
  const bool enclosed = text.size() >= 2 && text.front() == '[' && text.back() == ']';
  return enclosed && text.find(':') != std::string_view::npos ? text.substr(1, text.size() - 2) : text;
}

// The address with everything behind its first `length` bits set to zero.
Address masked(const Address& address, unsigned length) {
  std::array<std::uint8_t, 16> octets{};
  std::ranges::copy(address.octets(), octets.begin());
  const std::size_t size = address.octets().size();
  for (std::size_t bit = length; bit < size * 8; ++bit) {
    octets[bit / 8] = static_cast<std::uint8_t>(octets[bit / 8] & ~(0x80U >> bit % 8));
  }
  return address.is_v4() ? Address::v4(std::span(octets).first<4>()) : Address::v6(octets);
}

// Why `text`, which holds a slash, is no CIDR.
std::string cidr_fault(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string_view base = text.substr(0, slash);
  const auto address = Address::parse(base);
  if (!address) return quoted(base) + " is not an address";
  const unsigned bits = address->is_v4() ? 32 : 128;
  const auto length = whole_number<unsigned>(text.substr(slash + 1), bits);
  if (!length) {
    if (text.substr(slash).find(':') != std::string_view::npos) {
      return quoted(text) + " needs brackets: [ADDRESS/LENGTH]:PORTS";
    }
    return quoted(text) + " needs a prefix length of 0 to " + std::to_string(bits);
  }
  const Cidr meant{.base = masked(*address, *length), .length = static_cast<std::uint8_t>(*length)};
  return quoted(text) + " has bits set beyond its prefix length (did you mean '" + meant.to_string() + "'?)";
}

std::string host_fault(std::string_view text, const HostError& error) {
  std::string message = quoted(text) + " is not a host name: " + std::string(name(error.rejection));
  if (error.rejection == HostRejection::bad_byte) {
    constexpr std::string_view hex = "0123456789abcdef";
    message += " 0x";
    message += hex[error.octet >> 4];
    message += hex[error.octet & 0xF];
    if (error.octet >= 0x80) message += " (names outside ASCII are written in their xn-- form)";
  }
  return message;
}

std::expected<HostName, Fault> parse_host_name(std::string_view text) {
  auto host = canonical_host(text);
  if (!host) return fault(host_fault(text, host.error()));
  if (auto* host_name = std::get_if<HostName>(&*host)) return std::move(*host_name);
  return fault(quoted(text) + " is an address, not a name");
}

std::expected<HostPattern, Fault> parse_wildcard(std::string_view text) {
  if (text == "*") return fault("unknown host '*' (did you mean 'any'?)");
  if (!text.starts_with("*.") || text.find('*', 1) != std::string_view::npos) {
    return fault(quoted(text) + ": '*' may only stand as the whole left-most label, as in '*.example.com'");
  }
  auto below = parse_host_name(text.substr(2));
  if (!below) return std::unexpected(std::move(below.error()));
  return NamesBelow{std::move(*below)};
}

// The user behind a Unix-domain socket, as auth::Authenticator names it: one spelling a number.
std::expected<Who, Fault> parse_uid(std::string_view text, std::size_t offset) {
  if (!plain_number<std::uint32_t>(text)) {
    return fault("expected a user's number behind 'uid:', such as uid:1000", offset);
  }
  return User{"uid:" + std::string(text)};
}

}  // namespace

std::expected<Who, Fault> parse_who(std::string_view word) {
  if (word == "anyone") return Anyone{};
  if (word == "anonymous") return Anonymous{};
  if (word == "authenticated") return Authenticated{};
  const bool plain = !word.starts_with('"');
  const std::size_t colon = plain ? word.find(':') : std::string_view::npos;
  if (colon != std::string_view::npos) {
    const std::string_view kind = word.substr(0, colon);
    if (kind == "cert") {
      auto name = parse_name(word.substr(colon + 1), "certificate");
      if (!name) return fault(std::move(name.error().message), colon + 1);
      return User{"cert:" + std::move(*name)};  // as auth::Authenticator names it
    }
    if (kind == "uid") return parse_uid(word.substr(colon + 1), colon + 1);
    if (kind != "group") return fault("unknown kind of client " + quoted(kind) + suggestion(kind, who_kinds));
    auto group = parse_name(word.substr(colon + 1), "group");
    if (!group) return fault(std::move(group.error().message), colon + 1);
    return Group{std::move(*group)};
  }
  if (plain) {
    const auto meant = word == "any" || word == "all" || word == "everyone" ? "anyone" : nearest(word, who_words);
    if (meant) {
      return fault("unknown client " + quoted(word) + " (did you mean '" + std::string(*meant) +
                   "'? a user of that name must be quoted)");
    }
  }
  auto user = parse_name(word, "user");
  if (!user) return std::unexpected(std::move(user.error()));
  return User{std::move(*user)};
}

std::expected<Source, Fault> parse_source(std::string_view word) {
  if (const auto target_class = target_class_named(word)) return *target_class;
  const std::string_view text = without_brackets(word);
  if (const auto cidr = Cidr::parse(text)) return *cidr;
  if (text.find('/') != std::string_view::npos) return fault(cidr_fault(text));
  if (word == "any" || word == "anywhere" || word == "anyone") {
    return fault("unknown source " + quoted(word) + " (leave out 'from' to mean every source)");
  }
  return fault("unknown source " + quoted(word) + ": an address, a CIDR or a class is expected" +
               suggestion(word, class_words()));
}

std::expected<TargetWord, Fault> split_target(std::string_view word) {
  std::size_t end = word.find(':');
  if (word.starts_with(list_prefix)) {
    end = std::min(word.find(':', list_prefix.size()), word.size());
  } else if (word.starts_with('"')) {
    end = word.find('"', 1) + 1;
  } else if (word.starts_with('[')) {
    const std::size_t bracket = word.find(']');
    if (bracket == std::string_view::npos) return fault("']' is missing in " + quoted(word));
    end = bracket + 1;
  } else if (end != word.rfind(':')) {
    end = word.size();  // an IPv6 address or prefix without brackets has no ports
  }
  if (end >= word.size()) return TargetWord{.host = word, .ports = std::nullopt};
  if (word[end] != ':') return fault("expected ':' and ports behind " + quoted(word.substr(0, end)), end);
  const std::string_view ports = word.substr(end + 1);
  if (ports.empty()) return fault("ports are missing behind ':'", end);
  return TargetWord{.host = word.substr(0, end), .ports = ports, .ports_offset = end + 1};
}

std::expected<HostPattern, Fault> parse_host(std::string_view host) {
  if (is_quoted(host)) {
    auto exact = parse_host_name(without_quotes(host));
    if (!exact) return std::unexpected(std::move(exact.error()));
    return ExactName{std::move(*exact)};
  }
  if (host == "any") return Any{};
  if (const auto target_class = target_class_named(host)) return *target_class;
  if (host.find('*') != std::string_view::npos) return parse_wildcard(host);
  if (host.find('/') != std::string_view::npos) {
    const std::string_view text = without_brackets(host);
    if (const auto cidr = Cidr::parse(text)) return *cidr;
    return fault(cidr_fault(text));
  }
  // A mistyped class would otherwise be the name of a host that nobody asks for: a deny without effect.
  if (host.find('.') == std::string_view::npos) {
    if (const auto meant = nearest(host, host_words())) {
      return fault("unknown class " + quoted(host) + " (did you mean '" + std::string(*meant) +
                   "'? a host of that name must be quoted)");
    }
  }
  auto canonical = canonical_host(host);
  if (!canonical) return fault(host_fault(host, canonical.error()));
  if (const auto* address = std::get_if<Address>(&*canonical)) return Cidr::host(*address);
  return ExactName{std::get<HostName>(std::move(*canonical))};
}

bool is_plain_name(std::string_view name) noexcept {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

std::expected<ListRef, Fault> parse_list_name(std::string_view name, const Lists& lists) {
  if (const auto found = lists.find(name); found != lists.end()) return ListRef{found->first, found->second};
  std::vector<std::string_view> known;
  for (const auto& [key, list] : lists) known.push_back(key);
  const std::string hint = suggestion(name, known);
  return fault("no list is named " + quoted(name) + (hint.empty() ? " ([policy] lists names them)" : hint));
}

bool is_port_number(std::string_view word) noexcept {
  const std::size_t dash = word.find('-');
  if (dash == std::string_view::npos) return all_digits(word);
  return all_digits(word.substr(0, dash)) && all_digits(word.substr(dash + 1));
}

std::expected<PortRange, Fault> parse_ports(std::string_view word) {
  if (const auto port = service_port(word)) return PortRange{.first = *port, .last = *port};
  if (!is_port_number(word)) return fault("unknown service " + quoted(word) + suggestion(word, service_words()));
  constexpr unsigned port_max = 65535;
  const std::size_t dash = word.find('-');
  const auto first = whole_number<unsigned>(word.substr(0, dash), port_max);
  const auto last = dash == std::string_view::npos ? first : whole_number<unsigned>(word.substr(dash + 1), port_max);
  if (!first || !last) return fault(quoted(word) + ": ports go up to 65535");
  if (*first > *last) {
    return fault(quoted(word) + " ends before it begins (did you mean '" + std::to_string(*last) + "-" +
                 std::to_string(*first) + "'?)");
  }
  return PortRange{.first = static_cast<std::uint16_t>(*first), .last = static_cast<std::uint16_t>(*last)};
}

}  // namespace stile::policy
