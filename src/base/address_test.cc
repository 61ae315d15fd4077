#include "base/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <array>
#include <random>
#include <string>

#include "base/loopback.h"

namespace stile {
namespace {

using V6Octets = std::array<std::uint8_t, 16>;

Address v6(const V6Octets& octets) {
  return Address::v6(octets);
}

/// Random octets with many zero groups, so that "::" falls everywhere.
V6Octets random_v6(std::mt19937_64& random) {
  V6Octets octets{};
  for (std::size_t group = 0; group < 8; ++group) {
    if (random() % 2 == 0) continue;
    octets[group * 2] = static_cast<std::uint8_t>(random() % 3 == 0 ? random() : 0);
    octets[group * 2 + 1] = static_cast<std::uint8_t>(random());
  }
  return octets;
}

std::string text_of(std::string_view text) {
  const auto address = Address::parse(text);
  return address ? address->to_string() : "rejected";
}

TEST(Address, DefaultIsUnspecifiedV4) {
  EXPECT_EQ(Address{}, Address::v4(0, 0, 0, 0));
  EXPECT_TRUE(Address{}.is_unspecified());
  EXPECT_TRUE(v6({}).is_unspecified());
  EXPECT_NE(Address{}, v6({})) << "0.0.0.0 and :: are two addresses";
  EXPECT_FALSE(Address::v4(0, 0, 0, 1).is_unspecified());
}

TEST(Address, OctetsInNetworkOrder) {
  const Address four = Address::v4(192, 0, 2, 10);
  EXPECT_EQ(four.octets().size(), 4U);
  EXPECT_EQ(four.octets()[0], 192);
  EXPECT_EQ(four.octets()[3], 10);
  EXPECT_EQ(Address::parse("2001:db8::1")->octets().size(), 16U);
}

TEST(Address, RandomV4RoundTrip) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    const auto bits = static_cast<std::uint32_t>(random());
    const std::array<std::uint8_t, 4> octets = {static_cast<std::uint8_t>(bits >> 24),
                                                static_cast<std::uint8_t>(bits >> 16),
                                                static_cast<std::uint8_t>(bits >> 8), static_cast<std::uint8_t>(bits)};
    const Address address = Address::v4(octets);
    ASSERT_EQ(Address::parse(address.to_string()), address) << address.to_string();
  }
}

// RFC 5952: glibc writes the same, but for the dotted tail that it gives IPv4-compatible addresses.
TEST(Address, RandomV6RoundTripAndSystemText) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 50'000; ++i) {
    const V6Octets octets = random_v6(random);
    const Address address = v6(octets);
    const std::string text = address.to_string();
    ASSERT_EQ(Address::parse(text), address) << text;
    std::array<char, INET6_ADDRSTRLEN> system_text{};
    ASSERT_NE(::inet_ntop(AF_INET6, octets.data(), system_text.data(), system_text.size()), nullptr);
    const std::string expected = system_text.data();
    if (expected.find('.') == std::string::npos) {
      ASSERT_EQ(text, expected);
    }
    ASSERT_EQ(Address::parse(expected), address) << expected;
  }
}

// Texts that are nearly addresses: the system's strict parser is the oracle.
TEST(Address, MutatedTextAsSystemParserSaysIt) {
  constexpr std::string_view alphabet = "0123456789abcdefABCDEF::::....g% ";
  std::mt19937_64 random(3);
  int accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text = i % 4 == 0 ? "192.0.2." + std::to_string(random() % 300) : v6(random_v6(random)).to_string();
    for (std::size_t changes = random() % 3; changes > 0; --changes) {
      const std::size_t at = random() % text.size();
      if (random() % 2 == 0) {
        text[at] = alphabet[random() % alphabet.size()];
      } else {
        text.insert(at, 1, alphabet[random() % alphabet.size()]);
      }
    }
    V6Octets octets{};
    const int family = text.find(':') == std::string::npos ? AF_INET : AF_INET6;
    const bool expected = ::inet_pton(family, text.c_str(), octets.data()) == 1;
    const auto address = Address::parse(text);
    ASSERT_EQ(address.has_value(), expected) << text;
    if (!expected) continue;
    ++accepted;
    ASSERT_EQ(*address, family == AF_INET ? Address::v4(octets[0], octets[1], octets[2], octets[3]) : v6(octets))
        << text;
  }
  EXPECT_GT(accepted, 20'000);
}

