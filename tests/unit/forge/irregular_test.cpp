// The irregular kernel templates against the reference functions.
#include "forge/cpu/irregular.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

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
  return p;
}

Tensor make(const Input& input, std::mt19937& random) {
  Tensor tensor(input.dtype, input.shape);
  std::uniform_real_distribution<double> uniform(input.low, input.high);
  for (std::int64_t i = 0; i < tensor.num_elements(); ++i)
    tensor.set(i, input.values.empty() ? uniform(random) : input.values[static_cast<std::size_t>(i)]);
  return tensor;
}

class Irregular : public ::testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(Irregular, MatchesTheReference) {
  const auto& [isa_name, index] = GetParam();
  if (auto missing = testing::missing_for(isa_name); !missing.empty()) GTEST_SKIP() << missing;
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
  auto kernel = irregular_kernel(node, graph, testing::isa_named(isa_name));
  ASSERT_TRUE(kernel) << kernel.error().text();
  ASSERT_TRUE(kernel->has_value());
  std::vector<Buffer*> pointers;
  for (Buffer& buffer : buffers) pointers.push_back(&buffer);
  auto ran = testing::run_kernel(**kernel, testing::isa_named(isa_name), pointers);
  ASSERT_TRUE(ran) << ran.error().text();

  std::size_t at = values.size();
  for (std::size_t o = 0; o < node.outputs.size(); ++o) {
    if (node.outputs[o] == ir::kNoValue) continue;
    const Tensor& want = *(*expected)[o].tensor;
    Tensor got(want.dtype(), want.shape());
    std::memcpy(got.bytes().data(), buffers[at++].data(), got.size_bytes());
    for (std::int64_t i = 0; i < want.num_elements(); ++i) {
      const double w = want.as_double(i), g = got.as_double(i);
      if (std::isnan(w) && std::isnan(g)) continue;
      ASSERT_NEAR(g, w, 1e-5 + 1e-4 * std::fabs(w)) << problem.op << " output " << o << " element " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Irregular,
                         ::testing::Combine(::testing::Values("x86-64-v3", "x86-64-v4"),
                                            ::testing::Range(0, static_cast<int>(problems().size()))),
                         testing::case_name);

}  // namespace
}  // namespace xinfer::forge::cpu
