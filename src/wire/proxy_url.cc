#include "wire/proxy_url.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/nearest.h"
#include "base/number.h"

namespace stile::wire {
namespace {

struct Scheme {
  std::string_view word;
  ProxyProtocol protocol;
  bool resolves_names;
  ProxyProtection protection = ProxyProtection::none;
  std::uint16_t port = proxy_port_default;
};

constexpr Scheme schemes[] = {
    {"socks4", ProxyProtocol::socks4, false},
    {"socks4a", ProxyProtocol::socks4, true},
    {"socks5", ProxyProtocol::socks5, false},
    {"socks5h", ProxyProtocol::socks5, true},
    {"http", ProxyProtocol::http, true},
    {"socks4+tls", ProxyProtocol::socks4, false, ProxyProtection::tls},
    {"socks4a+tls", ProxyProtocol::socks4, true, ProxyProtection::tls},
    {"socks5+tls", ProxyProtocol::socks5, false, ProxyProtection::tls},
    {"socks5h+tls", ProxyProtocol::socks5, true, ProxyProtection::tls},
    {"socks5+gssapi", ProxyProtocol::socks5, false, ProxyProtection::gssapi},
    {"socks5h+gssapi", ProxyProtocol::socks5, true, ProxyProtection::gssapi},
    {"https", ProxyProtocol::http, true, ProxyProtection::tls, https_proxy_port_default},
    {"proxy-protocol", ProxyProtocol::proxy_protocol, false, ProxyProtection::none, http_port_default},
};

constexpr std::size_t login_octets_max = 255;  // RFC 1929 section 2; the SOCKS4 user is held to the same
static_assert(login_octets_max == limits::socks4_user_octets_max);

constexpr std::string_view spoken =
    "socks5h, socks5, socks4a, socks4 or http; inside TLS socks5h+tls, socks5+tls, socks4a+tls, socks4+tls or https; "
    "by a Kerberos ticket socks5h+gssapi or socks5+gssapi; with a PROXY header alone proxy-protocol";
constexpr std::string_view form = "write it as socks5h://HOST:PORT";

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& letter : lower) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter - 'A' + 'a');
  }
  return lower;
}

std::optional<std::uint8_t> hex_digit(char digit) noexcept {
  if (digit >= '0' && digit <= '9') return static_cast<std::uint8_t>(digit - '0');
  if (digit >= 'A' && digit <= 'F') return static_cast<std::uint8_t>(digit - 'A' + 10);
  if (digit >= 'a' && digit <= 'f') return static_cast<std::uint8_t>(digit - 'a' + 10);
  return std::nullopt;
}

/// Reads one text front to back; the first fault is kept. Every part is a view into the text, so that its column is
/// known.
class Reader {
 public:
  explicit Reader(std::string_view text) noexcept : text_(text) {}

  std::expected<ProxyUrl, ProxyUrlError> read() {
    read_scheme();
    if (!error_) read_authority();
    if (!error_) judge_login();
    if (error_) return std::unexpected(*std::move(error_));
    return std::move(url_);
  }

 private:
  void fail(std::size_t at, std::string why, std::string_view cure) {
    if (!error_) error_ = ProxyUrlError{.column = at + 1, .why = std::move(why), .cure = std::string(cure)};
  }
  [[nodiscard]] std::size_t place_of(std::string_view part) const noexcept {
    return static_cast<std::size_t>(part.data() - text_.data());
  }

  void read_scheme() {
    const std::size_t end = text_.find("://");
    if (end == std::string_view::npos) return fail(0, "it names no scheme", form);
    const std::string word = lower_case(text_.substr(0, end));
    const std::size_t odd = word.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789+-.");
    if (odd != std::string::npos || word.empty()) return fail(word.empty() ? 0 : odd, "it names no scheme", form);
    const auto row = std::ranges::find(schemes, word, &Scheme::word);
    if (row == std::end(schemes)) return fail_scheme(word);
    url_.protocol = row->protocol;
    url_.resolves_names = row->resolves_names;
    url_.protection = row->protection;
    port_default_ = row->port;
    rest_ = text_.substr(end + 3);
  }

  void fail_scheme(const std::string& word) {
    std::vector<std::string_view> known;
    for (const Scheme& scheme : schemes) known.push_back(scheme.word);
    const auto meant = nearest(word, known);
    fail(0, "the scheme " + word + " is unknown",
         meant ? "did you mean " + std::string(*meant) + "?" : "use " + std::string(spoken));
  }

