// Attributes, sizes and constants that contradict one another, operator by operator.
#include <fmt/format.h>

#include <algorithm>

#include "ir/constraints.h"

namespace xinfer::ir {
namespace {

using base::Code;
using base::fail;
using base::Result;
using Dims = std::vector<Dim>;

struct Seen {
  const Graph& graph;
  const Node& node;

  bool has(std::size_t input) const { return input < node.inputs.size() && node.inputs[input] != kNoValue; }
  const Dims* dims(std::size_t input) const {
    if (!has(input)) return nullptr;
    const auto& dims = graph.value(node.inputs[input]).type.dims;
    return dims ? &*dims : nullptr;
  }
  const Tensor* constant(std::size_t input) const { return has(input) ? graph.constant(node.inputs[input]) : nullptr; }
  /// The size where it is known while building, else -1.
  std::int64_t size(std::size_t input, std::size_t axis) const {
    const Dims* all = dims(input);
    return all && axis < all->size() && (*all)[axis].is_static() ? (*all)[axis].value : -1;
  }
  std::vector<std::int64_t> list(std::string_view attribute, std::size_t count, std::int64_t fallback) const {
    auto values = node.attributes.integers(attribute);
    values.resize(count, fallback);
    return values;
  }
};

Result<void> check_size(const Seen& seen, std::size_t input, std::size_t axis, std::int64_t wanted, std::string_view what) {
  const std::int64_t size = seen.size(input, axis);
  if (size < 0 || wanted < 0 || size == wanted) return {};
  return fail(Code::kInvalidArgument, "{}: {} where {} are needed", what, size, wanted);
}

Result<void> check_number(const Seen& seen, std::size_t input, std::string_view what) {
  const Dims* dims = seen.dims(input);
  const bool one = !dims || dims->empty() || (dims->size() == 1 && (!(*dims)[0].is_static() || (*dims)[0].value == 1));
  return one ? Result<void>() : fail(Code::kInvalidArgument, "{} must be one number", what);
}

Result<void> same_type(const Seen& seen, std::size_t a, std::size_t b) {
  const DType first = seen.graph.value(seen.node.inputs[a]).type.dtype, second = seen.graph.value(seen.node.inputs[b]).type.dtype;
  if (first == second || first == DType::kUndefined || second == DType::kUndefined) return {};
  return fail(Code::kInvalidArgument, "inputs {} ({}) and {} ({}) must have the same element type", a, tensor::name(first), b, tensor::name(second));
}

Result<void> padding(const Seen& seen) {
  for (std::int64_t pad : seen.node.attributes.integers("pads"))
    if (pad < 0) return fail(Code::kInvalidArgument, "padding of {}", pad);
  return {};
}

Result<void> convolution(const Seen& seen) {
  const auto kernel = seen.node.attributes.integers("kernel_shape");
  for (std::size_t i = 0; i < kernel.size(); ++i)
    if (const std::int64_t size = seen.size(1, i + 2); size >= 0 && size != kernel[i])
      return fail(Code::kInvalidArgument, "kernel_shape says {} where the weights have {}", kernel[i], size);
  if (seen.node.op != "ConvTranspose") return padding(seen);
  const auto extra = seen.node.attributes.integers("output_padding");
  const auto strides = seen.list("strides", extra.size(), 1), dilations = seen.list("dilations", extra.size(), 1);
  for (std::size_t i = 0; i < extra.size(); ++i)
    if (const std::int64_t most = std::max(strides[i], dilations[i]); extra[i] >= most)
      return fail(Code::kInvalidArgument, "output_padding is {}, and must be less than the stride or the dilation, {}", extra[i], most);
  return {};
}

Result<void> pooling(const Seen& seen) {
  const auto kernel = seen.node.attributes.integers("kernel_shape");
  const auto pads = seen.list("pads", 2 * kernel.size(), 0);
  for (std::size_t i = 0; i < pads.size(); ++i)
    if (const std::int64_t extent = kernel[i % kernel.size()]; pads[i] >= extent)
      return fail(Code::kInvalidArgument, "padding of {} beside a window of {}: there would be windows of padding alone", pads[i], extent);
  return padding(seen);
}

// Indices that are known must be there.
Result<void> gather(const Seen& seen) {
  const Dims* dims = seen.dims(0);
  const Tensor* indices = seen.constant(1);
  if (!dims || !indices) return {};
  std::int64_t axis = seen.node.attributes.integer("axis", 0);
  if (axis < 0) axis += static_cast<std::int64_t>(dims->size());
  const std::int64_t size = axis < 0 ? -1 : seen.size(0, static_cast<std::size_t>(axis));
  for (std::int64_t i = 0; size >= 0 && i < indices->num_elements(); ++i)
    if (const std::int64_t index = indices->as_int64(i); index < -size || index >= size)
      return fail(Code::kInvalidArgument, "index {} of axis {}, which has {} elements", index, axis, size);
  return {};
}

Result<void> scatter(const Seen& seen) {
  XI_CHECK(same_type(seen, 0, 2));
  return seen.node.op == "ScatterElements" ? gather(seen) : Result<void>();
}

Result<void> batch_normalization(const Seen& seen) {
  if (seen.node.outputs.size() > 1 && seen.node.attributes.integer("training_mode", 0) == 0)
    return fail(Code::kInvalidArgument, "{} outputs, and there is one outside of training", seen.node.outputs.size());
  return {};
}

Result<void> constant_of_shape(const Seen& seen) {
  const auto* value = seen.node.attributes.get<std::shared_ptr<const Tensor>>("value");
  return value && *value && (*value)->num_elements() != 1 ? fail(Code::kInvalidArgument, "attribute 'value' must be one element") : Result<void>();
}

Result<void> recurrent(const Seen& seen) {
  const std::int64_t hidden = seen.node.attributes.integer("hidden_size", 0);
  if (hidden <= 0) return fail(Code::kInvalidArgument, "attribute 'hidden_size' is missing or not positive");
  const std::int64_t gates = seen.node.op == "LSTM" ? 4 : seen.node.op == "GRU" ? 3 : 1;
  if (hidden > INT32_MAX) return fail(Code::kLimit, "hidden_size is {}", hidden);
  XI_CHECK(check_size(seen, 1, 1, gates * hidden, "rows of the input weights"));
  XI_CHECK(check_size(seen, 2, 1, gates * hidden, "rows of the recurrence weights"));
  return check_size(seen, 3, 1, 2 * gates * hidden, "the biases");
}

Result<void> local_response(const Seen& seen) {
  const std::int64_t size = seen.node.attributes.integer("size", 1);
  return size % 2 == 1 ? Result<void>() : fail(Code::kInvalidArgument, "size is {}, and must be odd", size);
}

Result<void> lp_normalization(const Seen& seen) {
  const std::int64_t p = seen.node.attributes.integer("p", 2);
  return p == 1 || p == 2 ? Result<void>() : fail(Code::kInvalidArgument, "p is {}, and must be 1 or 2", p);
}

Result<void> modulo(const Seen& seen) {
  const bool real = tensor::is_float(seen.graph.value(seen.node.inputs[0]).type.dtype);
  return real && seen.node.attributes.integer("fmod", 0) == 0 ? fail(Code::kInvalidArgument, "floating-point numbers need fmod=1") : Result<void>();
}

Result<void> slice(const Seen& seen) {
  for (std::size_t i = 2; i < seen.node.inputs.size(); ++i)
    if (seen.has(i)) XI_CHECK(check_size(seen, i, 0, seen.size(1, 0), fmt::format("numbers in input {}", i)));
  return {};
}

Result<void> split(const Seen& seen) {
  if (!seen.has(1) && !seen.node.attributes.has("num_outputs")) return fail(Code::kInvalidArgument, "neither the input 'split' nor the attribute 'num_outputs'");
  return {};
}

Result<void> string_normalizer(const Seen& seen) {
  const Dims* dims = seen.dims(0);
  const bool fits = !dims || dims->size() == 1 || (dims->size() == 2 && (!(*dims)[0].is_static() || (*dims)[0].value == 1));
  return fits ? Result<void>() : fail(Code::kInvalidArgument, "the input must have the shape [C] or [1,C]");
}

Result<void> one_hot(const Seen& seen) { return check_size(seen, 2, 0, 2, "values for off and on"); }
Result<void> roi_align(const Seen& seen) { return check_size(seen, 1, 1, 4, "numbers of a region"); }
Result<void> cumulative_sum(const Seen& seen) { return check_number(seen, 1, "the axis"); }
Result<void> loop(const Seen& seen) {
  XI_CHECK(check_number(seen, 0, "the number of trips"));
  return check_number(seen, 1, "the condition");
}
Result<void> branch(const Seen& seen) { return check_number(seen, 0, "the condition"); }
Result<void> reverse_sequence(const Seen& seen) {
  const std::int64_t axis = seen.node.attributes.integer("batch_axis", 1);
  return check_size(seen, 1, 0, axis == 0 || axis == 1 ? seen.size(0, static_cast<std::size_t>(axis)) : -1, "lengths of sequences");
}

struct Row {
  std::string_view op;
  Result<void> (*check)(const Seen&);
};
constexpr Row kRows[] = {
    {"AveragePool", pooling},
    {"BatchNormalization", batch_normalization},
    {"ConstantOfShape", constant_of_shape},
    {"Conv", convolution},
    {"ConvInteger", convolution},
    {"ConvTranspose", convolution},
    {"CumSum", cumulative_sum},
    {"GRU", recurrent},
    {"Gather", gather},
    {"GatherElements", gather},
    {"If", branch},
    {"LRN", local_response},
    {"LSTM", recurrent},
    {"Loop", loop},
    {"LpNormalization", lp_normalization},
    {"LpPool", pooling},
    {"MaxPool", pooling},
    {"Mod", modulo},
    {"OneHot", one_hot},
    {"RNN", recurrent},
    {"ReverseSequence", reverse_sequence},
    {"RoiAlign", roi_align},
    {"ScatterElements", scatter},
    {"ScatterND", scatter},
    {"Slice", slice},
    {"Split", split},
    {"StringNormalizer", string_normalizer},
};
static_assert(std::ranges::is_sorted(kRows, {}, &Row::op));

}  // namespace

Result<void> check_values(const Graph& graph, const Node& node) {
  const auto found = std::ranges::lower_bound(kRows, std::string_view(node.op), {}, &Row::op);
  if (found == std::end(kRows) || found->op != node.op) return {};
  return found->check({graph, node});
}

}  // namespace xinfer::ir
