#include "server/db/database.h"

#include <poll.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <set>

#include "base/log.h"
#include "server/migrations.h"

namespace xinfer::server::db {

using base::Code;
using base::Result;

namespace {

constexpr int kReaders = 8;
constexpr std::string_view kSqlite = "sqlite:", kPostgresql = "postgresql://", kPostgres = "postgres://";

// Statements that hang and transactions whose hub has vanished must not hold up the others.
constexpr const char* kSessionSql =
    "SET statement_timeout = 30000; SET lock_timeout = 20000; SET idle_in_transaction_session_timeout = 10000; "
    "SET client_min_messages = warning";
// The lock of all writers. Their rules (fair share, one build for identical requests) look at many rows at once.
constexpr const char* kBeginWriting = "BEGIN; SELECT pg_advisory_xact_lock(7305861)";

struct Migration {
  long long version;
  std::string_view sql;
};
constexpr Migration kMigrations[] = {
    {1, migrations::k0001InitialSql},
    {2, migrations::k0002FairShareSql},
    {3, migrations::k0003StoreSql},
    {4, migrations::k0004TraceSql},
    {5, migrations::k0005SharingSql},
    {6, migrations::k0006DevicesSql},
    {7, migrations::k0007KindsSql},
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

// SOCI takes a connection string for words of the form key=value and puts "=" behind one that has none.
std::string for_soci(const std::string& url) {
  return url.find('=') == std::string::npos ? url + "?application_name=ignition-hub" : url;
}

// A connection that the server has closed is readable although nothing was asked; one that failed says so.
bool is_broken(soci::session& session) {
  auto* backend = static_cast<soci::postgresql_session_backend*>(session.get_backend());
  if (!backend || PQstatus(backend->conn_) != CONNECTION_OK) return true;
  pollfd socket{PQsocket(backend->conn_), POLLIN, 0};
  if (::poll(&socket, 1, 0) == 0) return false;
  return PQconsumeInput(backend->conn_) == 0;
}

}  // namespace

// One session for all writers, in turn: SQLite has one writer at a time, and on PostgreSQL they take one lock. Updates there
// take one of the sessions for reading.
class Database::State {
 public:
  State(Kind kind, std::string url, std::string target) : kind(kind), url(std::move(url)), target_(std::move(target)) {
    connect(writer_);
    for (int i = 0; i < kReaders; ++i) {
      readers_.push_back(std::make_unique<soci::session>());
      if (kind == Kind::kSqlite) connect(*readers_.back());
      free_.push_back(readers_.back().get());
    }
  }

  bool alone(Access access) const {
    return access == Access::kWrite || (access == Access::kUpdate && kind == Kind::kSqlite);
  }

  soci::session* take(Access access) {
    if (alone(access)) {
      writing_.lock();
      return &writer_;
    }
    std::unique_lock lock(mutex_);
    freed_.wait(lock, [&] { return !free_.empty(); });
    soci::session* session = free_.back();
    free_.pop_back();
    return session;
  }
  void give(soci::session* session, Access access) {
    if (alone(access)) return writing_.unlock();
    {
      const std::lock_guard lock(mutex_);
      free_.push_back(session);
    }
    freed_.notify_one();
  }

  void connect(soci::session& session) {
    if (kind == Kind::kPostgresql) {
      session.open(soci::postgresql, target_);
      session << kSessionSql;
      return;
    }
    session.open(soci::sqlite3, "dbname=" + target_ + " timeout=30");
    session << "PRAGMA journal_mode=WAL";
    session << "PRAGMA synchronous=NORMAL";
    session << "PRAGMA temp_store=MEMORY";
  }

  // Connects anew where the connection is gone.
  void ensure(soci::session& session) {
    if (kind == Kind::kSqlite || (session.get_backend() && !is_broken(session))) return;
    if (session.get_backend()) {
      session.close();
      base::log(base::LogLevel::kInfo, "connecting to the database again");
    }
    connect(session);
  }

  const Kind kind;
  const std::string url;

