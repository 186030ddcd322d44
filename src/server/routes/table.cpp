// The one table of routes.
#include <algorithm>
#include <charconv>

#include "api/types.h"
#include "server/routes/route.h"

namespace xinfer::server::routes {

using base::Code;
using base::Result;
using P = accounts::Permission;

namespace {

constexpr Parameter kOffset{"offset", "query", "integer", "first item, from 0"};
constexpr Parameter kLimit{"limit", "query", "integer", "items of a page, at most pages.size"};
constexpr Parameter kRange{"Range", "header", "string", "bytes=FIRST-LAST, one range"};
constexpr Parameter kNoneMatch{"If-None-Match", "header", "string", "ETag: 304 when unchanged"};
constexpr Parameter kLeaseToken{"X-Lease-Token", "header", "string", "of the lease", true};

template <class T>
const api::Schema* of() {
  return &api::schema<T>();
}

/// A route that answers GET with a file's bytes.
Route file(std::string_view path, accounts::Permission permission, std::string_view tag, std::string_view summary,
           Handler handler, std::vector<Parameter> parameters) {
  return {.method = "GET", .path = path, .permission = permission, .tag = tag, .summary = summary, .handler = handler,
          .content_type = "application/octet-stream", .parameters = std::move(parameters)};
}

/// A request for a job, now or at its end.
template <class T>
Route job(std::string_view path, std::string_view tag, std::string_view summary, SlowHandler handler) {
  return {.method = "GET", .path = path, .permission = P::kReadBuilds, .tag = tag, .summary = summary, .slow_handler = handler,
          .response = of<T>(), .parameters = {{"wait", "query", "integer", "answer when it has ended, or after so many ms, at most farm.long_poll_ms"}}};
}

Route events(std::string_view path, std::string_view tag, SlowHandler handler) {
  return {.method = "GET", .path = path, .permission = P::kReadBuilds, .tag = tag,
          .summary = "Log, progress and states as server-sent events, from the start or after Last-Event-ID.", .slow_handler = handler,
          .content_type = "text/event-stream",
          .parameters = {{"Last-Event-ID", "header", "integer", "the last event seen"},
                         {"after", "query", "integer", "the same, for clients that cannot set headers"}}};
}

std::vector<Route> model_routes() {
  return {
      {"GET",
       "/v1/models",
       P::kPublic,
       "models",
       "Search the catalogue. With a token, the organisation's own models too.",
       list_models,
       nullptr,
       Body::kNone,
       nullptr,
       nullptr,
       of<api::ModelPage>(),
       200,
       "application/json",
       {{"search", "query", "string", "words that must all occur"},
        {"task", "query", "string", "exact task"},
        {"licence", "query", "string", "exact licence"},
        {"sort", "query", "string", "popularity, name, task or licence"},
        kOffset,
        kLimit}},
      {"POST", "/v1/models", P::kPushModels, "models",
       "Push a model into the organisation's repository: private, ONNX uploaded before.", push_model, nullptr,
       Body::kJson, &Settings::http_json_bytes, of<api::PushRequest>(), of<api::Model>(), 201},
      {"GET", "/v1/models/{id}", P::kPublic, "models", "A model with its metadata and the engines built so far.",
       get_model, nullptr, Body::kNone, nullptr, nullptr, of<api::Model>()},
      {"GET",
       "/v1/models/{id}/engines",
       P::kPublic,
       "models",
       "Engines of a model for its default shapes.",
       list_engines,
       nullptr,
       Body::kNone,
       nullptr,
       nullptr,
       of<api::EngineList>(),
       200,
       "application/json",
       {{"target", "query", "string", "only for this target"}}},
      {"POST", "/v1/models/{id}/confirm", P::kAdminister, "models",
       "Fetch a source without a known digest for the first time, and record its digest.", confirm_source, nullptr,
       Body::kNone, nullptr, nullptr, of<api::SourceConfirmed>()},
      file("/v1/download/{file}", P::kPublic, "engines",
           "An engine by the name that clients of earlier releases use: MODEL_TARGET_VERSION_PRECISION.engine or "
           "MODEL-TARGET[-PRECISION].engine.",
           download, {kRange, kNoneMatch}),
      file("/v1/engines/{digest}", P::kPublic, "engines",
           "An engine file by its digest: of the public catalogue, or of the caller's organisation.", get_engine, {kRange, kNoneMatch}),
      file("/v1/blobs/{digest}", P::kReadBuilds, "uploads",
           "An uploaded file of the caller's organisation.", get_blob, {kRange, kNoneMatch}),
  };
}

std::vector<Route> upload_routes() {
  return {
      {"POST", "/v1/uploads", P::kUpload, "uploads",
       "Begin an upload. Complete at once when the organisation has the file.", create_upload, nullptr, Body::kJson,
       &Settings::http_json_bytes, of<api::UploadRequest>(), of<api::Upload>(), 201},
      {"GET", "/v1/uploads/{id}", P::kUpload, "uploads", "How much has arrived.", get_upload, nullptr, Body::kNone,
       nullptr, nullptr, of<api::Upload>()},
      {"PUT",
       "/v1/uploads/{id}",
       P::kUpload,
       "uploads",
       "The next part.",
       put_part,
       nullptr,
       Body::kFile,
       &Settings::uploads_part_bytes,
       nullptr,
       of<api::Upload>(),
       200,
       "application/json",
       {{"offset", "query", "integer", "of the part's first byte", true},
        {"X-Part-SHA256", "header", "string", "the part's digest, checked when given"}}},
      {"POST", "/v1/uploads/{id}/complete", P::kUpload, "uploads", "Check the digest of the whole and store it.",
       complete_upload, nullptr, Body::kNone, nullptr, nullptr, of<api::Blob>()},
      {"DELETE", "/v1/uploads/{id}", P::kUpload, "uploads", "Give an upload up.", delete_upload, nullptr, Body::kNone,
       nullptr, nullptr, nullptr, 204},
  };
}

std::vector<Route> build_routes() {
  return {
      {"POST", "/v1/builds", P::kBuild, "builds",
       "Request an engine. 200 when it is in the store, 202 when it has to be built.", create_build, nullptr,
       Body::kJson, &Settings::http_json_bytes, of<api::BuildRequest>(), of<api::Build>(), 202},
      {"GET",
       "/v1/builds",
       P::kReadBuilds,
       "builds",
       "The organisation's builds, newest first.",
       list_builds,
       nullptr,
       Body::kNone,
       nullptr,
       nullptr,
       of<api::BuildPage>(),
       200,
       "application/json",
       {{"state", "query", "string", "queued, leased, succeeded, failed or cancelled"},
        {"model", "query", "string", "id of a model"},
        kOffset,
        kLimit}},
      job<api::Build>("/v1/builds/{id}", "builds", "A build's state, progress, engine or error.", get_build),
      {"DELETE", "/v1/builds/{id}", P::kBuild, "builds", "Cancel. Others that wait for the same engine still get it.",
       cancel_build, nullptr, Body::kNone, nullptr, nullptr, of<api::Build>()},
      {"POST", "/v1/matrices", P::kBuild, "builds",
       "Request engines for several targets at once: all of it is accepted or nothing.", create_matrix, nullptr,
       Body::kJson, &Settings::http_json_bytes, of<api::MatrixRequest>(), of<api::Matrix>(), 202},
      {"GET", "/v1/matrices/{id}", P::kReadBuilds, "builds", "A request for several targets, with its builds.",
       get_matrix, nullptr, Body::kNone, nullptr, nullptr, of<api::Matrix>()},
      {"DELETE", "/v1/matrices/{id}", P::kBuild, "builds",
       "Cancel what has not ended. Others that wait for the same engines still get them.", cancel_matrix, nullptr,
       Body::kNone, nullptr, nullptr, of<api::Matrix>()},
      events("/v1/builds/{id}/events", "builds", stream_build),
  };
}

std::vector<Route> job_routes() {
  return {
      {"POST", "/v1/preflights", P::kBuild, "preflights", "Find out what builds for these targets would refuse and give, without building.",
       create_preflight, nullptr, Body::kJson, &Settings::http_json_bytes, of<api::PreflightRequest>(), of<api::Job>(), 202},
      job<api::Job>("/v1/preflights/{id}", "preflights", "A preflight's state, and its report when it has ended.", get_preflight),
      {"DELETE", "/v1/preflights/{id}", P::kBuild, "preflights", "Cancel.", cancel_preflight, nullptr, Body::kNone, nullptr, nullptr, of<api::Job>()},
      events("/v1/preflights/{id}/events", "preflights", stream_preflight),
      {"POST", "/v1/tunes", P::kBuild, "tuning", "Measure a model's contractions on an agent's GPU; later builds use the records.",
       create_tune, nullptr, Body::kJson, &Settings::http_json_bytes, of<api::TuneRequest>(), of<api::Job>(), 202},
      job<api::Job>("/v1/tunes/{id}", "tuning", "A tuning's state, and its records when it has ended.", get_tune),
      {"DELETE", "/v1/tunes/{id}", P::kBuild, "tuning", "Cancel.", cancel_tune, nullptr, Body::kNone, nullptr, nullptr, of<api::Job>()},
      events("/v1/tunes/{id}/events", "tuning", stream_tune),
  };
}

std::vector<Route> agent_routes() {
  return {
      {"POST", "/v1/agents/lease", P::kRunJobs, "agents", "Take a job, waiting up to wait_ms. 204 when there is none.",
       nullptr, lease_job, Body::kJson, &Settings::http_json_bytes, of<api::LeaseRequest>(), of<api::Lease>()},
      file("/v1/agents/jobs/{id}/input", P::kRunJobs, "agents",
           "The ONNX file of a leased job.", get_input, {kLeaseToken, kRange}),
      file("/v1/agents/jobs/{id}/engine", P::kRunJobs, "agents",
           "The engine that a leased job is to verify.", get_leased_engine, {kLeaseToken, kRange}),
      {"GET", "/v1/agents", P::kReadMetrics, "agents", "Agents seen within a day: what they build for and run engines on.",
       list_agents, nullptr, Body::kNone, nullptr, nullptr, of<api::AgentList>()},
      {"POST", "/v1/agents/jobs/{id}/heartbeat", P::kRunJobs, "agents",
       "Renew a lease, report progress and log. 409: the lease has ended.", heartbeat, nullptr, Body::kJson,
       &Settings::http_json_bytes, of<api::Heartbeat>(), of<api::HeartbeatReply>()},
      {"POST", "/v1/agents/jobs/{id}/sign", P::kRunJobs, "agents", "Sign the header of an engine built under a lease.",
       sign, nullptr, Body::kJson, &Settings::http_json_bytes, of<api::SignRequest>(), of<api::Signature>()},
      {"POST", "/v1/agents/jobs/{id}/kernels/find", P::kRunJobs, "agents",
       "Which of these compiled kernels the hub has for the job's organisation.", find_kernels, nullptr, Body::kJson,
       &Settings::http_json_bytes, of<api::KernelQuery>(), of<api::KernelList>()},
      file("/v1/agents/jobs/{id}/kernels/{digest}", P::kRunJobs, "agents",
           "A bundle of compiled kernels.", get_kernels, {kLeaseToken, kRange}),
      {"POST", "/v1/agents/jobs/{id}/kernels", P::kRunJobs, "agents",
       "Give kernels that a build has compiled, in an uploaded bundle.", add_kernels, nullptr, Body::kJson,
       &Settings::http_json_bytes, of<api::KernelOffer>(), nullptr, 204},
      {"POST", "/v1/agents/jobs/{id}/complete", P::kRunJobs, "agents", "Finish a job with its report, a build with its uploaded engine.",
       complete_job, nullptr, Body::kJson, &Settings::http_json_bytes, of<api::Completion>(), nullptr, 204},
      {"POST", "/v1/agents/jobs/{id}/fail", P::kRunJobs, "agents", "Report a failed attempt.", fail_job, nullptr,
       Body::kJson, &Settings::http_json_bytes, of<api::Failure>(), nullptr, 204},
  };
}

std::vector<Route> tuning_routes() {
  return {
      {"GET", "/v1/tuning/{target}", P::kReadBuilds, "tuning",
       "Tuning records for a GPU: the organisation's over everybody's.", get_tuning, nullptr, Body::kNone, nullptr, nullptr,
       of<api::TuningRecords>()},
      {"PUT",
       "/v1/tuning/{target}",
       P::kBuild,
       "tuning",
       "Add records to the organisation's. Later builds use them.",
       add_tuning,
       nullptr,
       Body::kJson,
       &Settings::http_json_bytes,
       of<api::TuningRecords>(),
       of<api::TuningRecords>(),
       200,
       "application/json",
       {{"scope", "query", "string", "public: for everybody, by administrators"}}},
  };
}

std::vector<Route> access_routes() {
  return {
      {"POST", "/v1/tokens", P::kAdminister, "access", "Make a token. Its text is in this answer and nowhere else.",
       create_token, nullptr, Body::kJson, &Settings::http_json_bytes, of<api::TokenRequest>(), of<api::Token>(), 201},
      {"GET", "/v1/tokens", P::kAdminister, "access", "Tokens, without their texts.", list_tokens, nullptr, Body::kNone,
       nullptr, nullptr, of<api::TokenList>()},
      {"DELETE", "/v1/tokens/{id}", P::kAdminister, "access", "Revoke a token.", revoke_token, nullptr, Body::kNone,
       nullptr, nullptr, nullptr, 204},
  };
}

std::vector<Route> system_routes() {
  return {
      {"GET", "/", P::kPublic, "hub", "The catalogue as a page.", get_page, nullptr, Body::kNone, nullptr, nullptr,
       nullptr, 200, "text/html"},
      {"GET", "/openapi.json", P::kPublic, "hub", "This document.", get_openapi, nullptr, Body::kNone, nullptr, nullptr,
       nullptr, 200, "application/json"},
      {"GET", "/healthz", P::kPublic, "hub", "Whether the process is alive.", get_health, nullptr, Body::kNone, nullptr,
       nullptr, of<api::Health>(), 200, "application/json", {}, true},
      {"GET", "/readyz", P::kPublic, "hub", "Whether database and store answer.", get_ready, nullptr, Body::kNone,
       nullptr, nullptr, of<api::Health>(), 200, "application/json", {}, true},
      {"GET", "/metrics", P::kReadMetrics, "hub", "Prometheus metrics.", get_metrics, nullptr, Body::kNone, nullptr,
       nullptr, nullptr, 200, "text/plain"},
      {"GET", "/v1/keys", P::kPublic, "hub", "Public keys that engines of this hub are signed with.", list_keys,
       nullptr, Body::kNone, nullptr, nullptr, of<api::KeyList>()},
      {"GET", "/v1/targets", P::kPublic, "hub", "Hardware targets, and whether an agent builds for them now.",
       list_targets, nullptr, Body::kNone, nullptr, nullptr, of<api::TargetList>()},
  };
}

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::size_t end = std::min(path.find('/'), path.size());
    parts.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return parts;
}

bool match_path(std::string_view pattern, std::string_view path, std::map<std::string, std::string>& values) {
  const auto want = split(pattern), have = split(path);
  if (want.size() != have.size()) return false;
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (want[i].starts_with('{')) {
      if (have[i].empty()) return false;
      values[std::string(want[i].substr(1, want[i].size() - 2))] = std::string(have[i]);
    } else if (want[i] != have[i]) {
      return false;
    }
  }
  return true;
}

}  // namespace

