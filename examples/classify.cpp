// Says what a picture shows: classify MODEL PICTURE.
#include <xinfer/zoo/vision/classifier.h>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: classify MODEL PICTURE\n");
    return 64;
  }
  try {
    const xinfer::zoo::vision::ImageClassifier classifier(argv[1], xinfer::HardwareTarget::host());
    for (const auto& guess : classifier.predict(xinfer::Image::load(argv[2]), 5))
      std::printf("%d %.4f %s\n", guess.class_id, guess.score, guess.label.c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "classify: %s\n", error.what());
    return 1;
  }
}
