#include "auth/users_file.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "auth/hashes_for_tests.h"
#include "sys/file.h"

namespace stile::auth {
namespace {

using namespace testing;

const std::string text = "# staff\nalice:" + bcrypt + ":staff,ops\n\nbob:!\ncarol:" + sha512 + ":19000:0:99999:7:::";

TEST(UsersEdit, ANewUserStandsAtTheEnd) {
  const UserRecord dave{.name = "dave", .hash = yescrypt, .groups = {"a", "b"}, .expires = {}};
  EXPECT_EQ(add_user(text, dave), text + "\ndave:" + yescrypt + ":a,b\n");
  EXPECT_EQ(add_user("", dave), "dave:" + yescrypt + ":a,b\n");
  EXPECT_EQ(add_user(text, {.name = "alice", .hash = {}, .groups = {}, .expires = {}}).error(),
            "the user 'alice' is there already (stile user passwd sets a password anew)");
}

TEST(UsersEdit, OnlyTheHashOfOneLineChanges) {
  EXPECT_EQ(change_hash(text, "alice", yescrypt),
            "# staff\nalice:" + yescrypt + ":staff,ops\n\nbob:!\ncarol:" + sha512 + ":19000:0:99999:7:::");
  EXPECT_EQ(change_hash("bob:!\n", "bob", yescrypt), "bob:" + yescrypt + "\n");
  EXPECT_EQ(change_hash(text, "carol", yescrypt),
            "# staff\nalice:" + bcrypt + ":staff,ops\n\nbob:!\ncarol:" + yescrypt + ":19000:0:99999:7:::");
  EXPECT_EQ(change_hash(text, "alise", "x").error(), "there is no user 'alise' (did you mean 'alice'?)");
}

TEST(UsersEdit, OneThatGoesTakesItsLineAlone) {
  EXPECT_EQ(remove_user(text, "bob"),
            "# staff\nalice:" + bcrypt + ":staff,ops\n\ncarol:" + sha512 + ":19000:0:99999:7:::");
  EXPECT_EQ(remove_user("a:!", "a"), "");
  EXPECT_EQ(remove_user(text, "# staff").error(), "there is no user '# staff'");
}

class UsersFile : public ::testing::Test {
 protected:
  UsersFile() : folder_(::mkdtemp(template_.data())), path_(folder_ + "/users") {}
  ~UsersFile() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& content) const { std::ofstream(path_) << content; }

  std::string template_ = ::testing::TempDir() + "stile-users-XXXXXX";
  std::string folder_;
  std::string path_;
};

TEST_F(UsersFile, IsMadeChangedAndRead) {
  EXPECT_FALSE(load_users(path_));
  const UserRecord alice{.name = "alice", .hash = bcrypt, .groups = {}, .expires = {}};
  const UsersEdit add = [&](const std::string& old) { return add_user(old, alice); };
  EXPECT_FALSE(edit_users_file(path_, Missing::is_a_fault, add));
  EXPECT_TRUE(dry_edit(path_, Missing::is_empty, add));
  EXPECT_FALSE(std::filesystem::exists(path_)) << "to try is not to do";
  ASSERT_TRUE(edit_users_file(path_, Missing::is_empty, add));
  EXPECT_EQ(std::filesystem::status(path_).permissions(), static_cast<std::filesystem::perms>(0640));
  const auto users = load_users(path_);
  ASSERT_TRUE(users);
  EXPECT_EQ(users->find("alice")->hash, bcrypt);
  EXPECT_FALSE(edit_users_file(path_, Missing::is_empty, add)) << "she is there";
}

TEST_F(UsersFile, AFileWithFaultsIsNotTouched) {
  write("alice:secret\n");
  const auto edited = edit_users_file(path_, Missing::is_empty, [](const std::string& old) { return old + "bob:!\n"; });
  ASSERT_FALSE(edited);
  EXPECT_EQ(edited.error()[0].line, 1);
  EXPECT_EQ(sys::read_file(path_, 100), "alice:secret\n");
}

TEST_F(UsersFile, OneThatOthersMayWriteIsNotRead) {
  write("alice:!\n");
  std::filesystem::permissions(path_, static_cast<std::filesystem::perms>(0666));
  const auto users = load_users(path_);
  ASSERT_FALSE(users);
  EXPECT_NE(users.error()[0].message.find("writable"), std::string::npos);
}

}  // namespace
}  // namespace stile::auth
