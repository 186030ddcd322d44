#include "server/farm/feeds.h"

#include <fmt/format.h>

#include <atomic>

#include "api/codec.h"

namespace xinfer::server::farm {
namespace {

constexpr std::int64_t kBatch = 500;

bool is_end(const std::string& state) { return state == "succeeded" || state == "failed" || state == "cancelled"; }

std::string frame(const api::Event& event) {
  return fmt::format("id: {}\nevent: {}\ndata: {}\n\n", event.id, event.kind, api::encode(event));
}

}  // namespace

class Feeds::Feed : public std::enable_shared_from_this<Feeds::Feed> {
 public:
  Feed(Farm& farm, std::shared_ptr<http::Stream> stream, std::string organisation, const api::Build& build,
       std::int64_t after)
      : farm_(farm),
        stream_(std::move(stream)),
        organisation_(std::move(organisation)),
        build_(build.id),
        job_(build.job),
        last_(after) {}

  void listen(const Post& post) {
    const std::lock_guard lock(mutex_);  // a note may come, and end the feed, before listening_ is set
    listening_ = farm_.notifier().listen(job_, [weak = weak_from_this(), post] {
      // Many notes between two looks are one look.
      const auto self = weak.lock();
      if (self && !self->pending_.exchange(true)) post([self] { self->pump(); });
    });
  }

  void pump() {
    const std::lock_guard lock(mutex_);
    pending_ = false;
    while (!ended_) {
      const auto events = farm_.events(job_, last_, kBatch);
      if (!events) return end();
      std::string text;
      for (const api::Event& event : *events) {
        text += frame(event);
        last_ = event.id;
        if (event.kind == "state" && is_end(event.text)) ended_ = true;
      }
      if (!text.empty() && !stream_->write(std::move(text))) return end();
      if (events->size() < kBatch) break;
    }
    if (ended_) return end();
    // A waiter that left sees its own end, though the job goes on for others.
    const auto build = farm_.build(organisation_, build_);
    if (build && build->state == "cancelled") {
      stream_->write(frame(api::Event{last_, "state", build->finished_ms, "cancelled", {}}));
      end();
    }
  }

  void end() {
    ended_ = true;
    listening_.reset();
    stream_->close();
  }
  void close() {
    const std::lock_guard lock(mutex_);
    end();
  }
  bool over() const { return ended_ || stream_->closed(); }

 private:
  Farm& farm_;
  std::shared_ptr<http::Stream> stream_;
  std::string organisation_, build_, job_;
  std::mutex mutex_;
  std::int64_t last_;
  std::atomic<bool> ended_{false}, pending_{false};
  std::shared_ptr<void> listening_;
};

Feeds::Feeds(Farm& farm, Post post) : farm_(farm), post_(std::move(post)) {}
Feeds::~Feeds() = default;

void Feeds::open(std::shared_ptr<http::Stream> stream, const std::string& organisation, const api::Build& build,
                 std::int64_t after) {
  auto feed = std::make_shared<Feed>(farm_, std::move(stream), organisation, build, after);
  feed->listen(post_);
  {
    const std::lock_guard lock(mutex_);
    feeds_.push_back(feed);
  }
  feed->pump();
}

void Feeds::sweep() {
  std::list<std::shared_ptr<Feed>> gone;
  const std::lock_guard lock(mutex_);
  for (auto it = feeds_.begin(); it != feeds_.end();) {
    auto next = std::next(it);
    if ((*it)->over()) gone.splice(gone.end(), feeds_, it);
    it = next;
  }
}

void Feeds::close_all() {
  std::list<std::shared_ptr<Feed>> all;
  {
    const std::lock_guard lock(mutex_);
    all.swap(feeds_);
  }
  for (const auto& feed : all) feed->close();
}

std::size_t Feeds::count() const {
  const std::lock_guard lock(mutex_);
  return feeds_.size();
}

LeaseDesk::LeaseDesk(Farm& farm, Post post, Answer answer)
    : farm_(farm), post_(std::move(post)), answer_(std::move(answer)) {
  listening_ = farm_.notifier().listen("queue", [this] { post_([this] { serve(); }); });
}

void LeaseDesk::wait(std::shared_ptr<http::Exchange> exchange, api::LeaseRequest request, std::int64_t deadline_ms) {
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return exchange->respond(http::Response{204, {}, {}, {}});
    waiters_.push_back({std::move(exchange), std::move(request), deadline_ms});
  }
  serve();  // a job may have come between the caller's look and now
}

void LeaseDesk::serve() {
  const std::lock_guard lock(mutex_);
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    if (it->exchange->closed()) {
      it = waiters_.erase(it);
      continue;
    }
    auto lease = farm_.lease(it->request);
    if (!lease) {
      it->exchange->respond(http::Response::error(lease.error()));
    } else if (*lease) {
      answer_(*it->exchange, std::move(**lease));
    } else {
      ++it;
      continue;
    }
    it = waiters_.erase(it);
  }
}

void LeaseDesk::tick() {
  const std::lock_guard lock(mutex_);
  const std::int64_t now = farm_.now_ms();
  std::erase_if(waiters_, [&](const Waiter& waiter) {
    if (waiter.exchange->closed()) return true;
    if (waiter.deadline_ms > now) return false;
    waiter.exchange->respond(http::Response{204, {}, {}, {}});
    return true;
  });
}

void LeaseDesk::close_all() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  listening_.reset();
  for (const Waiter& waiter : waiters_) waiter.exchange->respond(http::Response{204, {}, {}, {}});
  waiters_.clear();
}

std::size_t LeaseDesk::count() const {
  const std::lock_guard lock(mutex_);
  return waiters_.size();
}

}  // namespace xinfer::server::farm
