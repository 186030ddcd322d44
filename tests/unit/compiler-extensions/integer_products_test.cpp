// Products of 8-bit integers and products that several blocks share, as CUDA text with tensor cores run on this machine.
#include <algorithm>

#include "../codegen/run_graph.h"
#include "passes/pass.h"

namespace xinfer::codegen::cpu {
namespace {

using Ints = std::vector<std::int64_t>;

Tensor bytes(GraphBuilder& b, DType dtype, Shape shape) {
  Tensor made(dtype, std::move(shape));
  for (std::int64_t i = 0; i < made.num_elements(); ++i) made.set(i, std::floor((b.noise() + (dtype == DType::kUint8 ? 1 : 0)) * 127));
  return made;
}
ValueId scalar(GraphBuilder& b, DType dtype, double value) {
  Tensor made(dtype, {});
  made.set(0, value);
  return b.constant(std::move(made));
}
ValueId scales(GraphBuilder& b, std::int64_t count) {
  Tensor made(DType::kFloat32, {count});
  for (std::int64_t i = 0; i < count; ++i) made.set(i, 0.002 + 0.001 * (b.noise() + 1));
  return b.constant(std::move(made));
}

struct Made {
  Graph graph;  // after the passes
  std::vector<Tensor> inputs, wanted;
  int products = 0;
};

Made prepare(GraphBuilder b) {
  Made made;
  EXPECT_TRUE(ir::infer_types(b.graph));
  std::vector<forge::reference::Value> values;
  for (ValueId id : b.graph.inputs) {
    const auto& type = b.graph.value(id).type;
    made.inputs.push_back(tensor::is_float(type.dtype) ? b.sample(id) : bytes(b, type.dtype, type.shape()));
    values.emplace_back(made.inputs.back());
  }
  auto wanted = forge::reference::evaluate(b.graph, values);
  EXPECT_TRUE(wanted) << (wanted ? "" : wanted.error().text());
  for (const auto& value : *wanted) made.wanted.push_back(*value.tensor);
  passes::PipelineOptions options;
  options.integer_products = true;
  auto passed = passes::run_pipeline(b.graph, options);
  EXPECT_TRUE(passed) << (passed ? "" : passed.error().text());
  made.graph = std::move(b.graph);
  made.products = static_cast<int>(std::ranges::count_if(made.graph.nodes, [](const ir::Node& node) { return node.op == "ConvInteger" || node.op == "MatMulInteger"; }));
  return made;
}

schedule::Schedule run(const Made& made, const char* target, const schedule::GpuOptions& options, double tolerance) {
  auto scheduled = schedule::make_schedule(made.graph, *(*target::find(target))->gpu, options);
  EXPECT_TRUE(scheduled) << (scheduled ? "" : scheduled.error().text());
  auto outputs = cuda::execute_on_host(*scheduled, made.inputs);
  EXPECT_TRUE(outputs) << (outputs ? "" : outputs.error().text());
  for (std::size_t i = 0; outputs && i < outputs->size(); ++i) expect_close((*outputs)[i], made.wanted[i], tolerance);
  return std::move(*scheduled);
}

int count(const schedule::Schedule& schedule, std::string_view begin) {
  return static_cast<int>(std::ranges::count_if(schedule.plan.launches, [&](const engine::Launch& launch) { return launch.choice.starts_with(begin); }));
}

// On tensor cores, and by the general templates: exactly the reference's integers.
void check_products(GraphBuilder b, int products) {
  const Made made = prepare(std::move(b));
  EXPECT_EQ(made.products, products);
  for (const char* target : {"a100", "t4"}) EXPECT_EQ(count(run(made, target, {}, 0), "mma"), products) << target;
  run(made, "h100", {.general_templates = true}, 0);
}

TEST(IntegerProducts, Convolutions) {
  // Channels that fill chunks of 16 bytes, half of them or neither; padding counts as zero points.
  for (const auto& [in, out, dtype, zero] : {std::tuple{16, 24, DType::kUint8, 131.0}, {24, 20, DType::kInt8, -7.0}, {3, 8, DType::kUint8, 0.0}}) {
    GraphBuilder b;
    ValueId y = b.op("ConvInteger", {b.input({2, in, 9, 7}, dtype), b.constant(bytes(b, DType::kInt8, {out, in, 3, 3})), scalar(b, dtype, zero)},
                     {{"pads", Ints{1, 1, 1, 1}}, {"strides", Ints{2, 1}}});
    b.output(y);
    check_products(std::move(b), 1);
  }
}

TEST(IntegerProducts, QuantisedConvolutionsInARowStayInEightBits) {
  GraphBuilder b;
  const auto layer = [&](ValueId x, std::int64_t in, std::int64_t out, std::int64_t kernel, DType dtype) {
    Tensor bias(DType::kInt32, {out});
    for (std::int64_t i = 0; i < out; ++i) bias.set(i, std::floor(b.noise() * 1000));
    return b.op("QLinearConv", {x, scalar(b, DType::kFloat32, 0.02), scalar(b, dtype, 100), b.constant(bytes(b, DType::kInt8, {out, in, kernel, kernel})), scales(b, out),
                                b.constant(Tensor(DType::kInt8, {out})), scalar(b, DType::kFloat32, 0.05), scalar(b, dtype, 100), b.constant(std::move(bias))},
                {{"pads", Ints(4, kernel / 2)}});
  };
  ValueId x = b.input({1, 16, 10, 10}, DType::kUint8);
  b.output(layer(layer(layer(x, 16, 40, 3, DType::kUint8), 40, 32, 1, DType::kUint8), 32, 8, 3, DType::kUint8));
  const Made made = prepare(b);
  const auto schedule = run(made, "a100", {}, 0);
  EXPECT_EQ(count(schedule, "mma"), 3);
  EXPECT_LE(schedule.plan.launches.size(), 5U);  // and at most a reordering at each end
  check_products(std::move(b), 3);
}

TEST(IntegerProducts, MatrixProducts) {
  for (const auto& [m, n, k] : {std::tuple{5, 24, 64}, {70, 9, 40}, {3, 16, 20}, {17, 33, 27}}) {
    GraphBuilder b;
    b.output(b.op("MatMulInteger", {b.input({2, m, k}, DType::kUint8), b.constant(bytes(b, DType::kUint8, {k, n})), scalar(b, DType::kUint8, 90), scalar(b, DType::kUint8, 128)}));
    b.output(b.op("QLinearMatMul", {b.input({m, k}, DType::kInt8), scalar(b, DType::kFloat32, 0.01), scalar(b, DType::kInt8, 3), b.constant(bytes(b, DType::kInt8, {k, n})),
                                    scales(b, n), b.constant(Tensor(DType::kInt8, {n})), scalar(b, DType::kFloat32, 0.03), scalar(b, DType::kInt8, -5)}));
    check_products(std::move(b), 2);
  }
}

TEST(IntegerProducts, ZeroPointsThatComeWhileRunning) {
  GraphBuilder b;
  ir::Node& quantize = b.node("DynamicQuantizeLinear", {b.input({6, 48})}, 3);
  const std::vector<ValueId> q = quantize.outputs;
  ValueId sum = b.op("MatMulInteger", {q[0], b.constant(bytes(b, DType::kInt8, {48, 24})), q[2]});
  b.output(b.op("Mul", {b.op("Cast", {sum}, {{"to", static_cast<std::int64_t>(DType::kFloat32)}}), b.op("Mul", {q[1], scalar(b, DType::kFloat32, 0.01)})}));
  const Made made = prepare(std::move(b));
  EXPECT_EQ(made.products, 1);
  EXPECT_EQ(count(run(made, "a100", {}, 1e-5), "mma"), 1);
}

// A tail may go on behind the 8 bits, as the next operator takes them.
TEST(IntegerProducts, TailsGoOnBehindEightBits) {
  GraphBuilder b;
  ValueId y = b.op("QLinearConv", {b.input({1, 16, 7, 7}, DType::kUint8), scalar(b, DType::kFloat32, 0.02), scalar(b, DType::kUint8, 9), b.constant(bytes(b, DType::kInt8, {24, 16, 1, 1})),
                                   scales(b, 24), b.constant(Tensor(DType::kInt8, {24})), scalar(b, DType::kFloat32, 0.05), scalar(b, DType::kUint8, 120)});
  b.output(b.op("Relu", {b.op("DequantizeLinear", {y, scalar(b, DType::kFloat32, 0.05), scalar(b, DType::kUint8, 120)})}));
  const Made made = prepare(std::move(b));
  const auto schedule = run(made, "a100", {}, 0);
  EXPECT_EQ(count(schedule, "mma"), 1);
  EXPECT_LE(schedule.plan.launches.size(), 3U);
}

TEST(IntegerProducts, DequantisedOperands) {
  GraphBuilder b;
  const auto real = [&](ValueId q, ValueId scale, ValueId zero, std::int64_t axis = 1) { return b.op("DequantizeLinear", {q, scale, zero}, {{"axis", axis}}); };
  const ValueId step = scalar(b, DType::kFloat32, 0.02), zero = scalar(b, DType::kUint8, 117);
  // A scale for each channel; a bias; what follows is quantised again and multiplied again.
  ValueId x = real(b.input({1, 16, 6, 5}, DType::kUint8), step, zero);
  ValueId y = b.op("Conv", {x, real(b.constant(bytes(b, DType::kInt8, {24, 16, 3, 3})), scales(b, 24), b.constant(Tensor(DType::kInt8, {24})), 0), b.random({24})}, {{"pads", Ints(4, 1)}});
  y = real(b.op("QuantizeLinear", {b.op("Relu", {y}), step, zero}), step, zero);
  b.output(b.op("Conv", {y, real(b.constant(bytes(b, DType::kUint8, {8, 24, 1, 1})), step, scalar(b, DType::kUint8, 128))}));
  // Rows and columns of weights.
  ValueId rows = real(b.input({4, 32}, DType::kInt8), step, scalar(b, DType::kInt8, -4));
  b.output(b.op("Gemm", {rows, real(b.constant(bytes(b, DType::kInt8, {10, 32})), scales(b, 10), b.constant(Tensor(DType::kInt8, {10})), 0), b.random({10})}, {{"transB", std::int64_t{1}}}));
  b.output(b.op("MatMul", {rows, real(b.constant(bytes(b, DType::kInt8, {32, 10})), scales(b, 10), b.constant(Tensor(DType::kInt8, {10})), -1)}));
  const Made made = prepare(std::move(b));
  EXPECT_EQ(made.products, 4);
  EXPECT_EQ(count(run(made, "a100", {}, 1e-5), "mma"), 4);
  run(made, "a100", {.precision = DType::kFloat16}, 2e-3);
}

TEST(IntegerProducts, WeightsThatEightBitsDoNotHoldStayFloats) {
  GraphBuilder b;
  b.output(b.op("MatMulInteger", {b.input({4, 16}, DType::kUint8), b.constant(bytes(b, DType::kUint8, {16, 8})), scalar(b, DType::kUint8, 7), scalar(b, DType::kUint8, 0)}));
  const Made made = prepare(std::move(b));
  EXPECT_EQ(made.products, 0);
  run(made, "a100", {}, 0);
}

// Few tiles, deep: several blocks share one, and without clusters a second kernel adds up what they have summed.
TEST(SharedProducts, AreAddedUpBySecondKernels) {
  GraphBuilder b;
  ValueId x = b.input({1, 128, 6, 6});
  ValueId y = b.op("Relu", {b.op("Conv", {x, b.random({40, 128, 3, 3}, 0.05f), b.random({40})}, {{"pads", Ints(4, 1)}})});
  b.output(b.op("ReduceMean", {y, b.ints({2, 3})}));
  b.output(b.op("Add", {b.op("MatMul", {b.input({3, 2048}), b.random({2048, 50}, 0.05f)}), b.random({50})}));
  const Made made = prepare(std::move(b));
  for (const char* target : {"t4", "rtx_4090"}) {
    forge::cuda::Records records;
    records.architecture = (*target::find(target))->gpu->name;
    schedule::GpuOptions options{.precision = DType::kFloat16};
    options.on_contraction = [&](const forge::cuda::Problem& problem, const forge::cuda::Epilogue&, const forge::cuda::Solution&) {
      for (const auto& candidate : forge::cuda::candidates(problem, *(*target::find(target))->gpu))
        if (candidate.text.ends_with("split 4")) records.choices[forge::cuda::text_of(problem)] = candidate.text;
    };
    ASSERT_TRUE(schedule::make_schedule(made.graph, *(*target::find(target))->gpu, options));
    EXPECT_EQ(records.choices.size(), 2U);
    options.on_contraction = {};
    options.records = &records;
    const auto schedule = run(made, target, options, 1e-2);
    EXPECT_EQ(count(schedule, "sum of 4"), 2) << target;
  }
}

TEST(TransposedConvolutions, RunOnTensorCores) {
  GraphBuilder b;
  ValueId x = b.input({2, 16, 5, 6});
  b.output(b.op("Relu", {b.op("ConvTranspose", {x, b.random({16, 24, 4, 4}, 0.2f), b.random({24})}, {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}})}));
  b.output(b.op("ConvTranspose", {x, b.random({16, 9, 3, 2}, 0.2f)}, {{"strides", Ints{3, 1}}, {"dilations", Ints{1, 2}}, {"output_padding", Ints{1, 0}}}));
  const Made made = prepare(std::move(b));
  for (const char* target : {"a100", "t4"}) EXPECT_EQ(count(run(made, target, {.precision = DType::kFloat16}, 2e-2), "mma"), 2) << target;
}

}  // namespace
}  // namespace xinfer::codegen::cpu
