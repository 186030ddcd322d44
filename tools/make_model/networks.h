// The networks that bench/cpu measures, with the layers of the published models and random weights.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace xinfer::make_model {

struct Network {
  std::string_view name;
  std::string_view summary;
  std::string (*make)(std::int64_t batch);  // the serialised ONNX model
};

std::span<const Network> networks();

}  // namespace xinfer::make_model
