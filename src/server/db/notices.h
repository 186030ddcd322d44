// What hubs on one PostgreSQL tell each other: short texts, by LISTEN and NOTIFY.
#pragma once
#include <functional>
#include <memory>
#include <string>

namespace xinfer::server::db {

/// A connection of its own, kept by a thread. Notices get lost while the database is away, so they are hints: whoever
/// gets one looks into the database. Thread-safe.
class Notices {
 public:
  /// `on_notice(text)` is called on the thread for what other hubs send, and with an empty text after each time that the
  /// connection was made: anything may have been missed.
  Notices(const std::string& url, std::function<void(const std::string&)> on_notice);
  ~Notices();
  /// Sends soon; never blocks on the database. Texts that wait already are not sent twice.
  void send(const std::string& text);

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace xinfer::server::db
