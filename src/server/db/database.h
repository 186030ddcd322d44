// The database behind the hub: sessions, transactions, migrations. SQL is SOCI's, in the files that use it.
#pragma once
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"

namespace soci {
class session;
}

namespace xinfer::server::db {

enum class Kind { kSqlite, kPostgresql };

/// Thread-safe. Work given to read(), snapshot() and write() may run SQL that throws; exceptions become errors here.
/// A database that went away is kUnavailable until it is back; the next use connects again.
class Database {
 public:
  /// `url`: "sqlite:PATH", or "postgresql://USER@HOST/NAME" and whatever else libpq takes as a URI. Makes an SQLite
  /// file that is missing. Migrates.
  [[nodiscard]] static base::Result<std::unique_ptr<Database>> open(const std::string& url);
  /// The same without migrating.
  [[nodiscard]] static base::Result<std::unique_ptr<Database>> connect(const std::string& url);
  ~Database();

  /// work(soci::session&) -> Result<T>, outside a transaction, at once with others.
  template <class Work>
  auto read(Work&& work) -> std::invoke_result_t<Work, soci::session&> {
    return run(Access::kRead, std::forward<Work>(work));
  }
  /// The same where all statements see one state of the database.
  template <class Work>
  auto snapshot(Work&& work) -> std::invoke_result_t<Work, soci::session&> {
    return run(Access::kSnapshot, std::forward<Work>(work));
  }
  /// work(soci::session&) -> Result<T> in one transaction that sees no other writer, of whatever hub; an error or
  /// exception rolls back.
  template <class Work>
  auto write(Work&& work) -> std::invoke_result_t<Work, soci::session&> {
    return run(Access::kWrite, std::forward<Work>(work));
  }

  /// The same beside other writers, where the database can: the work locks the rows that it changes and looks at no others.
  template <class Work>
  auto update(Work&& work) -> std::invoke_result_t<Work, soci::session&> {
    return run(Access::kUpdate, std::forward<Work>(work));
  }

  Kind kind() const;
  const std::string& url() const;

  /// Versions of the schema that this program knows, and those that the database has, ascending.
  static std::vector<std::int64_t> known_versions();
  [[nodiscard]] base::Result<std::vector<std::int64_t>> versions();
  /// Applies the migrations that are missing, in order and in one transaction; of `only` where that is given. How many.
  /// kIncompatible for a database that a newer program has migrated.
  [[nodiscard]] base::Result<std::int64_t> migrate(const std::vector<std::int64_t>* only = nullptr);

 private:
  enum class Access { kRead, kSnapshot, kWrite, kUpdate };
  class State;
  class Session {
   public:
    Session(Database& database, Access access);
    ~Session();
    soci::session& get() { return *session_; }
    void begin();
    void commit();
    void rollback() noexcept;

   private:
    Database& database_;
    soci::session* session_;
    Access access_;
    bool open_ = false;
  };

  template <class Work>
  auto run(Access access, Work&& work) -> std::invoke_result_t<Work, soci::session&> {
    Session session(*this, access);
    try {
      session.begin();
      auto result = work(session.get());
      if (result) session.commit();
      else session.rollback();
      return result;
    } catch (const std::exception& error) {
      session.rollback();
      return std::unexpected(failure(error));
    }
  }

  explicit Database(std::unique_ptr<State> state);
  static base::Error failure(const std::exception& error);
  std::unique_ptr<State> state_;
};

}  // namespace xinfer::server::db