TEST(Address, Rfc5952Text) {
  EXPECT_EQ(text_of("2001:0DB8:0000:0000:0000:0000:0002:0001"), "2001:db8::2:1");
  EXPECT_EQ(text_of("2001:db8:0:1:1:1:1:1"), "2001:db8:0:1:1:1:1:1") << "section 4.2.2: one group is not shortened";
  EXPECT_EQ(text_of("2001:0:0:1:0:0:0:1"), "2001:0:0:1::1") << "section 4.2.3: the longest run";
  EXPECT_EQ(text_of("2001:db8:0:0:1:0:0:1"), "2001:db8::1:0:0:1") << "section 4.2.3: the first of equals";
  EXPECT_EQ(text_of("1:2:3:4:5:6::"), "1:2:3:4:5:6::");
  EXPECT_EQ(text_of("1:2:3:4:5:6:7::"), "1:2:3:4:5:6:7:0");
  EXPECT_EQ(text_of("::"), "::");
}

TEST(Address, MappedIsV4) {
  EXPECT_EQ(Address::parse("::ffff:192.0.2.10"), Address::v4(192, 0, 2, 10));
  EXPECT_EQ(Address::parse("0:0:0:0:0:FFFF:c000:20a"), Address::v4(192, 0, 2, 10));
  EXPECT_TRUE(Address::parse("::ffff:0:0")->is_v4());
  EXPECT_FALSE(Address::parse("::ffff:0:c000:20a")->is_v4()) << "translated, RFC 2765";
  EXPECT_FALSE(Address::parse("::192.0.2.10")->is_v4()) << "compatible";
}

TEST(Address, Rejects) {
  for (const char* text : {"",
                           " ",
                           "1",
                           "1.2.3",
                           "1.2.3.4.5",
                           "1.2.3.",
                           ".1.2.3",
                           "1..2.3",
                           "256.1.1.1",
                           "01.2.3.4",
                           "1.2.3.04",
                           "+1.2.3.4",
                           "1.2.3.4 ",
                           " 1.2.3.4",
                           "0x1.2.3.4",
                           "1.2.3.4/8",
                           ":",
                           ":::",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1:2:3:4:5:6:7:8::",
                           "::1:2:3:4:5:6:7:8",
                           "1::2::3",
                           ":1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:",
                           "12345::",
                           "::g",
                           "[::1]",
                           "::1%eth0",
                           "1.2.3.4::",
                           "::1.2.3.4:5",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "::1.2.3",
                           "::01.2.3.4",
                           "::-1"}) {
    EXPECT_FALSE(Address::parse(text).has_value()) << text;
  }
}

TEST(Address, TextMayHoldAnyOctet) {
  EXPECT_FALSE(Address::parse(std::string_view("1.2.3.4\0", 8)).has_value());
  EXPECT_FALSE(Address::parse(std::string_view("::1\0", 4)).has_value());
}

TEST(Address, OrdersByFamilyThenOctets) {
  EXPECT_LT(*Address::parse("255.255.255.255"), *Address::parse("::"));
  EXPECT_LT(*Address::parse("9.0.0.0"), *Address::parse("10.0.0.0"));
}

TEST(Endpoint, TextRoundTrip) {
  for (const char* text : {"192.0.2.1:80", "0.0.0.0:0", "[2001:db8::1]:65535", "[::]:1080"}) {
    const auto endpoint = Endpoint::parse(text);
    ASSERT_TRUE(endpoint.has_value()) << text;
    EXPECT_EQ(endpoint->to_string(), text);
  }
  EXPECT_EQ(Endpoint::parse("[2001:DB8:0::1]:80")->to_string(), "[2001:db8::1]:80");
  EXPECT_EQ(Endpoint::parse("[::ffff:192.0.2.1]:80")->to_string(), "192.0.2.1:80");
}

TEST(Endpoint, Rejects) {
  for (const char* text : {"", ":80", "192.0.2.1", "192.0.2.1:", "192.0.2.1:080", "192.0.2.1:65536", "192.0.2.1:-1",
                           "192.0.2.1: 80", "[192.0.2.1]:80", "::1:80", "[::1]", "[::1]80", "[::1]:", "[]:80",
                           "[::1:80", "::1]:80", "[[::1]]:80", "localhost:80"}) {
    EXPECT_FALSE(Endpoint::parse(text).has_value()) << text;
  }
}

TEST(Cidr, TextRoundTrip) {
  for (const char* text : {"0.0.0.0/0", "10.0.0.0/8", "192.0.2.10/32", "192.0.2.128/25", "::/0", "2001:db8::/32",
                           "fe80::/10", "2001:db8::1/128"}) {
    const auto cidr = Cidr::parse(text);
    ASSERT_TRUE(cidr.has_value()) << text;
    EXPECT_EQ(cidr->to_string(), text);
  }
  EXPECT_EQ(Cidr::parse("192.0.2.10")->to_string(), "192.0.2.10/32");
  EXPECT_EQ(Cidr::parse("::1")->to_string(), "::1/128");
}

