#include "forge/cuda/source.h"

#include <algorithm>
#include <array>

#include "forge/cuda/prelude.h"
#include "forge/cuda_text.h"

namespace xinfer::forge::cuda {

bool is_computed(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat16 || dtype == DType::kBfloat16;
}

namespace {

// The kernel's arguments, and the epilogue on V consecutive outputs of a row: its operands are loaded first, so that a thread
// can have those of several rows on their way at once.
std::string arguments_source(const Epilogue& epilogue) {
  const std::size_t count = std::max<std::size_t>(epilogue.operands.size(), 1);
  std::string members, loads, values;
  for (std::size_t i = 0; i < epilogue.operands.size(); ++i) {
    const EpilogueOperand& operand = epilogue.operands[i];
    const std::string from = fmt::format("(const {}*)a.operands[{}]", element_type(operand.dtype), i);
    const bool scalar = operand.kind == EpilogueOperand::Kind::kScalar;
    members += fmt::format("  float o{}{};\n", i, scalar ? "" : "[V]");
    switch (operand.kind) {
      case EpilogueOperand::Kind::kElement: loads += fmt::format("    contraction::load<V>(o{}, {} + at);\n", i, from); break;
      case EpilogueOperand::Kind::kChannel: loads += fmt::format("    load_channels<V>(o{}, {}, channel);\n", i, from); break;
      case EpilogueOperand::Kind::kScalar: loads += fmt::format("    o{} = *({});\n", i, from); break;
    }
    values += fmt::format("{}o{}{}", i ? ", " : "", i, scalar ? "" : "[v]");
  }
  return fmt::format(
      "struct Arguments {{\n  const char *input, *weights, *bias;\n  char *output, *indices;\n  const char* operands[{0}];\n"
      "  i64 first;  // output element\n}};\n"
      "template <int V>\nstruct Tail {{\n{3}  __device__ __forceinline__ void load(const Arguments& a, i64 at, int channel) {{\n{1}  }}\n"
      "  __device__ __forceinline__ void apply(float (&x)[V]) const {{\n"
      "#pragma unroll\n    for (int v = 0; v < V; ++v) {{\n      const float operands[{0}] = {{{2}}};\n      x[v] = epilogue(x[v], operands);\n    }}\n  }}\n}};\n"
      "template <int V>\n__device__ __forceinline__ void apply_tail(const Arguments& a, float (&x)[V], i64 at, int channel) {{\n"
      "  Tail<V> tail;\n  tail.load(a, at, channel);\n  tail.apply(x);\n}}\n",
      count, loads, values, members);
}

std::string entry_source(const KernelSource& kernel, const Signature& signature, std::size_t operands, int min_blocks) {
  const std::string_view from = signature.tiled ? "const __grid_constant__ TensorMap" : "const char*";
  std::string parameters = fmt::format("{} input", from), values = signature.tiled ? "(const char*)&input" : "input";
  const auto add = [&](bool present, std::string_view type, std::string_view name) {
    if (present) parameters += fmt::format(", {} {}", type, name);
    values += !present ? ", nullptr" : type == from && signature.tiled ? fmt::format(", (const char*)&{}", name) : fmt::format(", {}", name);
  };
  add(signature.weights, from, "weights");
  add(signature.bias || signature.zero_point, "const char*", "bias");
  std::string others;
  for (std::size_t i = 0; i < operands; ++i) {
    parameters += fmt::format(", const char* operand{}", i);
    others += fmt::format("{}operand{}", i ? ", " : "", i);
  }
  add(true, "char*", "output");
  add(signature.indices, "char*", "indices");
  return fmt::format(
      "{}extern \"C\" __global__ void __launch_bounds__({}, {})\n{}({}) {{\n  extern __shared__ __align__(1024) char shared[];\n"
      "  run(Arguments{{{}, {{{}}}, 0}}, shared);\n}}\n}}  // namespace contraction\n",
      signature.tiled ? "struct __align__(64) TensorMap {\n  char bytes[128];\n};\n" : "", kernel.threads, min_blocks, kSymbolMark, parameters, values, others);
}

}  // namespace

void assemble(KernelSource& kernel, const Constants& constants, const Signature& signature, const Epilogue& epilogue,
              std::initializer_list<std::string_view> texts, int min_blocks) {
  std::string text = epilogue_source(epilogue);
  text += "namespace contraction {\n";
  Constants own;
  own.add("kThreads", kernel.threads).add("kChannels", signature.channels).flag("kHasBias", signature.bias).flag("kHasZeroPoint", signature.zero_point).add("kColumnSums", signature.column_sums);
  own.type("T", element_type(signature.dtype)).type("Sum", forge::is_narrow(signature.dtype) ? "int" : "float");
  own.type("Out", element_type(signature.output == DType::kUndefined ? output_dtype(signature.dtype, epilogue) : signature.output));
  own.type("Bias", element_type(signature.bias_dtype));
  own.flag("kElementOperands", std::ranges::any_of(epilogue.operands, [](const EpilogueOperand& operand) { return operand.kind == EpilogueOperand::Kind::kElement; }));
  text += own.str();
  text += constants.str();
  text += kCommonCuh;
  text += arguments_source(epilogue);
  for (std::string_view part : texts) text += part;
  text += entry_source(kernel, signature, epilogue.operands.size(), min_blocks);
  kernel.overlaps = true;
  finish_source(kernel, text);
}

std::vector<float> floats_of(const tensor::Tensor& constant) {
  std::vector<float> values(static_cast<std::size_t>(constant.num_elements()));
  if (constant.dtype() == DType::kFloat32) {
    std::ranges::copy(constant.data<float>(), values.begin());
  } else {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(constant.as_double(static_cast<std::int64_t>(i)));
  }
  return values;
}

std::vector<std::byte> bytes_of(const std::vector<float>& values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * tensor::size_of(dtype));
  if (dtype == DType::kFloat32) {
    std::ranges::copy(std::as_bytes(std::span(values)), bytes.begin());
    return bytes;
  }
  auto* halves = reinterpret_cast<std::uint16_t*>(bytes.data());
  for (std::size_t i = 0; i < values.size(); ++i)
    halves[i] = dtype == DType::kFloat16 ? tensor::to_float16(values[i]) : tensor::to_bfloat16(values[i]);
  return bytes;
}

