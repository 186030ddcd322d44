// The irregular kernel templates against the reference functions: on CPUs, and as the text for GPUs run on this one.
#include "forge/cpu/irregular.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "../codegen/cuda_on_host.h"
#include "forge/cuda/irregular.h"
#include "forge/reference/reference.h"
#include "ir/operator.h"
#include "run_kernel.h"

namespace xinfer::forge::cpu {
namespace {

using ir::Attribute;
using ir::Shape;
using ir::Tensor;
using tensor::DType;
using testing::Buffer;

struct Input {
  DType dtype = DType::kFloat32;
  Shape shape;
  double low = -1, high = 1;
  std::vector<double> values;  // instead of random ones
  bool constant = false;
  bool absent = false;
};

struct Problem {
  std::string op;
  std::vector<Input> inputs;
  std::vector<std::pair<std::string, Attribute>> attributes;
  std::vector<bool> outputs{true};  // which are wanted
};

using Ints = std::vector<std::int64_t>;
using Texts = std::vector<std::string>;
Attribute number(std::int64_t v) { return v; }

Input floats(Shape shape, double low = -1, double high = 1) { return {DType::kFloat32, std::move(shape), low, high}; }
Input listed(DType dtype, Shape shape, std::vector<double> values, bool constant = true) {
  return {dtype, std::move(shape), 0, 0, std::move(values), constant};
}
Attribute text(const char* value) { return std::string(value); }

void add_attention(std::vector<Problem>& p) {
  p.push_back({"Attention",
               {floats({2, 4, 3, 8}), floats({2, 2, 5, 8}), floats({2, 2, 5, 6}), floats({3, 5})},
               {{"softcap", Attribute(2.0f)}}});
  p.push_back({"Attention",
               {floats({1, 4, 12}), floats({1, 4, 12}), floats({1, 4, 12}),
                listed(DType::kBool, {1, 1, 4, 6},
                       {1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1}, false),
                floats({1, 3, 2, 4}), floats({1, 3, 2, 4})},
               {{"q_num_heads", number(3)},
                {"kv_num_heads", number(3)},
                {"is_causal", number(1)},
                {"qk_matmul_output_mode", number(3)}},
               {true, true, true, true}});
  p.push_back(
      {"RotaryEmbedding",
       {floats({2, 3, 16}), floats({10, 4}), floats({10, 4}), listed(DType::kInt64, {2, 3}, {0, 1, 2, 5, 6, 9}, false)},
       {{"num_heads", number(2)}}});
  p.push_back({"RotaryEmbedding",
               {floats({1, 2, 3, 8}), floats({1, 3, 2}), floats({1, 3, 2})},
               {{"interleaved", number(1)}, {"rotary_embedding_dim", number(4)}}});
  p.push_back({"CausalConvWithState",
               {floats({2, 3, 7}), floats({3, 1, 4}), floats({3}), floats({2, 3, 3})},
               {{"activation", text("silu")}},
               {true, true}});
  p.push_back({"LinearAttention",
               {floats({2, 4, 12}), floats({2, 4, 6}), floats({2, 4, 10}), floats({2, 2, 3, 5}),
                floats({2, 4, 2}, -1, 0), floats({2, 4, 2}, 0, 1)},
               {{"q_num_heads", number(4)}, {"kv_num_heads", number(2)}, {"update_rule", text("gated_delta")}},
               {true, true}});
}

void add_sampling(std::vector<Problem>& p) {
  p.push_back(
      {"GridSample", {floats({2, 3, 5, 6}), floats({2, 4, 3, 2}, -1.4, 1.4)}, {{"padding_mode", text("reflection")}}});
  p.push_back({"GridSample",
               {floats({1, 2, 5, 6}), floats({1, 4, 3, 2}, -1.4, 1.4)},
               {{"mode", text("cubic")}, {"align_corners", number(1)}, {"padding_mode", text("border")}}});
  p.push_back(
      {"GridSample", {floats({1, 2, 3, 4, 5}), floats({1, 2, 2, 3, 3}, -1.4, 1.4)}, {{"mode", text("nearest")}}});
  const Input regions = listed(DType::kFloat32, {3, 4}, {0, 0, 9, 7, 3.5, 2, 12, 30, -4, -2, 5, 5}, false),
              images = listed(DType::kInt64, {3}, {0, 1, 1}, false);
  p.push_back({"RoiAlign",
               {floats({2, 3, 10, 12}), regions, images},
               {{"output_height", number(3)}, {"output_width", number(2)}, {"sampling_ratio", number(2)}}});
  p.push_back({"RoiAlign",
               {floats({2, 3, 10, 12}), regions, images},
               {{"output_height", number(2)},
                {"output_width", number(2)},
                {"mode", text("max")},
                {"coordinate_transformation_mode", text("output_half_pixel")}}});
  p.push_back({"DFT", {floats({2, 10, 3, 1})}, {{"axis", number(1)}, {"onesided", number(1)}}});
  p.push_back({"DFT",
               {floats({2, 6, 2}), listed(DType::kInt64, {}, {10}), listed(DType::kInt64, {}, {1})},
               {{"inverse", number(1)}, {"onesided", number(1)}}});
  p.push_back({"STFT",
               {floats({2, 40, 1}), listed(DType::kInt64, {}, {5}), floats({12}), listed(DType::kInt64, {}, {16})},
               {}});
  const Input labels = listed(DType::kInt64, {2, 3}, {0, 3, 1, 1, 2, 3}, false);
  p.push_back({"SoftmaxCrossEntropyLoss",
               {floats({2, 4, 3}), labels, floats({4}, 0.1, 1)},
               {{"ignore_index", number(1)}},
               {true, true}});
  p.push_back({"NegativeLogLikelihoodLoss", {floats({2, 4, 3}), labels}, {{"reduction", text("none")}}});
}

void add_quantized(std::vector<Problem>& p) {
  const Input scale_a = listed(DType::kFloat32, {}, {0.05}), scale_b = listed(DType::kFloat32, {}, {0.02}),
              scale_y = listed(DType::kFloat32, {}, {0.06}), zero = listed(DType::kUint8, {}, {120});
  const Input bytes{DType::kUint8, {2, 3, 5}, 0, 255.9}, row{DType::kUint8, {3, 1}, 0, 255.9};
  p.push_back({"com.microsoft.QLinearAdd", {bytes, scale_a, zero, row, scale_b, zero, scale_y, zero}, {}});
  p.push_back({"com.microsoft.QLinearMul", {bytes, scale_a, zero, bytes, scale_b, zero, scale_y, zero}, {}});
  p.push_back({"com.microsoft.QLinearLeakyRelu", {bytes, scale_a, zero, scale_b, zero}, {{"alpha", Attribute(0.1f)}}});
  p.push_back({"com.microsoft.QLinearGlobalAveragePool",
               {{DType::kUint8, {2, 3, 4, 5}, 0, 255.9}, scale_a, zero, scale_b, zero},
               {{"channels_last", number(0)}}});
  p.push_back({"BitCast", {floats({3, 4})}, {{"to", number(6)}}});
  p.push_back({"TensorScatter",
               {floats({2, 6, 3}), floats({2, 2, 3}), listed(DType::kInt64, {2}, {1, 5}, false)},
               {{"mode", text("circular")}}});
}

void add_random(std::vector<Problem>& p) {
  const Input ratio = listed(DType::kFloat32, {}, {0.4}, false), yes = listed(DType::kBool, {}, {1}, false), no = listed(DType::kBool, {}, {0}, false);
  p.push_back({"RandomUniform", {}, {{"shape", Ints{3, 300}}, {"seed", Attribute(7.0f)}, {"low", Attribute(-2.0f)}, {"dtype", number(11)}}});
  p.push_back({"RandomNormalLike", {floats({5, 7})}, {{"mean", Attribute(3.0f)}, {"scale", Attribute(0.5f)}}});
  p.push_back({"Bernoulli", {floats({90}, 0, 1)}, {{"dtype", number(6)}}});
  p.push_back({"Multinomial", {floats({3, 5})}, {{"sample_size", number(20)}, {"seed", Attribute(4.0f)}}});
  p.push_back({"Dropout", {floats({4, 9}), ratio, yes}, {{"seed", number(3)}}, {true, true}});
  p.push_back({"Dropout", {floats({4, 9}), ratio, no}, {}, {true, true}});
}

void add_regions(std::vector<Problem>& p) {
  p.push_back({"DeformConv",
               {floats({2, 4, 6, 7}), floats({6, 2, 3, 2}), floats({2, 24, 3, 4}, -2, 2), floats({6}), floats({2, 12, 3, 4}, 0, 1)},
               {{"group", number(2)}, {"offset_group", number(2)}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}, {"dilations", Ints{1, 2}}}});
  p.push_back({"MaxUnpool",
               {floats({1, 2, 2, 2}), listed(DType::kInt64, {1, 2, 2, 2}, {5, 7, 13, 15, 16, 18, 24, 31}, false)},
               {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}});
  p.push_back({"MaxUnpool",
               {floats({1, 1, 2, 2}), listed(DType::kInt64, {1, 1, 2, 2}, {5, 7, 13, 15}, false), listed(DType::kInt64, {4}, {1, 1, 5, 5})},
               {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}});
  p.push_back({"MaxRoiPool",
               {floats({2, 3, 9, 11}), listed(DType::kFloat32, {3, 5}, {0, 1, 1, 7, 8, 1, 2.5, 0, 30, 5, 0, 8, 8, 4, 4}, false)},
               {{"pooled_shape", Ints{3, 2}}, {"spatial_scale", Attribute(0.9f)}}});
  p.push_back({"Col2Im",
               {floats({2, 12, 12}), listed(DType::kInt64, {2}, {5, 6}), listed(DType::kInt64, {2}, {2, 3})},
               {{"pads", Ints{0, 1, 1, 0}}, {"strides", Ints{2, 1}}, {"dilations", Ints{1, 2}}}});
  p.back().inputs[0].shape = {2, 12, 9};
  p.push_back({"Det", {floats({2, 3, 4, 4})}, {}});
  p.push_back({"Det", {listed(DType::kFloat64, {2, 2}, {0, 2, 3, 5}, false)}, {}});
  p.push_back({"com.microsoft.Inverse", {listed(DType::kFloat32, {2, 2, 2}, {0, 2, 4, 1, 3, 1, 1, 2}, false)}, {}});
}

// Two trees: x0 <= 0 ? (x1 > 1 ? leaf : leaf) : leaf, and a lone leaf.
Problem two_trees(const char* fold) {
  return {"ai.onnx.ml.TreeEnsembleRegressor",
          {floats({9, 2}, -2, 2)},
          {{"nodes_treeids", Ints{0, 0, 0, 0, 0, 1}},
           {"nodes_nodeids", Ints{0, 1, 2, 3, 4, 0}},
           {"nodes_featureids", Ints{0, 1, 0, 0, 0, 0}},
           {"nodes_modes", Texts{"BRANCH_LEQ", "BRANCH_GT", "LEAF", "LEAF", "LEAF", "LEAF"}},
           {"nodes_values", std::vector<float>{0, 1, 0, 0, 0, 0}},
           {"nodes_truenodeids", Ints{1, 3, 0, 0, 0, 0}},
           {"nodes_falsenodeids", Ints{2, 4, 0, 0, 0, 0}},
           {"target_treeids", Ints{0, 0, 0, 0, 1}},
           {"target_nodeids", Ints{2, 3, 4, 4, 0}},
           {"target_ids", Ints{0, 1, 0, 1, 0}},
           {"target_weights", std::vector<float>{1.5, -2, 3, 0.25, 10}},
           {"base_values", std::vector<float>{0.5, -1}},
           {"n_targets", number(2)},
           {"aggregate_function", text(fold)}}};
}

void add_classical(std::vector<Problem>& p) {
  for (const char* fold : {"SUM", "AVERAGE", "MIN", "MAX"}) p.push_back(two_trees(fold));
  p.push_back({"ai.onnx.ml.LabelEncoder",
               {listed(DType::kFloat32, {6}, {3, -1, NAN, 0, 7.5, 2}, false)},
               {{"keys_floats", std::vector<float>{7.5, 3, NAN, -1}}, {"values_int64s", Ints{1, 2, 3, 4}}, {"default_int64", number(-9)}}});
  p.push_back({"ai.onnx.ml.LabelEncoder",
               {listed(DType::kInt64, {2, 2}, {5, 6, 7, 8}, false)},
               {{"keys_int64s", Ints{8, 5}}, {"values_floats", std::vector<float>{0.5, 1.5}}, {"default_float", Attribute(-1.0f)}}});
  for (const char* mode : {"TF", "IDF", "TFIDF"})
    p.push_back({"TfIdfVectorizer",
                 {listed(DType::kInt32, {2, 6}, {1, 1, 3, 3, 3, 7, 8, 6, 7, 5, 6, 8}, false)},
                 {{"mode", text(mode)},
                  {"min_gram_length", number(1)},
                  {"max_gram_length", number(2)},
                  {"max_skip_count", number(3)},
                  {"ngram_counts", Ints{0, 4}},
                  {"ngram_indexes", Ints{0, 1, 2, 3, 4, 5, 6}},
                  {"pool_int64s", Ints{2, 3, 5, 4, 5, 6, 7, 8, 6, 7}},
                  {"weights", std::vector<float>{1, 2, 3, 4, 5, 6, 7}}}});
}

std::vector<Problem> problems() {
  std::vector<Problem> p;
  const Input k3{DType::kInt64, {1}, 0, 0, {3}, true};
  p.push_back({"TopK", {{DType::kFloat32, {2, 9, 5}}, k3}, {{"axis", number(1)}}, {true, true}});
  p.push_back({"TopK", {{DType::kInt32, {4, 17}, -5, 5}, k3}, {{"largest", number(0)}}, {true, true}});
  p.push_back({"TopK", {{DType::kFloat32, {1, 700}}, {DType::kInt64, {1}, 0, 0, {300}, true}}, {}, {true, true}});
  p.push_back({"CumSum", {{DType::kFloat32, {3, 7, 5}}, {DType::kInt64, {}, 0, 0, {1}, true}}, {}});
  p.push_back({"CumSum",
               {{DType::kInt64, {3, 7}, -9, 9}, {DType::kInt64, {}, 0, 0, {-1}, true}},
               {{"exclusive", number(1)}, {"reverse", number(1)}}});
  p.push_back({"ScatterElements",
               {{DType::kFloat32, {5, 4}}, {DType::kInt64, {2, 4}, -5, 4.99}, {DType::kFloat32, {2, 4}}},
               {{"reduction", Attribute(std::string("add"))}}});
  p.push_back({"ScatterElements",
               {{DType::kInt32, {3, 6}, 0, 9},
                {DType::kInt64, {3, 2}, 0, 0, {0, 5, 1, 2, -1, 3}},
                {DType::kInt32, {3, 2}, 0, 9}},
               {{"axis", number(1)}}});
  p.push_back({"ScatterND",
               {{DType::kFloat32, {4, 3, 5}}, {DType::kInt64, {2, 1}, 0, 0, {3, 1}}, {DType::kFloat32, {2, 3, 5}}},
               {}});
  p.push_back({"ScatterND",
               {{DType::kFloat32, {4, 3}}, {DType::kInt64, {3, 2}, 0, 0, {3, 1, 0, 2, 3, 1}}, {DType::kFloat32, {3}}},
               {{"reduction", Attribute(std::string("max"))}}});
  auto layer = [](std::string op, std::int64_t gates, std::int64_t time, std::int64_t batch, std::int64_t in,
                  std::int64_t hidden, std::int64_t directions) {
    const Input absent{.absent = true};
    Problem problem{op,
                    {{DType::kFloat32, {time, batch, in}},
                     {DType::kFloat32, {directions, gates * hidden, in}},
                     {DType::kFloat32, {directions, gates * hidden, hidden}},
                     {DType::kFloat32, {directions, 2 * gates * hidden}},
                     absent,
                     {DType::kFloat32, {directions, batch, hidden}}},
                    {{"hidden_size", number(hidden)}},
                    {true, true}};
    if (directions == 2) problem.attributes.emplace_back("direction", std::string("bidirectional"));
    if (op == "LSTM") {
      problem.inputs.push_back({DType::kFloat32, {directions, batch, hidden}});
      problem.outputs.push_back(true);
    }
    return problem;
  };
  p.push_back(layer("RNN", 1, 4, 2, 5, 7, 1));
  p.push_back(layer("GRU", 3, 5, 2, 9, 19, 2));
  p.push_back(layer("GRU", 3, 3, 1, 16, 16, 1));
  p.back().attributes.emplace_back("linear_before_reset", number(1));
  p.push_back(layer("LSTM", 4, 6, 3, 11, 21, 2));
  p.push_back(layer("LSTM", 4, 3, 2, 8, 32, 1));
  p.back().attributes.emplace_back("direction", std::string("reverse"));
  p.back().inputs.push_back({DType::kFloat32, {1, 96}});    // peepholes
  p.back().inputs[4] = {DType::kInt32, {2}, 0, 0, {1, 3}};  // sequence lengths
  p.back().attributes.emplace_back("activations", Texts{"HardSigmoid", "Softsign", "Relu"});
  add_attention(p);
  add_sampling(p);
  add_quantized(p);
  add_random(p);
  add_regions(p);
  add_classical(p);
  return p;
}

Tensor make(const Input& input, std::mt19937& random) {
  Tensor tensor(input.dtype, input.shape);
  std::uniform_real_distribution<double> uniform(input.low, input.high);
  for (std::int64_t i = 0; i < tensor.num_elements(); ++i)
    tensor.set(i, input.values.empty() ? uniform(random) : input.values[static_cast<std::size_t>(i)]);
  return tensor;
}

// A GPU's kernel, a thread after the other.
base::Result<void> run_gpu_kernel(const ir::Node& node, const ir::Graph& graph, std::vector<Buffer*> buffers) {
  XI_TRY(auto made, cuda::irregular_kernel(node, graph, *target::find_canonical("sm_90a")->gpu));
  if (!made) return base::fail(base::Code::kInternal, "no kernel");
  std::vector<void*> pointers;
  for (Buffer* b : buffers) pointers.push_back(b->data());
  Buffer scratch(made->scratch_bytes);
  if (made->scratch_bytes > 0) pointers.push_back(scratch.data());
  const std::size_t count = pointers.size();
  XI_TRY(auto loaded, cuda::testing::HostKernels::compile({&*made, 1}, {&count, 1}, XI_SOURCE_DIR, XI_BINARY_DIR));
  loaded.launch(0, pointers.data(), made->grid, made->threads);
  for (Buffer* b : buffers)
    if (!b->intact()) return base::fail(base::Code::kInternal, "{}: wrote behind a buffer", made->choice);
  if (!scratch.intact()) return base::fail(base::Code::kInternal, "{}: wrote behind its scratch", made->choice);
  return {};
}

class Irregular : public ::testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(Irregular, MatchesTheReference) {
  const auto& [isa_name, index] = GetParam();
  const bool gpu = isa_name == "sm_90a";
  if (auto missing = testing::missing_for(gpu ? "x86-64-v3" : isa_name); !missing.empty()) GTEST_SKIP() << missing;
  const Problem problem = problems()[static_cast<std::size_t>(index)];
  std::mt19937 random(static_cast<unsigned>(index));
  ir::Graph graph;
  ir::Node node;
  node.op = problem.op;
  for (const auto& [name, value] : problem.attributes) node.attributes.set(name, value);
  std::vector<reference::Value> values;
  for (const Input& input : problem.inputs) {
    if (input.absent) {
      node.inputs.push_back(ir::kNoValue);
      continue;
    }
    Tensor tensor = make(input, random);
    values.emplace_back(tensor);
    const std::string name = "in" + std::to_string(values.size());
    node.inputs.push_back(input.constant ? graph.add_constant(name, tensor)
                                         : graph.add_value(name, ir::ValueType::of(tensor.dtype(), tensor.shape())));
  }
  for (std::size_t i = 0; i < problem.outputs.size(); ++i)
    node.outputs.push_back(problem.outputs[i] ? graph.add_value("out" + std::to_string(i), {}) : ir::kNoValue);
  std::vector<const reference::Value*> arguments;
  std::size_t next = 0;
  for (const Input& input : problem.inputs) arguments.push_back(input.absent ? nullptr : &values[next++]);
  auto expected = reference::find(problem.op)(node, graph, arguments);
  ASSERT_TRUE(expected) << expected.error().text();

