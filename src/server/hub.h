// The hub, assembled: database, store, catalogue, farm, HTTP server, local agents.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/error.h"
#include "server/accounts/accounts.h"
#include "server/settings.h"

namespace xinfer::server {

struct HubOptions {
  std::filesystem::path data_folder;
  Settings settings;
  std::function<std::int64_t()> now_ms;  // the clock; empty: the system's
};

/// A running hub, from start() to stop() or destruction. Thread-safe.
class Hub {
 public:
  [[nodiscard]] static base::Result<std::unique_ptr<Hub>> start(HubOptions options);
  ~Hub();
  /// "http://127.0.0.1:8080", with the real port.
  std::string address() const;
  /// The administrator's token, when this start has made it; shown once and known to nobody afterwards.
  const std::string& new_administrator_token() const;
  accounts::Accounts& accounts();
  /// Stops taking requests, gives local agents a moment to hand back their jobs, ends. Idempotent.
  void stop();

 private:
  class State;
  explicit Hub(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace xinfer::server
