#include "compiler/support_check.h"

#include <algorithm>

#include "forge/cpu/counted.h"
#include "forge/cpu/irregular.h"
#include "ir/operator.h"
#include "schedule/contraction.h"
#include "schedule/lowering.h"

namespace xinfer::compiler {
namespace {

using base::Result;
using ir::kNoValue;
using ir::Lowering;

// What helps, by what the operator or the reason says; the first row that fits.
struct WayOut {
  std::string_view op_begins, reason_holds, advice;
};
constexpr WayOut kWaysOut[] = {
    {"ai.onnx.preview.training.", "",
     "this is a part of training: export the model for inference (in PyTorch after model.eval(), without the "
     "optimiser)"},
    {"ai.onnx.training.", "",
     "this is a part of training: export the model for inference (in PyTorch after model.eval(), without the "
     "optimiser)"},
    {"org.pytorch.aten.", "",
     "the exporter left a PyTorch operator as it was: export again with the newest exporter, torch.onnx.export(..., "
     "dynamo=True), and opset 18 or newer"},
    {"aten.", "",
     "the exporter left a PyTorch operator as it was: export again with the newest exporter, torch.onnx.export(..., "
     "dynamo=True), and opset 18 or newer"},
    {"com.microsoft.", "no such operator",
     "this is ONNX Runtime's own: export the original model again, without ONNX Runtime's optimiser or quantiser (or "
     "with optimization_level=0)"},
    {"", "export with opset", "export the model again with a newer opset, opset_version=17 or more"},
    {"", "opset", "export the model again with a newer opset, opset_version=17 or more"},
    {"", "no such operator",
     "give the model the operator as an ONNX function (functions are inlined), or replace it by standard operators "
     "before exporting"},
    {"", "strings", "build for a CPU, or tokenise and look labels up outside of the model"},
    {"", "decided by data",
     "fix the input that decides it with --fix NAME=FILE, or export the model with a constant there"},
    {"", "depends on data",
     "fix the input that decides it with --fix NAME=FILE, or cut the model before this node and do the rest in code"},
    {"", "is not known",
     "fix the input that decides it with --fix NAME=FILE, or cut the model before this node and do the rest in code"},
    {"", "must be a constant",
     "fix the input that it comes from with --fix NAME=FILE, or export the model with a constant there"},
    {"", "complex", "write it with DFT or STFT, whose complex numbers are pairs in a last dimension of 2"},
    {"", "float64", "convert the model to float32: model.float() before exporting"},
    {"", "use float32", "convert the model to float32, or cast around this node"},
    {"", "spatial dimensions", "reshape to three spatial dimensions or fewer around this node"},
};

std::string advice_for(std::string_view op, std::string_view reason) {
  for (const WayOut& row : kWaysOut)
    if (op.starts_with(row.op_begins) && reason.find(row.reason_holds) != std::string_view::npos)
      return std::string(row.advice);
  return "replace the node by other operators before exporting, or cut the model there";
}

bool has_kernel(const std::string& op, Lowering lowering) {
  switch (lowering) {
    case Lowering::kComposite:
    case Lowering::kControl:
    case Lowering::kFoldOnly: return true;  // the passes decide
    default:
      return (schedule::is_contraction(op) && !schedule::is_integer_product(op)) || schedule::find_lowering(op) != nullptr || forge::cpu::is_irregular(op) || forge::cpu::is_counted(op);
  }
}

// The node with its operands as inputs; small constants stay, for they may decide what it does.
ir::Graph alone(const ir::Graph& graph, const ir::Node& node) {
  constexpr std::int64_t kSmall = 4096;
  ir::Graph made;
  std::map<ir::ValueId, ir::ValueId> copies;
  ir::Node copy = node;
  for (auto* list : {&copy.inputs, &copy.outputs})
    for (ir::ValueId& id : *list) {
      if (id == kNoValue) continue;
      auto [it, fresh] = copies.try_emplace(id, 0);
      if (fresh) {
        const ir::Value& value = graph.value(id);
        it->second = made.add_value(value.name, value.type);
        if (list == &copy.outputs) made.outputs.push_back(it->second);
        else if (value.constant != nullptr && value.constant->num_elements() <= kSmall)
          made.value(it->second).constant = value.constant;
        else made.inputs.push_back(it->second);
      }
      id = it->second;
    }
  made.nodes.push_back(std::move(copy));
  return made;
}

// Whether the node can be scheduled, by what the scheduler itself says.
Result<void> try_node(const ir::Graph& graph, const ir::Node& node, const Attempt& attempt) {
  if (schedule::is_contraction(node.op)) {  // the same, without packing weights
    XI_TRY(const schedule::Contraction made, schedule::make_contraction(graph, node));
    static_cast<void>(made);
    return {};
  }
  XI_TRY(const schedule::Schedule made, attempt(alone(graph, node)));
  static_cast<void>(made);
  return {};
}

std::string label(const ir::Graph& graph, const ir::Node& node) {
  if (!node.name.empty()) return node.name;
  for (ir::ValueId id : node.outputs)
    if (id != kNoValue) return graph.value(id).name;
  return "unnamed";
}

// The scheduler's message without the node, which is named beside it: "Op (node): what" is "what".
std::string plain_reason(const ir::Node& node, std::string message) {
  const std::string begin = node.op + " (";
  if (message.starts_with(begin))
    if (const auto end = message.find("): "); end != std::string::npos) message.erase(0, end + 3);
  return message;
}

}  // namespace

void add_problem(std::vector<Problem>& problems, std::string op, std::string node, std::string reason) {
  auto found = std::ranges::find_if(problems, [&](const Problem& p) { return p.op == op && p.reason == reason; });
  if (found == problems.end()) {
    std::string advice = advice_for(op, reason);
    problems.push_back({std::move(op), {}, std::move(reason), std::move(advice)});
    found = problems.end() - 1;
  }
  if (!node.empty()) found->nodes.push_back(std::move(node));
}

std::vector<Problem> unsupported_operators(const onnx::Survey& survey) {
  std::vector<Problem> problems;
  for (const auto& [what, nodes] : survey.unsupported) {
    // "Op", or "Op: why this version of it is not taken".
    const auto colon = what.find(": ");
    const std::string op = what.substr(0, colon);
    const auto dot = op.rfind('.');
    std::string reason = colon != std::string::npos ? what.substr(colon + 2)
                         : dot == std::string::npos
                             ? "there is no such operator in ONNX's own domain, as far as this version knows it"
                             : fmt::format("there is no such operator known in the domain '{}'", op.substr(0, dot));
    for (const std::string& node : nodes) add_problem(problems, op, node, reason);
  }
  return problems;
}

std::vector<Problem> unsupported_nodes(const ir::Graph& graph, const Attempt& attempt) {
  std::vector<Problem> problems;
  for (const ir::Node& node : graph.nodes) {
    const ir::OperatorInfo* info = ir::find_operator(node.op);
    if (info == nullptr) continue;  // the verifier would have said so
    bool sized = true;
    for (const auto* list : {&node.inputs, &node.outputs})
      for (ir::ValueId id : *list) {
        if (id == kNoValue) continue;
        sized = sized && (graph.value(id).type.is_static() || graph.is_constant(id));
      }
    bool sized_inputs = true;
    for (ir::ValueId id : node.inputs)
      sized_inputs = sized_inputs && (id == kNoValue || graph.value(id).type.is_static() || graph.is_constant(id));
    const bool counted = forge::cpu::is_counted(node.op);  // finds out while running
    if (node.op == ir::kLoopBegin || node.op == ir::kLoopEnd) continue;
    if (info->lowering == Lowering::kControl)
      add_problem(problems, node.op, label(graph, node), "which way it goes, or how often, is decided by data");
    else if (!has_kernel(node.op, info->lowering))
      add_problem(problems, node.op, label(graph, node), "it has no native code yet");
    else if (sized_inputs && !sized && !counted)
      add_problem(problems, node.op, label(graph, node), "the size of its output depends on data");
    else if (sized || (sized_inputs && counted))
      if (auto tried = try_node(graph, node, attempt); !tried)
        add_problem(problems, node.op, label(graph, node), plain_reason(node, tried.error().message));
  }
  return problems;
}

}  // namespace xinfer::compiler
