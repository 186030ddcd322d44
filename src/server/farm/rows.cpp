#include "server/farm/rows.h"

#include <cmath>

#include "api/states.h"
#include "server/farm/fair_share.h"

namespace xinfer::server::farm {
namespace {

const std::string kColumns =
    "SELECT j.id, j.organisation, j.build_key, j.state, j.model, j.onnx, j.target, j.build_precision, j.shapes, "
    "j.metadata, j.licence, j.lease_token, "
    "j.agent, j.stage, j.engine, j.report, j.error, j.trace, j.tuning, j.kind, j.subject, j.options, j.ready, j.default_shapes, j.priority, j.attempts, j.lease_expires_ms, "
    "j.stage_done, j.stage_total, "
    "j.engine_bytes, j.last_event, j.log_lines, j.created_ms, j.started_ms, j.leased_ms, j.finished_ms FROM jobs j ";

template <class... Uses>
bool load(soci::session& sql, JobRow& row, const std::string& tail, Uses&&... uses) {
  using soci::into;
  soci::statement statement(sql);
  statement.alloc();
  statement.prepare(kColumns + tail);
  const auto add = [&](auto& value) { statement.exchange(into(value)); };
  for (std::string* text : {&row.id, &row.organisation, &row.build_key, &row.state, &row.model, &row.onnx, &row.target,
                            &row.precision, &row.shapes, &row.metadata, &row.licence, &row.lease_token, &row.agent,
                            &row.stage, &row.engine, &row.report, &row.error, &row.trace, &row.tuning,
                            &row.kind, &row.subject, &row.options})
    add(*text);
  for (long long* number :
       {&row.ready, &row.default_shapes, &row.priority, &row.attempts, &row.lease_expires_ms, &row.stage_done,
        &row.stage_total, &row.engine_bytes, &row.last_event, &row.log_lines, &row.created_ms, &row.started_ms,
        &row.leased_ms, &row.finished_ms})
    add(*number);
  (statement.exchange(soci::use(uses)), ...);
  statement.define_and_bind();
  return statement.execute(true);
}

// The organisation pays for the attempt, however it ends: what it used was not there for others.
void charge(soci::session& sql, const std::string& job, long long now, std::int64_t half_life_ms) {
  std::string organisation;
  long long began = 0, used = 0, at = 0;
  sql << "SELECT o.id, o.used_ms, o.used_at_ms, j.leased_ms FROM jobs j JOIN organisations o ON o.id = j.organisation "
         "WHERE j.id = :j AND j.state = 'leased'",
      soci::into(organisation), soci::into(used), soci::into(at), soci::into(began), soci::use(job);
  if (!sql.got_data()) return;
  Usage usage{static_cast<double>(used), at};
  usage.add(static_cast<double>(now - began), now, half_life_ms);
  used = std::llround(usage.used_ms);
  at = usage.at_ms;
  sql << "UPDATE organisations SET used_ms = :u, used_at_ms = :t WHERE id = :o", soci::use(used),
      soci::use(at), soci::use(organisation);
}

}  // namespace

bool load_job(soci::session& sql, JobRow& row, const std::string& tail, const std::string& a) {
  return load(sql, row, tail, a);
}
bool load_job(soci::session& sql, JobRow& row, const std::string& tail, const std::string& a, const std::string& b) {
  return load(sql, row, tail, a, b);
}

std::string row_lock(soci::session& sql) { return sql.get_backend_name() == "postgresql" ? " FOR UPDATE" : ""; }

void add_event(soci::session& sql, const std::string& job, const std::string& kind, long long now,
               const std::string& body, const api::Progress* progress) {
  sql << "UPDATE jobs SET last_event = last_event + 1 WHERE id = :j", soci::use(job);
  const std::string stage = progress ? progress->stage : std::string();
  const long long done = progress ? progress->done : 0, total = progress ? progress->total : 0;
  sql << "INSERT INTO events (job, id, kind, time_ms, body, stage, stage_done, stage_total) SELECT id, last_event, "
         "CAST(:k AS TEXT), CAST(:t AS BIGINT), CAST(:b AS TEXT), CAST(:s AS TEXT), CAST(:d AS BIGINT), CAST(:n AS BIGINT) "
         "FROM jobs WHERE id = :j",
      soci::use(kind), soci::use(now), soci::use(body), soci::use(stage), soci::use(done), soci::use(total),
      soci::use(job);
}

void set_state(soci::session& sql, const std::string& job, const std::string& state, long long now,
               std::int64_t usage_half_life_ms, const std::string& error_json) {
  charge(sql, job, now, usage_half_life_ms);
  const long long finished = api::is_final(state) ? now : 0;
  sql << "UPDATE jobs SET state = :s, lease_token = '', lease_expires_ms = 0, error = :e, finished_ms = :f WHERE id = "
         ":j",
      soci::use(state), soci::use(error_json), soci::use(finished), soci::use(job);
  if (finished != 0) sql << "DELETE FROM job_failures WHERE job = :j", soci::use(job);
  add_event(sql, job, "state", now, state);
}

}  // namespace xinfer::server::farm
