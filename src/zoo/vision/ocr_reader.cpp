#include <algorithm>
#include <cmath>

#include "xinfer/zoo/vision/ocr.h"
#include "zoo/model.h"
#include "zoo/raise.h"
#include "zoo/vision/picture_input.h"
#include "zoo/vision/text_regions.h"

namespace xinfer::zoo::vision {
namespace {

using base::Code;

/// A model that takes one picture, checked for its head.
struct PictureModel {
  Model model;
  PictureInput input;
  PictureModel(const std::string& path, const core::EngineOptions& options, std::string_view head)
      : model(load_model(path, options, "", "")),
        input(PictureInput::of(model)) {
    if (model.metadata.head != head)
      raise({Code::kUnsupported, fmt::format("the model's head is '{}', not '{}'", model.metadata.head, head), path});
  }
};

float length(Point a, Point b) { return std::hypot(a.x - b.x, a.y - b.y); }

/// The line pulled straight; text that runs downwards is laid on its side, as PaddleOCR does.
Image straighten(const ImageView& page, const Quad& quad) {
  const int width =
      std::max(1, static_cast<int>(std::lround(std::max(length(quad[0], quad[1]), length(quad[3], quad[2])))));
  const int height =
      std::max(1, static_cast<int>(std::lround(std::max(length(quad[0], quad[3]), length(quad[1], quad[2])))));
  Image line = crop_quad(page, quad, width, height);
  return height >= 1.5 * width ? rotate_90_left(line) : line;
}

OcrReaderConfig fetch(const OcrModels& models, const HardwareTarget& target, const hub::DownloadOptions& options) {
  OcrReaderConfig config;
  config.engine.trusted_keys = options.trusted_keys;
  config.detector_path = hub::download_engine(models.detector, target, options);
  if (!models.direction.empty()) config.direction_path = hub::download_engine(models.direction, target, options);
  return config;
}

}  // namespace

struct OcrReader::State {
  PictureModel detector;
  OcrRecognizer recognizer;
  std::unique_ptr<PictureModel> direction;
  RegionSettings regions;
  float min_score;

  State(const OcrReaderConfig& config, OcrRecognizer lines_recognizer)
      : detector(config.detector_path, config.engine, "db-text"),
        recognizer(std::move(lines_recognizer)),
        min_score(config.min_score) {
    if (!config.direction_path.empty())
      direction = std::make_unique<PictureModel>(config.direction_path, config.engine, "text-direction");
    const api::Metadata& metadata = detector.model.metadata;
    regions.pixel_threshold =
        config.pixel_threshold.value_or(static_cast<float>(metadata.pixel_threshold.value_or(0.3)));
    regions.box_threshold = config.box_threshold.value_or(static_cast<float>(metadata.box_threshold.value_or(0.6)));
    regions.unclip_ratio = config.unclip_ratio.value_or(static_cast<float>(metadata.unclip_ratio.value_or(1.5)));
  }

  std::vector<Quad> find_lines(const ImageView& page) const {
    Placement placement;
    const Outputs outputs = infer(detector.model, detector.input.fill(page, placement));
    const Values& map = *value_or_raise(find_output(outputs, "map"));
    const int width = detector.input.width(), height = detector.input.height();
    if (map.data.size() != std::size_t(width) * height)
      raise({Code::kInvalidArgument,
             fmt::format("the output of role 'map' has {} values, not {} x {}", map.data.size(), width, height),
             {}});
    std::vector<Quad> found;
    for (const TextRegion& region : find_text_regions(map.data.data(), width, height, regions)) {
      Quad quad;
      for (int i = 0; i < 4; ++i) {
        const Point at = placement.back(region.corners[i]);
        quad[i] = {std::clamp(at.x, 0.0f, float(page.width)), std::clamp(at.y, 0.0f, float(page.height))};
      }
      if (length(quad[0], quad[1]) > 3 && length(quad[0], quad[3]) > 3) found.push_back(quad);
    }
    return found;
  }

  /// Judged by the line's beginning: squeezed into the classifier's input, a long line tells it nothing.
  bool seems_upside_down(const Image& line) const {
    if (!direction) return false;
    const float width = static_cast<float>(line.height()) * static_cast<float>(direction->input.width()) /
                        static_cast<float>(direction->input.height());
    Placement placement;
    const Image start = crop(line, {0, 0, std::min(width, float(line.width())), float(line.height())});
    const Outputs outputs = infer(direction->model, direction->input.fill(start, placement));
    const Values& scores = *value_or_raise(find_output(outputs, "scores"));
    const double sure = direction->model.metadata.score_threshold.value_or(0.9);
    return scores.data.size() == 2 && scores.data[1] > sure;
  }

  RecognizedText read(const Image& line) const {
    RecognizedText text = recognizer.predict(line);
    if (!seems_upside_down(line)) return text;
    RecognizedText turned = recognizer.predict(rotate_180(line));
    return turned.score > text.score ? turned : text;
  }
};

OcrReader::OcrReader(const OcrReaderConfig& config) {
  OcrRecognizerConfig recognizer;
  recognizer.engine_paths = config.recognizer_paths;
  recognizer.engine = config.engine;
  state_ = std::make_unique<State>(config, OcrRecognizer(recognizer));
}

OcrReader::OcrReader(const OcrModels& models, const HardwareTarget& target, const hub::DownloadOptions& options)
    : state_(
          std::make_unique<State>(fetch(models, target, options), OcrRecognizer(models.recognizer, target, options))) {}
OcrReader::OcrReader(OcrReader&&) noexcept = default;
OcrReader& OcrReader::operator=(OcrReader&&) noexcept = default;
OcrReader::~OcrReader() = default;

std::vector<std::array<Point, 4>> OcrReader::find_lines(const ImageView& page) const {
  if (page.empty()) raise({Code::kInvalidArgument, "the image is empty", {}});
  const std::vector<Quad> found = state_->find_lines(page);
  std::vector<Quad> ordered;
  for (const auto& line : reading_order(found))
    for (const std::size_t i : line) ordered.push_back(found[i]);
  return ordered;
}

Page OcrReader::predict(const ImageView& page) const {
  Page result;
  for (const Quad& quad : find_lines(page)) {
    RecognizedText text = state_->read(straighten(page, quad));
    if (text.text.empty() || text.score < state_->min_score) continue;
    result.lines.push_back({quad, std::move(text.text), text.score});
  }
  return result;
}

std::string Page::text() const {
  std::vector<Quad> quads;
  for (const TextLine& line : lines) quads.push_back(line.corners);
  std::string out;
  for (const auto& line : reading_order(quads)) {
    for (std::size_t i = 0; i < line.size(); ++i) out += (i ? " " : "") + lines[line[i]].text;
    out += '\n';
  }
  return out;
}

void draw(Image& image, const Page& page) {
  const int thickness = std::max(1, std::max(image.width(), image.height()) / 500);
  for (const TextLine& line : page.lines)
    image.draw_polygon({line.corners.begin(), line.corners.end()}, {46, 134, 222}, thickness);
}

}  // namespace xinfer::zoo::vision
