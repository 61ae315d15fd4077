#include "auth/users.h"

#include <gtest/gtest.h>

#include "auth/hashes_for_tests.h"
#include "auth/password_hash.h"
#include "base/limits.h"

namespace stile::auth {
namespace {

using namespace testing;

// "LINE:COLUMN: message" of every fault, one a line.
std::string faults(const std::string& text) {
  const auto users = Users::parse(text);
  if (users) return "accepted";
  std::string list;
  for (const UsersError& error : users.error()) {
    list += std::to_string(error.line) + ":" + std::to_string(error.column) + ": " + error.message + "\n";
  }
  return list;
}

Users accepted(const std::string& text) {
  auto users = Users::parse(text);
  EXPECT_TRUE(users) << faults(text);
  return users ? std::move(*users) : Users();
}

TEST(Users, LinesOfBothKindsAreRead) {
  const Users users = accepted("# who may\n\nbob:" + sha512 + "\nalice:" + yescrypt + ":staff,ops\ncarol:" + bcrypt +
                               ":19000:0:99999:7:::\ndave:" + bcrypt + ":");
  ASSERT_EQ(users.records().size(), 4U);
  EXPECT_EQ(users.find("alice")->hash, yescrypt);
  EXPECT_EQ(users.find("alice")->groups, (std::vector<std::string>{"staff", "ops"}));
  EXPECT_EQ(users.find("alice")->line, 4);
  EXPECT_TRUE(users.find("bob")->groups.empty());
  EXPECT_TRUE(users.find("carol")->may_log_in(30'000));
  EXPECT_TRUE(users.find("dave")->groups.empty());
}

// Names are compared octet by octet: neither a part, nor a longer one, nor another case is the user (threat TA6).
TEST(Users, OnlyTheWholeNameIsTheUser) {
  const Users users = accepted("admin:" + bcrypt + "\n");
  EXPECT_NE(users.find("admin"), nullptr);
  for (const std::string_view name : {std::string_view("admi"), std::string_view("admin\0x", 7),
                                      std::string_view("Admin"), std::string_view("admin "), std::string_view()}) {
    EXPECT_EQ(users.find(name), nullptr);
  }
}

TEST(Users, LockedOnesAreKnownAndCannotLogIn) {
  const Users users = accepted("a::\nb:!\nc:*:x\nd:!" + bcrypt + "\ne:!*:1:::::: \n");
  for (const char* name : {"a", "b", "c", "d"}) EXPECT_FALSE(users.find(name)->may_log_in(0)) << name;
}

TEST(Users, DatesOfShadowCount) {
  const Users users =
      accepted("a:" + bcrypt + ":19000:0:99999:7::20000:\nb:" + bcrypt + ":0:0:99999:7:::\nc:" + bcrypt + "::::::: \n");
  EXPECT_TRUE(users.find("a")->may_log_in(19'999));
  EXPECT_FALSE(users.find("a")->may_log_in(20'000));
  EXPECT_FALSE(users.find("b")->may_log_in(1)) << "a new password is due, for which nobody asks here";
  EXPECT_TRUE(users.find("c")->may_log_in(99'999));
}

TEST(Users, FaultsAreLocatedAndShowNoHash) {
  EXPECT_EQ(faults("alice\n"), "1:1: expected NAME:HASH:GROUP,GROUP, or a line of /etc/shadow with its nine fields\n");
  EXPECT_EQ(faults("a:b:c:d\n"),
            "1:1: expected NAME:HASH:GROUP,GROUP, or a line of /etc/shadow with its nine fields\n");
  EXPECT_EQ(faults("# x\nalice:secret:staff\n"),
            "2:7: this is no password hash of crypt(5), which begins with $y$, $6$, $2b$ or the like (a password is "
            "never written here: stile user passwd)\n");
  EXPECT_EQ(faults("alice:" + md5 + ":\n"),
            "1:7: the hash's scheme is broken (set a password anew: stile user passwd)\n");
  EXPECT_EQ(faults("a:!:\nb:!:\na:!:\n"), "3:1: the user stands in line 1 already\n");
  EXPECT_EQ(faults("a:!:staff,staff\n"), "1:11: the group stands twice\n");
  EXPECT_EQ(faults("a:!:staff,,ops\n"), "1:11: the group is empty\n");
  EXPECT_EQ(faults("a:!\r\n"), "1:4: a carriage return ends the line (save the file with LF alone)\n");
  EXPECT_EQ(faults("a:!:x:::::::\n").substr(0, 4), "1:1:");
  EXPECT_EQ(faults("a:!:x::::::\n"), "1:5: expected a number of days, or nothing\n");
  EXPECT_EQ(faults("a:!:-1:::::9999999999999999999:\n"), "1:12: expected a number of days, or nothing\n");
}

TEST(Users, AllFaultsAreReported) {
  EXPECT_EQ(faults("a b:!\nok:!\n:!\n+:!\nanyone:!\n"),
            "1:1: the name holds a blank, a control octet, or one of : , \" #, which no rule could write\n"
            "3:1: the name is empty\n"
            "4:1: a name does not begin with + or -, which mean other things in such files\n"
            "5:1: 'anyone' is a word of the policy language, no rule could name this user\n");
}

TEST(Users, LengthsAreBounded) {
  EXPECT_EQ(faults(std::string(255, 'x') + ":!\n"), "accepted");
  EXPECT_EQ(faults(std::string(256, 'x') + ":!\n"), "1:1: the name is longer than 255 octets\n");
  EXPECT_EQ(faults("a:!:" + std::string(5000, 'x') + "\n"), "1:1: the line is longer than 4 KiB\n");
  std::string groups;
  for (int i = 0; i < 65; ++i) groups += (i == 0 ? "g" : ",g") + std::to_string(i);
  EXPECT_NE(faults("a:!:" + groups + "\n").find("more than 64 groups"), std::string::npos);
  std::string many;
  for (std::size_t i = 0; i <= limits::users_max; ++i) many += "u" + std::to_string(i) + ":!\n";
  EXPECT_EQ(faults(many), "100001:1: more than 100000 users\n");
}

// Who is unknown costs what most of the known cost.
TEST(Users, TheDecoyHasTheCommonestCost) {
  EXPECT_EQ(cost_of(Users().decoy()), "$y$j9T$");
  const Users users = accepted("a:" + bcrypt + "\nb:" + sha512 + "\nc:" + sha512 + "\nd:!\ne:!\nf:!\n");
  EXPECT_EQ(cost_of(users.decoy()), "$6$rounds=1000$");
  ASSERT_EQ(users.costs().size(), 2U);
  EXPECT_EQ(users.costs()[0].cost, "$6$rounds=1000$");
  EXPECT_EQ(users.costs()[0].records, 2U);
  EXPECT_EQ(cost_of(accepted("a:!\n").decoy()), "$y$j9T$");
}

TEST(Users, EachHashIsAStateOfItsOwn) {
  const Users users = accepted("a:" + bcrypt + "\nb:" + sha512 + "\nc:" + bcrypt + ":staff\n");
  EXPECT_NE(users.find("a")->state, users.find("b")->state);
  EXPECT_EQ(users.find("a")->state, users.find("c")->state);
  EXPECT_NE(users.find("a")->state, 0U);
}

}  // namespace
}  // namespace stile::auth
