// Detector: objects or faces in pictures.
//
//   xinfer::zoo::vision::Detector detector("yolox-nano-coco", xinfer::HardwareTarget::host());
//   for (const auto& found : detector.predict(xinfer::Image::load("dog.jpg")))
//     std::cout << found.label << " " << found.score << "\n";
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "xinfer/core/inference_engine.h"
#include "xinfer/hub/downloader.h"
#include "xinfer/image.h"
#include "xinfer/target.h"

namespace xinfer {
namespace zoo {
namespace vision {

/// One object, in pixels of the picture that was given, inside of its edges.
struct Detection {
  Box box;
  int class_id = 0;
  std::string label;             // empty when the engine carries no labels
  float score = 0;               // 0 to 1
  std::vector<Point> keypoints;  // faces: eyes, nose, mouth, … in the model's order; else empty
};

struct DetectorConfig {
  std::string engine_path;
  core::EngineOptions engine;  // threads, trusted keys
  /// Pre- and post-processing as in catalog/README.md ("head", "input", …), JSON; empty: what the engine carries.
  std::string metadata;
  /// Class names, one a line; empty: the metadata's.
  std::string labels_path;
  // Instead of the metadata's values:
  std::optional<float> score_threshold;
  std::optional<float> iou_threshold;  // boxes of one class that overlap more are one object
  std::optional<int> max_detections;
};

/// Heads: YOLOX, YOLOv5, YOLOv8, NanoDet, FastestDet, BlazeFace, UltraFace, YuNet, chosen by the metadata.
/// Thread-safe: predict() may be called from several threads at once. Throws xinfer::Error.
class Detector {
 public:
  explicit Detector(const DetectorConfig& config);
  /// The engine comes from the hub or the cache (hub::download_engine).
  Detector(const std::string& model_id, const HardwareTarget& target, const hub::DownloadOptions& options = {});
  Detector(Detector&&) noexcept;
  Detector& operator=(Detector&&) noexcept;
  ~Detector();

  /// Objects, best first.
  std::vector<Detection> predict(const ImageView& image) const;

  const std::vector<std::string>& labels() const;
  const core::InferenceEngine& engine() const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};
using ObjectDetector = Detector;

/// Draws boxes, labels and keypoints on the picture, one colour a class.
void draw(Image& image, const std::vector<Detection>& detections);

}  // namespace vision
}  // namespace zoo
}  // namespace xinfer
