#include "sys/account.h"

#include <gtest/gtest.h>

namespace stile::sys {
namespace {

TEST(Account, NamesAndNumbers) {
  EXPECT_EQ(user_id("root"), 0U);
  EXPECT_EQ(user_id("4242"), 4242U);
  EXPECT_EQ(group_id("root"), 0U);
  EXPECT_EQ(group_id("0"), 0U);
  EXPECT_EQ(user_id("nobody-is-called-so"), std::nullopt);
  EXPECT_EQ(group_id("99999999999999"), std::nullopt);
  EXPECT_EQ(user_id(""), std::nullopt);
}

TEST(Account, ANameHasItsGroups) {
  const auto root = account_named("root");
  ASSERT_TRUE(root);
  EXPECT_EQ(root->user, 0U);
  EXPECT_EQ(root->group, 0U);
  EXPECT_EQ(root->groups.front(), 0U) << "its own group is one of them";
  EXPECT_FALSE(account_named("nobody-is-called-so"));
  EXPECT_FALSE(account_named("0")) << "a number has no groups";
  EXPECT_FALSE(account_named(""));
}

}  // namespace
}  // namespace stile::sys
