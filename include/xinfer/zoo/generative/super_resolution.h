// SuperResolution: pictures enlarged by a network.
#pragma once
#include <memory>
#include <string>

#include "xinfer/core/inference_engine.h"
#include "xinfer/hub/downloader.h"
#include "xinfer/image.h"
#include "xinfer/target.h"

namespace xinfer {
namespace zoo {
namespace generative {

struct SuperResolutionConfig {
  std::string engine_path;
  core::EngineOptions engine;  // threads, trusted keys
  std::string metadata;        // JSON as in catalog/README.md; empty: what the engine carries
};

/// Head "espcn": the network enlarges the luma, in overlapping tiles for pictures of any size; colour is enlarged by
/// cubic interpolation. Thread-safe. Throws xinfer::Error.
class SuperResolution {
 public:
  explicit SuperResolution(const SuperResolutionConfig& config);
  SuperResolution(const std::string& model_id, const HardwareTarget& target, const hub::DownloadOptions& options = {});
  SuperResolution(SuperResolution&&) noexcept;
  SuperResolution& operator=(SuperResolution&&) noexcept;
  ~SuperResolution();

  /// A picture factor() times as wide and high.
  Image predict(const ImageView& image) const;
  int factor() const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

}  // namespace generative
}  // namespace zoo
}  // namespace xinfer
