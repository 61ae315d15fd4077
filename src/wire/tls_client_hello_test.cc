// The ClientHello, against tests/vectors/tls.txt (T).
#include "wire/tls_client_hello.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

const std::string vectors_path = "tests/vectors/tls.txt";

void append_number(Octets& octets, std::size_t number, int width) {
  for (int shift = 8 * (width - 1); shift >= 0; shift -= 8)
    octets.push_back(static_cast<std::uint8_t>(number >> shift));
}

/// A length of `width` octets, and what it counts.
void append_counted(Octets& octets, const Octets& content, int width) {
  append_number(octets, content.size(), width);
  octets.insert(octets.end(), content.begin(), content.end());
}

Octets octets_of_text(const std::string& text) {
  return Octets(text.begin(), text.end());
}

void append_extension(Octets& extensions, std::size_t type, const Octets& data) {
  append_number(extensions, type, 2);
  append_counted(extensions, data, 2);
}

Octets encode_extensions(const TlsClientHello& hello, Random& random) {
  Octets extensions;
  if (random.one_in(2)) append_extension(extensions, 0x1A1A, {});
  if (!hello.server_name.empty()) {
    Octets list = {0};
    append_counted(list, octets_of_text(hello.server_name), 2);
    Octets data;
    append_counted(data, list, 2);
    append_extension(extensions, 0, data);
  }
  if (random.one_in(2)) append_extension(extensions, 51, random.octets(random.below(80)));
  if (!hello.protocols.empty()) {
    Octets list;
    if (random.one_in(3)) append_counted(list, {0x4A, 0x4A}, 1);
    for (const std::string& protocol : hello.protocols) append_counted(list, octets_of_text(protocol), 1);
    Octets data;
    append_counted(data, list, 2);
    append_extension(extensions, 16, data);
  }
  return extensions;
}

/// In one record, or in as many as chance wills.
Octets encode_records(const Octets& handshake, Random& random) {
  Octets records;
  const bool whole = random.one_in(2);
  for (std::size_t at = 0; at < handshake.size();) {
    const std::size_t left = handshake.size() - at;
    const std::size_t size = whole ? left : 1 + random.below(left);
    records.insert(records.end(), {0x16, 3, static_cast<std::uint8_t>(random.below(5))});
    const auto begin = handshake.begin() + static_cast<std::ptrdiff_t>(at);
    append_counted(records, Octets(begin, begin + static_cast<std::ptrdiff_t>(size)), 2);
    at += size;
  }
  return records;
}

Octets encode(const TlsClientHello& hello, Random& random) {
  Octets body = {3, 3};
  const Octets nonce = random.octets(32);
  body.insert(body.end(), nonce.begin(), nonce.end());
  append_counted(body, random.octets(random.below(33)), 1);
  append_counted(body, random.octets(2 + 2 * random.below(20)), 2);
  append_counted(body, {0}, 1);
  const Octets extensions = encode_extensions(hello, random);
  if (!extensions.empty() || random.one_in(2)) append_counted(body, extensions, 2);
  Octets handshake = {1};
  append_counted(handshake, body, 3);
  return encode_records(handshake, random);
}

/// The hello without its records, each octet with the place in the input behind it; and where that breaks.
struct Flat {
  Octets octets;
  std::vector<std::size_t> behind;
  std::optional<std::size_t> broken;

  explicit Flat(const Octets& input) {
    for (std::size_t at = 0; at + 5 <= input.size();) {
      const std::size_t length = input[at + 3] * 256U + input[at + 4];
      const bool good = input[at] == 22 && input[at + 1] == 3 && input[at + 2] <= 4 && length > 0 && length <= 16'384;
      at += 5;
      if (!good) {
        broken = at;
        return;
      }
      for (std::size_t i = 0; i < length && at < input.size(); ++i) {
        octets.push_back(input[at]);
        behind.push_back(++at);
      }
    }
  }
};

std::size_t number_at(const Octets& octets, std::size_t at, std::size_t width) {
  std::size_t number = 0;
  for (std::size_t i = 0; i < width; ++i) number = number * 256 + octets[at + i];
  return number;
}

/// `octets` cut into pieces, each behind a length of `width`; nothing where the lengths do not meet.
std::optional<std::vector<Octets>> cut(const Octets& octets, std::size_t width) {
  std::vector<Octets> pieces;
  for (std::size_t at = 0; at < octets.size();) {
    if (at + width > octets.size()) return std::nullopt;
    const std::size_t size = number_at(octets, at, width);
    at += width;
    if (at + size > octets.size()) return std::nullopt;
    pieces.emplace_back(octets.begin() + static_cast<std::ptrdiff_t>(at),
                        octets.begin() + static_cast<std::ptrdiff_t>(at + size));
    at += size;
  }
  return pieces;
}

/// The content of an extension that is one list.
std::optional<Octets> only_list(const Octets& data) {
  const auto lists = cut(data, 2);
  if (!lists || lists->size() != 1 || lists->front().empty()) return std::nullopt;
  return lists->front();
}

std::optional<std::string> naive_name(const Octets& data) {
  const auto list = only_list(data);
  if (!list) return std::nullopt;
  std::string name;
  for (std::size_t at = 0; at < list->size();) {
    if (at + 3 > list->size()) return std::nullopt;
    const std::size_t size = number_at(*list, at + 1, 2);
    if (size == 0 || at + 3 + size > list->size()) return std::nullopt;
    if ((*list)[at] == 0 && name.empty())
      name.assign(list->begin() + static_cast<std::ptrdiff_t>(at + 3),
                  list->begin() + static_cast<std::ptrdiff_t>(at + 3 + size));
    at += 3 + size;
  }
  return name;
}

