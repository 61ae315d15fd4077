// HTTP as a proxy leads it: each request of a kept connection, what goes to an origin and what comes back, every split,
// every end. RFC 9110, RFC 9112; protocol reference, section 7.
#include "session/http_exchange.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "session/http_talk_for_tests.h"
#include "wire/http_status.h"

namespace stile::session {
namespace {

using End = HttpOriginScript::End;

const std::string get = "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n";
const std::string get_sent = "GET /x HTTP/1.1\r\nHost: a.example\r\nVia: 1.1 stile\r\n\r\n";
const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const std::string ok_received = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nVia: 1.1 stile\r\n\r\nhello";

/// Plays a script whole, and then with every step that its streams can be cut by: nothing may differ.
HttpTalk play(const HttpScript& script) {
  HttpTalk whole(script, {});
  for (const std::size_t client : {1U, 2U, 3U, 7U, 64U}) {
    for (const std::size_t origin : {1U, 2U, 5U, 64U}) {
      const HttpTalk split(script, {.client = client, .origin = origin, .takes = 1 + (client * origin) % 11});
      EXPECT_EQ(split.to_client(), whole.to_client()) << client << " " << origin;
      EXPECT_EQ(split.to_origins(), whole.to_origins()) << client << " " << origin;
      EXPECT_EQ(split.transcript(), whole.transcript()) << client << " " << origin;
    }
  }
  return whole;
}

HttpTalk play(const std::string& client, const std::vector<std::string>& responses, End end = End::stays) {
  return play(HttpScript{.rules = {}, .client = client, .client_fin = false, .origins = {{responses, end}}});
}

std::string status_line(const HttpTalk& talk) {
  return talk.to_client().substr(0, talk.to_client().find("\r\n"));
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// ── requests and responses ──────────────────────────────────────────────────────────────────────────────────────────

TEST(HttpExchange, ForwardsARequestAndItsResponse) {
  const auto talk = play(get, {ok});
  EXPECT_EQ(talk.to_origins(), std::vector{get_sent});
  EXPECT_EQ(talk.to_client(), ok_received);
  EXPECT_EQ(talk.transcript(), "open a.example:80\nsettled none\n");
  EXPECT_EQ(talk.exchange().phase(), HttpPhase::request);
}

TEST(HttpExchange, TellsWhatTheFinalResponseSaysOfCaches) {
  const auto said = [](const std::string& response) -> std::string_view {
    HttpExchange exchange({});
    const auto octets = [](const std::string& text) {
      return ConstBytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
    };
    exchange.client_octets(octets(get));
    exchange.opened(false);
    EXPECT_FALSE(exchange.cache());
    exchange.origin_octets(octets(response));
    EXPECT_EQ(exchange.phase(), HttpPhase::answering);
    const std::string_view outcome = exchange.cache() ? wire::name(*exchange.cache()) : "";
    exchange.client_took(exchange.to_client().size());
    exchange.settled();
    EXPECT_FALSE(exchange.cache()) << "what one request was told is nothing to the next";
    return outcome;
  };
  const std::string whole = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
  const std::string early = "HTTP/1.1 103 Early Hints\r\nCache-Status: c; hit\r\n\r\n";
  EXPECT_EQ(said(whole + "Cache-Status: c; hit\r\n\r\n"), "hit");
  EXPECT_EQ(said(whole + "\r\n"), "");
  EXPECT_EQ(said(early + whole + "\r\n"), "");
  EXPECT_EQ(said(early + whole + "Cache-Status: c; fwd=miss\r\n\r\n"), "miss");
}

TEST(HttpExchange, EveryCutOfBothStreamsGivesTheSame) {
  const std::string post =
      "POST http://a.example/ HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: "
      "v\r\n\r\n";
  const HttpScript script{.rules = {},
                          .client = post + get,
                          .client_fin = true,
                          .origins = {{{"HTTP/1.1 100 Continue\r\n\r\n" + ok, ok}, End::stays}, {{ok}, End::fin}}};
  HttpTalk whole(script, {});
  for (std::size_t client = 1; client <= script.client.size(); ++client) {
    for (std::size_t origin = 1; origin <= 80; ++origin) {
      ASSERT_EQ(HttpTalk(script, {.client = client, .origin = origin, .takes = client}), whole);
    }
  }
}

TEST(HttpExchange, PipelinedRequestsAreServedInTurnOnOneConnection) {
  const auto talk = play(get + "\r\n" + get + get, {ok, ok, ok});
  EXPECT_EQ(talk.to_origins(), std::vector{get_sent + get_sent + get_sent});
  EXPECT_EQ(talk.to_client(), ok_received + ok_received + ok_received);
  EXPECT_EQ(talk.transcript(),
            "open a.example:80\nsettled none\nreuse a.example:80\nsettled none\nreuse a.example:80\nsettled none\n");
}

TEST(HttpExchange, AnotherTargetIsAnotherConnection) {
  const std::string other = "GET http://b.example:8080/ HTTP/1.1\r\nHost: a.example\r\n\r\n";
  const HttpScript script{
      .rules = {}, .client = get + other, .client_fin = false, .origins = {{{ok}, End::stays}, {{ok}, End::stays}}};
  const auto talk = play(script);
  ASSERT_EQ(talk.to_origins().size(), 2U);
  EXPECT_TRUE(contains(talk.to_origins()[1], "Host: b.example:8080\r\n"));  // from the target alone
  EXPECT_EQ(talk.transcript(), "open a.example:80\nsettled none\nopen b.example:8080\nsettled none\n");
}

TEST(HttpExchange, BodiesGoUpWholeAndInTheirFraming) {
  const std::string head = "POST http://a.example/ HTTP/1.1\r\nHost: a\r\n";
  const std::string chunks = "4;name=value\r\nWiki\r\n000a\r\n0123456789\r\n0\r\nTrailer: yes\r\n\r\n";
  const auto chunked = play(head + "Transfer-Encoding: chunked\r\n\r\n" + chunks, {ok});
  EXPECT_TRUE(chunked.to_origins()[0].ends_with("\r\n\r\n" + chunks));
  const auto counted = play(head + "Content-Length: 10\r\n\r\n0123456789", {ok});
  EXPECT_TRUE(counted.to_origins()[0].ends_with("\r\n\r\n0123456789"));
  EXPECT_EQ(counted.to_client(), ok_received);
}

TEST(HttpExchange, WhatMustNotBeSentTwiceGetsAConnectionOfItsOwn) {
  const std::string post = "POST http://a.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
  const auto talk = play(HttpScript{
      .rules = {}, .client = get + post, .client_fin = false, .origins = {{{ok}, End::stays}, {{ok}, End::stays}}});
  EXPECT_EQ(talk.transcript(), "open a.example:80\nsettled none\nopen a.example:80\nsettled none\n");
}

TEST(HttpExchange, ResponsesWithoutBodies) {
  const std::string head = "HEAD http://a.example/ HTTP/1.1\r\nHost: a\r\n\r\n";
  const auto talk = play(head + get + get + get, {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                                                  "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
                                                  "HTTP/1.1 204 No Content\r\n\r\n", ok});
  EXPECT_EQ(talk.to_client(),
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nVia: 1.1 stile\r\n\r\n"
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nVia: 1.1 stile\r\n\r\n"
            "HTTP/1.1 204 No Content\r\nVia: 1.1 stile\r\n\r\n" +
                ok_received);
}

TEST(HttpExchange, ABodyThatEndsWithItsConnectionEndsTheClientsToo) {
  const auto talk = play(get + get, {"HTTP/1.1 200 OK\r\n\r\nall of it"}, End::fin);
  EXPECT_TRUE(talk.to_client().ends_with("Connection: close\r\n\r\nall of it"));
  EXPECT_EQ(talk.transcript(), "open a.example:80\nsettled none\nclosing none\n");
}

TEST(HttpExchange, InterimResponsesPassThrough) {
  const auto talk = play(get, {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok});
  EXPECT_EQ(talk.to_client(),
            "HTTP/1.1 100 Continue\r\nVia: 1.1 stile\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\nVia: 1.1 "
            "stile\r\n\r\n" +
                ok_received);
}

// A client that waits for 100 before it sends its body is told so by the origin alone.
TEST(HttpExchange, AnExpectationIsTheOriginsToMeet) {
  HttpExchange exchange({});
  const std::string head =
      "PUT http://a.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  const auto bytes = [](const std::string& text) {
    return ConstBytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  };
  exchange.client_octets(bytes(head));
  exchange.opened(false);
  const ConstBytes sent = exchange.to_origin();
  EXPECT_TRUE(contains(std::string(sent.begin(), sent.end()), "Expect: 100-continue\r\n"));
  exchange.origin_took(sent.size());
  exchange.origin_octets(bytes("HTTP/1.1 100 Continue\r\n\r\n"));
  exchange.client_took(exchange.to_client().size());
  exchange.client_octets(bytes("hi"));
  exchange.origin_took(2);
  exchange.origin_octets(bytes(ok));
  exchange.client_took(exchange.to_client().size());
  EXPECT_EQ(exchange.phase(), HttpPhase::answering);
  EXPECT_TRUE(exchange.keeps_origin());
  EXPECT_FALSE(exchange.closes());
}

TEST(HttpExchange, OldClientsGetWhatTheyUnderstand) {
  const std::string old = "GET http://a.example/x HTTP/1.0\r\n\r\n";
  const auto talk = play(old, {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: v\r\n\r\n"});
  EXPECT_TRUE(contains(talk.to_origins()[0], "Connection: close\r\n"));
  EXPECT_TRUE(contains(talk.to_origins()[0], "Via: 1.0 stile\r\n"));
  EXPECT_FALSE(contains(talk.to_client(), "100 Continue"));
  EXPECT_FALSE(contains(talk.to_client(), "Transfer-Encoding"));
  EXPECT_TRUE(talk.to_client().ends_with("Connection: close\r\n\r\nabcde"));
  EXPECT_TRUE(talk.transcript().ends_with("settled none\nclosing none\n"));
}

TEST(HttpExchange, HopByHopFieldsStayOnTheirHop) {
  const std::string client =
      "GET http://a.example/ HTTP/1.1\r\nHost: evil.example\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n"
      "Proxy-Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nTE: gzip, trailers\r\nProxy-Authorization: Basic "
      "eDp5\r\nForwarded: for=1\r\nX-Forwarded-For: 1\r\nUpgrade: h2c\r\nAccept: */*\r\n\r\n";
  const auto talk = play(client, {"HTTP/1.1 200 OK\r\nConnection: X-Theirs\r\nX-Theirs: 1\r\nKeep-Alive: x\r\n"
                                  "Proxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"});
  EXPECT_EQ(talk.to_origins()[0],
            "GET / HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nTE: trailers\r\nVia: 1.1 stile\r\n"
            "Connection: TE\r\n\r\n");
  EXPECT_EQ(talk.to_client(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nVia: 1.1 stile\r\n\r\n");
}

TEST(HttpExchange, MaxForwardsZeroGoesNoFurther) {
  const auto options = play("OPTIONS http://a.example/ HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n" + get, {ok});
  EXPECT_TRUE(options.to_client().starts_with("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_EQ(options.transcript(), "settled none\nopen a.example:80\nsettled none\n");
  const auto trace = play("TRACE http://a.example/ HTTP/1.1\r\nHost: a\r\nMax-Forwards: 1\r\nCookie: c\r\n\r\n", {ok});
  EXPECT_TRUE(contains(trace.to_origins()[0], "Max-Forwards: 0\r\n"));
}

TEST(HttpExchange, AClientThatAsksForCloseGetsIt) {
  const auto talk = play("GET http://a.example/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + get, {ok});
  EXPECT_TRUE(contains(talk.to_client(), "Connection: close\r\n"));
  EXPECT_EQ(talk.transcript(), "open a.example:80\nsettled none\nclosing none\n");
}

// ── tunnels ─────────────────────────────────────────────────────────────────────────────────────────────────────────

TEST(HttpExchange, ConnectBecomesATunnelWithItsEarlyData) {
  const auto talk = play("CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n\x16\x03\x01", {});
  EXPECT_EQ(talk.to_client(), "HTTP/1.1 200 Connection established\r\n\r\n");
  EXPECT_EQ(talk.transcript(), "open a.example:443\ntunnel none\n");
  EXPECT_EQ(talk.exchange().phase(), HttpPhase::tunnel);
}

TEST(HttpExchange, ConnectMayFollowOtherRequests) {
  const auto talk = play(HttpScript{.rules = {},
                                    .client = get + "CONNECT a.example:80 HTTP/1.1\r\nHost: a.example:80\r\n\r\nearly",
                                    .client_fin = false,
                                    .origins = {{{ok}, End::stays}, {{}, End::stays}}});
  EXPECT_EQ(talk.transcript(), "open a.example:80\nsettled none\nopen a.example:80\ntunnel none\n");
}

TEST(HttpExchange, AnUpgradeBecomesATunnelIfTheOriginAgrees) {
  const std::string client =
      "GET http://a.example/chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
  const std::string agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi";
  const auto talk = play(client, {agreed});
  EXPECT_TRUE(talk.to_origins()[0].ends_with("Upgrade: websocket\r\nVia: 1.1 stile\r\nConnection: Upgrade\r\n\r\n"));
  EXPECT_TRUE(contains(talk.to_client(), "Upgrade: websocket\r\n"));
  EXPECT_TRUE(talk.to_client().starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
  EXPECT_TRUE(talk.transcript().ends_with("tunnel none\n"));
  const auto declined = play(client + get, {ok, ok});
  EXPECT_EQ(declined.to_client(), ok_received + ok_received);
  const auto unasked = play(get, {agreed});
  EXPECT_EQ(status_line(unasked), "HTTP/1.1 502 Bad Gateway");
}

// ── refusals ────────────────────────────────────────────────────────────────────────────────────────────────────────

struct Refusal {
  std::string client;
  std::string status;
  std::string reason;
};

TEST(HttpExchange, EveryMalformedHeadIsRefusedAndEndsTheConnection) {
  const std::string line = "GET http://a.example/ HTTP/1.1\r\n";
  const std::vector<Refusal> refusals{
      {"CONNECT 192.0.2.10:80 HTTP/1.1\r\n\r\n", "400", "http.host"},  // H1
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505", "http.version"},     // H2
      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "400", "http.target"},     // H3
      {"GET https://a.example/ HTTP/1.1\r\nHost: a\r\n\r\n", "501", "http.scheme"},
      {"CONNECT a.example:0 HTTP/1.1\r\nHost: a\r\n\r\n", "400", "request.port"},
      {"CONNECT a.example HTTP/1.1\r\nHost: a\r\n\r\n", "400", "http.target"},
      {"CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", "400", "http.framing"},
      {line + "Host: a\r\nHost: b\r\n\r\n", "400", "http.host"},
      {line + "Host: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400", "http.framing"},
      {line + "Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "400", "http.framing"},
      {line + "Host: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", "400", "http.framing"},
      {line + "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "501", "http.coding"},
      {line + "Host: a\r\n folded\r\n\r\n", "400", "http.syntax"},
      {line + "Host : a\r\n\r\n", "400", "http.syntax"},
      {line + "Host: a\rb\r\n\r\n", "400", "http.syntax"},
      {line + std::string("Host: a\0b\r\n\r\n", 11), "400", "http.syntax"},
      {"PROXY TCP4 203.0.113.9 198.51.100.7 5000 1080\r\n", "400", "http.syntax"},
      {"GET http://a.example/" + std::string(9000, 'x') + " HTTP/1.1\r\n", "414", "http.line_long"},
      {line + "Host: a\r\nX: " + std::string(66'000, 'x') + "\r\n\r\n", "431", "http.fields_large"},
  };
  for (const Refusal& refusal : refusals) {
    const auto talk = play(refusal.client + get, {ok});
    EXPECT_TRUE(talk.to_client().starts_with("HTTP/1.1 " + refusal.status)) << refusal.client.substr(0, 200);
    EXPECT_TRUE(contains(talk.to_client(), "Connection: close\r\n"));
    EXPECT_EQ(talk.transcript(), "settled " + refusal.reason + "\nclosing none\n") << refusal.client.substr(0, 200);
    EXPECT_TRUE(talk.to_origins().empty());
  }
}

TEST(HttpExchange, AMalformedLaterRequestIsRefusedToo) {
  const auto talk = play(get + "GET / HTTP/1.1\r\nHost: x\r\n\r\n", {ok});
  EXPECT_TRUE(talk.to_client().starts_with(ok_received + "HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_EQ(talk.transcript(), "open a.example:80\nsettled none\nsettled http.target\nclosing none\n");
}

TEST(HttpExchange, UnusableNamesAreNeverOpened) {
  const auto talk = play("GET http://0x7f.1/ HTTP/1.1\r\nHost: a\r\n\r\n" + get, {ok});
  EXPECT_EQ(status_line(talk), "HTTP/1.1 400 Bad Request");
  EXPECT_EQ(talk.transcript(), "settled name.impossible\nopen a.example:80\nsettled none\n");
}

TEST(HttpExchange, EveryReasonOfRefusalIsAnsweredByItsStatus) {
  for (int i = 1; i < reason_count; ++i) {
    const auto reason = static_cast<Reason>(i);
    const HttpScript script{.rules = {},
                            .client = get + get,
                            .client_fin = false,
                            .origins = {{{}, End::stays, reason}, {{ok}, End::stays}}};
    const auto talk = play(script);
    const auto& outcome = wire::http_outcome(reason);
    EXPECT_TRUE(talk.to_client().starts_with("HTTP/1.1 " + std::to_string(outcome.status) + " "));
    EXPECT_EQ(contains(talk.to_client(), "Proxy-Status: stile; error="), !outcome.error.empty());
    EXPECT_EQ(contains(talk.to_client(), "Retry-After: 10\r\n"), outcome.status == 503);
    EXPECT_FALSE(contains(talk.to_client(), "Connection: close"));
    EXPECT_TRUE(talk.to_client().ends_with(ok_received));  // nothing was lost of what stood behind it
  }
}

TEST(HttpExchange, ARefusalBeforeABodyEndsTheConnection) {
  const std::string post = "POST http://a.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n";
  const auto talk = play(HttpScript{.rules = {},
                                    .client = post + get,
                                    .client_fin = false,
                                    .origins = {{{}, End::stays, Reason::deny_policy}, {{ok}, End::stays}}});
  EXPECT_EQ(status_line(talk), "HTTP/1.1 403 Forbidden");
  EXPECT_TRUE(contains(talk.to_client(), "Connection: close\r\n"));
  EXPECT_EQ(talk.transcript(), "open a.example:80\nsettled deny.policy\nclosing none\n");
}

TEST(HttpExchange, AFailedConnectEndsTheConnection) {
  const std::string connect = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
  const auto talk = play(HttpScript{.rules = {},
                                    .client = connect + connect,
                                    .client_fin = false,
                                    .origins = {{{}, End::stays, Reason::dial_timeout}}});
  EXPECT_EQ(status_line(talk), "HTTP/1.1 504 Gateway Timeout");
  EXPECT_EQ(talk.transcript(), "open a.example:443\nsettled dial.timeout\nclosing none\n");
}

TEST(HttpExchange, MethodsThatAreOffAreNamed) {
  const std::string connect = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
  const auto no_connect = play(
      HttpScript{.rules = {.connect = false}, .client = connect, .client_fin = false, .origins = {{{ok}, End::stays}}});
  EXPECT_EQ(status_line(no_connect), "HTTP/1.1 405 Method Not Allowed");
  EXPECT_TRUE(contains(no_connect.to_client(), "Allow: GET, "));
  const auto no_forward = play(
      HttpScript{.rules = {.forward = false}, .client = get, .client_fin = false, .origins = {{{ok}, End::stays}}});
  EXPECT_EQ(status_line(no_forward), "HTTP/1.1 405 Method Not Allowed");
  EXPECT_TRUE(contains(no_forward.to_client(), "Allow: CONNECT\r\n"));
}

// Where clients must authenticate, every request is asked for credentials, and the connection stays for the next one.
TEST(HttpExchange, AsksForCredentials) {
  const std::string connect = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
  const auto talk = play(HttpScript{
      .rules = {.auth = {}}, .client = get + connect + get, .client_fin = true, .origins = {{{ok}, End::stays}}});
  EXPECT_TRUE(talk.to_origins().empty());
  EXPECT_EQ(talk.transcript(), "settled method.none\nsettled method.none\nsettled method.none\nsilent none\n");
  EXPECT_TRUE(talk.to_client().starts_with(
      "HTTP/1.1 407 Proxy Authentication Required\r\n"
      "Proxy-Authenticate: Basic realm=\"stile\", charset=\"UTF-8\"\r\nContent-Type: text/plain\r\nContent-Length: "));
  EXPECT_FALSE(contains(talk.to_client(), "Connection: close"));
  const auto closing = play(
      HttpScript{.rules = {.auth = {}},
                 .client = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nProxy-Connection: close\r\n\r\n",
                 .client_fin = false,
                 .origins = {}});
  EXPECT_EQ(closing.transcript(), "settled method.none\nclosing none\n");
}

// ── credentials ─────────────────────────────────────────────────────────────────────────────────────────────────────

const AuthMethods password_only{AuthMethod::password};

std::string get_with(std::string_view field) {
  return "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n" + std::string(field) + "\r\n";
}
const std::string alice = "Proxy-Authorization: Basic YWxpY2U6c2VjcmV0\r\n";  // alice:secret

HttpTalk log_in(const std::string& client, Reason login = Reason::none, const AuthMethods& auth = password_only) {
  return play(HttpScript{.rules = {.auth = auth},
                         .client = client,
                         .client_fin = true,
                         .login = login,
                         .origins = {{{ok, ok, ok}, End::stays}}});
}

TEST(HttpLogin, LetsARequestThroughAndGoesNoFurther) {
  const auto talk = log_in(get_with(alice));
  EXPECT_EQ(status_line(talk), "HTTP/1.1 200 OK");
  EXPECT_TRUE(talk.transcript().starts_with("login alice:secret\nopen a.example:80\n"));
  ASSERT_EQ(talk.to_origins().size(), 1U);
  EXPECT_FALSE(contains(talk.to_origins()[0], "uthorization"));
  EXPECT_FALSE(contains(talk.to_origins()[0], "YWxp"));
}

TEST(HttpLogin, EveryRequestIsAskedAbout) {
  const auto talk = log_in(get_with(alice) + get_with("") + get_with(alice));
  EXPECT_TRUE(talk.transcript().starts_with(
      "login alice:secret\nopen a.example:80\nsettled none\nsettled method.none\nlogin alice:secret\n"));
}

// Wrong, unknown, malformed: the same answer, and the connection stays for the next try.
TEST(HttpLogin, EveryRefusalIsTheSame) {
  const std::string wrong = log_in(get_with(alice), Reason::auth_failed).to_client();
  EXPECT_TRUE(
      wrong.starts_with("HTTP/1.1 407 Proxy Authentication Required\r\n"
                        "Proxy-Authenticate: Basic realm=\"stile\", charset=\"UTF-8\"\r\n"));
  EXPECT_FALSE(contains(wrong, "Connection: close"));
  for (const std::string_view value : {"Basic", "Basic ", "Basic YWxpY2U6c2VjcmV0=", "Basic YWxpY2U6c2VjcmV",
                                       "Basic YWxpY2U", "Basic YWxpY2U6", "Basic OnNlY3JldA==", "Basic YQBiOng=",
                                       "Bearer YWxpY2U6c2VjcmV0", "YWxpY2U6c2VjcmV0", "basic\tYWxpY2U6c2VjcmV0"}) {
    const auto talk = log_in(get_with("Proxy-Authorization: " + std::string(value) + "\r\n"));
    EXPECT_EQ(talk.to_client(), wrong) << value;
    EXPECT_TRUE(talk.to_origins().empty()) << value;
    EXPECT_FALSE(contains(talk.transcript(), "login")) << "no back end is asked: " << value;
  }
  EXPECT_EQ(log_in(get_with(alice + alice)).to_client(), wrong) << "which one would count?";
}

TEST(HttpLogin, NobodyLooksWhereNoPasswordIsAskedFor) {
  const auto talk = log_in(get_with(alice), Reason::auth_failed, {AuthMethod::none});
  EXPECT_EQ(status_line(talk), "HTTP/1.1 200 OK");
  EXPECT_FALSE(contains(talk.to_origins()[0], "uthorization")) << "it is for the proxy, whatever the proxy makes of it";
}

TEST(HttpLogin, WhereItIsOptionalCredentialsThatAreShownCount) {
  const AuthMethods either{AuthMethod::none, AuthMethod::password};
  EXPECT_EQ(status_line(log_in(get_with(""), Reason::auth_failed, either)), "HTTP/1.1 200 OK");
  EXPECT_EQ(status_line(log_in(get_with(alice), Reason::none, either)), "HTTP/1.1 200 OK");
  EXPECT_EQ(status_line(log_in(get_with(alice), Reason::auth_failed, either)),
            "HTTP/1.1 407 Proxy Authentication Required");
}

TEST(HttpLogin, ABusyServerSaysWhenToComeBack) {
  const auto talk = log_in(get_with(alice), Reason::auth_busy);
  EXPECT_EQ(status_line(talk), "HTTP/1.1 503 Service Unavailable");
  EXPECT_TRUE(contains(talk.to_client(), "Retry-After: "));
}

TEST(HttpLogin, ATunnelNeedsItToo) {
  const std::string connect = "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n";
  const auto refused = log_in(connect + "\r\n" + connect + alice + "\r\nearly");
  EXPECT_EQ(refused.transcript(), "settled method.none\nlogin alice:secret\nopen a.example:443\ntunnel none\n");
  EXPECT_EQ(refused.to_origins()[0], "early");
}

TEST(HttpExchange, ARefusedHeadRequestHasNoBody) {
  const auto talk = play(HttpScript{
      .rules = {}, .client = "HEAD http://a.example/ HTTP/1.1\r\nHost: a\r\n\r\n", .client_fin = false, .origins = {}});
  EXPECT_EQ(status_line(talk), "HTTP/1.1 502 Bad Gateway");
  EXPECT_TRUE(talk.to_client().ends_with("\r\n\r\n"));
}

// ── origins that fail ───────────────────────────────────────────────────────────────────────────────────────────────

TEST(HttpExchange, AnOriginThatFailsBeforeItsAnswerIs502) {
  for (const End end : {End::fin, End::reset}) {
    const auto talk = play(get, {"HTTP/1.1 200 OK\r\nContent-"}, end);
    EXPECT_EQ(status_line(talk), "HTTP/1.1 502 Bad Gateway");
    EXPECT_FALSE(contains(talk.to_client(), "200 OK"));
  }
  for (const std::string& broken :
       {std::string("SSH-2.0-x\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        std::string("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), std::string("HTTP/2.0 200 OK\r\n\r\n")}) {
    EXPECT_EQ(play(get, {broken}).transcript(), "open a.example:80\nsettled http.response\n");
  }
}

TEST(HttpExchange, AnOriginThatFailsInsideItsAnswerAbortsTheClient) {
  const std::string half = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe";
  EXPECT_EQ(play(get, {half}, End::fin).transcript(), "open a.example:80\naborting http.incomplete\n");
  EXPECT_EQ(play(get, {half}, End::reset).transcript(), "open a.example:80\naborting rst.target\n");
  EXPECT_EQ(play(get, {"HTTP/1.1 200 OK\r\n\r\nhe"}, End::reset).transcript(),
            "open a.example:80\naborting rst.target\n");
  const auto broken = play(get, {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc"});
  EXPECT_EQ(broken.transcript(), "open a.example:80\naborting http.response\n");
  EXPECT_TRUE(broken.to_client().ends_with("\r\n\r\n2\r\nab"));
}

TEST(HttpExchange, OctetsBehindAResponseGoNowhere) {
  const auto talk = play(HttpScript{
      .rules = {},
      .client = get + get,
      .client_fin = false,
      .origins = {{{ok + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"}, End::stays}, {{ok}, End::stays}}});
  EXPECT_FALSE(contains(talk.to_client(), "evil"));
}

TEST(HttpExchange, AKeptConnectionThatHadEndedIsReplaced) {
  const HttpScript script{
      .rules = {}, .client = get + get, .client_fin = false, .origins = {{{ok, ""}, End::fin}, {{ok}, End::stays}}};
  const auto talk = play(script);
  EXPECT_EQ(talk.to_client(), ok_received + ok_received);
  EXPECT_EQ(talk.transcript(),
            "open a.example:80\nsettled none\nreuse a.example:80\nopen a.example:80\nsettled none\n");
  // Once the origin has begun to answer, the request was processed: it is not sent again.
  HttpScript begun = script;
  begun.origins[0].responses[1] = "H";
  EXPECT_TRUE(contains(play(begun).transcript(), "reuse a.example:80\nsettled http.incomplete\n"));
}

// ── clients that fail ───────────────────────────────────────────────────────────────────────────────────────────────

TEST(HttpExchange, AClientsFinBehindWholeRequestsChangesNothing) {
  const auto talk =
      play(HttpScript{.rules = {}, .client = get + get, .client_fin = true, .origins = {{{ok, ok}, End::stays}}});
  EXPECT_EQ(talk.to_client(), ok_received + ok_received);
  EXPECT_TRUE(talk.transcript().ends_with("silent none\n"));
}

TEST(HttpExchange, AClientsFinInsideARequestEndsIt) {
  const auto head =
      play(HttpScript{.rules = {}, .client = get.substr(0, 20), .client_fin = true, .origins = {{{ok}, End::stays}}});
  EXPECT_EQ(head.transcript(), "silent eof.request\n");
  const auto body = play(HttpScript{.rules = {},
                                    .client = "PUT http://a.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
                                    .client_fin = true,
                                    .origins = {{{}, End::stays}}});
  EXPECT_EQ(body.transcript(), "open a.example:80\nsilent eof.request\n");
}

TEST(HttpExchange, ChunksThatAreNoneAre400) {
  const auto talk =
      play("POST http://a.example/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc" + get, {ok});
  EXPECT_EQ(status_line(talk), "HTTP/1.1 400 Bad Request");
  EXPECT_EQ(talk.transcript(), "open a.example:80\nsettled http.framing\nclosing none\n");
}

// ── the file for browsers ───────────────────────────────────────────────────────────────────────────────────────────

const std::string get_pac = "GET /proxy.pac HTTP/1.1\r\nHost: whatever.example\r\n\r\n";

HttpRules rules_with_pac(const AuthMethods& auth = {AuthMethod::none}) {
  const wire::PacPlan plan{.ways = {wire::PacWay::http}, .host = {}, .names = {}, .networks = {}};
  return {.auth = auth,
          .pac = std::make_shared<const wire::PacFile>(plan),
          .visit = {.reached = Endpoint::parse("192.0.2.1:1080").value()}};
}

std::string pac_received(bool head = false, bool close = false) {
  const HttpRules rules = rules_with_pac();
  return rules.pac->response(rules.visit, head, close);
}

HttpTalk ask(const std::string& client, const AuthMethods& auth = {AuthMethod::none}) {
  return play(HttpScript{.rules = rules_with_pac(auth),
                         .client = client,
                         .client_fin = false,
                         .origins = {{{ok}, End::stays}, {{ok}, End::stays}}});
}

TEST(HttpPac, IsAnsweredAmongOtherRequests) {
  const auto talk = ask(get + get_pac + "HEAD /proxy.pac HTTP/1.1\r\nHost: a\r\n\r\n" + get);
  EXPECT_EQ(talk.to_client(), ok_received + pac_received() + pac_received(true) + ok_received);
  EXPECT_EQ(talk.transcript(),
            "open a.example:80\nsettled none\nsettled none\nsettled none\nopen a.example:80\nsettled none\n");
}

TEST(HttpPac, EveryCutGivesTheSame) {
  const HttpScript script{.rules = rules_with_pac(), .client = get_pac + get_pac, .client_fin = true, .origins = {}};
  const HttpTalk whole(script, {});
  EXPECT_EQ(whole.to_client(), pac_received() + pac_received());
  for (std::size_t client = 1; client <= script.client.size(); ++client) {
    ASSERT_EQ(HttpTalk(script, {.client = client, .takes = client}), whole);
  }
}

TEST(HttpPac, NeedsNoLoginAndIsNone) {
  const auto talk = ask(get_pac + get, password_only);
  EXPECT_TRUE(talk.to_client().starts_with(pac_received() + "HTTP/1.1 407 "));
  const std::string shown = "GET /proxy.pac HTTP/1.1\r\nHost: a\r\n" + alice + "\r\n";
  const auto with = ask(shown + get, password_only);
  EXPECT_TRUE(with.to_client().starts_with(pac_received() + "HTTP/1.1 407 "));
  EXPECT_EQ(with.transcript(), "settled none\nsettled method.none\n");  // nobody was asked about
}

TEST(HttpPac, ItsConnectionEndsAsThatOfAnyOtherAnswer) {
  const auto old = ask("GET /proxy.pac HTTP/1.0\r\n\r\n" + get);
  EXPECT_EQ(old.to_client(), pac_received(false, true));
  EXPECT_EQ(old.transcript(), "settled none\nclosing none\n");
  const auto closing = ask("GET /proxy.pac HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + get);
  EXPECT_EQ(closing.to_client(), pac_received(false, true));
  const auto body = ask("GET /proxy.pac HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get);
  EXPECT_EQ(body.to_client(), pac_received(false, true));
}

TEST(HttpPac, AllElseInOriginFormIsRefused) {
  for (const std::string line : {"GET /", "GET /wpad.dat", "GET /proxy.pac?x", "POST /proxy.pac", "OPTIONS *"}) {
    const auto talk = ask(line + " HTTP/1.1\r\nHost: a\r\n\r\n" + get);
    EXPECT_EQ(status_line(talk), "HTTP/1.1 400 Bad Request") << line;
    EXPECT_EQ(talk.transcript(), "settled http.target\nclosing none\n") << line;
  }
  EXPECT_EQ(play(get_pac, {ok}).transcript(), "settled http.target\nclosing none\n");  // as all of it, where it is off
  EXPECT_EQ(ask("GET /proxy.pac HTTP/1.1\r\n\r\n").transcript(), "settled http.host\nclosing none\n");
}

// ── driven step by step ─────────────────────────────────────────────────────────────────────────────────────────────

class Driven : public testing::Test {
 protected:
  static ConstBytes bytes(const std::string& text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
  }
  void client(const std::string& text) { exchange_.client_octets(bytes(text)); }
  void origin(const std::string& text) { exchange_.origin_octets(bytes(text)); }
  std::string take() {
    const ConstBytes octets = exchange_.to_client();
    std::string text(octets.begin(), octets.end());
    exchange_.client_took(octets.size());
    return text;
  }
  void flush_up() { exchange_.origin_took(exchange_.to_origin().size()); }
  void begin_upload() {
    client("PUT http://a.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
    exchange_.opened(false);
    flush_up();
  }

  HttpExchange exchange_{HttpRules{}};
};

TEST_F(Driven, ASlowReaderStopsItsWriterAndNothingMore) {
  begin_upload();
  client("some");
  EXPECT_FALSE(exchange_.reads_client());  // until the origin has taken it
  EXPECT_TRUE(exchange_.reads_origin());
  origin("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234");
  EXPECT_FALSE(exchange_.reads_origin());  // until the client has
  flush_up();
  EXPECT_TRUE(exchange_.reads_client());
  take();
  EXPECT_TRUE(exchange_.reads_origin());
}

TEST_F(Driven, AnEarlyAnswerLetsTheBodyGoOn) {
  begin_upload();
  origin(ok);
  EXPECT_EQ(take(), ok_received);
  EXPECT_EQ(exchange_.phase(), HttpPhase::exchanging);
  client(std::string(1000, 'x'));
  EXPECT_EQ(exchange_.phase(), HttpPhase::answering);
  EXPECT_TRUE(exchange_.keeps_origin());
  EXPECT_FALSE(exchange_.closes());
}

TEST_F(Driven, AnEarlyAnswerThatEndsItsConnectionEndsTheClients) {
  begin_upload();
  origin("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(contains(take(), "Connection: close\r\n"));
  EXPECT_EQ(exchange_.phase(), HttpPhase::answering);
  EXPECT_TRUE(exchange_.closes());
  EXPECT_FALSE(exchange_.keeps_origin());
}

TEST_F(Driven, AnOriginThatTakesNoMoreMayStillAnswer) {
  begin_upload();
  client("some");
  exchange_.origin_deaf();
  EXPECT_FALSE(exchange_.reads_client());
  EXPECT_TRUE(exchange_.reads_origin());
  origin("HTTP/1.1 507 Full\r\nContent-Length: 4\r\n\r\nfull");
  EXPECT_TRUE(take().ends_with("\r\n\r\nfull"));
  EXPECT_EQ(exchange_.phase(), HttpPhase::answering);
  EXPECT_TRUE(exchange_.closes());
}

TEST_F(Driven, ASilentOriginIs504) {
  client(get);
  exchange_.opened(false);
  exchange_.origin_failed(Reason::http_unavailable);
  EXPECT_TRUE(take().starts_with("HTTP/1.1 504 Gateway Timeout\r\n"));
}

TEST_F(Driven, TheLastRequestSaysSo) {
  exchange_.last_request();
  client(get + get);
  exchange_.opened(false);
  origin(ok);
  EXPECT_TRUE(contains(take(), "Connection: close\r\n"));
  exchange_.settled();
  EXPECT_EQ(exchange_.phase(), HttpPhase::closing);
}

// What a side may make the other hold, however fast it writes: one head and one read.
TEST_F(Driven, HoldsOneHeadAndOneReadForEachWay) {
  const std::string read(64 * 1024, 'x');
  client("POST http://a.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n" + read);
  exchange_.opened(false);
  std::size_t most = 0;
  for (int i = 0; i < 1000; ++i) {
    if (exchange_.reads_client()) client(read);
    most = std::max(most, exchange_.to_origin().size());
    if (i % 3 == 0) exchange_.origin_took(std::min<std::size_t>(exchange_.to_origin().size(), 50'000));
  }
  EXPECT_LE(most, wire::http_head_octets_max + 2 * read.size());
}

TEST(OctetQueue, GivesBackWhatItTook) {
  OctetQueue queue;
  queue.append("abc");
  queue.take(2);
  queue.append("de");
  const ConstBytes left = queue.view();
  EXPECT_EQ(std::string(left.begin(), left.end()), "cde");
  queue.take(3);
  EXPECT_TRUE(queue.empty());
  queue.rest();
  EXPECT_TRUE(queue.view().empty());
}

}  // namespace
}  // namespace stile::session
