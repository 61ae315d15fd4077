// The host-name table: security reference, section 4.2, rows H1 to H41. What is decided later by class or special name
// ("loopback, no DNS", "reserved, denied") belongs to policy/ and resolve/ and is tested there.
#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "base/address.h"

namespace stile {
namespace {

using namespace std::string_view_literals;

void expect_name(std::string_view input, std::string_view expected) {
  const auto host = canonical_host(input);
  ASSERT_TRUE(host.has_value()) << input << ": " << name(host.error().rejection);
  const auto* host_name = std::get_if<HostName>(&*host);
  ASSERT_NE(host_name, nullptr) << input << " became an address";
  EXPECT_EQ(host_name->text(), expected) << input;
}

void expect_address(std::string_view input, std::string_view expected) {
  const auto host = canonical_host(input);
  ASSERT_TRUE(host.has_value()) << input << ": " << name(host.error().rejection);
  const auto* address = std::get_if<Address>(&*host);
  ASSERT_NE(address, nullptr) << input << " stayed a name";
  EXPECT_EQ(address->to_string(), expected) << input;
  EXPECT_EQ(address->is_v4(), expected.find(':') == std::string_view::npos) << input;
}

void expect_rejected(HostRejection rejection, std::initializer_list<std::string_view> inputs) {
  for (const std::string_view input : inputs) {
    const auto host = canonical_host(input);
    ASSERT_FALSE(host.has_value()) << input << " became " << to_string(*host);
    EXPECT_EQ(name(host.error().rejection), name(rejection)) << input;
    EXPECT_EQ(host.error().octet, 0) << input;
  }
}

void expect_bad_byte(std::uint8_t octet, std::initializer_list<std::string_view> inputs) {
  for (const std::string_view input : inputs) {
    const auto host = canonical_host(input);
    ASSERT_FALSE(host.has_value()) << input << " became " << to_string(*host);
    EXPECT_EQ(host.error(), (HostError{.rejection = HostRejection::bad_byte, .octet = octet})) << input;
  }
}

/// `count` octets of legal labels.
std::string long_name(std::size_t count) {
  std::string text;
  while (text.size() < count) text += (text.size() % 50 == 49 && text.size() + 1 < count) ? '.' : 'a';
  return text;
}

TEST(HostNameTable, H1_CaseAndFinalDot) {
  for (const auto input : {"example.com"sv, "EXAMPLE.Com"sv, "example.com."sv}) expect_name(input, "example.com");
}
TEST(HostNameTable, H2_EmptyLabels) {
  expect_rejected(HostRejection::empty_label, {"example.com..", ".example.com", "a..b", "."});
}
TEST(HostNameTable, H3_Empty) {
  expect_rejected(HostRejection::empty, {""});
}
TEST(HostNameTable, H4_LongestLabel) {
  const std::string input = std::string(63, 'a') + ".example";
  expect_name(input, input);
}
TEST(HostNameTable, H5_LabelTooLong) {
  expect_rejected(HostRejection::label_too_long, {std::string(64, 'a') + ".example"});
}
TEST(HostNameTable, H6_LongestName) {
  expect_name(long_name(253), long_name(253));
  expect_name(long_name(253) + '.', long_name(253));
}
TEST(HostNameTable, H7_NameTooLong) {
  expect_rejected(HostRejection::name_too_long, {long_name(254), long_name(254) + '.'});
}
TEST(HostNameTable, H8_Localhost) {
  expect_name("localhost", "localhost");
  expect_name("LOCALHOST.", "localhost");
  expect_name("foo.localhost", "foo.localhost");
}
TEST(HostNameTable, H9_SingleLabel) {
  expect_name("intranet", "intranet");
}
TEST(HostNameTable, H10_Underscores) {
  expect_name("_dmarc.example.com", "_dmarc.example.com");
  expect_name("foo_bar.example.com", "foo_bar.example.com");
}
TEST(HostNameTable, H11_HyphensAtLabelEdges) {
  expect_name("r3---sn-abc.example", "r3---sn-abc.example");
  expect_name("a-.example.com", "a-.example.com");
}
TEST(HostNameTable, H12_LeadingHyphen) {
  expect_rejected(HostRejection::leading_hyphen, {"-oProxyCommand.example"});
}
TEST(HostNameTable, H13_Punycode) {
  expect_name("XN--BCHER-KVA.example", "xn--bcher-kva.example");
}
TEST(HostNameTable, H14_BadPunycodeIsOpaque) {
  expect_name("xn--zz--.example", "xn--zz--.example");
}
TEST(HostNameTable, H15_Utf8) {
  expect_bad_byte(0xC3, {"b\xc3\xbc"
                         "cher.example"});
  expect_bad_byte(0xE3, {"example\xe3\x80\x82"
                         "com"});
}
TEST(HostNameTable, H16_CircledDigitsAndDirectionMarks) {
  expect_bad_byte(0xE2, {"\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1",
                         "\xe2\x80\xae"
                         "evil.example"});
}
TEST(HostNameTable, H17_FullWidthDigits) {
  expect_bad_byte(0xEF, {"\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1"});
}
TEST(HostNameTable, H18_DottedQuad) {
  expect_address("127.0.0.1", "127.0.0.1");
}
TEST(HostNameTable, H19_ShortDecimalForms) {
  expect_rejected(HostRejection::numeric, {"127.0.0.1.", "127.1", "1.2.3", "0", "2130706433"});
}
TEST(HostNameTable, H20_HexAndOctalForms) {
  expect_rejected(HostRejection::numeric, {"0x7f.1", "0X7F000001", "0x", "0177.0.0.1", "0177.1", "127.0.0.01"});
}
TEST(HostNameTable, H21_LegacyMetadataForm) {
  expect_rejected(HostRejection::numeric, {"169.254.43518"});
}
TEST(HostNameTable, H22_NumericLastLabel) {
  expect_rejected(HostRejection::numeric, {"256.1.1.1", "1.2.3.4.5", "example.1", "a.0x1f"});
}
TEST(HostNameTable, H23_DigitsElsewhere) {
  for (const auto input : {"1.example"sv, "123.com"sv, "1e3"sv, "a.0xg"sv}) expect_name(input, input);
}
TEST(HostNameTable, H24_EdgesOfV4) {
  expect_address("0.0.0.0", "0.0.0.0");
  expect_address("255.255.255.255", "255.255.255.255");
}
TEST(HostNameTable, H25_LoopbackV6) {
  expect_address("::1", "::1");
  expect_address("0:0:0:0:0:0:0:1", "::1");
}
TEST(HostNameTable, H26_V6Text) {
  expect_address("2001:DB8::0001", "2001:db8::1");
}
TEST(HostNameTable, H27_Mapped) {
  expect_address("::ffff:127.0.0.1", "127.0.0.1");
  expect_address("::FFFF:7f00:1", "127.0.0.1");
}
TEST(HostNameTable, H28_CompatibleAndUnspecified) {
  expect_address("::127.0.0.1", "::7f00:1");
  expect_address("::", "::");
}
TEST(HostNameTable, H29_Nat64) {
  expect_address("64:ff9b::a9fe:a9fe", "64:ff9b::a9fe:a9fe");
}
TEST(HostNameTable, H30_ZonesAndStrayBrackets) {
  expect_bad_byte(0x25, {"fe80::1%eth0"});
  expect_bad_byte(0x5B, {"[127.0.0.1]", "[::1]:80", "[[::1]]"});
}
TEST(HostNameTable, H31_BracketedV6) {
  expect_address("[::1]", "::1");
  expect_address("[::ffff:7f00:1]", "127.0.0.1");
}
TEST(HostNameTable, H32_BadColons) {
  expect_rejected(HostRejection::bad_colon,
                  {"1::2::3", ":::", "12345::", "example.com:80", "127.0.0.1:80", "[example.com:80]"});
}
TEST(HostNameTable, H33_UserInfoAndWildcard) {
  expect_bad_byte(0x40, {"user@example.com"});
  expect_bad_byte(0x2A, {"*.example.com"});
}
TEST(HostNameTable, H34_UrlsAndPrefixes) {
  // The first octet outside the set decides: the colon of a URL is inside it.
  expect_bad_byte(0x2F, {"http://example.com", "10.0.0.0/8"});
}
TEST(HostNameTable, H35_Spaces) {
  expect_bad_byte(0x20, {"exa mple.com",
                         "\x20"
                         "example.com"});
}
TEST(HostNameTable, H36_LineEndsAndNul) {
  expect_bad_byte(0x0D, {"example.com\x0d\x0aHost"});
  expect_bad_byte(0x00, {"example.com\0.evil.example"sv});
}
TEST(HostNameTable, H37_PercentEncoding) {
  expect_bad_byte(0x25, {"ex%61mple.com", "a%00b.com"});
}
TEST(HostNameTable, H38_EscapesAndBackslash) {
  expect_bad_byte(0x1B, {"a\x1b[31m.com"});
  expect_bad_byte(0x5C, {"a\x5c"
                         "b.example"});
}
TEST(HostNameTable, H39_NamesThatPointInside) {
  expect_name("metadata.google.internal", "metadata.google.internal");
  expect_name("127.0.0.1.nip.io", "127.0.0.1.nip.io");
}
TEST(HostNameTable, H40_Invalid) {
  expect_name("foo.invalid", "foo.invalid");
}
TEST(HostNameTable, H41_SpecialNames) {
  for (const auto input : {"abc.onion"sv, "printer.local"sv, "x.alt"sv}) expect_name(input, input);
}

TEST(HostName, EveryOctetValueIsDecidedAlike) {
  for (int value = 0; value < 256; ++value) {
    const auto octet = static_cast<char>(value);
    const bool legal = (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') ||
                       (octet >= '0' && octet <= '9') || octet == '-' || octet == '_' || octet == '.';
    const auto host = canonical_host(std::string("a") + octet + "b");
    EXPECT_EQ(host.has_value(), legal) << value;
    if (!legal && octet != ':') {
      EXPECT_EQ(host.error().octet, value);
    }
  }
}

TEST(HostName, LengthsFarBeyondTheWire) {
  expect_rejected(HostRejection::name_too_long, {long_name(65'535)});
  expect_rejected(HostRejection::label_too_long, {std::string(65'535, 'a')});
  expect_rejected(HostRejection::empty_label, {std::string(65'535, '.')});
}

TEST(HostName, IsOrBelow) {
  const auto below = [](std::string_view text, std::string_view parent) {
    return std::get<HostName>(canonical_host(text).value()).is_or_below(parent);
  };
  EXPECT_TRUE(below("localhost", "localhost"));
  EXPECT_TRUE(below("a.b.localhost", "localhost"));
  EXPECT_FALSE(below("notlocalhost", "localhost"));
  EXPECT_FALSE(below("localhost.example", "localhost"));
  EXPECT_FALSE(below("host", "localhost"));
}

TEST(HostRejection, TokensAreTheTablesOwn) {
  EXPECT_EQ(name(HostRejection::empty), "empty");
  EXPECT_EQ(name(HostRejection::bad_byte), "bad-byte");
  EXPECT_EQ(name(HostRejection::bad_colon), "bad-colon");
  EXPECT_EQ(name(HostRejection::empty_label), "empty-label");
  EXPECT_EQ(name(HostRejection::label_too_long), "label-too-long");
  EXPECT_EQ(name(HostRejection::name_too_long), "name-too-long");
  EXPECT_EQ(name(HostRejection::leading_hyphen), "leading-hyphen");
  EXPECT_EQ(name(HostRejection::numeric), "numeric");
}

}  // namespace
}  // namespace stile
