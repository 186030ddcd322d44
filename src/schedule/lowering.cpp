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

const std::vector<std::int64_t>& LoweringContext::shape(std::size_t i) {
  auto [it, fresh] = shapes_.try_emplace(i);
  if (fresh) it->second = graph.value(node.inputs[i]).type.shape();
  return it->second;
}

const std::vector<std::int64_t>& LoweringContext::out_shape() {
  auto [it, fresh] = shapes_.try_emplace(SIZE_MAX);
  if (fresh) it->second = graph.value(node.outputs[output]).type.shape();
  return it->second;
}

E LoweringContext::broadcast(std::size_t i, std::span<const E> at) {
  const auto &dims = shape(i), &out = out_shape();
  std::vector<E> own(dims.size());
  for (std::size_t d = 0; d < dims.size(); ++d) {
    // Where the output has size 1 as well, the index is kept: padding lanes then read padding lanes.
    std::size_t position = at.size() - dims.size() + d;
    bool spread = dims[d] == 1 && !(at.size() == out.size() && out[position] == 1);
    own[d] = spread ? pool.integer(0) : at[position];
  }
  return read(i, own);
}

E LoweringContext::wrap_index(E raw, std::int64_t size) {
  E index = pool.cast(raw, DType::kInt64);
  if (index->min < 0) index = pool.select(pool.call(Fn::kLt, index, pool.integer(0)), pool.add(index, size), index);
  return pool.clamp(index, 0, std::max<std::int64_t>(size - 1, 0));
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
