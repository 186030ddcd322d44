// What engines are verified on.
#include <gtest/gtest.h>

#include <cmath>

#include "compiler/verify_engine.h"

namespace xinfer::compiler {
namespace {

using tensor::DType;

TEST(VerificationInputs, ArePixelsOnlyWhereShapesSayImages) {
  ir::Graph graph;
  const auto add = [&](const char* name, DType dtype, tensor::Shape shape) { graph.inputs.push_back(graph.add_value(name, ir::ValueType::of(dtype, std::move(shape)))); };
  add("first", DType::kFloat32, {1, 3, 8, 8}), add("last", DType::kFloat16, {1, 8, 8, 1}), add("features", DType::kFloat32, {1, 64, 8, 8});
  add("tokens", DType::kInt64, {1, 3, 8, 8}), add("rows", DType::kFloat32, {8, 3});
  const auto unit = random_inputs(graph, 1), pixels = random_inputs(graph, 1, {}, Numbers::kPixels);
  for (std::size_t i = 0; i < unit.size(); ++i) {
    double largest = 0;
    bool whole = true;
    for (std::int64_t k = 0; k < pixels[i].num_elements(); ++k) {
      const double value = pixels[i].as_double(k);
      largest = std::max(largest, value);
      whole = whole && value == std::floor(value) && value >= 0 && value <= 255;
      EXPECT_TRUE(i < 2 || value == unit[i].as_double(k));
      EXPECT_TRUE(!tensor::is_float(unit[i].dtype()) || std::abs(unit[i].as_double(k)) <= 1);
    }
    EXPECT_EQ(whole && largest > 128, i < 2) << i;
  }
}

}  // namespace
}  // namespace xinfer::compiler
