#include "observe/accounting_store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <random>

namespace stile::observe {
namespace {

using namespace std::chrono_literals;
using Rows = std::vector<std::string>;

constexpr WallTime begin_of_test{std::chrono::microseconds{1'790'000'000'000'000}};

class AccountingStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/accounting.db";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<AccountingStore> open() {
    auto opened = AccountingStore::open(path_);
    EXPECT_TRUE(opened) << opened.error().why;
    return std::move(opened.value());
  }

  void write(AccountingStore& store, const std::vector<AccountingEntry>& entries) {
    const auto written = store.write(entries);
    EXPECT_TRUE(written) << written.error().why;
  }

  /// Each row as its columns, with '|' between them: read as an operator's own tools would.
  Rows select(const std::string& statement) {
    Rows rows;
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open_v2(path_.c_str(), &database, SQLITE_OPEN_READWRITE, nullptr), SQLITE_OK);
    const auto visit = [](void* found, int columns, char** values, char**) {
      std::string row;
      for (int i = 0; i < columns; ++i) row += (i > 0 ? "|" : "") + std::string(values[i] == nullptr ? "-" : values[i]);
      static_cast<Rows*>(found)->push_back(row);
      return 0;
    };
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(database, statement.c_str(), visit, &rows, &error), SQLITE_OK) << error;
    sqlite3_close_v2(database);
    return rows;
  }

  std::string folder_ = "/tmp/stile-accounting-XXXXXX";
  std::string path_;
};

AccountingEntry entry(AccountingKind kind, std::uint64_t session, Duration at, std::uint64_t up = 0,
                      std::uint64_t down = 0) {
  AccountingEntry made{.kind = kind, .session = session};
  made.time = begin_of_test + std::chrono::duration_cast<std::chrono::microseconds>(at);
  made.began = made.time;
  made.octets_up = up;
  made.octets_down = down;
  if (kind == AccountingKind::interim) return made;
  made.client = "192.0.2.7:4000";
  made.user = "alice";
  made.target = "example.com:443";
  made.rule = "web";
  made.reason = kind == AccountingKind::stop ? "fin.client" : "none";
  return made;
}

constexpr auto start = AccountingKind::start;
constexpr auto interim = AccountingKind::interim;
constexpr auto stop = AccountingKind::stop;
const std::string entries_of_all = "SELECT kind, octets_up, octets_down FROM entry ORDER BY id";

TEST_F(AccountingStoreTest, EntriesAddUpToTheSession) {
  const auto store = open();
  write(*store, {entry(start, 0xfedcba9876543210, 0s), entry(interim, 0xfedcba9876543210, 1min, 10, 100)});
  write(*store, {entry(interim, 0xfedcba9876543210, 2min, 10, 100), entry(stop, 0xfedcba9876543210, 3min, 15, 300)});
  EXPECT_EQ(select(entries_of_all), (Rows{"start|0|0", "interim|10|100", "stop|5|200"}));
  EXPECT_EQ(select("SELECT * FROM sessions"),
            Rows{"fedcba9876543210|2026-09-21 14:13:20|2026-09-21 14:16:20|192.0.2.7:4000|alice|web||example.com:443||"
                 "15|300|fin.client"});
}

TEST_F(AccountingStoreTest, NothingIsWrittenTwice) {
  const auto store = open();
  const std::vector<AccountingEntry> all = {entry(start, 1, 0s), entry(interim, 1, 1min, 7, 0),
                                            entry(stop, 1, 2min, 9, 9)};
  write(*store, all);
  write(*store, all);
  write(*store, {entry(stop, 1, 3min, 99, 99), entry(interim, 1, 4min, 99, 99)});
  EXPECT_EQ(select(entries_of_all), (Rows{"start|0|0", "interim|7|0", "stop|2|9"}));
  EXPECT_EQ(select("SELECT octets_up, octets_down FROM session"), Rows{"9|9"});
}

