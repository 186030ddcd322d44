#include "passes/sequence_values.h"

#include "forge/reference/reference.h"
#include "ir/elements.h"
#include "passes/rewriter.h"

namespace xinfer::passes {

using base::Code;
using base::fail;
using base::Result;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Tensor;

namespace {

// A position in a sequence: negative counts from the end. `limit` positions are valid.
Result<std::size_t> position(const Tensor& tensor, std::size_t size, std::size_t limit) {
  std::int64_t at = tensor.as_int64(0);
  if (at < 0) at += static_cast<std::int64_t>(size);
  if (at < 0 || at >= static_cast<std::int64_t>(limit))
    return fail(Code::kInvalidArgument, "position {} in a sequence of {}", tensor.as_int64(0), size);
  return static_cast<std::size_t>(at);
}

}  // namespace

const SequenceValues::Items* SequenceValues::find(const Rewriter& rewriter, ValueId id) const {
  auto found = items_.find(rewriter.current(id));
  return found == items_.end() ? nullptr : &found->second;
}

bool SequenceValues::set(const Node& node, Items items) {
  items_[node.outputs[0]] = std::move(items);
  return true;
}

Result<bool> SequenceValues::visit(Rewriter& rewriter, OuterValues& outer, Node& node, const Visit& visit_body) {
  if (node.outputs.empty()) return false;
  if (node.op == "SequenceEmpty") return set(node, {});
  if (node.op == "SequenceConstruct") return set(node, node.inputs);
  if (node.op == "SplitToSequence") return split(rewriter, node);
  if (node.op == "ConcatFromSequence") return concat(rewriter, node);
  if (node.op == "SequenceMap") return map(rewriter, outer, node, visit_body);
  if (node.op.starts_with("Sequence")) return edit(rewriter, node);
  return optional(rewriter, node);
}

Result<void> SequenceValues::put_together(Rewriter& rewriter, ValueId id) {
  if (rewriter.producer(id) != nullptr) return {};
  if (auto found = items_.find(id); found != items_.end()) {
    const Items items = found->second;
    if (!items.empty()) return rewriter.add_as(id, "SequenceConstruct", items);
    ir::Attributes attributes;
    attributes.set("dtype", static_cast<std::int64_t>(rewriter.type(id).dtype));
    return rewriter.add_as(id, "SequenceEmpty", {}, std::move(attributes));
  }
  if (auto found = optionals_.find(id); found != optionals_.end() && !found->second.empty()) {
    const Items items = found->second;
    for (ValueId item : items) XI_CHECK(put_together(rewriter, item));
    return rewriter.add_as(id, "Optional", items);
  }
  return {};
}

Result<void> SequenceValues::take_apart(Rewriter& rewriter, ValueId output, Items& tensors) {
  const std::string name = rewriter.value(output).name;
  ValueId id = rewriter.current(output);
  auto named = [&](ValueId item, const std::string& wanted) -> Result<void> {
    const ValueId copy = rewriter.add_value(wanted);
    XI_CHECK(rewriter.add_as(copy, "Identity", {item}));
    rewriter.graph().value(copy).name = wanted;
    tensors.push_back(copy);
    return {};
  };
  if (const auto found = optionals_.find(id); found != optionals_.end()) {
    if (found->second.empty()) return {};
    id = rewriter.current(found->second[0]);
    if (rewriter.type(id).kind == ir::ValueType::Kind::kTensor) {
      rewriter.graph().value(output).name += ".optional";
      return named(id, name);
    }
  }
  const Items* items = find(rewriter, id);
  if (items == nullptr) {
    tensors.push_back(output);
    return {};
  }
  const Items held = *items;
  for (std::size_t i = 0; i < held.size(); ++i) XI_CHECK(named(held[i], ir::element_name(name, i)));
  return {};
}

bool SequenceValues::is_selectable(const Rewriter& rewriter, ValueId a, ValueId b) const {
  const Items *of_a = find(rewriter, a), *of_b = find(rewriter, b);
  if (of_a == nullptr && of_b == nullptr) return rewriter.type(a).is_known() && rewriter.type(a) == rewriter.type(b);
  if (of_a == nullptr || of_b == nullptr || of_a->size() != of_b->size()) return false;
  for (std::size_t i = 0; i < of_a->size(); ++i)
    if (!is_selectable(rewriter, (*of_a)[i], (*of_b)[i])) return false;
  return true;
}

Result<void> SequenceValues::select(Rewriter& rewriter, ValueId output, ValueId condition, ValueId a, ValueId b) {
  if (find(rewriter, a) == nullptr) return rewriter.add_as(output, "Where", {condition, a, b});
  const Items of_a = *find(rewriter, a), of_b = *find(rewriter, b);
  Items chosen;
  for (std::size_t i = 0; i < of_a.size(); ++i) {
    chosen.push_back(rewriter.add_value(rewriter.value(output).name));
    XI_CHECK(select(rewriter, chosen[i], condition, of_a[i], of_b[i]));
  }
  items_[output] = std::move(chosen);
  return {};
}

Result<bool> SequenceValues::edit(Rewriter& rewriter, Node& node) {
  const Items* items = has_input(node, 0) ? find(rewriter, node.inputs[0]) : nullptr;
  if (items == nullptr) return false;
  if (node.op == "SequenceLength") {
    const auto length = rewriter.add_constant(Tensor::scalar(static_cast<std::int64_t>(items->size())));
    rewriter.replace(node.outputs[0], length);
    return true;
  }
  const bool insert = node.op == "SequenceInsert";
  const std::size_t where = insert ? 2 : 1;
  if (has_input(node, where) && rewriter.constant(node.inputs[where]) == nullptr) return false;
  Items changed = *items;
  std::size_t at = insert ? changed.size() : changed.empty() ? 0 : changed.size() - 1;
  if (has_input(node, where)) {
    XI_TRY(at, position(*rewriter.constant(node.inputs[where]), changed.size(), changed.size() + (insert ? 1 : 0)));
  } else if (!insert && changed.empty()) {
    return fail(Code::kInvalidArgument, "the sequence is empty");
  }
  if (node.op == "SequenceAt") {
    rewriter.replace(node.outputs[0], changed[at]);
    return true;
  }
  if (insert) changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(at), node.inputs[1]);
  else if (node.op == "SequenceErase") changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(at));
  else return false;
  return set(node, std::move(changed));
}

