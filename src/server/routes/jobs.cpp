// Jobs of all kinds: preflights, tunings, and what they have in common with builds: waiting for the end, events, cancelling.
#include <charconv>

#include "api/codec.h"
#include "api/states.h"
#include "server/farm/feeds.h"
#include "server/routes/requests.h"
#include "server/services.h"

namespace xinfer::server::routes {

using base::Code;
using base::Error;
using base::Result;
using http::Response;

namespace {

std::unexpected<Error> bad(std::string where, std::string message) {
  return std::unexpected(Error{Code::kInvalidArgument, std::move(message), std::move(where)});
}

// The request as it is now: its answer, whether it has ended, and the job that it waits for.
struct Seen {
  Response response;
  bool ended = false;
  std::string job;
};

template <class T>
Seen seen(const T& request) {
  return {Response::json(200, api::encode(request)), api::is_final(request.state), request.job};
}

Result<Seen> look(Services& services, const std::string& organisation, const farm::JobKind& kind, const std::string& id) {
  if (&kind == &farm::kBuild) {
    XI_TRY(const api::Build build, services.farm.build(organisation, id));
    return seen(build);
  }
  XI_TRY(const api::Job job, services.farm.job(organisation, kind, id));
  return seen(job);
}

void get(Services& services, const Call& call, const std::shared_ptr<http::Exchange>& exchange, const farm::JobKind& kind) {
  const std::string id = call.path.at("id"), organisation = call.principal.organisation;
  const auto wait = call.number("wait", 0, 0, services.settings.farm_long_poll_ms);
  if (!wait) return exchange->respond(Response::error(wait.error()));
  auto now = look(services, organisation, kind, id);
  if (!now) return exchange->respond(Response::error(now.error()));
  if (now->ended || *wait == 0) return exchange->respond(std::move(now->response));
  services.ends.wait(exchange, now->job, services.now_ms() + *wait, [&services, organisation, &kind, id](bool last) -> std::optional<Response> {
    auto then = look(services, organisation, kind, id);
    if (!then) return Response::error(then.error());
    if (!then->ended && !last) return std::nullopt;
    return std::move(then->response);
  });
}

Reply cancel(Services& services, const Call& call, const farm::JobKind& kind) {
  const std::string& id = call.path.at("id");
  XI_CHECK(services.farm.cancel(call.principal.organisation, kind, id));
  XI_TRY(Seen now, look(services, call.principal.organisation, kind, id));
  return std::move(now.response);
}

void stream(Services& services, const Call& call, const std::shared_ptr<http::Exchange>& exchange, const farm::JobKind& kind) {
  const std::string& id = call.path.at("id");
  const auto now = look(services, call.principal.organisation, kind, id);
  if (!now) return exchange->respond(Response::error(now.error()));
  std::int64_t after = 0;
  const std::string& last = call.request.header("last-event-id");
  const std::string text = last.empty() ? call.text("after") : last;
  if (!text.empty()) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), after);
    if (error != std::errc() || end != text.data() + text.size() || after < 0)
      return exchange->respond(
          Response::error({Code::kInvalidArgument, "expected an event's number", "Last-Event-ID"}));
  }
  Response head;
  head.headers = {{"Content-Type", "text/event-stream"}, {"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}};
  services.feeds.open(exchange->stream(std::move(head)), now->job, id, after);
}

// A new request of another kind than builds. It stays in its organisation, whatever its model is.
Reply submit(Services& services, const Call& call, const farm::JobKind& kind, farm::JobSpec spec, const std::string& name, const char* path) {
  spec.kind = &kind;
  spec.organisation = call.principal.organisation;
  spec.default_shapes = false;
  XI_TRY(const farm::Submitted submitted, services.farm.submit(spec, spec.organisation, call.principal.token_id, name.substr(0, 200)));
  if (submitted.fetch) services.wake_fetcher();
  XI_TRY(const api::Job job, services.farm.job(spec.organisation, kind, submitted.build));
  Response response = Response::json(202, api::encode(job));
  response.headers.emplace_back("Location", path + job.id);
  return response;
}

}  // namespace

Reply create_preflight(Services& services, Call& call) {
  XI_TRY(const api::PreflightRequest request, decode_body<api::PreflightRequest>(call));
  if (request.targets.empty()) return bad("targets", "name at least one target");
  if (static_cast<std::int64_t>(request.targets.size()) > services.settings.builds_matrix)
    return bad("targets", fmt::format("more than builds.matrix = {}", services.settings.builds_matrix));
  api::JobOptions options;
  options.launches = request.launches;
  for (std::size_t i = 0; i < request.targets.size(); ++i) {
    const bool named = request.targets[i].find(':') != std::string::npos;
    auto target = parse_target(request.targets[i], named ? "" : request.precision);
    if (!target) {
      target.error().where = fmt::format("targets[{}]", i);
      return std::unexpected(std::move(target).error());
    }
    options.targets.push_back(target->architecture() + ":" + target->precision());
  }
  api::BuildRequest like;
  like.model = request.model;
  like.onnx = request.onnx;
  like.target = options.targets.front();
  like.shapes = request.shapes;
  like.profiles = request.profiles;
  XI_TRY(farm::JobSpec spec, to_spec(services, call, like));
  spec.options = std::move(options);
  return submit(services, call, farm::kPreflight, std::move(spec), request.name, "/v1/preflights/");
}

Reply create_tune(Services& services, Call& call) {
  XI_TRY(const api::TuneRequest request, decode_body<api::TuneRequest>(call));
  constexpr std::int64_t kCandidates = 1000;
  if (request.candidates && (*request.candidates < 1 || *request.candidates > kCandidates))
    return bad("candidates", fmt::format("expected 1 to {}", kCandidates));
  api::BuildRequest like;
  like.model = request.model;
  like.onnx = request.onnx;
  like.target = request.target;
  like.precision = request.precision;
  like.shapes = request.shapes;
  XI_TRY(farm::JobSpec spec, to_spec(services, call, like));
  if (target::find_canonical(spec.target)->kind == target::Kind::kCpu)
    return std::unexpected(Error{Code::kUnsupported, spec.target + ": only GPU targets are tuned by measurement", "target"});
  spec.options.emplace().candidates = request.candidates;
  return submit(services, call, farm::kTune, std::move(spec), request.name, "/v1/tunes/");
}

Reply cancel_build(Services& services, Call& call) { return cancel(services, call, farm::kBuild); }
Reply cancel_preflight(Services& services, Call& call) { return cancel(services, call, farm::kPreflight); }
Reply cancel_tune(Services& services, Call& call) { return cancel(services, call, farm::kTune); }

void get_build(Services& services, Call call, std::shared_ptr<http::Exchange> exchange) { get(services, call, exchange, farm::kBuild); }
void get_preflight(Services& services, Call call, std::shared_ptr<http::Exchange> exchange) { get(services, call, exchange, farm::kPreflight); }
void get_tune(Services& services, Call call, std::shared_ptr<http::Exchange> exchange) { get(services, call, exchange, farm::kTune); }

void stream_build(Services& services, Call call, std::shared_ptr<http::Exchange> exchange) { stream(services, call, exchange, farm::kBuild); }
void stream_preflight(Services& services, Call call, std::shared_ptr<http::Exchange> exchange) { stream(services, call, exchange, farm::kPreflight); }
void stream_tune(Services& services, Call call, std::shared_ptr<http::Exchange> exchange) { stream(services, call, exchange, farm::kTune); }

}  // namespace xinfer::server::routes
