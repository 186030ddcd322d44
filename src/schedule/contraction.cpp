#include "schedule/contraction.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace xinfer::schedule {

using base::Code;
using base::fail;
using base::Result;
using forge::cpu::ConvProblem;
using forge::cpu::Layout;
using forge::cpu::MatMulProblem;
using forge::cpu::PoolProblem;
using tensor::DType;
using tensor::Size;
using Ints = std::vector<std::int64_t>;

forge::cpu::KernelChoice Contraction::choose(const target::CpuIsa& isa, const forge::cpu::Epilogue& epilogue) const {
  if (auto* conv = std::get_if<ConvProblem>(&problem)) return choose_conv(*conv, isa, epilogue);
  if (auto* matmul = std::get_if<MatMulProblem>(&problem)) return choose_matmul(*matmul, isa, epilogue);
  return choose_pool(std::get<PoolProblem>(problem), isa, epilogue);
}

bool Contraction::packs_weights() const {
  if (auto* conv = std::get_if<ConvProblem>(&problem)) return conv->constant_weights;
  auto* matmul = std::get_if<MatMulProblem>(&problem);
  return matmul && matmul->constant_b;
}

bool is_contraction(std::string_view op) {
  static const std::set<std::string_view> ops = {"Conv",    "ConvTranspose", "MatMul", "Gemm",
                                                 "MaxPool", "AveragePool",   "LpPool"};
  return ops.contains(op) || is_integer_product(op);
}

bool is_integer_product(std::string_view op) { return op == "ConvInteger" || op == "MatMulInteger"; }

bool is_windowed(std::string_view op) { return is_contraction(op) && op != "MatMul" && op != "Gemm" && op != "MatMulInteger"; }

namespace {

// Copies the attribute's numbers into the last `rank` of three places.
void spread(const Ints& from, std::size_t rank, std::array<std::int64_t, 3>& to) {
  for (std::size_t i = 0; i < rank && i < from.size(); ++i) to[3 - rank + i] = from[i];
}

using Sizes = std::vector<Size>;

struct Window {
  std::array<Size, 3> in{1, 1, 1}, out{1, 1, 1};
  std::array<std::int64_t, 3> kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1};
  std::array<std::int64_t, 3> pad{0, 0, 0}, pad_end{0, 0, 0};
};

// The sliding window of a convolution or pool. Padding by auto_pad follows from the sizes that shape inference found.
Result<Window> make_window(const ir::Node& node, const Sizes& in, const Sizes& out, const Ints& kernel, bool transposed) {
  std::size_t rank = in.size() - 2;
  if (in.size() < 3 || rank > 3)
    return fail(Code::kUnsupported, "{} over {} spatial dimensions is not supported: 1 to 3 are", node.op,
                in.size() - 2);
  Window w;
  std::copy(in.begin() + 2, in.end(), w.in.end() - static_cast<std::ptrdiff_t>(rank));
  std::copy(out.begin() + 2, out.end(), w.out.end() - static_cast<std::ptrdiff_t>(rank));
  spread(kernel, rank, w.kernel);
  spread(node.attributes.integers("strides"), rank, w.stride);
  spread(node.attributes.integers("dilations"), rank, w.dilation);
  Ints pads = node.attributes.integers("pads", Ints(2 * rank, 0));
  if (pads.size() == 2 * rank) {
    spread(Ints(pads.begin(), pads.begin() + static_cast<std::ptrdiff_t>(rank)), rank, w.pad);
    spread(Ints(pads.begin() + static_cast<std::ptrdiff_t>(rank), pads.end()), rank, w.pad_end);
  }
  std::string mode = node.attributes.string("auto_pad", "NOTSET");
  bool sized = transposed && node.attributes.has("output_shape");
  if (mode == "VALID") w.pad = w.pad_end = {0, 0, 0};
  if (mode != "SAME_UPPER" && mode != "SAME_LOWER" && !sized) return w;
  std::array<std::int64_t, 3> output_padding{0, 0, 0};
  spread(node.attributes.integers("output_padding"), rank, output_padding);
  for (std::size_t i = 3 - rank; i < 3; ++i) {
    const std::int64_t span = (w.kernel[i] - 1) * w.dilation[i] + 1;
    const Size needed = transposed ? (w.in[i] - 1) * w.stride[i] + (output_padding[i] + span) - w.out[i]
                                   : (w.out[i] - 1) * w.stride[i] + span - w.in[i];
    const Size total = transposed ? needed : larger(needed, 0);  // a transposed window may have to leave a border
    if (!total.is_number())
      return fail(Code::kUnsupported, "auto_pad pads by {}, which depends on the input's size: pads must be numbers", total.text());
    bool upper = mode == "SAME_UPPER";
    const std::int64_t half = floor_div(total, 2).number();
    w.pad[i] = upper ? half : total.number() - half;
    w.pad_end[i] = total.number() - w.pad[i];
  }
  return w;
}

