#include "server/queue/announcer.h"

#include <soci/soci.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "queue/channel.h"
#include "server/farm/kinds.h"

namespace xinfer::server::queue {

using base::Code;
using base::Result;
using std::chrono::milliseconds;
using xinfer::queue::Channel;
using xinfer::queue::Message;
using xinfer::queue::queue_of;

namespace {

constexpr int kTimeoutMs = 10'000;
constexpr long long kBatch = 500;

struct Waiting {
  std::string id, kind, target;
  long long event = 0;
};

}  // namespace

class Announcer::State {
 public:
  State(db::Database& database, const Settings& settings, Metrics& metrics, std::function<std::int64_t()> now_ms)
      : database_(database), settings_(settings), metrics_(metrics), now_(std::move(now_ms)) {}
  void begin() {
    thread_ = std::thread([this] { work(); });
  }
  ~State() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }
  void wake() {
    {
      const std::lock_guard lock(mutex_);
      wanted_ = true;
    }
    changed_.notify_all();
  }

 private:
  void work() {
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, milliseconds(settings_.queue_poll_ms), [&] { return stopping_ || wanted_; });
        if (stopping_) return;
        wanted_ = false;
      }
      for (Result<std::size_t> announced = kBatch; announced && *announced == kBatch;) {
        announced = announce();
        if (announced) continue;
        channel_.reset();
        if (announced.error().where == "queue")
          base::log(base::LogLevel::kWarning, "jobs are not announced; agents find them by polling",
                    {{"error", announced.error().message}});
      }
    }
  }

  // One batch; how many.
  Result<std::size_t> announce() {
    const long long now = now_(), before = now - settings_.queue_repeat_ms;
    XI_TRY(const std::vector<Waiting> batch, database_.read([&](soci::session& sql) -> Result<std::vector<Waiting>> {
      std::vector<Waiting> jobs;
      Waiting job;
      soci::statement rows =
          (sql.prepare << "SELECT id, kind, target, last_event FROM jobs WHERE state = 'queued' AND ready = 1 AND "
                          "(announced_event <> last_event OR announced_ms < :t) ORDER BY created_ms LIMIT :l",
           soci::into(job.id), soci::into(job.kind), soci::into(job.target), soci::into(job.event), soci::use(before), soci::use(kBatch));
      rows.execute();
      while (rows.fetch()) jobs.push_back(job);
      return jobs;
    }));
    if (batch.empty()) return 0;
    if (!channel_) {
      XI_TRY(channel_, Channel::connect(settings_.queue_url, kTimeoutMs));
      declared_.clear();
    }
    std::vector<Message> messages;
    for (const Waiting& job : batch) {
      const farm::JobKind* kind = farm::find_kind(job.kind);
      if (!kind) continue;  // of a newer hub
      const std::string queue = queue_of(farm::announced_as(*kind, job.target));
      if (declared_.insert(queue).second) XI_CHECK(channel_->declare(queue));
      messages.push_back({queue, job.id});
    }
    XI_CHECK(channel_->publish(messages));
    metrics_.count("xinfer_jobs_announced_total", "", static_cast<double>(messages.size()));
    XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
      for (const Waiting& job : batch)
        sql << "UPDATE jobs SET announced_event = :e, announced_ms = :t WHERE id = :j", soci::use(job.event),
            soci::use(now), soci::use(job.id);
      return {};
    }));
    return batch.size();
  }

  db::Database& database_;
  const Settings& settings_;
  Metrics& metrics_;
  std::function<std::int64_t()> now_;
  std::unique_ptr<Channel> channel_;
  std::set<std::string> declared_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false, wanted_ = true;
  std::thread thread_;
};

Announcer::Announcer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Announcer::~Announcer() = default;
void Announcer::wake() { state_->wake(); }

Result<std::unique_ptr<Announcer>> Announcer::start(db::Database& database, const Settings& settings, Metrics& metrics,
                                                    std::function<std::int64_t()> now_ms) {
  if (auto channel = Channel::connect(settings.queue_url, kTimeoutMs);
      !channel && channel.error().code != Code::kUnavailable)
    return std::unexpected(std::move(channel).error().in("queue.url"));
  auto state = std::make_unique<State>(database, settings, metrics, std::move(now_ms));
  state->begin();
  return std::unique_ptr<Announcer>(new Announcer(std::move(state)));
}

}  // namespace xinfer::server::queue
