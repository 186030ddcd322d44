#include "server/db/database.h"

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <condition_variable>
#include <mutex>
#include <vector>

#include "base/log.h"
#include "server/migrations.h"

namespace xinfer::server::db {

using base::Code;
using base::Result;

namespace {

constexpr int kReaders = 6;

struct Migration {
  long long version;
  std::string_view sql;
};
constexpr Migration kMigrations[] = {
    {1, migrations::k0001InitialSql},
};

// Statements end with ";" at the end of a line; comment lines are dropped.
std::vector<std::string> statements(std::string_view sql) {
  std::vector<std::string> result;
  std::string current;
  while (!sql.empty()) {
    const std::string_view line = sql.substr(0, sql.find('\n'));
    sql.remove_prefix(std::min(sql.size(), line.size() + 1));
    if (line.starts_with("--") || line.empty()) continue;
    current.append(line).push_back('\n');
    if (line.ends_with(';')) {
      current.resize(current.size() - 2);
      result.push_back(std::exchange(current, {}));
    }
  }
  return result;
}

}  // namespace

// SQLite has one writer at a time: one session for all writers, in turn, spares busy loops and upgrade deadlocks.
class Database::State {
 public:
  explicit State(const std::string& path) {
    connect(writer_, path);
    for (int i = 0; i < kReaders; ++i) {
      readers_.push_back(std::make_unique<soci::session>());
      connect(*readers_.back(), path);
      free_.push_back(readers_.back().get());
    }
  }

  soci::session* take(bool writer) {
    if (writer) {
      writing_.lock();
      return &writer_;
    }
    std::unique_lock lock(mutex_);
    freed_.wait(lock, [&] { return !free_.empty(); });
    soci::session* session = free_.back();
    free_.pop_back();
    return session;
  }
  void give(soci::session* session, bool writer) {
    if (writer) return writing_.unlock();
    {
      const std::lock_guard lock(mutex_);
      free_.push_back(session);
    }
    freed_.notify_one();
  }

 private:
  static void connect(soci::session& session, const std::string& path) {
    session.open(soci::sqlite3, "dbname=" + path + " timeout=30");
    session << "PRAGMA journal_mode=WAL";
    session << "PRAGMA synchronous=NORMAL";
    session << "PRAGMA temp_store=MEMORY";
  }
  soci::session writer_;
  std::vector<std::unique_ptr<soci::session>> readers_;
  std::mutex writing_, mutex_;
  std::condition_variable freed_;
  std::vector<soci::session*> free_;
};

Database::Database(std::unique_ptr<State> state) : state_(std::move(state)) {}
Database::~Database() = default;

Database::Session::Session(Database& database, bool writer)
    : database_(database), session_(database.state_->take(writer)), writer_(writer) {}
Database::Session::~Session() { database_.state_->give(session_, writer_); }
void Database::Session::begin() {
  *session_ << "BEGIN IMMEDIATE";
  open_ = true;
}
void Database::Session::commit() {
  *session_ << "COMMIT";
  open_ = false;
}
void Database::Session::rollback() noexcept {
  if (!std::exchange(open_, false)) return;
  try {
    *session_ << "ROLLBACK";
  } catch (const std::exception& error) {
    base::log(base::LogLevel::kError, "rollback failed", {{"error", error.what()}});
  }
}

base::Error Database::failure(const std::exception& error) {
  const std::string text = error.what();
  base::log(base::LogLevel::kError, "database", {{"error", text}});
  if (text.find("full") != std::string::npos || text.find("disk I/O") != std::string::npos)
    return {Code::kUnavailable, "the database cannot be written: is the disk full?", "database"};
  return {Code::kInternal, "the database refused a statement; the hub's log says why", "database"};
}

Result<std::unique_ptr<Database>> Database::open(const std::string& url) {
  constexpr std::string_view kSqlite = "sqlite:";
  if (!url.starts_with(kSqlite))
    return base::fail(Code::kUnsupported, "database \"{}\": this version knows sqlite:PATH", url);
  const std::filesystem::path path = url.substr(kSqlite.size());
  std::unique_ptr<Database> database;
  try {
    std::error_code ignored;
    std::filesystem::create_directories(path.parent_path(), ignored);
    database.reset(new Database(std::make_unique<State>(path.string())));
  } catch (const std::exception& error) {
    return base::fail(Code::kIo, "cannot open the database {}: {}", path.string(), error.what());
  }
  XI_CHECK(database->migrate());
  return database;
}

std::int64_t Database::schema_version() {
  auto version = read([](soci::session& sql) -> Result<long long> {
    long long number = 0;
    sql << "SELECT COALESCE(MAX(version), 0) FROM schema_versions", soci::into(number);
    return number;
  });
  return version.value_or(0);
}

Result<void> Database::migrate() {
  XI_CHECK(write([](soci::session& sql) -> Result<void> {
    sql << "CREATE TABLE IF NOT EXISTS schema_versions (version BIGINT PRIMARY KEY)";
    return {};
  }));
  const std::int64_t have = schema_version();
  if (have > kMigrations[std::size(kMigrations) - 1].version)
    return base::fail(Code::kIncompatible,
                      "the database has schema {}, newer than this program: use a newer ignition-hub", have);
  for (const Migration& migration : kMigrations) {
    if (migration.version <= have) continue;
    XI_CHECK(write([&](soci::session& sql) -> Result<void> {
      for (const std::string& statement : statements(migration.sql)) sql << statement;
      sql << "INSERT INTO schema_versions (version) VALUES (:v)", soci::use(migration.version);
      return {};
    }));
  }
  return {};
}

}  // namespace xinfer::server::db
