// Renews a lease from a thread of its own, and carries progress and log lines to the hub with it.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "agent/hub_link.h"
#include "api/types.h"

namespace xinfer::agent {

/// From construction to destruction. Thread-safe.
class LeaseKeeper {
 public:
  LeaseKeeper(HubLink link, const api::Lease& lease);
  ~LeaseKeeper();
  void progress(api::Progress progress);
  void log(std::string line);
  /// Sends what is waiting, now.
  void flush();
  /// Whether the attempt is to be given up: cancelled by its requesters, or the lease has ended.
  bool ended() const { return ended_; }

 private:
  void run();
  bool send(std::unique_lock<std::mutex>& lock);
  HubLink link_;
  const std::string job_, token_;
  const std::int64_t interval_ms_;
  std::mutex mutex_;
  std::condition_variable changed_, sent_;
  std::optional<api::Progress> progress_;
  std::deque<std::string> lines_;
  bool stopping_ = false, dirty_ = false, urgent_ = false, sending_ = false;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace xinfer::agent
