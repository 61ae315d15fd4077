// RFC 9211: its examples, what is malformed, and random values against a naive oracle made of regular expressions.
#include "wire/cache_status.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <string>
#include <vector>

#include "wire/codec_test_support.h"

namespace stile::wire::testing {
namespace {

/// "hit", "miss", … or "nothing".
std::string_view word(std::optional<CacheOutcome> outcome) {
  return outcome ? name(*outcome) : "nothing";
}

std::string_view decoded(std::string_view value) {
  const GuardedOctets guarded(ConstBytes(reinterpret_cast<const std::uint8_t*>(value.data()), value.size()));
  return word(decode_cache_status({reinterpret_cast<const char*>(guarded.octets().data()), value.size()}));
}

TEST(CacheStatus, ExamplesOfTheRfc) {
  EXPECT_EQ(decoded("ExampleCache; hit"), "hit");
  EXPECT_EQ(decoded("ExampleCache; hit; ttl=376"), "hit");
  EXPECT_EQ(decoded("ExampleCache; fwd=uri-miss"), "uri-miss");
  EXPECT_EQ(decoded("ExampleCache; fwd=stale; fwd-status=304; collapsed; ttl=300"), "stale");
  EXPECT_EQ(decoded("ExampleCache; fwd=request; fwd-status=304"), "request");
  EXPECT_EQ(decoded("OriginCache; hit; ttl=1100, \"CDN Company Here\"; hit; ttl=545"), "hit");
  EXPECT_EQ(decoded("OriginCache; hit; ttl=1100, \"CDN Company Here\"; fwd=vary-miss; key=\"a, b;hit\""), "vary-miss");
}

TEST(CacheStatus, EveryWordOfTheRfcIsItsOwnName) {
  for (int i = 1; i < cache_outcome_count; ++i) {
    const std::string_view reason = name(static_cast<CacheOutcome>(i));
    EXPECT_EQ(decoded("c;fwd=" + std::string(reason)), reason);
  }
}

TEST(CacheStatus, TheNearestCacheSpeaks) {
  EXPECT_EQ(decoded("far; hit, near; fwd=miss"), "miss");
  EXPECT_EQ(decoded("far; fwd=miss, near"), "nothing");
  EXPECT_EQ(decoded("far; fwd=miss\t,\t near; hit"), "hit");
}

TEST(CacheStatus, TheLastParameterOfANameCounts) {
  EXPECT_EQ(decoded("c; fwd=miss; fwd=stale"), "stale");
  EXPECT_EQ(decoded("c; hit; hit=?0; fwd=miss"), "miss");
  EXPECT_EQ(decoded("c; fwd=miss; fwd=\"stale\""), "nothing");
  EXPECT_EQ(decoded("c; fwd=miss; hit"), "hit");
}

TEST(CacheStatus, OtherWordsSayNothing) {
  for (const char* value : {"", " ", "c", "c; hit=?0", "c; hit=1", "c; hit=hit", "c; hit=\"1\"", "c; fwd", "c; fwd=hit",
                            "c; fwd=Miss", "c; fwd=miss2", "c; fwd=1", "c; HIT", "c; ttl=5"}) {
    EXPECT_EQ(decoded(value), "nothing") << value;
  }
}

TEST(CacheStatus, WhatIsMalformedSaysNothing) {
  for (const char* value : {"c; hit,",
                            "c; hit, ",
                            ",c; hit",
                            "c; hit,, d; hit",
                            "c; hit d",
                            "c hit",
                            "c; hit =?1",
                            "c; hit= ?1",
                            "c ;hit",
                            "\tc; hit",
                            "c;\thit",
                            "c; ;hit",
                            "c; hit;",
                            "1; hit",
                            "?1; hit",
                            ":YQ==:; hit",
                            "(c d); hit",
                            "(c); hit",
                            "\"c; hit",
                            "\"c\\x\"; hit",
                            "\"c\x7F\"; hit",
                            "\"\xC3\xA4\"; hit",
                            "\xC3\xA4; hit",
                            "c; hit; x=",
                            "c; hit; x=-",
                            "c; hit; x=?2",
                            "c; hit; x=?",
                            "c; hit; x=:YQ",
                            "c; hit; x=:Y Q:",
                            "c; hit; x=1.",
                            "c; hit; x=.1",
                            "c; hit; x=1.2345",
                            "c; hit; x=1234567890123.1",
                            "c; hit; x=1234567890123456",
                            "c; hit; X=1",
                            "c; hit; 1=1",
                            "c; hit; x=(a)",
                            "c; hit; x=\"",
                            "c; hit; x=@1"}) {
    EXPECT_EQ(decoded(value), "nothing") << value;
  }
}

TEST(CacheStatus, EveryKindOfValueIsPassedOver) {
  for (const char* value :
       {"c; hit; x=-5", "c; hit; x=123456789012345", "c; hit; x=123456789012.123", "c; hit; x=-0.5", "c; hit; x=?0",
        "c; hit; x=:YQ==:", "c; hit; x=::", "c; hit; x=\"\"", "c; hit; x=\"\\\\\\\"\"", "c; hit; x=a/b:c*",
        "c; hit; *x_-.9*=1", "*c; hit", "\"\"; hit", "c;hit;   x", "  c; hit  ", "c; hit\t"}) {
    EXPECT_EQ(decoded(value), "hit") << value;
  }
}

TEST(CacheStatus, OnlyTheLastLineOfAResponseIsLookedAt) {
  EXPECT_EQ(word(cache_outcome({})), "nothing");
  EXPECT_EQ(word(cache_outcome({{"X-Cache-Status", "c; hit"}})), "nothing");
  EXPECT_EQ(word(cache_outcome({{"cache-status", "c; hit"}})), "hit");
  EXPECT_EQ(word(cache_outcome({{"Cache-Status", "\"broken"}, {"Cache-Status", "c; fwd=miss"}, {"Age", "1"}})), "miss");
  EXPECT_EQ(word(cache_outcome({{"Cache-Status", "c; hit"}, {"Cache-Status", "\"broken"}})), "nothing");
  EXPECT_EQ(word(cache_outcome({{"Cache-Status", "c; hit"}, {"Cache-Status", ""}})), "hit");
}

/// The grammar of RFC 8941 as one regular expression a member, and two that find what counts in it.
std::string naive(std::string value) {
  const std::string text = R"("(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*")";
  const std::string token = R"([A-Za-z*][-A-Za-z0-9!#$%&'*+.^_`|~:/]*)";
  const std::string item =
      "(?:" + text + "|" + token + R"(|-?\d{1,15}(?!\d|\.)|-?\d{1,12}\.\d{1,3}|\?[01]|:[A-Za-z0-9+/=]*:))";
  const std::string parameter = R"(; *([a-z*][-a-z0-9_.*]*)(?:=()" + item + "))?";
  static const std::regex member("(?:" + text + "|" + token + ")((?:" + parameter + ")*)[ \t]*");
  static const std::regex one(parameter);
  value.erase(0, value.find_first_not_of(' '));
  std::string said = "nothing";
  for (bool more = !value.empty(); more;) {
    std::smatch found;
    if (!std::regex_search(value, found, member, std::regex_constants::match_continuous)) return "nothing";
    const std::string parameters = found[1];
    std::string hit;
    std::string forwarded = "nothing";
    for (std::sregex_iterator at(parameters.begin(), parameters.end(), one), end; at != end; ++at) {
      if ((*at)[1] == "hit") hit = (*at)[2].matched ? (*at)[2].str() : "?1";
      if ((*at)[1] == "fwd") forwarded = (*at)[2];
    }
    static const std::regex reasons("bypass|method|(uri-|vary-)?miss|request|stale|partial");
    said = hit == "?1" ? "hit" : std::regex_match(forwarded, reasons) ? forwarded : "nothing";
    value = found.suffix();
    more = !value.empty();
    if (!more) break;
    if (value.front() != ',') return "nothing";
    value.erase(0, 1);
    value.erase(0, value.find_first_not_of(" \t"));
    if (value.empty()) return "nothing";
  }
  return said;
}

TEST(CacheStatus, EqualsTheNaiveReader) {
  const std::array<std::string_view, 24> pieces{
      "c",  "\"d, e\"", ";", "; ", "hit",  "fwd", "=",    "miss",   "uri-miss", ",",   ", ",    "\t",
      "?1", "?0",       "5", "-",  "1.25", "\"",  "\\\"", ":YQ==:", "*x",       "key", "; hit", "; fwd=stale"};
  Random random(9);
  std::size_t readable = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string value(random.one_in(2) ? "c; fwd=partial; ttl=12" : "");
    for (std::size_t left = random.below(8); left > 0; --left) value += random.pick(pieces);
    if (random.one_in(4)) {
      Octets octets(value.begin(), value.end());
      if (!octets.empty()) mutate(octets, random);
      value.assign(octets.begin(), octets.end());
    }
    const std::string_view outcome = decoded(value);
    ASSERT_EQ(outcome, naive(value)) << value;
    readable += outcome != "nothing" ? 1 : 0;
  }
  EXPECT_GT(readable, 1'000U);
}

TEST(CacheStatus, EqualsTheNaiveReaderOnEveryPrefix) {
  const std::string value = "far; hit; ttl=1100, \"a \\\"near\\\" one\"; fwd=uri-miss; x=:YQ==:; y=-1.5; z=?0; hit";
  for (std::size_t size = 0; size <= value.size(); ++size) {
    const std::string prefix = value.substr(0, size);
    EXPECT_EQ(decoded(prefix), naive(prefix)) << prefix;
  }
}

}  // namespace
}  // namespace stile::wire::testing
