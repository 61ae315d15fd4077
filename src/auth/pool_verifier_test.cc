// Logins as a worker asks for them: threads, cache and users together.
#include "auth/pool_verifier.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "auth/hashes_for_tests.h"
#include "engine/epoll/epoll_engine.h"

namespace stile::auth {
namespace {

using namespace std::chrono_literals;
using namespace testing;

std::shared_ptr<const Users> users(const std::string& text) {
  auto parsed = Users::parse(text);
  EXPECT_TRUE(parsed);
  return std::make_shared<const Users>(parsed ? std::move(*parsed) : Users());
}

class PoolVerifierTest : public ::testing::Test {
 protected:
  struct Attempt {
    PoolVerifierTest* test = nullptr;
    Login login;
    bool done = false;

    void on_done(engine::Status) {
      done = true;
      test->engine_->stop();
    }
  };

  PoolVerifierTest()
      : engine_(std::move(*engine::EpollEngine::create({}))),
        office_(std::move(*DigestKey::create()), 1),
        verifier_(*engine_, office_) {
    wake_.bind<&PoolVerifierTest::on_wake>(this);
    engine_->on_wake(&wake_);
  }
  ~PoolVerifierTest() override { engine_->on_wake(nullptr); }

  void on_wake(engine::Status) { verifier_.collect(); }

  std::unique_ptr<Attempt> begin(const std::shared_ptr<const Users>& known, std::string_view user,
                                 std::string_view password, int source = 1, const KnownLogin* earlier = nullptr) {
    auto attempt = std::make_unique<Attempt>();
    attempt->test = this;
    attempt->login.bind<&Attempt::on_done>(attempt.get());
    const Secret secret(password);
    verifier_.verify(attempt->login, {.users = known,
                                      .user = user,
                                      .password = &secret,
                                      .source = Address::v4(10, 0, 0, static_cast<std::uint8_t>(source)),
                                      .shared_source = false,
                                      .remembered = 60s,
                                      .known = earlier});
    return attempt;
  }
  void finish(const Attempt& attempt) {
    while (!attempt.done) engine_->run();
  }
  /// "alice", "auth.failed", …, with "remembered" where no hash was made.
  std::string outcome(const std::shared_ptr<const Users>& known, std::string_view user, std::string_view password,
                      const KnownLogin* earlier = nullptr) {
    const auto attempt = begin(known, user, password, 1, earlier);
    finish(*attempt);
    const Login& login = attempt->login;
    digest_ = login.digest();
    const std::string how = login.remembered() ? " remembered" : "";
    return (login.identity() ? login.identity()->user() : std::string(token(login.reason()))) + how;
  }

