#include "compiler/open_sizes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>

namespace xinfer::compiler {

using base::Code;
using base::fail;
using base::Result;

namespace {

// A range whose smallest sizes leave nothing of some value would fail while running.
Result<void> require_positive_sizes(const ir::Graph& graph) {
  for (const ir::Value& value : graph.values) {
    if (!value.type.is_known()) continue;
    for (const ir::Dim& dim : *value.type.dims) {
      if (dim.is_static() || dim.size().min() >= 0) continue;
      std::string ranges;
      for (const tensor::Symbol& symbol : dim.size().symbols()) ranges += fmt::format("{}{} from {}", ranges.empty() ? "" : ", ", symbol.name, symbol.min);
      return fail(Code::kInvalidArgument, "'{}' would have size {}, down to {} with {}: give a range that begins higher", value.name,
                  dim.size().text(), dim.size().min(), ranges);
    }
  }
  return {};
}

// Models that are written for one size say so in the shapes that they reshape to.
Result<void> require_whole_reshapes(const ir::Graph& graph) {
  std::map<std::string, tensor::Symbol> symbols;  // of the inputs
  for (ir::ValueId id : graph.inputs)
    if (const auto& dims = graph.value(id).type.dims)
      for (const ir::Dim& dim : *dims)
        for (const tensor::Symbol& symbol : dim.formula.symbols()) symbols.emplace(symbol.name, symbol);
  for (const ir::Node& node : graph.nodes) {
    if (node.op != "Reshape") continue;
    const ir::ValueType &from = graph.value(node.inputs[0]).type, &to = graph.value(node.outputs[0]).type;
    if (!from.is_known() || !to.is_known()) continue;
    const tensor::Size missing = tensor::num_elements(from.sizes()) - tensor::num_elements(to.sizes());
    const auto all = missing.symbols();
    if (!std::ranges::all_of(all, [&](const tensor::Symbol& symbol) { return symbols.contains(symbol.name); })) continue;
    for (auto end : {&tensor::Symbol::min, &tensor::Symbol::max}) {
      if (missing.evaluate([&](const std::string& name) { return symbols.at(name).*end; }) == 0) continue;
      std::string where;
      for (const tensor::Symbol& symbol : all) where += fmt::format("{}{}={}", where.empty() ? "" : ", ", symbol.name, symbol.*end);
      return fail(Code::kUnsupported, "'{}' is reshaped from {} to {}, which is not possible with {}: the model is written for fixed sizes there", graph.value(node.outputs[0]).name,
                  ir::to_string(from), ir::to_string(to), where);
    }
  }
  return {};
}

}  // namespace

Result<void> check_ranges(const ir::Graph& graph) {
  XI_CHECK(require_positive_sizes(graph));
  return require_whole_reshapes(graph);
}

namespace {

bool is_open(const ir::Dim& dim) { return !dim.is_static() && !(dim.is_known() && dim.size().max() < tensor::kUnbounded); }

}  // namespace

UsualSizes::Role UsualSizes::role(const std::vector<ir::Dim>& dims, std::size_t axis) {
  // Recurrent states are [layers, batch, features].
  const bool state = dims.size() == 3 && dims[0].is_static() && dims[0].value > 1;
  Role role = axis == (state ? 1u : 0u) ? Role::kBatch : dims.size() < 4 ? Role::kLength : axis == 1 ? Role::kChannels : Role::kPixels;
  if (const tensor::Symbol* symbol = dims[axis].formula.as_symbol()) role = roles_.emplace(symbol->name, role).first->second;
  return role;
}

std::int64_t UsualSizes::size(const std::vector<ir::Dim>& dims, std::size_t axis) {
  if (dims[axis].is_static()) return dims[axis].value;
  if (!is_open(dims[axis])) return dims[axis].size().opt();  // another input's shape says so
  switch (role(dims, axis)) {
    case Role::kBatch: return 1;
    case Role::kChannels: return 3;
    case Role::kPixels: return 224;
    default: return length_;
  }
}

std::string UsualSizes::ranges(const ir::ValueType& type) {
  if (!type.dims) return "1x3x224x224";
  static constexpr std::string_view kRanges[] = {"1:1:8", "3", "64:224:640", "1:128:512"};
  std::string text;
  for (std::size_t i = 0; i < type.dims->size(); ++i) {
    const ir::Dim& dim = (*type.dims)[i];
    text += i == 0 ? "" : "x";
    if (is_open(dim)) text += kRanges[static_cast<std::size_t>(role(*type.dims, i))];
    else text += dim.is_static() ? std::to_string(dim.value) : fmt::format("{}:{}:{}", dim.size().min(), dim.size().opt(), dim.size().max());
  }
  return text;
}

bool is_bounded(const ir::ValueType& type) {
  return type.is_known() && std::ranges::all_of(*type.dims, [](const ir::Dim& dim) { return dim.size().max() < tensor::kUnbounded; });
}

Ranges default_batches(const ir::Graph& graph, std::int64_t most) {
  Ranges ranges;
  for (ir::ValueId id : graph.inputs) {
    const ir::Value& value = graph.value(id);
    if (value.type.kind != ir::ValueType::Kind::kTensor || !value.type.dims) return {};
    if (is_bounded(value.type)) continue;
    const auto& dims = *value.type.dims;
    if (dims.size() < 2 || !std::ranges::all_of(dims.begin() + 1, dims.end(), &ir::Dim::is_static)) return {};
    std::vector<tensor::Symbol>& sizes = ranges[value.name];
    for (const ir::Dim& dim : dims) sizes.push_back({.name = {}, .min = dim.value, .opt = dim.value, .max = dim.value});
    sizes[0].min = sizes[0].opt = 1, sizes[0].max = most;
  }
  return ranges;
}

bool has_open_size(const ir::Graph& graph) {
  const bool ranged = std::ranges::any_of(graph.inputs, [&](ir::ValueId id) { return !graph.value(id).type.is_static(); });
  return ranged && std::ranges::any_of(graph.values, [](const ir::Value& value) { return !value.constant && value.type.dims && !value.type.is_known(); });
}

}  // namespace xinfer::compiler
