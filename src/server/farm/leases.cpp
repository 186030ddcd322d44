// The farm as agents see it: leases, heartbeats, results; and what ends leases that nobody renews.
#include <soci/soci.h>

#include <algorithm>

#include "api/codec.h"
#include "base/digest.h"
#include "base/log.h"
#include "server/farm/farm.h"
#include "server/farm/fleet.h"
#include "server/farm/rows.h"

namespace xinfer::server::farm {

using base::Code;
using base::Result;

namespace {

std::unexpected<base::Error> stale() {
  return base::fail(Code::kConflict,
                    "this lease has ended: the job was requeued, cancelled or finished; drop the attempt");
}

Result<void> load_leased(soci::session& sql, JobRow& row, const std::string& job, const std::string& token) {
  if (!load_job(sql, row, "WHERE j.id = :a", job))
    return base::fail(Code::kNotFound, "no job \"{}\"", job.substr(0, 100));
  if (row.state != "leased" || token.empty() || !base::equal_secret(row.lease_token, token)) return stale();
  return {};
}

// What is left of a job that nobody will try again, beside its own state.
void give_up(soci::session& sql, const JobRow& job, const std::string& why) {
  const JobKind* kind = find_kind(job.kind);
  if (kind && kind->give_up) kind->give_up(sql, job, why);
}

std::string cut_line(const std::string& line, std::size_t limit) {
  std::string result = line.substr(0, limit);
  while (result.size() < line.size() && !result.empty() && (static_cast<unsigned char>(result.back()) & 0xC0) == 0x80)
    result.pop_back();
  for (char& c : result)
    if (c == '\n' || c == '\r') c = ' ';
  return result;
}

}  // namespace

std::shared_ptr<void> Notifier::listen(const std::string& topic, Listener listener) {
  auto entry = std::make_shared<Entry>(Entry{topic, std::move(listener)});
  const std::lock_guard lock(mutex_);
  auto& list = topics_[topic];
  std::erase_if(list, [](const auto& weak) { return weak.expired(); });
  list.push_back(entry);
  return entry;
}

void Notifier::notify(const std::string& topic) {
  deliver(topic);
  if (relay_) relay_(topic);
}

void Notifier::deliver(const std::string& topic) {
  std::vector<std::shared_ptr<Entry>> entries;
  {
    const std::lock_guard lock(mutex_);
    for (auto it = topic.empty() ? topics_.begin() : topics_.find(topic); it != topics_.end();) {
      std::erase_if(it->second, [](const auto& weak) { return weak.expired(); });
      for (const auto& weak : it->second)
        if (auto entry = weak.lock()) entries.push_back(std::move(entry));
      it = it->second.empty() ? topics_.erase(it) : std::next(it);
      if (!topic.empty()) break;
    }
  }
  for (const auto& entry : entries) entry->listener();
}

std::size_t Notifier::listeners() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& [topic, list] : topics_)
    for (const auto& weak : list) count += !weak.expired();
  return count;
}

Farm::Farm(db::Database& database, const Settings& settings, Metrics& metrics, std::function<std::int64_t()> now_ms)
    : database_(database), settings_(settings), metrics_(metrics), now_(std::move(now_ms)) {}

void Farm::seen(const api::LeaseRequest& request) {
  const std::lock_guard lock(seen_mutex_);
  for (const std::string& target : request.targets) seen_[target] = now_();
}

// Whether it is time to tell the database (and so the other hubs) again that the agent is there.
bool Farm::write_seen(const std::string& agent) {
  constexpr std::int64_t kAgainMs = kLiveMs / 6;
  constexpr std::size_t kAgents = 100'000;
  const std::lock_guard lock(seen_mutex_);
  if (agents_written_.size() > kAgents) agents_written_.clear();
  std::int64_t& written = agents_written_[agent];
  if (written != 0 && now_() - written < kAgainMs) return false;
  written = now_();
  return true;
}

