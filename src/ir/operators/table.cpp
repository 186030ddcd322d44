// Assembles the table of operators from its categories.
#include <algorithm>

#include "ir/operators/rules.h"

namespace xinfer::ir {

namespace {
const std::vector<OperatorInfo>& table() {
  static const std::vector<OperatorInfo> rows = [] {
    std::vector<OperatorInfo> all;
    rules::add_pointwise(all);
    rules::add_movement(all);
    rules::add_normalization(all);
    rules::add_contraction(all);
    rules::add_selection(all);
    rules::add_signal(all);
    rules::add_generators(all);
    rules::add_attention(all);
    rules::add_text(all);
    rules::add_classical(all);
    rules::add_sampling(all);
    rules::add_recurrent(all);
    rules::add_quantized(all);
    rules::add_control(all);
    rules::add_reduction(all);
    rules::add_microsoft(all);  // last: some of its rows are copies
    std::ranges::sort(all, {}, &OperatorInfo::name);
    return all;
  }();
  return rows;
}
}  // namespace

std::span<const OperatorInfo> operators() { return table(); }

const OperatorInfo* find_operator(std::string_view op) {
  const auto& rows = table();
  auto it = std::ranges::lower_bound(rows, op, {}, &OperatorInfo::name);
  return it != rows.end() && it->name == op ? &*it : nullptr;
}

}  // namespace xinfer::ir