// A column of pixels lies in memory like a row of them, and rows are what the templates run along.
void lay_down(Window& w) {
  const Size one = 1;
  bool column = w.in[2] == one && w.out[2] == one && w.kernel[2] == 1 && w.pad[2] == 0 && w.pad_end[2] == 0 &&
                w.in[0] == one && w.kernel[0] == 1;
  if (!column || w.in[1] == one) return;
  std::swap(w.in[1], w.in[2]), std::swap(w.out[1], w.out[2]);
  for (auto* sizes : {&w.kernel, &w.stride, &w.dilation, &w.pad, &w.pad_end}) std::swap((*sizes)[1], (*sizes)[2]);
}

// What a kernel is made to be fast at. A size that is 0 at the optimum has a kernel for its other values.
std::int64_t usual(const Size& size) { return size.is_number() ? size.number() : std::max<std::int64_t>(size.opt(), 1); }

// What kernels call a size that is known only while running.
forge::RunTimeSize run_time(const Size& size, const SymbolPlace& place) {
  if (size.is_number()) return {};
  return {size.c_text([&](const std::string& name) { return fmt::format("symbols[{}]", place(name)); }), size.max()};
}

template <class Problem>
void set_window(Problem& problem, Window w, const SymbolPlace& place) {
  if constexpr (std::is_same_v<Problem, ConvProblem>)
    if (problem.spatial_rank == 2) lay_down(w);
  for (std::size_t i = 0; i < 3; ++i) {
    problem.in[i] = usual(w.in[i]), problem.out[i] = usual(w.out[i]);
    problem.run_in[i] = run_time(w.in[i], place), problem.run_out[i] = run_time(w.out[i], place);
  }
  problem.kernel = w.kernel;
  problem.stride = w.stride, problem.dilation = w.dilation, problem.pad = w.pad;
}

Result<Contraction> make_conv(const ir::Graph& graph, const ir::Node& node, const SymbolPlace& place) {
  bool transposed = node.op == "ConvTranspose";
  const auto& type = graph.value(node.inputs[0]).type;
  const bool narrow = is_integer_product(node.op);
  if (type.dtype != DType::kFloat32 && !narrow)
    return fail(Code::kUnsupported, "{} of {} is not supported: use float32", node.op, tensor::name(type.dtype));
  if (!(*type.dims)[1].is_static() || !graph.value(node.inputs[1]).type.is_static())
    return fail(Code::kUnsupported, "channels and weights must have fixed sizes");
  const Sizes in = type.sizes(), out = graph.value(node.outputs[0]).type.sizes();
  const Ints weights = graph.value(node.inputs[1]).type.shape();
  XI_TRY(Window window, make_window(node, in, out, Ints(weights.begin() + 2, weights.end()), transposed));
  ConvProblem p;
  // A convolution over a sequence is one over an image of height 1, which has the faster templates.
  p.spatial_rank = std::max<int>(static_cast<int>(in.size()) - 2, 2);
  p.batch = in[0].is_number() ? in[0].number() : 1;
  p.in_channels = in[1].number(), p.out_channels = out[1].number(), p.groups = node.attributes.integer("group", 1);
  set_window(p, window, place);
  p.transposed = transposed;
  const bool third = node.inputs.size() > 2 && node.inputs[2] != ir::kNoValue;
  p.bias = third && !narrow, p.zero_point = third && narrow;
  if (narrow) p.dtype = type.dtype;
  p.constant_weights = graph.is_constant(node.inputs[1]) && (!p.bias || graph.is_constant(node.inputs[2]));
  Contraction made{p, node.inputs[0], node.inputs[1], third ? node.inputs[2] : ir::kNoValue};
  if (!in[0].is_number()) made.entries = in[0];
  return made;
}

Result<Contraction> make_pool(const ir::Graph& graph, const ir::Node& node, const SymbolPlace& place) {
  const Sizes in = graph.value(node.inputs[0]).type.sizes(), out = graph.value(node.outputs[0]).type.sizes();
  XI_TRY(Window window, make_window(node, in, out, node.attributes.integers("kernel_shape"), false));
  if (!in[1].is_number()) return fail(Code::kUnsupported, "channels must have a fixed size");
  PoolProblem p;
  p.kind = node.op == "MaxPool"  ? PoolProblem::Kind::kMax
           : node.op == "LpPool" ? PoolProblem::Kind::kLp
                                 : PoolProblem::Kind::kAverage;
  p.spatial_rank = std::max<int>(static_cast<int>(in.size()) - 2, 2);
  p.batch = in[0].is_number() ? in[0].number() : 1;
  p.channels = in[1].number();
  p.indices = node.outputs.size() > 1 && node.outputs[1] != ir::kNoValue;
  if (p.indices) p.spatial_rank = static_cast<int>(in.size()) - 2;
  if (!p.indices) lay_down(window);
  set_window(p, window, place);
  p.pad_end = window.pad_end;
  p.count_include_pad = node.attributes.integer("count_include_pad", 0) != 0;
  p.p = static_cast<double>(node.attributes.integer("p", 2));
  p.column_major_indices = node.attributes.integer("storage_order", 0) != 0;
  p.dtype = graph.value(node.inputs[0]).type.dtype;
  if (p.kind != PoolProblem::Kind::kMax && p.dtype != DType::kFloat32 && p.dtype != DType::kFloat64)
    return fail(Code::kUnsupported, "{} of {} is not supported: use float32", node.op, tensor::name(p.dtype));
  Contraction made{p, node.inputs[0]};
  made.fuses = p.dtype == DType::kFloat32 && !p.indices;
  if (!in[0].is_number()) made.entries = in[0];
  return made;
}

