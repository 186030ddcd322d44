// Runs any engine on zeros and prints what comes out: run_engine FILE.engine. With progress and a download of one's own:
// run_engine MODEL-ID.
#include <xinfer/core/inference_engine.h>
#include <xinfer/hub/downloader.h>

#include <cstdio>
#include <exception>
#include <fstream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: run_engine FILE.engine|MODEL-ID\n");
    return 64;
  }
  try {
    std::string path = argv[1];
    if (!std::ifstream(path)) {
      xinfer::hub::DownloadOptions options;
      options.on_progress = [](const xinfer::hub::Progress& progress) {
        if (progress.log.empty()) std::fprintf(stderr, "%s\n", progress.stage.c_str());
      };
      path = xinfer::hub::download_engine(path, xinfer::HardwareTarget::host(), options);
    }
    const xinfer::core::InferenceEngine engine(path);
    std::vector<xinfer::core::Tensor> inputs;
    for (const auto& input : engine.inputs()) inputs.emplace_back(input.shape, input.dtype);
    const auto outputs = engine.infer(inputs);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      std::printf("%s:", engine.output_names()[i].c_str());
      for (const auto size : outputs[i].shape()) std::printf(" %lld", static_cast<long long>(size));
      std::printf("\n");
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "run_engine: %s\n", error.what());
    return 1;
  }
}
