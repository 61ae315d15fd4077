// What a proxy says of where it listens, as an endpoint.
#include "route/told_place.h"

#include <gtest/gtest.h>

#include "route/proxy_for_tests.h"

namespace stile::route {
namespace {

wire::AddressField field(std::string_view host, std::uint16_t port) {
  return {.host = canonical_host(host).value(), .port = port};
}

TEST(ToldPlace, AnUnspecifiedAddressIsTheProxysOwn) {
  const Address own = Address::v4(192, 0, 2, 1);
  EXPECT_EQ(told_place(field("198.51.100.7", 20), own), (Endpoint{Address::v4(198, 51, 100, 7), 20}));
  for (const std::string_view unspecified : {"0.0.0.0", "::"}) {
    EXPECT_EQ(told_place(field(unspecified, 20), own), (Endpoint{own, 20}));
  }
}

TEST(ToldPlace, ANameIsNoPlace) {
  EXPECT_EQ(told_place(field("proxy.example", 20), Address::v4(192, 0, 2, 1)), std::nullopt);
  EXPECT_EQ(told_place({.host = std::unexpected(HostError{}), .port = 20}, Address()), std::nullopt);
}

TEST(ToldPlace, OfSeveralProxiesTheLastOnesUrlSaysWhereItIs) {
  const Hop near = proxy_at("socks5h://near.example");
  const Hop far = proxy_at("socks5h://198.51.100.7");
  const Hop named = proxy_at("socks5h://far.example");
  const Address dialled = Address::v4(192, 0, 2, 1);
  EXPECT_EQ(own_address(std::array{&near}, dialled), dialled);
  EXPECT_EQ(own_address(std::array{&near, &far}, dialled), Address::v4(198, 51, 100, 7));
  EXPECT_TRUE(own_address(std::array{&near, &named}, dialled).is_unspecified());
}

}  // namespace
}  // namespace stile::route
