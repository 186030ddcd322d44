// Answers that stay open: event streams of jobs, who waits for a job's end, and agents waiting for a job.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "api/types.h"
#include "server/farm/farm.h"
#include "server/http/message.h"

namespace xinfer::server::farm {

using Post = std::function<void(std::function<void()>)>;

/// Event streams. A job's events are read from the database after the last one that was sent, so that none is lost
/// between history and present. Thread-safe.
class Feeds {
 public:
  /// `post` runs work on another thread.
  Feeds(Farm& farm, Post post);
  ~Feeds();
  /// Streams the job's events after `after` until it has ended, or the request `waiter` was cancelled.
  void open(std::shared_ptr<http::Stream> stream, const std::string& job, const std::string& waiter, std::int64_t after);
  /// Forgets streams whose reader has left.
  void sweep();
  void close_all();
  std::size_t count() const;

 private:
  class Channel;
  Farm& farm_;
  Post post_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Channel>> channels_;  // by job
};

/// Requests that wait for the end of a job. Thread-safe.
class EndDesk {
 public:
  /// The answer; nothing while there is more to wait for, unless it is the `last` look.
  using Look = std::function<std::optional<http::Response>(bool last)>;
  EndDesk(Farm& farm, Post post) : farm_(farm), post_(std::move(post)) {}
  void wait(std::shared_ptr<http::Exchange> exchange, const std::string& job, std::int64_t deadline_ms, Look look);
  /// Answers those whose time is over; forgets those who have left.
  void tick();
  void close_all();

 private:
  struct Waiter {
    std::shared_ptr<http::Exchange> exchange;
    Look look;
    std::int64_t deadline_ms = 0;
    std::shared_ptr<void> listening;
    std::mutex mutex;
    std::atomic<bool> answered = false;
    bool answer(bool last);
  };
  Farm& farm_;
  Post post_;
  std::mutex mutex_;
  std::list<std::shared_ptr<Waiter>> waiters_;
};

/// Agents that wait for work. A job goes to the one that has waited longest and can build it. Thread-safe.
class LeaseDesk {
 public:
  /// `answer(exchange, lease)` sends a lease.
  using Answer = std::function<void(http::Exchange&, api::Lease)>;
  LeaseDesk(Farm& farm, Post post, Answer answer);
  void wait(std::shared_ptr<http::Exchange> exchange, api::LeaseRequest request, std::int64_t deadline_ms);
  /// Lets those go whose time is over or who have left.
  void tick();
  void close_all();
  std::size_t count() const;

 private:
  struct Waiter {
    std::shared_ptr<http::Exchange> exchange;
    api::LeaseRequest request;
    std::int64_t deadline_ms = 0;
  };
  void serve();
  Farm& farm_;
  Post post_;
  Answer answer_;
  std::shared_ptr<void> listening_;
  mutable std::mutex mutex_;
  std::list<Waiter> waiters_;
  bool closed_ = false;
};

}  // namespace xinfer::server::farm
