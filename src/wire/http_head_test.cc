// HTTP/1.x heads, RFC 9112, against tests/vectors/http.txt (H), a naive oracle, and the tricks of request smuggling.
#include "wire/http_head.h"

#include <gtest/gtest.h>

#include "wire/codec_test_support.h"
#include "wire/http_head_oracle_for_tests.h"

namespace stile::wire::testing {
namespace {

const std::string vectors_path = "tests/vectors/http.txt";

Octets octets_of_text(std::string_view text) {
  return Octets(text.begin(), text.end());
}

std::string word(Random& random) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
  std::string drawn;
  for (std::size_t left = 1 + random.below(9); left > 0; --left) drawn += letters[random.below(letters.size())];
  return drawn;
}

/// Writes a head in one of its many spellings; the message is then what the fields were drawn to say.
class HeadWriter {
 public:
  explicit HeadWriter(Random& random) : random_(random) {}

  void line(const std::string& text) { text_ += text + (random_.one_in(4) ? "\n" : "\r\n"); }
  void field(HttpFields& fields, const std::string& name, const std::string& value) {
    static constexpr std::array<std::string_view, 4> blanks = {"", " ", "\t ", "  "};
    line(name + ":" + std::string(random_.pick(blanks)) + value + std::string(random_.pick(blanks)));
    fields.push_back({name, value});
  }
  void some_fields(HttpFields& fields) {
    for (std::size_t left = random_.below(4); left > 0; --left) {
      field(fields, "X-" + word(random_), random_.one_in(4) ? "" : word(random_) + ", \"" + word(random_) + "\"; q=1");
    }
  }
  /// A body of any kind; `content_length` as declared.
  HttpBody body(HttpFields& fields) {
    const std::uint64_t octets = random_.one_in(2) ? random_.below(1'000) : random_.below(1'000'000'000'000);
    switch (random_.below(4)) {
      case 0:
        field(fields, random_.one_in(2) ? "Content-Length" : "content-length", std::to_string(octets));
        return {.kind = HttpBodyKind::length, .octets = octets};
      case 1:
        field(fields, "Content-Length", "0" + std::to_string(octets) + ", " + std::to_string(octets));
        return {.kind = HttpBodyKind::length, .octets = octets};
      case 2:
        field(fields, "Transfer-Encoding", random_.one_in(2) ? "chunked" : "Chunked");
        return {.kind = HttpBodyKind::chunked, .octets = 0};
      default:
        return {};
    }
  }
  Octets end() {
    line("");
    return octets_of_text(text_);
  }

 private:
  Random& random_;
  std::string text_;
};

Example<HttpRequestHead> request_example(Random& random) {
  constexpr std::array<std::string_view, 5> methods = {"GET", "POST", "OPTIONS", "BREW", "CONNECT"};
  HttpRequestHead head;
  HeadWriter writer(random);
  const Target target = random_target(random);
  const std::uint16_t port = target.port == 0 ? std::uint16_t{1} : target.port;
  const Address* address = target.address();
  std::string host = to_string(target.host);
  if (address != nullptr && !address->is_v4()) host = "[" + host + "]";
  head.method = random.pick(methods);
  head.destination = {.type = AddressType::name, .host = target.host, .received_name = host, .port = port};
  const std::string authority = host + ":" + std::to_string(port);
  if (head.is_connect()) {
    head.target = authority;
  } else {
    head.path = random.one_in(4) ? (head.method == "OPTIONS" ? "*" : "/") : "/" + word(random) + "?" + word(random);
    head.target = "http://" + authority + (head.path == "*" ? "" : head.path);
  }
  head.minor = random.one_in(4) ? 0 : 1;
  writer.line(head.method + " " + head.target + " HTTP/1." + std::to_string(head.minor));
  if (head.minor == 1 || random.one_in(2))
    writer.field(head.fields, "Host", random.one_in(2) ? "else.where" : authority);
  writer.some_fields(head.fields);
  if (!head.is_connect() && head.minor == 1) head.body = writer.body(head.fields);
  head.persistent = head.minor == 1;
  if (random.one_in(4)) {
    writer.field(head.fields, "Connection", "x-one, Close");
    head.persistent = false;
  }
  return {.value = head, .encoded = writer.end()};
}

Example<HttpResponseHead> response_example(Random& random) {
  constexpr std::array<std::uint16_t, 8> statuses = {100, 101, 200, 204, 206, 304, 404, 500};
  HttpResponseHead head;
  HeadWriter writer(random);
  head.status = random.pick(statuses);
  head.phrase = random.one_in(4) ? "" : word(random) + " " + word(random);
  writer.line("HTTP/1.1 " + std::to_string(head.status) + (head.phrase.empty() ? "" : " " + head.phrase));
  writer.some_fields(head.fields);
  head.body = writer.body(head.fields);
  if (head.body.kind == HttpBodyKind::length) head.content_length = head.body.octets;
  if (head.body.kind == HttpBodyKind::none) head.body.kind = HttpBodyKind::until_close;
  if (head.status < 200 || head.status == 204 || head.status == 304) head.body = {};
  head.persistent = head.body.kind != HttpBodyKind::until_close;
  return {.value = head, .encoded = writer.end()};
}

struct FirstRequestCodec {
  using Message = HttpRequestHead;
  static ParseResult<HttpRequestHead> decode(ConstBytes input) { return decode_http_request(input); }
  static ParseResult<HttpRequestHead> oracle(const Octets& input) { return naive_request(input, HttpTurn::first); }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'H'); }
  static Example<HttpRequestHead> example(Random& random) { return request_example(random); }
};

