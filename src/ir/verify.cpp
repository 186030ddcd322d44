// Structural checks of a graph: what every pass may rely on.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "ir/operator.h"

namespace xinfer::ir {
namespace {

using base::Code;
using base::Error;
using base::Result;

constexpr std::size_t kMaxProblems = 50;
constexpr int kMaxDepth = 32;

AttributeKind kind_of(const Attribute& attribute) {
  constexpr AttributeKind kinds[] = {AttributeKind::kInt,  AttributeKind::kFloat,  AttributeKind::kString,  AttributeKind::kTensor,
                                     AttributeKind::kInts, AttributeKind::kFloats, AttributeKind::kStrings, AttributeKind::kGraph};
  return kinds[attribute.index()];
}

std::string_view name_of(AttributeKind kind) {
  constexpr std::string_view names[] = {"an int", "a float", "a string", "a tensor", "ints", "floats", "strings", "a graph"};
  return names[static_cast<std::size_t>(kind)];
}

class Verifier {
 public:
  Verifier(const Graph& graph, std::string where, int depth) : graph_(graph), where_(std::move(where)), depth_(depth) {}

  std::vector<std::string> run() {
    if (depth_ > kMaxDepth) return {fmt::format("{}subgraphs nest deeper than {}", where_, kMaxDepth)};
    defined_.assign(graph_.values.size(), false);
    check_names();
    for (ValueId id = 0; id < graph_.values.size(); ++id)
      if (graph_.values[id].constant != nullptr) defined_[id] = true;
    for (const auto& [id, name] : graph_.captures) define(id, "capture");
    for (ValueId id : graph_.inputs) define(id, "graph input");
    for (const Node& node : graph_.nodes) check_node(node);
    for (ValueId id : graph_.outputs)
      if (id >= graph_.values.size() || !defined_[id]) report("graph output {} is not produced", name(id));
    return std::move(problems_);
  }

 private:
  template <class... Args>
  void report(fmt::format_string<Args...> format, Args&&... args) {
    if (problems_.size() < kMaxProblems) problems_.push_back(where_ + fmt::format(format, std::forward<Args>(args)...));
  }

  std::string name(ValueId id) const {
    if (id == kNoValue) return "(none)";
    return id < graph_.values.size() ? "'" + graph_.values[id].name + "'" : fmt::format("#{}", id);
  }

  static std::string name(const Node& node) { return node.name.empty() ? node.op : node.op + " '" + node.name + "'"; }

  void check_names() {
    std::unordered_set<std::string_view> seen;
    for (const Value& value : graph_.values)
      if (!seen.insert(value.name).second) report("two values are named '{}'", value.name);
  }

  void define(ValueId id, std::string_view what) {
    if (id >= graph_.values.size()) return report("{} {} does not exist", what, name(id));
    if (defined_[id] && graph_.values[id].constant == nullptr) report("{} is produced twice", name(id));
    defined_[id] = true;
  }

  void check_node(const Node& node) {
    const OperatorInfo* info = find_operator(node.op);
    if (info == nullptr) {
      report("{}: unknown operator", name(node));
    } else {
      check_arity(node, *info);
      check_attributes(node, *info);
    }
    for (ValueId id : node.inputs) {
      if (id == kNoValue) continue;
      if (id >= graph_.values.size()) report("{}: input {} does not exist", name(node), name(id));
      else if (!defined_[id]) report("{}: input {} is read before it is produced", name(node), name(id));
    }
    for (ValueId id : node.outputs) {
      if (id == kNoValue) continue;
      if (id < graph_.values.size() && defined_[id]) report("{}: output {} is produced twice", name(node), name(id));
      else define(id, "output");
    }
  }

  void check_arity(const Node& node, const OperatorInfo& info) {
    const int inputs = static_cast<int>(node.inputs.size()), outputs = static_cast<int>(node.outputs.size());
    if (inputs < info.min_inputs || inputs > info.max_inputs)
      report("{}: {} inputs, the operator takes {}", name(node), inputs, range(info.min_inputs, info.max_inputs));
    if (outputs < info.min_outputs || outputs > info.max_outputs)
      report("{}: {} outputs, the operator has {}", name(node), outputs, range(info.min_outputs, info.max_outputs));
  }

  static std::string range(int low, int high) {
    if (high >= kVariadic) return fmt::format("{} or more", low);
    return low == high ? std::to_string(low) : fmt::format("{} to {}", low, high);
  }

  void check_attributes(const Node& node, const OperatorInfo& info) {
    for (const auto& [key, attribute] : node.attributes) {
      auto known = std::find_if(info.attributes.begin(), info.attributes.end(), [&](const auto& a) { return a.name == key; });
      if (known == info.attributes.end()) report("{}: unknown attribute '{}'", name(node), key);
      else if (known->kind != kind_of(attribute) && !is_empty_list(attribute))
        report("{}: attribute '{}' is {}, not {}", name(node), key, name_of(kind_of(attribute)), name_of(known->kind));
      if (const auto* body = std::get_if<std::shared_ptr<const Graph>>(&attribute)) check_body(node, key, **body);
    }
    for (const AttributeInfo& wanted : info.attributes)
      if (wanted.required && !node.attributes.has(wanted.name)) report("{}: attribute '{}' is missing", name(node), wanted.name);
  }

  // A file does not always say which kind of list an empty one is.
  static bool is_empty_list(const Attribute& attribute) {
    return std::visit([](const auto& value) {
      if constexpr (requires { value.empty(); value.data(); }) return value.empty();
      else return false;
    }, attribute);
  }

  void check_body(const Node& node, const std::string& attribute, const Graph& body) {
    for (const auto& [id, outside] : body.captures) {
      if (by_name_.empty())
        for (ValueId v = 0; v < graph_.values.size(); ++v) by_name_.emplace(graph_.values[v].name, v);
      auto found = by_name_.find(outside);
      if (found == by_name_.end() || !defined_[found->second])
        report("{}: its {} reads '{}', which is not produced before it", name(node), attribute, outside);
    }
    auto inner = Verifier(body, where_ + name(node) + " " + attribute + ": ", depth_ + 1).run();
    for (std::string& problem : inner)
      if (problems_.size() < kMaxProblems) problems_.push_back(std::move(problem));
  }

  const Graph& graph_;
  std::string where_;
  int depth_;
  std::vector<bool> defined_;
  std::unordered_map<std::string, ValueId> by_name_;
  std::vector<std::string> problems_;
};

}  // namespace

Result<void> verify(const Graph& graph) {
  const std::vector<std::string> problems = Verifier(graph, "", 0).run();
  if (problems.empty()) return {};
  return std::unexpected(Error{Code::kInvalidArgument, fmt::format("{}", fmt::join(problems, "\n")), graph.name});
}

}  // namespace xinfer::ir