History Farm::history(soci::session& sql, const std::string& target) {
  constexpr std::int64_t kFreshMs = 30'000;
  constexpr int kBuilds = 20;
  const std::lock_guard lock(histories_mutex_);
  KnownHistory& known = histories_[target];
  if (known.read_ms != 0 && now_() - known.read_ms < kFreshMs) return known.history;
  known = {now_(), {}};
  std::string report;
  soci::statement rows =
      (sql.prepare << fmt::format("SELECT report FROM jobs WHERE target = :t AND state = 'succeeded' AND kind = 'build' ORDER BY finished_ms DESC LIMIT {}", kBuilds),
       soci::into(report), soci::use(target));
  rows.execute();
  while (rows.fetch())
    if (const auto read = api::decode<api::BuildReport>(report, api::Unknown::kIgnore)) known.history.add(*read);
  return known.history;
}

api::Progress Farm::estimated(soci::session& sql, const std::string& target, api::Progress progress) {
  const History known = history(sql, target);
  progress.remaining_ms = known.remaining_ms(progress);
  if (progress.remaining_ms) progress.builds = known.builds();
  return progress;
}

std::string Farm::waiting_for(soci::session& sql, const JobRow& job) {
  constexpr std::int64_t kFreshMs = 2'000;  // many ask after the same jobs
  const JobKind* kind = find_kind(job.kind);
  if (!kind) return "no agent does jobs of kind " + job.kind;
  const std::lock_guard lock(fleet_mutex_);
  if (fleet_read_ms_ == 0 || now_() - fleet_read_ms_ >= kFreshMs) {
    fleet_ = farm::agents(sql, now_() - kLiveMs, now_());
    fleet_read_ms_ = now_();
  }
  for (const api::Agent& agent : fleet_)
    if (can_do(agent, *kind, job.target)) return {};
  return fmt::format(fmt::runtime(kind->nobody), job.target);
}

