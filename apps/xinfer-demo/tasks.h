// What the demonstration shows: each task takes its models from the hub, runs them on a real picture, and checks the
// result against what is known to be in the picture.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "xinfer/hub/downloader.h"
#include "xinfer/target.h"

namespace xinfer::demo {

struct Setting {
  HardwareTarget target;
  hub::DownloadOptions hub;
  std::filesystem::path node_modules, output;
  std::vector<std::filesystem::path> mirrors;
};

struct Outcome {
  std::string task, models;
  double engines_seconds = 0;  // from the request to verified engines, building included
  double inference_ms = 0;     // one picture, everything included; median
  std::string result;
  bool good = false;
  std::filesystem::path picture;  // annotated
};

/// All lines of a page, compared with its text.
Outcome read_page(const Setting& setting);
/// The four faces of a group photo.
Outcome find_faces(const Setting& setting);
/// Dog, bicycle and car, where a mirror holds YOLOX-nano and the picture.
Outcome find_objects(const Setting& setting, const std::filesystem::path& picture);

/// A file of that name in the folders, at most four levels down; empty when there is none.
std::filesystem::path find_file(const std::vector<std::filesystem::path>& folders, const std::string& name);

}  // namespace xinfer::demo
