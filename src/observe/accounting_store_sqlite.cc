#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "observe/accounting_store.h"
#include "sys/file_lock.h"

namespace stile::observe {
namespace {

constexpr int schema_version = 1;
constexpr int busy_milliseconds = 5'000;  // a reader that checkpoints, a copy that is taken

// `session` is the identity that records print; its 64 bits are kept as SQLite's signed integer. Times are
// microseconds since 1970, UTC. The octets of an entry are those since the session's entry before it.
constexpr const char* schema = R"(
CREATE TABLE session (
  id INTEGER PRIMARY KEY,
  session INTEGER NOT NULL UNIQUE,
  began INTEGER NOT NULL,
  ended INTEGER,
  listener TEXT NOT NULL,
  client TEXT NOT NULL,
  protocol TEXT NOT NULL,
  user TEXT NOT NULL,
  method TEXT NOT NULL,
  command TEXT NOT NULL,
  target TEXT NOT NULL,
  address TEXT NOT NULL,
  rule TEXT NOT NULL,
  octets_up INTEGER NOT NULL DEFAULT 0,
  octets_down INTEGER NOT NULL DEFAULT 0,
  packets_up INTEGER NOT NULL DEFAULT 0,
  packets_down INTEGER NOT NULL DEFAULT 0,
  last INTEGER NOT NULL,
  reason TEXT
);
CREATE INDEX session_open ON session (id) WHERE ended IS NULL;
CREATE TABLE entry (
  id INTEGER PRIMARY KEY,
  session INTEGER NOT NULL REFERENCES session (id) ON DELETE CASCADE,
  kind TEXT NOT NULL CHECK (kind IN ('start', 'interim', 'stop')),
  time INTEGER NOT NULL,
  octets_up INTEGER NOT NULL,
  octets_down INTEGER NOT NULL
);
CREATE UNIQUE INDEX entry_start ON entry (session) WHERE kind = 'start';
CREATE UNIQUE INDEX entry_stop ON entry (session) WHERE kind = 'stop';
CREATE INDEX entry_time ON entry (time);
CREATE INDEX entry_session ON entry (session);
CREATE VIEW sessions AS
  SELECT printf('%016x', session) AS session, datetime(began / 1000000, 'unixepoch') AS began,
         datetime(ended / 1000000, 'unixepoch') AS ended, client, user, rule, command, target, address, octets_up,
         octets_down, reason
  FROM session;
PRAGMA user_version = 1;
)";

constexpr const char* insert_session = R"(
INSERT INTO session (session, began, listener, client, protocol, user, method, command, target, address, rule, last)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?2) ON CONFLICT (session) DO NOTHING)";
constexpr const char* insert_start = R"(
INSERT INTO entry (session, kind, time, octets_up, octets_down)
SELECT id, 'start', began, 0, 0 FROM session WHERE session = ?1)";
// A total is never less than what was written: only what is more is an entry.
constexpr const char* insert_interim = R"(
INSERT INTO entry (session, kind, time, octets_up, octets_down)
SELECT id, 'interim', ?2, max(0, ?3 - octets_up), max(0, ?4 - octets_down) FROM session
WHERE session = ?1 AND ended IS NULL AND (?3 > octets_up OR ?4 > octets_down))";
constexpr const char* insert_stop = R"(
INSERT INTO entry (session, kind, time, octets_up, octets_down)
SELECT id, 'stop', ?2, max(0, ?3 - octets_up), max(0, ?4 - octets_down) FROM session
WHERE session = ?1 AND ended IS NULL)";
// What a start could not know yet, such as the rule that an association's first target met, is filled in later.
constexpr const char* update_totals = R"(
UPDATE session SET last = ?2, octets_up = max(octets_up, ?3), octets_down = max(octets_down, ?4), packets_up = ?5,
  packets_down = ?6, rule = CASE WHEN ?7 = '' THEN rule ELSE ?7 END
WHERE session = ?1 AND ended IS NULL)";
constexpr const char* update_end = R"(
UPDATE session SET ended = ?2, reason = ?3, address = ?4 WHERE session = ?1 AND ended IS NULL)";
constexpr const char* stop_lost = R"(
INSERT INTO entry (session, kind, time, octets_up, octets_down)
SELECT id, 'stop', last, 0, 0 FROM session WHERE ended IS NULL)";
constexpr const char* end_lost = "UPDATE session SET ended = last, reason = 'lost' WHERE ended IS NULL";

