#include "passes/formula.h"

namespace xinfer::passes {

using ir::ValueId;

ir::Attributes with(std::string name, std::int64_t value) {
  ir::Attributes attributes;
  attributes.set(std::move(name), value);
  return attributes;
}

ValueId Formula::call(std::string op, Values inputs, ir::Attributes attributes) {
  if (error_) return ir::kNoValue;
  auto result = rewriter_.add(std::move(op), std::move(inputs), std::move(attributes));
  if (result) return *result;
  error_ = std::move(result).error();
  return ir::kNoValue;
}

Formula::Values Formula::call_all(std::string op, Values inputs, std::size_t outputs, ir::Attributes attributes) {
  Values results(outputs, ir::kNoValue);
  if (error_) return results;
  for (ValueId& id : results) id = rewriter_.add_value(op);
  if (auto done = rewriter_.keep({std::move(op), {}, std::move(inputs), results, std::move(attributes)}); !done) error_ = std::move(done).error();
  return results;
}

void Formula::call_into(ValueId output, std::string op, Values inputs, ir::Attributes attributes) {
  if (error_ || output == ir::kNoValue) return;
  if (auto done = rewriter_.add_as(output, std::move(op), std::move(inputs), std::move(attributes)); !done) error_ = std::move(done).error();
}

ValueId Formula::reshape(ValueId x, Ints shape) {
  return call("Reshape", {x, rewriter_.add_int64s(std::move(shape))}, with("allowzero", 1));
}

ValueId Formula::per_channel(ValueId x, std::size_t rank) {
  Ints shape(rank - 1, 1);
  shape[0] = -1;
  return call("Reshape", {x, rewriter_.add_int64s(std::move(shape))});
}

void Formula::reshape_into(ValueId output, ValueId x, Ints shape) {
  call_into(output, "Reshape", {x, rewriter_.add_int64s(std::move(shape))}, with("allowzero", 1));
}

ValueId Formula::transpose(ValueId x, Ints perm) {
  ir::Attributes attributes;
  attributes.set("perm", std::move(perm));
  return call("Transpose", {x}, std::move(attributes));
}

ValueId Formula::slice(ValueId x, std::int64_t axis, std::int64_t begin, std::int64_t end, std::int64_t step) {
  return call("Slice", {x, rewriter_.add_int64s({begin}), rewriter_.add_int64s({end}), rewriter_.add_int64s({axis}), rewriter_.add_int64s({step})});
}

ValueId Formula::concat(Values parts, std::int64_t axis) {
  if (parts.size() == 1) return parts[0];
  return call("Concat", std::move(parts), with("axis", axis));
}

ValueId Formula::cast(ValueId x, tensor::DType dtype) {
  if (error_ || rewriter_.type(x).dtype == dtype) return x;
  return call("Cast", {x}, with("to", static_cast<std::int64_t>(dtype)));
}

base::Result<bool> Formula::finish() const {
  if (error_) return std::unexpected(*error_);
  return true;
}

}  // namespace xinfer::passes
