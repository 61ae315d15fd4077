// The threads, with real hashes of the cheapest cost.
#include "auth/hash_pool.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "auth/hashes_for_tests.h"
#include "engine/epoll/epoll_engine.h"

namespace stile::auth {
namespace {

using namespace std::chrono_literals;

/// One worker's side: an engine that runs until so many results are there.
class HashPoolTest : public ::testing::Test {
 protected:
  HashPoolTest()
      : engine_(std::move(*engine::EpollEngine::create({}))), inbox_(std::make_shared<LoginInbox>(*engine_)) {
    wake_.bind<&HashPoolTest::on_wake>(this);
    engine_->on_wake(&wake_);
  }
  ~HashPoolTest() override {
    inbox_->close();
    engine_->on_wake(nullptr);
  }

  [[nodiscard]] std::unique_ptr<LoginJob> job(std::uint64_t ticket, const std::string& password, int from = 1) const {
    auto made = std::make_unique<LoginJob>();
    made->digest[0] = static_cast<std::uint8_t>(ticket);
    made->source = {Address::v4(10, 0, 0, static_cast<std::uint8_t>(from)), ""};
    made->password = Secret(password);
    made->hash = testing::bcrypt;
    made->waiters.push_back({inbox_, ticket});
    return made;
  }
  void run_until(std::size_t results) {
    wanted_ = results;
    if (results_.size() < wanted_) engine_->run();
  }
  void on_wake(engine::Status) {
    for (const LoginResult& result : inbox_->take()) results_.emplace(result.ticket, result.outcome);
    if (results_.size() >= wanted_) engine_->stop();
  }

  std::unique_ptr<engine::EpollEngine> engine_;
  std::shared_ptr<LoginInbox> inbox_;
  engine::Operation wake_;
  std::map<std::uint64_t, LoginOutcome> results_;
  std::size_t wanted_ = 0;
};

TEST_F(HashPoolTest, SaysWhatMatches) {
  HashPool pool(2);
  EXPECT_TRUE(pool.submit(job(1, "secret")));
  EXPECT_TRUE(pool.submit(job(2, "wrong")));
  run_until(2);
  EXPECT_EQ(results_[1], LoginOutcome::accepted);
  EXPECT_EQ(results_[2], LoginOutcome::refused);
  EXPECT_EQ(pool.hashes(), 2U);
}

TEST_F(HashPoolTest, EveryJobThatWasTakenIsAnsweredOnce) {
  HashPool pool(2);
  std::size_t taken = 0;
  std::size_t refused = 0;
  for (std::uint64_t i = 0; i < 250; ++i) {
    (pool.submit(job(i, i % 3 == 0 ? "secret" : "wrong", static_cast<int>(i % 50))) ? taken : refused) += 1;
  }
  run_until(taken);
  EXPECT_EQ(results_.size(), taken);
  EXPECT_EQ(pool.hashes(), taken);
  for (const auto& [ticket, outcome] : results_) {
    EXPECT_EQ(outcome, ticket % 3 == 0 ? LoginOutcome::accepted : LoginOutcome::refused);
  }
}

TEST_F(HashPoolTest, WhoWaitsTooLongIsTold) {
  HashPool pool(1, 0ns);  // so whatever waits at all waits too long
  EXPECT_TRUE(pool.submit(job(1, "secret")));
  run_until(1);
  EXPECT_EQ(results_[1], LoginOutcome::busy);
  EXPECT_EQ(pool.hashes(), 0U);
}

TEST_F(HashPoolTest, EndsWithWorkLeft) {
  HashPool pool(1);
  for (std::uint64_t i = 0; i < 200; ++i) static_cast<void>(pool.submit(job(i, "wrong", static_cast<int>(i))));
}

TEST_F(HashPoolTest, AClosedInboxTakesNothing) {
  HashPool pool(1);
  inbox_->close();
  EXPECT_TRUE(pool.submit(job(1, "secret")));
  while (pool.hashes() == 0) std::this_thread::yield();
  EXPECT_TRUE(inbox_->take().empty());
}

TEST(HashPool, HasHalfOfTheCores) {
  EXPECT_EQ(HashPool::threads_for(1), 1U);
  EXPECT_EQ(HashPool::threads_for(2), 1U);
  EXPECT_EQ(HashPool::threads_for(4), 2U);
  EXPECT_EQ(HashPool::threads_for(9), 4U);
}

}  // namespace
}  // namespace stile::auth