std::vector<std::string> Farm::live_targets() const {
  const std::lock_guard lock(seen_mutex_);
  std::vector<std::string> live;
  for (const auto& [target, when] : seen_)
    if (now_() - when < 60'000) live.push_back(target);
  return live;
}

namespace {

struct Turn {
  std::string organisation;
  bool urgent = false;  // a job of an urgent kind
};

// Whose turn it is among those with a job that can be done; urgent kinds go first and know no quota.
std::optional<Turn> next_turn(soci::session& sql, const std::string& doable, const std::string& spared,
                              const FairShare& shares, long long now) {
  std::vector<Turn> turns[2];
  std::vector<Claim> claims[2];
  std::string organisation;
  long long urgent = 0, weight = 0, quota = 0, running = 0, used = 0, used_at = 0, priority = 0, since = 0;
  soci::statement rows =
      (sql.prepare << "SELECT o.id, q.urgent, o.weight, o.running_quota, o.used_ms, o.used_at_ms, q.priority, q.since, "
                      "COALESCE(r.running, 0) FROM (SELECT organisation, CASE WHEN kind IN (" + urgent_kinds() +
                          ") THEN 1 ELSE 0 END AS urgent, MAX(priority) AS priority, MIN(created_ms) AS "
                          "since FROM jobs j WHERE state = 'queued' AND ready = 1 AND " +
                          doable + spared +
                          " GROUP BY 1, 2) q JOIN organisations o ON o.id = q.organisation LEFT JOIN (SELECT "
                          "organisation, COUNT(*) AS running FROM jobs WHERE state = 'leased' AND kind NOT IN (" + urgent_kinds() +
                          ") GROUP BY organisation) r ON r.organisation = o.id ORDER BY o.id",
       soci::into(organisation), soci::into(urgent), soci::into(weight), soci::into(quota), soci::into(used), soci::into(used_at),
       soci::into(priority), soci::into(since), soci::into(running));
  rows.execute();
  while (rows.fetch()) {
    turns[urgent].push_back({organisation, urgent != 0});
    claims[urgent].push_back({weight, urgent != 0 ? 0 : quota, running, {static_cast<double>(used), used_at}, priority, since});
  }
  for (const int first : {1, 0})
    if (const auto chosen = shares.choose(claims[first], now)) return turns[first][*chosen];
  return std::nullopt;
}

}  // namespace

FairShare Farm::shares() const {
  return {settings_.farm_usage_half_life_ms, expected_ms_.load(std::memory_order_relaxed)};
}

// A running mean of what builds take: the charge for those that run.
void Farm::learn_build_time(std::int64_t build_ms) {
  constexpr double kNew = 0.1;
  const double before = expected_ms_.load(std::memory_order_relaxed);
  expected_ms_.store(before + kNew * (static_cast<double>(build_ms) - before), std::memory_order_relaxed);
}

Result<std::optional<api::Lease>> Farm::lease(const api::LeaseRequest& request) {
  XI_TRY(const std::string doable, doable_jobs(request));
  seen(request);
  const long long now = now_();
  std::optional<api::Lease> lease;
  std::string job;
  XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
    JobRow row;
    if (write_seen(request.agent)) agent_seen(sql, request, now);
    const std::string spared = spared_jobs(sql, request.agent, now);
    const auto turn = next_turn(sql, doable, spared, shares(), now);
    if (!turn || !load_job(sql, row,
                           fmt::format("WHERE j.organisation = :a AND j.state = 'queued' AND j.ready = 1 AND {}{} AND j.kind {} ({}) "
                                       "ORDER BY j.priority DESC, j.created_ms, j.id LIMIT 1",
                                       doable, spared, turn->urgent ? "IN" : "NOT IN", urgent_kinds()),
                           turn->organisation))
      return {};
    lease.emplace();
    lease->job = job = row.id;
    lease->token = base::random_hex(16);
    lease->attempt = row.attempts + 1;
    lease->ttl_ms = settings_.farm_lease_ms;
    lease->kind = row.kind;
    lease->engine = row.engine;
    if (!row.options.empty()) {
      XI_TRY(lease->options, api::decode<api::JobOptions>(row.options, api::Unknown::kIgnore));
    }
    lease->onnx = row.onnx;
    lease->target = row.target;
    lease->precision = row.precision;
    lease->model = row.model;
    lease->licence = row.licence;
    lease->trace = row.trace;
    lease->cache_scope = base::sha256("cache " + row.organisation).substr(0, 16);
    if (auto carrier = api::decode<api::BuildRequest>(row.shapes, api::Unknown::kIgnore))
      lease->shapes = std::move(carrier->shapes), lease->profiles = std::move(carrier->profiles);
    if (!row.metadata.empty())
      if (auto metadata = api::decode<api::Metadata>(row.metadata, api::Unknown::kIgnore))
        lease->metadata = std::move(*metadata);
    if (!row.tuning.empty()) {
      std::string text;
      sql << "SELECT records FROM tuning_contents WHERE digest = :d", soci::into(text), soci::use(row.tuning);
      XI_TRY(lease->tuning, api::decode<api::TuningRecords>(text, api::Unknown::kIgnore));
    }
    const long long expires = now + settings_.farm_lease_ms;
    const long long started = row.started_ms != 0 ? row.started_ms : now;
    sql << "UPDATE jobs SET state = 'leased', attempts = attempts + 1, lease_token = :l, agent = :a, lease_expires_ms "
           "= :e, started_ms = :s, leased_ms = :n, stage = '', "
           "stage_done = 0, stage_total = 0 WHERE id = :j",
        soci::use(lease->token), soci::use(request.agent), soci::use(expires), soci::use(started), soci::use(now),
        soci::use(row.id);
    add_event(sql, row.id, "state", now, "leased");
    add_event(sql, row.id, "log", now,
              fmt::format("attempt {} by agent {}", lease->attempt, cut_line(request.agent, 100)));
    return {};
  }));
  if (lease) {
    metrics_.count("xinfer_leases_total");
    notifier_.notify(job);
  }
  return lease;
}

