// Engines from a hub: found, built there if need be, downloaded, verified, cached.
//
//   std::string file = xinfer::hub::download_engine("yolox-nano-coco", xinfer::HardwareTarget::host());
//   xinfer::core::InferenceEngine engine(file);
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "xinfer/error.h"
#include "xinfer/target.h"

namespace xinfer {
namespace hub {

/// What is going on, for progress displays.
struct Progress {
  std::string stage;     // "queued", "import", "compile", …, "download", "verify"
  double fraction = -1;  // of the stage, 0 to 1; negative when unknown
  std::string log;       // a line of the build's log; then stage and fraction are those of before
  std::string model;     // whose engine; empty outside of download_engine
  double seconds_left = -1;  // of the build, as earlier ones took; negative without an estimate
  int builds = 0;            // so many earlier ones
};

/// Which hub, as whom, and where things are kept. All functions may be called from several threads and processes at
/// once.
struct HubOptions {
  /// The hub's address; empty: $XINFER_HUB, else http://127.0.0.1:8080.
  std::string url;
  /// Access token; empty: $XINFER_TOKEN, else the one that `xinfer-cli hub login` stored for this hub, if any. Public
  /// models' engines need none; building does.
  std::string token;
  /// Cache folder; empty: $XDG_CACHE_HOME/xinfer, else ~/.cache/xinfer.
  std::string cache_folder;
  /// Public keys (64 hexadecimal digits) whose engines are accepted beside those of the trust store
  /// ($XDG_CONFIG_HOME/xinfer/trusted_keys, see `xinfer-cli hub trust`).
  std::vector<std::string> trusted_keys;
  /// A hub on a loopback address is this machine's own: its signing key is added to the trust store at first use. Never
  /// done for other hubs, and never when the store already holds another key for the same address.
  bool trust_loopback_hub = true;
  /// Called from the calling thread.
  std::function<void(const Progress&)> on_progress;
  /// Asked several times a second; true ends the call with Error("cancelled").
  std::function<bool()> cancelled;
};

/// One size, or all from `min` to `max` in one engine that is fastest at `opt`.
struct Dimension {
  std::int64_t min, opt, max;

  Dimension(std::int64_t size) : min(size), opt(size), max(size) {}  // NOLINT: a number is a dimension
  Dimension(std::int64_t minimum, std::int64_t optimum, std::int64_t maximum)
      : min(minimum), opt(optimum), max(maximum) {}
};

struct DownloadOptions : HubOptions {
  /// Sizes of the model's inputs, by name; empty: the catalogue's. {{"x", {1, 3, 48, {32, 320, 1280}}}}
  std::map<std::string, std::vector<Dimension>> input_shapes;
  /// Sizes or narrower ranges inside of those, which the engine has plans of their own for, the more special ones first.
  std::vector<std::map<std::string, std::vector<Dimension>>> profiles;
  /// Whether the hub is asked to build an engine that it does not have (needs a token).
  bool build = true;
  /// Only the cache: no network. Also set by XINFER_OFFLINE=1.
  bool offline = false;
  /// Asks the hub for a newer engine even where the cache has one (engines are otherwise used as cached).
  bool refresh = false;
};

/// The path of an engine for `model_id` on `target`, a file of the cache that holds until the cache is emptied.
///
/// Cached and verified once, it is found again without a network. Else it is downloaded from the hub (resumed after an
/// interruption, by one process at a time); where the hub lacks it, the hub builds it first. It is verified (digest,
/// signature by a trusted key) before it enters the cache.
/// Throws Error: "not_found" (no such model; offline and not cached), "unauthorized" (it would have to be built, and
/// there is no token), "untrusted" (signed by a key that is not in the trust store: how to add it), "corrupt",
/// "unavailable" (no hub answers), "timeout", "cancelled", and a failed build's own error.
std::string download_engine(const std::string& model_id, const HardwareTarget& target,
                            const DownloadOptions& options = {});

/// One engine that a hub has.
struct EngineInfo {
  std::string target;  // "x86-64-v4", "sm_89:fp16"
  std::string digest;  // SHA-256
  std::int64_t size_bytes = 0;
  std::string url;  // path on the hub
};

/// One model of a hub's catalogue.
struct ModelInfo {
  std::string id, name, task, licence, description;
  std::int64_t size_bytes = 0;  // of the ONNX file; 0 where unknown
  std::vector<EngineInfo> engines;
};

/// The whole catalogue, best known models first. Throws Error("unavailable") and so on.
std::vector<ModelInfo> list_models(const HubOptions& options = {});
/// Models whose id, name, task or description hold the words.
std::vector<ModelInfo> search(const std::string& words, const HubOptions& options = {});

}  // namespace hub
}  // namespace xinfer
