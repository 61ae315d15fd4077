// TU5: what a process offers to clients is never a target, whichever way its address is written.
#include "relay/live_sockets.h"

#include <gtest/gtest.h>

#include <thread>

namespace stile::relay {
namespace {

Endpoint at(const char* text) {
  return Endpoint::parse(text).value();
}

TEST(LiveSockets, HoldsWhatWasAddedAsOftenAsItWas) {
  LiveSockets live;
  EXPECT_FALSE(live.holds(at("192.0.2.1:4000")));
  live.add(at("192.0.2.1:4000"));
  live.add(at("192.0.2.1:4000"));
  live.add(at("[2001:db8::1]:4000"));
  EXPECT_TRUE(live.holds(at("192.0.2.1:4000")));
  EXPECT_FALSE(live.holds(at("192.0.2.2:4000")));
  EXPECT_FALSE(live.holds(at("192.0.2.1:4001")));
  EXPECT_EQ(live.list().size(), 3U);
  live.remove(at("192.0.2.1:4000"));
  EXPECT_TRUE(live.holds(at("192.0.2.1:4000")));
  live.remove(at("192.0.2.1:4000"));
  EXPECT_FALSE(live.holds(at("192.0.2.1:4000")));
  live.remove(at("[2001:db8::1]:4000"));
  EXPECT_TRUE(live.list().empty());
}

TEST(LiveSockets, IsReachedThroughEveryEncoding) {
  LiveSockets live;
  live.add(at("192.0.2.1:4000"));
  for (const char* const text : {"192.0.2.1:4000", "[::ffff:192.0.2.1]:4000", "[64:ff9b::192.0.2.1]:4000",
                                 "[2002:c000:201::]:4000", "[::192.0.2.1]:4000"}) {
    EXPECT_TRUE(live.reaches(at(text))) << text;
  }
  EXPECT_FALSE(live.reaches(at("[64:ff9b::192.0.2.2]:4000")));
  EXPECT_FALSE(live.reaches(at("[64:ff9b::192.0.2.1]:4001")));
  live.remove(at("192.0.2.1:4000"));
}

TEST(LiveSockets, IsSharedByThreads) {
  LiveSockets live;
  const auto churn = [&live](std::uint8_t last) {
    for (int i = 0; i < 500; ++i) {
      const Endpoint mine{Address::v4(192, 0, 2, last), 4000};
      live.add(mine);
      EXPECT_TRUE(live.reaches(mine));
      live.remove(mine);
      EXPECT_FALSE(live.holds(mine));
    }
  };
  std::thread one(churn, std::uint8_t{1});
  std::thread other(churn, std::uint8_t{2});
  one.join();
  other.join();
  EXPECT_TRUE(live.list().empty());
}

}  // namespace
}  // namespace stile::relay
