// Enlarges a picture three times: enlarge PICTURE OUT.png.
#include <xinfer/zoo/generative/super_resolution.h>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: enlarge PICTURE OUT\n");
    return 64;
  }
  try {
    const xinfer::zoo::generative::SuperResolution enlarger("espcn-x3", xinfer::HardwareTarget::host());
    const xinfer::Image image = enlarger.predict(xinfer::Image::load(argv[1]));
    image.save(argv[2]);
    std::printf("%d x %d\n", image.width(), image.height());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "enlarge: %s\n", error.what());
    return 1;
  }
}