// How many products there are: numpy's broadcasting of the batch dimensions.
Size num_entries(const Sizes& a, const Sizes& b) {
  Size entries = 1;
  for (std::size_t i = 1; i <= std::max(a.size(), b.size()); ++i) {
    const Size x = i <= a.size() ? a[a.size() - i] : Size(1), y = i <= b.size() ? b[b.size() - i] : Size(1);
    entries *= x == Size(1) || (!x.is_number() && y.is_number() && y != Size(1)) ? y : x;
  }
  return entries;
}

Result<Contraction> make_matmul(const ir::Graph& graph, const ir::Node& node, const SymbolPlace& place) {
  MatMulProblem p;
  Sizes a = graph.value(node.inputs[0]).type.sizes(), b = graph.value(node.inputs[1]).type.sizes();
  p.transpose_a = node.attributes.integer("transA", 0) != 0;
  p.transpose_b = node.attributes.integer("transB", 0) != 0;
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  Size m = p.transpose_a ? a[a.size() - 1] : a[a.size() - 2];
  const Size k_of_b = p.transpose_b ? b[b.size() - 1] : b[b.size() - 2];
  Size k = p.transpose_a ? a[a.size() - 2] : a[a.size() - 1];
  if (k_of_b.is_number()) k = k_of_b;
  const Size n = p.transpose_b ? b[b.size() - 2] : b[b.size() - 1];
  Sizes batch_a(a.begin(), a.end() - 2), batch_b(b.begin(), b.end() - 2);
  p.dtype = graph.value(node.inputs[0]).type.dtype;
  bool alone = std::ranges::all_of(batch_b, [](const Size& size) { return size == Size(1); });
  const bool narrow = is_integer_product(node.op);
  p.constant_b = graph.is_constant(node.inputs[1]) && alone && (p.dtype == DType::kFloat32 || narrow);
  p.zero_point = narrow && node.inputs.size() > 2 && node.inputs[2] != ir::kNoValue;
  if (alone && !p.transpose_a && !batch_a.empty()) {
    // One B for all batches: they are rows of one product.
    m *= tensor::num_elements(batch_a);
    batch_a.clear(), batch_b.clear();
  }
  if (p.constant_b) batch_b.clear();
  p.m = usual(m), p.n = usual(n), p.k = usual(k);
  p.run_m = run_time(m, place), p.run_n = run_time(n, place), p.run_k = run_time(k, place);
  const auto fixed = [](const Size& size) { return size.is_number(); };
  for (const Size& size : batch_a) p.batch_a.push_back(usual(size));
  for (const Size& size : batch_b) p.batch_b.push_back(usual(size));
  Contraction made{p, node.inputs[0], node.inputs[1], p.zero_point ? node.inputs[2] : ir::kNoValue};
  if (!std::ranges::all_of(batch_a, fixed) || !std::ranges::all_of(batch_b, fixed)) {
    auto& problem = std::get<MatMulProblem>(made.problem);
    for (const Size& size : batch_a) problem.run_batch_a.push_back(run_time(size, place));
    for (const Size& size : batch_b) problem.run_batch_b.push_back(run_time(size, place));
    made.entries = num_entries(batch_a, batch_b);
  }
  made.fuses = p.dtype == DType::kFloat32 || narrow;
  return made;
}

// Products of 8-bit integers come from compose_integer_products, in the one form that their templates take.
Result<void> check_integer_product(const ir::Graph& graph, const ir::Node& node) {
  const bool zeros = node.inputs.size() > 3 && node.inputs[3] != ir::kNoValue;
  const ir::Value& weights = graph.value(node.inputs[1]);
  if (weights.constant && weights.type.dtype == DType::kInt8 && !zeros && node.attributes.integer("group", 1) == 1) return {};
  return fail(Code::kUnsupported, "{} is supported with int8 weights that are known, without zero point, in one group", node.op);
}

}  // namespace

Result<Contraction> make_contraction(const ir::Graph& graph, const ir::Node& node, const SymbolPlace& place) {
  if (is_integer_product(node.op)) XI_CHECK(check_integer_product(graph, node));
  if (node.op == "Conv" || node.op == "ConvTranspose" || node.op == "ConvInteger") return make_conv(graph, node, place);
  if (node.op == "MatMul" || node.op == "Gemm" || node.op == "MatMulInteger") return make_matmul(graph, node, place);
  return make_pool(graph, node, place);
}

}  // namespace xinfer::schedule