Result<api::HeartbeatReply> Farm::heartbeat(const std::string& job, const api::Heartbeat& heartbeat) {
  if (static_cast<std::int64_t>(heartbeat.log.size()) > settings_.farm_heartbeat_lines)
    return base::fail(Code::kLimit, "a heartbeat brings at most farm.heartbeat_lines = {} lines",
                      settings_.farm_heartbeat_lines);
  const long long now = now_();
  api::HeartbeatReply reply;
  reply.ttl_ms = settings_.farm_lease_ms;
  bool changed = false;
  // The most frequent of all writes by far, and about one job alone: it does not wait for the lock of the others.
  XI_CHECK(database_.update([&](soci::session& sql) -> Result<void> {
    JobRow row;
    if (!load_job(sql, row, "WHERE j.id = :a" + row_lock(sql), job))
      return base::fail(Code::kNotFound, "no job \"{}\"", job.substr(0, 100));
    if (row.state == "cancelled") {
      reply.cancelled = true;
      return {};
    }
    if (row.state != "leased" || !base::equal_secret(row.lease_token, heartbeat.token)) return stale();
    const long long expires = now + settings_.farm_lease_ms;
    sql << "UPDATE jobs SET lease_expires_ms = :e WHERE id = :j", soci::use(expires), soci::use(job);
    if (write_seen(row.agent)) agent_seen(sql, row.agent, now);
    long long room = settings_.farm_log_lines - row.log_lines;
    for (const std::string& line : heartbeat.log) {
      if (room-- <= 0) break;
      add_event(sql, job, "log", now, cut_line(line, static_cast<std::size_t>(settings_.farm_log_line_bytes)));
      changed = true;
    }
    const long long lines = static_cast<long long>(heartbeat.log.size());
    if (lines > 0) sql << "UPDATE jobs SET log_lines = log_lines + :n WHERE id = :j", soci::use(lines), soci::use(job);
    if (heartbeat.progress) {
      const std::string stage = cut_line(heartbeat.progress->stage, 60);
      const long long done = heartbeat.progress->done, total = heartbeat.progress->total;
      if (stage != row.stage || done != row.stage_done || total != row.stage_total) {
        sql << "UPDATE jobs SET stage = :s, stage_done = :d, stage_total = :t WHERE id = :j", soci::use(stage),
            soci::use(done), soci::use(total), soci::use(job);
        api::Progress progress{stage, done, total, {}};
        if (row.kind == kBuild.name) progress = estimated(sql, row.target, std::move(progress));
        add_event(sql, job, "progress", now, progress.remaining_ms ? api::encode(progress) : "", &progress);
        changed = true;
      }
    }
    return {};
  }));
  if (changed) notifier_.notify(job);
  return reply;
}

Result<Farm::Leased> Farm::check_lease(const std::string& job, const std::string& token) {
  return database_.read([&](soci::session& sql) -> Result<Leased> {
    JobRow row;
    XI_CHECK(load_leased(sql, row, job, token));
    return Leased{row.organisation, row.onnx, row.state, row.engine};
  });
}

namespace {

// Agents name the stages; a metric's label takes no more than a plain word of theirs.
bool is_stage_name(const std::string& name) {
  return !name.empty() && name.size() <= 20 && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos;
}

}  // namespace

Result<void> Farm::complete(const std::string& job, const api::Completion& completion, std::int64_t engine_bytes) {
  const long long now = now_();
  JobRow row;
  bool further = false;
  XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
    XI_CHECK(load_leased(sql, row, job, completion.token));
    const JobKind* kind = find_kind(row.kind);
    if (!kind) return base::fail(Code::kInternal, "this hub knows no job of kind {}", row.kind);
    if (kind->gives_engine && completion.engine.empty())
      return std::unexpected(base::Error{Code::kInvalidArgument, "a build ends with an engine", "engine"});
    XI_CHECK(kind->finish(sql, {row, completion, engine_bytes, settings_, now}, further));
    set_state(sql, job, "succeeded", now, settings_.farm_usage_half_life_ms);
    return {};
  }));
  metrics_.count("xinfer_jobs_finished_total", "state=\"succeeded\"");
  if (row.kind == kBuild.name) learn_from(row, completion, now);
  notifier_.notify(job);
  if (further) notifier_.notify("queue");
  return {};
}

// What the next builds are charged and foretold by, and what operators see.
void Farm::learn_from(const JobRow& build, const api::Completion& completion, long long now) {
  learn_build_time(now - build.leased_ms);
  if (const auto report = api::decode<api::BuildReport>(completion.report.text, api::Unknown::kIgnore))
    for (const api::StageTime& stage : report->stages)
      if (is_stage_name(stage.name))
        metrics_.observe_seconds("xinfer_build_stage_seconds", fmt::format("stage=\"{}\"", stage.name),
                                 stage.milliseconds / 1000);
  metrics_.observe_seconds("xinfer_job_seconds", "", static_cast<double>(now - build.started_ms) / 1000);
}

