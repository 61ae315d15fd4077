// The file that browsers are handed, octet by octet; what its script does is seen in tests/e2e/pac_test.py.
#include "wire/pac.h"

#include <gtest/gtest.h>

#include <cctype>
#include <string>

#include "base/limits.h"
#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

HostName name_of(std::string_view text) {
  return std::get<HostName>(canonical_host(text).value());
}

PacVisit visit_at(std::string_view reached, bool inside_tls = false) {
  return {.reached = Endpoint::parse(reached).value(), .inside_tls = inside_tls};
}

const PacPlan plan{.ways = {PacWay::http, PacWay::socks5},
                   .host = {},
                   .names = {name_of("localhost"), name_of("corp.example")},
                   .networks = {*Cidr::parse("127.0.0.0/8"), *Cidr::parse("fe80::/10")}};

/// What the script says first; the rest is the same for everybody.
std::string proxies(const PacPlan& of, const PacVisit& visit) {
  const std::string text = PacFile(of).text(visit);
  const std::string before = "\nvar proxy = \"";
  const std::size_t begin = text.find(before) + before.size();
  return text.substr(begin, text.find('"', begin) - begin);
}

TEST(Pac, TheWholeResponse) {
  const std::string beginning =
      "// From the proxy, for browsers: which way a URL goes.\n"
      "var proxy = \"PROXY 192.0.2.1:1080; SOCKS5 192.0.2.1:1080\";\n"
      "var names = [\"localhost\", \"corp.example\"];\n"
      "var networks = [[\"127.0.0.0\", 8], [\"fe80::\", 10]];\n"
      "\nfunction groups(host) {\n";
  const PacFile file(plan);
  const std::string text = file.text(visit_at("192.0.2.1:1080"));
  EXPECT_TRUE(text.starts_with(beginning)) << text;
  EXPECT_TRUE(text.ends_with("  return proxy;\n}\n"));
  const std::string head =
      "HTTP/1.1 200 OK\r\n"
      "Content-Type: application/x-ns-proxy-autoconfig\r\n"
      "Content-Length: " +
      std::to_string(text.size()) +
      "\r\n"
      "Cache-Control: private, max-age=300\r\n"
      "X-Content-Type-Options: nosniff\r\n";
  EXPECT_EQ(file.response(visit_at("192.0.2.1:1080"), false, false), head + "\r\n" + text);
  EXPECT_EQ(file.response(visit_at("192.0.2.1:1080"), true, true), head + "Connection: close\r\n\r\n");
}

TEST(Pac, NothingIsDirectWithoutAWord) {
  const std::string text =
      PacFile({.ways = {PacWay::socks5}, .host = {}, .names = {}, .networks = {}}).text(visit_at("[::1]:1"));
  EXPECT_NE(text.find("var proxy = \"SOCKS5 [::1]:1\";\nvar names = [];\nvar networks = [];\n"), std::string::npos);
}

TEST(Pac, WaysStandInTheirOrderAndAddressesInBrackets) {
  EXPECT_EQ(proxies(plan, visit_at("[2001:db8::1]:8080")), "PROXY [2001:db8::1]:8080; SOCKS5 [2001:db8::1]:8080");
  PacPlan turned = plan;
  turned.ways = {PacWay::socks5, PacWay::http};
  EXPECT_EQ(proxies(turned, visit_at("10.0.0.1:3128")), "SOCKS5 10.0.0.1:3128; PROXY 10.0.0.1:3128");
}

TEST(Pac, AConfiguredNameTakesThePlaceOfTheAddressAndNotOfThePort) {
  PacPlan named = plan;
  named.host = *canonical_host("Proxy.Example.");
  EXPECT_EQ(proxies(named, visit_at("10.0.0.1:3128")), "PROXY proxy.example:3128; SOCKS5 proxy.example:3128");
  named.host = *canonical_host("2001:db8::7");
  EXPECT_EQ(proxies(named, visit_at("10.0.0.1:3128", true)), "HTTPS [2001:db8::7]:3128");
}

TEST(Pac, WhoAsksInsideTlsIsToldOfNothingElse) {
  EXPECT_EQ(proxies(plan, visit_at("10.0.0.1:443", true)), "HTTPS 10.0.0.1:443");
}

TEST(Pac, TheLargestFileIsSmall) {
  PacPlan large = plan;
  const std::string label(limits::label_octets_max, 'x');
  const std::string longest = label + "." + label + "." + label + "." + label.substr(0, 61);
  large.host = name_of(longest);
  large.names.assign(limits::pac_direct_max + 1, name_of(longest));
  EXPECT_LT(PacFile(large).text(visit_at("10.0.0.1:443")).size(), 96 * limits::KiB);
}

// ── strings ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/// What a JavaScript engine makes of a literal with \xNN alone (ECMA-262, 12.9.4); fails where anything else stands.
std::string unescaped(std::string_view literal) {
  EXPECT_TRUE(literal.size() >= 2 && literal.front() == '"' && literal.back() == '"');
  literal = literal.substr(1, literal.size() - 2);
  std::string octets;
  for (std::size_t at = 0; at < literal.size(); ++at) {
    if (literal[at] != '\\') {
      octets += literal[at];
      continue;
    }
    EXPECT_EQ(literal.substr(at, 2), "\\x");
    octets += static_cast<char>(std::stoi(std::string(literal.substr(at + 2, 2)), nullptr, 16));
    at += 3;
  }
  return octets;
}

TEST(ScriptString, EveryOctetComesBackAndNoneIsAMark) {
  for (int value = 0; value < 256; ++value) {
    const std::string octet(1, static_cast<char>(value));
    const std::string literal = script_string(octet);
    EXPECT_EQ(unescaped(literal), octet);
    const bool plain = std::isalnum(value) != 0 || (value != 0 && std::string(" -.:;[]_").contains(octet));
    EXPECT_EQ(literal.size(), plain ? 3U : 6U) << value;
  }
}

TEST(ScriptString, WhateverItHolds) {
  Random random(11);
  for (int i = 0; i < 2000; ++i) {
    std::string octets;
    for (std::size_t left = random.below(40); left > 0; --left) octets += static_cast<char>(random.below(256));
    const std::string literal = script_string(octets);
    EXPECT_EQ(unescaped(literal), octets);
    EXPECT_EQ(literal.substr(1, literal.size() - 2).find_first_of("\"'<>/\n\r"), std::string::npos);
  }
}

}  // namespace
}  // namespace stile::wire::testing
