#include "schedule/contraction.h"

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
  return ops.contains(op);
}

namespace {

// Copies the attribute's numbers into the last `rank` of three places.
void spread(const Ints& from, std::size_t rank, std::array<std::int64_t, 3>& to) {
  for (std::size_t i = 0; i < rank && i < from.size(); ++i) to[3 - rank + i] = from[i];
}

struct Window {
  std::array<std::int64_t, 3> in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1};
  std::array<std::int64_t, 3> pad{0, 0, 0}, pad_end{0, 0, 0};
};

// The sliding window of a convolution or pool. Padding by auto_pad follows from the sizes that shape inference found.
Result<Window> make_window(const ir::Node& node, const Ints& in, const Ints& out, const Ints& kernel, bool transposed) {
  std::size_t rank = in.size() - 2;
  if (in.size() < 3 || rank > 3)
    return fail(Code::kUnsupported, "{} over {} spatial dimensions is not supported: 1 to 3 are", node.op,
                in.size() - 2);
  Window w;
  spread(Ints(in.begin() + 2, in.end()), rank, w.in);
  spread(Ints(out.begin() + 2, out.end()), rank, w.out);
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
  Ints extra(3, 0);
  std::array<std::int64_t, 3> output_padding{0, 0, 0};
  spread(node.attributes.integers("output_padding"), rank, output_padding);
  for (std::size_t i = 3 - rank; i < 3; ++i) {
    std::int64_t span = (w.kernel[i] - 1) * w.dilation[i] + 1;
    std::int64_t total = transposed ? w.stride[i] * (w.in[i] - 1) + output_padding[i] + span - w.out[i]
                                    : (w.out[i] - 1) * w.stride[i] + span - w.in[i];
    total = std::max<std::int64_t>(total, 0);
    bool upper = mode == "SAME_UPPER";
    w.pad[i] = upper ? total / 2 : total - total / 2;
    w.pad_end[i] = total - w.pad[i];
  }
  return w;
}

// A column of pixels lies in memory like a row of them, and rows are what the templates run along.
void lay_down(Window& w) {
  bool column = w.in[2] == 1 && w.out[2] == 1 && w.kernel[2] == 1 && w.pad[2] == 0 && w.pad_end[2] == 0 &&
                w.in[0] == 1 && w.kernel[0] == 1;
  if (!column || w.in[1] == 1) return;
  for (auto* sizes : {&w.in, &w.out, &w.kernel, &w.stride, &w.dilation, &w.pad, &w.pad_end})
    std::swap((*sizes)[1], (*sizes)[2]);
}

template <class Problem>
void set_window(Problem& problem, Window w) {
  if constexpr (std::is_same_v<Problem, ConvProblem>)
    if (problem.spatial_rank == 2) lay_down(w);
  problem.in = w.in, problem.out = w.out, problem.kernel = w.kernel;
  problem.stride = w.stride, problem.dilation = w.dilation, problem.pad = w.pad;
}

Result<Contraction> make_conv(const ir::Graph& graph, const ir::Node& node) {
  bool transposed = node.op == "ConvTranspose";
  const auto& type = graph.value(node.inputs[0]).type;
  if (type.dtype != DType::kFloat32)
    return fail(Code::kUnsupported, "{} of {} is not supported: use float32", node.op, tensor::name(type.dtype));
  Ints in = type.shape(), out = graph.value(node.outputs[0]).type.shape(),
       weights = graph.value(node.inputs[1]).type.shape();
  XI_TRY(Window window, make_window(node, in, out, Ints(weights.begin() + 2, weights.end()), transposed));
  ConvProblem p;
  // A convolution over a sequence is one over an image of height 1, which has the faster templates.
  p.spatial_rank = std::max<int>(static_cast<int>(in.size()) - 2, 2);
  p.batch = in[0], p.in_channels = in[1], p.out_channels = out[1], p.groups = node.attributes.integer("group", 1);
  set_window(p, window);
  p.transposed = transposed;
  p.bias = node.inputs.size() > 2 && node.inputs[2] != ir::kNoValue;
  p.constant_weights = graph.is_constant(node.inputs[1]) && (!p.bias || graph.is_constant(node.inputs[2]));
  return Contraction{p, node.inputs[0], node.inputs[1], p.bias ? node.inputs[2] : ir::kNoValue};
}

