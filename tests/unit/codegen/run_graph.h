// Schedules, compiles and runs a graph on this machine, and compares it with the reference functions.
#pragma once
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cmath>
#include <cstring>

#include "codegen/cpu/compile.h"
#include "forge/reference/reference.h"
#include "ir/operator.h"
#include "run_cuda.h"
#include "schedule/schedule.h"
#include "target/registry.h"

namespace xinfer::codegen::cpu {

using ir::Graph;
using ir::ValueId;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

/// Builds a graph in the order of execution.
struct GraphBuilder {
  Graph graph;
  int next = 0;

  ValueId input(Shape shape, DType dtype = DType::kFloat32) {
    ValueId id = graph.add_value("in" + std::to_string(next++), ir::ValueType::of(dtype, shape));
    graph.inputs.push_back(id);
    return id;
  }
  ValueId constant(Tensor tensor) { return graph.add_constant("c" + std::to_string(next++), std::move(tensor)); }
  ValueId ints(std::vector<std::int64_t> values) { return constant(Tensor::from_int64s(values)); }
  ValueId random(Shape shape, float scale = 1) {
    Tensor tensor(DType::kFloat32, shape);
    for (std::int64_t i = 0; i < tensor.num_elements(); ++i) tensor.set(i, scale * noise());
    return constant(std::move(tensor));
  }
  ir::Node& node(std::string op, std::vector<ValueId> inputs, std::size_t outputs = 1) {
    ir::Node made;
    made.op = std::move(op), made.name = "n" + std::to_string(next++), made.inputs = std::move(inputs);
    for (std::size_t i = 0; i < outputs; ++i) made.outputs.push_back(graph.add_value("v" + std::to_string(next++), {}));
    graph.nodes.push_back(std::move(made));
    return graph.nodes.back();
  }
  ValueId op(std::string op, std::vector<ValueId> inputs,
             std::vector<std::pair<std::string, ir::Attribute>> attributes = {}) {
    ir::Node& made = node(std::move(op), std::move(inputs));
    for (auto& [name, value] : attributes) made.attributes.set(name, value);
    return made.outputs[0];
  }
  void output(ValueId id) { graph.outputs.push_back(id); }

