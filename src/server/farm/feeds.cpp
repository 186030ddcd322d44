#include "server/farm/feeds.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "api/codec.h"
#include "api/states.h"

namespace xinfer::server::farm {

using base::Result;

namespace {

constexpr std::int64_t kBatch = 500;

std::string frame(const api::Event& event) {
  return fmt::format("id: {}\nevent: {}\ndata: {}\n\n", event.id, event.kind, api::encode(event));
}

}  // namespace

// The events of one job, for all who watch it: read from the database once, sent to each.
class Feeds::Channel : public std::enable_shared_from_this<Feeds::Channel> {
 public:
  Channel(Farm& farm, std::string job) : farm_(farm), job_(std::move(job)) {}

  void listen(const Post& post) {
    listening_ = farm_.notifier().listen(job_, [weak = weak_from_this(), post] {
      // Many notes between two looks are one look.
      const auto self = weak.lock();
      if (self && !self->pending_.exchange(true)) post([self] { self->pump(); });
    });
  }

  // Somebody is about to add a reader: the channel is not over.
  void expect() { ++expected_; }

  // `after`: the last event that the reader has.
  void add(std::shared_ptr<http::Stream> stream, std::string build, std::int64_t after) {
    const std::lock_guard lock(mutex_);
    Reader reader{std::move(stream), std::move(build), after};
    const bool on = catch_up(reader) && !leave_if_cancelled(reader, farm_.cancelled_builds(job_));
    if (on) last_ = readers_.empty() ? reader.last : std::min(last_, reader.last);
    else reader.stream->close();
    if (on) readers_.push_back(std::move(reader));
    --expected_;
  }

  // Forgets readers that have left.
  void sweep() {
    const std::lock_guard lock(mutex_);
    std::erase_if(readers_, [](const Reader& reader) { return reader.stream->closed(); });
  }
  void close() {
    const std::lock_guard lock(mutex_);
    end();
  }
  bool over() const {
    const std::lock_guard lock(mutex_);
    return readers_.empty() && expected_ == 0;
  }
  std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return readers_.size();
  }

 private:
  struct Reader {
    std::shared_ptr<http::Stream> stream;
    std::string build;
    std::int64_t last = 0;  // event that it has
  };
  // Events as the stream has them.
  struct Batch {
    std::string text;
    std::vector<std::pair<std::int64_t, std::size_t>> starts;  // where in the text the event of this number begins
    bool full = false, ends = false;
  };

  Result<Batch> read(std::int64_t after) {
    XI_TRY(const std::vector<api::Event> events, farm_.events(job_, after, kBatch));
    Batch batch;
    for (const api::Event& event : events) {
      batch.starts.emplace_back(event.id, batch.text.size());
      batch.text += frame(event);
      batch.ends |= event.kind == "state" && api::is_final(event.text);
    }
    batch.full = static_cast<std::int64_t>(events.size()) == kBatch;
    return batch;
  }

  // False when the reader is gone.
  static bool send(Reader& reader, const Batch& batch) {
    const auto news = std::ranges::upper_bound(batch.starts, reader.last, {}, &std::pair<std::int64_t, std::size_t>::first);
    if (news == batch.starts.end()) return !reader.stream->closed();
    reader.last = batch.starts.back().first;
    return reader.stream->write(batch.text.substr(news->second));
  }

  // False when nothing more comes for the reader.
  bool catch_up(Reader& reader) {
    for (;;) {
      const auto batch = read(reader.last);
      if (!batch || !send(reader, *batch) || batch->ends) return false;
      if (!batch->full) return true;
    }
  }

  // A waiter that left sees its own end, though the job goes on for others.
  static bool leave_if_cancelled(Reader& reader, const Result<std::map<std::string, std::int64_t>>& cancelled) {
    if (!cancelled) return false;
    const auto found = cancelled->find(reader.build);
    if (found == cancelled->end()) return false;
    reader.stream->write(frame(api::Event{reader.last, "state", found->second, "cancelled", {}}));
    return true;
  }