  auto types = ir::find_operator(problem.op)->shape_rule({graph, node});
  ASSERT_TRUE(types) << types.error().text();
  std::vector<Buffer> buffers;
  buffers.reserve(16);
  for (const auto& value : values) {
    Buffer buffer(value.tensor->size_bytes());
    std::memcpy(buffer.data(), value.tensor->bytes().data(), value.tensor->size_bytes());
    buffers.push_back(std::move(buffer));
  }
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == ir::kNoValue) continue;
    graph.value(node.outputs[i]).type = (*types)[i];
    buffers.emplace_back((*expected)[i].tensor->size_bytes());
  }
  std::vector<Buffer*> pointers;
  for (Buffer& buffer : buffers) pointers.push_back(&buffer);
  if (gpu) {
    auto ran = run_gpu_kernel(node, graph, pointers);
    ASSERT_TRUE(ran) << ran.error().text();
  } else {
    auto kernel = irregular_kernel(node, graph, testing::isa_named(isa_name));
    ASSERT_TRUE(kernel) << kernel.error().text();
    ASSERT_TRUE(kernel->has_value());
    auto ran = testing::run_kernel(**kernel, testing::isa_named(isa_name), pointers);
    ASSERT_TRUE(ran) << ran.error().text();
  }

  std::size_t at = values.size();
  for (std::size_t o = 0; o < node.outputs.size(); ++o) {
    if (node.outputs[o] == ir::kNoValue) continue;
    const Tensor& want = *(*expected)[o].tensor;
    Tensor got(want.dtype(), want.shape());
    std::memcpy(got.bytes().data(), buffers[at++].data(), got.size_bytes());
    for (std::int64_t i = 0; i < want.num_elements(); ++i) {
      const double w = want.as_double(i), g = got.as_double(i);
      if (std::isnan(w) && std::isnan(g)) continue;
      // A quantised number may fall to the other side of a tie.
      const double step = problem.op.starts_with("com.microsoft.QLinear") ? 1 : 0;
      ASSERT_NEAR(g, w, 1e-5 + 1e-4 * std::fabs(w) + step) << problem.op << " output " << o << " element " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Irregular,
                         ::testing::Combine(::testing::Values("x86-64-v3", "x86-64-v4", "sm_90a"),
                                            ::testing::Range(0, static_cast<int>(problems().size()))),
                         testing::case_name);

}  // namespace
}  // namespace xinfer::forge::cpu