Result<void> Farm::fail_attempt(const std::string& job, const api::Failure& failure) {
  const long long now = now_();
  bool requeued = false;
  XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
    JobRow row;
    XI_CHECK(load_leased(sql, row, job, failure.token));
    const bool handed_back = failure.error.kind == "lost_agent";
    if (!handed_back) note_failure(sql, job, row.agent);
    requeued = failure.retry && (handed_back || !is_poison(sql, row, settings_.farm_attempts, now));
    add_event(sql, job, "log", now,
              fmt::format("attempt {} failed: {}: {}", row.attempts, failure.error.kind,
                          cut_line(failure.error.message, 2000)));
    if (!requeued) give_up(sql, row, failure.error.message);
    // An agent that stops and hands its job back in good order has not tried it.
    if (requeued && handed_back)
      sql << "UPDATE jobs SET attempts = attempts - 1 WHERE id = :j", soci::use(job);
    set_state(sql, job, requeued ? "queued" : "failed", now, settings_.farm_usage_half_life_ms,
              api::encode(failure.error));
    return {};
  }));
  if (!requeued) metrics_.count("xinfer_jobs_finished_total", "state=\"failed\"");
  notifier_.notify(job);
  if (requeued) notifier_.notify("queue");
  return {};
}

namespace {

// Ends the leases selected by `where`; a job that has lost as many agents as it may is poison.
std::vector<std::string> end_leases(soci::session& sql, const std::string& where, const std::string& value,
                                    long long now, const Settings& settings, Metrics& metrics) {
  std::vector<std::string> jobs;
  for (;;) {
    JobRow row;
    if (!load_job(sql, row, "WHERE j.state = 'leased' AND " + where + " LIMIT 1" + row_lock(sql), value)) break;
    add_event(sql, row.id, "log", now, fmt::format("attempt {} lost: agent {} went silent", row.attempts, row.agent));
    note_failure(sql, row.id, row.agent);
    if (!is_poison(sql, row, settings.farm_attempts, now)) {
      set_state(sql, row.id, "queued", now, settings.farm_usage_half_life_ms);
    } else {
      const api::BuildError error{
          "lost_agent", "unavailable",
          fmt::format("agents went silent in {} attempts at this job; it is given up. The model may crash them: see the log",
                      row.attempts),
          ""};
      give_up(sql, row, error.message);
      set_state(sql, row.id, "failed", now, settings.farm_usage_half_life_ms, api::encode(error));
      metrics.count("xinfer_jobs_finished_total", "state=\"failed\"");
    }
    jobs.push_back(row.id);
  }
  return jobs;
}

}  // namespace

Result<void> Farm::agent_died(const std::string& agent) {
  const long long now = now_();
  std::vector<std::string> jobs;
  XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
    jobs = end_leases(sql, "j.agent = :a", agent, now, settings_, metrics_);
    return {};
  }));
  for (const std::string& job : jobs) notifier_.notify(job);
  if (!jobs.empty()) notifier_.notify("queue");
  return {};
}

Result<std::int64_t> Farm::reap() {
  const long long now = now_();
  const std::string limit = std::to_string(now);
  long long expired = 0;
  XI_CHECK(database_.read([&](soci::session& sql) -> Result<void> {
    sql << "SELECT COUNT(*) FROM jobs WHERE state = 'leased' AND lease_expires_ms < :t", soci::into(expired),
        soci::use(now);
    return {};
  }));
  if (expired == 0) return 0;
  std::vector<std::string> jobs;
  XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
    jobs = end_leases(sql, "j.lease_expires_ms < CAST(:a AS BIGINT)", limit, now, settings_, metrics_);
    return {};
  }));
  metrics_.count("xinfer_lease_expiries_total", "", static_cast<double>(jobs.size()));
  for (const std::string& job : jobs) {
    base::log(base::LogLevel::kWarning, "lease expired", {{"job", job}});
    notifier_.notify(job);
  }
  if (!jobs.empty()) notifier_.notify("queue");
  return static_cast<std::int64_t>(jobs.size());
}