struct LaterRequestCodec {
  using Message = HttpRequestHead;
  static ParseResult<HttpRequestHead> decode(ConstBytes input) { return decode_http_request(input, HttpTurn::later); }
  static ParseResult<HttpRequestHead> oracle(const Octets& input) { return naive_request(input, HttpTurn::later); }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'H'); }
  static Example<HttpRequestHead> example(Random& random) {
    Example<HttpRequestHead> example = request_example(random);
    const Octets blank = random.one_in(3) ? Octets{'\n'} : (random.one_in(2) ? Octets{'\r', '\n'} : Octets{});
    example.encoded.insert(example.encoded.begin(), blank.begin(), blank.end());
    return example;
  }
};

struct ResponseCodec {
  using Message = HttpResponseHead;
  static ParseResult<HttpResponseHead> decode(ConstBytes input) {
    return decode_http_response(input, HttpAsked::ordinary);
  }
  static ParseResult<HttpResponseHead> oracle(const Octets& input) {
    return naive_response(input, HttpAsked::ordinary);
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'R'); }
  static Example<HttpResponseHead> example(Random& random) { return response_example(random); }
};

INSTANTIATE_TYPED_TEST_SUITE_P(HttpRequest, CodecTest, FirstRequestCodec);
INSTANTIATE_TYPED_TEST_SUITE_P(HttpLaterRequest, CodecTest, LaterRequestCodec);
INSTANTIATE_TYPED_TEST_SUITE_P(HttpResponse, CodecTest, ResponseCodec);

/// "parsed", "need more", or the reason's token.
template <class T>
std::string outcome(const ParseResult<T>& result) {
  if (const auto* malformed = std::get_if<Malformed>(&result)) return std::string(token(malformed->reason));
  return std::holds_alternative<NeedMore>(result) ? "need more" : "parsed";
}
std::string request(const std::string& text) {
  return outcome(decode_http_request(octets_of_text(text)));
}
HttpRequestHead head_of(const std::string& text) {
  return parsed(decode_http_request(octets_of_text(text)));
}
std::string response(const std::string& text, HttpAsked asked = HttpAsked::ordinary) {
  return outcome(decode_http_response(octets_of_text(text), asked));
}
HttpResponseHead response_of(const std::string& text, HttpAsked asked = HttpAsked::ordinary) {
  return parsed(decode_http_response(octets_of_text(text), asked));
}
/// A request with these field lines behind a sound Host.
std::string with(const std::string& fields) {
  return request("POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\n" + fields + "\r\n");
}