std::optional<std::vector<std::string>> naive_protocols(const Octets& data) {
  const auto list = only_list(data);
  const auto pieces = list ? cut(*list, 1) : std::nullopt;
  if (!pieces) return std::nullopt;
  std::vector<std::string> protocols;
  for (const Octets& piece : *pieces) {
    if (piece.empty()) return std::nullopt;
    const std::string text(piece.begin(), piece.end());
    static const std::set<int> grease = {0x0A, 0x1A, 0x2A, 0x3A, 0x4A, 0x5A, 0x6A, 0x7A,
                                         0x8A, 0x9A, 0xAA, 0xBA, 0xCA, 0xDA, 0xEA, 0xFA};
    if (piece.size() == 2 && piece[0] == piece[1] && grease.contains(piece[0])) continue;
    protocols.push_back(text);
  }
  return protocols;
}

std::optional<TlsClientHello> naive_extensions(const Octets& octets) {
  TlsClientHello hello;
  std::set<std::size_t> seen;
  for (std::size_t at = 0; at < octets.size();) {
    if (at + 4 > octets.size()) return std::nullopt;
    const std::size_t type = number_at(octets, at, 2);
    const std::size_t size = number_at(octets, at + 2, 2);
    at += 4;
    if (at + size > octets.size()) return std::nullopt;
    const Octets data(octets.begin() + static_cast<std::ptrdiff_t>(at),
                      octets.begin() + static_cast<std::ptrdiff_t>(at + size));
    at += size;
    if (type != 0 && type != 16) continue;
    if (!seen.insert(type).second) return std::nullopt;
    const auto name = type == 0 ? naive_name(data) : std::string();
    const auto protocols = type == 16 ? naive_protocols(data) : std::vector<std::string>();
    if (!name || !protocols) return std::nullopt;
    if (type == 0) hello.server_name = *name;
    if (type == 16) hello.protocols = *protocols;
  }
  return hello;
}

std::optional<TlsClientHello> naive_hello(const Octets& body) {
  std::size_t at = 34;
  const auto field = [&](std::size_t width) -> std::optional<std::size_t> {
    if (at + width > body.size()) return std::nullopt;
    const std::size_t size = number_at(body, at, width);
    at += width + size;
    if (at > body.size()) return std::nullopt;
    return size;
  };
  const auto session = field(1);
  if (!session || *session > 32) return std::nullopt;
  const auto suites = field(2);
  if (!suites || *suites == 0 || *suites % 2 == 1) return std::nullopt;
  const auto compression = field(1);
  if (!compression || *compression == 0) return std::nullopt;
  if (at == body.size()) return TlsClientHello{};
  const std::size_t begin = at + 2;
  const auto extensions = field(2);
  if (!extensions || at != body.size()) return std::nullopt;
  return naive_extensions(Octets(body.begin() + static_cast<std::ptrdiff_t>(begin), body.end()));
}

struct HelloCodec {
  using Message = TlsClientHello;
  static ParseResult<TlsClientHello> decode(ConstBytes input) { return decode_tls_client_hello(input); }
  static ParseResult<TlsClientHello> oracle(const Octets& input) {
    const Flat flat(input);
    const auto short_of = [&]() -> ParseResult<TlsClientHello> {
      if (flat.broken) return Malformed{Reason::tls_hello, *flat.broken};
      return NeedMore{};
    };
    if (flat.octets.size() < 4) return short_of();
    const std::size_t length = number_at(flat.octets, 1, 3);
    if (flat.octets[0] != 1 || length > 16'380) return Malformed{Reason::tls_hello, flat.behind[3]};
    if (flat.octets.size() < 4 + length) return short_of();
    const std::size_t end = flat.behind[3 + length];
    const auto hello =
        naive_hello(Octets(flat.octets.begin() + 4, flat.octets.begin() + static_cast<std::ptrdiff_t>(4 + length)));
    if (!hello) return Malformed{Reason::tls_hello, end};
    return Parsed<TlsClientHello>{*hello, end};
  }
  static std::vector<Vector> vectors() { return read_vectors(vectors_path, 'T'); }
  static Example<TlsClientHello> example(Random& random) {
    TlsClientHello hello;
    if (random.one_in(2)) {
      const Octets name = random.octets(1 + random.below(60));
      hello.server_name.assign(name.begin(), name.end());
    }
    constexpr std::array<std::string_view, 4> offers = {"h2", "http/1.1", "h3", "acme-tls/1"};
    for (std::size_t left = random.below(4); left > 0; --left) hello.protocols.emplace_back(random.pick(offers));
    return {.value = hello, .encoded = encode(hello, random)};
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(TlsClientHello, CodecTest, HelloCodec);

TlsClientHello hello_vector(std::string_view id) {
  return parsed(decode_tls_client_hello(vector_octets(vectors_path, id)));
}

TEST(TlsClientHello, NamesAndProtocolsOfTheVectors) {
  using Strings = std::vector<std::string>;
  EXPECT_EQ(hello_vector("T1"), (TlsClientHello{"www.example.com", Strings{"h2", "http/1.1"}}));
  EXPECT_EQ(hello_vector("T2"), TlsClientHello{});
  EXPECT_EQ(hello_vector("T3"), (TlsClientHello{"example.com", Strings{"h2"}}));
  EXPECT_EQ(hello_vector("T4"), (TlsClientHello{"public.example", {}}));
  EXPECT_EQ(hello_vector("T5"), (TlsClientHello{"example.org", {}}));
  EXPECT_EQ(hello_vector("T9"), (TlsClientHello{"a\r\nX: \"\xe2\x80\xae", {}}));
  EXPECT_EQ(hello_vector("T10"), (TlsClientHello{"first.example", {}}));
}

}  // namespace
}  // namespace stile::wire::testing
