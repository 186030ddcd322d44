#include "agent/lease_keeper.h"

#include <chrono>

#include "base/log.h"

namespace xinfer::agent {

using std::chrono::milliseconds;

namespace {
constexpr int kQuietMs = 250;  // between two reports of news
constexpr std::size_t kLinesAtOnce = 200, kLinesKept = 20'000;
}  // namespace

LeaseKeeper::LeaseKeeper(HubLink link, const api::Lease& lease)
    : link_(std::move(link)),
      job_(lease.job),
      token_(lease.token),
      interval_ms_(std::max<std::int64_t>(lease.ttl_ms / 4, 50)),
      thread_([this] { run(); }) {}

LeaseKeeper::~LeaseKeeper() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void LeaseKeeper::progress(api::Progress progress) {
  {
    const std::lock_guard lock(mutex_);
    progress_ = std::move(progress);
    dirty_ = true;
  }
  changed_.notify_all();
}

void LeaseKeeper::log(std::string line) {
  {
    const std::lock_guard lock(mutex_);
    if (lines_.size() >= kLinesKept) return;
    lines_.push_back(std::move(line));
    dirty_ = true;
  }
  changed_.notify_all();
}

void LeaseKeeper::flush() {
  std::unique_lock lock(mutex_);
  if (!dirty_ && !sending_) return;
  urgent_ = true;
  changed_.notify_all();
  sent_.wait_for(lock, milliseconds(5'000), [&] { return (!dirty_ && !sending_) || ended_; });
}

// One heartbeat. False when there is more to send.
bool LeaseKeeper::send(std::unique_lock<std::mutex>& lock) {
  api::Heartbeat beat;
  beat.token = token_;
  beat.progress = progress_;
  while (!lines_.empty() && beat.log.size() < kLinesAtOnce) {
    beat.log.push_back(std::move(lines_.front()));
    lines_.pop_front();
  }
  dirty_ = !lines_.empty();
  sending_ = true;
  lock.unlock();
  const auto reply = link_.heartbeat(job_, beat);
  lock.lock();
  sending_ = false;
  if (reply && reply->cancelled) ended_ = true;
  if (!reply) {
    // The hub's word that the lease has ended counts; a hub that does not answer may come back in time.
    if (reply.error().code == base::Code::kConflict || reply.error().code == base::Code::kNotFound) ended_ = true;
    else base::log(base::LogLevel::kWarning, "heartbeat failed", {{"job", job_}, {"error", reply.error().text()}});
    while (!beat.log.empty()) {
      lines_.push_front(std::move(beat.log.back()));
      beat.log.pop_back();
    }
  }
  sent_.notify_all();
  return !dirty_;
}

void LeaseKeeper::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_ && !ended_) {
    changed_.wait_for(lock, milliseconds(interval_ms_), [&] { return stopping_ || dirty_; });
    if (stopping_) return;
    if (dirty_ && !urgent_) changed_.wait_for(lock, milliseconds(kQuietMs), [&] { return stopping_ || urgent_; });
    if (stopping_) return;
    if (send(lock)) urgent_ = false;
  }
}

}  // namespace xinfer::agent
