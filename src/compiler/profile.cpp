#include "compiler/profile.h"

#include <fmt/format.h>

#include <algorithm>

#include "tensor/range.h"

namespace xinfer::compiler {

using base::Code;
using base::fail;
using base::Result;
using tensor::Symbol;

namespace {

// An input's dimension as a range, under the name that it shares with others.
Symbol range_of(const ir::Dim& dim) {
  const tensor::Size size = dim.size();
  return {size.is_number() ? "" : size.symbols()[0].name, size.min(), size.opt(), size.max()};
}

bool same_numbers(const Symbol& a, const Symbol& b) { return a.min == b.min && a.opt == b.opt && a.max == b.max; }

}  // namespace

Result<Ranges> complete_profile(const ir::Graph& graph, const Ranges& profile) {
  std::map<std::string, Symbol> shared;  // the profile's, by the engine's names of sizes
  bool narrower = false;
  for (const auto& [name, given] : profile) {
    const auto input = std::ranges::find(graph.inputs, name, [&](ir::ValueId id) { return graph.value(id).name; });
    if (input == graph.inputs.end()) return fail(Code::kInvalidArgument, "a profile is given for '{}', which is not an input", name);
    const std::vector<ir::Dim>& dims = *graph.value(*input).type.dims;
    if (dims.size() != given.size()) return fail(Code::kInvalidArgument, "the profile of input '{}' has {} sizes, the input {}", name, given.size(), dims.size());
    for (std::size_t i = 0; i < dims.size(); ++i) {
      const Symbol whole = range_of(dims[i]), &part = given[i];
      if (part.min < whole.min || part.max > whole.max || part.min > part.opt || part.opt > part.max)
        return fail(Code::kInvalidArgument, "the profile of input '{}' has {} where the engine takes {}: profiles lie inside of --shape", name,
                    tensor::format_range(part), tensor::format_range(whole));
      narrower = narrower || !same_numbers(part, whole);
      if (whole.name.empty()) continue;
      const auto [known, fresh] = shared.emplace(whole.name, Symbol{whole.name, part.min, part.opt, part.max});
      if (!fresh && !same_numbers(known->second, part))
        return fail(Code::kInvalidArgument, "the profile gives {} the ranges {} and {}", whole.name, tensor::format_range(known->second), tensor::format_range(part));
    }
  }
  if (!narrower) return fail(Code::kInvalidArgument, "a profile is not narrower than the engine's ranges");
  Ranges ranges;
  for (ir::ValueId id : graph.inputs)
    for (const ir::Dim& dim : *graph.value(id).type.dims) {
      const Symbol whole = range_of(dim);
      const auto part = shared.find(whole.name);
      ranges[graph.value(id).name].push_back(whole.name.empty() || part == shared.end() ? whole : part->second);
    }
  for (auto& [name, sizes] : ranges)
    for (Symbol& size : sizes)
      if (size.min == size.max) size.name.clear();
  return ranges;
}

}  // namespace xinfer::compiler
