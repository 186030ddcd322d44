// com.microsoft's attention operators as projections, caches and the standard Attention.
#include "passes/expansions.h"

namespace xinfer::passes {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ir::DType;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Shape;
using tensor::Tensor;
using Ints = std::vector<std::int64_t>;

ValueId optional(const Node& node, std::size_t i) { return has_input(node, i) ? node.inputs[i] : kNoValue; }

// 0, 1, … in the given shape.
ValueId counted(Formula& f, Shape shape) {
  Tensor numbers(DType::kInt64, std::move(shape));
  for (std::int64_t i = 0; i < numbers.num_elements(); ++i) numbers.set(i, static_cast<double>(i));
  return f.constant(std::move(numbers));
}

ValueId sum(Formula& f, ValueId a, ValueId b) { return a == kNoValue ? b : b == kNoValue ? a : f.call("Add", {a, b}); }

// What to add to the scores of [batch, heads, queries, keys]: keys that the mask hides get `filter`. Masks: lengths [batch], ends
// and starts [2 * batch], keys [batch, keys], scores [batch, queries, keys].
Result<ValueId> additive_mask(Formula& f, const Rewriter& rewriter, ValueId mask, DType dtype, std::int64_t batch, std::int64_t keys, double filter) {
  if (mask == kNoValue) return kNoValue;
  const Shape shape = rewriter.type(mask).shape();
  ValueId seen = kNoValue;
  if (shape.size() == 1 && (shape[0] == batch || shape[0] == 2 * batch)) {
    const ValueId bounds = f.reshape(f.cast(mask, DType::kInt64), {shape[0] / batch, batch, 1, 1, 1}), positions = counted(f, {1, 1, 1, keys});
    const auto bound = [&](std::int64_t i) { return f.reshape(f.slice(bounds, 0, i, i + 1), {batch, 1, 1, 1}); };
    seen = f.call("Less", {positions, bound(0)});
    if (shape[0] == 2 * batch) seen = f.call("And", {seen, f.call("GreaterOrEqual", {positions, bound(1)})});
  } else if (shape.size() == 2 && shape[1] == keys) {
    seen = f.unsqueeze(f.cast(mask, DType::kBool), {1, 2});
  } else if (shape.size() == 3 && shape[2] == keys) {
    seen = f.unsqueeze(f.cast(mask, DType::kBool), {1});
  } else {
    return fail(Code::kUnsupported, "a mask of shape {} for {} keys", tensor::to_string(shape), keys);
  }
  return f.call("Where", {seen, f.scalar(dtype, 0), f.scalar(dtype, filter)});
}

struct Heads {
  std::int64_t query = 1, key = 1;
  bool causal = false;
};
// Results 0 to 2 of the standard operator: y, all keys, all values.
std::vector<ValueId> attend(Formula& f, const Node& node, std::vector<ValueId> inputs, const Heads& heads, std::size_t outputs) {
  ir::Attributes attributes = with("q_num_heads", heads.query);
  attributes.set("kv_num_heads", heads.key);
  attributes.set("is_causal", static_cast<std::int64_t>(heads.causal));
  for (const char* name : {"scale", "softcap"})
    if (const float* value = node.attributes.get<float>(name)) attributes.set(name, *value);
  return f.call_all("Attention", std::move(inputs), outputs, std::move(attributes));
}

// Inputs of Attention and QAttention behind the projection.
struct Extras {
  std::size_t mask, past, bias;
};

// `projected`: queries, keys and values side by side, [batch, length, all].
Result<bool> attend_projected(Formula& f, Rewriter& rewriter, const Node& node, ValueId projected, const Extras& extras) {
  if (f.failed()) return f.finish();
  for (const char* name : {"do_rotary", "past_present_share_buffer"})
    if (node.attributes.integer(name, 0) != 0) return fail(Code::kUnsupported, "attribute '{}'", name);
  const Shape s = rewriter.type(projected).shape();
  const DType dtype = rewriter.type(projected).dtype;
  const std::int64_t heads = node.attributes.integer("num_heads", 1);
  const Ints sizes = node.attributes.integers("qkv_hidden_sizes", Ints(3, s[2] / 3));
  if (sizes.size() != 3 || sizes[0] + sizes[1] + sizes[2] != s[2] || sizes[0] != sizes[1] || heads < 1 || sizes[0] % heads != 0 || sizes[2] % heads != 0)
    return fail(Code::kInvalidArgument, "a projection of width {} for {} heads", s[2], heads);
  std::vector<ValueId> inputs;
  for (std::int64_t i = 0, begin = 0; i < 3; begin += sizes[i++]) inputs.push_back(f.slice(projected, 2, begin, begin + sizes[i]));
  std::int64_t keys = s[1];
  ValueId past[2] = {kNoValue, kNoValue};
  if (has_input(node, extras.past)) {
    keys += rewriter.type(node.inputs[extras.past]).shape()[3];
    for (std::int64_t i = 0; i < 2; ++i) past[i] = f.call("Squeeze", {f.slice(node.inputs[extras.past], 0, i, i + 1), f.integers({0})});
  }
  XI_TRY(ValueId mask, additive_mask(f, rewriter, optional(node, extras.mask), dtype, s[0], keys, node.attributes.real("mask_filter_value", -10000)));
  mask = sum(f, mask, extras.bias == 0 ? kNoValue : optional(node, extras.bias));
  inputs.insert(inputs.end(), {mask, past[0], past[1]});
  const bool present = has_output(node, 1);
  const auto results = attend(f, node, std::move(inputs), {heads, heads, node.attributes.integer("unidirectional", 0) != 0}, present ? 3 : 1);
  f.call_into(node.outputs[0], "Identity", {results[0]});
  if (present) f.call_into(node.outputs[1], "Concat", {f.unsqueeze(results[1], {0}), f.unsqueeze(results[2], {0})}, with("axis", 0));
  return f.finish();
}

Result<bool> expand_attention(Rewriter& rewriter, Node& node) {
  if (!has_static_inputs(rewriter, node)) return false;
  Formula f(rewriter);
  const ValueId projected = sum(f, f.call("MatMul", {node.inputs[0], node.inputs[1]}), optional(node, 2));
  return attend_projected(f, rewriter, node, projected, {3, 4, 5});
}

// input, weights, bias, input scale, weight scale, mask, input zero point, weight zero point, past.
Result<bool> expand_qattention(Rewriter& rewriter, Node& node) {
  if (!has_static_inputs(rewriter, node)) return false;
  Formula f(rewriter);
  const auto zero = [&](std::size_t i) { return has_input(node, i) ? f.reshape(node.inputs[i], tensor::num_elements(rewriter.type(node.inputs[i]).shape()) == 1 ? Ints{} : Ints{-1}) : kNoValue; };
  const ValueId product = f.call("MatMulInteger", {node.inputs[0], node.inputs[1], zero(6), zero(7)});
  const ValueId scale = f.call("Mul", {f.reshape(node.inputs[3], {}), node.inputs[4]});
  const ValueId projected = f.call("Add", {f.call("Mul", {f.cast(product, DType::kFloat32), scale}), node.inputs[2]});
  return attend_projected(f, rewriter, node, projected, {5, 8, 0});
}

// query, key, value, bias of the three, key padding mask, attention bias, past key, past value.
Result<bool> expand_multi_head_attention(Rewriter& rewriter, Node& node) {
  if (!has_static_inputs(rewriter, node)) return false;
  for (std::size_t i = 8; i < node.inputs.size(); ++i)
    if (has_input(node, i)) return fail(Code::kUnsupported, "MultiHeadAttention with a shared cache (input {})", i);
  Formula f(rewriter);
  const std::int64_t heads = node.attributes.integer("num_heads", 1);
  std::vector<ValueId> inputs;
  for (std::int64_t i = 0, begin = 0; i < 3; ++i) {
    const ValueId x = node.inputs[static_cast<std::size_t>(i)];
    const Shape shape = rewriter.type(x).shape();
    const std::int64_t width = shape.back();  // what is split already has had its bias
    inputs.push_back(has_input(node, 3) && shape.size() == 3 ? f.call("Add", {x, f.slice(node.inputs[3], 0, begin, begin + width)}) : x);
    begin += width;
  }
  const Shape key = rewriter.type(node.inputs[1]).shape();
  const std::int64_t keys = key[key.size() - 2] + (has_input(node, 6) ? rewriter.type(node.inputs[6]).shape()[2] : 0);
  const DType dtype = rewriter.type(node.inputs[0]).dtype;
  XI_TRY(const ValueId mask, additive_mask(f, rewriter, optional(node, 4), dtype, key[0], keys, node.attributes.real("mask_filter_value", -10000)));
  inputs.insert(inputs.end(), {sum(f, mask, optional(node, 5)), optional(node, 6), optional(node, 7)});
  const bool present = has_output(node, 1) || has_output(node, 2);
  const auto results = attend(f, node, std::move(inputs), {heads, heads, node.attributes.integer("unidirectional", 0) != 0}, present ? 3 : 1);
  for (std::size_t i = 0; i < results.size(); ++i)
    if (has_output(node, i)) f.call_into(node.outputs[i], "Identity", {results[i]});
  return f.finish();
}

// query (or all three side by side), key, value, past key, past value, last position of each row, total length, cosines, sines,
// positions, attention bias. New keys go behind those of their row; the caches may be longer than what they hold.
Result<bool> expand_group_query_attention(Rewriter& rewriter, Node& node) {
  if (!has_static_inputs(rewriter, node) || !rewriter.type(node.outputs[0]).is_static()) return false;
  Formula f(rewriter);
  const Shape s = rewriter.type(node.inputs[0]).shape(), out = rewriter.type(node.outputs[0]).shape();
  const std::int64_t heads = node.attributes.integer("num_heads", 1), kv_heads = node.attributes.integer("kv_num_heads", 1), batch = s[0], length = s[1],
                     size = out[2] / heads, past = has_input(node, 3) ? rewriter.type(node.inputs[3]).shape()[2] : 0;
  const bool packed = !has_input(node, 1);
  const DType dtype = rewriter.type(node.inputs[0]).dtype;
  const auto part = [&](std::size_t i, std::int64_t begin, std::int64_t count) {
    const ValueId x = packed ? f.slice(node.inputs[0], 2, begin * size, (begin + count) * size) : node.inputs[i];
    return f.transpose(f.reshape(x, {batch, length, count, size}), {0, 2, 1, 3});
  };
  ValueId q = part(0, 0, heads), k = part(1, heads, kv_heads), v = part(2, heads + kv_heads, kv_heads);
  // Where each row's new tokens begin: not before 0, since rows of a first prompt may be shorter than the longest.
  const ValueId lengths = f.reshape(f.cast(node.inputs[5], DType::kInt64), {batch});
  const ValueId begins = f.call("Max", {f.call("Add", {lengths, f.scalar(DType::kInt64, static_cast<double>(1 - length))}), f.scalar(DType::kInt64, 0)});
  const ValueId places = f.call("Add", {f.reshape(begins, {batch, 1}), counted(f, {1, length})});
  if (node.attributes.integer("do_rotary", 0) != 0) {
    if (!has_input(node, 7) || !has_input(node, 8)) return fail(Code::kInvalidArgument, "do_rotary needs the caches of cosines and sines");
    const ValueId positions = has_input(node, 9) ? f.cast(node.inputs[9], DType::kInt64) : places;
    for (ValueId* x : {&q, &k}) {
      ir::Attributes attributes = with("interleaved", node.attributes.integer("rotary_interleaved", 0));
      attributes.set("rotary_embedding_dim", 2 * rewriter.type(node.inputs[7]).shape()[1]);
      *x = f.call("RotaryEmbedding", {*x, node.inputs[7], node.inputs[8], positions}, std::move(attributes));
    }
  }
  const auto cache = [&](std::size_t input, std::size_t output, ValueId now) {
    const std::int64_t wanted = has_output(node, output) ? rewriter.type(node.outputs[output]).shape()[2] : past + length;
    if (past == 0 && wanted == length) return now;
    std::vector<ValueId> parts;
    if (past > 0) parts.push_back(node.inputs[input]);
    if (wanted > past) parts.push_back(f.constant(Tensor(dtype, {batch, kv_heads, wanted - past, size})));
    return f.call("TensorScatter", {f.concat(std::move(parts), 2), now, begins}, with("axis", 2));
  };
  k = cache(3, 1, k);
  v = cache(4, 2, v);
  if (f.failed()) return f.finish();
  const std::int64_t all = rewriter.type(k).shape()[2];
  const ValueId rows = f.reshape(places, {batch, 1, length, 1}), columns = counted(f, {1, 1, 1, all});
  ValueId mask = f.call("LessOrEqual", {columns, rows});
  if (const std::int64_t window = node.attributes.integer("local_window_size", -1); window > 0)
    mask = f.call("And", {mask, f.call("Greater", {columns, f.call("Sub", {rows, f.scalar(DType::kInt64, static_cast<double>(window))})})});
  if (has_input(node, 10)) mask = f.call("Where", {mask, node.inputs[10], f.scalar(dtype, -std::numeric_limits<double>::infinity())});
  const auto results = attend(f, node, {q, k, v, mask}, {heads, kv_heads, false}, 1);
  f.reshape_into(node.outputs[0], f.transpose(results[0], {0, 2, 1, 3}), out);
  if (has_output(node, 1)) f.call_into(node.outputs[1], "Identity", {k});
  if (has_output(node, 2)) f.call_into(node.outputs[2], "Identity", {v});
  return f.finish();
}

// input ids, segment ids, word, position and segment embeddings, gamma, beta, mask, position ids.
Result<bool> expand_embed_normalization(Rewriter& rewriter, Node& node) {
  const auto dims = rewriter.type(node.inputs[0]).dims;
  if (!dims || dims->size() != 2 || !(*dims)[0].is_static() || !(*dims)[1].is_static()) return false;
  Formula f(rewriter);
  const auto lookup = [&](ValueId table, ValueId rows) { return f.call("Gather", {table, rows}, with("axis", 0)); };
  ValueId x = lookup(node.inputs[2], node.inputs[0]);
  x = f.call("Add", {x, has_input(node, 8) ? lookup(node.inputs[3], node.inputs[8]) : f.slice(node.inputs[3], 0, 0, (*dims)[1].value)});
  if (has_input(node, 1) && has_input(node, 4)) x = f.call("Add", {x, lookup(node.inputs[4], node.inputs[1])});
  ir::Attributes attributes = with("axis", -1);
  attributes.set("epsilon", node.attributes.real("epsilon", 1e-12f));
  f.call_into(node.outputs[0], "LayerNormalization", {x, node.inputs[5], node.inputs[6]}, std::move(attributes));
  if (has_output(node, 1)) {  // how many tokens of each row count
    if (has_input(node, 7)) {
      const ValueId counts = f.cast(f.cast(node.inputs[7], DType::kBool), DType::kInt32);
      f.call_into(node.outputs[1], "ReduceSum", {counts, f.integers({1})}, with("keepdims", 0));
    } else {
      f.call_into(node.outputs[1], "Identity", {f.constant(Tensor(DType::kInt32, {(*dims)[0].value}))});
    }
  }
  if (has_output(node, 2)) f.call_into(node.outputs[2], "Identity", {x});
  return f.finish();
}

constexpr Expansion kAttention[] = {{"com.microsoft.Attention", expand_attention},
                                    {"com.microsoft.EmbedLayerNormalization", expand_embed_normalization},
                                    {"com.microsoft.GroupQueryAttention", expand_group_query_attention},
                                    {"com.microsoft.MultiHeadAttention", expand_multi_head_attention},
                                    {"com.microsoft.QAttention", expand_qattention}};

}  // namespace

std::span<const Expansion> attention_expansions() { return kAttention; }

}  // namespace xinfer::passes