  std::unique_ptr<engine::EpollEngine> engine_;
  LoginOffice office_;
  PoolVerifier verifier_;
  engine::Operation wake_;
  Digest digest_{};
};

TEST_F(PoolVerifierTest, KnowsWhoIsWho) {
  const auto known = users("alice:" + bcrypt + ":staff\nlocked:!" + bcrypt + "\nexpired:" + bcrypt + ":1:::::5:\n");
  EXPECT_EQ(outcome(known, "alice", "secret"), "alice");
  EXPECT_EQ(outcome(known, "alice", "wrong"), "auth.failed");
  EXPECT_EQ(outcome(known, "nobody", "secret"), "auth.failed");
  EXPECT_EQ(outcome(known, "locked", "secret"), "auth.failed");
  EXPECT_EQ(outcome(known, "expired", "secret"), "auth.failed");
  EXPECT_EQ(outcome(users(""), "alice", "secret"), "auth.failed");
}

// Whatever the reason, a failure takes one hash and the same steps (security reference, 5.5).
TEST_F(PoolVerifierTest, EveryFailureCostsOneHash) {
  const auto known = users("alice:" + bcrypt + "\nlocked:!" + bcrypt + "\n");
  std::uint64_t hashes = 0;
  for (const char* user : {"alice", "nobody", "locked", "alice"}) {
    EXPECT_EQ(outcome(known, user, "wrong"), "auth.failed");
    EXPECT_EQ(office_.pool.hashes(), ++hashes) << user;
  }
  EXPECT_EQ(office_.cache.size(), 0U) << "a failure is not remembered";
}

TEST_F(PoolVerifierTest, ASuccessIsRemembered) {
  const auto known = users("alice:" + bcrypt + ":staff\n");
  EXPECT_EQ(outcome(known, "alice", "secret"), "alice");
  EXPECT_EQ(outcome(known, "alice", "secret"), "alice remembered");
  EXPECT_EQ(outcome(known, "alice", "wrong"), "auth.failed");
  EXPECT_EQ(office_.pool.hashes(), 2U) << "a hit costs no hash";
}

// Threat TA10: another password, or none at all, counts for the next login, whatever is remembered.
TEST_F(PoolVerifierTest, WhatIsRememberedCountsForItsRecordAlone) {
  const auto before = users("alice:" + bcrypt + ":staff\n");
  EXPECT_EQ(outcome(before, "alice", "secret"), "alice");
  const KnownLogin earlier{digest_, Identity::anonymous()};
  EXPECT_EQ(outcome(users("bob:" + bcrypt + "\n"), "alice", "secret"), "auth.failed");
  EXPECT_EQ(outcome(users("alice:!" + bcrypt + "\n"), "alice", "secret", &earlier), "auth.failed");
  EXPECT_EQ(outcome(users("alice:" + sha512 + "\n"), "alice", "secret", &earlier), "alice") << "verified anew";
  EXPECT_EQ(office_.pool.hashes(), 4U);
}

TEST_F(PoolVerifierTest, TheSameOnAConnectionNeedsNoOtherHash) {
  const auto known = users("alice:" + bcrypt + ":staff\n");
  EXPECT_EQ(outcome(known, "alice", "secret"), "alice");
  const KnownLogin earlier{digest_, Identity::anonymous()};
  office_.cache.clear();
  EXPECT_EQ(outcome(known, "alice", "secret", &earlier), "alice remembered");
  EXPECT_EQ(outcome(known, "alice", "wrong", &earlier), "auth.failed");
  const KnownLogin zero{Digest{}, Identity::anonymous()};
  EXPECT_EQ(outcome(known, "alice", "wrong", &zero), "auth.failed");
}

TEST_F(PoolVerifierTest, ASourceThatAsksTooMuchIsToldSo) {
  const auto known = users("alice:" + yescrypt + "\n");
  std::vector<std::unique_ptr<Attempt>> storm;
  for (int i = 0; i < 20; ++i) storm.push_back(begin(known, "alice", "wrong" + std::to_string(i), 1));
  const auto honest = begin(known, "alice", "secret", 2);
  int busy = 0;
  for (const auto& attempt : storm) {
    finish(*attempt);
    busy += attempt->login.reason() == Reason::auth_busy ? 1 : 0;
  }
  finish(*honest);
  EXPECT_GE(busy, 15) << "four may wait, and one be at work";
  ASSERT_TRUE(honest->login.identity()) << "somebody else is not concerned";
}

TEST_F(PoolVerifierTest, EqualLoginsAreOneHash) {
  const auto known = users("alice:" + yescrypt + "\n");
  std::vector<std::unique_ptr<Attempt>> browser;
  for (int i = 0; i < 50; ++i) browser.push_back(begin(known, "alice", "secret", i % 7));
  for (const auto& attempt : browser) {
    finish(*attempt);
    EXPECT_TRUE(attempt->login.identity());
  }
  EXPECT_EQ(office_.pool.hashes(), 1U);
}

TEST_F(PoolVerifierTest, ACancelledOneCompletesAsThat) {
  const auto known = users("alice:" + yescrypt + "\n");
  const auto first = begin(known, "alice", "secret");
  const auto second = begin(known, "alice", "wrong");
  verifier_.cancel(second->login);
  verifier_.cancel(second->login);
  EXPECT_TRUE(second->login.pending());
  finish(*second);
  EXPECT_TRUE(second->login.canceled());
  EXPECT_FALSE(second->login.identity());
  finish(*first);
  verifier_.cancel(first->login);
  EXPECT_TRUE(first->login.identity());
  const auto third = begin(known, "alice", "secret");
  verifier_.cancel(third->login);
  finish(*third);
  EXPECT_FALSE(third->login.identity()) << "also where the answer was there already";
}

}  // namespace
}  // namespace stile::auth
