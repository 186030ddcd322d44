#include "tasks.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>

#include "text_distance.h"
#include "xinfer/zoo.h"

namespace xinfer::demo {
namespace {

using zoo::vision::Detection;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Median time of a few runs after the one that gave the result.
double median_ms(const std::function<void()>& action) {
  std::vector<double> times;
  const auto begin = Clock::now();
  while (times.size() < 3 || (times.size() < 15 && seconds_since(begin) < 2)) {
    const auto start = Clock::now();
    action();
    times.push_back(seconds_since(start) * 1e3);
  }
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

/// The text of Untitled.png in the npm package pls-img-txt, as a person reads it.
constexpr std::string_view kPageText =
    "Tesseract OCR best practices\n"
    "Tesseract is an open-source cross-platform OCR engine initially developed by Hewlett\n"
    "Packard, but currently supported by Google. In this post, I want to share some useful\n"
    "tips regarding how to get maximum performance out of it. I won’t cover the basics which\n"
    "can be found in official docs.\n"
    "0. Know your data\n"
    "The top most important tip for any data processing task, and OCR is not an exception.\n"
    "Is your OCR suddenly works terrible on production? Is test performance low? Check\n"
    "what images you’re passing to the engine. No, seriously. If you’re looking into low OCR\n"
    "performance issue, first thing dump the image right before OCR engine call and make\n"
    "sure it’s not cropped, distorted, have wrong channel order, etc.\n";
constexpr double kLeastAccuracy = 0.97;

}  // namespace

Outcome read_page(const Setting& setting) {
  Outcome outcome{.task = "text on a page", .models = "ppocrv4-det, ppocrv4-rec, ppocr-cls"};
  Image image = Image::load(setting.node_modules / "pls-img-txt" / "Untitled.png");
  const auto start = Clock::now();
  const zoo::vision::OcrReader reader("ppocrv4", setting.target, setting.hub);
  outcome.engines_seconds = seconds_since(start);

  const zoo::vision::Page page = reader.predict(image);
  outcome.inference_ms = median_ms([&] { reader.predict(image); });
  const std::string read = normalized(page.text()), expected = normalized(kPageText);
  const std::size_t wrong = edit_distance(read, expected), all = num_characters(expected);
  const double accuracy = 1 - double(wrong) / double(all);
  outcome.good = accuracy >= kLeastAccuracy;
  outcome.result = fmt::format("{} lines; {} of {} characters differ from the expected text ({:.1f} % right)",
                               page.lines.size(), wrong, all, std::max(0.0, accuracy) * 100);
  zoo::vision::draw(image, page);
  // What was read stands below the picture, line by line.
  Image sheet(image.width(), image.height() + 20 * static_cast<int>(page.lines.size()) + 20);
  sheet.fill_box({0, 0, float(sheet.width()), float(sheet.height())}, {24, 28, 36});
  for (int y = 0; y < image.height(); ++y)
    std::copy_n(to_rgb(image).data() + std::size_t(y) * image.width() * 3, image.width() * 3,
                sheet.data() + std::size_t(y) * image.width() * 3);
  float y = static_cast<float>(image.height() + 12);
  for (const auto& line : page.lines) {
    sheet.draw_text({12, y}, fmt::format("{:3.0f}%  {}", line.score * 100, line.text), {220, 230, 240}, 1);
    y += 20;
  }
  outcome.picture = setting.output / "page.png";
  sheet.save(outcome.picture);
  return outcome;
}

namespace {

bool holds(const Box& box, Point point) {
  return box.x1 <= point.x && point.x <= box.x2 && box.y1 <= point.y && point.y <= box.y2;
}

/// Whether the detections are these objects and no others: the box of each holds its middle.
bool are_exactly(const std::vector<Detection>& found, const std::vector<std::pair<std::string, Point>>& expected) {
  if (found.size() != expected.size()) return false;
  for (const auto& [label, middle] : expected) {
    const bool there =
        std::any_of(found.begin(), found.end(), [&, label = label, middle = middle](const Detection& detection) {
          return detection.label == label && holds(detection.box, middle);
        });
    if (!there) return false;
  }
  return true;
}

Outcome detect(const Setting& setting, const std::string& model, const std::filesystem::path& picture,
               const std::vector<std::pair<std::string, Point>>& expected) {
  Outcome outcome{.models = model};
  Image image = Image::load(picture);
  const auto start = Clock::now();
  const zoo::vision::Detector detector(model, setting.target, setting.hub);
  outcome.engines_seconds = seconds_since(start);
  const auto found = detector.predict(image);
  outcome.inference_ms = median_ms([&] { detector.predict(image); });
  for (const Detection& detection : found)
    outcome.result +=
        fmt::format("{}{} {:.0f}%", outcome.result.empty() ? "" : ", ", detection.label, detection.score * 100);
  if (found.empty()) outcome.result = "nothing found";
  outcome.good = are_exactly(found, expected);
  zoo::vision::draw(image, found);
  outcome.picture = setting.output / (picture.stem().string() + "-" + model + ".jpg");
  image.save(outcome.picture);
  return outcome;
}

}  // namespace

Outcome find_faces(const Setting& setting) {
  // The middles of the four faces, in pixels of the picture.
  Outcome outcome = detect(setting, "blazeface-back", setting.node_modules / "@vladmandic/face-api/demo/sample6.jpg",
                           {{"face", {370, 640}}, {"face", {745, 450}}, {"face", {1275, 440}}, {"face", {1600, 380}}});
  outcome.task = "faces in a photo";
  return outcome;
}

Outcome find_objects(const Setting& setting, const std::filesystem::path& picture) {
  Outcome outcome =
      detect(setting, "yolox-nano-coco", picture, {{"dog", {230, 375}}, {"bicycle", {315, 280}}, {"car", {580, 125}}});
  outcome.task = "objects in a photo";
  return outcome;
}

std::filesystem::path find_file(const std::vector<std::filesystem::path>& folders, const std::string& name) {
  for (const auto& folder : folders) {
    std::error_code error;
    auto entry = std::filesystem::recursive_directory_iterator(
        folder, std::filesystem::directory_options::skip_permission_denied, error);
    for (; !error && entry != std::filesystem::recursive_directory_iterator(); entry.increment(error)) {
      if (entry.depth() >= 4) entry.disable_recursion_pending();
      if (entry->path().filename() == name) return entry->path();
    }
  }
  return {};
}

}  // namespace xinfer::demo
