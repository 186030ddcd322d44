// Tree ensembles.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "forge/reference/classical.h"

namespace xinfer::forge::reference {

namespace {

enum class Mode { kLessEqual, kLess, kGreaterEqual, kGreater, kEqual, kNotEqual, kMember, kLeaf };

struct TreeNode {
  Mode mode = Mode::kLeaf;
  std::int64_t feature = 0;
  double split = 0;
  bool missing_is_true = false;
  std::int64_t yes = -1, no = -1;
  std::set<double> members;
  std::vector<std::pair<std::int64_t, double>> leaves;  // target, weight
};

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

struct Forest {
  std::vector<TreeNode> nodes;
  std::vector<std::int64_t> roots;
};

// The attributes of TreeEnsembleRegressor and -Classifier; `prefix` is "target" or "class".
Result<Forest> read_forest(const Call& call, const std::string& prefix) {
  auto trees = call.integers("nodes_treeids"), ids = call.integers("nodes_nodeids"),
       features = call.integers("nodes_featureids"), yes = call.integers("nodes_truenodeids"),
       no = call.integers("nodes_falsenodeids"), missing = call.integers("nodes_missing_value_tracks_true");
  auto values = attribute_numbers(call, "nodes_values");
  const auto* modes = call.node.attributes.get<std::vector<std::string>>("nodes_modes");
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
  auto leaf_trees = call.integers(prefix + "_treeids"), leaf_nodes = call.integers(prefix + "_nodeids"),
       leaf_ids = call.integers(prefix + "_ids");
  auto weights = attribute_numbers(call, prefix + "_weights");
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
  XI_TRY(Forest forest, read_forest(call, "target"));
  Table x = table_of(call.in(0));
  auto base = attribute_numbers(call, "base_values");
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
  XI_TRY(Forest forest, read_forest(call, "class"));
  Table x = table_of(call.in(0));
  const std::int64_t classes = scores.shape()[1];
  auto base = attribute_numbers(call, "base_values"), weights = attribute_numbers(call, "class_weights");
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

// TreeEnsemble-5: nodes and leaves are listed apart; membership values of all nodes follow each other, NaN between.
Values tree_ensemble(const Call& call) {
  Tensor out = call.make();
  auto modes = attribute_numbers(call, "nodes_modes"), splits = attribute_numbers(call, "nodes_splits"),
       weights = attribute_numbers(call, "leaf_weights"), members = attribute_numbers(call, "membership_values");
  auto features = call.integers("nodes_featureids"), yes = call.integers("nodes_truenodeids"),
       no = call.integers("nodes_falsenodeids"), yes_leaf = call.integers("nodes_trueleafs"),
       no_leaf = call.integers("nodes_falseleafs"), missing = call.integers("nodes_missing_value_tracks_true"),
       targets = call.integers("leaf_targetids");
  const std::size_t count = modes.size(), leaves = targets.size();
  if (splits.size() != count || features.size() != count || yes.size() != count || no.size() != count ||
      yes_leaf.size() != count || no_leaf.size() != count || weights.size() != leaves)
    return fail(Code::kInvalidArgument, "the nodes_… or leaf_… attributes have different lengths");
  Forest forest;
  std::size_t next_member = 0;
  static constexpr Mode kModes[] = {Mode::kLessEqual, Mode::kLess,     Mode::kGreaterEqual, Mode::kGreater,
                                    Mode::kEqual,     Mode::kNotEqual, Mode::kMember};
  for (std::size_t i = 0; i < count; ++i) {
    TreeNode node;
    const auto mode = static_cast<std::size_t>(modes[i]);
    if (mode >= std::size(kModes)) return fail(Code::kInvalidArgument, "node mode {}", mode);
    node.mode = kModes[mode];
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
  for (auto root : call.integers("tree_roots")) {
    // A root whose branches are one and the same leaf is that leaf alone; it needs no special case.
    forest.roots.push_back(root);
  }
  static constexpr std::string_view kFolds[] = {"AVERAGE", "SUM", "MIN", "MAX"},
                                    kTransforms[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
  const std::int64_t fold = call.integer("aggregate_function", 1), transform = call.integer("post_transform", 0);
  if (fold < 0 || fold > 3 || transform < 0 || transform > 4)
    return fail(Code::kInvalidArgument, "aggregate_function {} or post_transform {}", fold, transform);
  Table x = table_of(call.in(0));
  std::vector<double> y;
  for (std::int64_t r = 0; r < x.rows; ++r) {
    XI_TRY(auto line, score(forest, x.row(r), out.shape()[1], kFolds[fold]));
    post_transform(kTransforms[transform], line);
    y.insert(y.end(), line.begin(), line.end());
  }
  store(out, y);
  return result(std::move(out));
}

}  // namespace

void add_trees(Entries& e) {
  e.emplace_back("ai.onnx.ml.TreeEnsembleRegressor", regressor);
  e.emplace_back("ai.onnx.ml.TreeEnsembleClassifier", classifier);
  e.emplace_back("ai.onnx.ml.TreeEnsemble", tree_ensemble);
}

}  // namespace xinfer::forge::reference
