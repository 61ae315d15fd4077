#include "base/auth_methods.h"

#include <gtest/gtest.h>

namespace stile {
namespace {

TEST(AuthMethods, KeepTheirOrder) {
  const AuthMethods methods{AuthMethod::password, AuthMethod::none};
  EXPECT_EQ(methods.in_order().front(), AuthMethod::password);
  EXPECT_TRUE(methods.admits(AuthMethod::none));
  EXPECT_NE(methods, (AuthMethods{AuthMethod::none, AuthMethod::password}));
  EXPECT_EQ(methods, (AuthMethods{AuthMethod::password, AuthMethod::none}));
}

TEST(AuthMethods, NoneIsOnlyAdmittedWhereItIsNamed) {
  EXPECT_TRUE(AuthMethods{}.empty());
  EXPECT_FALSE(AuthMethods{}.admits(AuthMethod::none));
  EXPECT_FALSE(AuthMethods{AuthMethod::password}.admits(AuthMethod::none));
}

TEST(AuthMethods, OneOfThemJudgesPasswords) {
  EXPECT_FALSE(AuthMethods{}.password_judge());
  EXPECT_FALSE(AuthMethods{AuthMethod::none}.password_judge());
  EXPECT_EQ((AuthMethods{AuthMethod::none, AuthMethod::pam}.password_judge()), AuthMethod::pam);
  EXPECT_EQ(AuthMethods{AuthMethod::command}.password_judge(), AuthMethod::command);
}

TEST(AuthMethods, WordsGoBothWays) {
  for (std::size_t i = 0; i < auth_method_count; ++i) {
    const auto method = static_cast<AuthMethod>(i);
    EXPECT_EQ(auth_method_named(name(method)), method);
  }
  EXPECT_FALSE(auth_method_named("passwd"));
}

}  // namespace
}  // namespace stile
