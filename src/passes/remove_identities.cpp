// Before: nodes that return their input as it is. After: their readers read the input.
#include <algorithm>

#include "passes/passes.h"
#include "passes/rewriter.h"

namespace xinfer::passes {
namespace {

using base::Result;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Tensor;

bool all_equal(const Tensor* tensor, double wanted) {
  if (tensor == nullptr) return false;
  for (std::int64_t i = 0; i < tensor->num_elements(); ++i)
    if (tensor->as_double(i) != wanted) return false;
  return true;
}

bool same_type(const Rewriter& rewriter, const Node& node) {
  const ir::ValueType &in = rewriter.type(node.inputs[0]), &out = rewriter.type(node.outputs[0]);
  return in.is_known() && in == out;
}

bool is_identity_transpose(const Rewriter& rewriter, const Node& node) {
  const ir::ValueType& type = rewriter.type(node.inputs[0]);
  if (!type.dims) return false;
  const auto rank = static_cast<std::int64_t>(type.dims->size());
  const auto perm = node.attributes.integers("perm");
  if (perm.empty()) return rank < 2;
  for (std::int64_t i = 0; i < rank; ++i)
    if (perm[i] != i) return false;
  return true;
}

bool keeps_order(const Rewriter& rewriter, const Node& node) {
  if (!has_input(node, 4)) return true;
  const Tensor* steps = rewriter.constant(node.inputs[4]);
  if (steps == nullptr) return false;
  for (std::int64_t step : steps->as_int64s())
    if (step < 0) return false;
  return true;
}

bool is_plain_resize(const Node& node) {
  const std::string mode = node.attributes.string("coordinate_transformation_mode", "half_pixel");
  return mode == "half_pixel" || mode == "asymmetric" || mode == "align_corners" || mode == "pytorch_half_pixel";
}

bool is_identity(const Rewriter& rewriter, const Node& node) {
  const std::string& op = node.op;
  if (op == "Identity") return true;
  if (op == "Concat" || op == "Sum" || op == "Mean" || op == "Max" || op == "Min") return node.inputs.size() == 1;
  if (op == "Split") return node.outputs.size() == 1;
  if (op == "Transpose") return is_identity_transpose(rewriter, node);
  if (op == "Dropout")
    return !has_input(node, 2) || all_equal(rewriter.constant(node.inputs[2]), 0) || (has_input(node, 1) && all_equal(rewriter.constant(node.inputs[1]), 0));
  if (op == "Cast" || op == "CastLike")
    return rewriter.type(node.inputs[0]).dtype != ir::DType::kUndefined && rewriter.type(node.inputs[0]).dtype == rewriter.type(node.outputs[0]).dtype;
  if (!same_type(rewriter, node)) return false;
  if (op == "Reshape" || op == "Flatten" || op == "Squeeze" || op == "Unsqueeze" || op == "Expand" || op == "Tile") return true;
  if (op == "Slice") return keeps_order(rewriter, node);
  if (op == "Pad") return has_input(node, 1) && all_equal(rewriter.constant(node.inputs[1]), 0);
  if (op == "Resize") return is_plain_resize(node);
  return false;
}

// The mask of a Dropout that drops nothing.
Result<void> replace_mask(Rewriter& rewriter, const Node& node) {
  if (node.op != "Dropout" || node.outputs.size() < 2 || node.outputs[1] == kNoValue) return {};
  const ir::ValueType& type = rewriter.type(node.inputs[0]);
  if (!type.is_static()) return base::fail(base::Code::kUnsupported, "the mask of Dropout over an unknown shape");
  Tensor yes(ir::DType::kBool, {1});
  yes.set(0, 1);
  ir::Attributes attributes;
  attributes.set("value", std::make_shared<const Tensor>(std::move(yes)));
  return rewriter.add_as(node.outputs[1], "ConstantOfShape", {rewriter.add_int64s(type.shape())}, std::move(attributes));
}

// Concat skips inputs without elements, which frees the others.
bool drop_empty_parts(Rewriter& rewriter, Node& node) {
  if (node.op != "Concat") return false;
  auto empty = [&](ValueId id) {
    const ir::ValueType& type = rewriter.type(id);
    return type.is_static() && std::any_of(type.dims->begin(), type.dims->end(), [](const ir::Dim& d) { return d.value == 0; });
  };
  const auto kept = std::count_if(node.inputs.begin(), node.inputs.end(), [&](ValueId id) { return !empty(id); });
  if (kept == 0 || kept == static_cast<std::ptrdiff_t>(node.inputs.size())) return false;
  std::erase_if(node.inputs, empty);
  return true;
}

}  // namespace

Result<bool> remove_identities(ir::Graph& graph) {
  bool changed = false;
  XI_TRY(const bool removed, Rewriter(graph).run([&](Rewriter& rewriter, Node& node) -> Result<bool> {
    if (node.inputs.empty() || node.outputs.empty() || node.inputs[0] == kNoValue || node.outputs[0] == kNoValue) return false;
    XI_CHECK(ir::infer_node_types(rewriter.graph(), node));
    changed = drop_empty_parts(rewriter, node) || changed;
    if (!is_identity(rewriter, node)) return false;
    // A graph output that is an input or a constant needs its copy.
    const bool stays = rewriter.graph().is_output(node.outputs[0]) && rewriter.producer(node.inputs[0]) == nullptr;
    if (stays && node.op == "Identity") return false;
    XI_CHECK(replace_mask(rewriter, node));
    rewriter.replace(node.outputs[0], node.inputs[0]);
    return true;
  }));
  return removed || changed;
}

}  // namespace xinfer::passes
