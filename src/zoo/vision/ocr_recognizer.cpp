#include <algorithm>

#include "xinfer/zoo/vision/ocr.h"
#include "zoo/model.h"
#include "zoo/raise.h"
#include "zoo/vision/ctc.h"
#include "zoo/vision/picture_input.h"

namespace xinfer::zoo::vision {

using base::Code;

namespace {

/// The model compiled for one width, or for all up to one.
struct Width {
  Model model;
  PictureInput input;
};

Width load_width(const std::string& path, const OcrRecognizerConfig& config) {
  Model model = load_model(path, config.engine, config.metadata, config.labels_path);
  if (model.metadata.head != "ctc")
    raise({Code::kUnsupported, fmt::format("the model's head '{}' reads no text (head: ctc)", model.metadata.head),
           path});
  PictureInput input = PictureInput::of(model);
  return {std::move(model), std::move(input)};
}

}  // namespace

struct OcrRecognizer::State {
  std::vector<Width> widths;  // the narrowest first
  Alphabet alphabet;

  explicit State(const OcrRecognizerConfig& config) {
    if (config.engine_paths.empty()) raise({Code::kInvalidArgument, "engine_paths names no engine", {}});
    for (const auto& path : config.engine_paths) widths.push_back(load_width(path, config));
    std::sort(widths.begin(), widths.end(),
              [](const Width& a, const Width& b) { return a.input.width() < b.input.width(); });
    const api::Metadata& metadata = widths.front().model.metadata;
    alphabet = {metadata.labels, metadata.blank.value_or(0), metadata.space.value_or(false)};
    if (alphabet.labels.empty())
      raise(
          {Code::kInvalidArgument, "the engine carries no characters: give labels_path", config.engine_paths.front()});
  }

  /// The narrowest that holds the line without squeezing it.
  const Width& choose(const ImageView& line) const {
    for (const Width& width : widths)
      if (double(line.width) * width.input.height() <= double(width.input.width()) * line.height) return width;
    return widths.back();
  }
};

OcrRecognizer::OcrRecognizer(const OcrRecognizerConfig& config) : state_(std::make_unique<State>(config)) {}
OcrRecognizer::OcrRecognizer(OcrRecognizer&&) noexcept = default;
OcrRecognizer& OcrRecognizer::operator=(OcrRecognizer&&) noexcept = default;
OcrRecognizer::~OcrRecognizer() = default;

OcrRecognizer::OcrRecognizer(const std::string& model_id, const HardwareTarget& target,
                             const hub::DownloadOptions& options) {
  OcrRecognizerConfig config;
  config.engine.trusted_keys = options.trusted_keys;
  config.engine_paths.push_back(hub::download_engine(model_id, target, options));
  const Width first = load_width(config.engine_paths.front(), config);
  if (options.input_shapes.empty() && !first.input.takes_many_widths()) {  // as on GPUs: those beside the catalogue's
    const core::Shape& shape = first.model.input().opt_shape;
    std::vector<hub::Dimension> sizes(shape.begin(), shape.end());
    hub::Dimension& across = sizes[first.model.metadata.input && first.model.metadata.input->layout == "nhwc" ? 2 : 3];
    for (const int width : kWidths) {
      if (width == first.input.width()) continue;
      across = width;
      hub::DownloadOptions other = options;
      other.input_shapes = {{first.model.input_name(), sizes}};
      config.engine_paths.push_back(hub::download_engine(model_id, target, other));
    }
  }
  state_ = std::make_unique<State>(config);
}

RecognizedText OcrRecognizer::predict(const ImageView& line) const {
  if (line.empty()) raise({Code::kInvalidArgument, "the image is empty", {}});
  const Width& width = state_->choose(line);
  Placement placement;
  const Outputs outputs = infer(width.model, width.input.fill(line, placement));
  const Values& characters = *value_or_raise(find_output(outputs, "characters"));
  const std::int64_t classes = characters.shape.empty() ? 0 : characters.shape.back();
  const auto labels = static_cast<std::int64_t>(state_->alphabet.labels.size()) + 1 + (state_->alphabet.space ? 1 : 0);
  if (classes != labels)
    raise(
        {Code::kInvalidArgument,
         fmt::format("the engine tells {} classes apart, but the labels with blank and space are {}", classes, labels),
         {}});
  RecognizedText text = decode_ctc(characters.data, classes, state_->alphabet);
  const auto first = text.text.find_first_not_of(' '), last = text.text.find_last_not_of(' ');  // of the line's margins
  text.text = first == text.text.npos ? "" : text.text.substr(first, last - first + 1);
  return text;
}

}  // namespace xinfer::zoo::vision
