#include "xinfer/hub/downloader.h"

#include <algorithm>
#include <cstdlib>

#include "base/digest.h"
#include "base/files.h"
#include "engine/engine.h"
#include "hub/cache.h"
#include "hub/client.h"
#include "hub/trust.h"

namespace xinfer::hub {
namespace {

using base::Code;
using base::fail;
using base::Result;

template <class T>
T value_or_raise(Result<T> result) {
  if (!result) throw Error(std::string(base::facts(result.error().code).name), result.error().text());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

void show(const HubOptions& options, std::string stage, double fraction = -1) {
  if (options.on_progress) options.on_progress({std::move(stage), fraction, {}});
}

api::Shapes to_shapes(const std::map<std::string, std::vector<Dimension>>& input_shapes) {
  api::Shapes shapes;
  for (const auto& [name, dimensions] : input_shapes)
    for (const Dimension& d : dimensions) shapes[name].push_back({{}, d.min, d.opt, d.max});
  return shapes;
}

api::Profiles to_profiles(const std::vector<std::map<std::string, std::vector<Dimension>>>& given) {
  api::Profiles profiles;
  for (const auto& profile : given) profiles.push_back(to_shapes(profile));
  return profiles;
}

/// The engine that the hub has for these sizes, or has built now.
Result<api::Engine> obtain(Client& client, const std::string& model_id, const HardwareTarget& target,
                           const DownloadOptions& options) {
  XI_TRY(const api::Model model, client.model(model_id));
  const api::Shapes shapes = to_shapes(options.input_shapes);
  const api::Profiles profiles = to_profiles(options.profiles);
  const bool default_shapes =
      (shapes.empty() || shapes == model.input_shapes) && (profiles.empty() || profiles == model.profiles);
  if (default_shapes) {
    for (const api::Engine& engine : model.engines)
      if (engine.target == target.architecture() && engine.precision == target.precision()) return engine;
  }
  if (!options.build)
    return fail(Code::kNotFound, "the hub at {} has no engine of {} for {}, and was not to build one", client.url(),
                model_id, target.to_string());
  if (!client.has_token())
    return fail(Code::kUnauthorized,
                "the hub at {} has no engine of {} for {}; to have it built, log in with `xinfer-cli hub login` or set "
                "XINFER_TOKEN",
                client.url(), model_id, target.to_string());
  api::BuildRequest request;
  request.model = model_id;
  request.target = target.architecture();
  request.precision = target.precision();
  if (!default_shapes) request.shapes = shapes, request.profiles = profiles;
  XI_TRY(const api::Build build, client.submit(request));
  XI_TRY(api::Build done, client.wait(build, options.on_progress));
  return std::move(*done.engine);
}

/// How to come to trust the engine's signer, in one sentence.
std::string advice(Client& client) {
  const auto key = hub_key(client);
  if (!key) return "";
  if (key->other)
    return fmt::format(
        "; {} signs with {} now, but with {} when you came to trust it: if the hub was set up anew, run "
        "`xinfer-cli hub trust`, else ask whoever runs it",
        client.url(), engine::key_id(key->public_key), engine::key_id(*key->other));
  return fmt::format("; the hub signs with {}: if that is what its administrator told you, run `xinfer-cli hub trust`",
                     engine::key_id(key->public_key));
}

/// Brings the engine's file into the cache: downloaded, compared with its digest, its signature checked.
Result<void> fetch(Client& client, Cache& cache, const api::Engine& engine, const DownloadOptions& options) {
  if (!base::is_sha256(engine.digest) || engine.url.empty() || engine.url.front() != '/')
    return fail(Code::kCorrupt, "the hub describes the engine with digest '{}' at '{}'", engine.digest, engine.url);
  XI_TRY(const FileLock lock, FileLock::take(cache.lock_file(engine.digest), {}, options.cancelled));
  const auto file = cache.engine_file(engine.digest), partial = cache.partial_file(engine.digest);
  if (std::filesystem::exists(file)) return {};
  std::error_code failed;
  std::filesystem::create_directories(partial.parent_path(), failed);
  std::filesystem::create_directories(file.parent_path(), failed);
  if (failed) return std::unexpected(base::Error{Code::kIo, failed.message(), file.parent_path().string()});

  for (int attempt = 0;; ++attempt) {
    // A whole file may wait here for its signer to be trusted.
    if (!std::filesystem::exists(partial) ||
        std::filesystem::file_size(partial, failed) != static_cast<std::uintmax_t>(engine.size_bytes)) {
      show(options, "download", 0);
      XI_CHECK(client.http().download(engine.url, partial, [&](std::int64_t have, std::int64_t total) {
        if (total > 0) show(options, "download", double(have) / double(total));
      }));
    }
    show(options, "verify");
    XI_TRY(const std::string digest, base::sha256_file(partial));
    if (digest == engine.digest) break;
    std::filesystem::remove(partial, failed);  // perhaps bytes of an earlier, damaged part: once more from the start
    if (attempt == 1)
      return fail(Code::kCorrupt, "the engine came damaged: its digest is {}, not {}", digest, engine.digest);
  }
  XI_TRY(const engine::Trust trust, gather_trust(client, options));
  if (auto opened = engine::open(partial, trust); !opened) {
    base::Error error = std::move(opened.error());
    if (error.code == Code::kUntrusted) error.message += advice(client);
    else std::filesystem::remove(partial, failed);
    return std::unexpected(std::move(error));
  }
  std::filesystem::rename(partial, file, failed);
  if (failed) return std::unexpected(base::Error{Code::kIo, failed.message(), file.string()});
  return {};
}

Result<std::filesystem::path> resolve(const std::string& model_id, const HardwareTarget& target,
                                      const DownloadOptions& options) {
  const std::filesystem::path folder =
      options.cache_folder.empty() ? base::cache_folder() : std::filesystem::path(options.cache_folder);
  Cache cache(folder);
  const EngineKey key{hub_url(options.url), model_id, target.to_string(), to_shapes(options.input_shapes),
                      to_profiles(options.profiles)};
  const char* variable = std::getenv("XINFER_OFFLINE");
  const bool offline = options.offline || (variable && std::string_view(variable) == "1");
  if (!options.refresh || offline) {
    if (auto found = cache.find(key)) return *found;
  }
  if (offline)
    return fail(Code::kNotFound, "no engine of {} for {} in the cache {}, and the network is not to be used (offline)",
                model_id, target.to_string(), folder.string());

  XI_TRY(const FileLock lock,
         FileLock::take(
             cache.lock_file(key.id()), [&] { show(options, "waiting for another process"); }, options.cancelled));
  if (!options.refresh) {
    if (auto found = cache.find(key)) return *found;  // whoever held the lock has brought it
  }
  XI_TRY(Client client, Client::open(options));
  XI_TRY(const api::Engine engine, obtain(client, model_id, target, options));
  XI_CHECK(fetch(client, cache, engine, options));
  XI_CHECK(cache.put(key, engine.digest));
  return cache.engine_file(engine.digest);
}

ModelInfo to_info(const api::Model& model) {
  ModelInfo info{model.id, model.name, model.task, model.licence, model.description, model.size_bytes, {}};
  for (const api::Engine& engine : model.engines)
    info.engines.push_back({engine.precision == "fp32" ? engine.target : engine.target + ":" + engine.precision,
                            engine.digest, engine.size_bytes, engine.url});
  return info;
}

Result<std::vector<ModelInfo>> all_pages(const std::string& words, const HubOptions& options) {
  XI_TRY(Client client, Client::open(options));
  std::vector<ModelInfo> models;
  for (;;) {
    XI_TRY(const api::ModelPage page, client.models(words, static_cast<std::int64_t>(models.size()), 100));
    for (const api::Model& model : page.models) models.push_back(to_info(model));
    if (page.models.empty() || static_cast<std::int64_t>(models.size()) >= page.total) return models;
  }
}

}  // namespace

std::string download_engine(const std::string& model_id, const HardwareTarget& target, const DownloadOptions& options) {
  if (!options.on_progress) return value_or_raise(resolve(model_id, target, options)).string();
  DownloadOptions named = options;
  named.on_progress = [&](Progress progress) {
    progress.model = model_id;
    options.on_progress(progress);
  };
  return value_or_raise(resolve(model_id, target, named)).string();
}

std::vector<ModelInfo> list_models(const HubOptions& options) { return value_or_raise(all_pages("", options)); }
std::vector<ModelInfo> search(const std::string& words, const HubOptions& options) {
  return value_or_raise(all_pages(words, options));
}

}  // namespace xinfer::hub