const std::vector<Route>& table() {
  static const std::vector<Route> kTable = [] {
    std::vector<Route> all;
    for (auto* part : {model_routes, upload_routes, build_routes, job_routes, agent_routes, tuning_routes, access_routes, system_routes})
      for (Route& route : part()) all.push_back(std::move(route));
    return all;
  }();
  return kTable;
}

Match match(const std::string& method, const std::string& path) {
  Match result;
  const std::string_view wanted = method == "HEAD" ? "GET" : std::string_view(method);
  for (const Route& route : table()) {
    std::map<std::string, std::string> values;
    if (!match_path(route.path, path, values)) continue;
    if (route.method == wanted) {
      result.route = &route;
      result.path = std::move(values);
      return result;
    }
    result.allow += (result.allow.empty() ? "" : ", ") + std::string(route.method);
  }
  return result;
}

Result<std::int64_t> Call::number(const std::string& name, std::int64_t otherwise, std::int64_t minimum,
                                  std::int64_t maximum) const {
  const auto value = request.parameter(name);
  if (!value) return otherwise;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (error != std::errc() || end != value->data() + value->size() || number < minimum || number > maximum)
    return std::unexpected(
        base::Error{Code::kInvalidArgument, fmt::format("expected a number from {} to {}", minimum, maximum), name});
  return number;
}

std::string Call::text(const std::string& name) const { return request.parameter(name).value_or(""); }

}  // namespace xinfer::server::routes
