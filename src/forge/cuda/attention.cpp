#include "forge/cuda/attention.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "forge/cuda/prelude.h"
#include "forge/cuda/source.h"
#include "forge/cuda_text.h"

namespace xinfer::forge::cuda {
namespace {

using ir::Graph;
using ir::Node;
using tensor::Shape;

bool has(const std::vector<ir::ValueId>& values, std::size_t i) { return i < values.size() && values[i] != ir::kNoValue; }

// [batch, heads, length, size], or [batch, length, heads * size].
struct Heads {
  std::int64_t batch, heads, length, size;
  std::int64_t batch_step, head_step, row_step;
};
Heads heads_of(const Shape& s, std::int64_t heads) {
  if (s.size() == 4) return {s[0], s[1], s[2], s[3], s[1] * s[2] * s[3], s[2] * s[3], s[3]};
  return {s[0], heads, s[1], s[2] / heads, s[1] * s[2], s[2] / heads, s[2]};
}

// The Split along features that Q, K and V come from, or null.
const Node* find_split(const Node& node, const Graph& graph) {
  for (const Node& split : graph.nodes) {
    if (split.op != "Split" || split.outputs.size() != 3 || !std::equal(split.outputs.begin(), split.outputs.end(), node.inputs.begin())) continue;
    const std::int64_t axis = split.attributes.integer("axis", 0);
    return graph.value(split.inputs[0]).type.shape().size() == 3 && (axis == 2 || axis == -1) ? &split : nullptr;
  }
  return nullptr;
}

struct Operands {
  Heads q, k, v, y;
};
Operands operands_of(const Node& node, const Graph& graph) {
  const std::int64_t heads = node.attributes.integer("q_num_heads", 1), key_heads = node.attributes.integer("kv_num_heads", 1);
  const auto shape = [&](ir::ValueId id) { return graph.value(id).type.shape(); };
  Operands o{heads_of(shape(node.inputs[0]), heads), heads_of(shape(node.inputs[1]), key_heads), heads_of(shape(node.inputs[2]), key_heads), {}};
  o.y = heads_of(shape(node.outputs[0]), o.q.heads);
  if (const Node* split = find_split(node, graph)) {
    const Shape packed = shape(split->inputs[0]);
    for (Heads* h : {&o.q, &o.k, &o.v}) h->row_step = packed[2], h->batch_step = packed[1] * packed[2];
  }
  return o;
}

// Steps of the mask along batch, heads, queries, keys; its own sizes of 1 have none.
bool mask_steps(const Shape& given, const Operands& o, std::array<std::int64_t, 4>& steps) {
  Shape shape = given;
  while (shape.size() < 4) shape.insert(shape.begin(), 1);
  const std::array<std::int64_t, 4> wanted = {o.q.batch, o.q.heads, o.q.length, o.k.length};
  const Shape strides = tensor::strides_of(shape);
  for (std::size_t d = 0; d < 4; ++d) {
    if (shape.size() != 4 || (shape[d] != 1 && shape[d] != wanted[d])) return false;
    steps[d] = shape[d] == 1 ? 0 : strides[d];
  }
  return true;
}

void add_heads(std::string& text, char name, const Heads& h) {
  text += fmt::format("constexpr i64 k{0}Batch = {1}, k{0}Head = {2}, k{0}Row = {3};\n", name, h.batch_step, h.head_step, h.row_step);
}

std::string constants(const Node& node, const Graph& graph, const Operands& o, DType dtype, int bm, int bn) {
  std::array<std::int64_t, 4> mask{};
  const bool masked = has(node.inputs, 3);
  const DType mask_type = masked ? graph.value(node.inputs[3]).type.dtype : DType::kFloat32;
  if (masked) mask_steps(graph.value(node.inputs[3]).type.shape(), o, mask);
  const float* scale = node.attributes.get<float>("scale");
  std::string text = "using i64 = long long;\n";
  add_heads(text, 'Q', o.q), add_heads(text, 'K', o.k), add_heads(text, 'V', o.v), add_heads(text, 'Y', o.y);
  text += fmt::format("constexpr i64 kMaskBatch = {}, kMaskHead = {}, kMaskRow = {}, kMaskKey = {};\n", mask[0], mask[1], mask[2], mask[3]);
  text += fmt::format("constexpr float kScale = {:.9g}f;\n", scale && *scale != 0 ? *scale : 1 / std::sqrt(static_cast<double>(o.q.size)));
  Constants c;
  c.add("kThreads", bm * 2).add("kBM", bm).add("kBN", bn).add("kSize", o.q.size).add("kValueSize", o.v.size).add("kHeads", o.q.heads);
  c.add("kKeyHeads", o.k.heads).add("kQueries", o.q.length).add("kKeys", o.k.length).add("kChannels", 1);
  c.flag("kMasked", masked).flag("kBooleanMask", mask_type == DType::kBool).flag("kCausal", node.attributes.integer("is_causal", 0) != 0);
  c.type("T", element_type(dtype)).type("Mask", mask_type == DType::kBool ? "uint8_t" : "float");
  return text + c.str();
}

}  // namespace

bool has_attention_size(std::int64_t size) { return size % 16 == 0 && size >= 16 && size <= 128; }

bool has_attention(const Node& node, const Graph& graph, DType dtype, const target::GpuIsa& gpu) {
  if (node.op != "Attention" || !(dtype == DType::kFloat16 || (dtype == DType::kBfloat16 && gpu.sm >= 80))) return false;
  for (std::size_t i : {4, 5, 6})
    if (has(node.inputs, i)) return false;
  for (std::size_t i : {1, 2, 3})
    if (has(node.outputs, i)) return false;
  if (node.attributes.real("softcap", 0) != 0) return false;
  for (std::size_t i = 0; i < 3; ++i)
    if (!graph.value(node.inputs[i]).type.is_static() || !tensor::is_float(graph.value(node.inputs[i]).type.dtype)) return false;
  const Operands o = operands_of(node, graph);
  std::array<std::int64_t, 4> mask{};
  if (has(node.inputs, 3)) {
    const ir::ValueType& type = graph.value(node.inputs[3]).type;
    if (!type.is_static() || (type.dtype != DType::kFloat32 && type.dtype != DType::kBool) || !mask_steps(type.shape(), o, mask)) return false;
  }
  return has_attention_size(o.q.size) && o.v.size == o.q.size && o.q.length > 0 && o.k.length > 0;
}

std::vector<ir::ValueId> attention_inputs(const Node& node, const Graph& graph) {
  std::vector<ir::ValueId> inputs(node.inputs.begin(), node.inputs.begin() + 3);
  if (const Node* split = find_split(node, graph)) inputs = {split->inputs[0]};
  if (has(node.inputs, 3)) inputs.push_back(node.inputs[3]);
  return inputs;
}

KernelSource attention_kernel(const Node& node, const Graph& graph, DType dtype, const target::GpuIsa& gpu, int queries) {
  const Operands o = operands_of(node, graph);
  const std::int64_t heads = o.q.batch * o.q.heads;
  // Few heads and queries: smaller blocks, so that more multiprocessors work. (16 are slower: one warp loads all keys.)
  int bm = queries;
  if (bm == 0) bm = o.q.length <= 32 || heads * ceil_div(o.q.length, 64) < gpu.multiprocessors ? 32 : 64;
  const int bn = o.q.size > 64 ? 32 : 64;
  const bool masked = has(node.inputs, 3);
  KernelSource kernel;
  kernel.threads = static_cast<std::uint32_t>(bm * 2);
  kernel.grid = static_cast<std::uint32_t>(heads * ceil_div(o.q.length, bm));
  kernel.shared_bytes = static_cast<std::uint32_t>((bm + 4 * bn) * (o.q.size * 2 + 16));
  kernel.flops = 4.0 * double(heads * o.q.length) * double(o.k.length * o.q.size);
  kernel.bytes = 2.0 * double(heads) * double(2 * o.q.length + 2 * o.k.length * o.k.heads / o.q.heads) * double(o.q.size);
  kernel.overlaps = true;
  kernel.choice = fmt::format("attention {} queries by {} keys", bm, bn);
  std::string text = "namespace contraction {\n" + constants(node, graph, o, dtype, bm, bn);
  text += kCommonCuh;
  text += kMmaCuh;
  text += kAttentionCuh;
  const bool packed = find_split(node, graph) != nullptr;
  const std::int64_t keys_at = o.q.heads * o.q.size, values_at = keys_at + o.k.heads * o.k.size;
  text += fmt::format(
      "extern \"C\" __global__ void __launch_bounds__({}) {}({}, {}T* output) {{\n"
      "  extern __shared__ __align__(128) char shared[];\n  attend(q, {}, {}, output, shared);\n}}\n}}  // namespace contraction\n",
      kernel.threads, kSymbolMark, packed ? "const T* q" : "const T* q, const T* k, const T* v", masked ? "const Mask* mask, " : "",
      packed ? fmt::format("q + {}, q + {}", keys_at, values_at) : "k, v", masked ? "mask" : "(const Mask*)nullptr");
  finish_source(kernel, text);
  return kernel;
}

}  // namespace xinfer::forge::cuda