TEST_F(AccountingStoreTest, AStopWhoseStartWasLostIsASessionAllTheSame) {
  const auto store = open();
  AccountingEntry end = entry(stop, 1, 2min, 9, 9);
  end.began -= 2min;
  write(*store, {entry(interim, 1, 1min, 5, 5), end});
  EXPECT_EQ(select(entries_of_all), (Rows{"start|0|0", "stop|9|9"}));
  EXPECT_EQ(select("SELECT ended - began FROM session"), Rows{"120000000"});
}

TEST_F(AccountingStoreTest, WhatACrashLeftOpenIsLostOnce) {
  auto store = open();
  write(*store, {entry(start, 1, 0s), entry(interim, 1, 1min, 5, 6), entry(start, 2, 0s), entry(stop, 2, 1s, 1, 1)});
  store.reset();
  for (int opening = 0; opening < 3; ++opening) {
    EXPECT_EQ(open()->lost(), opening == 0 ? 1U : 0U);
    EXPECT_EQ(select("SELECT reason, octets_up, octets_down, ended - began FROM session ORDER BY session"),
              (Rows{"lost|5|6|60000000", "fin.client|1|1|1000000"}));
    EXPECT_EQ(select("SELECT count(*) FROM entry WHERE kind = 'stop'"), Rows{"2"});
  }
}

TEST_F(AccountingStoreTest, OneServerWritesAtATime) {
  const auto store = open();
  const auto second = AccountingStore::open(path_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().why, "another server writes it");
}

TEST_F(AccountingStoreTest, AReaderSeesWhatIsWrittenMeanwhile) {
  const auto store = open();
  write(*store, {entry(start, 1, 0s), entry(interim, 1, 1min, 5, 6)});
  EXPECT_EQ(AccountingStore::usage(path_, UsageKey::user, {}).value(),
            (std::vector<Usage>{{.name = "alice", .sessions = 1, .octets_up = 5, .octets_down = 6}}));
}

