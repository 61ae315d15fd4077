#include "resolve/reverse_name.h"

#include <gtest/gtest.h>

namespace stile::resolve {
namespace {

std::string reversed(const std::string& text) {
  return reverse_name(Address::parse(text).value()).text();
}

TEST(ReverseName, Ipv4) {  // RFC 1035 section 3.5
  EXPECT_EQ(reversed("10.2.0.52"), "52.0.2.10.in-addr.arpa");
  EXPECT_EQ(reversed("0.0.0.0"), "0.0.0.0.in-addr.arpa");
  EXPECT_EQ(reversed("255.1.20.255"), "255.20.1.255.in-addr.arpa");
}

TEST(ReverseName, Ipv6) {  // RFC 3596 section 2.5, its own example
  EXPECT_EQ(reversed("4321:0:1:2:3:4:567:89ab"),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa");
  EXPECT_EQ(reversed("::"), "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa");
}

TEST(ReverseName, AMappedAddressIsIpv4) {
  EXPECT_EQ(reversed("::ffff:192.0.2.1"), "1.2.0.192.in-addr.arpa");
}

TEST(ReverseName, LeadsBackToItsAddress) {
  for (const char* const address :
       {"10.2.0.52", "0.0.0.0", "255.255.255.255", "4321:0:1:2:3:4:567:89ab", "::", "::1"}) {
    EXPECT_EQ(address_of_reverse_name(reverse_name(*Address::parse(address))), Address::parse(address)) << address;
  }
}

TEST(ReverseName, OtherNamesAreOfNoAddress) {
  const std::string nibbles = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0";
  for (const std::string& text :
       {std::string("arpa"), std::string("in-addr.arpa"), std::string("1.in-addr.arpa"),
        std::string("1.2.3.in-addr.arpa"), std::string("1.2.3.4.5.in-addr.arpa"), std::string("256.2.3.4.in-addr.arpa"),
        std::string("01.2.3.4.in-addr.arpa"), std::string("a.2.3.4.in-addr.arpa"), std::string("1.2.3.4.ip6.arpa"),
        std::string("1.2.3.4.in-addr.example"), "2." + nibbles + ".ip6.arpa", nibbles.substr(2) + ".ip6.arpa",
        "g" + nibbles.substr(1) + ".ip6.arpa", "11" + nibbles.substr(1) + ".ip6.arpa"}) {
    const auto name = std::get<HostName>(canonical_host(text).value());
    EXPECT_EQ(address_of_reverse_name(name), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace stile::resolve