  void read_authority() {
    const std::size_t end = std::min(rest_.find_first_of("/?#"), rest_.size());
    const std::string_view behind = rest_.substr(end);
    if (!behind.empty() && behind != "/") return fail(place_of(behind), "nothing may follow the port", "end it there");
    std::string_view authority = rest_.substr(0, end);
    // The last one, because people leave an @ in a password as it is.
    if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
      read_login(authority.substr(0, at));
      authority.remove_prefix(at + 1);
    }
    read_server(authority);
  }

  void read_login(std::string_view login) {
    const std::size_t colon = login.find(':');
    url_.user = decoded(login.substr(0, colon));
    if (url_.user->empty()) fail(place_of(login), "the user before the @ is empty", "leave out the @, or name a user");
    if (colon == std::string_view::npos) return;
    const std::string_view password = login.substr(colon + 1);
    url_.password = decoded(password);
    password_at_ = place_of(password);
    if (url_.password->empty()) fail(password_at_, "the password is empty", "leave out the colon, or give a password");
  }

  std::string decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '%') {
        out += text[i];
        continue;
      }
      const auto high = i + 1 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
      const auto low = i + 2 < text.size() ? hex_digit(text[i + 2]) : std::nullopt;
      if (!high || !low) {
        fail(place_of(text) + i, "two hexadecimal digits are due behind %", "write %25 for a percent sign");
        return {"-"};
      }
      out += static_cast<char>(*high * 16 + *low);
      i += 2;
    }
    if (out.size() > login_octets_max) fail(place_of(text), "a user or password has at most 255 octets", "shorten it");
    return out;
  }

  void read_server(std::string_view server) {
    std::string_view host = server.substr(0, server.rfind(':'));
    if (server.starts_with('[')) {
      const std::size_t bracket = server.find(']');
      if (bracket == std::string_view::npos) return fail(place_of(server), "the bracket is not closed", "add the ]");
      host = server.substr(0, bracket + 1);
    } else if (host.find(':') != std::string_view::npos) {
      return fail(place_of(server), "more than one colon stands in it", "put an IPv6 address into brackets");
    }
    if (host.empty()) return fail(place_of(server), "it names no host", form);
    auto canonical = canonical_host(host);
    if (!canonical) {
      return fail(place_of(host), "no host may be called so: " + std::string(name(canonical.error().rejection)), form);
    }
    url_.server.host = *std::move(canonical);
    read_port(server.substr(host.size()));
  }

  void read_port(std::string_view text) {
    url_.server.port = port_default_;
    if (text.empty()) return;
    const auto port = whole_number<std::uint16_t>(text.substr(1));
    if (!text.starts_with(':') || !port || *port == 0) {
      return fail(place_of(text), "a port is a number from 1 to 65535 behind a colon", form);
    }
    url_.server.port = *port;
  }

  void judge_login() {
    if (url_.user && url_.protection == ProxyProtection::gssapi) {
      return fail(place_of(rest_), "a Kerberos ticket says who the user is", "leave out what stands before the @");
    }
    if (url_.protocol == ProxyProtocol::socks5) return;
    if (url_.protocol == ProxyProtocol::proxy_protocol) {
      if (!url_.user) return;
      return fail(place_of(rest_), "a PROXY header has no place for a login", "leave out what stands before the @");
    }
    if (url_.protocol == ProxyProtocol::http) {
      if (!url_.user || url_.user->find(':') == std::string::npos) return;
      return fail(place_of(rest_), "the user of an HTTP proxy holds no colon", "leave out the %3A");
    }
    if (url_.password) return fail(password_at_, "SOCKS4 knows no password", "leave it out, or use socks5h");
    if (url_.user && url_.user->find('\0') != std::string::npos) {
      fail(place_of(rest_), "a SOCKS4 user holds no NUL", "leave out the %00");
    }
  }

  std::string_view text_;
  std::string_view rest_;
  std::size_t password_at_ = 0;
  std::uint16_t port_default_ = proxy_port_default;
  ProxyUrl url_;
  std::optional<ProxyUrlError> error_;
};

}  // namespace

std::string ProxyUrl::to_string() const {
  const auto row = std::ranges::find_if(schemes, [this](const Scheme& scheme) {
    return scheme.protocol == protocol && scheme.resolves_names == resolves_names && scheme.protection == protection;
  });
  return std::string(row->word) + "://" + server.to_string();
}

std::expected<ProxyUrl, ProxyUrlError> parse_proxy_url(std::string_view text) {
  return Reader(text).read();
}

}  // namespace stile::wire
