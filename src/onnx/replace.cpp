// Operators that say what a standard one says under another name: experiments of the first opsets, and com.microsoft's copies.
#include <algorithm>
#include <array>
#include <limits>

#include "onnx/upgrade.h"

namespace xinfer::onnx {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ir::Attributes;
using ir::kNoValue;
using ir::Node;
using ir::Tensor;
using ir::ValueId;

bool has_input(const Node& node, std::size_t index) { return index < node.inputs.size() && node.inputs[index] != kNoValue; }

ValueId integers(Emitter& e, std::span<const std::int64_t> values) { return e.constant(Tensor::from_int64s(values)); }

// A number of the type of the node's first input.
ValueId number(Emitter& e, const Node& node, double value) {
  const tensor::DType dtype = e.type(node.inputs[0]).dtype;
  Tensor tensor(dtype == tensor::DType::kUndefined ? tensor::DType::kFloat32 : dtype, {});
  tensor.set(0, value);
  return e.constant(std::move(tensor));
}

// Integers given as a tensor of any rank, as a list.
Result<ValueId> list(Emitter& e, ValueId id) {
  if (const auto& known = e.graph.value(id).constant) {
    std::vector<std::int64_t> values;
    for (std::int64_t i = 0; i < known->num_elements(); ++i) values.push_back(known->as_int64(i));
    return integers(e, values);
  }
  Attributes to;
  to.set("to", static_cast<std::int64_t>(tensor::DType::kInt64));
  XI_TRY(const ValueId wide, e.emit("Cast", {id}, to));
  return e.emit("Reshape", {wide, integers(e, std::array{std::int64_t{-1}})});
}

Result<void> dynamic_slice(Emitter&, Node& node) {
  node.op = "Slice";
  return {};
}

// alpha * x + beta
Result<void> affine(Emitter& e, Node& node) {
  XI_TRY(const ValueId scaled, e.emit("Mul", {node.inputs[0], number(e, node, node.attributes.real("alpha", 1))}));
  node = {"Add", node.name, {scaled, number(e, node, node.attributes.real("beta", 0))}, node.outputs, {}};
  return {};
}

// alpha * f(beta * x)
template <bool kTanh>
Result<void> scaled_activation(Emitter& e, Node& node) {
  XI_TRY(const ValueId x, e.emit("Mul", {node.inputs[0], number(e, node, node.attributes.real("beta", 1))}));
  XI_TRY(const ValueId y, e.emit(kTanh ? "Tanh" : "Softplus", {x}));
  node = {"Mul", node.name, {y, number(e, node, node.attributes.real("alpha", 1))}, node.outputs, {}};
  return {};
}

// scale * x + bias of the channel
Result<void> image_scaler(Emitter& e, Node& node) {
  XI_TRY(const ValueId scaled, e.emit("Mul", {node.inputs[0], number(e, node, node.attributes.real("scale", 1))}));
  const auto* bias = node.attributes.get<std::vector<float>>("bias");
  if (bias == nullptr) return fail(Code::kInvalidArgument, "ImageScaler without bias");
  Tensor column(tensor::DType::kFloat32, {static_cast<std::int64_t>(bias->size()), 1, 1});
  for (std::size_t i = 0; i < bias->size(); ++i) column.set(static_cast<std::int64_t>(i), (*bias)[i]);
  node = {"Add", node.name, {scaled, e.constant(std::move(column))}, node.outputs, {}};
  return {};
}

// border: what to take away left, above, right and below; scale: the height and width that are left instead.
Result<void> crop(Emitter& e, Node& node) {
  const auto border = node.attributes.integers("border"), size = node.attributes.integers("scale");
  if (border.size() != 4 || (!size.empty() && size.size() != 2)) return fail(Code::kInvalidArgument, "Crop needs four borders, and of sizes none or two");
  constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();
  auto end = [&](std::size_t side, std::size_t axis) {
    return !size.empty() ? border[axis] + size[1 - axis] : border[side] == 0 ? kEnd : -border[side];
  };
  node = {"Slice",
          node.name,
          {node.inputs[0], integers(e, std::array{border[1], border[0]}), integers(e, std::array{end(3, 1), end(2, 0)}),
           integers(e, std::array{std::int64_t{2}, std::int64_t{3}})},
          node.outputs,
          {}};
  return {};
}

Result<void> expand_dims(Emitter& e, Node& node) {
  if (!has_input(node, 1)) return fail(Code::kInvalidArgument, "ExpandDims needs an axis");
  XI_TRY(node.inputs[1], list(e, node.inputs[1]));
  node.op = "Unsqueeze";
  return {};
}

// Results are the values in order of appearance, where each element went, and counts; the standard's second is where each came from.
Result<void> unique(Emitter&, Node& node) {
  Node standard{"Unique", node.name, node.inputs, {node.outputs[0], kNoValue}, {}};
  standard.attributes.set("sorted", std::int64_t{0});
  standard.outputs.insert(standard.outputs.end(), node.outputs.begin() + 1, node.outputs.end());
  node = std::move(standard);
  return {};
}

struct Replacement {
  std::string_view op;
  Result<void> (*run)(Emitter&, Node&);
};

constexpr Replacement kReplacements[] = {{"Affine", affine},
                                         {"Crop", crop},
                                         {"DynamicSlice", dynamic_slice},
                                         {"ImageScaler", image_scaler},
                                         {"ParametricSoftplus", scaled_activation<false>},
                                         {"ScaledTanh", scaled_activation<true>},
                                         {"com.microsoft.ExpandDims", expand_dims},
                                         {"com.microsoft.Unique", unique}};

}  // namespace

Result<void> replace(Emitter& emitter, Node& node) {
  const auto found = std::ranges::find(kReplacements, std::string_view(node.op), &Replacement::op);
  if (found == std::end(kReplacements)) return {};
  if (!has_input(node, 0) || node.outputs.empty() || node.outputs[0] == kNoValue)
    return fail(Code::kInvalidArgument, "{} needs an input and an output", node.op);
  return found->run(emitter, node);
}

}  // namespace xinfer::onnx