Result<bool> SequenceValues::split(Rewriter& rewriter, Node& node) {
  const ir::ValueType& type = rewriter.type(node.inputs[0]);
  if (!type.is_static()) return false;
  const tensor::Shape shape = type.shape();
  std::int64_t axis = node.attributes.integer("axis", 0);
  if (axis < 0) axis += static_cast<std::int64_t>(shape.size());
  if (axis < 0 || axis >= static_cast<std::int64_t>(shape.size())) return fail(Code::kInvalidArgument, "axis {} is out of range", axis);
  std::vector<std::int64_t> sizes;
  bool drop_axis = false;
  if (has_input(node, 1)) {
    const Tensor* given = rewriter.constant(node.inputs[1]);
    if (given == nullptr) return false;
    if (given->rank() == 0) {
      const std::int64_t step = given->as_int64(0);
      if (step < 1) return fail(Code::kInvalidArgument, "split size {}", step);
      for (std::int64_t at = 0; at < shape[axis]; at += step) sizes.push_back(std::min(step, shape[axis] - at));
    } else {
      sizes = given->as_int64s();
    }
  } else {
    sizes.assign(static_cast<std::size_t>(shape[axis]), 1);
    drop_axis = node.attributes.integer("keepdims", 1) == 0;
  }
  if (sizes.empty()) return set(node, {});
  Items parts;
  for (std::size_t i = 0; i < sizes.size(); ++i) parts.push_back(rewriter.add_value(rewriter.value(node.outputs[0]).name));
  ir::Attributes attributes;
  attributes.set("axis", axis);
  const ValueId sizes_value = rewriter.add_int64s(sizes);
  XI_CHECK(rewriter.keep_or_fold({"Split", node.name, {node.inputs[0], sizes_value}, parts, std::move(attributes)}));
  if (drop_axis)
    for (ValueId& part : parts) {
      XI_TRY(part, rewriter.add("Squeeze", {part, rewriter.add_int64s({axis})}));
    }
  return set(node, std::move(parts));
}

