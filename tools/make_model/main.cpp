// make_model NAME FILE [BATCH]: writes one of the benchmark networks as an ONNX file. Without arguments: lists them.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/files.h"
#include "networks.h"

int main(int argc, char** argv) {
  using xinfer::make_model::networks;
  const long batch = argc == 4 ? std::strtol(argv[3], nullptr, 10) : 1;
  if (argc == 3 || (argc == 4 && batch > 0)) {
    for (const auto& network : networks()) {
      if (network.name != argv[1]) continue;
      const auto written = xinfer::base::write_file(argv[2], network.make(batch));
      if (!written) {
        std::fprintf(stderr, "make_model: %s\n", written.error().message.c_str());
        return 1;
      }
      return 0;
    }
    std::fprintf(stderr, "make_model: no network '%s'\n", argv[1]);
  }
  std::fprintf(stderr, "usage: make_model NAME FILE.onnx [BATCH]\n");
  for (const auto& network : networks()) {
    std::fprintf(stderr, "  %-14.*s %.*s\n", static_cast<int>(network.name.size()), network.name.data(),
                 static_cast<int>(network.summary.size()), network.summary.data());
  }
  return 2;
}
