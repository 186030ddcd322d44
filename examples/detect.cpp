// Finds objects or faces in a picture.
//
//   detect yolox-nano-coco dog.jpg [annotated.jpg]      the engine comes from the hub ($XINFER_HUB) or the cache
//   detect faces.engine photo.jpg                       or from a file
#include <xinfer/zoo/vision/detector.h>

#include <cstdio>
#include <exception>
#include <string>

using xinfer::zoo::vision::Detector;

static Detector open_detector(const std::string& name) {
  const std::string ending = ".engine";
  if (name.size() > ending.size() && name.compare(name.size() - ending.size(), ending.size(), ending) == 0) {
    xinfer::zoo::vision::DetectorConfig config;
    config.engine_path = name;
    return Detector(config);
  }
  return Detector(name, xinfer::HardwareTarget::host());
}

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: detect MODEL|FILE.engine PICTURE [ANNOTATED]\n");
    return 64;
  }
  try {
    const Detector detector = open_detector(argv[1]);
    xinfer::Image image = xinfer::Image::load(argv[2]);
    const auto found = detector.predict(image);
    for (const auto& object : found)
      std::printf("%s %.3f %.0f %.0f %.0f %.0f\n", object.label.c_str(), object.score, object.box.x1, object.box.y1,
                  object.box.x2, object.box.y2);
    if (argc > 3) {
      xinfer::zoo::vision::draw(image, found);
      image.save(argv[3]);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "detect: %s\n", error.what());
    return 1;
  }
}
