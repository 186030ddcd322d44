// The farm as those see it who want engines and other results: requests, their state, events, cancelling.
#include <soci/soci.h>

#include <algorithm>

#include "api/codec.h"
#include "base/digest.h"
#include "base/trace.h"
#include "server/farm/farm.h"
#include "server/farm/rows.h"
#include "server/farm/tuning.h"
#include "tensor/range.h"

namespace xinfer::server::farm {

using base::Code;
using base::Result;

namespace {

constexpr int kSchema = 1;  // of the build key

void add_sizes(std::string& text, const api::Shapes& shapes) {
  for (const auto& [name, dimensions] : shapes) {
    std::vector<std::string> sizes;
    for (const tensor::Symbol& dimension : dimensions) sizes.push_back(tensor::format_range(dimension));
    text += fmt::format("{}={}\n", name, fmt::join(sizes, "x"));
  }
}

// Everything that the result depends on: an engine's bytes, or what another kind of job finds. The program's version stands for
// the compiler's.
std::string build_key(const JobSpec& spec, const std::string& tuning) {
  std::string text = spec.kind == &kBuild ? std::string() : fmt::format("{}\n", spec.kind->name);
  text += fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n", kSchema, XI_VERSION, spec.onnx, spec.target,
                                 spec.precision, spec.model, spec.licence);
  add_sizes(text, spec.shapes);
  for (const api::Shapes& profile : spec.profiles) {
    text += "profile\n";
    add_sizes(text, profile);
  }
  if (spec.metadata) text += api::encode(*spec.metadata);
  if (!tuning.empty()) text += "\ntuning " + tuning;
  if (spec.options) text += "\noptions " + api::encode(*spec.options);
  return base::sha256(text);
}

// The digest of the tuning records that the job is to be built with, kept under it; empty where there are none.
Result<std::string> keep_tuning(soci::session& sql, const JobSpec& spec, long long now) {
  XI_TRY(const api::TuningRecords records, tuning_records(sql, spec.organisation, spec.target));
  if (records.records.empty()) return std::string();
  const std::string text = api::encode(records), digest = base::sha256(text);
  sql << "INSERT INTO tuning_contents (digest, records, created_ms) VALUES (:d, :r, :t) ON CONFLICT (digest) DO NOTHING",
      soci::use(digest), soci::use(text), soci::use(now);
  return digest;
}

// SOCI binds no maps: shapes and profiles travel as the JSON of a request that holds nothing else.
std::string encode_sizes(const JobSpec& spec) {
  api::BuildRequest carrier;
  carrier.shapes = spec.shapes;
  carrier.profiles = spec.profiles;
  return api::encode(carrier);
}

struct BuildRow {
  std::string id, job, name;
  long long cached = 0, created_ms = 0, cancelled_ms = 0;
};

api::Build to_build(const BuildRow& row, const JobRow& job) {
  api::Build build;
  build.id = row.id;
  build.job = row.job;
  build.name = row.name;
  build.cached = row.cached != 0;
  build.state = row.cancelled_ms != 0 ? "cancelled" : job.state;
  build.model = job.model;
  build.onnx = job.onnx;
  build.target = job.target;
  build.precision = job.precision;
  if (auto carrier = api::decode<api::BuildRequest>(job.shapes, api::Unknown::kIgnore))
    build.shapes = std::move(carrier->shapes), build.profiles = std::move(carrier->profiles);
  if (const auto trace = base::parse_trace(job.trace)) build.trace = trace->id;
  build.attempts = job.attempts;
  build.progress = {job.stage, job.stage_done, job.stage_total, {}};
  build.created_ms = row.created_ms;
  build.started_ms = job.started_ms;
  build.finished_ms = row.cancelled_ms != 0 ? row.cancelled_ms : job.finished_ms;
  if (build.state == "succeeded") {
    if (!job.engine.empty()) {
      build.engine =
          api::Engine{job.model, job.target, job.precision, job.engine, job.engine_bytes, job.finished_ms, {}, {}};
      name_engine(*build.engine);
    }
    if (!job.report.empty()) build.report = api::RawJson{job.report};
  }
  if (build.state == "failed" && !job.error.empty())
    if (auto error = api::decode<api::BuildError>(job.error, api::Unknown::kIgnore)) build.error = std::move(*error);
  return build;
}

Result<void> insert_job(soci::session& sql, const JobSpec& spec, const std::string& id, const std::string& key,
                        const std::string& tuning, long long now) {
  const long long priority = spec.priority, ready = spec.ready, defaults = spec.default_shapes;
  const std::string shapes = encode_sizes(spec), metadata = spec.metadata ? api::encode(*spec.metadata) : "";
  const std::string kind(spec.kind->name), options = spec.options ? api::encode(*spec.options) : "";
  sql << "INSERT INTO jobs (id, organisation, build_key, state, priority, ready, model, default_shapes, onnx, target, "
         "build_precision, shapes, metadata, "
         "licence, attempts, lease_token, agent, lease_expires_ms, stage, stage_done, stage_total, engine, "
         "engine_bytes, report, error, last_event, "
         "log_lines, created_ms, started_ms, finished_ms, trace, tuning, kind, options) VALUES (:id, :org, :key, 'queued', :priority, :ready, :model, "
         ":defaults, :onnx, :target, :prec, :shapes, "
         ":metadata, :licence, 0, '', '', 0, '', 0, 0, '', 0, '', '', 0, 0, :now, 0, 0, :trace, :tuning, :kind, :options)",
      soci::use(id), soci::use(spec.organisation), soci::use(key), soci::use(priority), soci::use(ready), soci::use(spec.model),
      soci::use(defaults), soci::use(spec.onnx), soci::use(spec.target), soci::use(spec.precision), soci::use(shapes),
      soci::use(metadata), soci::use(spec.licence), soci::use(now), soci::use(spec.trace), soci::use(tuning), soci::use(kind), soci::use(options);
  add_event(sql, id, "state", now, "queued");
  return {};
}

using EnginesByModel = std::map<std::string, std::vector<api::Engine>>;

// Of all models when `model` is empty.
Result<EnginesByModel> engines_where(db::Database& database, const std::string& organisation,
                                     const std::string& model) {
  return database.read([&](soci::session& sql) -> Result<EnginesByModel> {
    EnginesByModel by_model;
    api::Engine engine;
    long long size = 0, created = 0;
    const std::string condition = model.empty() ? "model <> :m" : "model = :m";
    soci::statement rows =
        (sql.prepare << "SELECT model, target, build_precision, engine, engine_bytes, finished_ms FROM jobs WHERE "
                        "organisation = :o AND " +
                            condition +
                            " AND default_shapes = 1 AND state = 'succeeded' "
                            "ORDER BY model, target, build_precision, finished_ms DESC",
         soci::into(engine.model), soci::into(engine.target), soci::into(engine.precision), soci::into(engine.digest),
         soci::into(size), soci::into(created), soci::use(organisation), soci::use(model));
    rows.execute();
    while (rows.fetch()) {
      auto& list = by_model[engine.model];
      if (!list.empty() && list.back().target == engine.target && list.back().precision == engine.precision)
        continue;  // an older one
      engine.size_bytes = size;
      engine.created_ms = created;
      name_engine(engine);
      list.push_back(engine);
    }
    return by_model;
  });
}

}  // namespace

