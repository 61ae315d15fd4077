#include "wire/http_connect.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace stile::wire {
namespace {

std::string text_of(ConstBytes octets) {
  return {octets.begin(), octets.end()};
}

Target target_of(std::string_view host, std::uint16_t port) {
  return {.host = canonical_host(host).value(), .port = port};
}

struct Read {
  HttpConnectAnswer answer;
  std::size_t taken = 0;
};

/// Feeds what the decoder asks for, `step` octets at most.
Read read(std::string_view text, std::size_t step) {
  Read result;
  while (result.answer.missing() > 0 && result.taken < text.size()) {
    const std::size_t octets = std::min({result.answer.missing(), step, text.size() - result.taken});
    const std::string_view piece = text.substr(result.taken, octets);
    result.answer.take({reinterpret_cast<const std::uint8_t*>(piece.data()), piece.size()});
    result.taken += octets;
  }
  return result;
}

/// Where a head ends, found the simple way.
std::size_t oracle_end(std::string_view text) {
  const std::size_t end = text.find("\r\n\r\n");
  return end == std::string_view::npos ? text.size() : end + 4;
}

constexpr std::string_view heads[] = {
    "HTTP/1.1 200 Connection established\r\n\r\n",
    "HTTP/1.0 200 OK\r\nVia: 1.1 a\r\nX: \r\r\n\r\n",
    "HTTP/1.1 299\r\n\r\n",
    "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n",
};

TEST(HttpConnect, RequestNamesTheTargetTwice) {
  EXPECT_EQ(text_of(encode_http_connect(target_of("example.com", 443), {}).octets()),
            "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n");
  EXPECT_EQ(text_of(encode_http_connect(target_of("2001:db8::1", 80), {}).octets()),
            "CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n");
}

// RFC 7617 section 2.
TEST(HttpConnect, LoginIsBasic) {
  const auto request = encode_http_connect(target_of("h", 1), {.user = "Aladdin", .password = "open sesame"});
  EXPECT_NE(text_of(request.octets()).find("\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"),
            std::string::npos);
}

TEST(HttpConnect, LongestRequestFits) {
  std::string name(253, 'a');
  for (std::size_t i = 63; i < name.size(); i += 64) name[i] = '.';
  const std::string long_one(255, 'u');
  const auto request = encode_http_connect(target_of(name, 65535), {.user = long_one, .password = long_one});
  EXPECT_LE(request.octets().size(), http_connect_octets_max);
}

TEST(HttpConnect, NoOctetBehindTheHeadIsAskedForInAnySplit) {
  for (const std::string_view head : heads) {
    const std::string stream = std::string(head) + "SSH-2.0-tunnel\r\n\r\n";
    for (std::size_t step = 1; step <= stream.size(); ++step) {
      const Read whole = read(stream, step);
      EXPECT_FALSE(whole.answer.malformed());
      EXPECT_EQ(whole.taken, oracle_end(stream)) << head << step;
      EXPECT_EQ(whole.answer.status(), std::stoi(std::string(head.substr(9, 3))));
    }
  }
}

TEST(HttpConnect, EveryPrefixIsIncomplete) {
  for (const std::string_view head : heads) {
    for (std::size_t size = 0; size < head.size(); ++size) {
      const Read part = read(head.substr(0, size), head.size());
      EXPECT_GT(part.answer.missing(), 0U);
      EXPECT_LE(part.answer.missing(), head.size() - size) << head << size;
      EXPECT_EQ(part.answer.status().has_value(), size >= 12);
    }
  }
}

TEST(HttpConnect, WhatIsNoAnswerIsFoundAtItsFirstWrongOctet) {
  EXPECT_EQ(read("\x05\xFF", 9).answer.malformed(), 0x05);
  EXPECT_EQ(read("HTTP/2.0 200 OK\r\n\r\n", 99).answer.malformed(), '2');
  EXPECT_EQ(read("HTTP/1.1 2x0 OK\r\n\r\n", 99).answer.malformed(), 'x');
  EXPECT_EQ(read("HTTP/1.1 200 OK\nVia: a\r\n\r\n", 99).answer.malformed(), '\n');
}

TEST(HttpConnect, AHeadWithoutEndIsRefusedAtTheLimit) {
  const std::string endless = "HTTP/1.1 200 OK\r\nX: " + std::string(limits::http_fields_octets_max, 'x');
  const Read whole = read(endless, endless.size());
  EXPECT_TRUE(whole.answer.malformed());
  EXPECT_LE(whole.taken, limits::http_fields_octets_max + 4);
}

}  // namespace
}  // namespace stile::wire
