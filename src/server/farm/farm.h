// The build farm: jobs, who waits for them, leases, and what the agents report. The database row is the truth about a job.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "api/types.h"
#include "base/error.h"
#include "server/db/database.h"
#include "server/farm/estimate.h"
#include "server/farm/fair_share.h"
#include "server/farm/kinds.h"
#include "server/metrics.h"
#include "server/settings.h"

namespace soci {
class session;
}

namespace xinfer::server::farm {

/// What is to be done: everything that the result depends on.
struct JobSpec {
  const JobKind* kind = &kBuild;
  std::string organisation;  // that owns the result; "public" for the catalogue's models with their own shapes
  std::string model, licence;
  bool default_shapes = false;  // the model's own
  std::string onnx;             // digest
  std::string target, precision;
  api::Shapes shapes;
  api::Profiles profiles;
  std::optional<api::Metadata> metadata;
  std::optional<api::JobOptions> options;
  std::int64_t priority = 0;
  std::string trace;  // traceparent of the request
  bool ready = true;  // the ONNX file is in the store
};

struct Submitted {
  std::string build, job;
  bool cached = false;  // an engine of an identical request is in the store
  bool created = false;  // a new job
  bool fetch = false;   // it waits for its ONNX file
};

struct BuildQuery {
  std::string state, model;
  std::int64_t offset = 0, limit = 100;
};

/// Tells listeners that something about a topic has changed; they look for themselves. Topics: a job's id, "queue".
/// With several hubs on one database, relay() sends topics to the others and deliver() takes theirs. Thread-safe.
class Notifier {
 public:
  using Listener = std::function<void()>;
  /// To be set before use; called for every notify().
  void relay(std::function<void(const std::string& topic)> send) { relay_ = std::move(send); }
  /// Tells this hub's listeners; of all topics where `topic` is empty.
  void deliver(const std::string& topic);
  /// Keep the handle as long as you listen.
  [[nodiscard]] std::shared_ptr<void> listen(const std::string& topic, Listener listener);
  void notify(const std::string& topic);
  std::size_t listeners() const;

 private:
  struct Entry {
    std::string topic;
    Listener listener;
  };
  std::function<void(const std::string&)> relay_;
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<std::weak_ptr<Entry>>> topics_;
};

struct Totals {
  std::map<std::string, std::int64_t> jobs_by_state;
  struct Waiting {
    std::int64_t jobs = 0, oldest_ms = 0;  // age
  };
  std::map<std::string, Waiting> queued_by_class;  // of agents: queue/channel.h
  std::int64_t oldest_queued_ms = 0;  // age
};

/// Thread-safe; every call is one transaction.
class Farm {
 public:
  Farm(db::Database& database, const Settings& settings, Metrics& metrics, std::function<std::int64_t()> now_ms);

  // ---- For those who want engines and other results. `organisation`: the caller's.
  /// One more waiter: on the finished job of an identical request, on the one in flight, or on a new one.
  [[nodiscard]] base::Result<Submitted> submit(const JobSpec& spec, const std::string& organisation,
                                               const std::string& requester, const std::string& name);
  struct Matrix {
    std::string id;
    std::vector<Submitted> builds;  // in the order of the specs
  };
  /// One request for several engines: all of it is accepted or nothing.
  [[nodiscard]] base::Result<Matrix> submit_matrix(std::span<const JobSpec> specs, const std::string& organisation,
                                                   const std::string& requester, const std::string& name);
  /// kNotFound when the organisation has no such matrix.
  [[nodiscard]] base::Result<api::Matrix> matrix(const std::string& organisation, const std::string& id);
  [[nodiscard]] base::Result<api::Build> build(const std::string& organisation, const std::string& id);
  [[nodiscard]] base::Result<api::BuildPage> builds(const std::string& organisation, const BuildQuery& query);
  /// A request of another kind than builds.
  [[nodiscard]] base::Result<api::Job> job(const std::string& organisation, const JobKind& kind, const std::string& id);
  /// The waiter leaves; the job goes on while another waits. kConflict once it has ended.
  [[nodiscard]] base::Result<void> cancel(const std::string& organisation, const JobKind& kind, const std::string& id);
  /// Events of the job after `after`, oldest first.
  [[nodiscard]] base::Result<std::vector<api::Event>> events(const std::string& job, std::int64_t after,
                                                             std::int64_t limit);
  /// When those of the job's builds were cancelled that were, by build.
  [[nodiscard]] base::Result<std::map<std::string, std::int64_t>> cancelled_builds(const std::string& job);
  /// Finished engines of a model for its default shapes, newest first per target and precision.
  [[nodiscard]] base::Result<std::vector<api::Engine>> engines(const std::string& organisation,
                                                               const std::string& model);
  /// The same of all models, by model.
  [[nodiscard]] base::Result<std::map<std::string, std::vector<api::Engine>>> engines(const std::string& organisation);
  /// The file name of an engine that is public or that the organisation holds; empty when there is none.
  [[nodiscard]] base::Result<std::string> engine_file(const std::string& organisation, const std::string& digest);
  [[nodiscard]] base::Result<bool> may_read_blob(const std::string& organisation, const std::string& digest);
  [[nodiscard]] base::Result<void> hold_blob(const std::string& organisation, const std::string& digest,
                                             std::int64_t size_bytes);

