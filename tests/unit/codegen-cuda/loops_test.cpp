// Loop nests and irregular operators compile for every architecture; SKIP where NVRTC is not installed.
#include <gtest/gtest.h>

#include "codegen/cuda/compile.h"
#include "ir/operator.h"
#include "schedule/schedule.h"
#include "target/registry.h"

namespace xinfer {
namespace {

using tensor::DType;

// Packs, groups of threads, argument reductions, every kind of number, a cell and a heap.
ir::Graph sample_graph() {
  ir::Graph graph;
  auto value = [&](std::string name, DType dtype, tensor::Shape shape) {
    return graph.add_value(std::move(name), ir::ValueType::of(dtype, std::move(shape)));
  };
  auto add = [&](std::string op, std::vector<ir::ValueId> inputs, std::size_t outputs = 1) -> ir::Node& {
    ir::Node node;
    node.op = op, node.name = op, node.inputs = std::move(inputs);
    for (std::size_t i = 0; i < outputs; ++i) {
      node.outputs.push_back(graph.add_value(graph.unique_name(op), {}));
      graph.outputs.push_back(node.outputs.back());
    }
    graph.nodes.push_back(std::move(node));
    return graph.nodes.back();
  };
  const ir::ValueId x = value("x", DType::kFloat32, {512, 768}), d = value("d", DType::kFloat64, {6, 10}),
                    i = value("i", DType::kInt8, {6, 10}), s = value("s", DType::kFloat32, {4, 2, 8});
  graph.inputs = {x, d, i, s};
  add("Gelu", {x}), add("Softmax", {x}), add("ArgMax", {x}), add("ReduceMean", {x});
  add("Erf", {d}), add("Pow", {d, d}), add("Mod", {i, i}), add("Transpose", {x});
  tensor::Tensor w(DType::kFloat32, {1, 32, 8}), k = tensor::Tensor::from_int64s(std::vector<std::int64_t>{5});
  const ir::ValueId weights = graph.add_constant("w", std::move(w));
  ir::Node& cell = add("LSTM", {s, weights, weights});
  cell.attributes.set("hidden_size", std::int64_t{8});
  add("TopK", {x, graph.add_constant("k", std::move(k))}, 2);
  return graph;
}

class LoopsTest : public ::testing::TestWithParam<const char*> {};

TEST_P(LoopsTest, Compile) {
  auto nvrtc = codegen::cuda::Nvrtc::load();
  if (!nvrtc) GTEST_SKIP() << nvrtc.error().message;
  if (!nvrtc->supports(GetParam())) GTEST_SKIP() << nvrtc->version() << " has no " << GetParam();
  ir::Graph graph = sample_graph();
  ASSERT_TRUE(ir::infer_types(graph));
  auto schedule = schedule::make_schedule(graph, *target::find_canonical(GetParam())->gpu, {DType::kFloat16});
  ASSERT_TRUE(schedule) << schedule.error().text();
  auto cubins = codegen::cuda::compile_kernels(*nvrtc, schedule->kernels, GetParam());
  ASSERT_TRUE(cubins) << cubins.error().text();
  ASSERT_EQ(cubins->places.size(), schedule->kernels.size());
  for (std::size_t n = 0; n < cubins->places.size(); ++n) {
    const auto cubin = std::string_view(cubins->code).substr(cubins->places[n].offset, cubins->places[n].bytes);
    EXPECT_EQ(cubin.substr(1, 3), "ELF");
    EXPECT_NE(cubin.find(schedule->kernels[n].symbol), cubin.npos);
  }
}

INSTANTIATE_TEST_SUITE_P(AllArchitectures, LoopsTest,
                         ::testing::Values("sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90a", "sm_100", "sm_120"));

}  // namespace
}  // namespace xinfer
