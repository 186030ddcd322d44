// Attention and its relatives as matrix products, softmax and pointwise operators.
#include <cmath>
#include <limits>

#include "passes/decompositions.h"
#include "passes/formula.h"

namespace xinfer::passes {
namespace {

using base::Result;
using ir::DType;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Tensor;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The output is a value that exists already; a graph output among inputs and constants gets a copy by itself.
void give(Rewriter& rewriter, const Node& node, std::size_t output, ValueId value) {
  if (has_output(node, output) && value != kNoValue) rewriter.replace(node.outputs[output], value);
}

// [batch, heads, length, size] of an input that may be [batch, length, heads * size].
struct Heads {
  ValueId value;
  std::int64_t batch, heads, length, size;
};
Heads split_heads(Formula& f, const Rewriter& rewriter, ValueId x, std::int64_t heads) {
  const tensor::Shape s = rewriter.type(x).shape();
  if (s.size() == 4) return {x, s[0], s[1], s[2], s[3]};
  heads = std::max<std::int64_t>(heads, 1);
  const std::int64_t size = s[2] / heads;
  return {f.transpose(f.reshape(x, {s[0], s[1], heads, size}), {0, 2, 1, 3}), s[0], heads, s[1], size};
}

void prepend(Formula& f, const Rewriter& rewriter, Heads& heads, ValueId past) {
  const std::int64_t length = rewriter.type(past).shape()[2];
  if (length == 0) return;
  heads.value = f.concat({past, heads.value}, 2);
  heads.length += length;
}

Tensor filled(DType dtype, tensor::Shape shape, double value) {
  Tensor tensor(dtype, std::move(shape));
  for (std::int64_t i = 0; i < tensor.num_elements(); ++i) tensor.set(i, value);
  return tensor;
}

// What the scores of hidden keys become: [.., queries, keys] to add, or kNoValue.
class Masks {
 public:
  Masks(Rewriter& rewriter, Formula& f, DType dtype, std::int64_t queries, std::int64_t keys)
      : rewriter_(rewriter), f_(f), dtype_(dtype), queries_(queries), keys_(keys) {}

  void add_given(ValueId mask) {
    if (rewriter_.type(mask).dtype == DType::kBool)
      mask = f_.call("Where", {mask, f_.scalar(dtype_, 0), f_.scalar(dtype_, -kInfinity)});
    else mask = f_.cast(mask, dtype_);
    if (f_.failed()) return;
    tensor::Shape shape = rewriter_.type(mask).shape();
    if (!shape.empty() && shape.back() != 1 && shape.back() < keys_) {  // keys that it does not reach are hidden
      shape.back() = keys_ - shape.back();
      mask = f_.concat({mask, f_.constant(filled(dtype_, shape, -kInfinity))}, static_cast<std::int64_t>(shape.size()) - 1);
    }
    add(mask);
  }

  void add_causal(std::int64_t past) {
    Tensor mask(dtype_, {queries_, keys_});
    for (std::int64_t i = 0; i < queries_; ++i)
      for (std::int64_t j = 0; j < keys_; ++j) mask.set(i * keys_ + j, j > i + past ? -kInfinity : 0);
    add(f_.constant(std::move(mask)));
  }

  // `valid`: [batch], how many keys each element of the batch has.
  void add_valid(ValueId valid, bool causal) {
    Tensor positions(DType::kInt64, {1, 1, 1, keys_}), rows(DType::kInt64, {1, 1, queries_, 1});
    for (std::int64_t j = 0; j < keys_; ++j) positions.set(j, static_cast<double>(j));
    for (std::int64_t i = 0; i < queries_; ++i) rows.set(i, static_cast<double>(i - queries_ + 1));
    const ValueId counts = f_.unsqueeze(f_.cast(valid, DType::kInt64), {1, 2, 3}), keys = f_.constant(std::move(positions));
    ValueId seen = f_.call("Less", {keys, counts});
    if (causal) seen = f_.call("And", {seen, f_.call("Less", {keys, f_.call("Add", {counts, f_.constant(std::move(rows))})})});
    add(f_.call("Where", {seen, f_.scalar(dtype_, 0), f_.scalar(dtype_, -kInfinity)}));
  }

