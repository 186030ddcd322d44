// What a user's program looks like: ten lines against the installed library.
#include <xinfer/core/inference_engine.h>
#include <xinfer/hub/downloader.h>
#include <xinfer/zoo.h>

#include <iostream>

int main(int argc, char** argv) {
  std::cout << xinfer::HardwareTarget::host().to_string() << '\n';
  if (argc < 2) return 0;
  xinfer::core::EngineOptions options;
  options.allow_unsigned = true;
  xinfer::core::InferenceEngine engine(argv[1], options);
  const auto outputs = engine.infer({xinfer::core::Tensor(engine.get_input_shape(0))});
  std::cout << outputs[0].num_elements() << " numbers\n";
}
