#include "wire/http_request_scanner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/limits.h"

namespace stile::wire {
namespace {

using Seen = std::vector<std::string>;

ConstBytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// What the scanner sees of a stream that comes in pieces.
Seen seen(const std::vector<std::string_view>& pieces, bool with_query = false) {
  HttpRequestScanner scanner;
  Seen requests;
  for (const std::string_view piece : pieces) {
    for (ConstBytes rest = bytes_of(piece); !rest.empty();) {
      if (const auto request = scanner.next(rest)) requests.push_back(describe(*request, with_query));
    }
  }
  return requests;
}

Seen seen(std::string_view text, bool with_query = false) {
  return seen(std::vector<std::string_view>{text}, with_query);
}

/// Not a request of the connection is seen behind this one.
void expect_over(const std::string& text, const Seen& before = {}) {
  Seen expected = before;
  EXPECT_EQ(seen(text + "GET /behind HTTP/1.1\r\nHost: b\r\n\r\n"), expected) << text;
}

const std::string get = "GET /a?secret=1 HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\n\r\n";

TEST(HttpRequestScanner, MethodHostAndPath) {
  EXPECT_EQ(seen(get), Seen{"GET http://example.com/a"});
  EXPECT_EQ(seen(get, true), Seen{"GET http://example.com/a?secret=1"});
  EXPECT_EQ(seen("PUT / HTTP/1.0\n\n"), Seen{"PUT /"});
  EXPECT_EQ(seen("OPTIONS * HTTP/1.1\r\nhost:example.com:8080\r\n\r\n"), Seen{"OPTIONS http://example.com:8080"});
}

TEST(HttpRequestScanner, AnAbsoluteTargetNamesTheHostWithoutItsUser) {
  EXPECT_EQ(seen("GET http://alice:secret@example.com?q HTTP/1.1\r\nHost: other\r\n\r\n"),
            Seen{"GET http://example.com/"});
  EXPECT_EQ(seen("GET http://example.com:81/x HTTP/1.1\r\n\r\n"), Seen{"GET http://example.com:81/x"});
}

TEST(HttpRequestScanner, EveryRequestOfAConnection) {
  const std::string posts =
      "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 26\r\n\r\nGET /not-me HTTP/1.1\r\n\r\nxx"
      "\r\nPOST /q HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: Chunked\r\n\r\n4\r\nGET \r\n0\r\nTrailer: x\r\n\r\n";
  EXPECT_EQ(seen(get + posts + get),
            (Seen{"GET http://example.com/a", "POST http://a/p", "POST http://b/q", "GET http://example.com/a"}));
}

TEST(HttpRequestScanner, AnySplitSeesTheSame) {
  const std::string stream = get + "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" +
                             "PUT /q HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: b\r\n\r\n1;x=y\r\nz\r\n0\r\n\r\n" +
                             get;
  const Seen whole = seen(stream);
  EXPECT_EQ(whole.size(), 4U);
  const std::string_view view = stream;
  std::vector<std::string_view> octets;
  for (std::size_t i = 0; i < stream.size(); ++i) {
    EXPECT_EQ(seen(std::vector{view.substr(0, i), view.substr(i)}), whole) << i;
    octets.push_back(view.substr(i, 1));
  }
  EXPECT_EQ(seen(octets), whole);
}

TEST(HttpRequestScanner, AnythingElseEndsItWithoutAWord) {
  for (const std::string text : {
           "\x16\x03\x01\x02",
           "SSH-2.0-OpenSSH_9.2\r\n",
           "PRI * HTTP/2.0\r\n\r\n",
           "GET  HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1 \r\n\r\n",
           "GET /a\x01 HTTP/1.1\r\n\r\n",
           "get / HTTP/1.1\r\n\r\n",
           "G\"T / HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
           "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
           "GET / HTTP/1.1\r\nX\r\n\r\n",
           "GET / HTTP/1.1\r\nContent-Length: 1x\r\n\r\n",
           "GET / HTTP/1.1\r\nContent-Length: \r\n\r\n",
           "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
           "GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
           "GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
       }) {
    expect_over(text);
  }
  expect_over("CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\n", {"CONNECT b:443"});
  expect_over("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
              {"POST http://a/"});
  expect_over("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", {"POST http://a/"});
}

TEST(HttpRequestScanner, LongLinesArePassedOverUnlessTheyMatter) {
  const std::string cookie = "GET / HTTP/1.1\r\nCookie: " + std::string(100'000, 'x') + "\r\nHost: a\r\n\r\n";
  EXPECT_EQ(seen(cookie + get), (Seen{"GET http://a/", "GET http://example.com/a"}));
  expect_over("GET / HTTP/1.1\r\nHost: " + std::string(limits::http_line_octets_max, 'x') + "\r\n\r\n");
  expect_over("GET /" + std::string(limits::http_line_octets_max, 'x') + " HTTP/1.1\r\n\r\n");
  expect_over("GET / HTTP/1.1\r\n" + std::string(limits::http_line_octets_max + 1, 'x') + ": 1\r\n\r\n");
}

TEST(HttpRequestScanner, ALongUrlIsCut) {
  const std::string url = describe({.method = "GET", .host = "a", .path = "/" + std::string(5'000, 'x')}, false);
  EXPECT_EQ(url.size(), limits::record_url_octets_max);
  EXPECT_TRUE(url.starts_with("GET http://a/xxx") && url.ends_with("xxx..."));
}

// Threat TL1: whatever the path holds passes as it is, for the encoder of records to escape.
TEST(HttpRequestScanner, HostileOctetsAreKept) {
  EXPECT_EQ(seen("GET /\"}\xe2\x80\xae HTTP/1.1\r\nHost: \"a\r\n\r\n"), Seen{"GET http://\"a/\"}\xe2\x80\xae"});
}

}  // namespace
}  // namespace stile::wire
