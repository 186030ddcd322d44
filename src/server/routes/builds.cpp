// Builds and matrices of builds. What builds have in common with other jobs is in jobs.cpp.
#include <algorithm>

#include "api/codec.h"
#include "base/digest.h"
#include "base/trace.h"
#include "server/routes/requests.h"
#include "server/services.h"
#include "tensor/range.h"

namespace xinfer::server::routes {

using base::Code;
using base::Error;
using base::Result;
using http::Response;

namespace {

constexpr std::size_t kRank = 16;
constexpr std::size_t kProfiles = 16;  // each costs a build's time
constexpr std::int64_t kDimension = std::int64_t{1} << 31;
constexpr std::int64_t kPriority = 100;

std::unexpected<Error> bad(std::string where, std::string message) {
  return std::unexpected(Error{Code::kInvalidArgument, std::move(message), std::move(where)});
}

Result<void> check_shapes(const api::Shapes& shapes, const std::string& field, const Settings& settings) {
  if (static_cast<std::int64_t>(shapes.size()) > settings.builds_inputs)
    return bad(field, "more inputs than builds.inputs allows");
  for (const auto& [name, dimensions] : shapes) {
    if (name.empty() || name.size() > 200) return bad(field, "an input's name has 1 to 200 bytes");
    if (dimensions.size() > kRank) return bad(field + "." + name, fmt::format("more than {} dimensions", kRank));
    for (const tensor::Symbol& range : dimensions)
      if (range.min <= 0 || range.opt < range.min || range.max < range.opt || range.max > kDimension)
        return bad(field + "." + name, fmt::format("{} is no {}", tensor::format_range(range),
                                                   range.min == range.max ? "size" : "minimum:optimum:maximum"));
  }
  return {};
}

Result<void> check_sizes(const api::BuildRequest& request, const Settings& settings) {
  XI_CHECK(check_shapes(request.shapes, "shapes", settings));
  if (request.profiles.size() > kProfiles) return bad("profiles", fmt::format("more than {} profiles", kProfiles));
  for (std::size_t i = 0; i < request.profiles.size(); ++i)
    XI_CHECK(check_shapes(request.profiles[i], fmt::format("profiles[{}]", i), settings));
  return {};
}

Result<void> from_model(Services& services, const Call& call, const api::BuildRequest& request,
                        const HardwareTarget& target, farm::JobSpec& spec) {
  if (request.metadata) return bad("metadata", "a model brings its own metadata");
  auto model = services.catalogue.find(call.principal.organisation, request.model);
  if (!model) return std::unexpected(std::move(model).error().in("model"));
  if (model->sha256.empty())
    return base::fail(Code::kConflict,
                      "the digest of {}'s file is not known yet: an administrator confirms its source once, with POST "
                      "/v1/models/{}/confirm",
                      model->id, model->id);
  spec.model = model->id;
  spec.licence = model->licence;
  spec.onnx = model->sha256;
  const bool own_shapes = request.shapes.empty() || request.shapes == model->input_shapes;
  spec.default_shapes = own_shapes && (request.profiles.empty() || request.profiles == model->profiles);
  if (own_shapes) spec.shapes = model->input_shapes;
  if (spec.default_shapes) {
    if (target.is_cpu()) spec.profiles = model->profiles;
    // Engines for GPUs have fixed sizes: of a range that nobody asked for by name, the optimum.
    if (!target.is_cpu())
      for (auto& [name, dimensions] : spec.shapes)
        for (tensor::Symbol& range : dimensions) range = {{}, range.opt, range.opt, range.opt};
  }
  spec.metadata = std::move(model->metadata);
  // The public catalogue's own engines are everybody's; what else is asked for stays in its organisation.
  if (model->visibility == "public" && spec.default_shapes) spec.organisation = accounts::kPublicOrganisation;
  return {};
}

}  // namespace

Result<HardwareTarget> parse_target(const std::string& target_text, const std::string& precision) {
  std::string text = target_text;
  if (!precision.empty()) {
    const std::size_t colon = text.find(':');
    if (colon != std::string::npos && text.substr(colon + 1) != precision)
      return bad("precision", "target and precision disagree");
    text = text.substr(0, colon) + ":" + precision;
  }
  if (text.starts_with("host")) return bad("target", "\"host\" means the machine of the one who asks: name its target");
  auto target = target::parse(text);
  if (!target) return std::unexpected(std::move(target).error().in("target"));
  // What no agent of this version can build is refused now, not after a wait.
  if (auto able = target::check_buildable(*target); !able) return std::unexpected(std::move(able).error().in("target"));
  return target;
}

Result<farm::JobSpec> to_spec(Services& services, const Call& call, const api::BuildRequest& request) {
  if (request.model.empty() == request.onnx.empty()) return bad("model", "give either model or onnx");
  XI_TRY(const HardwareTarget target, parse_target(request.target, request.precision));
  XI_CHECK(check_sizes(request, services.settings));
  const std::int64_t priority = request.priority.value_or(0);
  if (priority < -kPriority || priority > kPriority)
    return bad("priority", fmt::format("expected {} to {}", -kPriority, kPriority));
  farm::JobSpec spec;
  spec.priority = priority;
  const auto trace = base::parse_trace(call.request.header("traceparent"));
  spec.trace = (trace ? trace->next() : base::new_trace()).header();
  spec.organisation = call.principal.organisation;
  spec.target = target.architecture();
  spec.precision = target.precision();
  spec.shapes = request.shapes;
  spec.profiles = request.profiles;
  if (!request.model.empty()) {
    XI_CHECK(from_model(services, call, request, target, spec));
  } else {
    spec.onnx = request.onnx;
    spec.metadata = request.metadata;
    XI_TRY(const bool held, services.farm.may_read_blob(call.principal.organisation, request.onnx));
    if (!held) return std::unexpected(Error{Code::kNotFound, "no such blob: upload the ONNX file first", "onnx"});
  }
  XI_TRY(const auto size, services.store.size(spec.onnx));
  spec.ready = size.has_value();
  return spec;
}

Reply create_build(Services& services, Call& call) {
  XI_TRY(const api::BuildRequest request, decode_body<api::BuildRequest>(call));
  XI_TRY(const farm::JobSpec spec, to_spec(services, call, request));
  XI_TRY(const farm::Submitted submitted,
         services.farm.submit(spec, call.principal.organisation, call.principal.token_id, request.name.substr(0, 200)));
  if (submitted.fetch) services.wake_fetcher();
  XI_TRY(const api::Build build, services.farm.build(call.principal.organisation, submitted.build));
  Response response = Response::json(build.state == "succeeded" ? 200 : 202, api::encode(build));
  response.headers.emplace_back("Location", "/v1/builds/" + build.id);
  return response;
}

Reply create_matrix(Services& services, Call& call) {
  XI_TRY(const api::MatrixRequest request, decode_body<api::MatrixRequest>(call));
  if (request.targets.empty()) return bad("targets", "name at least one target");
  if (static_cast<std::int64_t>(request.targets.size()) > services.settings.builds_matrix)
    return bad("targets", fmt::format("more than builds.matrix = {}", services.settings.builds_matrix));
  std::vector<farm::JobSpec> specs;
  for (std::size_t i = 0; i < request.targets.size(); ++i) {
    const std::string& target = request.targets[i];
    const bool named = target.find(':') != std::string::npos;
    auto spec = to_spec(services, call,
                        {request.model, request.onnx, target, named ? "" : request.precision, request.shapes, request.profiles,
                         request.name, request.metadata, request.priority});
    if (!spec) {
      if (spec.error().where == "target") spec.error().where = fmt::format("targets[{}]", i);
      return std::unexpected(std::move(spec).error());
    }
    const auto same = [&](const farm::JobSpec& other) {
      return other.target == spec->target && other.precision == spec->precision;
    };
    if (!std::ranges::any_of(specs, same)) specs.push_back(std::move(*spec));
  }
  XI_TRY(const farm::Farm::Matrix made,
         services.farm.submit_matrix(specs, call.principal.organisation, call.principal.token_id,
                                     request.name.substr(0, 200)));
  for (const farm::Submitted& one : made.builds)
    if (one.fetch) services.wake_fetcher();
  XI_TRY(const api::Matrix matrix, services.farm.matrix(call.principal.organisation, made.id));
  Response response = Response::json(matrix.state == "succeeded" ? 200 : 202, api::encode(matrix));
  response.headers.emplace_back("Location", "/v1/matrices/" + matrix.id);
  return response;
}

Reply get_matrix(Services& services, Call& call) {
  XI_TRY(const api::Matrix matrix, services.farm.matrix(call.principal.organisation, call.path["id"]));
  return Response::json(200, api::encode(matrix));
}

Reply cancel_matrix(Services& services, Call& call) {
  XI_TRY(const api::Matrix matrix, services.farm.matrix(call.principal.organisation, call.path["id"]));
  for (const api::Build& build : matrix.builds)
    if (build.state == "queued" || build.state == "leased")
      if (auto done = services.farm.cancel(call.principal.organisation, farm::kBuild, build.id);
          !done && done.error().code != Code::kConflict)  // it has ended meanwhile
        return std::unexpected(done.error());
  return get_matrix(services, call);
}

Reply list_builds(Services& services, Call& call) {
  farm::BuildQuery query;
  query.state = call.text("state");
  query.model = call.text("model");
  XI_TRY(query.offset, call.number("offset", 0, 0, INT32_MAX));
  XI_TRY(query.limit, call.number("limit", services.settings.pages_size, 1, services.settings.pages_size));
  XI_TRY(const api::BuildPage page, services.farm.builds(call.principal.organisation, query));
  return Response::json(200, api::encode(page));
}

}  // namespace xinfer::server::routes
