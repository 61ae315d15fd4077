// RFC 1928 section 7, one header inside the other: what goes out and what is taken of an answer, held against a reader
// that knows octets alone.
#include "wire/nested_headers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

Target place(std::string_view host, std::uint16_t port) {
  return {.host = canonical_host(host).value(), .port = port};
}

const std::vector<Target> relays{place("192.0.2.1", 1081), place("2001:db8::2", 1082), place("192.0.2.3", 1083)};
const Target far_away = place("198.51.100.7", 53);

void append(Octets& octets, const auto& more) {
  octets.insert(octets.end(), more.begin(), more.end());
}

Octets header_of(const Target& target, std::uint8_t fragment = 0) {
  return to_octets(encode_udp_header(target, {fragment}).octets());
}

/// An answer that passed `relays`, from `source`.
Octets answer_by(std::span<const Target> path, const Target& source, std::string_view data) {
  Octets octets;
  for (const Target& relay : path) append(octets, header_of(relay));
  append(octets, header_of(source));
  append(octets, data);
  return octets;
}

TEST(NestedHeaders, OneRelayHasNothingAroundTheTargetsHeader) {
  NestedHeaders headers;
  EXPECT_TRUE(headers.outer().empty());
  const Octets octets = answer_by({}, far_away, "data");
  const auto answer = headers.peel(octets);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->from, far_away);
  EXPECT_EQ(answer->consumed, octets.size() - 4);
}

TEST(NestedHeaders, EachRelayIsToldOfTheNextOne) {
  const NestedHeaders headers(relays);
  Octets expected = octets_of("00 00 00 01 C0 00 02 01 04 39");
  append(expected, octets_of("00 00 00 04 20 01 0D B8 00*11 02 04 3A"));
  append(expected, octets_of("00 00 00 01 C0 00 02 03 04 3B"));
  EXPECT_EQ(to_octets(headers.outer()), expected);
}

TEST(NestedHeaders, EightRelaysOfTheLongestNamesHaveRoom) {
  const Target longest{.host = canonical_host(std::string(63, 'a') + "." + std::string(63, 'b') + "." +
                                              std::string(63, 'c') + "." + std::string(61, 'd'))
                                   .value(),
                       .port = 1080};
  const std::vector<Target> seven(limits::chain_hops_max - 1, longest);
  NestedHeaders headers(seven);
  EXPECT_LE(headers.outer().size() + encode_udp_header(longest).octets().size(), nested_headers_octets_max);
  const auto answer = headers.peel(answer_by(seven, longest, ""));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->from, longest);
}

TEST(NestedHeaders, AnAnswerCutAnywhereIsNone) {
  NestedHeaders headers(relays);
  const Octets whole = answer_by(relays, far_away, "");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const GuardedOctets cut(Octets(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)));
    EXPECT_EQ(headers.peel(cut.octets()).error(), UdpDrop::header) << length;
  }
  EXPECT_EQ(headers.peel(whole).value().consumed, whole.size()) << "no data is a datagram too";
}

TEST(NestedHeaders, AnotherRelaysAnswerIsNotTaken) {
  NestedHeaders headers(relays);
  for (std::size_t wrong = 0; wrong < relays.size(); ++wrong) {
    for (const Target& other : {place("192.0.2.9", relays[wrong].port), place("relay.example", relays[wrong].port),
                                Target{.host = relays[wrong].host, .port = 9}}) {
      std::vector<Target> path = relays;
      path[wrong] = other;
      EXPECT_EQ(headers.peel(answer_by(path, far_away, "x")).error(), UdpDrop::reply) << wrong;
    }
  }
}

TEST(NestedHeaders, AFragmentAtAnyLevelIsDropped) {
  NestedHeaders headers(relays);
  for (std::size_t level = 0; level <= relays.size(); ++level) {
    for (const int fragment : {0x01, 0x81, 0x80, 0x7F}) {
      Octets octets;
      for (std::size_t i = 0; i <= relays.size(); ++i) {
        append(octets, header_of(i < relays.size() ? relays[i] : far_away,
                                 static_cast<std::uint8_t>(i == level ? fragment : 0)));
      }
      EXPECT_EQ(headers.peel(octets).error(), UdpDrop::fragment) << level;
    }
  }
}

