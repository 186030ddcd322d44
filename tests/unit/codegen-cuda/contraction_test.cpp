// NVRTC compiles every contraction template for every architecture, on machines without a GPU; SKIP where NVRTC is not
// installed.
#include "forge/cuda/contraction.h"

#include <gtest/gtest.h>

#include <set>

#include "codegen/cuda/nvrtc.h"
#include "forge/cuda/attention.h"
#include "target/registry.h"

namespace xinfer {
namespace {

using forge::ConvProblem;
using forge::MatMulProblem;
using forge::PoolProblem;
using forge::cuda::Epilogue;
using forge::cuda::EpilogueOperand;
using forge::cuda::Problem;
using tensor::DType;

ConvProblem conv(std::int64_t in, std::int64_t out, std::int64_t size, std::int64_t kernel, DType dtype) {
  ConvProblem p;
  p.in_channels = in, p.out_channels = out, p.bias = true, p.dtype = dtype;
  p.in = p.out = {1, size, size};
  p.kernel = {1, kernel, kernel};
  p.pad = {0, kernel / 2, kernel / 2};
  return p;
}

MatMulProblem matmul(std::int64_t m, std::int64_t n, std::int64_t k, DType dtype) {
  MatMulProblem p;
  p.m = m, p.n = n, p.k = k, p.dtype = dtype;
  return p;
}

std::vector<Problem> problems() {
  std::vector<Problem> all;
  for (DType dtype : {DType::kFloat16, DType::kBfloat16, DType::kFloat32}) {
    all.push_back(conv(64, 67, 14, 3, dtype));
    ConvProblem depthwise = conv(20, 20, 14, 3, dtype);
    depthwise.groups = 20;
    all.push_back(depthwise);
    ConvProblem first = conv(3, 32, 30, 3, dtype);
    first.plain_input = true;
    all.push_back(first);
    first.stride = {1, 2, 2}, first.out = {1, 16, 16}, first.in = {1, 32, 32}, first.stored_input = DType::kFloat32;
    all.push_back(first);
    MatMulProblem dense = matmul(128, 100, 72, dtype);
    dense.constant_b = true;
    all.push_back(dense);
    MatMulProblem batched = matmul(50, 64, 64, dtype);
    batched.batch_a = {2, 3}, batched.batch_b = {3};
    all.push_back(batched);
    batched.transpose_a = true;
    all.push_back(batched);
    PoolProblem pool;
    pool.channels = 20, pool.in = {1, 9, 9}, pool.out = {1, 5, 5}, pool.kernel = {1, 3, 3}, pool.stride = {1, 2, 2};
    pool.layout = forge::Layout::kBlocked, pool.dtype = dtype;
    all.push_back(pool);
  }
  for (DType dtype : {DType::kInt8, DType::kUint8})
    for (std::int64_t channels : {8, 16}) {
      ConvProblem narrow = conv(channels, 67, 14, 3, dtype);
      narrow.bias = false, narrow.zero_point = true;
      all.push_back(narrow);
      MatMulProblem rows = matmul(50, 33, channels * 9 + (channels == 8), dtype);
      rows.constant_b = true, rows.zero_point = channels == 16;
      all.push_back(rows);
    }
  ConvProblem transposed = conv(16, 24, 10, 4, DType::kFloat16);
  transposed.transposed = true, transposed.stride = {1, 2, 2}, transposed.pad = {0, 1, 1}, transposed.out = {1, 20, 20};
  all.push_back(transposed);
  // Enough tiles for the copy engine's pipelines: odd sizes, padding channels.
  MatMulProblem large = matmul(4001, 1000, 776, DType::kFloat16);
  large.constant_b = true;
  all.push_back(large);
  all.push_back(conv(72, 510, 100, 1, DType::kBfloat16));
  return all;
}

Epilogue residual_relu(DType dtype) {
  return {{{EpilogueOperand::Kind::kElement, dtype}, {EpilogueOperand::Kind::kChannel, DType::kFloat32}, {EpilogueOperand::Kind::kScalar, DType::kFloat32}},
          "static __device__ __forceinline__ float epilogue(float x, const float (&operands)[3]) {\n"
          "  return relu(x + operands[0]) * operands[1] + operands[2];\n}\n"};
}
// Behind sums of whole numbers: scaled, rounded and cut to 8 bits.
Epilogue requantized(DType dtype) {
  return {{{EpilogueOperand::Kind::kChannel, DType::kFloat32}},
          "static __device__ __forceinline__ float epilogue(float x, const float (&operands)[1]) {\n"
          "  return min<vf>(max<vf>(round_even<vf>(x * operands[0]), 0.0f), 127.0f);\n}\n", dtype};
}
DType dtype_of(const Problem& problem) {
  return std::visit([](const auto& p) { return p.dtype; }, problem);
}

// One candidate of each template, by its first word, and one that several blocks share; of pipelines each shape.
std::vector<std::string> one_of_each(const Problem& problem, const target::GpuIsa& gpu) {
  std::set<std::string> seen;
  std::vector<std::string> texts;
  for (const auto& candidate : forge::cuda::candidates(problem, gpu))
    if (seen.insert(candidate.text.substr(0, candidate.text.find(candidate.text.starts_with("pipeline") ? " stages" : " ")) +
                    (candidate.text.ends_with("split 2") ? " split" : "")).second)
      texts.push_back(candidate.text);
  return texts;
}

class ContractionTest : public ::testing::TestWithParam<const char*> {};

TEST_P(ContractionTest, EveryTemplateCompiles) {
  auto nvrtc = codegen::cuda::Nvrtc::load();
  if (!nvrtc) GTEST_SKIP() << nvrtc.error().message;
  const auto* target = target::find_canonical(GetParam());
  ASSERT_TRUE(target && target->gpu);
  const target::GpuIsa* gpu = target->gpu;
  if (!nvrtc->supports(gpu->name)) GTEST_SKIP() << nvrtc->version() << " has no " << gpu->name;
  for (const Problem& problem : problems())
    for (const std::string& text : one_of_each(problem, *gpu)) {
      const DType dtype = dtype_of(problem);
      auto solution = forge::cuda::solve(problem, text, forge::is_narrow(dtype) ? requantized(dtype) : residual_relu(dtype), *gpu);
      ASSERT_TRUE(solution) << text << ": " << solution.error().message;
      std::vector<forge::KernelSource> kernels{solution->kernel};
      if (solution->finish) kernels.push_back(solution->finish->kernel);
      for (const forge::KernelSource& kernel : kernels) {
        auto cubin = nvrtc->compile(kernel.source, gpu->name);
        ASSERT_TRUE(cubin) << text << ": " << cubin.error().message;
        EXPECT_NE(cubin->find(kernel.symbol), std::string::npos);
      }
    }
}

// One Attention: two query heads share one key head, masked.
ir::Graph attention_graph(std::int64_t size) {
  ir::Graph graph;
  ir::Node node{.op = "Attention"};
  for (const tensor::Shape& shape : {tensor::Shape{1, 2, 50, size}, {1, 1, 70, size}, {1, 1, 70, size}, {50, 70}})
    node.inputs.push_back(graph.add_value(graph.unique_name("x"), ir::ValueType::of(DType::kFloat32, shape)));
  graph.inputs = node.inputs;
  node.outputs = {graph.add_value("y", ir::ValueType::of(DType::kFloat32, {1, 2, 50, size}))};
  graph.outputs = node.outputs;
  graph.nodes.push_back(std::move(node));
  return graph;
}

TEST_P(ContractionTest, AttentionCompiles) {
  auto nvrtc = codegen::cuda::Nvrtc::load();
  if (!nvrtc) GTEST_SKIP() << nvrtc.error().message;
  const target::GpuIsa* gpu = target::find_canonical(GetParam())->gpu;
  if (!nvrtc->supports(gpu->name)) GTEST_SKIP() << nvrtc->version() << " has no " << gpu->name;
  for (DType dtype : {DType::kFloat16, DType::kBfloat16})
    for (std::int64_t size : {64, 128}) {
      const ir::Graph graph = attention_graph(size);
      if (dtype == DType::kBfloat16 && gpu->sm < 80) {
        EXPECT_FALSE(forge::cuda::has_attention(graph.nodes[0], graph, dtype, *gpu));
        continue;
      }
      ASSERT_TRUE(forge::cuda::has_attention(graph.nodes[0], graph, dtype, *gpu));
      const auto kernel = forge::cuda::attention_kernel(graph.nodes[0], graph, dtype, *gpu);
      EXPECT_LE(kernel.shared_bytes, static_cast<std::uint32_t>(gpu->shared_bytes));
      auto cubin = nvrtc->compile(kernel.source, gpu->name);
      ASSERT_TRUE(cubin) << cubin.error().message;
    }
}

INSTANTIATE_TEST_SUITE_P(AllArchitectures, ContractionTest,
                         ::testing::Values("sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90a", "sm_100", "sm_120"));

}  // namespace
}  // namespace xinfer