// --- Request lines -----------------------------------------------------------------------------------------------

TEST(HttpRequest, TargetsSayWhereTo) {
  struct Row {
    std::string line;
    std::string destination;
    std::string path;
  };
  const std::vector<Row> rows = {
      {"CONNECT a.example:443", "a.example:443", ""},
      {"CONNECT [2001:db8::1]:443", "[2001:db8::1]:443", ""},
      {"CONNECT 192.0.2.1:443", "192.0.2.1:443", ""},
      {"GET http://A.Example/x?y=z", "a.example:80", "/x?y=z"},
      {"GET HTTP://a.example", "a.example:80", "/"},
      {"GET http://a.example:8080", "a.example:8080", "/"},
      {"GET http://a.example:/", "a.example:80", "/"},
      {"GET http://a.example?q", "a.example:80", "/?q"},
      {"GET http://[::ffff:192.0.2.1]/", "192.0.2.1:80", "/"},
      {"GET http://a.example/http://b.example/", "a.example:80", "/http://b.example/"},
      {"OPTIONS http://a.example", "a.example:80", "*"},
      {"OPTIONS http://a.example/", "a.example:80", "/"},
      {"BREW http://a.example/", "a.example:80", "/"},
  };
  for (const Row& row : rows) {
    const HttpRequestHead head = head_of(row.line + " HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(target_text(head.destination), row.destination) << row.line;
    EXPECT_EQ(head.path, row.path) << row.line;
  }
}

TEST(HttpRequest, RequestLinesThatAreRefusedAtOnce) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"PRI * HTTP/2.0", "http.version"},
      {"GET http://a/ HTTP/0.9", "http.version"},
      {"GET http://a/ HTTP/3.0", "http.version"},
      {"GET http://a/", "http.syntax"},
      {"GET", "http.syntax"},
      {"", "http.syntax"},
      {"PROXY TCP4 192.0.2.1 192.0.2.2 1 2", "http.syntax"},
      {"GET  http://a/ HTTP/1.1", "http.syntax"},
      {"GET http://a/ HTTP/1.1 ", "http.syntax"},
      {" GET http://a/ HTTP/1.1", "http.syntax"},
      {"GET\thttp://a/ HTTP/1.1", "http.syntax"},
      {"GET http://a/ http/1.1", "http.syntax"},
      {"GET http://a/ HTTP/1.1.1", "http.syntax"},
      {"GET http://a/ HTTP/11", "http.syntax"},
      {"G(T http://a/ HTTP/1.1", "http.syntax"},
      {"GET http://a/\x7F HTTP/1.1", "http.syntax"},
      {"GET / HTTP/1.1", "http.target"},
      {"GET * HTTP/1.1", "http.target"},
      {"OPTIONS * HTTP/1.1", "http.target"},
      {"GET a.example:80 HTTP/1.1", "http.target"},
      {"GET //a.example/ HTTP/1.1", "http.target"},
      {"GET http:/a.example/ HTTP/1.1", "http.target"},
      {"GET http:///x HTTP/1.1", "http.target"},
      {"GET http://:80/ HTTP/1.1", "http.target"},
      {"GET http://user@a.example/ HTTP/1.1", "http.target"},
      {"GET http://a.example@127.0.0.1/ HTTP/1.1", "http.target"},
      {"GET http://a.example/#x HTTP/1.1", "http.target"},
      {"GET http://a.example:99999/ HTTP/1.1", "http.target"},
      {"GET http://a.example:8o/ HTTP/1.1", "http.target"},
      {"GET http://a.example:0/ HTTP/1.1", "request.port"},
      {"GET http://[::1/ HTTP/1.1", "http.target"},
      {"GET http://[::1]x/ HTTP/1.1", "http.target"},
      {"GET https://a.example/ HTTP/1.1", "http.scheme"},
      {"GET ftp://a.example/ HTTP/1.1", "http.scheme"},
      {"CONNECT a.example HTTP/1.1", "http.target"},
      {"CONNECT a.example: HTTP/1.1", "http.target"},
      {"CONNECT a.example:0 HTTP/1.1", "request.port"},
      {"CONNECT :443 HTTP/1.1", "http.target"},
      {"CONNECT http://a.example/ HTTP/1.1", "http.target"},
      {"CONNECT / HTTP/1.1", "http.target"},
      {"CONNECT u@a.example:443 HTTP/1.1", "http.target"},
  };
  for (const auto& [line, reason] : rows) EXPECT_EQ(request(line + "\r\n"), reason) << line;
}

