// Answers that stay open: event streams of builds, and agents waiting for a job.
#pragma once
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
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
  /// Streams the build's events after `after` until the build has ended.
  void open(std::shared_ptr<http::Stream> stream, const api::Build& build, std::int64_t after);
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
