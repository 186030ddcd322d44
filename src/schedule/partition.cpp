#include "schedule/partition.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "forge/cpu/counted.h"
#include "ir/operator.h"
#include "schedule/contraction.h"
#include "schedule/lowering.h"

namespace xinfer::schedule {

namespace {

using ir::Graph;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;

constexpr std::size_t kMaxEpilogueNodes = 12;
constexpr std::size_t kMaxFormulas = 64;  // more would be a long chain of conditions in every reader
// A value that several kernels read is computed again in each up to this cost, else stored.
constexpr double kCheap = 2;
constexpr double kMaxLoads = 12, kMaxCost = 400;

std::int64_t elements(const Graph& graph, ValueId value) {
  return tensor::num_elements(graph.value(value).type.sizes()).opt();
}

enum class Class { kPointwise, kMovement, kResampling, kReduction, kNone };

bool is_in(std::span<const LoweringRow> rows, const LoweringRow* row) {
  return row >= rows.data() && row < rows.data() + rows.size();
}

Class class_of(const Node& node, const LoweringRow* row) {
  if (!row) return Class::kNone;
  if (is_in(pointwise_lowerings(), row) || node.op == "BatchNormalization") return Class::kPointwise;
  if (is_in(movement_lowerings(), row)) return Class::kMovement;
  return is_in(resampling_lowerings(), row) ? Class::kResampling : Class::kReduction;
}

// Casts from and to strings make or read text, which loop nests cannot.
bool is_text_cast(const Graph& graph, const Node& node) {
  if (node.op != "Cast") return false;
  const bool from = graph.value(node.inputs[0]).type.dtype == tensor::DType::kString, to = graph.value(node.outputs[0]).type.dtype == tensor::DType::kString;
  return from != to;
}

class Partitioner {
 public:
  Partitioner(const Graph& graph, const Demand& demand) : graph_(graph), demand_(demand), loops_(loops_around(graph)), users_(graph.users()), producers_(graph.producers()) {
    for (const Node& node : graph.nodes)
      rows_.push_back(is_text_cast(graph, node) ? nullptr : find_lowering(node.op)), classes_.push_back(class_of(node, rows_.back()));
  }

  Partition run() {
    result_.roles.assign(graph_.nodes.size(), Role::kInline);
    result_.epilogues.resize(graph_.nodes.size());
    mark_live();
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      if (result_.roles[i] == Role::kDead) continue;
      if (is_contraction(graph_.nodes[i].op)) result_.roles[i] = Role::kContraction;
      else if (gives_formula(graph_.nodes[i])) result_.roles[i] = Role::kStored;
      else if (!rows_[i]) result_.roles[i] = Role::kIrregular;
    }
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i)
      if (result_.roles[i] == Role::kContraction) absorb_epilogue(i);
    choose_stored();
    bound_expressions();
    if (!demand_.conditions.empty()) separate_guards();
    return std::move(result_);
  }

 private:
  void mark_live() {
    std::vector<bool> needed(graph_.values.size());
    for (ValueId output : graph_.outputs) needed[output] = true;
    for (std::size_t i = graph_.nodes.size(); i-- > 0;) {
      const Node& node = graph_.nodes[i];
      bool live = std::ranges::any_of(node.outputs, [&](ValueId v) { return v != kNoValue && needed[v]; });
      if (!live) {
        result_.roles[i] = Role::kDead;
        continue;
      }
      for (ValueId v : node.inputs)
        if (v != kNoValue && !is_formula(graph_.value(v))) needed[v] = true;
    }
  }

  bool gives_formula(const Node& node) const {
    return node.outputs.size() == 1 && node.outputs[0] != kNoValue && is_formula(graph_.value(node.outputs[0]));
  }

  std::vector<std::size_t> live_users(ValueId value) const {
    std::vector<std::size_t> live;
    for (std::size_t user : users_[value])
      if (result_.roles[user] != Role::kDead) live.push_back(user);
    return live;
  }

  bool is_output(ValueId value) const { return graph_.is_output(value); }

  // Grows the set of pointwise nodes behind a contraction for as long as nothing but its last value is needed outside;
  // keeps the largest such set.
  void absorb_epilogue(std::size_t anchor) {
    ValueId first = graph_.nodes[anchor].outputs[0];
    const auto& shape = graph_.value(first).type.dims;
    std::set<ValueId> inside = {first};
    std::vector<std::size_t> chain, best;
    for (std::size_t i = anchor + 1; i < graph_.nodes.size() && chain.size() < kMaxEpilogueNodes; ++i) {
      const Node& node = graph_.nodes[i];
      bool reads = std::ranges::any_of(node.inputs, [&](ValueId v) { return inside.contains(v); });
      if (!reads || result_.roles[i] == Role::kDead) continue;
      bool fits = result_.roles[i] == Role::kInline && classes_[i] == Class::kPointwise && node.outputs.size() == 1 &&
                  graph_.value(node.outputs[0]).type.dims == shape && demand_.nodes[i] == demand_.nodes[anchor] && loops_[i] == loops_[anchor] &&
                  !demand_.is_condition(node.outputs[0]);
      if (!fits) break;  // whatever comes later, this reader stays outside
      chain.push_back(i);
      inside.insert(node.outputs[0]);
      if (is_closed(chain, first)) best = chain;
      if (is_output(node.outputs[0])) break;
    }
    if (is_output(first)) best.clear();
    for (std::size_t i : best) result_.roles[i] = Role::kAbsorbed;
    result_.epilogues[anchor] = std::move(best);
  }

