// Chunked bodies, RFC 9112 section 7.1: by hand, in every split, and against a naive oracle that sees the whole.
#include "wire/http_chunked.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "wire/codec_test_support.h"
#include "wire/http_head_oracle_for_tests.h"

namespace stile::wire::testing {
namespace {

struct Seen {
  std::string end;  // "finished", "broken", "open"
  std::size_t octets = 0;
  std::string payload;

  friend bool operator==(const Seen&, const Seen&) = default;
  friend void PrintTo(const Seen& seen, std::ostream* out) {
    *out << seen.end << " after " << seen.octets << ", payload \"" << seen.payload << '"';
  }
};

/// Shows the scanner the body in chunks of these sizes, the last as long as there is input.
Seen scan(std::string_view body, const std::vector<std::size_t>& sizes) {
  HttpChunkedScanner scanner;
  Seen seen;
  std::size_t given = 0;
  for (std::size_t i = 0; given < body.size(); ++i) {
    const std::size_t size = std::min(i < sizes.size() ? sizes[i] : sizes.back(), body.size() - given);
    const Octets piece(body.begin() + static_cast<std::ptrdiff_t>(given),
                       body.begin() + static_cast<std::ptrdiff_t>(given + size));
    given += size;
    const GuardedOctets guarded(piece);
    ConstBytes rest = guarded.octets();
    while (!rest.empty()) {
      const auto run = scanner.next(rest);
      EXPECT_LE(run.octets, rest.size());
      if (run.payload) seen.payload.append(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(run.octets));
      seen.octets += run.octets;
      rest = rest.subspan(run.octets);
      if (scanner.finished() || scanner.broken()) break;
      EXPECT_GT(run.octets, 0U);
      if (run.octets == 0) break;
    }
    if (scanner.finished() || scanner.broken()) break;
  }
  seen.end = scanner.finished() ? "finished" : (scanner.broken() ? "broken" : "open");
  return seen;
}

Seen scan(std::string_view body) {
  return scan(body, {std::max<std::size_t>(body.size(), 1)});
}

/// A line that must end with CR LF. Absent: not whole yet; `broken_at` is set where it never will be.
std::optional<std::string> naive_line(std::string_view body, std::size_t at, std::optional<std::size_t>& broken_at) {
  std::string line;
  for (std::size_t i = at; i < body.size(); ++i) {
    const char c = body[i];
    if (c == '\r') {
      if (i + 1 == body.size()) return std::nullopt;
      if (body[i + 1] == '\n') return line;
      broken_at = i + 1;
      return std::nullopt;
    }
    if ((c >= '\0' && c < ' ' && c != '\t') || c == '\x7F') {
      broken_at = i;
      return std::nullopt;
    }
    line += c;
  }
  return std::nullopt;
}

/// Where in a size line, whole or not, the first octet stands that cannot be there.
std::optional<std::size_t> naive_size_fault(const std::string& line) {
  std::size_t digits = 0;
  while (digits < line.size() && std::isxdigit(static_cast<unsigned char>(line[digits])) != 0) ++digits;
  std::size_t zeros = 0;
  while (zeros < digits && line[zeros] == '0') ++zeros;
  if (digits - zeros > 16) return zeros + 16;
  if (digits == 0) return 0;
  std::size_t blanks = digits;
  while (blanks < line.size() && (line[blanks] == ' ' || line[blanks] == '\t')) ++blanks;
  if (blanks < line.size() && line[blanks] != ';') return blanks;
  return std::nullopt;
}

/// The text of a line as far as it goes, up to CR, LF or a control.
std::string naive_part(std::string_view body, std::size_t at) {
  std::string part;
  while (at < body.size() && (static_cast<unsigned char>(body[at]) >= ' ' || body[at] == '\t') && body[at] != '\x7F') {
    part += body[at++];
  }
  return part;
}

Seen naive(std::string_view body) {
  Seen seen;
  seen.end = "open";
  const auto broken = [&](std::size_t at) {
    seen.end = "broken";
    seen.octets = at;
    return seen;
  };
  std::size_t at = 0;
  std::uint64_t size = 1;
  while (size > 0) {
    std::optional<std::size_t> bad;
    const auto line = naive_line(body, at, bad);
    const std::string part = naive_part(body, at);
    if (const auto fault = naive_size_fault(part); fault && at + *fault < body.size()) return broken(at + *fault);
    if (bad) return broken(*bad);
    if (!line) break;
    size = std::stoull(*line, nullptr, 16);
    at += line->size() + 2;
    const std::size_t there = std::min<std::uint64_t>(size, body.size() - at);
    seen.payload += body.substr(at, there);
    if (there < size) {
      at = body.size();
      break;
    }
    at += there;
    for (const char due : {'\r', '\n'}) {
      if (size == 0 || at == body.size()) continue;
      if (body[at] != due) return broken(at);
      ++at;
    }
  }
  while (size == 0) {
    std::optional<std::size_t> bad;
    const auto line = naive_line(body, at, bad);
    if (bad) return broken(*bad);
    if (!line) break;
    at += line->size() + 2;
    if (line->empty()) {
      seen.end = "finished";
      seen.octets = at;
      return seen;
    }
    const std::string name = naive_lower(line->substr(0, line->find(':')));
    bool sound = line->find(':') != std::string::npos && naive_token(name);
    for (const char* forbidden : {"transfer-encoding", "content-length", "host", "connection", "proxy-connection", "te",
                                  "upgrade", "authorization", "proxy-authorization"}) {
      sound = sound && name != forbidden;
    }
    if (!sound) return broken(at - 1);
  }
  seen.octets = body.size();
  return seen;
}

TEST(HttpChunked, PayloadAndEnd) {
  const Seen seen = scan("5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1");
  EXPECT_EQ(seen, (Seen{.end = "finished", .octets = 36, .payload = "hello world"}));
  EXPECT_EQ(scan("0\r\n\r\n"), (Seen{.end = "finished", .octets = 5, .payload = ""}));
  EXPECT_EQ(scan("000a \t;x=\"y z\"\r\n0123456789\r\n00\r\n\r\n").end, "finished");
  EXPECT_EQ(scan("fFf\r\n" + std::string(0xFFF, 'x') + "\r\n0\r\n\r\n").end, "finished");
  EXPECT_EQ(scan("5\r\nhel"), (Seen{.end = "open", .octets = 6, .payload = "hel"}));
}

// TP6: each of these is a body whose end two readers could see at different places.
TEST(HttpChunked, WhatTwoReadersReadDifferently) {
  for (const char* body : {"5\nhello\r\n",
                           "5\r\nhello\n0\r\n",
                           "5\r\nhello0\r\n",
                           "5\r\nhellox\r\n",
                           "5\r\nhello\r0",
                           "5\rx",
                           "\r\n5\r\n",
                           "-5\r\n",
                           "+5\r\n",
                           "0x5\r\n",
                           " 5\r\n",
                           "5 5\r\n",
                           "5,\r\n",
                           ";\r\n",
                           "\r\n",
                           "g\r\n",
                           "5;a\nb\r\n",
                           "5;a\rb\r\n",
                           "10000000000000000\r\n",
                           "fffffffffffffffff\r\n",
                           "0\r\n\n",
                           "0\r\nX\r\n",
                           "0\r\n X: y\r\n",
                           "0\r\nX : y\r\n",
                           "0\r\nX: y\n\r\n",
                           "0\r\n\rx",
                           "0\r\nContent-Length: 5\r\n",
                           "0\r\nTRANSFER-ENCODING: chunked\r\n",
                           "0\r\nHost: a\r\n",
                           "0\r\nProxy-Authorization: x\r\n",
                           "0\r\nX: \x01\r\n"}) {
    EXPECT_EQ(scan(body).end, "broken") << body;
  }
  EXPECT_EQ(scan(std::string_view("5;\0\r\n", 5)).end, "broken");
}

TEST(HttpChunked, LargestSizeIsNeverWrapped) {
  const Seen seen = scan("ffffffffffffffff\r\nabc");
  EXPECT_EQ(seen.end, "open");
  EXPECT_EQ(seen.payload, "abc");
}

TEST(HttpChunked, LinesAndTrailersHaveLimits) {
  const std::string before = "5;";
  const std::string longest = before + std::string(4096 - before.size() - 2, 'x') + "\r\n";
  EXPECT_EQ(scan(longest + "hello").payload, "hello");
  EXPECT_EQ(scan(before + "x" + longest.substr(2)).end, "broken");
  EXPECT_EQ(scan("1\r\nx\r\n" + longest + "hello").payload, "xhello") << "each line has its own limit";
  EXPECT_EQ(scan(std::string(5000, '0')).end, "broken");
  std::string trailers = "0\r\n";
  for (int i = 0; i < 100; ++i) trailers += "X: y\r\n";
  EXPECT_EQ(scan(trailers + "\r\n").end, "finished");
  EXPECT_EQ(scan(trailers + "X: y\r\n\r\n").end, "broken");
  EXPECT_EQ(scan("0\r\nX: " + std::string(limits::http_fields_octets_max, 'x') + "\r\n\r\n").end, "broken");
}

TEST(HttpChunked, NothingIsTakenAfterTheEnd) {
  HttpChunkedScanner scanner;
  const Octets body = octets_of("30 0D 0A 0D 0A 47 45 54");
  EXPECT_EQ(scanner.next(body), (HttpChunkedScanner::Run{.payload = false, .octets = 5}));
  EXPECT_TRUE(scanner.finished());
  EXPECT_EQ(scanner.next(ConstBytes(body).subspan(5)), HttpChunkedScanner::Run{});
  EXPECT_EQ(scanner.next({}), HttpChunkedScanner::Run{});
}

std::string random_body(Random& random) {
  constexpr std::array<std::string_view, 5> extensions = {"", ";a", ";a=b", " ;a=\"b c\"", "\t"};
  constexpr std::string_view hex = "0123456789abcdef";
  std::string body;
  for (std::size_t chunks = random.below(4); chunks > 0; --chunks) {
    const std::size_t size = 1 + random.below(random.one_in(3) ? 40 : 5);
    if (random.one_in(4)) body += '0';
    if (size > 15) body += hex[size / 16];
    body += hex[size % 16];
    body += std::string(random.pick(extensions)) + "\r\n";
    for (const std::uint8_t octet : random.octets(size)) body += static_cast<char>(octet);
    body += "\r\n";
  }
  body += random.one_in(2) ? "0\r\n" : "000;x\r\n";
  if (random.one_in(3)) body += "X-Sum: abc\r\n";
  return body + "\r\n";
}

TEST(HttpChunked, EverySplitSeesTheSame) {
  Random random(6);
  for (int i = 0; i < 60; ++i) {
    const std::string body = random_body(random) + "GET";
    const Seen whole = scan(body);
    EXPECT_EQ(whole.end, "finished");
    EXPECT_EQ(whole.octets, body.size() - 3);
    for (std::size_t first = 1; first < body.size(); ++first) {
      EXPECT_EQ(scan(body, {first, body.size() - first}), whole) << first;
    }
    EXPECT_EQ(scan(body, {1}), whole);
  }
}

TEST(HttpChunked, EqualsTheNaiveReader) {
  Random random(7);
  for (int i = 0; i < 5'000; ++i) {
    const std::string drawn = random_body(random);
    Octets octets(drawn.begin(), drawn.end());
    if (!random.one_in(8)) mutate(octets, random);
    const std::string body(octets.begin(), octets.end());
    ASSERT_EQ(scan(body), naive(body)) << ::testing::PrintToString(octets);
  }
}

}  // namespace
}  // namespace stile::wire::testing
