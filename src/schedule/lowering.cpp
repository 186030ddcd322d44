#include "schedule/lowering.h"

#include <map>

namespace xinfer::schedule {

DType compute_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat16:
    case DType::kBfloat16:
    case DType::kFloat8E4M3FN:
    case DType::kFloat8E4M3FNUZ:
    case DType::kFloat8E5M2:
    case DType::kFloat8E5M2FNUZ:
    case DType::kFloat8E8M0:
    case DType::kFloat4E2M1: return DType::kFloat32;
    case DType::kInt2:
    case DType::kInt4: return DType::kInt8;
    case DType::kUint2:
    case DType::kUint4: return DType::kUint8;
    default: return dtype;
  }
}

const std::vector<Size>& LoweringContext::shape(std::size_t i) {
  auto [it, fresh] = shapes_.try_emplace(i);
  if (fresh) it->second = graph.value(node.inputs[i]).type.sizes();
  return it->second;
}

const std::vector<Size>& LoweringContext::out_shape() {
  auto [it, fresh] = shapes_.try_emplace(SIZE_MAX);
  if (fresh) it->second = graph.value(node.outputs[output]).type.sizes();
  return it->second;
}

base::Result<std::vector<std::int64_t>> LoweringContext::fixed_shape(std::size_t i) {
  const auto& type = graph.value(node.inputs[i]).type;
  if (type.is_static()) return type.shape();
  return base::fail(base::Code::kUnsupported, "{} needs fixed sizes, and input {} is {}", node.op, i, ir::to_string(type));
}

std::optional<std::vector<Size>> LoweringContext::known_sizes(std::size_t i) const {
  if (!has(i)) return std::nullopt;
  if (const auto& elements = graph.value(node.inputs[i]).elements) return *elements;
  const auto* tensor = constant(i);
  if (!tensor) return std::nullopt;
  const auto numbers = tensor->as_int64s();
  return std::vector<Size>(numbers.begin(), numbers.end());
}

E LoweringContext::broadcast(std::size_t i, std::span<const E> at) {
  const auto &dims = shape(i), &out = out_shape();
  std::vector<E> own(dims.size());
  for (std::size_t d = 0; d < dims.size(); ++d) {
    // Where the output has size 1 as well, the index is kept: padding lanes then read padding lanes.
    std::size_t position = at.size() - dims.size() + d;
    bool spread = dims[d] == Size(1) && !(at.size() == out.size() && out[position] == Size(1));
    own[d] = spread ? pool.integer(0) : at[position];
    // A dimension that may turn out to be 1 is read at its only place then.
    if (!dims[d].is_number() && at.size() == out.size() && out[position] != dims[d]) own[d] = pool.clamp(own[d], 0, dims[d] - 1);
  }
  return read(i, own);
}

E LoweringContext::wrap_index(E raw, const Size& size) {
  E index = pool.cast(raw, DType::kInt64);
  if (index->min < 0) index = pool.select(pool.call(Fn::kLt, index, pool.integer(0)), pool.add(index, size), index);
  return pool.clamp(index, 0, size == Size(0) ? Size(0) : size - 1);
}

const LoweringRow* find_lowering(std::string_view op) {
  static const std::map<std::string_view, const LoweringRow*> rows = [] {
    std::map<std::string_view, const LoweringRow*> all;
    for (auto part : {pointwise_lowerings(), movement_lowerings(), resampling_lowerings(), reduction_lowerings(),
                      normalization_lowerings()})
      for (const auto& row : part) all.emplace(row.op, &row);
    return all;
  }();
  auto it = rows.find(op);
  return it == rows.end() ? nullptr : it->second;
}

}  // namespace xinfer::schedule
