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

}  // namespace
}  // namespace stile::resolve