void name_engine(api::Engine& engine) {
  engine.url = "/v1/engines/" + engine.digest;
  const std::string model = engine.model.empty() ? engine.digest.substr(0, 16) : engine.model;
  engine.file = engine.precision == "fp32" ? fmt::format("{}-{}.engine", model, engine.target)
                                           : fmt::format("{}-{}-{}.engine", model, engine.target, engine.precision);
}

namespace {

struct Requester {
  const std::string &organisation, &token, &name, &matrix;
};

// One more waiter: on the finished job of an identical request, on the one in flight, or on a new one.
Result<Submitted> add_waiter(soci::session& sql, const JobSpec& spec, const Requester& who, const Settings& settings,
                             long long now) {
  Submitted submitted;
  submitted.build = fmt::format("{}_{}", spec.kind->name, base::random_hex(8));
  std::string tuning;
  if (spec.kind == &kBuild) {
    XI_TRY(tuning, keep_tuning(sql, spec, now));
  }
  const std::string key = build_key(spec, tuning);
  JobRow job;
  const bool found = load_job(sql, job,
                              std::string("WHERE j.organisation = :a AND j.build_key = :b AND j.state IN ('queued', 'leased'") +
                                  (spec.kind->lasting ? ", 'succeeded'" : "") + ") ORDER BY j.created_ms DESC LIMIT 1",
                              spec.organisation, key);
  if (found) {
    submitted.job = job.id;
    submitted.cached = job.state == "succeeded";
    if (job.state == "queued" && spec.priority > job.priority) {
      const long long priority = spec.priority;  // who waits most urgently decides
      sql << "UPDATE jobs SET priority = :p WHERE id = :j", soci::use(priority), soci::use(job.id);
    }
  } else {
    long long queued = 0;
    const std::string kind(spec.kind->name);
    sql << "SELECT COUNT(*) FROM jobs WHERE organisation = :o AND state = 'queued' AND kind = :k", soci::into(queued),
        soci::use(spec.organisation), soci::use(kind);
    if (queued >= settings.*spec.kind->waiting)
      return base::fail(Code::kLimit, "{} of them are waiting already, as many as {} allows: try again later", queued,
                        spec.kind->waiting_name);
    submitted.job = "job_" + base::random_hex(8);
    submitted.created = true;
    submitted.fetch = !spec.ready;
    XI_CHECK(insert_job(sql, spec, submitted.job, key, tuning, now));
  }
  const long long cached = submitted.cached;
  sql << "INSERT INTO builds (id, job, organisation, requester, name, cached, created_ms, cancelled_ms, matrix) VALUES "
         "(:i, :j, :o, :r, :n, :c, :t, 0, :m)",
      soci::use(submitted.build), soci::use(submitted.job), soci::use(who.organisation), soci::use(who.token),
      soci::use(who.name), soci::use(cached), soci::use(now), soci::use(who.matrix);
  return submitted;
}

}  // namespace