// In the order of UsageKey.
constexpr std::array<const char*, 3> usage_queries{
    R"(SELECT s.user, count(DISTINCT s.id), sum(e.octets_up), sum(e.octets_down)
       FROM entry e JOIN session s ON s.id = e.session WHERE e.time >= ?1 AND e.time < ?2
       GROUP BY 1 ORDER BY sum(e.octets_up + e.octets_down) DESC, 1)",
    R"(SELECT s.target, count(DISTINCT s.id), sum(e.octets_up), sum(e.octets_down)
       FROM entry e JOIN session s ON s.id = e.session WHERE e.time >= ?1 AND e.time < ?2
       GROUP BY 1 ORDER BY sum(e.octets_up + e.octets_down) DESC, 1)",
    R"(SELECT s.rule, count(DISTINCT s.id), sum(e.octets_up), sum(e.octets_down)
       FROM entry e JOIN session s ON s.id = e.session WHERE e.time >= ?1 AND e.time < ?2
       GROUP BY 1 ORDER BY sum(e.octets_up + e.octets_down) DESC, 1)",
};
constexpr const char* rules_query = R"(
SELECT s.rule, s.user, sum(e.octets_up + e.octets_down) FROM entry e JOIN session s ON s.id = e.session
WHERE e.time >= ?1 GROUP BY 1, 2 ORDER BY 1, 2)";

std::int64_t micros(WallTime time) noexcept {
  return time.time_since_epoch().count();
}

/// Octets that no disk could hold are written as the most that it can.
std::int64_t number(std::uint64_t value) noexcept {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(value, std::numeric_limits<std::int64_t>::max()));
}

std::int64_t identity(std::uint64_t session) noexcept {
  return static_cast<std::int64_t>(session);  // the same bits
}

AccountingFault fault_of(sqlite3* database, int code) {
  AccountingFault fault;
  fault.why = database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code);
  switch (code & 0xFF) {
    case SQLITE_FULL:
      fault.why = "the disk is full";
      fault.cure = "make room on it";
      break;
    case SQLITE_CANTOPEN:
      fault.cure = "make its directory, and let Stile's user write to it";
      break;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      fault.cure = "move it away: a new one is made in its place";
      break;
    default:
      break;
  }
  return fault;
}

struct CloseDatabase {
  void operator()(sqlite3* database) const noexcept { sqlite3_close_v2(database); }
};
using Handle = std::unique_ptr<sqlite3, CloseDatabase>;

/// A prepared statement; values are bound by position.
class Statement {
 public:
  Statement() = default;
  Statement(sqlite3* database, const char* text) noexcept {
    sqlite3_stmt* made = nullptr;
    code_ = sqlite3_prepare_v3(database, text, -1, SQLITE_PREPARE_PERSISTENT, &made, nullptr);
    statement_.reset(made);
  }

  template <class... Values>
  int run(const Values&... values) noexcept {
    if (code_ != SQLITE_OK) return code_;
    int position = 0;
    (bind(++position, values), ...);
    const int code = sqlite3_step(statement_.get());
    sqlite3_reset(statement_.get());
    return code == SQLITE_ROW ? SQLITE_DONE : code;
  }

  /// Calls `visit` for each row; the outcome is SQLITE_DONE, or what failed.
  template <class Visit, class... Values>
  int each(Visit&& visit, const Values&... values) {
    if (code_ != SQLITE_OK) return code_;
    int position = 0;
    (bind(++position, values), ...);
    int code = sqlite3_step(statement_.get());
    for (; code == SQLITE_ROW; code = sqlite3_step(statement_.get())) visit(*this);
    sqlite3_reset(statement_.get());
    return code;
  }

