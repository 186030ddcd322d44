// From operator names to reference functions.
#include <algorithm>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

namespace {
const Entries& table() {
  static const Entries entries = [] {
    Entries all;
    add_pointwise(all);
    add_movement(all);
    add_normalization(all);
    add_convolution(all);
    add_matmul(all);
    add_pooling(all);
    add_selection(all);
    add_sampling(all);
    add_signal(all);
    add_generators(all);
    add_attention(all);
    add_text(all);
    add_classical(all);
    add_microsoft(all);
    add_quantized_microsoft(all);
    add_scatter(all);
    add_resize(all);
    add_recurrent(all);
    add_quantized(all);
    add_sequences(all);
    add_reduction(all);
    std::ranges::sort(all, {}, &Entries::value_type::first);
    return all;
  }();
  return entries;
}
}  // namespace

Function find(std::string_view op) {
  const Entries& entries = table();
  auto it = std::ranges::lower_bound(entries, op, {}, &Entries::value_type::first);
  return it != entries.end() && it->first == op ? Function(it->second) : Function();
}

Value Value::sequence(std::vector<Value> elements, tensor::DType dtype) {
  Value value;
  value.kind = Kind::kSequence;
  value.elements = std::move(elements);
  value.dtype = dtype;
  return value;
}

Value Value::optional(std::vector<Value> none_or_one, tensor::DType dtype) {
  Value value = sequence(std::move(none_or_one), dtype);
  value.kind = Kind::kOptional;
  return value;
}

ir::ValueType Value::type() const {
  if (kind == Kind::kTensor) return ir::ValueType::of(tensor->dtype(), tensor->shape());
  ir::ValueType type;
  type.kind = kind == Kind::kSequence ? ir::ValueType::Kind::kSequence : ir::ValueType::Kind::kOptional;
  type.dtype = dtype;
  if (type.dtype == DType::kUndefined && !elements.empty()) type.dtype = elements.front().type().dtype;
  return type;
}

Result<std::vector<Value>> Function::operator()(const ir::Node& node, const ir::Graph&,
                                                std::span<const Value* const> inputs) const {
  const ir::OperatorInfo* info = ir::find_operator(node.op);
  if (!info) return fail(Code::kUnsupported, "operator {} is not known", node.op);
  // The node alone in a graph, all of its inputs known: the shape rule then tells the exact output types.
  ir::Graph around;
  ir::Node alone = node;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i]) {
      alone.inputs[i] = ir::kNoValue;
      continue;
    }
    ir::Value value;
    value.type = inputs[i]->type();
    value.constant = inputs[i]->tensor;
    alone.inputs[i] = static_cast<ir::ValueId>(around.values.size());
    around.values.push_back(std::move(value));
  }
  int count = static_cast<int>(inputs.size());
  if (count < info->min_inputs || count > info->max_inputs)
    return fail(Code::kInvalidArgument, "{} takes {} to {} inputs, not {}", node.op, info->min_inputs, info->max_inputs,
                count);
  for (int i = 0; i < info->min_inputs && info->max_inputs < ir::kVariadic; ++i)
    if (!inputs[index_of(i)]) return fail(Code::kInvalidArgument, "{} needs input {}", node.op, i);
  XI_TRY(auto types, info->shape_rule(ir::ShapeContext{around, alone}));
  // Where nothing comes out there is nothing to compute, and bodies may divide by sizes.
  const auto is_empty = [](const ir::ValueType& type) {
    return type.is_static() && type.dtype != tensor::DType::kUndefined && tensor::num_elements(type.shape()) == 0;
  };
  if (!types.empty() && std::ranges::all_of(types, is_empty)) {
    std::vector<Value> values;
    for (const ir::ValueType& type : types) values.emplace_back(Tensor(type.dtype, type.shape()));
    return values;
  }
  return body_(Call{node, inputs, types});
}

}  // namespace xinfer::forge::reference
