#include "observe/accounting.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <mutex>
#include <thread>
#include <vector>

namespace stile::observe {
namespace {

/// What the writing thread says, and a way to wait for it.
class Warnings {
 public:
  Accounting::Warn taker() {
    return [this](std::string_view what, std::string_view why, std::string_view) {
      const std::lock_guard lock(mutex_);
      said_.push_back(std::string(what) + (why.empty() ? "" : ": ") + std::string(why));
    };
  }
  [[nodiscard]] std::vector<std::string> said() {
    const std::lock_guard lock(mutex_);
    return said_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> said_;
};

class AccountingTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!AccountingStore::built_in()) GTEST_SKIP() << "this build has no SQLite";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/accounting.db";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Accounting> open(std::size_t octets_max = limits::accounting_spool_octets_max) {
    auto opened = Accounting::open(path_, warnings_.taker(), octets_max);
    EXPECT_TRUE(opened) << opened.error().why;
    return std::move(opened.value());
  }
  [[nodiscard]] Usage total() const {
    const auto all = AccountingStore::usage(path_, UsageKey::rule, {}).value();
    return all.empty() ? Usage{} : all.front();
  }

  Warnings warnings_;
  std::string folder_ = "/tmp/stile-accounting-XXXXXX";
  std::string path_;
};

Record record_of(std::uint64_t session, std::uint64_t up = 0) {
  Record record;
  record.session = session;
  record.client = Endpoint::parse("192.0.2.7:4000");
  record.rule = "web";
  record.bytes_up = up;
  return record;
}

TEST_F(AccountingTest, ManyThreadsLoseNothing) {
  constexpr std::uint64_t threads = 4;
  constexpr std::uint64_t each = 500;
  {
    const auto accounting = open();
    std::vector<std::thread> workers;
    for (std::uint64_t t = 0; t < threads; ++t) {
      workers.emplace_back([&accounting, t] {
        for (std::uint64_t i = 1; i <= each; ++i) {
          EXPECT_TRUE(accounting->write(AccountingKind::start, record_of(t * each + i)));
          EXPECT_TRUE(accounting->write(AccountingKind::interim, record_of(t * each + i, 3)));
          EXPECT_TRUE(accounting->write(AccountingKind::stop, record_of(t * each + i, 10)));
        }
      });
    }
    for (std::thread& worker : workers) worker.join();
    EXPECT_EQ(accounting->lost(), 0U);
  }
  EXPECT_EQ(total(), (Usage{.name = "web", .sessions = threads * each, .octets_up = threads * each * 10}));
  EXPECT_TRUE(warnings_.said().empty());
}

TEST_F(AccountingTest, EntriesAreWrittenWithoutAnyOther) {
  const auto accounting = open();
  accounting->write(AccountingKind::stop, record_of(1, 10));
  while (total().octets_up != 10) std::this_thread::yield();
}

TEST_F(AccountingTest, ASessionLeftOpenIsTold) {
  open()->write(AccountingKind::start, record_of(1));
  EXPECT_EQ(open()->left_open(), 1U);
  EXPECT_EQ(open()->left_open(), 0U);
}

/// No file of this process may grow while it lives.
class FullDisk {
 public:
  FullDisk() {
    std::signal(SIGXFSZ, SIG_IGN);
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit nothing{.rlim_cur = 0, .rlim_max = before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &nothing), 0);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;
  ~FullDisk() { EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &before_), 0); }

 private:
  rlimit before_{};
};

// What waits for the disk is bounded, the rest is counted, each is said once, and nothing that waited is lost.
TEST_F(AccountingTest, BeyondTheBoundEntriesAreLostCountedAndSaidOnce) {
  const auto accounting = open(64 * 1024);
  std::uint64_t session = 0;
  std::uint64_t taken = 0;
  {
    const FullDisk full;
    while (accounting->write(AccountingKind::interim, record_of(++session))) {
    }
    EXPECT_EQ(accounting->lost(), 0U) << "an interim entry is made up for by the next one";
    EXPECT_FALSE(accounting->full());
    while (accounting->write(AccountingKind::start, record_of(++session))) ++taken;
    EXPECT_TRUE(accounting->full());
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(accounting->write(AccountingKind::stop, record_of(++session)));
    EXPECT_EQ(accounting->lost(), 11U);
    while (warnings_.said().size() < 2) std::this_thread::yield();
    EXPECT_TRUE(warnings_.said()[0].starts_with("cannot write accounting to " + path_ + ": "));
    EXPECT_TRUE(warnings_.said()[1].starts_with("accounting loses entries: "));
  }
  while (accounting->full() || total().sessions < taken) std::this_thread::yield();
  EXPECT_EQ(total().sessions, taken);
  EXPECT_EQ(warnings_.said().size(), 3U);
  EXPECT_EQ(warnings_.said().back(), path_ + " takes entries again");
}

// A disk that is full when the server stops is not waited for.
TEST_F(AccountingTest, WhatIsLostAtTheEndIsSaid) {
  auto accounting = open();
  const FullDisk full;
  for (std::uint64_t i = 1; i <= 5; ++i) accounting->write(AccountingKind::start, record_of(i));
  accounting.reset();
  EXPECT_EQ(warnings_.said().back(), "accounting lost 5 entries");
}

TEST_F(AccountingTest, AFileThatCannotBeOpenedIsAFault) {
  EXPECT_FALSE(Accounting::open(folder_ + "/none/accounting.db", warnings_.taker()));
}

}  // namespace
}  // namespace stile::observe
