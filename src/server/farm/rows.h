// Rows of the farm's tables, and the small statements that several of its files share.
#pragma once
#include <soci/soci.h>

#include <string>
#include <vector>

#include "api/types.h"
#include "base/error.h"

namespace xinfer::server::farm {

struct JobRow {
  std::string id, organisation, build_key, state, model, onnx, target, precision, shapes, metadata, licence,
      lease_token, agent, stage, engine, report, error, trace, tuning, kind, subject, options;
  long long ready = 0, default_shapes = 0, priority = 0, attempts = 0, lease_expires_ms = 0, stage_done = 0, stage_total = 0,
            engine_bytes = 0, last_event = 0, log_lines = 0, created_ms = 0, started_ms = 0, leased_ms = 0, finished_ms = 0;
};

/// The first job of `SELECT columns FROM jobs j <tail>`; false when there is none. `tail` may use :a and :b.
bool load_job(soci::session& sql, JobRow& row, const std::string& tail, const std::string& a);
bool load_job(soci::session& sql, JobRow& row, const std::string& tail, const std::string& a, const std::string& b);

/// The end of a query whose rows the transaction is going to change; empty where there is one writer at a time anyway.
std::string row_lock(soci::session& sql);

/// Appends an event and moves the job's counter of them.
void add_event(soci::session& sql, const std::string& job, const std::string& kind, long long now,
                    const std::string& body, const api::Progress* progress = nullptr);

/// The job goes to `state` (an event says so). A lease ends, and its organisation is charged for its time.
void set_state(soci::session& sql, const std::string& job, const std::string& state, long long now,
               std::int64_t usage_half_life_ms, const std::string& error_json = {});

}  // namespace xinfer::server::farm
