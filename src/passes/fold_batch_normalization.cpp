// Before: a scale and shift per channel (BatchNormalization, or Mul, Div, Add, Sub by constants) behind Conv, ConvTranspose or Gemm.
// After: it is in their weights and bias; elsewhere a BatchNormalization over constants is a Mul and an Add.
#include <cmath>
#include <optional>

#include "passes/passes.h"
#include "passes/rewriter.h"

namespace xinfer::passes {
namespace {

using base::Result;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Tensor;

struct ChannelAffine {
  std::vector<double> scale, shift;  // y = x * scale[channel] + shift[channel]
};

// A constant that has one value per channel (axis 1) of a tensor of `rank` dimensions, or one for all.
std::optional<std::vector<double>> per_channel(const Tensor* tensor, std::int64_t channels, std::int64_t rank) {
  if (tensor == nullptr || !tensor::is_float(tensor->dtype())) return std::nullopt;
  const auto& shape = tensor->shape();
  if (tensor->num_elements() == 1 && tensor->rank() <= rank)
    return std::vector<double>(static_cast<std::size_t>(channels), tensor->as_double(0));
  if (tensor->num_elements() != channels) return std::nullopt;
  const std::int64_t axis = 1 - (rank - tensor->rank());  // of the channels in the constant
  if (axis < 0 || tensor->rank() > rank || shape[axis] != channels) return std::nullopt;
  std::vector<double> values;
  for (std::int64_t i = 0; i < channels; ++i) values.push_back(tensor->as_double(i));
  return values;
}

std::optional<ChannelAffine> affine_of_normalization(const Rewriter& rewriter, const Node& node, std::int64_t channels) {
  if (node.attributes.integer("training_mode", 0) != 0 || node.inputs.size() != 5) return std::nullopt;
  const Tensor* constants[4];
  for (int i = 0; i < 4; ++i) {
    constants[i] = rewriter.constant(node.inputs[i + 1]);
    if (constants[i] == nullptr || constants[i]->num_elements() != channels) return std::nullopt;
  }
  const double epsilon = node.attributes.real("epsilon", 1e-5f);
  ChannelAffine affine;
  for (std::int64_t c = 0; c < channels; ++c) {
    affine.scale.push_back(constants[0]->as_double(c) / std::sqrt(constants[3]->as_double(c) + epsilon));
    affine.shift.push_back(constants[1]->as_double(c) - constants[2]->as_double(c) * affine.scale.back());
  }
  return affine;
}

// What `node` does to its non-constant input, if that is a scale and shift per channel.
std::optional<ChannelAffine> affine_of(const Rewriter& rewriter, const Node& node, ValueId& x) {
  const bool normalization = node.op == "BatchNormalization";
  const bool commutes = node.op == "Mul" || node.op == "Add", ordered = node.op == "Div" || node.op == "Sub";
  if (!normalization && (!(commutes || ordered) || node.inputs.size() != 2)) return std::nullopt;
  const bool swapped = commutes && rewriter.constant(node.inputs[0]) != nullptr;
  x = node.inputs[swapped ? 1 : 0];
  if (x == kNoValue || !rewriter.type(x).dims || rewriter.type(x).dims->size() < 2 || !(*rewriter.type(x).dims)[1].is_static()) return std::nullopt;
  const std::int64_t rank = static_cast<std::int64_t>(rewriter.type(x).dims->size()), channels = (*rewriter.type(x).dims)[1].value;
  if (normalization) return affine_of_normalization(rewriter, node, channels);
  const auto values = per_channel(rewriter.constant(node.inputs[swapped ? 0 : 1]), channels, rank);
  if (!values) return std::nullopt;
  ChannelAffine affine{std::vector<double>(values->size(), 1.0), std::vector<double>(values->size(), 0.0)};
  for (std::size_t c = 0; c < values->size(); ++c) {
    if (node.op == "Mul") affine.scale[c] = (*values)[c];
    else if (node.op == "Div") affine.scale[c] = 1 / (*values)[c];
    else affine.shift[c] = node.op == "Add" ? (*values)[c] : -(*values)[c];
    if (!std::isfinite(affine.scale[c])) return std::nullopt;
  }
  return affine;
}

// Output channel of each weight: weights are seen as [outer, channel, inner].
struct WeightView {
  std::int64_t outer = 1, channels = 1, inner = 1;
  std::int64_t outer_per_group = 0;  // of transposed convolutions: input channels of one group
};

std::optional<WeightView> view_weights(const Node& node, const Tensor& weights) {
  const auto& shape = weights.shape();
  WeightView view;
  if (node.op == "Gemm") {
    if (weights.rank() != 2) return std::nullopt;
    const bool transposed = node.attributes.integer("transB", 0) != 0;
    view.channels = shape[transposed ? 0 : 1];
    (transposed ? view.inner : view.outer) = shape[transposed ? 1 : 0];
    return view;
  }
  if (weights.rank() < 3) return std::nullopt;
  const bool transposed = node.op == "ConvTranspose";
  view.channels = shape[transposed ? 1 : 0];
  view.outer = transposed ? shape[0] : 1;
  view.inner = view.outer * view.channels == 0 ? 0 : weights.num_elements() / (view.outer * view.channels);
  if (transposed) view.outer_per_group = shape[0] / std::max<std::int64_t>(1, node.attributes.integer("group", 1));
  return view;
}

Tensor scale_weights(const Tensor& weights, const WeightView& view, const std::vector<double>& scale) {
  Tensor scaled(weights.dtype(), weights.shape());
  std::int64_t at = 0;
  for (std::int64_t o = 0; o < view.outer; ++o) {
    const std::int64_t group = view.outer_per_group > 0 ? o / view.outer_per_group : 0;
    for (std::int64_t c = 0; c < view.channels; ++c)
      for (std::int64_t i = 0; i < view.inner; ++i, ++at) scaled.set(at, weights.as_double(at) * scale[group * view.channels + c]);
  }
  return scaled;
}

// The same contraction with the affine in its weights, or nothing.
std::optional<Node> merge(Rewriter& rewriter, const Node& producer, const ChannelAffine& affine) {
  if (producer.inputs.size() < 2) return std::nullopt;
  const Tensor* weights = rewriter.constant(producer.inputs[1]);
  if (weights == nullptr || !tensor::is_float(weights->dtype())) return std::nullopt;
  const auto view = view_weights(producer, *weights);
  if (!view || weights->num_elements() == 0) return std::nullopt;
  if (producer.op == "Gemm" && (producer.attributes.real("alpha", 1) != 1 || producer.attributes.real("beta", 1) != 1)) return std::nullopt;
  const std::int64_t channels = static_cast<std::int64_t>(affine.scale.size());
  const std::int64_t groups = view->outer_per_group > 0 ? view->outer / view->outer_per_group : 1;
  if (view->channels * groups != channels) return std::nullopt;
  const bool has_bias = producer.inputs.size() > 2 && producer.inputs[2] != kNoValue;
  const Tensor* bias = has_bias ? rewriter.constant(producer.inputs[2]) : nullptr;
  if (has_bias && (bias == nullptr || (bias->num_elements() != channels && bias->num_elements() != 1))) return std::nullopt;
  if (bias != nullptr && bias->rank() > 1 && bias->shape().back() != bias->num_elements()) return std::nullopt;
  Tensor shifted(weights->dtype(), {channels});
  for (std::int64_t c = 0; c < channels; ++c) {
    const double before = bias == nullptr ? 0 : bias->as_double(bias->num_elements() == 1 ? 0 : c);
    shifted.set(c, before * affine.scale[c] + affine.shift[c]);
  }
  Node merged = producer;
  merged.inputs.resize(3, kNoValue);
  merged.inputs[1] = rewriter.add_constant(scale_weights(*weights, *view, affine.scale));
  merged.inputs[2] = rewriter.add_constant(std::move(shifted));
  return merged;
}

const Node* mergeable_producer(const Rewriter& rewriter, ValueId x) {
  for (std::string_view op : {"Conv", "ConvTranspose", "Gemm"})
    if (const Node* node = rewriter.only_producer(x, op)) return node;
  return nullptr;
}

Result<bool> spell_out(Rewriter& rewriter, const Node& node, ValueId x, const ChannelAffine& affine) {
  const ir::DType dtype = rewriter.type(x).dtype;
  tensor::Shape shape(rewriter.type(x).dims->size() - 1, 1);
  shape[0] = static_cast<std::int64_t>(affine.scale.size());
  Tensor scale(dtype, shape), shift(dtype, shape);
  for (std::int64_t c = 0; c < shape[0]; ++c) scale.set(c, affine.scale[c]), shift.set(c, affine.shift[c]);
  XI_TRY(const ValueId scaled, rewriter.add("Mul", {x, rewriter.add_constant(std::move(scale))}));
  XI_CHECK(rewriter.add_as(node.outputs[0], "Add", {scaled, rewriter.add_constant(std::move(shift))}));
  return true;
}

}  // namespace

Result<bool> fold_batch_normalization(ir::Graph& graph) {
  return Rewriter(graph).run([](Rewriter& rewriter, Node& node) -> Result<bool> {
    ValueId x = kNoValue;
    if (node.outputs.size() != 1) return false;
    const auto affine = affine_of(rewriter, node, x);
    if (!affine) return false;
    if (const Node* producer = mergeable_producer(rewriter, x)) {
      // A constant that broadcasts the product to a larger shape is no affine of its channels.
      const ir::ValueType &before = rewriter.type(x), &after = rewriter.type(node.outputs[0]);
      auto merged = before == after ? merge(rewriter, *producer, *affine) : std::nullopt;
      if (merged) {
        merged->outputs = node.outputs;
        if (!node.name.empty()) merged->name += "+" + node.name;
        XI_CHECK(rewriter.keep(std::move(*merged)));
        return true;
      }
    }
    if (node.op == "BatchNormalization") return spell_out(rewriter, node, x, *affine);
    return false;
  });
}

}  // namespace xinfer::passes
