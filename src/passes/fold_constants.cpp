// Before: nodes over constants and over static shapes (Shape, Size, …). After: their results are constants, except where
// that would blow the weights up (a large fill or broadcast of little data).
#include "passes/fold_constants.h"

#include <algorithm>

#include "forge/reference/reference.h"
#include "passes/passes.h"
#include "passes/rewriter.h"

namespace xinfer::passes {
namespace {

using base::Result;
using forge::reference::Value;
using ir::Graph;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Tensor;

constexpr std::int64_t kFreeBytes = 1 << 20;  // results up to this size are always worth it
constexpr std::int64_t kMaxGrowth = 2;        // larger ones only if they are not much larger than their inputs

bool is_random(std::string_view op) {
  return op.starts_with("Random") || op == "Bernoulli" || op == "Multinomial" || op == "Dropout";
}

// Operators whose result depends on an input's type alone.
bool fold_shape(Graph& graph, const Node& node) {
  const bool size = node.op == "Size";
  if ((!size && node.op != "Shape") || node.inputs.empty() || !graph.value(node.inputs[0]).type.is_static()) return false;
  const tensor::Shape shape = graph.value(node.inputs[0]).type.shape();
  Tensor result;
  if (size) {
    result = Tensor::scalar(tensor::num_elements(shape));
  } else {
    const auto rank = static_cast<std::int64_t>(shape.size());
    auto bound = [&](std::string_view name, std::int64_t fallback) {
      const std::int64_t at = node.attributes.integer(name, fallback);
      return std::clamp(at < 0 ? at + rank : at, std::int64_t{0}, rank);
    };
    const std::int64_t begin = bound("start", 0), end = bound("end", rank);
    result = Tensor::from_int64s(std::span(shape).subspan(begin, std::max(begin, end) - begin));
  }
  graph.value(node.outputs[0]).constant = std::make_shared<const Tensor>(std::move(result));
  return true;
}

// Results that follow from shapes and turn out to be numbers.
bool fold_elements(Graph& graph, const Node& node) {
  if (node.outputs.size() != 1 || node.outputs[0] == kNoValue) return false;
  // What is constant already is the reference functions' business.
  if (std::ranges::all_of(node.inputs, [&](ValueId id) { return id == kNoValue || graph.is_constant(id); })) return false;
  ir::Value& value = graph.value(node.outputs[0]);
  if (!value.elements || std::ranges::any_of(*value.elements, [](const tensor::Size& size) { return !size.is_number(); })) return false;
  auto folded = std::make_shared<Tensor>(value.type.dtype, value.type.shape());
  for (std::size_t i = 0; i < value.elements->size(); ++i)
    folded->set(static_cast<std::int64_t>(i), static_cast<double>((*value.elements)[i].number()));
  value.constant = std::move(folded);
  value.elements.reset();
  return true;
}

// A guess before the work is done: static types say how large the result is.
bool too_large(const Graph& graph, const Node& node) {
  std::int64_t in = 0, out = 0;
  for (ValueId id : node.inputs)
    if (id != kNoValue) in += static_cast<std::int64_t>(graph.constant(id)->size_bytes());
  for (ValueId id : node.outputs) {
    if (id == kNoValue) continue;
    const ir::ValueType& type = graph.value(id).type;
    if (!type.is_static()) continue;
    // In steps, since the product may overflow.
    double bytes = static_cast<double>(tensor::size_of(type.dtype));
    for (const ir::Dim& dim : *type.dims) bytes *= static_cast<double>(dim.value);
    if (bytes > 1e12) return true;
    out += static_cast<std::int64_t>(bytes);
  }
  return out > kFreeBytes && out > kMaxGrowth * in;
}

bool foldable(const Graph& graph, const Node& node) {
  if (is_random(node.op) || node.outputs.empty()) return false;
  for (const auto& [name, attribute] : node.attributes)
    if (std::holds_alternative<std::shared_ptr<const Graph>>(attribute)) return false;
  for (ValueId id : node.inputs)
    if (id != kNoValue && !graph.is_constant(id)) return false;
  for (ValueId id : node.outputs)
    if (id != kNoValue && graph.value(id).type.kind != ir::ValueType::Kind::kTensor) return false;
  const ir::OperatorInfo* info = ir::find_operator(node.op);
  return info != nullptr && !too_large(graph, node);
}

// A large fill is read from one element instead.
Result<bool> spread_fill(Rewriter& rewriter, const Node& node) {
  if (node.op != "ConstantOfShape" || !rewriter.type(node.outputs[0]).is_static()) return false;
  const auto* value = node.attributes.get<std::shared_ptr<const Tensor>>("value");
  if (value != nullptr && (*value)->num_elements() != 1) return false;
  Tensor element(value == nullptr ? ir::DType::kFloat32 : (*value)->dtype(), {});
  if (value != nullptr) std::copy((*value)->bytes().begin(), (*value)->bytes().end(), element.bytes().begin());
  XI_CHECK(rewriter.add_as(node.outputs[0], "Expand", {rewriter.add_constant(std::move(element)), node.inputs[0]}));
  return true;
}

// By the reference function; nothing where there is none.
Result<std::vector<Value>> evaluate(const Graph& graph, const Node& node) {
  const auto function = forge::reference::find(node.op);
  if (!function) return std::vector<Value>{};
  std::vector<Value> held;
  held.reserve(node.inputs.size());
  std::vector<const Value*> inputs;
  for (ValueId id : node.inputs) {
    if (id == kNoValue) {
      inputs.push_back(nullptr);
      continue;
    }
    held.emplace_back(graph.value(id).constant);
    inputs.push_back(&held.back());
  }
  return function(node, graph, inputs);
}

}  // namespace

std::shared_ptr<const Tensor> evaluate_node(const Graph& graph, const Node& node) {
  const auto results = evaluate(graph, node);
  return results && !results->empty() ? results->front().tensor : nullptr;
}

Result<bool> fold_node(Graph& graph, const Node& node) {
  if (fold_shape(graph, node) || fold_elements(graph, node)) return true;
  if (!foldable(graph, node)) return false;
  XI_TRY(const std::vector<Value> results, evaluate(graph, node));
  for (std::size_t i = 0; i < node.outputs.size(); ++i)
    if (node.outputs[i] != kNoValue && (i >= results.size() || results[i].tensor == nullptr)) return false;
  for (std::size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == kNoValue) continue;
    ir::Value& value = graph.value(node.outputs[i]);
    value.constant = results[i].tensor;
    value.type = ir::ValueType::of(value.constant->dtype(), value.constant->shape());
  }
  return true;
}

Result<bool> fold_constants(Graph& graph) {
  return Rewriter(graph).run([](Rewriter& rewriter, Node& node) -> Result<bool> {
    XI_CHECK(ir::infer_node_types(rewriter.graph(), node));
    XI_TRY(const bool folded, fold_node(rewriter.graph(), node));
    return folded ? true : spread_fill(rewriter, node);
  });
}

}  // namespace xinfer::passes
