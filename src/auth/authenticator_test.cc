#include "auth/authenticator.h"

#include <gtest/gtest.h>

namespace stile::auth {
namespace {

TEST(LocalUser, IsNamedByItsNumber) {
  EXPECT_EQ(Authenticator::local_user(1000).user(), "uid:1000");
  EXPECT_EQ(Authenticator::local_user(0).user(), "uid:0") << "root is somebody";
  EXPECT_FALSE(Authenticator::local_user(0).is_anonymous());
  EXPECT_TRUE(Authenticator::local_user(0).groups().empty());
}

}  // namespace
}  // namespace stile::auth