Result<std::vector<Farm::Waiting>> Farm::waiting_for_sources() {
  return database_.read([&](soci::session& sql) -> Result<std::vector<Waiting>> {
    std::vector<Waiting> waiting;
    Waiting row;
    soci::statement rows = (sql.prepare << "SELECT DISTINCT onnx, model FROM jobs WHERE state = 'queued' AND ready = 0",
                            soci::into(row.onnx), soci::into(row.model));
    rows.execute();
    while (rows.fetch()) waiting.push_back(row);
    return waiting;
  });
}

Result<void> Farm::source_ready(const std::string& onnx) {
  XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
    sql << "UPDATE jobs SET ready = 1, stage = '', stage_done = 0, stage_total = 0 WHERE onnx = :d AND state = "
           "'queued'",
        soci::use(onnx);
    return {};
  }));
  notifier_.notify("queue");
  return {};
}

Result<void> Farm::source_failed(const std::string& onnx, const api::BuildError& error) {
  const long long now = now_();
  std::vector<std::string> jobs;
  XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
    for (;;) {
      JobRow row;
      if (!load_job(sql, row, "WHERE j.state = 'queued' AND j.ready = 0 AND j.onnx = :a LIMIT 1", onnx)) return {};
      set_state(sql, row.id, "failed", now, settings_.farm_usage_half_life_ms, api::encode(error));
      jobs.push_back(row.id);
    }
  }));
  for (const std::string& job : jobs) {
    metrics_.count("xinfer_jobs_finished_total", "state=\"failed\"");
    notifier_.notify(job);
  }
  return {};
}

Result<void> Farm::source_progress(const std::string& onnx, const api::Progress& progress) {
  const long long now = now_(), done = progress.done, total = progress.total;
  std::vector<std::string> jobs;
  XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
    std::string id;
    {
      soci::statement rows = (sql.prepare << "SELECT id FROM jobs WHERE onnx = :d AND state = 'queued' AND ready = 0",
                              soci::into(id), soci::use(onnx));
      rows.execute();
      while (rows.fetch()) jobs.push_back(id);
    }
    for (const std::string& job : jobs) {
      sql << "UPDATE jobs SET stage = :s, stage_done = :d, stage_total = :t WHERE id = :j", soci::use(progress.stage),
          soci::use(done), soci::use(total), soci::use(job);
      add_event(sql, job, "progress", now, "", &progress);
    }
    return {};
  }));
  for (const std::string& job : jobs) notifier_.notify(job);
  return {};
}

Result<api::AgentList> Farm::agents() {
  constexpr long long kShownMs = 24 * 3600'000;
  const long long now = now_();
  return database_.read([&](soci::session& sql) -> Result<api::AgentList> { return api::AgentList{farm::agents(sql, now - kShownMs, now)}; });
}

Result<Totals> Farm::totals() {
  const long long now = now_();
  return database_.read([&](soci::session& sql) -> Result<Totals> {
    Totals totals;
    for (const char* state : {"queued", "leased", "succeeded", "failed", "cancelled"}) totals.jobs_by_state[state] = 0;
    std::string name;
    long long count = 0, since = 0;
    {
      soci::statement rows =
          (sql.prepare << "SELECT state, COUNT(*) FROM jobs GROUP BY state", soci::into(name), soci::into(count));
      rows.execute();
      while (rows.fetch()) totals.jobs_by_state[name] = count;
    }
    {
      std::string kind_name;
      soci::statement rows = (sql.prepare << "SELECT kind, target, COUNT(*), MIN(created_ms) FROM jobs WHERE state = 'queued' GROUP BY kind, target",
                              soci::into(kind_name), soci::into(name), soci::into(count), soci::into(since));
      rows.execute();
      while (rows.fetch()) {
        const JobKind* kind = find_kind(kind_name);
        Totals::Waiting& waiting = totals.queued_by_class[kind ? announced_as(*kind, name) : name];
        waiting.jobs += count;
        waiting.oldest_ms = std::max<std::int64_t>(waiting.oldest_ms, now - since);
      }
    }
    long long oldest = 0;
    sql << "SELECT COALESCE(MIN(created_ms), 0) FROM jobs WHERE state = 'queued'", soci::into(oldest);
    if (oldest != 0) totals.oldest_queued_ms = now - oldest;
    return totals;
  });
}

}  // namespace xinfer::server::farm