  bool is_closed(const std::vector<std::size_t>& chain, ValueId first) const {
    auto all_inside = [&](ValueId value) {
      if (is_output(value)) return false;
      auto users = live_users(value);
      return std::ranges::all_of(users, [&](std::size_t u) { return std::ranges::find(chain, u) != chain.end(); });
    };
    if (!all_inside(first)) return false;
    for (std::size_t k = 0; k + 1 < chain.size(); ++k)
      if (!all_inside(graph_.nodes[chain[k]].outputs[0])) return false;
    return true;
  }

  // How often a user reads elements of input `v` (of any of its positions).
  double reads(std::size_t user, ValueId v) const {
    const Node& node = graph_.nodes[user];
    double in = static_cast<double>(elements(graph_, v)), out = 0;
    for (ValueId output : node.outputs)
      if (output != kNoValue) out = std::max(out, static_cast<double>(elements(graph_, output)));
    if (node.op == "Concat" || node.op == "Split" || node.op == "Slice" || node.op == "Pad") return in;
    if (classes_[user] == Class::kReduction) return in;
    if (classes_[user] == Class::kResampling)
      return node.attributes.string("mode", "nearest") == "nearest" ? out : 4 * out;
    return out;
  }

  void choose_stored() {
    std::vector<std::set<std::size_t>> roots(graph_.nodes.size());  // the kernels in which an inlined node is computed
    roots_ = std::move(roots);
    for (std::size_t i = graph_.nodes.size(); i-- > 0;) {
      const Node& node = graph_.nodes[i];
      if (result_.roles[i] == Role::kAbsorbed) roots_[i] = {anchor_of(i)};
      if (result_.roles[i] != Role::kInline) {
        if (result_.roles[i] != Role::kAbsorbed) roots_[i] = {i};
        continue;
      }
      if (must_store(i, node)) {
        result_.roles[i] = Role::kStored;
        roots_[i] = {i};
        continue;
      }
      for (ValueId v : node.outputs)
        for (std::size_t user : v == kNoValue ? std::vector<std::size_t>{} : live_users(v))
          roots_[i].insert(roots_[user].begin(), roots_[user].end());
    }
  }

  std::size_t anchor_of(std::size_t absorbed) const {
    for (std::size_t i = absorbed; i-- > 0;)
      if (std::ranges::find(result_.epilogues[i], absorbed) != result_.epilogues[i].end()) return i;
    return absorbed;
  }

  bool must_store(std::size_t i, const Node& node) const {
    double cost = rows_[i]->cost, ratio = 0;
    std::set<std::size_t> roots;
    bool view = is_reshape(node.op) || node.op == "Slice" || node.op == "Split";
    for (ValueId v : node.outputs) {
      if (v == kNoValue) continue;
      if (is_output(v) || demand_.is_condition(v)) return true;
      for (std::size_t user : live_users(v)) {
        if (demand_.nodes[user] != demand_.nodes[i] && (cost > kCheap || classes_[i] == Class::kReduction)) return true;  // to be left out
        if (loops_[user] != loops_[i] && cost > 0) return true;  // once is enough
        Role role = result_.roles[user];
        if ((role == Role::kContraction || role == Role::kIrregular) && !view) return true;
        roots.insert(roots_[user].begin(), roots_[user].end());
        ratio += reads(user, v) / std::max(1.0, static_cast<double>(elements(graph_, v)));
      }
    }
    if (classes_[i] == Class::kReduction) return !feeds_one_pointwise(node);
    if (classes_[i] == Class::kMovement && cost == 0 && node.op != "Concat") return false;
    if (roots.size() > 1) return cost > kCheap || classes_[i] == Class::kResampling || node.op == "Concat";
    return ratio > 2.5 && cost > 3;
  }

  // A reduction may go into the single pointwise reader of its own shape: the loops stay the same.
  bool feeds_one_pointwise(const Node& node) const {
    if (node.outputs.size() != 1) return false;
    auto users = live_users(node.outputs[0]);
    if (users.size() != 1 || classes_[users[0]] != Class::kPointwise || result_.roles[users[0]] == Role::kAbsorbed)
      return false;
    return graph_.value(graph_.nodes[users[0]].outputs[0]).type.dims == graph_.value(node.outputs[0]).type.dims;
  }