Result<Submitted> Farm::submit(const JobSpec& spec, const std::string& organisation, const std::string& requester,
                               const std::string& name) {
  const std::string none;
  XI_TRY(auto submitted, submit_all({&spec, 1}, organisation, requester, name, none));
  return std::move(submitted.front());
}

Result<Farm::Matrix> Farm::submit_matrix(std::span<const JobSpec> specs, const std::string& organisation,
                                         const std::string& requester, const std::string& name) {
  Matrix matrix;
  matrix.id = "matrix_" + base::random_hex(8);
  XI_TRY(matrix.builds, submit_all(specs, organisation, requester, name, matrix.id));
  return matrix;
}

Result<std::vector<Submitted>> Farm::submit_all(std::span<const JobSpec> specs, const std::string& organisation,
                                                const std::string& requester, const std::string& name,
                                                const std::string& matrix) {
  std::vector<Submitted> all;
  const long long now = now_();
  XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
    all.clear();
    for (const JobSpec& spec : specs) {
      XI_TRY(Submitted one, add_waiter(sql, spec, {organisation, requester, name, matrix}, settings_, now));
      all.push_back(std::move(one));
    }
    return {};
  }));
  bool work = false;
  for (const Submitted& one : all) {
    metrics_.count("xinfer_builds_requested_total", one.cached    ? "answer=\"store\""
                                                    : one.created ? "answer=\"new\""
                                                                  : "answer=\"joined\"");
    work |= one.created && !one.fetch;
  }
  if (work) notifier_.notify("queue");
  return all;
}

