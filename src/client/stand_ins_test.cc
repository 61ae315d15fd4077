#include "client/stand_ins.h"

#include <gtest/gtest.h>

#include <string>

namespace stile::client {
namespace {

HostName named(const std::string& text) {
  return std::get<HostName>(canonical_host(text).value());
}

TEST(StandIns, AreTheSameForTheSameName) {
  StandIns names;
  const Address one = names.for_name(named("one.example"));
  EXPECT_EQ(one, Address::v4(0, 0, 0, 1));
  EXPECT_EQ(names.for_name(named("two.example")), Address::v4(0, 0, 0, 2));
  EXPECT_EQ(names.for_name(named("ONE.example.")), one);
  EXPECT_EQ(names.host_of(one), Host(named("one.example")));
}

TEST(StandIns, OtherAddressesAreThemselves) {
  const StandIns names;
  for (const Address& address :
       {Address(), Address::v4(192, 0, 2, 1), Address::v4(0, 1, 0, 1), *Address::parse("::1")}) {
    EXPECT_EQ(names.host_of(address), Host(address));
  }
  EXPECT_FALSE(names.host_of(Address::v4(0, 0, 0, 1))) << "it stands for no name";
}

TEST(StandIns, TheOldestNameIsForgottenFirst) {
  StandIns names;
  const Address first = names.for_name(named("first.example"));
  const Address second = names.for_name(named("second.example"));
  for (std::size_t i = 2; i < StandIns::names_max; ++i) (void)names.for_name(named("n" + std::to_string(i)));
  EXPECT_EQ(names.host_of(Address::v4(0, 0, 255, 255)), Host(named("n65534")));
  EXPECT_EQ(names.for_name(named("one-more.example")), first);
  EXPECT_EQ(names.host_of(second), Host(named("second.example")));
  EXPECT_EQ(names.for_name(named("first.example")), second);
}

}  // namespace
}  // namespace stile::client
