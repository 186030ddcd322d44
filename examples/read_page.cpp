// Prints the text of a page: read_page PICTURE [OUTLINED].
#include <xinfer/zoo/vision/ocr.h>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: read_page PICTURE [OUTLINED]\n");
    return 64;
  }
  try {
    const xinfer::zoo::vision::OcrReader reader("ppocrv4", xinfer::HardwareTarget::host());
    xinfer::Image image = xinfer::Image::load(argv[1]);
    const auto page = reader.predict(image);
    std::fputs(page.text().c_str(), stdout);
    if (argc > 2) {
      xinfer::zoo::vision::draw(image, page);
      image.save(argv[2]);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "read_page: %s\n", error.what());
    return 1;
  }
}