namespace {

// Of all its builds: failed or cancelled as soon as one is, succeeded when all have.
std::string matrix_state(const std::vector<api::Build>& builds) {
  const auto any = [&](std::string_view state) {
    return std::ranges::any_of(builds, [&](const api::Build& build) { return build.state == state; });
  };
  for (const char* state : {"failed", "cancelled", "leased", "queued"})
    if (any(state)) return state;
  return "succeeded";
}

}  // namespace

Result<api::Matrix> Farm::matrix(const std::string& organisation, const std::string& id) {
  return database_.read([&](soci::session& sql) -> Result<api::Matrix> {
    api::Matrix matrix;
    matrix.id = id;
    std::vector<BuildRow> rows;
    BuildRow row;
    soci::statement list = (sql.prepare << "SELECT id, job, name, cached, created_ms, cancelled_ms FROM builds WHERE "
                                           "matrix = :m AND organisation = :o",
                            soci::into(row.id), soci::into(row.job), soci::into(row.name), soci::into(row.cached),
                            soci::into(row.created_ms), soci::into(row.cancelled_ms), soci::use(id),
                            soci::use(organisation));
    list.execute();
    while (list.fetch()) rows.push_back(row);
    if (rows.empty() || id.empty()) return base::fail(Code::kNotFound, "no matrix \"{}\"", id.substr(0, 100));
    for (const BuildRow& entry : rows) {
      JobRow job;
      if (!load_job(sql, job, "WHERE j.id = :a", entry.job))
        return base::fail(Code::kInternal, "build {} has no job", entry.id);
      job.report.clear();  // each build has its own
      matrix.builds.push_back(to_build(entry, job));
    }
    std::ranges::sort(matrix.builds, {}, [](const api::Build& build) { return std::tie(build.target, build.precision); });
    matrix.state = matrix_state(matrix.builds);
    matrix.name = rows.front().name;
    matrix.created_ms = rows.front().created_ms;
    return matrix;
  });
}

namespace {

// A request for a job of this kind, and the job.
Result<void> load_request(soci::session& sql, const std::string& organisation, const JobKind& kind, const std::string& id, BuildRow& row,
                          JobRow& job) {
  row.id = id;
  sql << "SELECT job, name, cached, created_ms, cancelled_ms FROM builds WHERE id = :i AND organisation = :o",
      soci::into(row.job), soci::into(row.name), soci::into(row.cached), soci::into(row.created_ms),
      soci::into(row.cancelled_ms), soci::use(id), soci::use(organisation);
  const bool found = sql.got_data();
  if (found && !load_job(sql, job, "WHERE j.id = :a", row.job)) return base::fail(Code::kInternal, "{} has no job", id);
  if (!found || job.kind != kind.name) return base::fail(Code::kNotFound, "no {} \"{}\"", kind.name, id.substr(0, 100));
  return {};
}

long long queue_position(soci::session& sql, const JobRow& job) {
  long long before = 0;
  sql << "SELECT COUNT(*) FROM jobs WHERE state = 'queued' AND created_ms < :t", soci::into(before), soci::use(job.created_ms);
  return before;
}

}  // namespace

Result<api::Build> Farm::build(const std::string& organisation, const std::string& id) {
  return database_.read([&](soci::session& sql) -> Result<api::Build> {
    BuildRow row;
    JobRow job;
    XI_CHECK(load_request(sql, organisation, kBuild, id, row, job));
    api::Build build = to_build(row, job);
    if (build.state == "leased") build.progress = estimated(sql, build.target, std::move(build.progress));
    if (build.state == "queued") {
      build.queue_position = queue_position(sql, job);
      build.waiting_for = waiting_for(sql, job);
    }
    return build;
  });
}

