// Models, their engines, downloads.
#include <algorithm>

#include "api/codec.h"
#include "base/digest.h"
#include "server/catalog/sources.h"
#include "server/routes/route.h"
#include "server/services.h"
#include "target/registry.h"

namespace xinfer::server::routes {

using base::Code;
using base::Result;
using http::Response;

namespace {

// Whose engines a model has: the catalogue's are everybody's, a private model's its organisation's.
std::string owner(const api::Model& model, const Call& call) {
  return model.visibility == "public" ? std::string(accounts::kPublicOrganisation) : call.principal.organisation;
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
  return text;
}

bool is_version(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789.") == std::string_view::npos;
}
bool is_precision(std::string_view text) {
  return text == "fp32" || text == "fp16" || text == "bf16" || text == "int8";
}

struct OldName {
  std::string model, target, precision;
};

// "yolox-nano-coco_RTX_4090_10.0.1_FP16.engine", "yolox-nano-coco-x86-64-v4.engine": the model's id, the target, then
// optionally a version (of another product's runtime, ignored) and a precision, joined by '_' or '-'.
Result<OldName> parse_old_name(Services& services, const Call& call, std::string file) {
  constexpr std::string_view kSuffix = ".engine";
  if (!file.ends_with(kSuffix)) return base::fail(Code::kNotFound, "engines end with .engine");
  file.resize(file.size() - kSuffix.size());
  catalog::Query everything;
  everything.limit = INT64_MAX / 2;
  XI_TRY(const api::ModelPage page, services.catalogue.list(call.principal.organisation, everything));
  const api::Model* best = nullptr;
  for (const api::Model& model : page.models)
    if (file.size() > model.id.size() + 1 && file.starts_with(model.id) &&
        (file[model.id.size()] == '-' || file[model.id.size()] == '_') && (!best || model.id.size() > best->id.size()))
      best = &model;
  if (!best)
    return base::fail(Code::kNotFound, "no model of the catalogue is called like the beginning of \"{}\"",
                      file.substr(0, 100));
  OldName name{best->id, lower(file.substr(best->id.size() + 1)), "fp32"};
  for (;;) {
    const std::size_t cut = name.target.find_last_of("-_");
    if (cut == std::string::npos) break;
    const std::string last = name.target.substr(cut + 1);
    if (is_precision(last)) name.precision = last;
    else if (!is_version(last) || target::find(name.target)) break;
    name.target.resize(cut);
  }
  XI_TRY(const auto* found, target::find(name.target));
  name.target = found->name;
  return name;
}

}  // namespace

Reply list_models(Services& services, Call& call) {
  catalog::Query query;
  query.text = call.text("search");
  query.task = call.text("task");
  query.licence = call.text("licence");
  if (const auto sort = call.request.parameter("sort")) query.sort = *sort;
  if (query.sort != "popularity" && query.sort != "name" && query.sort != "task" && query.sort != "licence")
    return std::unexpected(base::Error{Code::kInvalidArgument, "expected popularity, name, task or licence", "sort"});
  XI_TRY(query.offset, call.number("offset", 0, 0, INT32_MAX));
  XI_TRY(query.limit, call.number("limit", services.settings.pages_size, 1, services.settings.pages_size));
  XI_TRY(api::ModelPage page, services.catalogue.list(call.principal.organisation, query));
  XI_TRY(auto open_engines, services.farm.engines(std::string(accounts::kPublicOrganisation)));
  XI_TRY(auto own_engines, services.farm.engines(call.principal.organisation));
  for (api::Model& model : page.models)
    model.engines = std::move((model.visibility == "public" ? open_engines : own_engines)[model.id]);
  return Response::json(200, api::encode(page));
}

Reply get_model(Services& services, Call& call) {
  XI_TRY(api::Model model, services.catalogue.find(call.principal.organisation, call.path["id"]));
  XI_TRY(model.engines, services.farm.engines(owner(model, call), model.id));
  return Response::json(200, api::encode(model));
}

Reply list_engines(Services& services, Call& call) {
  XI_TRY(const api::Model model, services.catalogue.find(call.principal.organisation, call.path["id"]));
  api::EngineList list;
  XI_TRY(list.engines, services.farm.engines(owner(model, call), model.id));
  if (const std::string wanted = call.text("target"); !wanted.empty()) {
    if (wanted.starts_with("host"))
      return std::unexpected(base::Error{Code::kInvalidArgument,
                                         "\"host\" means the machine of the one who asks: name its target", "target"});
    XI_TRY(const HardwareTarget target, target::parse(wanted));
    const bool any_precision = wanted.find(':') == std::string::npos;
    std::erase_if(list.engines, [&](const api::Engine& engine) {
      return engine.target != target.architecture() || (!any_precision && engine.precision != target.precision());
    });
  }
  return Response::json(200, api::encode(list));
}

Reply push_model(Services& services, Call& call) {
  XI_TRY(api::PushRequest push, decode_body<api::PushRequest>(call));
  const std::string& organisation = call.principal.organisation;
  XI_TRY(const bool held, services.farm.may_read_blob(organisation, push.onnx));
  if (!held) return std::unexpected(base::Error{Code::kNotFound, "no such blob: upload the ONNX file first", "onnx"});
  api::Model model;
  model.id = push.id;
  model.name = push.name.empty() ? push.id : push.name;
  model.task = push.task;
  model.licence = push.licence;
  model.description = push.description;
  model.visibility = "private";
  model.sha256 = push.onnx;
  XI_TRY(const auto size, services.store.size(push.onnx));
  model.size_bytes = static_cast<std::int64_t>(size.value_or(0));
  model.input_shapes = push.input_shapes;
  model.profiles = push.profiles;
  model.metadata = push.metadata;
  XI_CHECK(services.catalogue.push(organisation, model));
  Response response = Response::json(201, api::encode(model));
  response.headers.emplace_back("Location", "/v1/models/" + model.id);
  return response;
}

Reply confirm_source(Services& services, Call& call) {
  XI_TRY(const api::Model model, services.catalogue.find("", call.path["id"]));
  if (!model.sha256.empty()) return base::fail(Code::kConflict, "{} has a digest: {}", model.id, model.sha256);
  XI_TRY(const catalog::Fetched fetched,
         catalog::fetch_source(model, services.settings, services.data_folder / "tmp", [](const std::string&) {}));
  XI_CHECK(services.blobs.put_file(fetched.sha256, fetched.file));
  XI_CHECK(services.farm.hold_blob(std::string(accounts::kPublicOrganisation), fetched.sha256, fetched.size_bytes));
  XI_CHECK(services.catalogue.confirm(model.id, fetched.sha256, fetched.size_bytes));
  return Response::json(200, api::encode(api::SourceConfirmed{model.id, fetched.sha256, fetched.size_bytes}));
}

Reply download(Services& services, Call& call) {
  XI_TRY(const OldName name, parse_old_name(services, call, call.path["file"]));
  XI_TRY(const api::Model model, services.catalogue.find(call.principal.organisation, name.model));
  XI_TRY(const std::vector<api::Engine> engines, services.farm.engines(owner(model, call), model.id));
  for (const api::Engine& engine : engines)
    if (engine.target == name.target && engine.precision == name.precision)
      return send_object(services, call, engine.digest, false, engine.file);
  return base::fail(Code::kNotFound,
                    "{} has no engine for {} in {} yet: build it with POST /v1/builds or \"xinfer-cli hub build "
                    "--model {} --target {}\"",
                    name.model, name.target, name.precision, name.model, name.target);
}

Reply get_engine(Services& services, Call& call) {
  const std::string& digest = call.path["digest"];
  const auto absent = [&] {
    return base::fail(Code::kNotFound, "no engine {} that you may read", digest.substr(0, 80));
  };
  if (!base::is_sha256(digest)) return absent();
  XI_TRY(const std::string name, services.farm.engine_file(call.principal.organisation, digest));
  if (name.empty()) return absent();
  return send_object(services, call, digest, true, name);
}

Reply get_blob(Services& services, Call& call) {
  const std::string& digest = call.path["digest"];
  XI_TRY(const bool held, services.farm.may_read_blob(call.principal.organisation, digest));
  if (!held) return base::fail(Code::kNotFound, "no blob {} that you may read", digest.substr(0, 80));
  return send_object(services, call, digest, true, "");
}

}  // namespace xinfer::server::routes
