// The table of first octets, row by row and against a naive oracle.
#include "wire/first_octets.h"

#include <gtest/gtest.h>

#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

constexpr Admitted everything{
    .proxy_header = false, .tls = TlsUse::optional, .socks4 = true, .socks5 = true, .http = true};
constexpr Admitted behind_balancer{
    .proxy_header = true, .tls = TlsUse::off, .socks4 = true, .socks5 = true, .http = true};

bool starts(const Octets& input, const Octets& signature, std::size_t octets) {
  for (std::size_t i = 0; i < octets; ++i) {
    if (input[i] != signature[i]) return false;
  }
  return true;
}

ParseResult<FirstProtocol> naive_proxy_header(const Octets& input) {
  const Octets v1 = octets_of("50 52 4F 58 59 20");
  const Octets v2 = octets_of("0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A");
  for (std::size_t octets = 1; octets <= input.size(); ++octets) {
    if (octets <= v1.size() && starts(input, v1, octets)) {
      if (octets == v1.size()) return Parsed<FirstProtocol>{FirstProtocol::proxy_header, octets};
    } else if (octets <= v2.size() && starts(input, v2, octets)) {
      if (octets == v2.size()) return Parsed<FirstProtocol>{FirstProtocol::proxy_header, octets};
    } else {
      return Malformed{Reason::proxy_missing, octets};
    }
  }
  return NeedMore{};
}

ParseResult<FirstProtocol> naive_plain(const Octets& input, bool tls, bool socks4, bool socks5, bool http) {
  if (input.empty()) return NeedMore{};
  const auto answer = [](FirstProtocol protocol, bool on, std::size_t octets) -> ParseResult<FirstProtocol> {
    if (!on) return Malformed{Reason::protocol_off, octets};
    return Parsed<FirstProtocol>{protocol, octets};
  };
  if (input[0] == 0x16) {
    if (input.size() > 1 && input[1] != 3) return Malformed{Reason::protocol_unknown, 2};
    if (input.size() < 3) return NeedMore{};
    if (input[2] > 4) return Malformed{Reason::protocol_unknown, 3};
    return answer(FirstProtocol::tls, tls, 3);
  }
  if (input[0] == 4) return answer(FirstProtocol::socks4, socks4, 1);
  if (input[0] == 5) return answer(FirstProtocol::socks5, socks5, 1);
  if (std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZ").contains(static_cast<char>(input[0]))) {
    return answer(FirstProtocol::http, http, 1);
  }
  return Malformed{Reason::protocol_unknown, 1};
}

/// The vectors of every protocol begin here.
std::vector<Vector> all_vectors(bool proxied) {
  const std::string folder = "tests/vectors/";
  std::vector<Vector> all;
  const auto add = [&](const char* file, char letter, const char* verdict) {
    for (Vector& vector : read_vectors(folder + file, letter)) {
      vector.verdict = verdict;
      all.push_back(std::move(vector));
    }
  };
  add("socks5.txt", 'G', proxied ? "malformed 1 pp.missing" : "parsed 1");
  add("socks4.txt", 'K', proxied ? "malformed 1 pp.missing" : "parsed 1");
  add("proxy.txt", 'Y', "-");
  for (Vector& vector : all) {
    if (vector.id == "Y1") vector.verdict = proxied ? "parsed 6" : "parsed 1";
    if (vector.id == "Y3") vector.verdict = proxied ? "parsed 12" : "malformed 1 proto.unknown";
  }
  if (!proxied) add("http.txt", 'H', "parsed 1");
  return all;
}

template <class Derived>
struct PlainCodec {
  using Message = FirstProtocol;
  static Example<FirstProtocol> example(Random& random) {
    switch (random.below(4)) {
      case 0:
        return {.value = FirstProtocol::socks4, .encoded = {4}};
      case 1:
        return {.value = FirstProtocol::socks5, .encoded = {5}};
      case 2:
        return {.value = FirstProtocol::http, .encoded = {static_cast<std::uint8_t>('A' + random.below(26))}};
      default:
        return {.value = FirstProtocol::tls, .encoded = {0x16, 0x03, static_cast<std::uint8_t>(random.below(5))}};
    }
  }
  static std::vector<Vector> vectors() { return all_vectors(false); }
};

struct EverythingCodec : PlainCodec<EverythingCodec> {
  static ParseResult<FirstProtocol> decode(ConstBytes input) { return decode_first_octets(input, everything); }
  static ParseResult<FirstProtocol> oracle(const Octets& input) { return naive_plain(input, true, true, true, true); }
};

