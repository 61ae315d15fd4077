// RFC 9110 section 7.6: what goes on, what is removed, what is added; both ways.
#include "wire/http_rewrite.h"

#include <gtest/gtest.h>

#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

Octets octets_of_text(std::string_view text) {
  return Octets(text.begin(), text.end());
}

HttpRequestHead request(const std::string& text) {
  return parsed(decode_http_request(octets_of_text(text)));
}
HttpResponseHead response(const std::string& text, HttpAsked asked = HttpAsked::ordinary) {
  return parsed(decode_http_response(octets_of_text(text), asked));
}

/// A GET with these field lines, forwarded.
std::string forwarded(const std::string& fields, const HttpRequestRewrite& rewrite = {}) {
  return rewrite_http_request(request("GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n" + fields + "\r\n"),
                              rewrite);
}
const std::string forwarded_line = "GET /x HTTP/1.1\r\nHost: a.example\r\n";
const std::string via = "Via: 1.1 stile\r\n";

TEST(HttpRequestRewrite, OriginFormAndTheTargetsHost) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"GET http://A.Example:8080/x?y", "GET /x?y HTTP/1.1\r\nHost: a.example:8080\r\n"},
      {"GET http://a.example:80", "GET / HTTP/1.1\r\nHost: a.example\r\n"},
      {"GET http://a.example./", "GET / HTTP/1.1\r\nHost: a.example\r\n"},
      {"GET http://[2001:DB8::1]:81/", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:81\r\n"},
      {"GET http://192.0.2.1/", "GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n"},
      {"OPTIONS http://a.example", "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n"}};
  for (const auto& [line, expected] : rows) {
    const HttpRequestHead head = request(line + " HTTP/1.1\r\nhost: inside.example\r\n\r\n");
    EXPECT_EQ(rewrite_http_request(head, {}), expected + via + "\r\n") << line;
  }
}

TEST(HttpRequestRewrite, AbsoluteFormToAnUpstreamProxy) {
  const HttpRequestRewrite rewrite{.to_proxy = true, .proxy_authorization = "Basic b3VyczpvdXJz"};
  EXPECT_EQ(forwarded("Proxy-Authorization: Basic dGhlaXJz\r\n", rewrite),
            "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\nProxy-Authorization: Basic b3VyczpvdXJz\r\n" + via +
                "\r\n");
  const HttpRequestHead options = request("OPTIONS http://a.example:81 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(rewrite_http_request(options, {.to_proxy = true}),
            "OPTIONS http://a.example:81 HTTP/1.1\r\nHost: a.example:81\r\n" + via + "\r\n");
}

TEST(HttpRequestRewrite, HopByHopFieldsEndHere) {
  EXPECT_EQ(forwarded("Connection: close, X-Named\r\nX-Named: 1\r\nx-named: 2\r\nKeep-Alive: 5\r\n"
                      "Proxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\nProxy-Authorization: Basic eDp5\r\n"
                      "Forwarded: for=1\r\nX-Forwarded-For: 1\r\nAccept: */*\r\nCookie: a\r\ncookie: b\r\n"),
            forwarded_line + "Accept: */*\r\nCookie: a\r\ncookie: b\r\n" + via + "\r\n");
}

TEST(HttpRequestRewrite, TrailersAreTheOneCodingThatGoesOn) {
  EXPECT_EQ(forwarded("TE: gzip;q=1, trailers\r\nConnection: TE\r\n"),
            forwarded_line + "TE: trailers\r\n" + via + "Connection: TE\r\n\r\n");
}

TEST(HttpRequestRewrite, UpgradeWhereItIsRelayed) {
  const std::string fields = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
  EXPECT_EQ(forwarded(fields, {.relay_upgrade = true}),
            forwarded_line + "Upgrade: websocket\r\n" + via + "Connection: Upgrade\r\n\r\n");
  EXPECT_EQ(forwarded(fields), forwarded_line + via + "\r\n");
  EXPECT_EQ(forwarded("", {.relay_upgrade = true}), forwarded_line + via + "\r\n");
}

TEST(HttpRequestRewrite, LengthIsSaidOnce) {
  EXPECT_EQ(forwarded("Content-Length: 005, 5\r\ncontent-length: 5\r\n"),
            forwarded_line + "Content-Length: 5\r\n" + via + "\r\n");
  EXPECT_EQ(forwarded("transfer-encoding: Chunked\r\n"),
            forwarded_line + "Transfer-Encoding: chunked\r\n" + via + "\r\n");
  EXPECT_EQ(forwarded("Content-Length: 0\r\n"), forwarded_line + "Content-Length: 0\r\n" + via + "\r\n");
  EXPECT_EQ(forwarded("Connection: Content-Length, Host\r\nContent-Length: 5\r\n"),
            forwarded_line + "Content-Length: 5\r\n" + via + "\r\n")
      << "no client removes what frames its body";
}