TEST_F(AccountingStoreTest, UsageOfAPeriodIsWhatWasMovedInIt) {
  auto store = open();
  AccountingEntry other = entry(stop, 2, 90s, 1'000, 0);
  other.user = "";
  other.rule = "other";
  write(*store, {entry(start, 1, 0s), entry(interim, 1, 1min, 10, 1), entry(interim, 1, 2min, 30, 2),
                 entry(stop, 1, 3min, 60, 3), other});
  store.reset();
  const auto at = [](Duration when) {
    return begin_of_test + std::chrono::duration_cast<std::chrono::microseconds>(when);
  };
  EXPECT_EQ(AccountingStore::usage(path_, UsageKey::rule, {at(61s), at(3min)}).value(),
            (std::vector<Usage>{{"other", 1, 1'000, 0}, {"web", 1, 20, 1}}));
  EXPECT_EQ(AccountingStore::usage(path_, UsageKey::target, {at(3min)}).value(),
            (std::vector<Usage>{{"example.com:443", 1, 30, 1}}));
  EXPECT_EQ(AccountingStore::usage_of_rules(path_, at(2min)).value(), (std::vector<RuleUsage>{{"web", "alice", 52}}));
  EXPECT_EQ(AccountingStore::usage_of_rules(path_, at(0s)).value(),
            (std::vector<RuleUsage>{{"other", "", 1'000}, {"web", "alice", 63}}));
}

TEST_F(AccountingStoreTest, ARuleThatIsKnownLaterIsFilledIn) {
  const auto store = open();
  AccountingEntry begin = entry(start, 1, 0s);
  begin.rule = "";
  AccountingEntry later = entry(interim, 1, 1min, 1, 1);
  later.rule = "dns";
  AccountingEntry end = entry(stop, 1, 2min, 2, 2);
  end.rule = "";
  write(*store, {begin, later, end});
  EXPECT_EQ(select("SELECT rule FROM session"), Rows{"dns"});
}

TEST_F(AccountingStoreTest, WordsThatLieStayWords) {
  const auto store = open();
  AccountingEntry hostile = entry(stop, 1, 0s, 1, 1);
  hostile.user = std::string("x'); DROP TABLE session; --\0\n\xff", 31);
  write(*store, {hostile});
  EXPECT_EQ(AccountingStore::usage(path_, UsageKey::user, {}).value().front().name, hostile.user);
}

TEST_F(AccountingStoreTest, FaultsAreNamed) {
  EXPECT_EQ(AccountingStore::open(folder_ + "/none/accounting.db").error().cure,
            "make its directory, and let Stile's user write to it");
  EXPECT_FALSE(AccountingStore::usage(path_, UsageKey::user, {}));
  EXPECT_FALSE(std::filesystem::exists(path_)) << "reading makes no file";
  open().reset();
  EXPECT_EQ(select("PRAGMA user_version = 2"), Rows{});
  EXPECT_EQ(AccountingStore::open(path_).error().why, "a newer Stile wrote it");
  EXPECT_EQ(AccountingStore::usage(path_, UsageKey::user, {}).error().why, "a newer Stile wrote it");
}

// All entries of a call, or none: of a batch that the disk does not take, nothing is left.
TEST_F(AccountingStoreTest, AFullDiskTakesAllOrNothing) {
  const auto store = open();
  write(*store, {entry(start, 1, 0s)});
  std::vector<AccountingEntry> many;
  for (std::uint64_t session = 2; session < 20'000; ++session) many.push_back(entry(start, session, 0s));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 256 * 1024, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto refused = store->write(many);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(refused);
  EXPECT_EQ(select("SELECT count(*) FROM session"), Rows{"1"});
  write(*store, many);
  EXPECT_EQ(select("SELECT count(*) FROM session"), Rows{"19999"});
}

// Random entries in random batches, some tried twice, some starts lost, and the file opened anew in between: the sums
// are those of a plain count.
TEST_F(AccountingStoreTest, SumsAreThoseOfAPlainCount) {
  std::mt19937_64 random(1);
  std::map<std::uint64_t, std::uint64_t> open_sessions;  // octets so far
  std::map<std::string, std::uint64_t> expected;
  std::uint64_t next = 1;
  auto store = open();
  for (int round = 0; round < 60; ++round) {
    std::vector<AccountingEntry> batch;
    for (std::size_t i = 0; i < 1 + random() % 40; ++i) {
      const auto name_of = [](std::uint64_t session) { return "user" + std::to_string(session % 5); };
      if (open_sessions.empty() || random() % 3 == 0) {
        open_sessions.emplace(next, 0);
        batch.push_back(entry(start, next, std::chrono::seconds(round)));
        batch.back().user = name_of(next);
        ++next;
        continue;
      }
      auto chosen = open_sessions.begin();
      std::advance(chosen, static_cast<std::ptrdiff_t>(random() % open_sessions.size()));
      const std::uint64_t more = random() % 1'000;
      chosen->second += more;
      expected[name_of(chosen->first)] += more;
      const bool ends = random() % 2 == 0;
      batch.push_back(entry(ends ? stop : interim, chosen->first, std::chrono::seconds(round), chosen->second, 0));
      batch.back().user = name_of(chosen->first);
      if (ends) open_sessions.erase(chosen);
    }
    write(*store, batch);
    if (random() % 8 == 0) write(*store, batch);
    if (random() % 10 == 0) {
      store.reset();
      store = open();
      EXPECT_EQ(store->lost(), open_sessions.size());
      open_sessions.clear();
    }
  }
  std::map<std::string, std::uint64_t> found;
  const auto usages = AccountingStore::usage(path_, UsageKey::user, {}).value();
  for (const Usage& usage : usages) {
    if (usage.octets_up > 0) found[usage.name] = usage.octets_up;
  }
  std::erase_if(expected, [](const auto& item) { return item.second == 0; });
  EXPECT_EQ(found, expected);
  EXPECT_EQ(select("SELECT count(*) FROM entry WHERE kind = 'start'"), Rows{std::to_string(next - 1)});
}

}  // namespace
}  // namespace stile::observe