  std::uint32_t state = 1;
  float noise() {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return static_cast<float>(state) / 4294967296.0f * 2 - 1;
  }
  Tensor sample(ValueId id) {
    const auto& type = graph.value(id).type;
    Tensor tensor(type.dtype, type.shape());
    for (std::int64_t i = 0; i < tensor.num_elements(); ++i) {
      double x = noise() * 2;
      tensor.set(i, tensor::is_float(type.dtype) ? x
                    : type.dtype == DType::kBool ? x > 0
                                                 : std::floor(std::abs(x) * 3));
    }
    return tensor;
  }
};

inline std::vector<Tensor> execute(const schedule::Schedule& schedule, const CodeImage& image,
                                   const std::vector<Tensor>& inputs) {
  void* code = mmap(nullptr, image.code.size() + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::memcpy(code, image.code.data(), image.code.size());
  mprotect(code, image.code.size() + 1, PROT_READ | PROT_EXEC);
  std::vector<Tensor> outputs;
  for (const auto& info : schedule.plan.outputs) outputs.emplace_back(info.dtype, info.shape);
  auto aligned = [](std::size_t bytes) { return static_cast<char*>(std::aligned_alloc(64, (bytes + 127) / 64 * 64)); };
  char* arena = aligned(schedule.plan.arena_bytes);
  char* scratch = aligned(schedule.plan.scratch_bytes);
  char* weights = aligned(schedule.weights.size());
  std::memcpy(weights, schedule.weights.data(), schedule.weights.size());
  for (std::size_t i = 0; i < schedule.plan.arena_bytes / 4; ++i)
    reinterpret_cast<float*>(arena)[i] = NAN;  // stale memory must not matter
  for (const auto& launch : schedule.plan.launches) {
    std::vector<void*> buffers;
    for (const auto& argument : launch.arguments) {
      using Space = engine::BufferRef::Space;
      char* base = argument.space == Space::kArena     ? arena
                   : argument.space == Space::kWeights ? weights
                   : argument.space == Space::kInput
                       ? const_cast<char*>(reinterpret_cast<const char*>(inputs[argument.index].bytes().data()))
                       : reinterpret_cast<char*>(outputs[argument.index].bytes().data());
      buffers.push_back(base + argument.offset);
    }
    auto kernel = reinterpret_cast<engine::CpuKernel>(static_cast<char*>(code) + image.entry_offsets[launch.kernel]);
    // Tasks in two calls, to exercise the cut.
    std::int64_t half = launch.num_tasks / 2;
    if (half > 0) kernel(buffers.data(), nullptr, scratch, 0, half);
    kernel(buffers.data(), nullptr, scratch, half, launch.num_tasks);
  }
  std::free(arena), std::free(scratch), std::free(weights);
  munmap(code, image.code.size() + 1);
  return outputs;
}

inline void expect_close(const Tensor& got, const Tensor& want, double tolerance) {
  ASSERT_EQ(got.shape(), want.shape());
  ASSERT_EQ(got.dtype(), want.dtype());
  for (std::int64_t i = 0; i < got.num_elements(); ++i) {
    double a = got.as_double(i), b = want.as_double(i);
    if (std::isnan(a) && std::isnan(b)) continue;
    if (a == b) continue;
    ASSERT_LE(std::abs(a - b), tolerance * (1 + std::abs(b)))
        << "element " << i << " of " << got.num_elements() << ": " << a << " instead of " << b;
  }
}

/// The same graph as CUDA text run on this machine, in float32 and in float16 (without tensor cores). Errors of operators without a GPU kernel are
/// failures too.
inline void check_cuda_text(const Graph& graph, const std::vector<Tensor>& inputs,
                            const std::vector<forge::reference::Value>& values, double tolerance) {
  auto wanted = forge::reference::evaluate(graph, values);
  for (DType precision : {DType::kFloat32, DType::kFloat16}) {
    auto made = schedule::make_schedule(graph, *(*target::find("h100"))->gpu,
                                        {precision, /*general_templates=*/precision != DType::kFloat32});
    ASSERT_TRUE(made) << made.error().text();
    auto outputs = cuda::execute_on_host(*made, inputs);
    ASSERT_TRUE(outputs) << outputs.error().text();
    for (std::size_t i = 0; i < outputs->size(); ++i)
      expect_close((*outputs)[i], *(*wanted)[i].tensor, precision == DType::kFloat32 ? tolerance : std::max(tolerance, 2e-2));
  }
}

/// Number of launches on the first target, or -1 on failure.
inline int check(GraphBuilder builder, double tolerance = 1e-5,
                 const std::vector<std::string_view>& targets = {"host", "x86-64-v3"}) {
  auto typed = ir::infer_types(builder.graph);
  EXPECT_TRUE(typed) << (typed ? "" : typed.error().text());
  if (!typed) return -1;
  std::vector<Tensor> inputs;
  std::vector<forge::reference::Value> values;
  for (ValueId id : builder.graph.inputs) inputs.push_back(builder.sample(id)), values.emplace_back(inputs.back());
  auto wanted = forge::reference::evaluate(builder.graph, values);
  EXPECT_TRUE(wanted) << (wanted ? "" : wanted.error().text());
  if (!wanted) return -1;
  int launches = -1;
  for (auto name : targets) {
    auto target = target::find(name);
    EXPECT_TRUE(target);
    auto made = schedule::make_schedule(builder.graph, *(*target)->isa);
    EXPECT_TRUE(made) << (made ? "" : made.error().text());
    if (!made) return -1;
    auto image = compile_kernels(made->kernels, *(*target)->isa, {.cache_folder = XI_BINARY_DIR "/kernel-cache"});
    EXPECT_TRUE(image) << (image ? "" : image.error().text());
    if (!image) return -1;
    auto outputs = execute(*made, *image, inputs);
    for (std::size_t i = 0; i < outputs.size(); ++i) expect_close(outputs[i], *(*wanted)[i].tensor, tolerance);
    if (launches < 0) launches = static_cast<int>(made->plan.launches.size());
  }
  check_cuda_text(builder.graph, inputs, values, tolerance);
  return launches;
}

}  // namespace xinfer::codegen::cpu