Result<api::Job> Farm::job(const std::string& organisation, const JobKind& kind, const std::string& id) {
  return database_.read([&](soci::session& sql) -> Result<api::Job> {
    BuildRow row;
    JobRow loaded;
    XI_CHECK(load_request(sql, organisation, kind, id, row, loaded));
    api::Build like = to_build(row, loaded);
    api::Job job;
    job.id = row.id;
    job.kind = kind.name;
    job.state = like.state;
    job.model = like.model;
    job.onnx = like.onnx;
    job.target = like.target;
    job.precision = like.precision;
    job.name = like.name;
    job.shapes = std::move(like.shapes);
    job.job = like.job;
    job.trace = like.trace;
    job.attempts = like.attempts;
    job.progress = std::move(like.progress);
    job.error = std::move(like.error);
    job.created_ms = like.created_ms;
    job.started_ms = like.started_ms;
    job.finished_ms = like.finished_ms;
    job.result = std::move(like.report);
    if (job.state == "queued") {
      job.queue_position = queue_position(sql, loaded);
      job.waiting_for = waiting_for(sql, loaded);
    }
    return job;
  });
}

Result<api::BuildPage> Farm::builds(const std::string& organisation, const BuildQuery& query) {
  return database_.read([&](soci::session& sql) -> Result<api::BuildPage> {
    // An empty filter matches everything; a build that its waiter cancelled is cancelled whatever its job does.
    const std::string where =
        " FROM builds b JOIN jobs j ON j.id = b.job WHERE b.organisation = :o AND j.kind = 'build' AND (:s1 = '' OR (CASE WHEN "
        "b.cancelled_ms <> 0 THEN 'cancelled' ELSE j.state "
        "END) = :s2) AND (:m1 = '' OR j.model = :m2)";
    api::BuildPage page;
    page.offset = query.offset;
    long long total = 0;
    sql << "SELECT COUNT(*)" + where, soci::into(total), soci::use(organisation), soci::use(query.state),
        soci::use(query.state), soci::use(query.model), soci::use(query.model);
    page.total = total;
    std::vector<BuildRow> rows;
    BuildRow row;
    const long long limit = query.limit, offset = query.offset;
    soci::statement list =
        (sql.prepare << "SELECT b.id, b.job, b.name, b.cached, b.created_ms, b.cancelled_ms" + where +
                            " ORDER BY b.created_ms DESC, b.id LIMIT :l OFFSET :f",
         soci::into(row.id), soci::into(row.job), soci::into(row.name), soci::into(row.cached),
         soci::into(row.created_ms), soci::into(row.cancelled_ms), soci::use(organisation), soci::use(query.state),
         soci::use(query.state), soci::use(query.model), soci::use(query.model), soci::use(limit), soci::use(offset));
    list.execute();
    while (list.fetch()) rows.push_back(row);
    for (const BuildRow& entry : rows) {
      JobRow job;
      if (!load_job(sql, job, "WHERE j.id = :a", entry.job)) continue;
      job.report.clear();  // lists stay small
      page.builds.push_back(to_build(entry, job));
    }
    return page;
  });
}

Result<void> Farm::cancel(const std::string& organisation, const JobKind& kind, const std::string& id) {
  std::string job;
  const long long now = now_();
  XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
    BuildRow request;
    JobRow row;
    XI_CHECK(load_request(sql, organisation, kind, id, request, row));
    job = request.job;
    if (request.cancelled_ms != 0) return {};
    if (row.state != "queued" && row.state != "leased")
      return base::fail(Code::kConflict, "this {} has ended: {}", kind.name, row.state);
    sql << "UPDATE builds SET cancelled_ms = :t WHERE id = :i", soci::use(now), soci::use(id);
    long long others = 0;
    sql << "SELECT COUNT(*) FROM builds WHERE job = :j AND cancelled_ms = 0", soci::into(others), soci::use(job);
    if (others == 0) {
      set_state(sql, job, "cancelled", now, settings_.farm_usage_half_life_ms);  // the agent learns it from its next heartbeat
      metrics_.count("xinfer_jobs_finished_total", "state=\"cancelled\"");
    }
    return {};
  }));
  notifier_.notify(job);
  return {};
}