Result<Contraction> make_pool(const ir::Graph& graph, const ir::Node& node) {
  Ints in = graph.value(node.inputs[0]).type.shape(), out = graph.value(node.outputs[0]).type.shape();
  XI_TRY(Window window, make_window(node, in, out, node.attributes.integers("kernel_shape"), false));
  PoolProblem p;
  p.kind = node.op == "MaxPool"  ? PoolProblem::Kind::kMax
           : node.op == "LpPool" ? PoolProblem::Kind::kLp
                                 : PoolProblem::Kind::kAverage;
  p.spatial_rank = std::max<int>(static_cast<int>(in.size()) - 2, 2);
  p.batch = in[0], p.channels = in[1];
  p.indices = node.outputs.size() > 1 && node.outputs[1] != ir::kNoValue;
  if (p.indices) p.spatial_rank = static_cast<int>(in.size()) - 2;
  if (!p.indices) lay_down(window);
  set_window(p, window);
  p.pad_end = window.pad_end;
  p.count_include_pad = node.attributes.integer("count_include_pad", 0) != 0;
  p.p = static_cast<double>(node.attributes.integer("p", 2));
  p.column_major_indices = node.attributes.integer("storage_order", 0) != 0;
  p.dtype = graph.value(node.inputs[0]).type.dtype;
  if (p.kind != PoolProblem::Kind::kMax && p.dtype != DType::kFloat32 && p.dtype != DType::kFloat64)
    return fail(Code::kUnsupported, "{} of {} is not supported: use float32", node.op, tensor::name(p.dtype));
  Contraction made{p, node.inputs[0]};
  made.fuses = p.dtype == DType::kFloat32 && !p.indices;
  return made;
}

Result<Contraction> make_matmul(const ir::Graph& graph, const ir::Node& node) {
  MatMulProblem p;
  Ints a = graph.value(node.inputs[0]).type.shape(), b = graph.value(node.inputs[1]).type.shape();
  p.transpose_a = node.attributes.integer("transA", 0) != 0;
  p.transpose_b = node.attributes.integer("transB", 0) != 0;
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  p.m = p.transpose_a ? a[a.size() - 1] : a[a.size() - 2];
  p.k = p.transpose_a ? a[a.size() - 2] : a[a.size() - 1];
  p.n = p.transpose_b ? b[b.size() - 2] : b[b.size() - 1];
  p.batch_a.assign(a.begin(), a.end() - 2);
  p.batch_b.assign(b.begin(), b.end() - 2);
  p.dtype = graph.value(node.inputs[0]).type.dtype;
  bool alone = std::ranges::all_of(p.batch_b, [](auto size) { return size == 1; });
  p.constant_b = graph.is_constant(node.inputs[1]) && alone && p.dtype == DType::kFloat32;
  if (alone && !p.transpose_a && !p.batch_a.empty()) {
    // One B for all batches: they are rows of one product.
    p.m *= tensor::num_elements(p.batch_a);
    p.batch_a.clear(), p.batch_b.clear();
  }
  if (p.constant_b) p.batch_b.clear();
  Contraction made{p, node.inputs[0], node.inputs[1]};
  made.fuses = p.dtype == DType::kFloat32;
  return made;
}

}  // namespace

Result<Contraction> make_contraction(const ir::Graph& graph, const ir::Node& node) {
  if (node.op == "Conv" || node.op == "ConvTranspose") return make_conv(graph, node);
  if (node.op == "MatMul" || node.op == "Gemm") return make_matmul(graph, node);
  return make_pool(graph, node);
}

}  // namespace xinfer::schedule