  ValueId total() const { return total_; }

 private:
  void add(ValueId mask) { total_ = total_ == kNoValue ? mask : f_.call("Add", {total_, mask}); }

  Rewriter& rewriter_;
  Formula& f_;
  DType dtype_;
  std::int64_t queries_, keys_;
  ValueId total_ = kNoValue;
};

ValueId last_two_swapped(Formula& f, ValueId x) { return f.transpose(x, {0, 1, 3, 2}); }

}  // namespace

Result<bool> decompose_attention(Rewriter& rewriter, Node& node) {
  if (!has_static_inputs(rewriter, node)) return false;
  Formula f(rewriter);
  const DType dtype = rewriter.type(node.inputs[0]).dtype;
  const bool flat = rewriter.type(node.inputs[0]).dims->size() == 3;
  const Heads q = split_heads(f, rewriter, node.inputs[0], node.attributes.integer("q_num_heads", 0));
  Heads k = split_heads(f, rewriter, node.inputs[1], node.attributes.integer("kv_num_heads", 0));
  Heads v = split_heads(f, rewriter, node.inputs[2], node.attributes.integer("kv_num_heads", 0));
  const std::int64_t past = has_input(node, 4) ? rewriter.type(node.inputs[4]).shape()[2] : 0;
  if (has_input(node, 4)) prepend(f, rewriter, k, node.inputs[4]);
  if (has_input(node, 5)) prepend(f, rewriter, v, node.inputs[5]);
  if (f.failed() || k.heads < 1 || q.heads % k.heads != 0) return f.finish();
  const std::int64_t group = q.heads / k.heads;  // query heads that share keys and values: rows of one product

  const float* given = node.attributes.get<float>("scale");
  const double scale = given != nullptr && *given != 0 ? *given : 1 / std::sqrt(static_cast<double>(q.size));
  const ValueId queries = f.reshape(f.call("Mul", {q.value, f.scalar(dtype, scale)}), {q.batch, k.heads, group * q.length, q.size});
  ValueId scores = f.reshape(f.call("MatMul", {queries, last_two_swapped(f, k.value)}), {q.batch, q.heads, q.length, k.length});
  const auto mode = node.attributes.integer("qk_matmul_output_mode", 0);
  const auto keep = [&](std::int64_t at) {
    if (mode == at) give(rewriter, node, 3, scores);
  };
  keep(0);
  if (const float cap = node.attributes.real("softcap", 0); cap > 0)
    scores = f.call("Mul", {f.call("Tanh", {f.call("Div", {scores, f.scalar(dtype, cap)})}), f.scalar(dtype, cap)});
  keep(1);
  Masks masks(rewriter, f, dtype, q.length, k.length);
  const bool causal = node.attributes.integer("is_causal", 0) != 0;
  if (has_input(node, 6)) masks.add_valid(node.inputs[6], causal);
  else if (causal) masks.add_causal(past);
  if (has_input(node, 3)) masks.add_given(node.inputs[3]);
  if (masks.total() != kNoValue) scores = f.call("Add", {scores, masks.total()});
  keep(2);
  scores = f.call("Softmax", {scores}, with("axis", -1));
  // A row that sees nothing is 0 / 0: it attends to nothing.
  if (masks.total() != kNoValue) scores = f.call("Where", {f.call("IsNaN", {scores}), f.scalar(dtype, 0), scores});
  keep(3);
  const ValueId weights = f.reshape(scores, {q.batch, k.heads, group * q.length, k.length});
  const ValueId product = f.call("MatMul", {weights, v.value});
  if (!flat) {
    f.reshape_into(node.outputs[0], product, {q.batch, q.heads, q.length, v.size});
  } else {
    const ValueId heads = f.reshape(product, {q.batch, q.heads, q.length, v.size});
    f.reshape_into(node.outputs[0], f.transpose(heads, {0, 2, 1, 3}), {q.batch, q.length, q.heads * v.size});
  }
  give(rewriter, node, 1, k.value);
  give(rewriter, node, 2, v.value);
  return f.finish();
}

Result<bool> decompose_rotary_embedding(Rewriter& rewriter, Node& node) {
  if (!has_static_inputs(rewriter, node)) return false;
  Formula f(rewriter);
  const tensor::Shape s = rewriter.type(node.inputs[0]).shape();
  const bool heads_first = s.size() == 4;
  const std::int64_t batch = s[0], heads = heads_first ? s[1] : node.attributes.integer("num_heads", 0), length = heads_first ? s[2] : s[1];
  if (heads < 1) return false;
  const std::int64_t size = heads_first ? s[3] : s[2] / heads;
  std::int64_t rotated = node.attributes.integer("rotary_embedding_dim", 0);
  if (rotated == 0) rotated = size;
  const std::int64_t half = rotated / 2;
  const auto angles = [&](ValueId cache) {
    if (has_input(node, 3)) {
      ValueId rows = node.inputs[3];
      if (tensor::num_elements(rewriter.type(rows).shape()) == 1 && batch * length > 1) {  // where the first one stands
        Tensor steps(rewriter.type(rows).dtype, {1, length});
        for (std::int64_t t = 0; t < length; ++t) steps.set(t, static_cast<double>(t));
        rows = f.call("Add", {f.reshape(rows, {1, 1}), f.constant(std::move(steps))});
      }
      cache = f.call("Gather", {cache, rows}, with("axis", 0));
    }
    return f.unsqueeze(f.reshape(cache, {-1, length, half}), {heads_first ? 1 : 2});
  };
  const ValueId cosines = angles(node.inputs[1]), sines = angles(node.inputs[2]);
  const ValueId x = heads_first ? node.inputs[0] : f.reshape(node.inputs[0], {batch, length, heads, size});
  const bool interleaved = node.attributes.integer("interleaved", 0) != 0;
  const ValueId a = interleaved ? f.slice(x, 3, 0, rotated, 2) : f.slice(x, 3, 0, half);
  const ValueId b = interleaved ? f.slice(x, 3, 1, rotated, 2) : f.slice(x, 3, half, rotated);
  ValueId first = f.call("Sub", {f.call("Mul", {a, cosines}), f.call("Mul", {b, sines})});
  ValueId second = f.call("Add", {f.call("Mul", {a, sines}), f.call("Mul", {b, cosines})});
  std::vector<std::int64_t> whole = heads_first ? std::vector<std::int64_t>{batch, heads, length, rotated}
                                                : std::vector<std::int64_t>{batch, length, heads, rotated};
  ValueId y = interleaved ? f.reshape(f.concat({f.unsqueeze(first, {4}), f.unsqueeze(second, {4})}, 4), whole) : f.concat({first, second}, 3);
  if (rotated < size) y = f.concat({y, f.slice(x, 3, rotated, size)}, 3);
  f.reshape_into(node.outputs[0], y, s);
  return f.finish();
}

Result<bool> decompose_causal_convolution(Rewriter& rewriter, Node& node) {
  if (!has_static_inputs(rewriter, node)) return false;
  Formula f(rewriter);
  const DType dtype = rewriter.type(node.inputs[0]).dtype;
  const tensor::Shape s = rewriter.type(node.inputs[0]).shape();
  const std::int64_t carry = rewriter.type(node.inputs[1]).shape()[2] - 1;
  ValueId line = node.inputs[0];
  if (carry > 0) line = f.concat({has_input(node, 3) ? node.inputs[3] : f.constant(Tensor(dtype, {s[0], s[1], carry})), line}, 2);
  std::vector<ValueId> inputs{line, node.inputs[1]};
  if (has_input(node, 2)) inputs.push_back(node.inputs[2]);
  const std::string activation = node.attributes.string("activation", "none");
  if (activation == "silu" || activation == "swish") {
    const ValueId y = f.call("Conv", inputs, with("group", s[1]));
    f.call_into(node.outputs[0], "Mul", {y, f.call("Sigmoid", {y})});
  } else {
    f.call_into(node.outputs[0], "Conv", inputs, with("group", s[1]));
  }
  if (has_output(node, 1)) give(rewriter, node, 1, carry > 0 ? f.slice(line, 2, s[2], s[2] + carry) : f.constant(Tensor(dtype, {s[0], s[1], 0})));
  return f.finish();
}

}  // namespace xinfer::passes
