#include "server/farm/verifications.h"

#include <nlohmann/json.hpp>
#include <set>

#include "api/codec.h"
#include "base/digest.h"
#include "server/farm/fleet.h"
#include "target/registry.h"

namespace xinfer::server::farm {

using base::Code;
using base::Result;

namespace {

constexpr std::string_view kNotVerified = "not verified on device";

// `'a', 'b'` for an SQL list. Only names of architectures pass, so nothing needs quoting.
Result<std::string> target_list(const std::vector<std::string>& names) {
  std::string targets;
  for (const std::string& target : names) {
    if (target.empty() || target.size() > 40 ||
        target.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") != std::string::npos)
      return std::unexpected(base::Error{Code::kInvalidArgument,
                                         fmt::format("\"{}\" is no architecture", target.substr(0, 60)), "targets"});
    targets += (targets.empty() ? "'" : ", '") + target + "'";
  }
  if (targets.empty())
    return std::unexpected(base::Error{Code::kInvalidArgument, "say which architectures you build for", "targets"});
  return targets;
}

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

}  // namespace

Result<std::string> doable_jobs(const api::LeaseRequest& request) {
  XI_TRY(const std::string built, target_list(request.targets));
  std::string text = "((j.kind = 'build' AND j.target IN (" + built + "))";
  std::vector<std::string> run;
  for (const target::TargetInfo& info : target::targets())
    for (const api::Device& device : request.devices)
      if (target::runs_on(info.name, device.architecture)) run.emplace_back(info.name);
  if (!run.empty()) {
    XI_TRY(const std::string verified, target_list(run));
    text += " OR (j.kind = 'verify' AND j.target IN (" + verified + "))";
  }
  return text + ")";
}

bool queue_verification(soci::session& sql, const JobRow& build, const api::Completion& completion, long long now) {
  const auto report = api::decode<api::BuildReport>(completion.report.text, api::Unknown::kIgnore);
  if (!report || !report->verification || report->verification->ran || !report->verification->reason.starts_with(kNotVerified) ||
      !has_device_for(sql, build.target, now))
    return false;
  const std::string id = "job_" + base::random_hex(8), key = "verify " + build.id;
  sql << "INSERT INTO jobs (id, organisation, build_key, state, priority, ready, model, default_shapes, onnx, target, "
         "build_precision, shapes, metadata, licence, attempts, lease_token, agent, lease_expires_ms, stage, stage_done, "
         "stage_total, engine, engine_bytes, report, error, last_event, log_lines, created_ms, started_ms, finished_ms, trace, "
         "kind, subject) SELECT CAST(:i AS TEXT), organisation, CAST(:k AS TEXT), 'queued', priority, 1, model, 0, onnx, target, "
         "build_precision, shapes, metadata, licence, 0, '', '', 0, '', 0, 0, engine, engine_bytes, '', '', 0, 0, CAST(:t AS "
         "BIGINT), 0, 0, trace, 'verify', id FROM jobs WHERE id = :j",
      soci::use(id), soci::use(key), soci::use(now), soci::use(build.id);
  add_event(sql, id, "state", now, "queued");
  return true;
}

Result<void> record_verification(soci::session& sql, const JobRow& verification, const std::string& report) {
  const auto found = nlohmann::json::parse(report, nullptr, false);
  if (!found.is_object() || !found.contains("verification") || !found["verification"].is_object())
    return std::unexpected(base::Error{Code::kInvalidArgument, "a verification reports what it has found", "report"});
  return put_verification(sql, verification.subject, found["verification"]);
}

Result<void> record_no_verification(soci::session& sql, const JobRow& verification, const std::string& why) {
  return put_verification(sql, verification.subject,
                          {{"ran", false}, {"reason", fmt::format("{}: the attempt failed: {}", kNotVerified, why)}});
}

}  // namespace xinfer::server::farm
