// Before: softmax(Q Kᵀ · scale + mask) V spelled out. After: one Attention, which GPUs have as one kernel, reading heads where
// they lie. Expects composites decomposed.
#include "forge/cuda/attention.h"
#include "passes/formula.h"
#include "passes/passes.h"

namespace xinfer::passes {
namespace {

using base::Result;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Shape;

constexpr std::int64_t kRank = 4;  // [batch, heads, length, size]

struct Scores {
  ValueId q = kNoValue, keys = kNoValue, mask = kNoValue;  // keys: [batch, heads, size, length]
  double scale = 1;
};

bool is_float_of_rank(const Rewriter& rewriter, ValueId id, std::int64_t rank) {
  const ir::ValueType& type = rewriter.type(id);
  return type.is_static() && type.dtype == ir::DType::kFloat32 && static_cast<std::int64_t>(type.dims->size()) == rank;
}

// Which input of the Add is the scores: the one that has the sum's shape and leads on to their product.
std::size_t scores_side(const Rewriter& rewriter, const Node& add) {
  for (std::size_t side : {0u, 1u}) {
    const ValueId id = add.inputs[side];
    if (rewriter.type(id) != rewriter.type(add.outputs[0])) continue;
    for (std::string_view op : {"MatMul", "Mul", "Div"})
      if (rewriter.only_producer(id, op)) return side;
  }
  return 2;
}

// Reads mask and scale back from the softmax's input to the product.
bool find_scores(const Rewriter& rewriter, ir::Graph& graph, ValueId x, Scores& scores) {
  if (const Node* add = rewriter.only_producer(x, "Add")) {
    const std::size_t side = scores_side(rewriter, *add);
    if (side > 1) return false;
    scores.mask = add->inputs[1 - side];
    x = add->inputs[side];
  }
  for (std::string_view op : {"Mul", "Div"})
    if (const Node* scaled = rewriter.only_producer(x, op)) {
      double factor = 1;
      if (!scalar_value(graph, scaled->inputs[1], factor) || factor == 0) return false;
      scores.scale *= op == "Mul" ? factor : 1 / factor;
      x = scaled->inputs[0];
    }
  const Node* product = rewriter.only_producer(x, "MatMul");
  if (!product || !is_float_of_rank(rewriter, product->inputs[0], kRank) || !is_float_of_rank(rewriter, product->inputs[1], kRank)) return false;
  scores.q = product->inputs[0], scores.keys = product->inputs[1];
  double factor = 1;
  if (const Node* scaled = rewriter.only_producer(scores.q, "Mul"); scaled && scalar_value(graph, scaled->inputs[1], factor) && factor != 0) {
    scores.scale *= factor;
    scores.q = scaled->inputs[0];
  }
  return true;
}

// The value that a Transpose of exactly this permutation reads, or kNoValue.
ValueId before_transpose(const Rewriter& rewriter, ValueId x, const std::vector<std::int64_t>& perm) {
  const Node* node = rewriter.producer(x);
  return node && node->op == "Transpose" && node->attributes.integers("perm") == perm ? node->inputs[0] : kNoValue;
}

// The mask must broadcast to the scores.
bool is_mask(const Rewriter& rewriter, ValueId mask, const Shape& scores) {
  const ir::ValueType& type = rewriter.type(mask);
  if (!type.is_static() || type.dtype != ir::DType::kFloat32 || type.dims->size() > scores.size()) return false;
  const Shape shape = type.shape();
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (shape[i] != 1 && shape[i] != scores[scores.size() - shape.size() + i]) return false;
  return true;
}

// Q, K and V as [batch, length, heads, size], when all come from there; Attention then takes them as [batch, length, features].
struct Untransposed {
  ValueId q, k, v;
  bool all() const { return q != kNoValue && k != kNoValue && v != kNoValue; }
};

Result<bool> compose(Rewriter& rewriter, Node& node) {
  if (node.op != "MatMul" || !is_float_of_rank(rewriter, node.inputs[0], kRank) || !is_float_of_rank(rewriter, node.inputs[1], kRank)) return false;
  const Node* softmax = rewriter.only_producer(node.inputs[0], "Softmax");
  if (!softmax) return false;
  const std::int64_t axis = softmax->attributes.integer("axis", -1);
  Scores scores;
  if ((axis != -1 && axis != kRank - 1) || !find_scores(rewriter, rewriter.graph(), softmax->inputs[0], scores)) return false;
  const Shape q = rewriter.type(scores.q).shape(), keys = rewriter.type(scores.keys).shape(), v = rewriter.type(node.inputs[1]).shape();
  const std::int64_t batch = q[0], heads = q[1], size = q[3];
  if (!forge::cuda::has_attention_size(size) || v[3] != size || keys[0] != batch || keys[1] != heads || v[0] != batch || v[1] != heads) return false;
  if (scores.mask != kNoValue && !is_mask(rewriter, scores.mask, {batch, heads, q[2], keys[3]})) return false;

  const Untransposed flat{before_transpose(rewriter, scores.q, {0, 2, 1, 3}), before_transpose(rewriter, scores.keys, {0, 2, 3, 1}),
                          before_transpose(rewriter, node.inputs[1], {0, 2, 1, 3})};
  ValueId k = before_transpose(rewriter, scores.keys, {0, 1, 3, 2});
  if (!flat.all() && k == kNoValue && flat.k == kNoValue) return false;
  Formula f(rewriter);
  ir::Attributes attributes;
  attributes.set("scale", static_cast<float>(scores.scale));
  attributes.set("q_num_heads", heads);
  attributes.set("kv_num_heads", heads);
  if (!flat.all()) {
    if (k == kNoValue) k = f.transpose(flat.k, {0, 2, 1, 3});
    Formula::Values inputs = {scores.q, k, node.inputs[1]};
    if (scores.mask != kNoValue) inputs.push_back(scores.mask);
    f.call_into(node.outputs[0], "Attention", std::move(inputs), std::move(attributes));
    return f.finish();
  }
  Formula::Values inputs = {f.reshape(flat.q, {batch, q[2], heads * size}), f.reshape(flat.k, {batch, keys[3], heads * size}),
                            f.reshape(flat.v, {batch, keys[3], heads * size})};
  if (scores.mask != kNoValue) inputs.push_back(scores.mask);
  const ValueId y = f.call("Attention", std::move(inputs), std::move(attributes));
  ir::Attributes back;
  back.set("perm", std::vector<std::int64_t>{0, 2, 1, 3});
  f.call_into(node.outputs[0], "Transpose", {f.reshape(y, {batch, q[2], heads, size})}, std::move(back));
  return f.finish();
}

}  // namespace

Result<bool> compose_attention(ir::Graph& graph) { return Rewriter(graph).run(compose); }

}  // namespace xinfer::passes