TEST(HttpRequestRewrite, OldClientsAndTheirVia) {
  const HttpRequestHead head = request("GET http://a.example/ HTTP/1.0\r\nExpect: 100-continue\r\nX: y\r\n\r\n");
  EXPECT_EQ(rewrite_http_request(head, {}), "GET / HTTP/1.1\r\nHost: a.example\r\nX: y\r\nVia: 1.0 stile\r\n\r\n");
  EXPECT_EQ(forwarded("Expect: 100-continue\r\nVia: 1.1 other\r\n"),
            forwarded_line + "Expect: 100-continue\r\nVia: 1.1 other\r\n" + via + "\r\n");
}

TEST(HttpRequestRewrite, WhatIsAskedForIsAdded) {
  EXPECT_EQ(forwarded("", {.forwarded = "for=_a", .close = true}),
            forwarded_line + "Forwarded: for=_a\r\n" + via + "Connection: close\r\n\r\n");
}

TEST(HttpRequestRewrite, MaxForwardsCountsDown) {
  const HttpRequestHead head = request("TRACE http://a/ HTTP/1.1\r\nHost: a\r\nMax-Forwards: 7\r\n\r\n");
  EXPECT_EQ(rewrite_http_request(head, {}), "TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 6\r\n" + via + "\r\n");
  EXPECT_EQ(forwarded("Max-Forwards: 0\r\n"), forwarded_line + "Max-Forwards: 0\r\n" + via + "\r\n")
      << "no other method has it";
}

TEST(HttpAnswer, LastHopAnswersItself) {
  const HttpRequestHead trace = request(
      "TRACE http://a/x HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nCookie: secret\r\nauthorization: secret\r\n"
      "Proxy-Authorization: secret\r\nX: y\r\n\r\n");
  const std::string body = "TRACE http://a/x HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nX: y\r\n\r\n";
  EXPECT_EQ(answer_http_request(trace, false), "HTTP/1.1 200 OK\r\nContent-Type: message/http\r\nContent-Length: " +
                                                   std::to_string(body.size()) + "\r\n\r\n" + body);
  const HttpRequestHead options = request("OPTIONS http://a HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n");
  EXPECT_EQ(answer_http_request(options, true), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

TEST(HttpResponseRewrite, HopByHopFieldsEndHere) {
  const HttpResponseHead head = response(
      "HTTP/1.1 200 Fine\r\nConnection: X-Named\r\nX-Named: 1\r\nKeep-Alive: 5\r\nProxy-Authenticate: Basic\r\n"
      "Proxy-Authentication-Info: x\r\nUpgrade: h2c\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(rewrite_http_response(head, {}),
            "HTTP/1.1 200 Fine\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\n" + via + "\r\n");
}

TEST(HttpResponseRewrite, BodiesToBothKindsOfClient) {
  const HttpResponseHead chunked = response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(rewrite_http_response(chunked, {}), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + via + "\r\n");
  EXPECT_EQ(rewrite_http_response(chunked, {.client_minor = 0}),
            "HTTP/1.1 200 OK\r\n" + via + "Connection: close\r\n\r\n");
  const HttpResponseHead endless = response("HTTP/1.0 200 OK\r\n\r\n");
  EXPECT_EQ(rewrite_http_response(endless, {}), "HTTP/1.1 200 OK\r\nVia: 1.0 stile\r\nConnection: close\r\n\r\n");
  const HttpResponseHead sized = response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(rewrite_http_response(sized, {.close = true}),
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" + via + "Connection: close\r\n\r\n");
}

TEST(HttpResponseRewrite, LengthWithoutBody) {
  const std::string fields = "\r\nContent-Length: 3\r\n\r\n";
  EXPECT_EQ(rewrite_http_response(response("HTTP/1.1 200 OK" + fields, HttpAsked::head), {}),
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" + via + "\r\n");
  EXPECT_EQ(rewrite_http_response(response("HTTP/1.1 304 Same" + fields), {}),
            "HTTP/1.1 304 Same\r\nContent-Length: 3\r\n" + via + "\r\n");
  EXPECT_EQ(rewrite_http_response(response("HTTP/1.1 204 None" + fields), {}), "HTTP/1.1 204 None\r\n" + via + "\r\n");
}

TEST(HttpResponseRewrite, InterimAndUpgrade) {
  EXPECT_EQ(rewrite_http_response(response("HTTP/1.1 100 Continue\r\n\r\n"), {.close = true}),
            "HTTP/1.1 100 Continue\r\n" + via + "\r\n");
  const HttpResponseHead upgraded =
      response("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
  EXPECT_EQ(rewrite_http_response(upgraded, {.relay_upgrade = true}),
            "HTTP/1.1 101 Switching\r\n" + via + "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
}

}  // namespace
}  // namespace stile::wire::testing
