// The conversation of RFC 1928 as a server leads it: each outcome, any split of the octets, anything pipelined.
#include "session/server_session.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "session/conversation_for_tests.h"

namespace stile::session {
namespace {

using Octets = std::vector<std::uint8_t>;
using Answers = Conversation::Answers;

const Octets greeting{5, 1, 0};
const Octets request_v4{5, 1, 0, 1, 192, 0, 2, 10, 0, 80};
const Octets request_name{5, 1, 0, 3, 11, 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'c', 'o', 'm', 1, 0xBB};

const Octets request4{4, 1, 0, 80, 192, 0, 2, 10, 'b', 'o', 'b', 0};
const Octets request4a{4, 1, 0, 80, 0, 0, 0, 1, 'b', 0, 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'c', 'o', 'm', 0};

Octets operator+(Octets left, const Octets& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

Conversation talk(const Octets& octets, const Conversation::Answers& answers = {}) {
  Conversation conversation(answers);
  conversation.arrive(octets);
  return conversation;
}

const std::string success_transcript =
    "send 5 0\nauthenticate\nauthorise tcp 192.0.2.10:80\nconnect 192.0.2.10:80\n"
    "send 5 0 0 1 198 51 100 7 156 64\nrelay\n";

TEST(ServerSession, GrantsAConnect) {
  EXPECT_EQ(talk(greeting + request_v4).transcript(), success_transcript);  // vectors G1, Q1, P1
}

const Octets hello{0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5};

SessionRules tls_rules(wire::TlsUse use, AuthMethods auth = {AuthMethod::none}) {
  SessionRules rules;
  rules.tls = use;
  rules.auth = auth;
  return rules;
}

TEST(ServerSession, TlsComesBeforeEverythingElse) {
  Conversation conversation({}, tls_rules(wire::TlsUse::required));
  conversation.arrive(hello);
  conversation.arrive(greeting + request_v4);
  EXPECT_EQ(conversation.transcript(), "protect\n" + success_transcript);
}

TEST(ServerSession, InsideTlsThereIsNoOther) {
  Conversation conversation({}, tls_rules(wire::TlsUse::required));
  conversation.arrive(hello);
  conversation.arrive(hello);
  EXPECT_EQ(conversation.transcript(), "protect\nclose proto.off silently\n");
}

TEST(ServerSession, PlaintextIsRefusedWhereTlsIsRequired) {
  for (const Octets& octets : {greeting + request_v4, request4, Octets{'G', 'E', 'T', ' '}}) {
    Conversation conversation({}, tls_rules(wire::TlsUse::required));
    conversation.arrive(octets);
    EXPECT_EQ(conversation.transcript(), "close tls.missing silently\n");
  }
  Conversation either({}, tls_rules(wire::TlsUse::optional));
  either.arrive(greeting + request_v4);
  EXPECT_EQ(either.transcript(), success_transcript);
}

TEST(ServerSession, ACertificateIsEnoughWhereItCounts) {
  for (const bool counts : {true, false}) {
    const AuthMethod method = counts ? AuthMethod::certificate : AuthMethod::none;
    Conversation conversation({.certificate = "cert:alice"}, tls_rules(wire::TlsUse::required, {method}));
    conversation.arrive(hello);
    conversation.arrive(greeting + request_v4);
    EXPECT_EQ(conversation.transcript(), "protect\n" + success_transcript) << "the method 00 is agreed";
    EXPECT_EQ(conversation.session().identity()->user(), counts ? "cert:alice" : "");
  }
}

TEST(ServerSession, AFailedHandshakeIsTheEnd) {
  Conversation conversation({.protection = Reason::tls_version}, tls_rules(wire::TlsUse::required));
  conversation.arrive(hello);
  EXPECT_TRUE(conversation.over());
  EXPECT_NE(conversation.transcript().find("tls.version"), std::string::npos) << conversation.transcript();
}

// Vector C1: payload behind the request reaches the target, exactly.
TEST(ServerSession, DeliversWhatFollowsTheRequest) {
  const auto conversation = talk(greeting + request_v4 + Octets{'G', 'E', 'T', ' ', '/', '\r', '\n'});
  EXPECT_EQ(conversation.transcript(), success_transcript);
  EXPECT_EQ(conversation.target_receives(), "GET /\r\n");
}

// Protocol reference, section 0: a message split anywhere yields the same octets and the same record.
TEST(ServerSession, AnySplitGivesTheSameActions) {
  const std::vector<Octets> inputs{greeting + request_v4 + Octets{'h', 'i'},
                                   greeting + request_name + Octets{'x'},
                                   Octets{5, 0},
                                   greeting + Octets{5, 9, 0, 1, 192, 0, 2, 10, 0, 80},
                                   greeting + Octets{5, 1, 0, 2},
                                   Octets{5, 2, 0x80, 0x82} + request_v4,
                                   greeting + Octets{4, 1, 0, 80},
                                   greeting + Octets{5, 1, 0, 3, 0, 0, 80},
                                   greeting + Octets{5, 0x80, 1, 1, 192, 0, 2, 10, 0, 0, 0, 0}};
  for (const Octets& input : inputs) {
    const auto whole = talk(input);
    for (std::size_t first = 0; first <= input.size(); ++first) {
      for (std::size_t second = first; second <= input.size(); ++second) {
        Conversation split({});
        const ConstBytes octets(input);
        for (const ConstBytes part :
             {octets.first(first), octets.subspan(first, second - first), octets.subspan(second)}) {
          if (!part.empty()) split.arrive(part);
        }
        ASSERT_EQ(split.transcript(), whole.transcript());
        ASSERT_EQ(split.target_receives(), whole.target_receives());
      }
    }
    Conversation single({});
    for (const std::uint8_t octet : input) single.arrive(ConstBytes(&octet, 1));
    EXPECT_EQ(single.transcript(), whole.transcript());
    EXPECT_EQ(single.target_receives(), whole.target_receives());
  }
}

TEST(ServerSession, RefusesWithoutAnAcceptableMethod) {  // G4, G6; deviation 14: what follows has no effect
  for (const Octets& offer : {Octets{5, 0}, Octets{5, 2, 0x80, 0x82}, Octets{5, 1, 2}}) {
    EXPECT_EQ(talk(offer + request_v4).transcript(), "send 5 255\nclose method.none after the reply\n");
  }
}

TEST(ServerSession, ANoneThatTheListenerDoesNotAdmitIsNotChosen) {
  Conversation conversation({}, SessionRules{.auth = {}});
  conversation.arrive(greeting);
  EXPECT_EQ(conversation.transcript(), "send 5 255\nclose method.none after the reply\n");
}

// ── login, RFC 1929 ─────────────────────────────────────────────────────────────────────────────────────────────────

const Octets password_greeting{5, 1, 2};
const Octets login{1, 5, 'a', 'l', 'i', 'c', 'e', 6, 's', 'e', 'c', 'r', 'e', 't'};

SessionRules with_password() {
  return {.auth = {AuthMethod::password}};
}

Conversation log_in(const Octets& octets, Reason authenticated = Reason::none,
                    const SessionRules& rules = with_password()) {
  Conversation conversation({.authenticated = authenticated}, rules);
  conversation.arrive(octets);
  return conversation;
}

const std::string refused_login = "send 5 2\nauthenticate alice:secret\nsend 1 1\nclose auth.failed after the reply\n";

TEST(Login, GrantsAConnect) {  // vectors C2, A1
  const auto conversation = log_in(password_greeting + login + request_v4 + Octets{'H', 'I'});
  EXPECT_EQ(conversation.transcript(),
            "send 5 2\nauthenticate alice:secret\nsend 1 0\nauthorise tcp 192.0.2.10:80\nconnect 192.0.2.10:80\n"
            "send 5 0 0 1 198 51 100 7 156 64\nrelay\n");
  EXPECT_EQ(conversation.target_receives(), "HI");
  EXPECT_EQ(conversation.session().identity()->user(), "alice");
}

TEST(Login, WhatFollowsARefusedOneHasNoEffect) {  // vector C3
  const auto conversation = log_in(password_greeting + login + request_v4, Reason::auth_failed);
  EXPECT_EQ(conversation.transcript(), refused_login);
  EXPECT_FALSE(conversation.session().identity());
  EXPECT_FALSE(conversation.session().request());
  EXPECT_EQ(conversation.session().claimed_user()->name, "alice") << "for the record";
}

// Whatever was wrong, or nobody could look at it: the same two octets (threats TA3, TA4, TA6).
TEST(Login, EveryRefusalIsTheSame) {
  const std::vector<Octets> unasked{{1, 0, 1, 'x'},                                 // A2: no user
                                    {1, 1, 'a', 0},                                 // A3: no password
                                    {1, 0, 0},                                      // neither
                                    {1, 3, 'a', 0, 'b', 1, 'x'},                    // A5: NUL
                                    {1, 6, 'a', 'd', 'm', 'i', 'n', '\n', 1, 'x'},  // a line of its own
                                    {1, 1, 'a', 2, 'x', 0}};                        // NUL in the password
  for (const Octets& message : unasked) {
    EXPECT_EQ(log_in(password_greeting + message + request_v4).transcript(),
              "send 5 2\nsend 1 1\nclose auth.failed after the reply\n")
        << "no back end is asked";
  }
  EXPECT_EQ(log_in(password_greeting + login, Reason::auth_busy).sent(),
            log_in(password_greeting + login, Reason::auth_failed).sent());
}

TEST(Login, TheListenersOrderDecides) {
  const Octets both{5, 2, 0, 2};
  EXPECT_TRUE(log_in(both).transcript().starts_with("send 5 2\n"));                         // G2
  EXPECT_TRUE(log_in(Octets{5, 4, 0, 0xFF, 2, 2}).transcript().starts_with("send 5 2\n"));  // G3
  const SessionRules password_first{.auth = {AuthMethod::password, AuthMethod::none}};
  EXPECT_TRUE(log_in(both, {}, password_first).transcript().starts_with("send 5 2\n"));
  EXPECT_TRUE(log_in(greeting, {}, password_first).transcript().starts_with("send 5 0\n"));
  const SessionRules none_first{.auth = {AuthMethod::none, AuthMethod::password}};
  EXPECT_TRUE(log_in(both, {}, none_first).transcript().starts_with("send 5 0\n"));
  EXPECT_TRUE(log_in(password_greeting, {}, none_first).transcript().starts_with("send 5 2\n"));
}

TEST(Login, AnotherVersionClosesSilently) {  // A6; and a request where the login is due
  for (const Octets& message : {Octets{5, 1, 'a', 1, 'b'}, request_v4, Octets{0}}) {
    EXPECT_EQ(log_in(password_greeting + message).transcript(), "send 5 2\nclose auth.version silently\n");
  }
  EXPECT_EQ(talk(greeting + login).transcript(), "send 5 0\nauthenticate\nclose request.version silently\n");
}

TEST(Login, AnEndInsideItIsOne) {
  for (std::size_t octets = 0; octets < login.size(); ++octets) {
    Conversation conversation({}, with_password());
    conversation.arrive(password_greeting);
    if (octets > 0) conversation.arrive(ConstBytes(login).first(octets));
    conversation.handle(ClientFin{});
    EXPECT_EQ(conversation.transcript(), "send 5 2\nclose eof.auth silently\n");
  }
}

TEST(Login, Socks4IsOffWherePasswordsAreRequired) {
  EXPECT_EQ(log_in(request4).transcript(), "close proto.off silently\n");
  EXPECT_EQ(log_in(request4a).transcript(), "close proto.off silently\n");
  const auto optional = log_in(request4, {}, {.auth = {AuthMethod::password, AuthMethod::none}});
  EXPECT_NE(optional.transcript().find("authorise"), std::string::npos);
  EXPECT_TRUE(optional.session().identity()->is_anonymous()) << "its user id proves nothing";
}

TEST(Login, AnySplitGivesTheSameActions) {
  const Octets whole = password_greeting + login + request_v4 + Octets{'x'};
  for (const Reason authenticated : {Reason::none, Reason::auth_failed}) {
    const std::string expected = log_in(whole, authenticated).transcript();
    for (std::size_t cut = 1; cut < whole.size(); ++cut) {
      Conversation split({.authenticated = authenticated}, with_password());
      split.arrive(ConstBytes(whole).first(cut));
      split.arrive(ConstBytes(whole).subspan(cut));
      ASSERT_EQ(split.transcript(), expected);
    }
  }
}

// Threat TA1: no order of messages reaches the request phase without a login. Every thirteenth sequence of four of
// these, in one piece and in parts, against every list of methods that a listener can have.
TEST(Login, NoOrderOfMessagesSkipsIt) {
  const std::vector<Octets> messages{greeting, password_greeting, {5, 3, 0, 1, 2}, {5, 0},     login, {1, 1, 'a', 0},
                                     {1, 0},   request_v4,        request4,        {5, 255, 2}};
  const std::vector<AuthMethods> lists{{},
                                       {AuthMethod::none},
                                       {AuthMethod::password},
                                       {AuthMethod::none, AuthMethod::password},
                                       {AuthMethod::password, AuthMethod::none}};
  const std::size_t sequences = 10'000;  // of four
  for (const AuthMethods& list : lists) {
    for (const Reason answer : {Reason::none, Reason::auth_failed, Reason::auth_busy}) {
      for (std::size_t number = 0; number < sequences; number += 13) {
        for (const bool pieces : {false, true}) {
          Conversation conversation({.authenticated = answer}, {.auth = list});
          Octets all;
          for (std::size_t i = 0, rest = number; i < 4; ++i, rest /= messages.size()) {
            const Octets& message = messages[rest % messages.size()];
            all = all + message;
            if (pieces && !conversation.over()) conversation.arrive(message);
          }
          if (!pieces) conversation.arrive(all);
          const ServerSession& session = conversation.session();
          const bool asked = conversation.transcript().find("authorise") != std::string::npos;
          const bool proved =
              conversation.transcript().find("authenticate alice:secret\nsend 1 0\n") != std::string::npos;
          ASSERT_TRUE(!asked || session.request());
          ASSERT_TRUE(!asked || proved || list.admits(AuthMethod::none)) << conversation.transcript();
          ASSERT_TRUE(!asked || proved || session.identity()->is_anonymous());
          ASSERT_TRUE(!proved || answer == Reason::none);
          ASSERT_FALSE(list.empty() && (asked || session.identity()));
        }
      }
    }
  }
}

TEST(Login, TheTraceHoldsNoSecret) {
  const auto conversation = log_in(password_greeting + login + request_v4);
  const std::string trace = to_text(conversation.session().trace());
  EXPECT_EQ(trace.find("secret"), std::string::npos);
  EXPECT_EQ(trace.find("alice"), std::string::npos);
}

TEST(ServerSession, ClosesSilentlyOnOtherProtocols) {  // threat TP5: not one octet back
  for (const int first : {0x00, 0x06, 0x40, 0x5B, 0x67, 0x16, 0x80, 0xFF}) {
    const auto conversation = talk(Octets{static_cast<std::uint8_t>(first), 1, 0});
    EXPECT_TRUE(conversation.transcript() == "close proto.unknown silently\n" ||
                conversation.transcript() == "close proto.off silently\n");
    EXPECT_TRUE(conversation.sent().empty());
  }
}

struct Failure {
  Octets request;
  std::uint8_t reply;
  std::string reason;
};

TEST(ServerSession, AnswersEachUnusableRequestByItsCode) {
  const std::vector<Failure> failures{
      {{5, 1, 0, 3, 0, 0, 80}, 1, "request.name"},                                   // Q6
      {{5, 1, 0, 3, 5, 'a', 0, 'b', '.', 'c', 0, 80}, 1, "request.name"},            // Q7
      {{5, 1, 0, 3, 6, '0', 'x', '7', 'f', '.', '1', 0, 80}, 4, "name.impossible"},  // Q10
      {{5, 1, 0, 1, 192, 0, 2, 10, 0, 0}, 1, "request.port"},                        // Q12
      {{5, 1, 0, 2}, 8, "address_type.unknown"},                                     // Q14
      {{5, 9, 0, 1, 192, 0, 2, 10, 0, 80}, 7, "command.unknown"},                    // Q15
      {{5, 9, 0, 9}, 7, "command.unknown"},                                          // Q16
  };
  for (const Failure& failure : failures) {
    const auto conversation = talk(greeting + failure.request);
    const std::string expected = "send 5 0\nauthenticate\nsend 5 " + std::to_string(failure.reply) +
                                 " 0 1 0 0 0 0 0 0\nclose " + failure.reason + " after the reply\n";
    EXPECT_EQ(conversation.transcript(), expected);
  }
}

TEST(ServerSession, ClosesSilentlyOnAWrongRequestVersion) {  // Q17
  EXPECT_EQ(talk(greeting + Octets{4, 1, 0, 80}).transcript(),
            "send 5 0\nauthenticate\nclose request.version silently\n");
}

TEST(ServerSession, MappedAddressesAreIpv4) {  // Q4: policy, record and dial exactly as Q1
  const Octets mapped{5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 10, 0, 80};
  EXPECT_EQ(talk(greeting + mapped).transcript(), success_transcript);
}

TEST(ServerSession, EveryReasonOfDenialAndFailureIsAnswered) {
  for (int i = 1; i < reason_count; ++i) {
    const auto reason = static_cast<Reason>(i);
    const std::string reply = "send 5 " + std::to_string(static_cast<int>(reply_code(reason))) + " 0 1 0 0 0 0 0 0\n";
    const auto denied = talk(greeting + request_v4, {.authorised = reason});
    EXPECT_TRUE(denied.transcript().find(reply) != std::string::npos);
    EXPECT_EQ(denied.transcript().find("connect"), std::string::npos);
    const auto failed = talk(greeting + request_v4, {.performed = reason});
    EXPECT_TRUE(failed.transcript().find(reply) != std::string::npos);
    EXPECT_EQ(failed.transcript().find("relay"), std::string::npos);
  }
}

TEST(ServerSession, AnswersInTheFamilyOfTheOutgoingSocket) {  // P2
  const auto conversation = talk(greeting + request_v4, {.bound = {*Address::parse("2001:db8::7"), 40000}});
  EXPECT_EQ(conversation.sent().size(), 2U + 22U);
  EXPECT_EQ(conversation.sent()[2 + 3], 4);
}

TEST(ServerSession, NothingIsSaidToADivertedClient) {
  const Target target{*canonical_host("www.example.com"), 443};
  const Conversation carried({}, target);
  EXPECT_EQ(carried.transcript(), "authorise tcp www.example.com:443\nconnect www.example.com:443\nrelay\n");
  EXPECT_EQ(carried.session().protocol(), Protocol::transparent);
  EXPECT_EQ(carried.session().reply(), ReplyCode::succeeded);
  const Conversation denied({.authorised = Reason::deny_policy}, target);
  EXPECT_EQ(denied.transcript(), "authorise tcp www.example.com:443\nclose deny.policy silently\n");
  const Conversation failed({.performed = Reason::dial_refused}, target);
  EXPECT_TRUE(failed.transcript().ends_with("connect www.example.com:443\nclose dial.refused silently\n"));
  EXPECT_EQ(failed.session().reply(), ReplyCode::connection_refused);
  const Conversation portless({}, Target{target.host, 0});
  EXPECT_EQ(portless.transcript(), "close request.port silently\n");
  for (const Conversation* const conversation : {&carried, &denied, &failed, &portless}) {
    EXPECT_TRUE(conversation->sent().empty());
    EXPECT_FALSE(conversation->reading());
  }
}

TEST(ServerSession, EndsInTheMiddleOfAMessage) {
  Conversation before_greeting({});
  before_greeting.handle(ClientFin{});
  EXPECT_EQ(before_greeting.transcript(), "close eof.greeting silently\n");
  Conversation in_request({});
  in_request.arrive(greeting + Octets{5, 1});
  in_request.handle(ClientFin{});
  EXPECT_EQ(in_request.session().trace().entries(), 3U);
  EXPECT_TRUE(in_request.transcript().ends_with("close eof.request silently\n"));
  Conversation late({});
  late.handle(DeadlinePassed{});
  EXPECT_EQ(late.transcript(), "close timeout.handshake silently\n");
  Conversation reset({});
  reset.handle(ClientFailed{});
  EXPECT_EQ(reset.transcript(), "close client.reset silently\n");
}

// ── SOCKS4 and SOCKS4a ──────────────────────────────────────────────────────────────────────────────────────────────

TEST(ServerSession, GrantsASocks4Connect) {  // K1, V1, C4
  const auto conversation = talk(request4 + Octets{'H', 'I'});
  EXPECT_EQ(conversation.transcript(),
            "authorise tcp 192.0.2.10:80\nconnect 192.0.2.10:80\nsend 0 90 156 64 198 51 100 7\nrelay\n");
  EXPECT_EQ(conversation.target_receives(), "HI");
  EXPECT_EQ(conversation.session().request()->claimed_user, "bob");
}

TEST(ServerSession, Socks4aLeavesTheNameToTheServer) {  // K2
  EXPECT_TRUE(talk(request4a).transcript().starts_with("authorise tcp example.com:80\nconnect example.com:80\n"));
}

TEST(ServerSession, Socks4RejectsWithItsOneCode) {  // K3 by policy, K4, K7, port 0; V2
  const std::string rejected = "send 0 91 0 0 0 0 0 0\n";
  EXPECT_EQ(talk(Octets{4, 1, 0, 80, 0, 0, 0, 1, 0, 0}).transcript(),
            rejected + "close request.name after the reply\n");
  EXPECT_EQ(talk(Octets{4, 3, 0, 80, 192, 0, 2, 10, 0}).transcript(),
            rejected + "close command.unknown after the reply\n");
  EXPECT_EQ(talk(Octets{4, 1, 0, 0, 192, 0, 2, 10, 0}).transcript(), rejected + "close request.port after the reply\n");
  EXPECT_TRUE(talk(request4, {.performed = Reason::dial_refused})
                  .transcript()
                  .ends_with(rejected + "close dial.refused after the reply\n"));
}

TEST(ServerSession, Socks4IsClosedWhereItIsOff) {
  Conversation conversation({}, SessionRules{.socks4 = false});
  conversation.arrive(request4);
  EXPECT_EQ(conversation.transcript(), "close proto.off silently\n");
}

// ── HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────────

TEST(ServerSession, HandsHttpOverWithEveryOctet) {
  const std::string head = "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n";
  const Octets octets(head.begin(), head.end());
  for (std::size_t split = 0; split <= octets.size(); ++split) {
    Conversation conversation({});
    if (split > 0) conversation.arrive(ConstBytes(octets).first(split));
    if (split < octets.size()) conversation.arrive(ConstBytes(octets).subspan(split));
    ASSERT_EQ(conversation.transcript(), "http\n");
    ASSERT_EQ(conversation.target_receives(), head);
    ASSERT_EQ(conversation.session().protocol(), Protocol::http);
  }
}

TEST(ServerSession, HttpIsClosedWhereItIsOff) {
  Conversation conversation({}, SessionRules{.http = false});
  conversation.arrive(Octets{'G', 'E', 'T', ' '});
  EXPECT_EQ(conversation.transcript(), "close proto.off silently\n");
}

// ── PROXY protocol ──────────────────────────────────────────────────────────────────────────────────────────────────

TEST(ServerSession, ATimeoutIsToldAsTheListenerSays) {
  for (const bool as_ttl : {false, true}) {
    Conversation conversation({.authorised = Reason::none, .performed = Reason::dial_timeout, .bound = {}},
                              SessionRules{.timeout_is_ttl_expired = as_ttl});
    conversation.arrive(greeting + request_v4);
    EXPECT_EQ(conversation.session().reply(), as_ttl ? ReplyCode::ttl_expired : ReplyCode::host_unreachable);
  }
}

TEST(ServerSession, EachProtocolCanBeOff) {
  Conversation no4({}, SessionRules{.socks4 = false});
  no4.arrive(request4);
  EXPECT_EQ(no4.transcript(), "close proto.off silently\n");
  Conversation no5({}, SessionRules{.socks5 = false});
  no5.arrive(greeting);
  EXPECT_EQ(no5.transcript(), "close proto.off silently\n");
}

const std::string proxy_v1 = "PROXY TCP4 203.0.113.9 198.51.100.7 5000 1080\r\n";  // Y1

TEST(ServerSession, AProxyHeaderNamesTheClient) {
  const Octets header(proxy_v1.begin(), proxy_v1.end());
  for (std::size_t split = 1; split < header.size(); ++split) {
    Conversation conversation({}, SessionRules{.proxy_header = true});
    const Octets all = header + greeting + request_v4;
    conversation.arrive(ConstBytes(all).first(split));
    conversation.arrive(ConstBytes(all).subspan(split));
    ASSERT_EQ(conversation.transcript(), success_transcript);
    ASSERT_EQ(conversation.session().proxied()->connection->source.to_string(), "203.0.113.9:5000");
  }
}

TEST(ServerSession, AProxyHeaderIsRequiredWhereItIsListedAndRefusedElsewhere) {  // threat TH1
  const Octets header(proxy_v1.begin(), proxy_v1.end());
  Conversation late({}, SessionRules{.proxy_header = true});
  late.arrive(Octets(header.begin(), header.end() - 1));
  late.handle(DeadlinePassed{});
  EXPECT_EQ(late.transcript(), "close pp.timeout silently\n");
  Conversation slow({}, SessionRules{.proxy_header = true});
  slow.arrive(header);
  slow.handle(DeadlinePassed{});
  EXPECT_EQ(slow.transcript(), "close timeout.handshake silently\n");
  Conversation without({}, SessionRules{.proxy_header = true});
  without.arrive(greeting);
  EXPECT_EQ(without.transcript(), "close pp.missing silently\n");
  // Elsewhere it is an HTTP request without a version, which is answered by 400.
  EXPECT_EQ(talk(Octets(proxy_v1.begin(), proxy_v1.end())).transcript(), "http\n");
}

// ── BIND ────────────────────────────────────────────────────────────────────────────────────────────────────────────

TEST(ServerSession, BindAnswersTwice) {  // Q18, P4, P5
  Conversation conversation({});
  conversation.arrive(greeting + Octets{5, 2, 0, 1, 0, 0, 0, 0, 0, 0});
  EXPECT_EQ(conversation.transcript(),
            "send 5 0\nauthenticate\nauthorise bind anything\nlisten for anything\nsend 5 0 0 1 198 51 100 7 156 64\n");
  EXPECT_TRUE(conversation.reading());
  conversation.arrive(Octets{'a', 'b'});  // held for the peer
  conversation.handle(Granted{{Address::v4(203, 0, 113, 9), 20}});
  EXPECT_TRUE(conversation.transcript().ends_with("send 5 0 0 1 203 0 113 9 0 20\nrelay\n"));
  EXPECT_EQ(conversation.target_receives(), "ab");
}

TEST(ServerSession, BindNamesItsPeer) {  // Q19
  EXPECT_NE(talk(greeting + Octets{5, 2, 0, 1, 203, 0, 113, 9, 0, 0}).transcript().find("listen for 203.0.113.9:0\n"),
            std::string::npos);
}

TEST(ServerSession, BindFailsWithTheSecondReply) {
  for (const Octets& request :
       {greeting + Octets{5, 2, 0, 1, 0, 0, 0, 0, 0, 0}, Octets{4, 2, 0, 21, 203, 0, 113, 9, 0}}) {
    Conversation conversation({});
    conversation.arrive(request);
    conversation.handle(Failed{Reason::bind_timeout});
    EXPECT_TRUE(conversation.transcript().ends_with("close timeout.bind after the reply\n"));
  }
}

TEST(ServerSession, AClientThatLeavesEndsItsBind) {
  Conversation conversation({});
  conversation.arrive(greeting + Octets{5, 2, 0, 3, 0, 0, 0});  // an empty name leaves the peer open too
  conversation.handle(ClientFin{});
  EXPECT_TRUE(conversation.transcript().ends_with("close fin.client silently\n"));
}

TEST(ServerSession, WhatAClientSendsWhileItWaitsIsBounded) {
  Conversation conversation({});
  conversation.arrive(greeting + Octets{5, 2, 0, 1, 0, 0, 0, 0, 0, 0});
  const Octets much(16 * 1024, 'x');
  for (int i = 0; i < 100; ++i) conversation.arrive(much);
  EXPECT_FALSE(conversation.reading());
  conversation.handle(Granted{{Address::v4(203, 0, 113, 9), 20}});
  EXPECT_EQ(conversation.target_receives().size(), 100 * much.size());
}

// ── RESOLVE and UDP ASSOCIATE ───────────────────────────────────────────────────────────────────────────────────────

TEST(ServerSession, ResolveAnswersAndCloses) {  // Q24, P6
  const Octets resolve{5, 0xF0, 0, 3, 11, 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'c', 'o', 'm', 0, 0};
  const auto conversation = talk(greeting + resolve, {.bound = {Address::v4(192, 0, 2, 10), 0}});
  EXPECT_EQ(conversation.transcript(),
            "send 5 0\nauthenticate\nauthorise resolve example.com:0\nresolve example.com:0\n"
            "send 5 0 0 1 192 0 2 10 0 0\nclose none after the reply\n");
}

TEST(ServerSession, ReverseResolveWantsAnAddress) {  // Q25, Q26, P7
  const auto name = std::get<HostName>(*canonical_host("example.com"));
  const auto found = talk(greeting + Octets{5, 0xF1, 0, 1, 192, 0, 2, 10, 0, 0}, {.bound = {name, 0}});
  EXPECT_TRUE(found.transcript().ends_with(
      "resolve name of 192.0.2.10:0\n"
      "send 5 0 0 3 11 101 120 97 109 112 108 101 46 99 111 109 0 0\nclose none after the reply\n"));
  const Octets of_a_name{5, 0xF1, 0, 3, 1, 'x', 0, 0};
  EXPECT_TRUE(talk(greeting + of_a_name).transcript().ends_with("close address_type.unknown after the reply\n"));
}

TEST(ServerSession, AssociatesWhateverTheClientClaims) {  // Q21, Q22, Q23
  const std::string begin = "send 5 0\nauthenticate\nauthorise udp anything\nassociate ";
  const std::string end = "\nsend 5 0 0 1 198 51 100 7 156 64\nassociation\n";
  EXPECT_EQ(talk(greeting + Octets{5, 3, 0, 1, 0, 0, 0, 0, 0, 0}).transcript(), begin + "anything" + end);
  EXPECT_EQ(talk(greeting + Octets{5, 3, 0, 3, 0, 0, 0}).transcript(), begin + "anything" + end);
  EXPECT_EQ(talk(greeting + Octets{5, 3, 0, 1, 203, 0, 113, 9, 0, 53}).transcript(), begin + "203.0.113.9:53" + end);
  EXPECT_EQ(talk(greeting + Octets{5, 3, 0, 3, 1, '0', 0, 0}).transcript(), begin + "anything" + end);  // PySocks
}

// ── PING and TRACEROUTE ─────────────────────────────────────────────────────────────────────────────────────────────

TEST(ServerSession, ProbesBeginBehindOneReply) {  // Q27, Q28
  const Answers at{.bound = {Address::v4(198, 51, 100, 7), 0}};
  const std::string expected =
      "send 5 0\nauthenticate\nauthorise ping 192.0.2.10:0\nprobe 192.0.2.10:0\n"
      "send 5 0 0 1 198 51 100 7 0 0\nprobes\n";
  const auto ping = talk(greeting + Octets{5, 0x80, 0, 1, 192, 0, 2, 10, 0, 0}, at);
  EXPECT_EQ(ping.transcript(), expected);
  EXPECT_FALSE(ping.end_asked());
  const auto trace = talk(greeting + Octets{5, 0x81, 3, 1, 192, 0, 2, 10, 0, 0}, at);
  EXPECT_EQ(trace.transcript(), expected);
  EXPECT_EQ(trace.session().request()->reserved, wire::probe_without_names | wire::probe_verbose);
}

TEST(ServerSession, AnOctetBehindTheRequestEndsTheProbes) {
  EXPECT_TRUE(talk(greeting + Octets{5, 0x80, 0, 1, 192, 0, 2, 10, 0, 0, 0}).end_asked());
}

TEST(ServerSession, ProbesFailWithOneReplyOnly) {
  const Octets ping{5, 0x80, 0, 1, 192, 0, 2, 10, 0, 0};
  EXPECT_TRUE(talk(greeting + ping, {.authorised = Reason::deny_policy})
                  .transcript()
                  .ends_with("send 5 2 0 1 0 0 0 0 0 0\nclose deny.policy after the reply\n"));
  EXPECT_TRUE(talk(greeting + ping, {.performed = Reason::ping_no_socket})
                  .transcript()
                  .ends_with("send 5 1 0 1 0 0 0 0 0 0\nclose ping.no_socket after the reply\n"));
  EXPECT_TRUE(talk(greeting + Octets{5, 0x81, 0, 3, 0, 0, 0})
                  .transcript()
                  .ends_with("send 5 1 0 1 0 0 0 0 0 0\nclose request.name after the reply\n"));
}

TEST(ServerSession, ProbesThatAreOffAreNoCommands) {
  for (const std::uint8_t command : {std::uint8_t{0x80}, std::uint8_t{0x81}}) {
    SessionRules rules;
    rules.ping = rules.traceroute = false;
    Conversation conversation({}, rules);
    conversation.arrive(greeting + Octets{5, command, 0, 1, 192, 0, 2, 10, 0, 0});
    EXPECT_TRUE(
        conversation.transcript().ends_with("send 5 7 0 1 0 0 0 0 0 0\nclose command.unknown after the reply\n"));
  }
}

TEST(ServerSession, KeepsATraceForPeople) {
  const auto conversation = talk(greeting + request_v4);
  EXPECT_EQ(to_text(conversation.session().trace()),
            "+0ms opening Received: Send Authenticate\n+0ms authentication Authenticated: Authorise\n"
            "+0ms authorisation Authorised: Connect\n+0ms performing Granted: Send StartRelay\n");
}

TEST(TraceRing, KeepsTheLastSteps) {
  TraceRing ring;
  for (std::uint32_t i = 0; i < 40; ++i) ring.add({.milliseconds = i});
  EXPECT_EQ(ring.entries(), limits::trace_ring_entries);
  std::uint32_t expected = 40 - limits::trace_ring_entries;
  ring.each([&](const TraceEntry& entry) { EXPECT_EQ(entry.milliseconds, expected++); });
}

}  // namespace
}  // namespace stile::session