TEST(Cidr, MappedPrefixIsV4) {
  EXPECT_EQ(Cidr::parse("::ffff:10.0.0.0/104"), Cidr::parse("10.0.0.0/8"));
  EXPECT_EQ(Cidr::parse("::ffff:0:0/96"), Cidr::parse("0.0.0.0/0"));
  EXPECT_EQ(Cidr::parse("::ffff:10.0.0.1"), Cidr::parse("10.0.0.1/32"));
  EXPECT_FALSE(Cidr::parse("::ffff:0:0/95").has_value());
  EXPECT_FALSE(Cidr::parse("::ffff:10.0.0.0/8").has_value());
}

TEST(Cidr, Rejects) {
  for (const char* text :
       {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.1/8",
        "10.0.0.0/255.0.0.0", "10/8", "::/129", "2001:db8::1/64", "[::]/0", "::ffff:10.0.0.0/129"}) {
    EXPECT_FALSE(Cidr::parse(text).has_value()) << text;
  }
}

TEST(Cidr, Contains) {
  const Cidr odd = *Cidr::parse("192.0.2.128/25");
  EXPECT_FALSE(odd.contains(*Address::parse("192.0.2.127")));
  EXPECT_TRUE(odd.contains(*Address::parse("192.0.2.128")));
  EXPECT_TRUE(odd.contains(*Address::parse("192.0.2.255")));
  EXPECT_FALSE(odd.contains(*Address::parse("192.0.3.0")));
  EXPECT_FALSE(Cidr::parse("::/0")->contains(*Address::parse("192.0.2.128"))) << "families never mix";
  EXPECT_FALSE(Cidr::parse("0.0.0.0/0")->contains(*Address::parse("::")));
  EXPECT_TRUE(Cidr::parse("fe80::/10")->contains(*Address::parse("febf::1")));
  EXPECT_FALSE(Cidr::parse("fe80::/10")->contains(*Address::parse("fec0::")));
}

TEST(Cidr, ContainsPrefix) {
  const Cidr ten = *Cidr::parse("10.0.0.0/8");
  EXPECT_TRUE(ten.contains(ten));
  EXPECT_TRUE(ten.contains(*Cidr::parse("10.1.0.0/16")));
  EXPECT_FALSE(ten.contains(*Cidr::parse("0.0.0.0/0")));
  EXPECT_FALSE(ten.contains(*Cidr::parse("11.0.0.0/16")));
  EXPECT_FALSE(Cidr::parse("::/0")->contains(ten));
}

// Every length, against the definition: equal in the first `length` bits.
TEST(Cidr, AddressesOfAPrefix) {
  std::array<std::uint8_t, 16> ones;
  ones.fill(0xFF);
  EXPECT_EQ(Cidr::parse("10.0.0.0/9")->address_with(ones).to_string(), "10.127.255.255");
  EXPECT_EQ(Cidr::parse("10.1.2.3")->address_with(ones).to_string(), "10.1.2.3");
  EXPECT_EQ(Cidr::parse("0.0.0.0/0")->address_with(ones).to_string(), "255.255.255.255");
  EXPECT_EQ(Cidr::parse("2001:db8::/33")->address_with(ones).to_string(), "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff");
  EXPECT_EQ(Cidr::parse("2001:db8::1")->address_with(ones).to_string(), "2001:db8::1");
  EXPECT_EQ((Cidr{*Address::parse("2001:db8::5:6:7:8"), 64}.address_with(std::array<std::uint8_t, 16>{}).to_string()),
            "2001:db8::");
}

TEST(Cidr, EveryLengthAtItsEdge) {
  const Address base = *Address::parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  for (unsigned length = 0; length <= 128; ++length) {
    const Cidr cidr{.base = base, .length = static_cast<std::uint8_t>(length)};
    for (unsigned bit = 0; bit < 128; ++bit) {
      V6Octets octets;
      octets.fill(0xFF);
      octets[bit / 8] = static_cast<std::uint8_t>(octets[bit / 8] & ~(0x80u >> bit % 8));
      ASSERT_EQ(cidr.contains(v6(octets)), bit >= length) << "length " << length << ", bit " << bit;
    }
  }
}

TEST(Target, Text) {
  EXPECT_EQ((Target{.host = canonical_host("Example.com").value(), .port = 80}).to_string(), "example.com:80");
  EXPECT_EQ((Target{.host = canonical_host("::1").value(), .port = 80}).to_string(), "[::1]:80");
  EXPECT_EQ((Target{.host = canonical_host("192.0.2.1").value(), .port = 0}).to_string(), "192.0.2.1:0");
}

TEST(Loopback, IsWhatOnlyThisHostReaches) {
  for (const char* text : {"127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(is_loopback(Address::parse(text).value())) << text;
  }
  for (const char* text : {"0.0.0.0", "::", "126.255.255.255", "128.0.0.0", "::2", "::ffff:0.0.0.0"}) {
    EXPECT_FALSE(is_loopback(Address::parse(text).value())) << text;
  }
}

}  // namespace
}  // namespace stile