  // ---- For sources
  struct Waiting {
    std::string onnx, model;
  };
  [[nodiscard]] base::Result<std::vector<Waiting>> waiting_for_sources();
  [[nodiscard]] base::Result<void> source_ready(const std::string& onnx);
  [[nodiscard]] base::Result<void> source_failed(const std::string& onnx, const api::BuildError& error);
  [[nodiscard]] base::Result<void> source_progress(const std::string& onnx, const api::Progress& progress);

  // ---- For agents. kConflict: the lease is not (or no longer) theirs.
  [[nodiscard]] base::Result<std::optional<api::Lease>> lease(const api::LeaseRequest& request);
  [[nodiscard]] base::Result<api::HeartbeatReply> heartbeat(const std::string& job, const api::Heartbeat& heartbeat);
  struct Leased {
    std::string organisation, onnx, state, engine;
  };
  [[nodiscard]] base::Result<Leased> check_lease(const std::string& job, const std::string& token);
  [[nodiscard]] base::Result<void> complete(const std::string& job, const api::Completion& completion,
                                            std::int64_t engine_bytes);
  [[nodiscard]] base::Result<void> fail_attempt(const std::string& job, const api::Failure& failure);
  /// Ends the leases of an agent that is known to be dead.
  [[nodiscard]] base::Result<void> agent_died(const std::string& agent);
  /// Requeues jobs whose lease has expired; gives up those without attempts left. How many expired.
  [[nodiscard]] base::Result<std::int64_t> reap();

  /// Agents that were seen within a day.
  [[nodiscard]] base::Result<api::AgentList> agents();
  [[nodiscard]] base::Result<Totals> totals();
  Notifier& notifier() { return notifier_; }
  std::int64_t now_ms() const { return now_(); }
  /// Architectures that agents asked work for within the last minute.
  std::vector<std::string> live_targets() const;

  /// The rules of fair shares, with what builds take these days.
  FairShare shares() const;

 private:
  [[nodiscard]] base::Result<std::vector<Submitted>> submit_all(std::span<const JobSpec> specs,
                                                                const std::string& organisation,
                                                                const std::string& requester, const std::string& name,
                                                                const std::string& matrix);
  void seen(const api::LeaseRequest& request);
  bool write_seen(const std::string& agent);
  History history(soci::session& sql, const std::string& target);
  /// With what is left by the history of its target, where there is one.
  api::Progress estimated(soci::session& sql, const std::string& target, api::Progress progress);
  /// Why no agent that is there can do the job; empty where one can.
  std::string waiting_for(soci::session& sql, const JobRow& job);
  void learn_build_time(std::int64_t build_ms);
  void learn_from(const JobRow& build, const api::Completion& completion, long long now);
  db::Database& database_;
  const Settings& settings_;
  Metrics& metrics_;
  std::function<std::int64_t()> now_;
  Notifier notifier_;
  std::atomic<double> expected_ms_{FairShare().expected_ms};
  mutable std::mutex seen_mutex_;
  std::map<std::string, std::int64_t> seen_;           // target -> when
  std::map<std::string, std::int64_t> agents_written_;  // agent -> when the database was told
  std::mutex histories_mutex_;
  struct KnownHistory {
    std::int64_t read_ms = 0;
    History history;
  };
  std::map<std::string, KnownHistory> histories_;  // by target
  std::mutex fleet_mutex_;
  std::int64_t fleet_read_ms_ = 0;
  std::vector<api::Agent> fleet_;  // that are there
};

/// File name and URL of an engine.
void name_engine(api::Engine& engine);

}  // namespace xinfer::server::farm