TEST(HttpRequest, RefusedNamesAreValues) {
  const HttpRequestHead numeric = head_of("CONNECT 0x7f.1:80 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(reason_of(numeric.destination.host.error()), Reason::name_impossible);
  const HttpRequestHead escaped = head_of("GET http://a%00b/ HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(reason_of(escaped.destination.host.error()), Reason::request_name);
  const HttpRequestHead colons = head_of("CONNECT [1.2.3.4]:80 HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_FALSE(colons.destination.host.has_value());
}

TEST(HttpRequest, MinorVersions) {
  EXPECT_EQ(head_of("GET http://a/ HTTP/1.0\r\n\r\n").minor, 0);
  EXPECT_EQ(head_of("GET http://a/ HTTP/1.9\r\nHost: a\r\n\r\n").minor, 1);
}

TEST(HttpRequest, LinesHaveLimits) {
  const std::string before = "GET http://a/";
  const std::string after = " HTTP/1.0\r\n";
  const std::string longest = before + std::string(8192 - before.size() - after.size(), 'x') + after;
  EXPECT_EQ(describe(decode_http_request(octets_of_text(longest + "\r\n"))), "parsed 8194");
  const std::string longer = before + "x" + longest.substr(before.size());
  EXPECT_EQ(describe(decode_http_request(octets_of_text(longer))), "malformed 8193 http.line_long");
  EXPECT_EQ(describe(decode_http_request(octets_of_text(std::string(8192, 'A')))), "need more");
  EXPECT_EQ(describe(decode_http_request(octets_of_text(std::string(9000, 'A')))), "malformed 8193 http.line_long");
}

TEST(HttpRequest, FieldsHaveLimits) {
  const std::string line = "GET http://a/ HTTP/1.1\r\n";
  std::string fields = "Host: a\r\nX: ";
  fields += std::string(65536 - fields.size() - 4, 'x') + "\r\n\r\n";
  EXPECT_EQ(request(line + fields), "parsed");
  EXPECT_EQ(line.size() + fields.size(), line.size() + limits::http_fields_octets_max);
  EXPECT_EQ(request(line + "Y" + fields), "http.fields_large");
  std::string many = "Host: a\r\n";
  for (int i = 1; i < 100; ++i) many += "X: y\r\n";
  EXPECT_EQ(request(line + many + "\r\n"), "parsed");
  EXPECT_EQ(request(line + many + "X: y\r\n"), "http.fields_large");
}

TEST(HttpRequest, LongestHeadFitsTheBound) {
  std::string line = "GET http://a/";
  line += std::string(8192 - line.size() - 11, 'x') + " HTTP/1.1\r\n";
  std::string fields = "Host: a\r\nX: ";
  fields += std::string(65536 - fields.size() - 4, 'x') + "\r\n\r\n";
  const auto result = decode_http_request(octets_of_text("\r\n" + line + fields), HttpTurn::later);
  EXPECT_EQ(describe(result), "parsed " + std::to_string(http_head_octets_max));
}

// --- Lines and fields: TP6 -----------------------------------------------------------------------------------------

TEST(HttpRequest, LonelyLineFeedsEndLines) {
  const HttpRequestHead head = head_of("GET http://a/ HTTP/1.1\nHost: a\nX: y\r\n\n");
  EXPECT_EQ(head.fields, (HttpFields{{"Host", "a"}, {"X", "y"}}));
}

TEST(HttpRequest, LinesThatTwoReadersReadDifferently) {
  for (const char* fields :
       {"X: y\r z\r\n", "X: y\r\r\n", "X\r: y\r\n", " X: y\r\n", "X: y\r\n z\r\n", "X: y\r\n\tz\r\n", "X : y\r\n",
        "X\t: y\r\n", ": y\r\n", "X y\r\n", "X\r\n", "X: \x01\r\n", "X: \x7F\r\n", "X(: y\r\n",
        "Content-Length : 5\r\n", "Transfer-Encoding\t: chunked\r\n"}) {
    EXPECT_EQ(with(fields), "http.syntax") << fields;
  }
  EXPECT_EQ(with(std::string("X: a\0b\r\n", 8)), "http.syntax");
  EXPECT_EQ(with(std::string("X\0: b\r\n", 7)), "http.syntax");
  EXPECT_EQ(request("GET http://a/ HTTP/1.1\r\n Host: a\r\n\r\n"), "http.syntax") << "folded into the request line";
}

TEST(HttpRequest, ExactlyOneHost) {
  const std::string line = "GET http://a/ HTTP/1.1\r\n";
  EXPECT_EQ(request(line + "\r\n"), "http.host");
  EXPECT_EQ(request(line + "Host: a\r\nhost: a\r\n\r\n"), "http.host");
  EXPECT_EQ(request("GET http://a/ HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), "http.host");
  EXPECT_EQ(request("GET http://a/ HTTP/1.0\r\n\r\n"), "parsed");
  EXPECT_EQ(request("CONNECT a:1 HTTP/1.1\r\n\r\n"), "http.host");
  for (const char* host : {"a", "a:80", "a:", "[::1]:80", "", "b.example"}) {
    EXPECT_EQ(request(line + "Host: " + host + "\r\n\r\n"), "parsed") << host;
  }
  for (const char* host : {"a b", "a, b", "a/b", "u@a", "a:b", ":80", "a:80:80", "http://a"}) {
    EXPECT_EQ(request(line + "Host: " + host + "\r\n\r\n"), "http.host") << host;
  }
}

TEST(HttpRequest, DestinationIsTheTargetNeverTheHost) {
  const HttpRequestHead head = head_of("GET http://a.example/ HTTP/1.1\r\nHost: inside.example\r\n\r\n");
  EXPECT_EQ(target_text(head.destination), "a.example:80");
}

TEST(HttpRequest, LengthsAreSaidOnce) {
  for (const char* fields :
       {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n", "Content-Length: 5,\r\n", "Content-Length: ,5\r\n", "Content-Length:\r\n",
        "Content-Length: +5\r\n", "Content-Length: -5\r\n", "Content-Length: 5 5\r\n", "Content-Length: 0x5\r\n",
        "Content-Length: 5;\r\n", "Content-Length: 18446744073709551616\r\n", "Content-Length: five\r\n"}) {
    EXPECT_EQ(with(fields), "http.framing") << fields;
  }
  for (const char* fields : {"Content-Length: 5\r\n", "Content-Length: 5\r\nContent-Length: 5\r\n",
                             "Content-Length: 5, 5\r\n", "Content-Length: 005\r\nContent-Length: 5\r\n"}) {
    const HttpRequestHead head = head_of("POST http://a/ HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n");
    EXPECT_EQ(head.body, (HttpBody{.kind = HttpBodyKind::length, .octets = 5})) << fields;
  }
}

TEST(HttpRequest, CodingsEndInChunkedAlone) {
  for (const char* coding : {"gzip", "identity", "chunked, gzip", "chunked, chunked", "chunked,", ", chunked", "",
                             "chunked;x=y", "\"chunked\"", "chun ked", "xchunked", "chunked\v"}) {
    const std::string said = with("Transfer-Encoding: " + std::string(coding) + "\r\n");
    EXPECT_TRUE(said == "http.framing" || said == "http.syntax") << coding << ": " << said;
  }
  EXPECT_EQ(with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "http.framing");
  EXPECT_EQ(with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), "http.framing");
  EXPECT_EQ(with("Transfer-Encoding: gzip, chunked\r\n"), "http.coding");
  EXPECT_EQ(with("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), "http.coding");
  EXPECT_EQ(with("Transfer-Encoding: CHUNKED\r\n"), "parsed");
  EXPECT_EQ(request("POST http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), "http.framing");
}

TEST(HttpRequest, ConnectHasNoBody) {
  const std::string line = "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(request(line + "Content-Length: 0\r\n\r\n"), "http.framing");
  EXPECT_EQ(request(line + "Content-Length: 5\r\n\r\n"), "http.framing");
  EXPECT_EQ(request(line + "Transfer-Encoding: chunked\r\n\r\n"), "http.framing");
  EXPECT_EQ(request(line + "\r\n"), "parsed");
}

TEST(HttpRequest, PersistenceIsTheClientsWord) {
  const std::string line = "GET http://a/ HTTP/1.1\r\nHost: a\r\n";
  EXPECT_TRUE(head_of(line + "\r\n").persistent);
  EXPECT_TRUE(head_of(line + "Proxy-Connection: keep-alive\r\n\r\n").persistent);
  EXPECT_FALSE(head_of(line + "Connection: x, CLOSE\r\n\r\n").persistent);
  EXPECT_FALSE(head_of(line + "Proxy-Connection: close\r\n\r\n").persistent);
  EXPECT_FALSE(head_of("GET http://a/ HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").persistent);
}

TEST(HttpRequest, OneBlankLineBeforeALaterRequestOnly) {
  const std::string head = "GET http://a/ HTTP/1.0\r\n\r\n";
  EXPECT_EQ(request("\r\n" + head), "http.syntax");
  const auto later = [&](const std::string& before) {
    return describe(decode_http_request(octets_of_text(before + head), HttpTurn::later));
  };
  EXPECT_EQ(later(""), "parsed " + std::to_string(head.size()));
  EXPECT_EQ(later("\r\n"), "parsed " + std::to_string(head.size() + 2));
  EXPECT_EQ(later("\n"), "parsed " + std::to_string(head.size() + 1));
  EXPECT_EQ(later("\r\n\r\n"), "malformed 4 http.syntax");
  EXPECT_EQ(later("\r"), "malformed 2 http.syntax");
}

TEST(HttpRequest, MaxForwardsForTwoMethods) {
  const auto said = [](const std::string& method, const std::string& value) {
    return max_forwards(head_of(method + " http://a/ HTTP/1.1\r\nHost: a\r\nMax-Forwards: " + value + "\r\n\r\n"));
  };
  EXPECT_EQ(said("TRACE", "0"), 0U);
  EXPECT_EQ(said("OPTIONS", "10"), 10U);
  EXPECT_EQ(said("GET", "0"), std::nullopt);
  EXPECT_EQ(said("TRACE", "-1"), std::nullopt);
  EXPECT_EQ(max_forwards(head_of("TRACE http://a/ HTTP/1.1\r\nHost: a\r\n\r\n")), std::nullopt);
}

// --- Responses -----------------------------------------------------------------------------------------------------

TEST(HttpResponse, BodiesEndAsTheRequestSaid) {
  using Kind = HttpBodyKind;
  const std::string length = "Content-Length: 5\r\n\r\n";
  EXPECT_EQ(response_of("HTTP/1.1 200 OK\r\n" + length).body, (HttpBody{Kind::length, 5}));
  EXPECT_EQ(response_of("HTTP/1.1 200 OK\r\n\r\n").body.kind, Kind::until_close);
  EXPECT_EQ(response_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").body.kind, Kind::chunked);
  for (const char* status : {"100", "101", "204", "304"}) {
    EXPECT_EQ(response_of("HTTP/1.1 " + std::string(status) + " x\r\n" + length).body.kind, Kind::none) << status;
  }
  const HttpResponseHead to_head = response_of("HTTP/1.1 200 OK\r\n" + length, HttpAsked::head);
  EXPECT_EQ(to_head.body.kind, Kind::none);
  EXPECT_EQ(to_head.content_length, 5U);
  EXPECT_EQ(response_of("HTTP/1.1 200 OK\r\n" + length, HttpAsked::connect).body.kind, Kind::none) << "a tunnel";
  EXPECT_EQ(response_of("HTTP/1.1 407 No\r\n" + length, HttpAsked::connect).body, (HttpBody{Kind::length, 5}));
}

TEST(HttpResponse, WhatBreaksFramingIsRefused) {
  for (const char* head :
       {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/2.0 200 OK\r\n", "ICY 200 OK\r\n", "HTTP/1.1 20 OK\r\n", "HTTP/1.1 600 OK\r\n", "HTTP/1.1 099 OK\r\n",
        "HTTP/1.1 200OK\r\n", "HTTP/1.1  200 OK\r\n", "HTTP/1.1 200 OK\r\nX : y\r\n", "HTTP/1.1 200 OK\r\n x\r\n"}) {
    EXPECT_EQ(response(head), "http.response") << head;
  }
}

TEST(HttpResponse, PhraseMayBeAbsent) {
  for (const char* line : {"HTTP/1.1 200\r\n\r\n", "HTTP/1.1 200 \r\n\r\n"}) {
    EXPECT_EQ(response_of(line).phrase, "") << line;
  }
  EXPECT_EQ(response_of("HTTP/1.0 404 Not Found\n\n").phrase, "Not Found");
}

TEST(HttpResponse, InterimAndPersistent) {
  EXPECT_TRUE(response_of("HTTP/1.1 100 Continue\r\n\r\n").is_interim());
  EXPECT_FALSE(response_of("HTTP/1.1 101 Switching\r\n\r\n").is_interim());
  EXPECT_FALSE(response_of("HTTP/1.1 200 OK\r\n\r\n").persistent) << "its end is the connection's";
  EXPECT_TRUE(response_of("HTTP/1.1 204 x\r\n\r\n").persistent);
  EXPECT_FALSE(response_of("HTTP/1.1 204 x\r\nConnection: close\r\n\r\n").persistent);
  EXPECT_FALSE(response_of("HTTP/1.0 204 x\r\n\r\n").persistent);
}

// ── what is the proxy's own ─────────────────────────────────────────────────────────────────────────────────────────

ParseResult<HttpRequestHead> decode_own(std::string_view line, HttpOwn own = HttpOwn::pac) {
  return decode_http_request(octets_of_text(std::string(line) + "\r\nHost: a\r\n\r\n"), HttpTurn::first, own);
}

TEST(HttpOwnResource, IsOnePathByTwoMethods) {
  for (const std::string_view method : {"GET", "HEAD"}) {
    const auto result = decode_own(std::string(method) + " /proxy.pac HTTP/1.1");
    const auto* const parsed = std::get_if<Parsed<HttpRequestHead>>(&result);
    ASSERT_NE(parsed, nullptr);
    EXPECT_TRUE(parsed->value.own && parsed->value.persistent);
    EXPECT_EQ(parsed->value.path, "/proxy.pac");
    EXPECT_TRUE(parsed->value.destination.received_name.empty());
  }
}

TEST(HttpOwnResource, NothingElseIsAndNothingIsWhereItIsOff) {
  for (const std::string_view line :
       {"POST /proxy.pac", "OPTIONS /proxy.pac", "get /proxy.pac", "GET /", "GET /proxy.pac?", "GET /proxy.pac/",
        "GET //proxy.pac", "GET /Proxy.pac", "GET /%70roxy.pac", "GET proxy.pac", "GET *", "CONNECT /proxy.pac"}) {
    const auto result = decode_own(std::string(line) + " HTTP/1.1");
    const auto* const malformed = std::get_if<Malformed>(&result);
    ASSERT_NE(malformed, nullptr) << line;
    EXPECT_EQ(malformed->reason, Reason::http_target) << line;
  }
  EXPECT_TRUE(std::holds_alternative<Malformed>(decode_own("GET /proxy.pac HTTP/1.1", HttpOwn::nothing)));
  const auto absolute = decode_own("GET http://a/proxy.pac HTTP/1.1");
  EXPECT_FALSE(std::get<Parsed<HttpRequestHead>>(absolute).value.own);
}

}  // namespace
}  // namespace stile::wire::testing
