#include "base/secret.h"

#include <gtest/gtest.h>

#include <array>
#include <sstream>
#include <type_traits>
#include <utility>

namespace stile {
namespace {

template <class Type>
concept Printable = requires(std::ostream& out, const Type& value) { out << value; };

TEST(Secret, IsMovedAndNeverCopiedComparedOrPrinted) {
  static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
  static_assert(std::is_nothrow_move_constructible_v<Secret> && std::is_nothrow_move_assignable_v<Secret>);
  static_assert(!std::is_convertible_v<Secret, std::string_view>);
  static_assert(!Printable<Secret>);
}

TEST(Secret, HoldsItsOctetsWithNul) {
  const std::string_view octets("a\0b", 3);
  Secret secret(octets);
  EXPECT_EQ(secret.reveal(), octets);
  Secret moved(std::move(secret));
  EXPECT_EQ(moved.reveal(), octets);
  EXPECT_TRUE(secret.empty());  // NOLINT(bugprone-use-after-move): what a move leaves is the question
  EXPECT_EQ(moved.copy().reveal(), octets);
  moved.clear();
  EXPECT_TRUE(moved.empty());
  EXPECT_TRUE(Secret("").empty());
}

TEST(Secret, WipeLeavesZeros) {
  std::array<std::uint8_t, 4> octets{1, 2, 3, 4};
  wipe(MutableBytes(octets).first(3));
  EXPECT_EQ(octets, (std::array<std::uint8_t, 4>{0, 0, 0, 4}));
}

}  // namespace
}  // namespace stile