Result<std::vector<api::Event>> Farm::events(const std::string& job, std::int64_t after, std::int64_t limit) {
  return database_.read([&](soci::session& sql) -> Result<std::vector<api::Event>> {
    std::vector<api::Event> events;
    api::Event event;
    api::Progress progress;
    long long id = 0, time = 0, done = 0, total = 0;
    const long long from = after, most = limit;
    soci::statement rows =
        (sql.prepare
             << "SELECT id, kind, time_ms, body, stage, stage_done, stage_total FROM events WHERE job = :j AND id > :a "
                "ORDER BY id LIMIT :l",
         soci::into(id), soci::into(event.kind), soci::into(time), soci::into(event.text), soci::into(progress.stage),
         soci::into(done), soci::into(total), soci::use(job), soci::use(from), soci::use(most));
    rows.execute();
    while (rows.fetch()) {
      event.id = id;
      event.time_ms = time;
      event.progress.reset();
      if (event.kind == "progress") {
        event.progress = api::Progress{progress.stage, done, total, {}};
        if (auto estimated = api::decode<api::Progress>(event.text, api::Unknown::kIgnore)) event.progress = std::move(*estimated);
        event.text.clear();
      }
      events.push_back(event);
    }
    return events;
  });
}

Result<std::map<std::string, std::int64_t>> Farm::cancelled_builds(const std::string& job) {
  return database_.read([&](soci::session& sql) -> Result<std::map<std::string, std::int64_t>> {
    std::map<std::string, std::int64_t> cancelled;
    std::string id;
    long long when = 0;
    soci::statement rows = (sql.prepare << "SELECT id, cancelled_ms FROM builds WHERE job = :j AND cancelled_ms <> 0",
                            soci::into(id), soci::into(when), soci::use(job));
    rows.execute();
    while (rows.fetch()) cancelled[id] = when;
    return cancelled;
  });
}

Result<std::map<std::string, std::vector<api::Engine>>> Farm::engines(const std::string& organisation) {
  return engines_where(database_, organisation, "");
}

Result<std::vector<api::Engine>> Farm::engines(const std::string& organisation, const std::string& model) {
  XI_TRY(auto by_model, engines_where(database_, organisation, model));
  return std::move(by_model[model]);
}

Result<std::string> Farm::engine_file(const std::string& organisation, const std::string& digest) {
  return database_.read([&](soci::session& sql) -> Result<std::string> {
    // Anybody may read engines of the public catalogue's own builds; others only who holds them.
    api::Engine engine;
    const std::string open = "public";
    sql << "SELECT model, target, build_precision FROM jobs j WHERE engine = :d1 AND state = 'succeeded' AND "
           "(organisation = :p OR EXISTS (SELECT 1 FROM "
           "blob_holders h WHERE h.digest = :d2 AND h.organisation = :o)) ORDER BY finished_ms LIMIT 1",
        soci::into(engine.model), soci::into(engine.target), soci::into(engine.precision), soci::use(digest),
        soci::use(open), soci::use(digest), soci::use(organisation);
    if (!sql.got_data()) return std::string();
    engine.digest = digest;
    name_engine(engine);
    return engine.file;
  });
}

Result<bool> Farm::may_read_blob(const std::string& organisation, const std::string& digest) {
  return database_.read([&](soci::session& sql) -> Result<bool> {
    long long count = 0;
    sql << "SELECT COUNT(*) FROM blob_holders WHERE digest = :d AND organisation = :o", soci::into(count),
        soci::use(digest), soci::use(organisation);
    return count > 0;
  });
}

Result<void> Farm::hold_blob(const std::string& organisation, const std::string& digest, std::int64_t size_bytes) {
  const long long now = now_(), size = size_bytes;
  return database_.write([&](soci::session& sql) -> Result<void> {
    sql << "INSERT INTO blobs (digest, size_bytes, created_ms) VALUES (:d, :s, :t) ON CONFLICT (digest) DO NOTHING",
        soci::use(digest), soci::use(size), soci::use(now);
    sql << "INSERT INTO blob_holders (digest, organisation, created_ms) VALUES (:d, :o, :t) ON CONFLICT (digest, "
           "organisation) DO NOTHING",
        soci::use(digest), soci::use(organisation), soci::use(now);
    return {};
  });
}

}  // namespace xinfer::server::farm
