#include "compiler/open_sizes.h"

#include <algorithm>
#include <string_view>

namespace xinfer::compiler {

std::string example_shape(const ir::ValueType& type) {
  if (!type.dims) return "1x3x224x224";
  std::string text;
  for (std::size_t i = 0; i < type.dims->size(); ++i) {
    const ir::Dim& dim = (*type.dims)[i];
    const std::string_view range = i == 0 ? "1:1:8" : type.dims->size() >= 4 ? (i == 1 ? "3" : "64:224:640") : "1:128:512";
    text += (i == 0 ? "" : "x") + (dim.is_static() ? std::to_string(dim.value) : std::string(range));
  }
  return text;
}

bool is_bounded(const ir::ValueType& type) {
  return type.is_known() && std::ranges::all_of(*type.dims, [](const ir::Dim& dim) { return dim.size().max() < tensor::kUnbounded; });
}

bool has_open_size(const ir::Graph& graph) {
  const bool ranged = std::ranges::any_of(graph.inputs, [&](ir::ValueId id) { return !graph.value(id).type.is_static(); });
  return ranged && std::ranges::any_of(graph.values, [](const ir::Value& value) { return !value.constant && value.type.dims && !value.type.is_known(); });
}

}  // namespace xinfer::compiler
