// A random model, inputs to run it with, and what the reference functions say.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "forge/reference/reference.h"
#include "ir/graph.h"
#include "onnx/import.h"
#include "onnx/onnx.pb.h"

namespace xinfer::fuzz {

using tensor::DType;
using tensor::Tensor;

/// One value of every symbol, and inputs of those sizes.
struct Sample {
  std::map<std::string, std::int64_t> sizes;  // by symbol
  std::map<std::string, Tensor> inputs;       // by name

  tensor::Size::Values values() const;
};

struct Model {
  onnx::proto::ModelProto proto;
  std::vector<tensor::Symbol> symbols;
  std::vector<Sample> samples;  // the first has all symbols at their optimum
  std::set<std::string> exact;  // values that floating-point arithmetic gives without rounding, in any order
};

/// Ranges for the inputs that the model leaves open.
std::map<std::string, std::vector<tensor::Symbol>> input_ranges(const Model& model);
[[nodiscard]] base::Result<ir::Graph> import(const Model& model);

using Values = std::map<std::string, forge::reference::Value>;
/// The outputs of `graph`, which import() made of `model`, by name.
[[nodiscard]] base::Result<Values> evaluate(const ir::Graph& graph, const Sample& sample);

}  // namespace xinfer::fuzz