 private:
  const std::string target_;
  soci::session writer_;
  std::vector<std::unique_ptr<soci::session>> readers_;
  std::mutex writing_, mutex_;
  std::condition_variable freed_;
  std::vector<soci::session*> free_;
};

Database::Database(std::unique_ptr<State> state) : state_(std::move(state)) {}
Database::~Database() = default;
Kind Database::kind() const { return state_->kind; }
const std::string& Database::url() const { return state_->url; }

Database::Session::Session(Database& database, Access access)
    : database_(database), session_(database.state_->take(access)), access_(access) {}
Database::Session::~Session() { database_.state_->give(session_, access_); }
void Database::Session::begin() {
  database_.state_->ensure(*session_);
  if (access_ == Access::kRead) return;
  const bool postgresql = database_.kind() == Kind::kPostgresql;
  open_ = true;
  if (access_ == Access::kSnapshot)
    *session_ << (postgresql ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" : "BEGIN");
  else if (access_ == Access::kUpdate && postgresql) *session_ << "BEGIN";
  else *session_ << (postgresql ? kBeginWriting : "BEGIN IMMEDIATE");
}
void Database::Session::commit() {
  if (!open_) return;
  *session_ << "COMMIT";
  open_ = false;
}
void Database::Session::rollback() noexcept {
  if (!std::exchange(open_, false)) return;
  try {
    if (database_.kind() == Kind::kSqlite || !is_broken(*session_)) *session_ << "ROLLBACK";
  } catch (const std::exception& error) {
    base::log(base::LogLevel::kError, "rollback failed", {{"error", error.what()}});
  }
}

base::Error Database::failure(const std::exception& error) {
  const std::string text = error.what();
  base::log(base::LogLevel::kError, "database", {{"error", text}});
  if (const auto* postgresql = dynamic_cast<const soci::postgresql_soci_error*>(&error)) {
    // Classes 08 (connection), 53 (resources), 57 (operator: shutdown, time-out) and 55P03 (lock time-out); without a
    // state the connection broke under the statement.
    const std::string state = postgresql->sqlstate(), kind = state.substr(0, 2);
    if (kind == "08" || kind == "53" || kind == "57" || kind == "25" || state == "55P03" || kind == "  " ||
        state.find_first_not_of('\0') == std::string::npos)
      return {Code::kUnavailable, "the database does not answer; try again", "database"};
  } else if (const auto* soci = dynamic_cast<const soci::soci_error*>(&error);
             soci && (soci->get_error_category() == soci::soci_error::connection_error ||
                      text.find("Cannot establish connection") != std::string::npos)) {
    return {Code::kUnavailable, "the database does not answer; try again", "database"};
  }
  if (text.find("full") != std::string::npos || text.find("disk I/O") != std::string::npos)
    return {Code::kUnavailable, "the database cannot be written: is the disk full?", "database"};
  return {Code::kInternal, "the database refused a statement; the hub's log says why", "database"};
}

Result<std::unique_ptr<Database>> Database::connect(const std::string& url) {
  const bool postgresql = url.starts_with(kPostgresql) || url.starts_with(kPostgres);
  if (!url.starts_with(kSqlite) && !postgresql)
    return base::fail(Code::kInvalidArgument,
                      "\"{}\" is no database: expected sqlite:PATH or postgresql://USER@HOST/NAME",
                      url.substr(0, url.find(':')));
  try {
    if (postgresql) return std::unique_ptr<Database>(new Database(std::make_unique<State>(Kind::kPostgresql, url, for_soci(url))));
    const std::filesystem::path path = url.substr(kSqlite.size());
    std::error_code ignored;
    std::filesystem::create_directories(path.parent_path(), ignored);
    return std::unique_ptr<Database>(new Database(std::make_unique<State>(Kind::kSqlite, url, path.string())));
  } catch (const std::exception& error) {
    // libpq's messages name host, user and database, never the password.
    return base::fail(Code::kUnavailable, "cannot open the database: {}", error.what());
  }
}

Result<std::unique_ptr<Database>> Database::open(const std::string& url) {
  XI_TRY(std::unique_ptr<Database> database, connect(url));
  XI_CHECK(database->migrate());
  return database;
}

std::vector<std::int64_t> Database::known_versions() {
  std::vector<std::int64_t> versions;
  for (const Migration& migration : kMigrations) versions.push_back(migration.version);
  return versions;
}

namespace {

std::vector<std::int64_t> applied(soci::session& sql) {
  std::vector<std::int64_t> versions;
  long long version = 0;
  soci::statement rows =
      (sql.prepare << "SELECT version FROM schema_versions ORDER BY version", soci::into(version));
  rows.execute();
  while (rows.fetch()) versions.push_back(version);
  return versions;
}

}  // namespace

Result<std::vector<std::int64_t>> Database::versions() {
  return read([this](soci::session& sql) -> Result<std::vector<std::int64_t>> {
    long long tables = 0;
    sql << (kind() == Kind::kSqlite
                ? "SELECT COUNT(*) FROM sqlite_master WHERE name = 'schema_versions'"
                : "SELECT COUNT(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = "
                  "'schema_versions'"),
        soci::into(tables);
    if (tables == 0) return std::vector<std::int64_t>();
    return applied(sql);
  });
}

Result<std::int64_t> Database::migrate(const std::vector<std::int64_t>* only) {
  return write([&](soci::session& sql) -> Result<std::int64_t> {
    sql << "CREATE TABLE IF NOT EXISTS schema_versions (version BIGINT PRIMARY KEY)";
    const std::vector<std::int64_t> have = applied(sql), known = known_versions();
    for (const std::int64_t version : have)
      if (!std::ranges::binary_search(known, version))
        return base::fail(Code::kIncompatible,
                          "the database has schema {}, which this program does not know: use a newer ignition-hub",
                          version);
    std::int64_t count = 0;
    for (const Migration& migration : kMigrations) {
      if (std::ranges::binary_search(have, migration.version)) continue;
      if (only && !std::ranges::binary_search(*only, migration.version)) continue;
      for (const std::string& statement : statements(migration.sql)) sql << statement;
      sql << "INSERT INTO schema_versions (version) VALUES (:v)", soci::use(migration.version);
      ++count;
    }
    return count;
  });
}

}  // namespace xinfer::server::db
