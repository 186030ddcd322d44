#include "xinfer/zoo/vision/classifier.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "zoo/model.h"
#include "zoo/raise.h"
#include "zoo/vision/picture_input.h"

namespace xinfer::zoo::vision {

using base::Code;

struct ImageClassifier::State {
  Model model;
  PictureInput input;
  explicit State(const ClassifierConfig& config)
      : model(load_model(config.engine_path, config.engine, config.metadata, config.labels_path)),
        input(PictureInput::of(model)) {
    if (model.metadata.head != "softmax")
      raise({Code::kUnsupported,
             fmt::format("the model's head '{}' does not classify (head of classifiers: softmax)", model.metadata.head),
             {}});
  }
};

ImageClassifier::ImageClassifier(const ClassifierConfig& config) : state_(std::make_unique<State>(config)) {}
ImageClassifier::ImageClassifier(const std::string& model_id, const HardwareTarget& target,
                                 const hub::DownloadOptions& options) {
  ClassifierConfig config;
  config.engine_path = hub::download_engine(model_id, target, options);
  config.engine.trusted_keys = options.trusted_keys;
  state_ = std::make_unique<State>(config);
}
ImageClassifier::ImageClassifier(ImageClassifier&&) noexcept = default;
ImageClassifier& ImageClassifier::operator=(ImageClassifier&&) noexcept = default;
ImageClassifier::~ImageClassifier() = default;

const std::vector<std::string>& ImageClassifier::labels() const { return state_->model.metadata.labels; }
const core::InferenceEngine& ImageClassifier::engine() const { return state_->model.engine; }

std::vector<Classification> ImageClassifier::predict(const ImageView& image, int top) const {
  const State& state = *state_;
  if (image.empty()) raise({Code::kInvalidArgument, "the image is empty", {}});
  if (top < 1) raise({Code::kInvalidArgument, fmt::format("top is {}, less than 1", top), {}});
  Placement placement;
  const Outputs outputs = infer(state.model, state.input.fill(image, placement));
  std::vector<float> scores = value_or_raise(find_output(outputs, "scores"))->data;
  if (scores.empty()) return {};
  if (state.model.metadata.apply_activation.value_or(false)) {
    const float highest = *std::max_element(scores.begin(), scores.end());
    float sum = 0;
    for (float& score : scores) sum += score = std::exp(score - highest);
    for (float& score : scores) score /= sum;
  }
  std::vector<int> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  const std::size_t count = std::min<std::size_t>(static_cast<std::size_t>(top), order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](int a, int b) { return scores[a] > scores[b]; });
  std::vector<Classification> found;
  for (std::size_t i = 0; i < count; ++i) {
    const auto& labels = state.model.metadata.labels;
    const auto id = static_cast<std::size_t>(order[i]);
    found.push_back({order[i], id < labels.size() ? labels[id] : "", scores[id]});
  }
  return found;
}

}  // namespace xinfer::zoo::vision
