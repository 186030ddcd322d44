// Announces waiting jobs in RabbitMQ, so that agents and autoscalers learn of them. The rows stay the truth.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

#include "base/error.h"
#include "server/db/database.h"
#include "server/metrics.h"
#include "server/settings.h"

namespace xinfer::server::queue {

/// A thread that publishes a message for every job that waits: once when it begins to wait (again), and once more each
/// queue.repeat_ms while it still does. A job may be announced twice, by two hubs or after a crash; whoever gets a
/// message asks for a job, and that there is none left does no harm. Thread-safe.
class Announcer {
 public:
  /// kInvalidArgument, kUnsupported for a URL that can never work. A broker that does not answer is tried again.
  [[nodiscard]] static base::Result<std::unique_ptr<Announcer>> start(db::Database& database, const Settings& settings,
                                                                      Metrics& metrics,
                                                                      std::function<std::int64_t()> now_ms);
  ~Announcer();
  /// Something began to wait.
  void wake();

 private:
  class State;
  explicit Announcer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace xinfer::server::queue
