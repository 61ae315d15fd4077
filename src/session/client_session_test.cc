// The client's half of a conversation, against the golden vectors of the proxies' half, whole and in every split.
#include "session/client_session.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "session/client_conversation_for_tests.h"
#include "wire/vectors_for_tests.h"

namespace stile::session {
namespace {

using Octets = std::vector<std::uint8_t>;
using wire::Command;
using wire::ProxyProtocol;
using wire::testing::octets_of;

Octets vector_of(std::string_view id) {
  const char letter = id.front();
  const char* const file = letter == 'V' || letter == 'K'   ? "socks4"
                           : letter == 'A' || letter == 'B' ? "userpass"
                                                            : "socks5";
  return wire::testing::vector_octets("tests/vectors/" + std::string(file) + ".txt", id);
}

Octets joined(std::initializer_list<Octets> parts) {
  Octets all;
  for (const Octets& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

std::string text_of(const Octets& octets) {
  return {octets.begin(), octets.end()};
}

Target target_of(std::string_view host, std::uint16_t port) {
  return {.host = canonical_host(host).value(), .port = port};
}

ProxyRequest request_for(Command command, const Target& target = target_of("192.0.2.10", 80)) {
  return {.protocol = ProxyProtocol::socks5, .command = command, .target = target};
}

ProxyRequest with_login(ProxyRequest request) {
  request.user = "alice";
  request.password = "secret";
  return request;
}

ProxyRequest over_socks4(ProxyRequest request) {
  request.protocol = ProxyProtocol::socks4;
  request.user = "bob";
  return request;
}

/// The conversation whole, and the same in pieces of every size; `then` behind it must stay unread in each.
ClientConversation talk(const ProxyRequest& request, const Octets& from_proxy, std::string_view then = "SSH-2.0-") {
  static std::vector<Octets> kept;  // conversations point into what the proxy said
  kept.push_back(joined({from_proxy, Octets(then.begin(), then.end())}));
  const Octets& stream = kept.back();
  const ClientConversation whole(request, stream, stream.size());
  for (std::size_t step = 1; step < stream.size(); ++step) {
    const ClientConversation split(request, stream, step);
    EXPECT_EQ(split.transcript(), whole.transcript()) << step;
    // A failure may be seen before or after octets that came with it: nobody reads on then.
    if (whole.session().failure() == ProxyFailure{}) {
      EXPECT_EQ(split.rest().size(), whole.rest().size()) << step;
    }
  }
  return ClientConversation(request, stream, stream.size());
}

/// Granted, with the octets behind the reply untouched.
std::string granted(const ProxyRequest& request, const Octets& from_proxy) {
  const ClientConversation conversation = talk(request, from_proxy);
  EXPECT_EQ(conversation.rest().size(), 8U) << "an octet of the stream was taken";
  EXPECT_TRUE(conversation.over());
  const auto bound = conversation.session().bound().target();
  return bound ? bound->to_string() : conversation.transcript();
}

ProxyFailure failed(const ProxyRequest& request, const Octets& from_proxy) {
  const ClientConversation conversation = talk(request, from_proxy);
  EXPECT_TRUE(conversation.transcript().find("fail") != std::string::npos) << conversation.transcript();
  return conversation.session().failure();
}

ProxyFailure ended(const ProxyRequest& request, const Octets& from_proxy, const ClientSession::Event& event) {
  ClientConversation conversation(request, from_proxy, 1);
  EXPECT_FALSE(conversation.over()) << conversation.transcript();
  conversation.handle(event);
  return conversation.session().failure();
}

// ── SOCKS5 ──────────────────────────────────────────────────────────────────────────────────────────────────────────

TEST(ClientSession5, ConnectIsAskedInTheVectorsOctets) {
  const Octets from_proxy = joined({octets_of("05 00"), vector_of("P1")});
  EXPECT_EQ(granted(request_for(Command::connect), from_proxy), "198.51.100.7:40000");
  EXPECT_EQ(talk(request_for(Command::connect), from_proxy).sent(),
            text_of(joined({vector_of("G1"), vector_of("Q1")})));
  EXPECT_EQ(talk(request_for(Command::connect, target_of("example.com", 443)), from_proxy).sent(),
            text_of(joined({vector_of("G1"), vector_of("Q2")})));
  EXPECT_EQ(talk(request_for(Command::connect, target_of("2001:db8::1", 80)), from_proxy).sent(),
            text_of(joined({vector_of("G1"), vector_of("Q3")})));
}

TEST(ClientSession5, LoginIsSentOnlyWhenItIsChosen) {
  const ProxyRequest request = with_login(request_for(Command::connect));
  const Octets chosen = joined({octets_of("05 02"), octets_of("01 00"), vector_of("P1")});
  EXPECT_EQ(granted(request, chosen), "198.51.100.7:40000");
  EXPECT_EQ(talk(request, chosen).sent(), text_of(joined({vector_of("G2"), vector_of("A1"), vector_of("Q1")})));
  const Octets none = joined({octets_of("05 00"), vector_of("P1")});
  EXPECT_EQ(granted(request, none), "198.51.100.7:40000");
  EXPECT_EQ(talk(request, none).sent(), text_of(joined({vector_of("G2"), vector_of("Q1")})));
}

TEST(ClientSession5, LongestLoginFits) {
  const std::string user(255, 'u');
  const std::string password(255, 'p');
  ProxyRequest request = request_for(Command::connect);
  request.user = user;
  request.password = password;
  const Octets from_proxy = joined({octets_of("05 02 01 00"), vector_of("P1")});
  EXPECT_EQ(talk(request, from_proxy).sent(), text_of(joined({vector_of("G2"), vector_of("A4"), vector_of("Q1")})));
}

TEST(ClientSession5, EveryCommandHasItsReply) {
  const Octets method = octets_of("05 00");
  EXPECT_EQ(granted(request_for(Command::connect), joined({method, vector_of("P2")})), "[2001:db8::7]:40000");
  EXPECT_EQ(granted(request_for(Command::udp_associate), joined({method, vector_of("P1")})), "198.51.100.7:40000");
  EXPECT_EQ(granted(request_for(Command::resolve), joined({method, vector_of("P6")})), "192.0.2.10:0");
  EXPECT_EQ(granted(request_for(Command::resolve_ptr), joined({method, vector_of("P7")})), "example.com:0");
  const Target host{.host = Address::v4(192, 0, 2, 10), .port = 0};
  EXPECT_EQ(granted(request_for(Command::ping, host), joined({method, vector_of("P6")})), "192.0.2.10:0");
  EXPECT_EQ(talk(request_for(Command::ping, host), joined({method, vector_of("P6")})).sent(),
            text_of(joined({vector_of("G1"), vector_of("Q27")})));
  ProxyRequest trace = request_for(Command::traceroute, host);
  trace.flags = 3;
  EXPECT_EQ(talk(trace, joined({method, vector_of("P6")})).sent(),
            text_of(joined({vector_of("G1"), vector_of("Q28")})));
}

TEST(ClientSession5, BindHasTwoReplies) {
  const Target anyone{.host = Address{}, .port = 0};
  const Octets from_proxy = joined({octets_of("05 00"), vector_of("P4"), vector_of("P5")});
  const ClientConversation conversation = talk(request_for(Command::bind, anyone), from_proxy);
  EXPECT_EQ(conversation.sent(), text_of(joined({vector_of("G1"), vector_of("Q18")})));
  EXPECT_NE(conversation.transcript().find("peer may come to 198.51.100.7:40001\nfinish 203.0.113.9:20\n"),
            std::string::npos)
      << conversation.transcript();
  EXPECT_EQ(conversation.rest().size(), 8U);
  const ProxyFailure second =
      failed(request_for(Command::bind), joined({octets_of("05 00"), vector_of("P4"), vector_of("P3")}));
  EXPECT_EQ(second.fault, ProxyFault::refused);
  EXPECT_EQ(second.awaited, Awaited::peer);
}

// Threat TP2: a bound name of any length, from a hostile proxy too.
TEST(ClientSession5, BoundNamesAreTakenWhateverTheyHold) {
  for (const std::size_t length : {0U, 1U, 127U, 128U, 255U}) {
    Octets reply = octets_of("05 00 05 00 00 03");
    reply.push_back(static_cast<std::uint8_t>(length));
    reply.insert(reply.end(), length, 0x1b);
    reply.insert(reply.end(), {0x9C, 0x40});
    const ClientConversation conversation = talk(request_for(Command::connect), reply);
    EXPECT_NE(conversation.transcript().find("finish"), std::string::npos) << conversation.transcript();
    EXPECT_EQ(conversation.session().bound().received_name.size(), length);
    EXPECT_EQ(conversation.rest().size(), 8U);
  }
}

TEST(ClientSession5, EveryReplyCodeIsKept) {
  for (int code = 1; code < 256; ++code) {
    Octets reply = joined({octets_of("05 00"), vector_of("P3")});
    reply[3] = static_cast<std::uint8_t>(code);
    const ProxyFailure failure = failed(request_for(Command::connect), reply);
    EXPECT_EQ(failure.fault, ProxyFault::refused);
    EXPECT_EQ(failure.code, code);
    EXPECT_EQ(failure.awaited, Awaited::reply);
  }
}

// Protocol reference, sections 10 and 11 (row 13); threat TA9.
TEST(ClientSession5, AMethodThatWasNotOfferedIsAnError) {
  for (int method = 1; method < 255; ++method) {
    const Octets choice{0x05, static_cast<std::uint8_t>(method)};
    const ClientConversation conversation = talk(request_for(Command::connect), choice, "");
    EXPECT_EQ(conversation.session().failure().fault, ProxyFault::method_not_offered) << method;
    EXPECT_EQ(conversation.session().failure().code, method);
    EXPECT_EQ(conversation.sent(), text_of(vector_of("G1"))) << "nothing follows the greeting";
  }
  EXPECT_EQ(failed(with_login(request_for(Command::connect)), octets_of("05 01")).fault,
            ProxyFault::method_not_offered);
}

TEST(ClientSession, ByATicketNothingElseIsOfferedOrTaken) {
  ProxyRequest request = request_for(Command::connect);
  request.by_ticket = true;
  const Octets granted{5, 1, 5, 0, 0, 1, 198, 51, 100, 7, 0x9C, 0x40};
  EXPECT_EQ(talk(request, granted).transcript(),
            "send 5 1 1\nprotect\nsend 5 1 0 1 192 0 2 10 0 80\nfinish 198.51.100.7:40000\n");
  for (const std::uint8_t method : std::initializer_list<std::uint8_t>{0x00, 0x02, 0x80}) {
    const auto conversation = talk(with_login(request), {5, method});
    EXPECT_EQ(conversation.session().failure().fault, ProxyFault::method_not_offered) << int{method};
  }
  EXPECT_EQ(talk(request_for(Command::connect), {5, 1}).session().failure().fault, ProxyFault::method_not_offered);
}

TEST(ClientSession5, NoAcceptableMethodEndsIt) {
  const ProxyFailure failure = failed(request_for(Command::connect), vector_of("M1"));
  EXPECT_EQ(failure.fault, ProxyFault::no_method);
  EXPECT_FALSE(failure.login_offered);
  EXPECT_TRUE(failed(with_login(request_for(Command::connect)), vector_of("M1")).login_offered);
}

TEST(ClientSession5, ARefusedLoginEndsIt) {
  const Octets refusal = joined({octets_of("05 02"), vector_of("B1")});
  const ClientConversation conversation = talk(with_login(request_for(Command::connect)), refusal);
  EXPECT_EQ(conversation.session().failure().fault, ProxyFault::login_refused);
  EXPECT_EQ(conversation.sent(), text_of(joined({vector_of("G2"), vector_of("A1")}))) << "no request behind it";
}

TEST(ClientSession5, OtherProtocolsAreTold) {
  EXPECT_EQ(failed(request_for(Command::connect), octets_of("48 54 54 50")).code, 'H');
  EXPECT_EQ(failed(request_for(Command::connect), octets_of("04 00")).fault, ProxyFault::not_socks);
  EXPECT_EQ(failed(with_login(request_for(Command::connect)), octets_of("05 02 05 00")).fault, ProxyFault::not_socks);
  EXPECT_EQ(failed(request_for(Command::connect), octets_of("05 00 04 00")).fault, ProxyFault::not_socks);
}

TEST(ClientSession5, AnUnknownAddressTypeIsAFailureOfItsOwnOnlyBehindSuccess) {
  EXPECT_EQ(failed(request_for(Command::connect), octets_of("05 00 05 00 00 02 00 00")).fault,
            ProxyFault::address_type);
  const ProxyFailure zeros = failed(request_for(Command::connect), octets_of("05 00 05 07 00 00 00 00"));
  EXPECT_EQ(zeros.fault, ProxyFault::refused);
  EXPECT_EQ(zeros.code, 7);
}

TEST(ClientSession5, FinAtEveryOctetIsTold) {
  const Octets whole = joined({octets_of("05 02 01 00"), vector_of("P1")});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const ProxyFailure failure = ended(with_login(request_for(Command::connect)), cut, ClientSession::ProxyFin{});
    EXPECT_EQ(failure.fault, ProxyFault::closed) << size;
    EXPECT_EQ(failure.awaited, size < 2 ? Awaited::method : size < 4 ? Awaited::login : Awaited::reply) << size;
    EXPECT_EQ(ended(with_login(request_for(Command::connect)), cut, ClientSession::ProxyLost{}).fault,
              ProxyFault::lost);
    EXPECT_EQ(ended(with_login(request_for(Command::connect)), cut, ClientSession::DeadlinePassed{}).fault,
              ProxyFault::timed_out);
  }
}

TEST(ClientSession5, ARefusalThatIsCutShortStillSaysWhy) {
  const Octets whole = joined({octets_of("05 00"), vector_of("P3")});
  for (std::size_t size = 4; size < whole.size(); ++size) {
    const Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const ProxyFailure failure = ended(request_for(Command::connect), cut, ClientSession::ProxyFin{});
    EXPECT_EQ(failure.fault, ProxyFault::refused) << size;
    EXPECT_EQ(failure.code, 5);
  }
}

TEST(ClientSession, AProxyThatIsNotReachedIsTold) {
  ClientSession session(request_for(Command::connect));
  (void)session.handle(ClientSession::ProxyLost{});
  EXPECT_EQ(session.failure().fault, ProxyFault::lost);
  EXPECT_EQ(session.phase(), ClientPhase::over);
}

// ── SOCKS4 and SOCKS4a ──────────────────────────────────────────────────────────────────────────────────────────────

TEST(ClientSession4, RequestsAreTheVectorsOctets) {
  const ProxyRequest connect = over_socks4(request_for(Command::connect));
  EXPECT_EQ(granted(connect, vector_of("V1")), "198.51.100.7:40000");
  EXPECT_EQ(talk(connect, vector_of("V1")).sent(), text_of(vector_of("K1")));
  EXPECT_EQ(talk(over_socks4(request_for(Command::connect, target_of("example.com", 80))), vector_of("V1")).sent(),
            text_of(vector_of("K2")));
  ProxyRequest resolve = over_socks4(request_for(Command::resolve, target_of("example.com", 0)));
  resolve.user = {};
  EXPECT_EQ(granted(resolve, vector_of("V3")), "192.0.2.10:0");
  EXPECT_EQ(talk(resolve, vector_of("V3")).sent(), text_of(vector_of("K6")));
}

// Section 6: "accepts VN 00 or 04 in a reply and reads 8 octets, never more".
TEST(ClientSession4, ReplyVersionMayBeFour) {
  Octets reply = vector_of("V1");
  reply[0] = 0x04;
  EXPECT_EQ(granted(over_socks4(request_for(Command::connect)), reply), "198.51.100.7:40000");
  reply[0] = 0x05;
  EXPECT_EQ(failed(over_socks4(request_for(Command::connect)), reply).fault, ProxyFault::not_socks);
}

TEST(ClientSession4, BindHasTwoReplies) {
  const ProxyRequest bind = over_socks4(request_for(Command::bind, target_of("203.0.113.9", 21)));
  const ClientConversation conversation = talk(bind, joined({vector_of("V1"), vector_of("V3")}));
  EXPECT_EQ(conversation.sent(), text_of(vector_of("K5")));
  EXPECT_NE(conversation.transcript().find("peer may come to 198.51.100.7:40000\nfinish 192.0.2.10:0\n"),
            std::string::npos);
  EXPECT_EQ(conversation.rest().size(), 8U);
}

TEST(ClientSession4, RefusalsKeepTheirCode) {
  for (const int code : {91, 92, 93, 0, 255}) {
    Octets reply = vector_of("V2");
    reply[1] = static_cast<std::uint8_t>(code);
    const ProxyFailure failure = failed(over_socks4(request_for(Command::connect)), reply);
    EXPECT_EQ(failure.fault, ProxyFault::refused);
    EXPECT_EQ(failure.code, code);
    EXPECT_EQ(failure.protocol, ProxyProtocol::socks4);
  }
}

TEST(ClientSession4, CommandsThatItDoesNotHaveAreNeverSent) {
  for (const Command command : {Command::ping, Command::traceroute, Command::udp_associate, Command::resolve_ptr}) {
    const ClientConversation conversation = talk(over_socks4(request_for(command)), {});
    EXPECT_EQ(conversation.session().failure().fault, ProxyFault::no_such_command);
    EXPECT_EQ(conversation.sent(), "");
  }
}

// ── HTTP, RFC 9110 section 9.3.6 ────────────────────────────────────────────────────────────────────────────────────

ProxyRequest over_http(ProxyRequest request) {
  request.protocol = ProxyProtocol::http;
  return request;
}

Octets http_head(std::string_view text) {
  return {text.begin(), text.end()};
}

TEST(ClientSessionHttp, ConnectIsAskedAndAnyTwoHundredGrantsIt) {
  const ProxyRequest request = over_http(request_for(Command::connect, target_of("example.com", 443)));
  for (const std::string_view head :
       {"HTTP/1.1 200 Connection established\r\n\r\n", "HTTP/1.0 299\r\nVia: x\r\n\r\n"}) {
    EXPECT_EQ(granted(request, http_head(head)), "0.0.0.0:0") << head;
    EXPECT_EQ(talk(request, http_head(head)).sent(),
              "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
  }
}

TEST(ClientSessionHttp, LoginIsSentAtOnce) {
  const ProxyRequest request = with_login(over_http(request_for(Command::connect)));
  const std::string sent = talk(request, http_head("HTTP/1.1 200 OK\r\n\r\n")).sent();
  EXPECT_NE(sent.find("\r\nProxy-Authorization: Basic YWxpY2U6c2VjcmV0\r\n\r\n"), std::string::npos) << sent;
}

TEST(ClientSessionHttp, RefusalsKeepTheirStatus) {
  for (const int status : {100, 302, 403, 407, 502, 999}) {
    const std::string head = "HTTP/1.1 " + std::to_string(status) + " No\r\nContent-Length: 0\r\n\r\n";
    const ProxyFailure failure = failed(over_http(request_for(Command::connect)), http_head(head));
    EXPECT_EQ(failure.fault, ProxyFault::refused);
    EXPECT_EQ(failure.code, status);
  }
}

TEST(ClientSessionHttp, WhatIsNoHttpIsToldApart) {
  const ProxyFailure failure = failed(over_http(request_for(Command::connect)), octets_of("05 FF"));
  EXPECT_EQ(failure.fault, ProxyFault::not_socks);
  EXPECT_EQ(failure.code, 5);
}

TEST(ClientSessionHttp, CommandsThatItDoesNotHaveAreNeverSent) {
  for (const Command command : {Command::bind, Command::udp_associate, Command::resolve, Command::ping}) {
    const ClientConversation conversation = talk(over_http(request_for(command)), {});
    EXPECT_EQ(conversation.session().failure().fault, ProxyFault::no_such_command);
    EXPECT_EQ(conversation.sent(), "");
  }
}

}  // namespace
}  // namespace stile::session
