// Tree ensembles.
#include "forge/reference/trees.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace xinfer::forge::reference {

namespace {

bool takes_yes(const TreeNode& node, double x) {
  if (std::isnan(x)) return node.missing_is_true;
  switch (node.mode) {
    case Mode::kLessEqual: return x <= node.split;
    case Mode::kLess: return x < node.split;
    case Mode::kGreaterEqual: return x >= node.split;
    case Mode::kGreater: return x > node.split;
    case Mode::kEqual: return x == node.split;
    case Mode::kNotEqual: return x != node.split;
    default: return node.members.contains(x);
  }
}

Result<const TreeNode*> leaf_of(const std::vector<TreeNode>& nodes, std::int64_t root, std::span<const double> row) {
  std::int64_t at = root;
  for (std::size_t steps = 0; steps <= nodes.size(); ++steps) {
    if (at < 0 || at >= static_cast<std::int64_t>(nodes.size()))
      return fail(Code::kInvalidArgument, "a tree refers to node {}", at);
    const TreeNode& node = nodes[index_of(at)];
    if (node.mode == Mode::kLeaf) return &node;
    if (node.feature < 0 || node.feature >= static_cast<std::int64_t>(row.size()))
      return fail(Code::kInvalidArgument, "a tree reads feature {} of {}", node.feature, row.size());
    at = takes_yes(node, row[index_of(node.feature)]) ? node.yes : node.no;
  }
  return fail(Code::kInvalidArgument, "a tree runs in a circle");
}

Result<Mode> mode_of(std::string_view name) {
  static constexpr std::pair<std::string_view, Mode> kModes[] = {{"BRANCH_LEQ", Mode::kLessEqual},
                                                                 {"BRANCH_LT", Mode::kLess},
                                                                 {"BRANCH_GTE", Mode::kGreaterEqual},
                                                                 {"BRANCH_GT", Mode::kGreater},
                                                                 {"BRANCH_EQ", Mode::kEqual},
                                                                 {"BRANCH_NEQ", Mode::kNotEqual},
                                                                 {"LEAF", Mode::kLeaf}};
  for (auto [known, mode] : kModes)
    if (known == name) return mode;
  return fail(Code::kInvalidArgument, "node mode '{}'", name);
}

// The attributes of TreeEnsembleRegressor and -Classifier; `prefix` is "target" or "class".
Result<Forest> read_listed_forest(const ir::Node& tree, const std::string& prefix) {
  const ir::Attributes& a = tree.attributes;
  auto trees = a.integers("nodes_treeids"), ids = a.integers("nodes_nodeids"), features = a.integers("nodes_featureids"),
       yes = a.integers("nodes_truenodeids"), no = a.integers("nodes_falsenodeids"),
       missing = a.integers("nodes_missing_value_tracks_true");
  auto values = attribute_numbers(tree, "nodes_values");
  const auto* modes = a.get<std::vector<std::string>>("nodes_modes");
  const std::size_t count = trees.size();
  if (!modes || modes->size() != count || ids.size() != count || features.size() != count || yes.size() != count ||
      no.size() != count || values.size() != count)
    return fail(Code::kInvalidArgument, "the nodes_… attributes have different lengths");
  std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> index;
  Forest forest;
  std::set<std::int64_t> seen;
  for (std::size_t i = 0; i < count; ++i) {
    index[{trees[i], ids[i]}] = static_cast<std::int64_t>(i);
    if (seen.insert(trees[i]).second) forest.roots.push_back(static_cast<std::int64_t>(i));
  }
  auto find = [&](std::size_t i, std::int64_t id) {
    auto it = index.find({trees[i], id});
    return it == index.end() ? -1 : it->second;
  };
  for (std::size_t i = 0; i < count; ++i) {
    TreeNode node;
    XI_TRY(node.mode, mode_of((*modes)[i]));
    node.feature = features[i];
    node.split = values[i];
    node.missing_is_true = i < missing.size() && missing[i] != 0;
    node.yes = find(i, yes[i]);
    node.no = find(i, no[i]);
    forest.nodes.push_back(std::move(node));
  }
  auto leaf_trees = a.integers(prefix + "_treeids"), leaf_nodes = a.integers(prefix + "_nodeids"), leaf_ids = a.integers(prefix + "_ids");
  auto weights = attribute_numbers(tree, prefix + "_weights");
  for (std::size_t i = 0; i < leaf_trees.size(); ++i) {
    if (i >= leaf_nodes.size() || i >= leaf_ids.size() || i >= weights.size())
      return fail(Code::kInvalidArgument, "the {}_… attributes have different lengths", prefix);
    auto it = index.find({leaf_trees[i], leaf_nodes[i]});
    if (it == index.end())
      return fail(Code::kInvalidArgument, "a weight belongs to node {} of tree {}, which is not there", leaf_nodes[i],
                  leaf_trees[i]);
    forest.nodes[index_of(it->second)].leaves.emplace_back(leaf_ids[i], weights[i]);
  }
  return forest;
}

// TreeEnsemble-5: nodes and leaves are listed apart; membership values of all nodes follow each other, NaN between.
Result<Forest> read_split_forest(const ir::Node& tree) {
  const ir::Attributes& a = tree.attributes;
  auto modes = attribute_numbers(tree, "nodes_modes"), splits = attribute_numbers(tree, "nodes_splits"),
       weights = attribute_numbers(tree, "leaf_weights"), members = attribute_numbers(tree, "membership_values");
  auto features = a.integers("nodes_featureids"), yes = a.integers("nodes_truenodeids"), no = a.integers("nodes_falsenodeids"),
       yes_leaf = a.integers("nodes_trueleafs"), no_leaf = a.integers("nodes_falseleafs"),
       missing = a.integers("nodes_missing_value_tracks_true"), targets = a.integers("leaf_targetids");
  const std::size_t count = modes.size(), leaves = targets.size();
  if (splits.size() != count || features.size() != count || yes.size() != count || no.size() != count ||
      yes_leaf.size() != count || no_leaf.size() != count || weights.size() != leaves)
    return fail(Code::kInvalidArgument, "the nodes_… or leaf_… attributes have different lengths");
  Forest forest;
  std::size_t next_member = 0;
  for (std::size_t i = 0; i < count; ++i) {
    TreeNode node;
    const auto mode = static_cast<std::size_t>(modes[i]);
    if (mode >= static_cast<std::size_t>(Mode::kLeaf)) return fail(Code::kInvalidArgument, "node mode {}", mode);
    node.mode = static_cast<Mode>(mode);
    node.feature = features[i];
    node.split = splits[i];
    node.missing_is_true = i < missing.size() && missing[i] != 0;
    // Leaves are numbered behind the nodes.
    node.yes = yes_leaf[i] ? static_cast<std::int64_t>(count) + yes[i] : yes[i];
    node.no = no_leaf[i] ? static_cast<std::int64_t>(count) + no[i] : no[i];
    if (node.mode == Mode::kMember) {
      for (; next_member < members.size() && !std::isnan(members[next_member]); ++next_member)
        node.members.insert(members[next_member]);
      ++next_member;
    }
    forest.nodes.push_back(std::move(node));
  }
  for (std::size_t i = 0; i < leaves; ++i) {
    TreeNode leaf;
    leaf.leaves.emplace_back(targets[i], weights[i]);
    forest.nodes.push_back(std::move(leaf));
  }
  forest.roots = a.integers("tree_roots");  // a root whose branches are one and the same leaf is that leaf alone
  return forest;
}

// Scores [targets] of one row, folded over all trees: SUM, AVERAGE, MIN or MAX.
Result<std::vector<double>> score(const Forest& forest, std::span<const double> row, std::int64_t targets,
                                  std::string_view fold) {
  std::vector<double> total(index_of(targets), 0.0);
  std::vector<bool> any(total.size(), false);
  for (auto root : forest.roots) {
    XI_TRY(const TreeNode* leaf, leaf_of(forest.nodes, root, row));
    for (auto [target, weight] : leaf->leaves) {
      if (target < 0 || target >= targets)
        return fail(Code::kInvalidArgument, "a leaf names target {} of {}", target, targets);
      double& sum = total[index_of(target)];
      const bool first = !any[index_of(target)];
      if (fold == "MIN") sum = first ? weight : std::min(sum, weight);
      else if (fold == "MAX") sum = first ? weight : std::max(sum, weight);
      else sum += weight;
      any[index_of(target)] = true;
    }
  }
  if (fold == "AVERAGE")
    for (double& v : total) v /= static_cast<double>(std::max<std::size_t>(1, forest.roots.size()));
  return total;
}

struct Table {
  std::vector<double> values;
  std::int64_t rows, features;
  std::span<const double> row(std::int64_t r) const {
    return std::span(values).subspan(index_of(r * features), index_of(features));
  }
};
Table table_of(const Tensor& tensor) {
  Table table{doubles(tensor), tensor.rank() > 1 ? tensor.shape()[0] : 1, 0};
  table.features = table.rows ? static_cast<std::int64_t>(table.values.size()) / table.rows : 0;
  return table;
}

Values regressor(const Call& call) {
  Tensor out = call.make();
  XI_TRY(Forest forest, read_forest(call.node));
  Table x = table_of(call.in(0));
  auto base = attribute_numbers(call.node, "base_values");
  std::vector<double> y;
  for (std::int64_t r = 0; r < x.rows; ++r) {
    XI_TRY(auto line, score(forest, x.row(r), out.shape()[1], call.text("aggregate_function", "SUM")));
    for (std::size_t i = 0; i < line.size(); ++i) line[i] += base.empty() ? 0 : base[base.size() == 1 ? 0 : i];
    post_transform(call.text("post_transform", "NONE"), line);
    y.insert(y.end(), line.begin(), line.end());
  }
  store(out, y);
  return result(std::move(out));
}

Values classifier(const Call& call) {
  Tensor scores = call.make(1);
  XI_TRY(Forest forest, read_forest(call.node));
  Table x = table_of(call.in(0));
  const std::int64_t classes = scores.shape()[1];
  auto base = attribute_numbers(call.node, "base_values"), weights = attribute_numbers(call.node, "class_weights");
  auto ids = call.integers("class_ids");
  // Two classes with weights for one only: the score of the other is its complement.
  const bool one_sided =
      classes == 2 && !ids.empty() && std::ranges::all_of(ids, [&](auto id) { return id == ids[0]; });
  const bool positive = std::ranges::all_of(weights, [](double w) { return w >= 0; });
  const std::string mode = call.text("post_transform", "NONE");
  std::vector<double> y;
  std::vector<std::size_t> best;
  for (std::int64_t r = 0; r < x.rows; ++r) {
    XI_TRY(auto line, score(forest, x.row(r), classes, "SUM"));
    if (one_sided) {
      const double raw = line[index_of(ids[0])] + (base.empty() ? 0 : base.back());
      const bool probability = positive && mode == "NONE";
      best.push_back(raw > (positive ? 0.5 : 0.0));
      line = probability ? std::vector{1 - raw, raw} : std::vector{-raw, raw};
    } else {
      for (std::size_t i = 0; i < line.size() && i < base.size(); ++i) line[i] += base[i];
      best.push_back(static_cast<std::size_t>(std::ranges::max_element(line) - line.begin()));
    }
    post_transform(mode, line);
    y.insert(y.end(), line.begin(), line.end());
  }
  store(scores, y);
  return results(class_labels(call, best), std::move(scores));
}

Values tree_ensemble(const Call& call) {
  Tensor out = call.make();
  XI_TRY(const Forest forest, read_forest(call.node));
  const std::string_view fold = fold_name(call.integer("aggregate_function", 1)), transform = transform_name(call.integer("post_transform", 0));
  if (fold.empty() || transform.empty()) return fail(Code::kInvalidArgument, "aggregate_function or post_transform is out of range");
  Table x = table_of(call.in(0));
  std::vector<double> y;
  for (std::int64_t r = 0; r < x.rows; ++r) {
    XI_TRY(auto line, score(forest, x.row(r), out.shape()[1], fold));
    post_transform(transform, line);
    y.insert(y.end(), line.begin(), line.end());
  }
  store(out, y);
  return result(std::move(out));
}

}  // namespace