TEST(NestedHeaders, ASourceThatNamesNobodyIsDropped) {
  NestedHeaders headers;
  EXPECT_EQ(headers.peel(header_of({far_away.host, 0})).error(), UdpDrop::header);
  EXPECT_EQ(headers.peel(octets_of("00 00 00 03 00 00 35")).error(), UdpDrop::header) << "an empty name";
  EXPECT_EQ(headers.peel(octets_of("00 00 00 03 01 20 00 35")).error(), UdpDrop::header) << "a space";
  EXPECT_EQ(headers.peel(octets_of("00 00 00 02 00 35")).error(), UdpDrop::header) << "an unknown type";
}

TEST(NestedHeaders, ASourceByNameIsHandedOnAsItIs) {
  NestedHeaders headers;
  EXPECT_EQ(headers.peel(header_of(place("far.example", 53))).value().from, place("far.example", 53));
}

TEST(NestedHeaders, ARelayThatWasNamedIsHeldToTheAddressOfItsFirstAnswer) {
  const std::vector<Target> named{place("relay.example", 1081)};
  NestedHeaders headers(named);
  EXPECT_TRUE(headers.peel(answer_by(named, far_away, "by name")));
  EXPECT_EQ(headers.peel(answer_by(std::vector{place("192.0.2.1", 1082)}, far_away, "")).error(), UdpDrop::reply);
  EXPECT_TRUE(headers.peel(answer_by(std::vector{place("192.0.2.1", 1081)}, far_away, "")));
  EXPECT_EQ(headers.peel(answer_by(std::vector{place("192.0.2.2", 1081)}, far_away, "")).error(), UdpDrop::reply);
  EXPECT_TRUE(headers.peel(answer_by(std::vector{place("192.0.2.1", 1081)}, far_away, "")));
}

/// Reads addresses of the two numeric types alone, octet by octet.
std::optional<std::size_t> naive(const Octets& octets, std::span<const Target> path) {
  std::size_t at = 0;
  for (std::size_t level = 0; level <= path.size(); ++level) {
    if (octets.size() < at + 4 || octets[at + 2] != 0) return std::nullopt;
    const std::size_t length = octets[at + 3] == 1 ? 4 : octets[at + 3] == 4 ? 16 : 0;
    if (length == 0 || octets.size() < at + 4 + length + 2) return std::nullopt;
    const ConstBytes host = ConstBytes(octets).subspan(at + 4, length);
    const Address address = length == 4 ? Address::v4(host.first<4>()) : Address::v6(host.first<16>());
    const auto port = static_cast<std::uint16_t>(octets[at + 4 + length] * 256 + octets[at + 5 + length]);
    if (port == 0 || (level < path.size() && (path[level] != Target{.host = address, .port = port}))) {
      return std::nullopt;
    }
    at += 6 + length;
  }
  return at;
}

TEST(NestedHeaders, AgreesWithANaiveReaderOnSpoiltAnswers) {
  Random random(20);
  const Octets whole = answer_by(relays, far_away, "payload");
  std::size_t taken = 0;
  for (int round = 0; round < 20'000; ++round) {
    Octets octets = whole;
    mutate(octets, random);
    if (std::ranges::any_of(std::array{0, 10, 32, 42}, [&](int at) {
          return octets.size() > static_cast<std::size_t>(at) + 3 && octets[static_cast<std::size_t>(at) + 3] == 3;
        })) {
      continue;  // names are judged above
    }
    NestedHeaders headers(relays);
    const auto answer = headers.peel(octets);
    const auto expected = naive(octets, relays);
    ASSERT_EQ(answer.has_value(), expected.has_value()) << round;
    if (!answer) continue;
    ++taken;
    ASSERT_EQ(answer->consumed, *expected);
  }
  EXPECT_GT(taken, 100U);
}

}  // namespace
}  // namespace stile::wire::testing