Result<bool> SequenceValues::concat(Rewriter& rewriter, Node& node) {
  const Items* items = find(rewriter, node.inputs[0]);
  if (items == nullptr || items->empty()) return false;
  const std::int64_t axis = node.attributes.integer("axis", 0);
  Items parts = *items;
  if (node.attributes.integer("new_axis", 0) != 0)
    for (ValueId& part : parts) {
      XI_TRY(part, rewriter.add("Unsqueeze", {part, rewriter.add_int64s({axis})}));
    }
  ir::Attributes attributes;
  attributes.set("axis", axis);
  XI_CHECK(rewriter.keep_or_fold({"Concat", node.name, std::move(parts), node.outputs, std::move(attributes)}));
  return true;
}

Result<bool> SequenceValues::map(Rewriter& rewriter, OuterValues& outer, Node& node, const Visit& visit_body) {
  const auto* body = node.attributes.get<std::shared_ptr<const ir::Graph>>("body");
  const Items* first = find(rewriter, node.inputs[0]);
  if (body == nullptr || first == nullptr) return false;
  const std::size_t length = first->size();
  std::vector<Items> arguments(length), results(node.outputs.size());
  for (ValueId id : node.inputs) {
    const Items* items = find(rewriter, id);
    if (items != nullptr && items->size() != length) return fail(Code::kInvalidArgument, "sequences of {} and {} elements", length, items->size());
    for (std::size_t i = 0; i < length; ++i) arguments[i].push_back(items == nullptr ? id : (*items)[i]);
  }
  const std::shared_ptr<const ir::Graph> keep = *body;
  for (std::size_t i = 0; i < length; ++i) {
    XI_TRY(const Items outputs, inline_graph(rewriter, outer, *keep, arguments[i], visit_body));
    for (std::size_t o = 0; o < results.size() && o < outputs.size(); ++o) results[o].push_back(outputs[o]);
  }
  for (std::size_t o = 0; o < node.outputs.size(); ++o)
    if (node.outputs[o] != kNoValue) items_[node.outputs[o]] = results[o];
  return true;
}

Result<bool> SequenceValues::optional(Rewriter& rewriter, Node& node) {
  if (node.op == "Optional") {
    optionals_[node.outputs[0]] = node.inputs;
    return true;
  }
  const bool get = node.op == "OptionalGetElement";
  if (!get && node.op != "OptionalHasElement") return false;
  bool filled = has_input(node, 0);
  if (filled) {
    const ValueId id = rewriter.current(node.inputs[0]);
    auto found = optionals_.find(id);
    const bool plain = rewriter.type(id).kind != ir::ValueType::Kind::kOptional;
    if (found == optionals_.end() && !plain) return false;
    filled = plain || !found->second.empty();
    if (get) {
      if (!filled) return fail(Code::kInvalidArgument, "the optional is empty");
      rewriter.replace(node.outputs[0], plain ? id : found->second[0]);
      return true;
    }
  }
  Tensor answer(ir::DType::kBool, {});
  answer.set(0, filled ? 1 : 0);
  rewriter.replace(node.outputs[0], rewriter.add_constant(std::move(answer)));
  return true;
}

}  // namespace xinfer::passes
