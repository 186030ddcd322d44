// The database behind the hub: sessions, transactions, migrations. SQL is SOCI's, in the files that use it.
#pragma once
#include <concepts>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/error.h"

namespace soci {
class session;
}

namespace xinfer::server::db {

/// Thread-safe. Work given to read() and write() may run SQL that throws; exceptions become errors here.
class Database {
 public:
  /// `url`: "sqlite:PATH". Creates and migrates. kUnsupported for other kinds.
  [[nodiscard]] static base::Result<std::unique_ptr<Database>> open(const std::string& url);
  ~Database();

  /// work(soci::session&) -> Result<T>, outside a transaction, at once with others.
  template <class Work>
  auto read(Work&& work) -> std::invoke_result_t<Work, soci::session&> {
    Session session(*this, false);
    try {
      return work(session.get());
    } catch (const std::exception& error) {
      return std::unexpected(failure(error));
    }
  }

  /// work(soci::session&) -> Result<T> in one transaction that sees no other writer; an error or exception rolls back.
  template <class Work>
  auto write(Work&& work) -> std::invoke_result_t<Work, soci::session&> {
    Session session(*this, true);
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

  std::int64_t schema_version();

 private:
  class State;
  class Session {
   public:
    Session(Database& database, bool writer);
    ~Session();
    soci::session& get() { return *session_; }
    void begin();
    void commit();
    void rollback() noexcept;

   private:
    Database& database_;
    soci::session* session_;
    bool writer_, open_ = false;
  };
  explicit Database(std::unique_ptr<State> state);
  static base::Error failure(const std::exception& error);
  base::Result<void> migrate();
  std::unique_ptr<State> state_;
};

}  // namespace xinfer::server::db