// --- batches of matrices ---------------------------------------------------------------------------------------------

namespace {

struct Batch {
  std::vector<std::int64_t> sizes, steps_a, steps_b;  // steps in matrices
};

std::vector<std::int64_t> steps_of(const std::vector<std::int64_t>& dims, std::size_t rank) {
  std::vector<std::int64_t> steps(rank, 0);
  std::int64_t step = 1;
  for (std::size_t i = dims.size(); i-- > 0; step *= dims[i])
    if (dims[i] != 1) steps[rank - dims.size() + i] = step;
  return steps;
}

Batch batch_of(const MatMulProblem& p) {
  Batch batch;
  const std::size_t rank = std::max(p.batch_a.size(), p.batch_b.size());
  batch.sizes.assign(rank, 1);
  for (const auto* dims : {&p.batch_a, &p.batch_b})
    for (std::size_t i = 0; i < dims->size(); ++i)
      if ((*dims)[i] != 1) batch.sizes[rank - dims->size() + i] = (*dims)[i];
  batch.steps_a = steps_of(p.batch_a, rank);
  batch.steps_b = steps_of(p.batch_b, rank);
  return batch;
}

}  // namespace

std::int64_t matrices_of(const MatMulProblem& p) { return tensor::num_elements(batch_of(p).sizes); }

MatMulProblem fold_batch(MatMulProblem p) {
  if (tensor::num_elements(p.batch_b) != 1 || p.transpose_a) return p;
  p.m *= tensor::num_elements(p.batch_a);
  p.batch_a.clear(), p.batch_b.clear();
  return p;
}

std::string matrices_source(const MatMulProblem& p) {
  const Batch batch = batch_of(p);
  const auto element = static_cast<std::int64_t>(tensor::size_of(p.dtype));
  std::string text = fmt::format(
      "constexpr int kMatrices = {};\n__device__ __forceinline__ Arguments matrix_arguments(Arguments a, i64 matrix) {{\n"
      "  a.first = matrix * {}ll;\n",
      tensor::num_elements(batch.sizes), p.m * p.n);
  for (std::size_t i = batch.sizes.size(); i-- > 0;) {
    if (batch.sizes[i] == 1) continue;
    if (batch.steps_a[i] != 0) text += fmt::format("  a.input += matrix % {} * {}ll;\n", batch.sizes[i], batch.steps_a[i] * p.m * p.k * element);
    if (batch.steps_b[i] != 0) text += fmt::format("  a.weights += matrix % {} * {}ll;\n", batch.sizes[i], batch.steps_b[i] * p.n * p.k * element);
    text += fmt::format("  matrix /= {};\n", batch.sizes[i]);
  }
  return text + "  return a;\n}\n";
}

}  // namespace xinfer::forge::cuda
