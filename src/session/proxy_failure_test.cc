// Every failure has words, and none of them is a proxy's octets.
#include "session/proxy_failure.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace stile::session {
namespace {

Advice refused(std::uint16_t code, wire::ProxyProtocol protocol = wire::ProxyProtocol::socks5) {
  return explain({.fault = ProxyFault::refused,
                  .awaited = Awaited::reply,
                  .code = code,
                  .protocol = protocol,
                  .command = wire::Command::ping});
}

TEST(ProxyFailure, EveryFaultOfEveryOctetHasPrintableWords) {
  for (std::size_t fault = 0; fault < proxy_fault_count; ++fault) {
    for (const Awaited awaited : {Awaited::method, Awaited::login, Awaited::reply, Awaited::peer}) {
      for (int octet = 0; octet < 256; ++octet) {
        for (const auto protocol :
             {wire::ProxyProtocol::socks4, wire::ProxyProtocol::socks5, wire::ProxyProtocol::http}) {
          const Advice advice = explain({.fault = static_cast<ProxyFault>(fault),
                                         .awaited = awaited,
                                         .code = static_cast<std::uint8_t>(octet),
                                         .protocol = protocol});
          ASSERT_FALSE(advice.why.empty()) << fault << " " << octet;
          for (const char c : advice.why + advice.cure) ASSERT_TRUE(c >= 0x20 && c < 0x7f);
        }
      }
    }
  }
}

// RFC 1928 section 6 and Tor's extensions: each code tells something of its own.
TEST(ProxyFailure, EveryReplyCodeHasItsOwnWords) {
  std::set<std::string> seen;
  for (const int code : {1, 2, 3, 4, 5, 6, 7, 8, 0xF0, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7}) {
    const Advice advice = refused(static_cast<std::uint8_t>(code));
    EXPECT_TRUE(seen.insert(advice.why).second) << code;
    EXPECT_EQ(advice.why.find("no standard"), std::string::npos) << code;
  }
  EXPECT_EQ(refused(7).why, "this proxy does not know PING");
  EXPECT_EQ(refused(0x0A).why, "it answered with the code 0A, which no standard defines");
  for (const int code : {91, 92, 93}) {
    EXPECT_TRUE(seen.insert(refused(static_cast<std::uint8_t>(code), wire::ProxyProtocol::socks4).why).second);
  }
}

// RFC 9110 section 15.
TEST(ProxyFailure, HttpStatusesHaveWords) {
  const auto http = wire::ProxyProtocol::http;
  EXPECT_EQ(refused(403, http).why, "its rules do not allow it");
  EXPECT_EQ(refused(299, http).why, "it answered with the status 299");
  EXPECT_NE(refused(407, http).cure.find("USER:PASSWORD@"), std::string::npos);
  const ProxyFailure login{.fault = ProxyFault::refused, .code = 407, .protocol = http, .login_offered = true};
  EXPECT_EQ(explain(login).why, "it refused the user or the password");
}

TEST(ProxyFailure, ALoginIsAdvisedOnlyWhereNoneWasOffered) {
  ProxyFailure failure{.fault = ProxyFault::no_method, .code = 0xFF};
  EXPECT_NE(explain(failure).cure.find("USER:PASSWORD@"), std::string::npos);
  failure.login_offered = true;
  EXPECT_EQ(explain(failure).cure.find("USER:PASSWORD@"), std::string::npos);
}

}  // namespace
}  // namespace stile::session
