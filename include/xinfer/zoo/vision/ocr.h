// Text in pictures: OcrRecognizer reads one line of text, OcrReader finds the lines of a page and reads them.
//
//   xinfer::zoo::vision::OcrReader reader("ppocrv4", xinfer::HardwareTarget::host());
//   std::cout << reader.predict(xinfer::Image::load("page.png")).text();
#pragma once
#include <array>
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

/// What a line says.
struct RecognizedText {
  std::string text;  // UTF-8
  float score = 0;   // mean probability of its characters, 0 to 1
};

struct OcrRecognizerConfig {
  /// One engine for a range of widths, or several of the same model for one width each: a line is read by the narrowest that
  /// it fits into.
  std::vector<std::string> engine_paths;
  core::EngineOptions engine;  // threads, trusted keys
  std::string metadata;        // JSON as in catalog/README.md; empty: what the engine carries
  std::string labels_path;     // characters, one a line; empty: the metadata's
};

/// Head "ctc" (CRNN, SVTR, PP-OCR). Thread-safe. Throws xinfer::Error.
class OcrRecognizer {
 public:
  /// Widths, in pixels at the model's height, that engines are fetched for where one engine has one width (GPUs).
  static constexpr std::array<int, 3> kWidths = {320, 640, 1280};

  explicit OcrRecognizer(const OcrRecognizerConfig& config);
  OcrRecognizer(const std::string& model_id, const HardwareTarget& target, const hub::DownloadOptions& options = {});
  OcrRecognizer(OcrRecognizer&&) noexcept;
  OcrRecognizer& operator=(OcrRecognizer&&) noexcept;
  ~OcrRecognizer();

  /// Reads a picture of one line of text, upright, left to right.
  RecognizedText predict(const ImageView& line) const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

/// One line on a page.
struct TextLine {
  std::array<Point, 4> corners;  // in pixels of the page, clockwise from the text's top left
  std::string text;
  float score = 0;
};

struct Page {
  std::vector<TextLine> lines;  // from top to bottom, then from left to right
  /// The lines' text; what stands side by side is joined by a blank, what stands below begins a new line.
  std::string text() const;
};

struct OcrReaderConfig {
  std::string detector_path;                  // head "db-text"
  std::vector<std::string> recognizer_paths;  // head "ctc", see OcrRecognizerConfig
  std::string direction_path;  // head "text-direction": turns lines that stand on their heads; may be empty
  core::EngineOptions engine;
  // Instead of the metadata's values:
  std::optional<float> pixel_threshold, box_threshold, unclip_ratio;
  float min_score = 0.5f;  // lines read with less are left out
};

/// The models of a reader, by their ids on the hub.
struct OcrModels {
  std::string detector;    // head "db-text"
  std::string recognizer;  // head "ctc"
  std::string direction;   // head "text-direction"; may be empty
  /// FAMILY-det and FAMILY-rec ("ppocrv4"), with the direction model that all PP-OCR families share, ppocr-cls.
  static OcrModels of_family(const std::string& family) { return {family + "-det", family + "-rec", "ppocr-cls"}; }
};

/// Thread-safe. Throws xinfer::Error.
class OcrReader {
 public:
  explicit OcrReader(const OcrReaderConfig& config);
  OcrReader(const OcrModels& models, const HardwareTarget& target, const hub::DownloadOptions& options = {});
  /// `model_id` names a family, see OcrModels::of_family.
  OcrReader(const std::string& model_id, const HardwareTarget& target, const hub::DownloadOptions& options = {})
      : OcrReader(OcrModels::of_family(model_id), target, options) {}
  OcrReader(OcrReader&&) noexcept;
  OcrReader& operator=(OcrReader&&) noexcept;
  ~OcrReader();

  Page predict(const ImageView& page) const;
  /// Only where lines of text are, without reading them.
  std::vector<std::array<Point, 4>> find_lines(const ImageView& page) const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

/// Outlines the lines.
void draw(Image& image, const Page& page);

}  // namespace vision
}  // namespace zoo
}  // namespace xinfer
