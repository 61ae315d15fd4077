#include "base/nearest.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace stile {
namespace {

constexpr std::array<std::string_view, 5> words{"handshake", "idle", "half_closed", "connect", "connect_total"};

TEST(Nearest, FindsOneEditOfEachKind) {
  EXPECT_EQ(nearest("handshke", words), "handshake");
  EXPECT_EQ(nearest("handshakee", words), "handshake");
  EXPECT_EQ(nearest("hindshake", words), "handshake");
  EXPECT_EQ(nearest("hnadshake", words), "handshake");
}

TEST(Nearest, IgnoresCaseAndHyphens) {
  EXPECT_EQ(nearest("Half-Closed", words), "half_closed");
  EXPECT_EQ(nearest("IDLE", words), "idle");
}

TEST(Nearest, PrefersTheFewestEdits) {
  EXPECT_EQ(nearest("conect", words), "connect");
  EXPECT_EQ(nearest("connecttotal", words), "connect_total");
}

TEST(Nearest, SaysNothingWhenNothingIsNear) {
  EXPECT_EQ(nearest("", words), std::nullopt);
  EXPECT_EQ(nearest("protocols", words), std::nullopt);
  EXPECT_EQ(nearest(std::string(49, 'a'), words), std::nullopt);
  EXPECT_EQ(nearest("idle", {}), std::nullopt);
}

}  // namespace
}  // namespace stile