  void pump() {
    const std::lock_guard lock(mutex_);
    pending_ = false;
    if (readers_.empty()) return;
    for (;;) {
      const auto batch = read(last_);
      if (!batch) return end();
      std::erase_if(readers_, [&](Reader& reader) { return !send(reader, *batch); });
      if (batch->ends) return end();
      if (!batch->starts.empty()) last_ = batch->starts.back().first;
      if (!batch->full) break;
    }
    const auto cancelled = farm_.cancelled_builds(job_);
    if (cancelled && cancelled->empty()) return;
    std::erase_if(readers_, [&](Reader& reader) {
      const bool leaves = leave_if_cancelled(reader, cancelled);
      if (leaves) reader.stream->close();
      return leaves;
    });
  }

  void end() {
    for (const Reader& reader : readers_) reader.stream->close();
    readers_.clear();
  }

  Farm& farm_;
  const std::string job_;
  mutable std::mutex mutex_;
  std::vector<Reader> readers_;
  std::int64_t last_ = 0;  // event that all of them have
  std::atomic<int> expected_{0};
  std::atomic<bool> pending_{false};
  std::shared_ptr<void> listening_;
};

Feeds::Feeds(Farm& farm, Post post) : farm_(farm), post_(std::move(post)) {}
Feeds::~Feeds() = default;

void Feeds::open(std::shared_ptr<http::Stream> stream, const std::string& job, const std::string& waiter,
                 std::int64_t after) {
  std::shared_ptr<Channel> channel;
  {
    const std::lock_guard lock(mutex_);
    auto& entry = channels_[job];
    if (!entry) {
      entry = std::make_shared<Channel>(farm_, job);
      entry->listen(post_);
    }
    channel = entry;
    channel->expect();
  }
  channel->add(std::move(stream), waiter, after);
}

void Feeds::sweep() {
  const std::lock_guard lock(mutex_);
  for (const auto& [job, channel] : channels_) channel->sweep();
  std::erase_if(channels_, [](const auto& item) { return item.second->over(); });
}

void Feeds::close_all() {
  std::map<std::string, std::shared_ptr<Channel>> all;
  {
    const std::lock_guard lock(mutex_);
    all.swap(channels_);
  }
  for (const auto& [job, channel] : all) channel->close();
}

std::size_t Feeds::count() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& [job, channel] : channels_) count += channel->count();
  return count;
}

// Whether nothing more is to be done for it.
bool EndDesk::Waiter::answer(bool last) {
  const std::lock_guard lock(mutex);
  if (answered || exchange->closed()) return true;
  auto response = look(last);
  if (!response) return false;
  exchange->respond(std::move(*response));
  return answered = true;
}

void EndDesk::wait(std::shared_ptr<http::Exchange> exchange, const std::string& job, std::int64_t deadline_ms, Look look) {
  const auto waiter = std::make_shared<Waiter>();
  waiter->exchange = std::move(exchange);
  waiter->look = std::move(look);
  waiter->deadline_ms = deadline_ms;
  waiter->listening = farm_.notifier().listen(job, [this, weak = std::weak_ptr(waiter)] {
    post_([weak] {
      if (const auto self = weak.lock()) self->answer(false);
    });
  });
  if (waiter->answer(false)) return;  // it may have ended between the caller's look and now
  const std::lock_guard lock(mutex_);
  waiters_.push_back(waiter);
}

void EndDesk::tick() {
  std::list<std::shared_ptr<Waiter>> all;
  {
    const std::lock_guard lock(mutex_);
    all = waiters_;
  }
  const std::int64_t now = farm_.now_ms();
  std::erase_if(all, [&](const auto& waiter) { return !waiter->exchange->closed() && waiter->deadline_ms > now && !waiter->answered; });
  for (const auto& waiter : all) waiter->answer(true);
  const std::lock_guard lock(mutex_);
  std::erase_if(waiters_, [&](const auto& waiter) { return std::ranges::find(all, waiter) != all.end(); });
}

void EndDesk::close_all() {
  std::list<std::shared_ptr<Waiter>> all;
  {
    const std::lock_guard lock(mutex_);
    all.swap(waiters_);
  }
  for (const auto& waiter : all) waiter->answer(true);
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
