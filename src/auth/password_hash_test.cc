#include "auth/password_hash.h"

#include <gtest/gtest.h>

#include <array>

#include "auth/hashes_for_tests.h"

namespace stile::auth {
namespace {

using namespace testing;

TEST(PasswordHash, EachSchemeVerifies) {
  const HashingThread marked;
  for (const std::string& hash : {bcrypt, sha512, sha512_default, yescrypt}) {
    EXPECT_TRUE(verify_password(Secret("secret"), hash)) << hash;
    EXPECT_FALSE(verify_password(Secret("secreT"), hash)) << hash;
    EXPECT_FALSE(verify_password(Secret("secret "), hash)) << hash;
    EXPECT_EQ(judge_hash(hash), HashFault::none);
  }
}

TEST(PasswordHash, AnewOneIsYescryptWithASaltOfItsOwn) {
  const HashingThread marked;
  const auto first = make_hash(Secret("correct horse"));
  const auto second = make_hash(Secret("correct horse"));
  ASSERT_TRUE(first && second);
  EXPECT_NE(*first, *second);
  EXPECT_EQ(cost_of(*first), cost_of(decoy_hash())) << "unknown users cost what new ones do";
  EXPECT_EQ(scheme_name(*first), "yescrypt");
  EXPECT_EQ(judge_hash(*first), HashFault::none);
  EXPECT_TRUE(verify_password(Secret("correct horse"), *first));
}

TEST(PasswordHash, TheDecoyIsAHashThatNothingMatches) {
  const HashingThread marked;
  EXPECT_EQ(judge_hash(decoy_hash()), HashFault::none);
  EXPECT_FALSE(verify_password(Secret("secret"), decoy_hash()));
}

TEST(PasswordHash, WhatIsNoneIsRefused) {
  EXPECT_EQ(judge_hash(md5), HashFault::weak);
  for (const std::string& text :
       {std::string("secret"), std::string(), std::string("$y$j9T$abcdefgh"), std::string("$6$abcdefgh$"),
        std::string("$2b$04$abcdefghijklmnopqrstuu"), std::string("$9$abc$defghijklmnopqrstuvwxyzabcdefghijklmnopqrst"),
        bcrypt + "\n", bcrypt + " ", sha512 + std::string(400, 'x')}) {
    EXPECT_NE(judge_hash(text), HashFault::none) << text;
  }
}

TEST(PasswordHash, CostsAreToldApart) {
  EXPECT_EQ(cost_of(yescrypt), "$y$j9T$");
  EXPECT_EQ(cost_of(bcrypt), "$2b$04$");
  EXPECT_EQ(cost_of(sha512), "$6$rounds=1000$");
  EXPECT_EQ(cost_of(sha512_default), "$6$");
  EXPECT_EQ(scheme_name(bcrypt), "bcrypt");
  EXPECT_EQ(scheme_name(sha512_default), "sha512crypt");
}

// Threads that serve connections are not marked (security reference, 5.3).
TEST(PasswordHashDeathTest, OnlyHashingThreadsVerify) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(static_cast<void>(verify_password(Secret("secret"), bcrypt)), "may_hash");
}

}  // namespace
}  // namespace stile::auth