  // Chains of cheap operators add up: store where an element's expression becomes large, or is repeated and no longer cheap.
  void bound_expressions() {
    std::vector<double> cost(graph_.values.size()), loads(graph_.values.size(), 1);
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      if (result_.roles[i] != Role::kInline) continue;
      double total = rows_[i]->cost, count = 0;
      for (ValueId v : node.inputs)
        if (v != kNoValue && !is_scalar(v)) total += cost[v], count += loads[v];
      double repeat = classes_[i] == Class::kResampling ? 4 : 1;
      if (node.op == "Split" || node.op == "Slice") count = 1, repeat = 1;
      total *= repeat, count *= repeat;
      bool large = count > kMaxLoads || total > kMaxCost;
      bool repeated = roots_[i].size() > 1 && total > kCheap + 1;
      if (large || repeated) {
        result_.roles[i] = Role::kStored;
        continue;
      }
      for (ValueId v : node.outputs)
        if (v != kNoValue) cost[v] = total, loads[v] = std::max(count, 1.0);
    }
  }

  // What was left out has left its memory as it was. A choice reads that and does not take it, but nothing may be computed of it
  // in front of the choice: an index or a text would lead anywhere.
  void separate_guards() {
    const std::map<std::string, Guard> counted = guards_of_counts();
    std::vector<Guard> reads(graph_.values.size());  // what must hold for the value's expression to be sound
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
      const Node& node = graph_.nodes[i];
      if (result_.roles[i] == Role::kDead) continue;
      const Guard& own = demand_.nodes[i];
      Guard needs;
      if (result_.roles[i] == Role::kInline) {
        for (ValueId v : node.inputs)
          if (v != kNoValue) add_guard(needs, reads[v]), add_counts(needs, v, counted);
        for (ValueId v : node.outputs)
          if (v != kNoValue) add_counts(needs, v, counted);
        if (node.op == "Where") std::erase_if(needs, [&](const Literal& literal) { return !implies(own, {literal}); });
        const bool sound = std::ranges::all_of(node.outputs, [&](ValueId v) {
          return v == kNoValue || std::ranges::all_of(live_users(v), [&](std::size_t user) { return implies(demand_.nodes[user], needs); });
        });
        if (!sound) result_.roles[i] = Role::kStored;
      }
      for (ValueId v : node.outputs)
        if (v != kNoValue) reads[v] = result_.roles[i] == Role::kInline ? needs : own;
    }
  }

  static void add_guard(Guard& guard, const Guard& more) {
    Guard both;
    std::ranges::set_union(guard, more, std::back_inserter(both));
    guard = std::move(both);
  }

  // By the symbols that kernels count.
  std::map<std::string, Guard> guards_of_counts() const {
    std::map<std::string, Guard> guards;
    for (std::size_t i = 0; i < graph_.nodes.size(); ++i)
      if (forge::cpu::is_counted(graph_.nodes[i].op)) guards[ir::counted_symbol(graph_, graph_.nodes[i])] = demand_.nodes[i];
    return guards;
  }
  void add_counts(Guard& guard, ValueId v, const std::map<std::string, Guard>& counted) const {
    if (counted.empty()) return;
    auto add = [&](const tensor::Size& size) {
      for (const tensor::Symbol& symbol : size.symbols())
        if (auto found = counted.find(symbol.name); found != counted.end()) add_guard(guard, found->second);
    };
    const ir::Value& value = graph_.value(v);
    if (value.type.is_known())
      for (const ir::Dim& dim : *value.type.dims) add(dim.size());
    if (value.elements)
      for (const tensor::Size& size : *value.elements) add(size);
  }

  bool is_scalar(ValueId v) const { return graph_.is_constant(v) && elements(graph_, v) == 1; }

  const Graph& graph_;
  const Demand& demand_;
  std::vector<std::size_t> loops_;
  std::vector<std::vector<std::size_t>> users_;
  std::vector<std::int64_t> producers_;
  std::vector<const LoweringRow*> rows_;
  std::vector<Class> classes_;
  std::vector<std::set<std::size_t>> roots_;
  Partition result_;
};

}  // namespace

bool is_formula(const ir::Value& value) {
  return value.elements && !value.elements->empty() && value.elements->size() <= kMaxFormulas;
}

std::vector<std::size_t> loops_around(const Graph& graph) {
  std::vector<std::size_t> around(graph.nodes.size()), open{0};
  for (std::size_t i = 0; i < graph.nodes.size(); ++i) {
    if (graph.nodes[i].op == ir::kLoopEnd) open.pop_back();
    around[i] = open.back();
    if (graph.nodes[i].op == ir::kLoopBegin) open.push_back(i + 1);
  }
  return around;
}

bool is_reshape(std::string_view op) {
  return op == "Reshape" || op == "Flatten" || op == "Squeeze" || op == "Unsqueeze" || op == "Identity";
}

Partition make_partition(const Graph& graph, const Demand& demand) { return Partitioner(graph, demand).run(); }

}  // namespace xinfer::schedule
