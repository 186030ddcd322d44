// ImageClassifier: what a picture shows.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "xinfer/core/inference_engine.h"
#include "xinfer/hub/downloader.h"
#include "xinfer/image.h"
#include "xinfer/target.h"

namespace xinfer {
namespace zoo {
namespace vision {

struct Classification {
  int class_id = 0;
  std::string label;  // empty when the engine carries no labels
  float score = 0;    // probability
};

struct ClassifierConfig {
  std::string engine_path;
  core::EngineOptions engine;  // threads, trusted keys
  std::string metadata;        // JSON as in catalog/README.md; empty: what the engine carries
  std::string labels_path;     // class names, one a line; empty: the metadata's
};

/// Thread-safe. Throws xinfer::Error.
class ImageClassifier {
 public:
  explicit ImageClassifier(const ClassifierConfig& config);
  ImageClassifier(const std::string& model_id, const HardwareTarget& target, const hub::DownloadOptions& options = {});
  ImageClassifier(ImageClassifier&&) noexcept;
  ImageClassifier& operator=(ImageClassifier&&) noexcept;
  ~ImageClassifier();

  /// The `top` likeliest classes, best first.
  std::vector<Classification> predict(const ImageView& image, int top = 5) const;

  const std::vector<std::string>& labels() const;
  const core::InferenceEngine& engine() const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

}  // namespace vision
}  // namespace zoo
}  // namespace xinfer
