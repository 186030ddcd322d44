#include "xinfer/zoo/vision/detector.h"

#include <algorithm>

#include "zoo/model.h"
#include "zoo/raise.h"
#include "zoo/vision/heads.h"
#include "zoo/vision/picture_input.h"

namespace xinfer::zoo::vision {
namespace {

using base::Code;
using base::fail;
using base::Result;

Result<Decode> find_head(const std::string& name) {
  std::string known;
  for (const Head& head : heads()) {
    if (head.name == name) return head.decode;
    known += (known.empty() ? "" : ", ") + std::string(head.name);
  }
  return fail(Code::kUnsupported, "the model's head '{}' finds no objects (heads of detectors: {})", name, known);
}

}  // namespace

struct Detector::State {
  Model model;
  PictureInput input;
  Decode decode;
  float score_threshold, iou_threshold;
  std::size_t max_detections;

  explicit State(const DetectorConfig& config)
      : model(load_model(config.engine_path, config.engine, config.metadata, config.labels_path)),
        input(PictureInput::of(model)),
        decode(value_or_raise(find_head(model.metadata.head))) {
    const api::Metadata& metadata = model.metadata;
    score_threshold = config.score_threshold.value_or(static_cast<float>(metadata.score_threshold.value_or(0.3)));
    iou_threshold = config.iou_threshold.value_or(static_cast<float>(metadata.iou_threshold.value_or(0.45)));
    const std::int64_t most = config.max_detections.value_or(static_cast<int>(metadata.max_detections.value_or(100)));
    if (most < 1) raise({Code::kInvalidArgument, fmt::format("max_detections is {}, less than 1", most), {}});
    max_detections = static_cast<std::size_t>(most);
  }
};

Detector::Detector(const DetectorConfig& config) : state_(std::make_unique<State>(config)) {}
Detector::Detector(const std::string& model_id, const HardwareTarget& target, const hub::DownloadOptions& options) {
  DetectorConfig config;
  config.engine_path = hub::download_engine(model_id, target, options);
  config.engine.trusted_keys = options.trusted_keys;
  state_ = std::make_unique<State>(config);
}
Detector::Detector(Detector&&) noexcept = default;
Detector& Detector::operator=(Detector&&) noexcept = default;
Detector::~Detector() = default;

const std::vector<std::string>& Detector::labels() const { return state_->model.metadata.labels; }
const core::InferenceEngine& Detector::engine() const { return state_->model.engine; }

std::vector<Detection> Detector::predict(const ImageView& image) const {
  const State& state = *state_;
  if (image.empty()) raise({Code::kInvalidArgument, "the image is empty", {}});
  Placement placement;
  const Values values = state.input.fill(image, placement);
  const auto& model = state.model;
  const Outputs outputs = infer(model, values);
  const HeadInput head{model.metadata, outputs, state.input.width(), state.input.height(), state.score_threshold};
  auto candidates = suppress(value_or_raise(state.decode(head)), state.iou_threshold, state.max_detections,
                             model.metadata.class_agnostic.value_or(false));

  std::vector<Detection> found;
  for (Candidate& candidate : candidates) {
    Detection detection;
    detection.box = placement.back(candidate.box);
    if (detection.box.width() <= 0 || detection.box.height() <= 0) continue;  // lies in the padding
    detection.class_id = candidate.class_id;
    if (static_cast<std::size_t>(candidate.class_id) < model.metadata.labels.size())
      detection.label = model.metadata.labels[candidate.class_id];
    detection.score = candidate.score;
    for (const Point& point : candidate.keypoints) detection.keypoints.push_back(placement.back(point));
    found.push_back(std::move(detection));
  }
  return found;
}

void draw(Image& image, const std::vector<Detection>& detections) {
  static constexpr Color kColors[] = {{231, 76, 60},  {46, 134, 222}, {39, 174, 96},  {243, 156, 18},
                                      {155, 89, 182}, {0, 188, 170},  {255, 99, 160}, {160, 190, 40}};
  // Lines and letters grow with the picture, so that they show at any size.
  const int side = std::max(image.width(), image.height());
  const int thickness = std::max(2, side / 300), scale = std::max(1, side / 500);
  for (const Detection& detection : detections) {
    const Color color = kColors[static_cast<std::size_t>(detection.class_id) % std::size(kColors)];
    image.draw_box(detection.box, color, thickness);
    const auto radius = static_cast<float>(thickness);
    for (const Point& point : detection.keypoints)
      image.fill_box({point.x - radius, point.y - radius, point.x + radius, point.y + radius}, {255, 255, 0});
  }
  for (const Detection& detection : detections) {  // labels over all boxes
    const Color color = kColors[static_cast<std::size_t>(detection.class_id) % std::size(kColors)];
    const std::string name = detection.label.empty() ? "#" + std::to_string(detection.class_id) : detection.label;
    const std::string text = fmt::format("{} {:.0f}%", name, detection.score * 100);
    const auto height = static_cast<float>(Image::text_size(text, scale).second + 2 * scale);
    image.draw_label({detection.box.x1, detection.box.y1 - height}, text, color, scale);
  }
}

}  // namespace xinfer::zoo::vision
