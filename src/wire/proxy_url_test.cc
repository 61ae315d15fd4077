// What people write as a proxy's address: what is taken, and where and how a mistake is told.
#include "wire/proxy_url.h"

#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>
#include <utility>

namespace stile::wire {
namespace {

ProxyUrl taken(std::string_view text) {
  const auto url = parse_proxy_url(text);
  if (url) return *url;
  ADD_FAILURE() << text << ": " << url.error().why;
  return {};
}

ProxyUrlError refused(std::string_view text) {
  const auto url = parse_proxy_url(text);
  if (!url) return url.error();
  ADD_FAILURE() << text << " was taken";
  return {};
}

// Protocol reference, section 10.
TEST(ProxyUrl, SchemesSayWhatIsSpokenAndWhoResolves) {
  constexpr std::array<std::pair<std::string_view, std::pair<ProxyProtocol, bool>>, 7> rows = {{
      {"socks4://192.0.2.1", {ProxyProtocol::socks4, false}},
      {"socks4a://192.0.2.1", {ProxyProtocol::socks4, true}},
      {"socks5://192.0.2.1", {ProxyProtocol::socks5, false}},
      {"socks5h://192.0.2.1", {ProxyProtocol::socks5, true}},
      {"SOCKS5H://192.0.2.1", {ProxyProtocol::socks5, true}},
      {"socks5://192.0.2.1/", {ProxyProtocol::socks5, false}},
      {"http://192.0.2.1", {ProxyProtocol::http, true}},
  }};
  for (const auto& [text, meaning] : rows) {
    const ProxyUrl url = taken(text);
    EXPECT_EQ(url.protocol, meaning.first) << text;
    EXPECT_EQ(url.resolves_names, meaning.second) << text;
    EXPECT_EQ(url.server.to_string(), "192.0.2.1:1080");
    EXPECT_FALSE(url.user);
    EXPECT_FALSE(url.password);
  }
}

TEST(ProxyUrl, InsideTls) {
  struct Row {
    std::string_view text;
    ProxyProtocol protocol;
    bool resolves_names;
    std::uint16_t port;
  };
  constexpr Row rows[] = {
      {"socks4+tls://proxy.example", ProxyProtocol::socks4, false, 1080},
      {"socks4a+tls://proxy.example", ProxyProtocol::socks4, true, 1080},
      {"socks5+tls://proxy.example", ProxyProtocol::socks5, false, 1080},
      {"socks5h+tls://proxy.example", ProxyProtocol::socks5, true, 1080},
      {"Socks5H+TLS://proxy.example:1443", ProxyProtocol::socks5, true, 1443},
      {"https://proxy.example", ProxyProtocol::http, true, 443},
      {"https://proxy.example:1080", ProxyProtocol::http, true, 1080},
  };
  for (const Row& row : rows) {
    const ProxyUrl url = taken(row.text);
    EXPECT_EQ(url.protocol, row.protocol) << row.text;
    EXPECT_EQ(url.resolves_names, row.resolves_names) << row.text;
    EXPECT_EQ(url.protection, ProxyProtection::tls) << row.text;
    EXPECT_EQ(url.server.port, row.port) << row.text;
    EXPECT_EQ(taken(url.to_string()), url) << row.text;
  }
  EXPECT_EQ(taken("http://proxy.example").protection, ProxyProtection::none);
  EXPECT_EQ(taken("https://a:b@proxy.example").to_string(), "https://proxy.example:443");
}

TEST(ProxyUrl, HostsAndPorts) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> rows = {{
      {"socks5h://proxy.example:9050", "proxy.example:9050"},
      {"socks5h://Proxy.Example.", "proxy.example:1080"},
      {"socks5h://[2001:db8::1]:1", "[2001:db8::1]:1"},
      {"socks5h://[::1]", "[::1]:1080"},
      {"socks5h://[::ffff:192.0.2.1]:65535", "192.0.2.1:65535"},
      {"socks5h://localhost", "localhost:1080"},
  }};
  for (const auto& [text, server] : rows) EXPECT_EQ(taken(text).server.to_string(), server) << text;
}

TEST(ProxyUrl, UserAndPasswordArePercentDecoded) {
  const ProxyUrl plain = taken("socks5h://alice:secret@proxy.example");
  EXPECT_EQ(plain.user, "alice");
  EXPECT_EQ(plain.password, "secret");
  const ProxyUrl odd = taken("socks5h://a%3Ab%00:p%40:%2fx@y@proxy.example:1");
  EXPECT_EQ(odd.user, std::string("a:b\0", 4));
  EXPECT_EQ(odd.password, "p@:/x@y");
  EXPECT_EQ(odd.server.to_string(), "proxy.example:1");
  const ProxyUrl no_password = taken("socks5://alice@proxy.example");
  EXPECT_EQ(no_password.user, "alice");
  EXPECT_FALSE(no_password.password);
  EXPECT_EQ(taken("socks4://bob@192.0.2.1").user, "bob");
  EXPECT_EQ(taken("socks5://" + std::string(255, 'u') + ":" + std::string(255, 'p') + "@h").user->size(), 255U);
}

TEST(ProxyUrl, MistakesAreLocatedAndCured) {
  struct Row {
    std::string_view text;
    std::size_t column;
    std::string_view why;
  };
  constexpr Row rows[] = {
      {"", 1, "no scheme"},
      {"proxy.example:1080", 1, "no scheme"},
      {"alice:secret@proxy.example", 1, "no scheme"},
      {"://proxy.example", 1, "no scheme"},
      {"so\x1b[31mcks5://proxy.example", 3, "no scheme"},
      {"socks://proxy.example", 1, "unknown"},
      {"sock5h://proxy.example", 1, "unknown"},
      {"ftp://proxy.example", 1, "unknown"},
      {"http+tls://proxy.example", 1, "unknown"},
      {"https+tls://proxy.example", 1, "unknown"},
      {"socks5+tls+tls://proxy.example", 1, "unknown"},
      {"socks4a+tls://bob:secret@192.0.2.1", 19, "no password"},
      {"https://a%3Ab:c@h", 9, "colon"},
      {"socks5+gssapi://alice@proxy.example", 17, "a Kerberos ticket says who the user is"},
      {"socks5://", 10, "no host"},
      {"socks5://:1080", 10, "no host"},
      {"socks5://alice@", 16, "no host"},
      {"socks5://a b", 10, "bad-byte"},
      {"socks5://127.1", 10, "numeric"},
      {"socks5://2001:db8::1", 10, "colon"},
      {"socks5://[2001:db8::1", 10, "bracket"},
      {"socks5://[fe80::1%25eth0]", 10, "bad-byte"},
      {"socks5://[::1]1080", 15, "port"},
      {"socks5://h:", 11, "port"},
      {"socks5://h:0", 11, "port"},
      {"socks5://h:65536", 11, "port"},
      {"socks5://h:+80", 11, "port"},
      {"socks5://h:80/path", 14, "follow"},
      {"socks5://h?x", 11, "follow"},
      {"socks5://@h", 10, "user"},
      {"socks5://:p@h", 10, "user"},
      {"socks5://alice:@h", 16, "password is empty"},
      {"socks5://alice:p%4@h", 17, "hexadecimal"},
      {"socks5://al%zzice@h", 12, "hexadecimal"},
      {"socks4://bob:secret@192.0.2.1", 14, "no password"},
      {"socks4a://bo%00b@192.0.2.1", 11, "NUL"},
      {"http://a%3Ab:c@h", 8, "colon"},
  };
  for (const Row& row : rows) {
    const ProxyUrlError error = refused(row.text);
    EXPECT_EQ(error.column, row.column) << row.text << ": " << error.why;
    EXPECT_NE(error.why.find(row.why), std::string::npos) << row.text << ": " << error.why;
    EXPECT_FALSE(error.cure.empty()) << row.text;
    EXPECT_EQ((error.why + error.cure).find('\x1b'), std::string::npos);
  }
  EXPECT_EQ(refused("sock5h://h").cure, "did you mean socks5h?");
  EXPECT_EQ(refused("socks5://" + std::string(256, 'u') + "@h").column, 10U);
  EXPECT_EQ(refused("socks5://u:" + std::string(256, 'p') + "@h").column, 12U);
}

// Threat TL2: no text that may reach a log or a screen holds a secret.
TEST(ProxyUrl, NoTextHoldsASecret) {
  EXPECT_EQ(taken("socks5h://alice:sentinel@proxy.example:1").to_string(), "socks5h://proxy.example:1");
  EXPECT_EQ(taken("socks4://sentinel@[::1]").to_string(), "socks4://[::1]:1080");
  for (const std::string_view text :
       {"alice:sentinel@h", "socks5://alice:sentinel@", "socks5://alice:sentinel@h:x", "socks5://alice:sentinel%@h",
        "socks5://alice:sentinel/@h", "socks5h://alice:sentinel@a b", "socks4://alice:sentinel@h"}) {
    const ProxyUrlError error = refused(text);
    EXPECT_EQ((error.why + error.cure).find("sentinel"), std::string::npos) << text;
  }
}

// A user and password of any octets come back as they were, each octet written as %XX.
TEST(ProxyUrl, AnyOctetsTravelPercentEncoded) {
  std::mt19937 random(1);
  const auto drawn = [&random] {
    std::string text(1 + random() % 255, '\0');
    for (char& octet : text) octet = static_cast<char>(random());
    return text;
  };
  const auto encoded = [](const std::string& text) {
    constexpr std::string_view digits = "0123456789aBcDeF";
    std::string out;
    for (const char octet : text) {
      const auto value = static_cast<std::uint8_t>(octet);
      out += std::string("%") + digits[value / 16] + digits[value % 16];
    }
    return out;
  };
  for (int i = 0; i < 200; ++i) {
    const std::string user = drawn();
    const std::string password = drawn();
    const ProxyUrl url = taken("socks5://" + encoded(user) + ":" + encoded(password) + "@h");
    EXPECT_EQ(url.user, user);
    EXPECT_EQ(url.password, password);
  }
}

}  // namespace
}  // namespace stile::wire