  [[nodiscard]] std::string text(int column) const {
    const auto* const octets = sqlite3_column_text(statement_.get(), column);
    return {reinterpret_cast<const char*>(octets),
            static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
  }
  [[nodiscard]] std::uint64_t count(int column) const noexcept {
    return static_cast<std::uint64_t>(sqlite3_column_int64(statement_.get(), column));
  }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
  };
  void bind(int position, std::int64_t value) noexcept { sqlite3_bind_int64(statement_.get(), position, value); }
  // Any octets a peer chose: kept as they are, NUL included.
  void bind(int position, const std::string& value) noexcept {
    sqlite3_bind_text(statement_.get(), position, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
  }

  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int code_ = SQLITE_OK;
};

int run_script(sqlite3* database, const char* script) noexcept {
  return sqlite3_exec(database, script, nullptr, nullptr, nullptr);
}

std::optional<int> version_of(sqlite3* database) {
  std::optional<int> version;
  Statement statement(database, "PRAGMA user_version");
  if (statement.each([&](const Statement& row) { version = static_cast<int>(row.count(0)); }) != SQLITE_DONE) return {};
  return version;
}

AccountingStore::Outcome<void> check_version(sqlite3* database) {
  const auto version = version_of(database);
  if (!version) return std::unexpected(fault_of(database, sqlite3_errcode(database)));
  if (*version == schema_version) return {};
  if (*version == 0) return std::unexpected(AccountingFault{"it holds no accounts", "name another file"});
  return std::unexpected(AccountingFault{"a newer Stile wrote it", "use that one, or name another file"});
}

/// What a large question does not hold in memory: a server may have given up every other folder. Before the first file
/// is open, as the library demands of who sets it.
void keep_temporary_files_beside(const std::string& path) {
  if (sqlite3_temp_directory != nullptr) return;
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  sqlite3_temp_directory = sqlite3_mprintf("%s", folder.c_str());
}

/// For reading. A file that no server has open may stand where nothing can be written: then nobody can be writing it.
AccountingStore::Outcome<Handle> open_to_read(const std::string& path) {
  std::string uri = "file:";
  for (const char octet : path) {
    if (octet == '%' || octet == '?' || octet == '#') {
      constexpr std::string_view digits = "0123456789abcdef";
      uri += {'%', digits[static_cast<unsigned char>(octet) >> 4], digits[static_cast<unsigned char>(octet) & 0xF]};
    } else {
      uri += octet;
    }
  }
  AccountingFault fault;
  for (const char* const how : {"?mode=ro", "?immutable=1"}) {
    sqlite3* made = nullptr;
    const int code = sqlite3_open_v2((uri + how).c_str(), &made, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nullptr);
    Handle database(made);
    sqlite3_busy_timeout(made, busy_milliseconds);
    if (code == SQLITE_OK) {
      auto checked = check_version(made);
      if (checked) return database;
      fault = std::move(checked.error());
    } else {
      fault = fault_of(made, code);
    }
    if (sqlite3_errcode(made) != SQLITE_CANTOPEN && sqlite3_errcode(made) != SQLITE_READONLY) break;
    fault.cure = "name the file that [accounting] names, and read it as a user who may";
  }
  return std::unexpected(std::move(fault));
}

}  // namespace

class AccountingStore::Database {
 public:
  Database(Handle handle, sys::FileLock lock) : lock_(std::move(lock)), handle_(std::move(handle)) {}

