#include "server/farm/kinds.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "api/codec.h"
#include "base/digest.h"
#include "queue/channel.h"
#include "server/farm/fleet.h"
#include "server/farm/tuning.h"
#include "target/registry.h"

namespace xinfer::server::farm {

using base::Code;
using base::Result;

namespace {

constexpr std::string_view kNotVerified = "not verified on device", kNoDevice = "no agent offers a device for {}";

// ---- Who can do it

bool builds_for(const api::Agent& agent, std::string_view target) { return std::ranges::find(agent.targets, target) != agent.targets.end(); }

bool runs(const api::Agent& agent, std::string_view target) {
  return std::ranges::any_of(agent.devices, [&](const api::Device& device) { return target::runs_on(target, device.architecture); });
}

// What is measured on another device of the family is not what this one would say.
bool measures(const api::Agent& agent, std::string_view target) {
  return std::ranges::any_of(agent.devices, [&](const api::Device& device) { return device.architecture == target; });
}

bool is_there(const api::Agent&, std::string_view) { return true; }

// ---- Builds, and verifications of what was built where it could not run

// The build's report with another verification.
Result<void> put_verification(soci::session& sql, const std::string& build, const nlohmann::json& verification) {
  std::string text;
  sql << "SELECT report FROM jobs WHERE id = :j", soci::into(text), soci::use(build);
  nlohmann::ordered_json report = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!report.is_object()) return base::fail(Code::kNotFound, "the build has no report");
  report["verification"] = verification;
  text = report.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  sql << "UPDATE jobs SET report = :r WHERE id = :j", soci::use(text), soci::use(build);
  return {};
}

Result<void> put_no_verification(soci::session& sql, const std::string& build, const std::string& why) {
  return put_verification(sql, build, {{"ran", false}, {"reason", fmt::format("{}: {}", kNotVerified, why)}});
}

// Where the engine did not run, and an agent that has such a device is there or would be started for the job.
Result<bool> queue_verification(soci::session& sql, const Ending& ending) {
  const JobRow& build = ending.job;
  const auto report = api::decode<api::BuildReport>(ending.completion.report.text, api::Unknown::kIgnore);
  if (!report || !report->verification || report->verification->ran || !report->verification->reason.starts_with(kNotVerified)) return false;
  const bool there = somebody_can(sql, kVerify, build.target, ending.now);
  const bool awaited = std::ranges::any_of(ending.settings.farm_verify_targets, [&](const std::string& name) {
    const auto found = target::find(name);
    return found && (*found)->name == build.target;
  });
  if (!there && !awaited) return false;
  if (!there) XI_CHECK(put_no_verification(sql, build.id, "a job for it waits: " + fmt::format(kNoDevice, build.target)));
  const std::string id = "job_" + base::random_hex(8), key = "verify " + build.id;
  sql << "INSERT INTO jobs (id, organisation, build_key, state, priority, ready, model, default_shapes, onnx, target, "
         "build_precision, shapes, metadata, licence, attempts, lease_token, agent, lease_expires_ms, stage, stage_done, "
         "stage_total, engine, engine_bytes, report, error, last_event, log_lines, created_ms, started_ms, finished_ms, trace, "
         "kind, subject) SELECT CAST(:i AS TEXT), organisation, CAST(:k AS TEXT), 'queued', priority, 1, model, 0, onnx, target, "
         "build_precision, shapes, metadata, licence, 0, '', '', 0, '', 0, 0, engine, engine_bytes, '', '', 0, 0, CAST(:t AS "
         "BIGINT), 0, 0, trace, 'verify', id FROM jobs WHERE id = :j",
      soci::use(id), soci::use(key), soci::use(ending.now), soci::use(build.id);
  add_event(sql, id, "state", ending.now, "queued");
  return true;
}

void put_report(soci::session& sql, const Ending& ending) {
  sql << "UPDATE jobs SET report = :r WHERE id = :j", soci::use(ending.completion.report.text), soci::use(ending.job.id);
}

Result<void> finish_build(soci::session& sql, const Ending& ending, bool& further) {
  const std::string &engine = ending.completion.engine, &job = ending.job.id;
  const long long bytes = ending.engine_bytes;
  sql << "UPDATE jobs SET engine = :e, engine_bytes = :b WHERE id = :j", soci::use(engine), soci::use(bytes), soci::use(job);
  put_report(sql, ending);
  // The result belongs to the job's organisation, and to each that waits for it.
  sql << "INSERT INTO blob_holders (digest, organisation, created_ms) SELECT CAST(:d AS TEXT), organisation, CAST(:t AS BIGINT) FROM (SELECT "
         "organisation FROM jobs WHERE id = :j1 "
         "UNION SELECT organisation FROM builds WHERE job = :j2) x WHERE true ON CONFLICT (digest, organisation) DO "
         "NOTHING",
      soci::use(engine), soci::use(ending.now), soci::use(job), soci::use(job);
  XI_TRY(further, queue_verification(sql, ending));
  return {};
}

Result<void> finish_verification(soci::session& sql, const Ending& ending, bool&) {
  const auto found = nlohmann::json::parse(ending.completion.report.text, nullptr, false);
  if (!found.is_object() || !found.contains("verification") || !found["verification"].is_object())
    return std::unexpected(base::Error{Code::kInvalidArgument, "a verification reports what it has found", "report"});
  return put_verification(sql, ending.job.subject, found["verification"]);
}

void give_verification_up(soci::session& sql, const JobRow& job, const std::string& why) {
  (void)put_no_verification(sql, job.subject, "the attempt failed: " + why);
}

// ---- The others

Result<void> finish_tuning(soci::session& sql, const Ending& ending, bool&) {
  auto records = api::decode<api::TuningRecords>(ending.completion.report.text, api::Unknown::kIgnore);
  if (!records) return std::unexpected(std::move(records).error().in("report"));
  put_report(sql, ending);
  return add_tuning_records(sql, ending.job.organisation, ending.job.target, *records);
}

Result<void> finish_preflight(soci::session& sql, const Ending& ending, bool&) {
  if (!nlohmann::json::parse(ending.completion.report.text, nullptr, false).is_object())
    return std::unexpected(base::Error{Code::kInvalidArgument, "a preflight reports what it has found", "report"});
  put_report(sql, ending);
  return {};
}

// Names of architectures come from agents and go into SQL.
Result<void> check_targets(const std::vector<std::string>& names) {
  for (const std::string& target : names)
    if (target.empty() || target.size() > 40 || target.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") != std::string::npos)
      return std::unexpected(base::Error{Code::kInvalidArgument, fmt::format("\"{}\" is no architecture", target.substr(0, 60)), "targets"});
  if (names.empty())
    return std::unexpected(base::Error{Code::kInvalidArgument, "say which architectures you build for", "targets"});
  return {};
}

}  // namespace

constinit const JobKind kBuild{.name = "build", .suits = builds_for, .nobody = "no agent that builds for {} is there", .lasting = true,
                               .gives_engine = true, .waiting = &Settings::builds_queued, .waiting_name = "builds.queued", .finish = finish_build};
constinit const JobKind kVerify{.name = "verify", .suits = runs, .nobody = kNoDevice, .on_device = true, .finish = finish_verification,
                                .give_up = give_verification_up};
constinit const JobKind kTune{.name = "tune", .suits = measures, .nobody = kNoDevice, .on_device = true, .waiting = &Settings::builds_queued,
                              .waiting_name = "builds.queued", .finish = finish_tuning};
constinit const JobKind kPreflight{.name = "preflight", .suits = is_there, .nobody = "no agent is there", .urgent = true,
                                   .waiting = &Settings::preflights_queued, .waiting_name = "preflights.queued", .finish = finish_preflight};

std::span<const JobKind* const> job_kinds() {
  static constexpr std::array<const JobKind*, 4> kAll = {&kBuild, &kVerify, &kTune, &kPreflight};
  return kAll;
}

const JobKind* find_kind(std::string_view name) {
  const auto found = std::ranges::find(job_kinds(), name, [](const JobKind* kind) { return kind->name; });
  return found == job_kinds().end() ? nullptr : *found;
}

const std::string& urgent_kinds() {
  static const std::string kList = [] {
    std::string list;
    for (const JobKind* kind : job_kinds())
      if (kind->urgent) list += fmt::format("{}'{}'", list.empty() ? "" : ", ", kind->name);
    return list;
  }();
  return kList;
}

api::Agent agent_of(const api::LeaseRequest& request) {
  api::Agent agent;
  agent.name = request.agent;
  agent.targets = request.targets;
  agent.devices = request.devices;
  agent.kinds = request.kinds;
  if (agent.kinds.empty()) agent.kinds = {std::string(kBuild.name), std::string(kVerify.name)};
  return agent;
}

bool can_do(const api::Agent& agent, const JobKind& kind, std::string_view target) {
  return std::ranges::find(agent.kinds, kind.name) != agent.kinds.end() && kind.suits(agent, target);
}

Result<std::string> doable_jobs(const api::LeaseRequest& request) {
  XI_CHECK(check_targets(request.targets));
  const api::Agent agent = agent_of(request);
  std::string text;
  for (const JobKind* kind : job_kinds()) {
    std::string targets;
    for (const target::TargetInfo& info : target::targets())
      if (can_do(agent, *kind, info.name) && (request.queue.empty() || request.queue == announced_as(*kind, info.name)))
        targets += fmt::format("{}'{}'", targets.empty() ? "" : ", ", info.name);
    if (!targets.empty()) text += fmt::format("{}(j.kind = '{}' AND j.target IN ({}))", text.empty() ? "" : " OR ", kind->name, targets);
  }
  return text.empty() ? "1 = 0" : "(" + text + ")";
}

std::string announced_as(const JobKind& kind, std::string_view target) { return xinfer::queue::class_of(target, kind.on_device); }

}  // namespace xinfer::server::farm
