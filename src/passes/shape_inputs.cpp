#include "passes/shape_inputs.h"

#include <algorithm>
#include <set>

#include "ir/operator.h"

namespace xinfer::passes {
namespace {

using ir::Graph;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;

constexpr std::int64_t kMaxElements = 4096;

// Inputs that an operator's result type or code depends on by value, as bits.
struct Parameters {
  std::string_view op;
  unsigned inputs;
  bool always = false;  // back ends need them even where the result's type is known
};

constexpr unsigned at(std::initializer_list<int> inputs) {
  unsigned bits = 0;
  for (int i : inputs) bits |= 1u << i;
  return bits;
}

constexpr Parameters kParameters[] = {
    {"AffineGrid", at({1}), true},
    {"BlackmanWindow", at({0})},
    {"CenterCropPad", at({1})},
    {"Col2Im", at({1, 2}), true},
    {"ConstantOfShape", at({0})},
    {"CumProd", at({1}), true},
    {"CumSum", at({1}), true},
    {"DFT", at({1, 2}), true},
    {"Expand", at({1})},
    {"HammingWindow", at({0})},
    {"HannWindow", at({0})},
    {"If", at({0}), true},
    {"Loop", at({0, 1}), true},
    {"MaxUnpool", at({2})},
    {"MelWeightMatrix", at({0, 1, 2, 3, 4})},
    {"OneHot", at({1})},
    {"Pad", at({1, 3}), true},
    {"Range", at({0, 1, 2})},
    {"ReduceL1", at({1}), true},
    {"ReduceL2", at({1}), true},
    {"ReduceLogSum", at({1}), true},
    {"ReduceLogSumExp", at({1}), true},
    {"ReduceMax", at({1}), true},
    {"ReduceMean", at({1}), true},
    {"ReduceMin", at({1}), true},
    {"ReduceProd", at({1}), true},
    {"ReduceSum", at({1}), true},
    {"ReduceSumSquare", at({1}), true},
    {"Reshape", at({1})},
    {"Resize", at({1, 2, 3}), true},
    {"STFT", at({1, 3}), true},
    {"SequenceAt", at({1}), true},
    {"SequenceErase", at({1}), true},
    {"SequenceInsert", at({2}), true},
    {"Slice", at({1, 2, 3, 4})},
    {"Split", at({1})},
    {"SplitToSequence", at({1}), true},
    {"Squeeze", at({1})},
    {"Tile", at({1})},
    {"TopK", at({1})},
    {"Unsqueeze", at({1})},
};

const Parameters* find_parameters(std::string_view op) {
  const auto found = std::find_if(std::begin(kParameters), std::end(kParameters), [&](const Parameters& row) { return row.op == op; });
  return found == std::end(kParameters) ? nullptr : &*found;
}

class Search {
 public:
  explicit Search(const Graph& graph) : graph_(graph), producers_(graph.producers()), seen_(graph.values.size(), false) {}

  std::vector<std::string> run() {
    for (const Node& node : graph_.nodes) {
      const Parameters* parameters = find_parameters(node.op);
      if (parameters == nullptr || !(parameters->always || has_open_output(node))) continue;
      for (std::size_t i = 0; i < node.inputs.size(); ++i)
        if ((parameters->inputs >> i & 1) != 0) trace(node.inputs[i]);
    }
    return {names_.begin(), names_.end()};
  }

 private:
  bool has_open_output(const Node& node) const {
    return std::any_of(node.outputs.begin(), node.outputs.end(),
                       [&](ValueId id) { return id != kNoValue && !graph_.value(id).type.is_known(); });
  }

  void trace(ValueId id) {
    if (id == kNoValue || seen_[id] || graph_.is_constant(id)) return;
    seen_[id] = true;
    if (producers_[id] >= 0) {
      const Node& node = graph_.nodes[static_cast<std::size_t>(producers_[id])];
      if (node.op == "Shape" || node.op == "Size") return;  // of the type alone
      for (ValueId input : node.inputs) trace(input);
      return;
    }
    const ir::ValueType& type = graph_.value(id).type;
    const bool is_input = std::find(graph_.inputs.begin(), graph_.inputs.end(), id) != graph_.inputs.end();
    if (is_input && type.is_static() && tensor::num_elements(type.shape()) <= kMaxElements) names_.insert(graph_.value(id).name);
  }

  const Graph& graph_;
  std::vector<std::int64_t> producers_;
  std::vector<bool> seen_;
  std::set<std::string> names_;
};

}  // namespace

std::vector<std::string> shape_inputs(const Graph& graph) { return Search(graph).run(); }

}  // namespace xinfer::passes
