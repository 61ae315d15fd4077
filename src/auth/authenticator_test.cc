#include "auth/authenticator.h"

#include <gtest/gtest.h>

#include "auth/hashes_for_tests.h"

namespace stile::auth {
namespace {

using namespace testing;

TEST(LocalUser, IsNamedByItsNumber) {
  EXPECT_EQ(Authenticator::local_user(1000).user(), "uid:1000");
  EXPECT_EQ(Authenticator::local_user(0).user(), "uid:0") << "root is somebody";
  EXPECT_FALSE(Authenticator::local_user(0).is_anonymous());
  EXPECT_TRUE(Authenticator::local_user(0).groups().empty());
  EXPECT_EQ(Authenticator::local_user(0).method(), "unix");
}

Users users(const std::string& text) {
  auto parsed = Users::parse(text);
  EXPECT_TRUE(parsed);
  return parsed ? std::move(*parsed) : Users();
}

TEST(PasswordUser, HasTheGroupsOfItsRecord) {
  const Users known = users("alice:" + bcrypt + ":staff,ops\n");
  const Identity alice = Authenticator::password_user(*known.find("alice"));
  EXPECT_EQ(alice.user(), "alice");
  EXPECT_EQ(alice.groups(), (std::vector<std::string>{"staff", "ops"}));
  EXPECT_EQ(alice.method(), "password");
  EXPECT_NE(alice.vouched_by(), 0U);
}

// Threat TA10: what changed since counts.
TEST(Renew, WhoIsGoneOrHasAnotherPasswordIsNobody) {
  const Users before = users("alice:" + bcrypt + ":staff\n");
  const Identity alice = Authenticator::password_user(*before.find("alice"));
  const auto renewed = [&](const std::string& text) { return Authenticator::renew(alice, users(text), 20'000); };
  EXPECT_TRUE(renewed("alice:" + bcrypt + ":staff\nbob:!:\n"));
  EXPECT_FALSE(renewed("bob:" + bcrypt + ":staff\n")) << "removed";
  EXPECT_FALSE(renewed("alice:" + sha512 + ":staff\n")) << "another password";
  EXPECT_FALSE(renewed("alice:!" + bcrypt + ":staff\n")) << "locked out";
  EXPECT_FALSE(renewed("alice:" + bcrypt + ":19000:0:99999:7::19999:\n")) << "expired";
  EXPECT_TRUE(renewed("alice:" + bcrypt + ":19000:0:99999:7::20001:\n"));
  const auto moved = renewed("alice:" + bcrypt + ":ops\n");
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->groups(), std::vector<std::string>{"ops"}) << "groups are those that hold from then on";
}

TEST(Renew, ATicketHasTheGroupsOfAUserOfThatName) {
  const auto alice = Authenticator::accepted_user(AuthMethod::gssapi, "alice@REALM", {});
  ASSERT_TRUE(alice);
  const auto renewed = [&](const std::string& text) { return Authenticator::renew(*alice, users(text), 20'000); };
  EXPECT_EQ(renewed("alice@REALM:!:staff,ops\n")->groups(), (std::vector<std::string>{"staff", "ops"}));
  EXPECT_TRUE(renewed("alice:!:staff\n")->groups().empty()) << "somebody else";
  EXPECT_TRUE(renewed("bob:!:\n")->groups().empty());
  EXPECT_FALSE(renewed("alice@REALM:!:19000:0:99999:7::19999:\n")) << "expired";
}

TEST(Renew, WhoHasNoRecordStaysWhoItIs) {
  EXPECT_TRUE(Authenticator::renew(Identity::anonymous(), Users(), 0)->is_anonymous());
  EXPECT_EQ(Authenticator::renew(Authenticator::local_user(7), Users(), 0)->user(), "uid:7");
}

}  // namespace
}  // namespace stile::auth