struct ProxiedCodec {
  using Message = FirstProtocol;
  static ParseResult<FirstProtocol> decode(ConstBytes input) { return decode_first_octets(input, behind_balancer); }
  static ParseResult<FirstProtocol> oracle(const Octets& input) { return naive_proxy_header(input); }
  static std::vector<Vector> vectors() { return all_vectors(true); }
  static Example<FirstProtocol> example(Random& random) {
    return {.value = FirstProtocol::proxy_header,
            .encoded = octets_of(random.one_in(2) ? "50 52 4F 58 59 20" : "0D 0A 0D 0A 00 0D 0A 51 55 49 54 0A")};
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(FirstOctets, CodecTest, EverythingCodec);
INSTANTIATE_TYPED_TEST_SUITE_P(FirstOctetsBehindBalancer, CodecTest, ProxiedCodec);

std::string told(std::string_view octets, const Admitted& admitted) {
  return describe(decode_first_octets(octets_of(octets), admitted));
}

TEST(FirstOctets, EveryOctetOnEveryListener) {
  for (int flags = 0; flags < 8; ++flags) {
    const Admitted admitted{.proxy_header = false,
                            .tls = TlsUse::off,
                            .socks4 = (flags & 1) != 0,
                            .socks5 = (flags & 2) != 0,
                            .http = (flags & 4) != 0};
    for (int first = 0; first < 256; ++first) {
      const Octets octets = {static_cast<std::uint8_t>(first)};
      EXPECT_TRUE(decode_first_octets(octets, admitted) ==
                  naive_plain(octets, false, admitted.socks4, admitted.socks5, admitted.http))
          << first << " with " << flags;
    }
  }
}

// TP5: what other programs say first is answered by silence.
TEST(FirstOctets, StrangersAreUnknown) {
  EXPECT_EQ(told("06 01 00", everything), "malformed 1 proto.unknown") << "SOCKS6";
  EXPECT_EQ(told("80 2E 01", everything), "malformed 1 proto.unknown") << "SSLv2";
  EXPECT_EQ(told("67 65 74", everything), "malformed 1 proto.unknown") << "get, in lower case";
  EXPECT_EQ(told("00 00 00", everything), "malformed 1 proto.unknown");
  EXPECT_EQ(told("0D 0A 0D 0A", everything), "malformed 1 proto.unknown") << "a PROXY header that nobody expects";
}

TEST(FirstOctets, TlsOnlyWhereTheListenerHasIt) {
  Admitted admitted = everything;
  EXPECT_EQ(told("16 03 01", admitted), "parsed 3");
  EXPECT_EQ(told("16 03", admitted), "need more");
  EXPECT_EQ(told("16 03 05", admitted), "malformed 3 proto.unknown");
  EXPECT_EQ(told("16 02", admitted), "malformed 2 proto.unknown");
  admitted.tls = TlsUse::off;
  EXPECT_EQ(told("16 03 01", admitted), "malformed 3 proto.off");
}

TEST(FirstOctets, PlaintextIsRefusedWhereTlsIsRequired) {
  Admitted admitted = everything;
  admitted.tls = TlsUse::required;
  for (const char* plain : {"04", "05", "47"}) EXPECT_EQ(told(plain, admitted), "malformed 1 tls.missing") << plain;
  EXPECT_EQ(told("16 03 03", admitted), "parsed 3");
}

TEST(FirstOctets, BalancerMustSendItsHeader) {
  EXPECT_EQ(told("05 01 00", behind_balancer), "malformed 1 pp.missing");
  EXPECT_EQ(told("16 03 01", behind_balancer), "malformed 1 pp.missing");
  EXPECT_EQ(told("50 4F 53 54", behind_balancer), "malformed 2 pp.missing") << "POST";
  EXPECT_EQ(told("50 52 4F 50", behind_balancer), "malformed 4 pp.missing") << "PROPFIND";
  EXPECT_EQ(told("50 52 4F 58 59 20", behind_balancer), "parsed 6");
}

TEST(FirstOctets, ProxyLineFromAnybodyElseIsHttp) {
  const auto result = decode_first_octets(octets_of("50 52 4F 58 59 20"), everything);
  EXPECT_EQ(parsed(result), FirstProtocol::http);
}

}  // namespace
}  // namespace stile::wire::testing
