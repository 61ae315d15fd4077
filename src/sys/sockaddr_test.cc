#include "sys/sockaddr.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace stile::sys {
namespace {

TEST(SocketAddress, RoundTripsBothFamilies) {
  for (const char* text : {"192.0.2.1:80", "0.0.0.0:0", "[2001:db8::1]:65535", "[::]:1"}) {
    const Endpoint endpoint = Endpoint::parse(text).value();
    EXPECT_EQ(SocketAddress{endpoint}.endpoint(), endpoint) << text;
  }
}

TEST(SocketAddress, LaysOutWhatTheKernelReads) {
  const SocketAddress v4{Endpoint{Address::v4(192, 0, 2, 1), 80}};
  EXPECT_EQ(v4.length, sizeof(sockaddr_in));
  EXPECT_EQ(v4.v4.sin_family, AF_INET);
  EXPECT_EQ(v4.v4.sin_port, htons(80));
  EXPECT_EQ(v4.v4.sin_addr.s_addr, htonl(0xC0000201));
  const SocketAddress v6{Endpoint{Address::parse("2001:db8::1").value(), 443}};
  EXPECT_EQ(v6.length, sizeof(sockaddr_in6));
  EXPECT_EQ(v6.v6.sin6_family, AF_INET6);
  EXPECT_EQ(v6.v6.sin6_addr.s6_addr[15], 1);
}

TEST(SocketAddress, MappedAddressBecomesIpv4) {
  SocketAddress mapped;
  mapped.v6.sin6_family = AF_INET6;
  mapped.v6.sin6_port = htons(7);
  ASSERT_EQ(::inet_pton(AF_INET6, "::ffff:192.0.2.1", &mapped.v6.sin6_addr), 1);
  EXPECT_EQ(mapped.endpoint(), (Endpoint{Address::v4(192, 0, 2, 1), 7}));
}

TEST(SocketAddress, ForeignFamilyOrShortLengthIsUnspecified) {
  SocketAddress foreign;
  foreign.v6.sin6_family = AF_UNIX;
  EXPECT_EQ(foreign.endpoint(), Endpoint{});
  SocketAddress cut{Endpoint{Address::parse("::1").value(), 9}};
  cut.length = 8;
  EXPECT_EQ(cut.endpoint(), Endpoint{});
}

}  // namespace
}  // namespace stile::sys