Result<Forest> read_forest(const ir::Node& node) {
  if (node.op == "ai.onnx.ml.TreeEnsemble") return read_split_forest(node);
  return read_listed_forest(node, node.op == "ai.onnx.ml.TreeEnsembleClassifier" ? "class" : "target");
}

Result<void> check_forest(const Forest& forest, std::int64_t features, std::int64_t targets) {
  const auto count = static_cast<std::int64_t>(forest.nodes.size());
  enum : char { kNew, kOpen, kDone };
  std::vector<char> seen(forest.nodes.size(), kNew);
  std::vector<std::int64_t> path(forest.roots.begin(), forest.roots.end());  // nodes to enter, or to leave when open
  while (!path.empty()) {
    const std::int64_t at = path.back();
    if (at < 0 || at >= count) return fail(Code::kInvalidArgument, "a tree refers to node {}", at);
    const TreeNode& node = forest.nodes[index_of(at)];
    char& state = seen[index_of(at)];
    if (state != kNew || node.mode == Mode::kLeaf) {
      for (auto [target, weight] : node.leaves)
        if (target < 0 || target >= targets) return fail(Code::kInvalidArgument, "a leaf names target {} of {}", target, targets);
      state = kDone;
      path.pop_back();
      continue;
    }
    if (node.feature < 0 || node.feature >= features)
      return fail(Code::kInvalidArgument, "a tree reads feature {} of {}", node.feature, features);
    state = kOpen;
    for (std::int64_t child : {node.yes, node.no}) {
      if (child >= 0 && child < count && seen[index_of(child)] == kDone) continue;
      if (child >= 0 && child < count && seen[index_of(child)] == kOpen) return fail(Code::kInvalidArgument, "a tree runs in a circle");
      path.push_back(child);
    }
  }
  return {};
}

std::string_view fold_name(std::int64_t aggregate_function) {
  static constexpr std::string_view kNames[] = {"AVERAGE", "SUM", "MIN", "MAX"};
  return aggregate_function >= 0 && aggregate_function < 4 ? kNames[aggregate_function] : "";
}

std::string_view transform_name(std::int64_t post_transform) {
  static constexpr std::string_view kNames[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
  return post_transform >= 0 && post_transform < 5 ? kNames[post_transform] : "";
}

void add_trees(Entries& e) {
  e.emplace_back("ai.onnx.ml.TreeEnsembleRegressor", regressor);
  e.emplace_back("ai.onnx.ml.TreeEnsembleClassifier", classifier);
  e.emplace_back("ai.onnx.ml.TreeEnsemble", tree_ensemble);
}

}  // namespace xinfer::forge::reference