  Outcome<void> prepare() {
    sqlite3_busy_timeout(handle_.get(), busy_milliseconds);
    // FULL: an entry that was written survives a loss of power, for one synchronisation a batch.
    const int code = run_script(handle_.get(), "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    if (code != SQLITE_OK) return failed(code);
    const auto version = version_of(handle_.get());
    if (!version) return failed(sqlite3_errcode(handle_.get()));
    if (*version == 0) {
      if (auto made = together([this] { return run_script(handle_.get(), schema); }); !made) return made;
    } else if (auto checked = check_version(handle_.get()); !checked) {
      return checked;
    }
    session_ = Statement(handle_.get(), insert_session);
    start_ = Statement(handle_.get(), insert_start);
    interim_ = Statement(handle_.get(), insert_interim);
    stop_ = Statement(handle_.get(), insert_stop);
    totals_ = Statement(handle_.get(), update_totals);
    end_ = Statement(handle_.get(), update_end);
    return close_lost();
  }

  Outcome<void> write(std::span<const AccountingEntry> entries) {
    return together([&] {
      for (const AccountingEntry& entry : entries) {
        if (const int code = write(entry); code != SQLITE_OK) return code;
      }
      return SQLITE_OK;
    });
  }

  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

 private:
  Outcome<void> failed(int code) { return std::unexpected(fault_of(handle_.get(), code)); }

  /// All that `work` does, or nothing.
  template <class Work>
  Outcome<void> together(Work&& work) {
    if (const int code = run_script(handle_.get(), "BEGIN IMMEDIATE"); code != SQLITE_OK) return failed(code);
    int code = work();
    if (code == SQLITE_OK) code = run_script(handle_.get(), "COMMIT");
    if (code == SQLITE_OK) return {};
    auto fault = failed(code);
    // SQLite has rolled back by itself where the disk is full; then this one has nothing to do.
    if (sqlite3_get_autocommit(handle_.get()) == 0) run_script(handle_.get(), "ROLLBACK");
    return fault;
  }

  Outcome<void> close_lost() {
    return together([this] {
      if (const int code = run_script(handle_.get(), stop_lost); code != SQLITE_OK) return code;
      const int code = run_script(handle_.get(), end_lost);
      lost_ = static_cast<std::uint64_t>(sqlite3_changes64(handle_.get()));
      return code;
    });
  }

  int write(const AccountingEntry& entry) {
    switch (entry.kind) {
      case AccountingKind::start:
        return begin(entry);
      case AccountingKind::interim:
        return count(interim_, entry);
      case AccountingKind::stop:
        break;
    }
    // Its start may have been dropped: the stop knows everything about the session.
    if (const int code = begin(entry); code != SQLITE_OK) return code;
    if (const int code = count(stop_, entry); code != SQLITE_OK) return code;
    return done(end_.run(identity(entry.session), micros(entry.time), entry.reason, entry.address));
  }

  int begin(const AccountingEntry& entry) {
    const int code =
        session_.run(identity(entry.session), micros(entry.began), entry.listener, entry.client, entry.protocol,
                     entry.user, entry.method, entry.command, entry.target, entry.address, entry.rule);
    if (code != SQLITE_DONE || sqlite3_changes(handle_.get()) == 0) return done(code);
    return done(start_.run(identity(entry.session)));
  }

  int count(Statement& statement, const AccountingEntry& entry) {
    const std::int64_t session = identity(entry.session);
    const std::int64_t time = micros(entry.time);
    const std::int64_t up = number(entry.octets_up);
    const std::int64_t down = number(entry.octets_down);
    if (const int code = statement.run(session, time, up, down); code != SQLITE_DONE) return code;
    return done(totals_.run(session, time, up, down, number(entry.packets_up), number(entry.packets_down), entry.rule));
  }

  static int done(int code) noexcept { return code == SQLITE_DONE ? SQLITE_OK : code; }

  sys::FileLock lock_;  // outlives the handle
  Handle handle_;
  // Of the handle, and gone before it.
  Statement session_;
  Statement start_;
  Statement interim_;
  Statement stop_;
  Statement totals_;
  Statement end_;
  std::uint64_t lost_ = 0;
};

AccountingStore::AccountingStore(std::unique_ptr<Database> database) noexcept : database_(std::move(database)) {}
AccountingStore::~AccountingStore() = default;

bool AccountingStore::built_in() noexcept {
  return true;
}

AccountingStore::Outcome<std::unique_ptr<AccountingStore>> AccountingStore::open(const std::string& path) {
  auto lock = sys::FileLock::take(path + "-lock");
  if (!lock) {
    if (lock.error().kind == ErrorKind::would_block) {
      return std::unexpected(AccountingFault{"another server writes it", "stop that one, or name another file"});
    }
    return std::unexpected(fault_of(nullptr, SQLITE_CANTOPEN));
  }
  if (!sys::create_private_file(path)) return std::unexpected(fault_of(nullptr, SQLITE_CANTOPEN));
  keep_temporary_files_beside(path);
  sqlite3* made = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &made, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  Handle handle(made);
  if (code != SQLITE_OK) return std::unexpected(fault_of(made, code));
  auto database = std::make_unique<Database>(std::move(handle), std::move(*lock));
  if (auto prepared = database->prepare(); !prepared) return std::unexpected(std::move(prepared.error()));
  return std::unique_ptr<AccountingStore>(new AccountingStore(std::move(database)));
}

AccountingStore::Outcome<void> AccountingStore::write(std::span<const AccountingEntry> entries) {
  return database_->write(entries);
}

std::uint64_t AccountingStore::lost() const noexcept {
  return database_->lost();
}

AccountingStore::Outcome<std::vector<Usage>> AccountingStore::usage(const std::string& path, UsageKey by,
                                                                    const Period& period) {
  auto database = open_to_read(path);
  if (!database) return std::unexpected(std::move(database.error()));
  std::vector<Usage> found;
  Statement statement(database->get(), usage_queries[static_cast<std::size_t>(by)]);
  const auto visit = [&](const Statement& row) {
    found.push_back(
        {.name = row.text(0), .sessions = row.count(1), .octets_up = row.count(2), .octets_down = row.count(3)});
  };
  const int code = statement.each(visit, micros(period.since), micros(period.until));
  if (code != SQLITE_DONE) return std::unexpected(fault_of(database->get(), code));
  return found;
}

AccountingStore::Outcome<std::vector<RuleUsage>> AccountingStore::usage_of_rules(const std::string& path,
                                                                                 WallTime since) {
  auto database = open_to_read(path);
  if (!database) return std::unexpected(std::move(database.error()));
  std::vector<RuleUsage> found;
  Statement statement(database->get(), rules_query);
  const auto visit = [&](const Statement& row) {
    found.push_back({.rule = row.text(0), .user = row.text(1), .octets = row.count(2)});
  };
  if (const int code = statement.each(visit, micros(since)); code != SQLITE_DONE) {
    return std::unexpected(fault_of(database->get(), code));
  }
  return found;
}

}  // namespace stile::observe
