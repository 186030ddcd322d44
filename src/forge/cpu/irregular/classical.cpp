// Trees: data of the model that the text itself holds.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "forge/cpu/irregular/builder.h"
#include "forge/irregular_text.h"
#include "forge/reference/trees.h"

namespace xinfer::forge::cpu::irregular {

namespace {

using Ints = std::vector<std::int64_t>;
using Reals = std::vector<double>;
using reference::TreeNode;

// Branches are numbered first and leaves behind them, which is how the template tells them apart.
Result<void> add_forest(Builder& b, const reference::Forest& forest) {
  Ints order(forest.nodes.size()), features, modes, yes, no, missing, member_ends{0}, leaf_ends{0}, leaf_targets, roots;
  Reals splits, members, leaf_weights;
  std::int64_t branches = 0, leaves = 0;
  for (const TreeNode& node : forest.nodes) branches += node.mode != reference::Mode::kLeaf;
  for (std::size_t i = 0, branch = 0; i < forest.nodes.size(); ++i)
    order[i] = forest.nodes[i].mode == reference::Mode::kLeaf ? branches + leaves++ : static_cast<std::int64_t>(branch++);
  auto place = [&](std::int64_t node) { return node >= 0 && node < static_cast<std::int64_t>(order.size()) ? order[static_cast<std::size_t>(node)] : 0; };
  for (const TreeNode& node : forest.nodes) {
    if (node.mode == reference::Mode::kLeaf) {
      for (auto [target, weight] : node.leaves) {
        leaf_targets.push_back(target);
        leaf_weights.push_back(weight);
      }
      leaf_ends.push_back(static_cast<std::int64_t>(leaf_targets.size()));
      continue;
    }
    features.push_back(node.feature);
    modes.push_back(static_cast<std::int64_t>(node.mode));
    splits.push_back(node.split);
    missing.push_back(node.missing_is_true);
    yes.push_back(place(node.yes));
    no.push_back(place(node.no));
    members.insert(members.end(), node.members.begin(), node.members.end());
    member_ends.push_back(static_cast<std::int64_t>(members.size()));
  }
  for (std::int64_t root : forest.roots) roots.push_back(place(root));
  b.add("kNodes", branches).add("kTrees", static_cast<std::int64_t>(roots.size()));
  b.list("kFeatures", features).list("kModes", modes).list("kYes", yes).list("kNo", no).list("kMissingIsYes", missing);
  b.list("kMemberEnds", member_ends).list("kLeafEnds", leaf_ends).list("kLeafTargets", leaf_targets).list("kRoots", roots);
  b.reals("kSplits", splits).reals("kMembers", members).reals("kLeafWeights", leaf_weights);
  return {};
}

Kernel trees(Builder& b) {
  const Sizes in = b.sizes(0), out = b.out_sizes();
  const bool listed = b.node.op == "ai.onnx.ml.TreeEnsembleRegressor";
  const std::string_view fold = listed ? std::string_view() : reference::fold_name(b.integer("aggregate_function", 1));
  const std::string name = listed ? b.text("aggregate_function", "SUM") : std::string(fold);
  if (listed ? b.text("post_transform", "NONE") != "NONE" : b.integer("post_transform", 0) != 0)
    return fail(Code::kUnsupported, "{} with a transform of its result", b.node.op);
  static constexpr std::string_view kFolds[] = {"AVERAGE", "SUM", "MIN", "MAX"};
  const auto found = std::ranges::find(kFolds, name);
  if (found == std::end(kFolds)) return fail(Code::kInvalidArgument, "aggregate_function '{}'", name);
  XI_TRY(const reference::Forest forest, reference::read_forest(b.node));
  const Size rows = in.size() > 1 ? in[0] : Size(1);
  XI_TRY(const std::int64_t features, b.fixed(in.size() > 1 ? tensor::num_elements({in.begin() + 1, in.end()}) : b.elements(0), "the number of features"));
  XI_TRY(const std::int64_t targets, b.fixed(out[1], "the number of targets"));
  XI_CHECK(reference::check_forest(forest, features, targets));
  XI_CHECK(add_forest(b, forest));
  Reals base = reference::attribute_numbers(b.node, "base_values");
  if (base.size() == 1) base.assign(static_cast<std::size_t>(targets), base[0]);
  base.resize(static_cast<std::size_t>(targets), 0.0);
  b.add("kFold", found - std::begin(kFolds)).add("kFeatureCount", features).add("kTargets", targets).reals("kBase", base);
  // A step of a walk waits for the one before and is hard to foresee: some 28 plain operations.
  const double walks = estimate(rows) * static_cast<double>(forest.roots.size());
  const double depth = std::log2(2 + static_cast<double>(forest.nodes.size()) / std::max(1.0, static_cast<double>(forest.roots.size())));
  return b.finish(rows, 28 * walks * depth, static_cast<std::uint64_t>(targets) * 8, fmt::format("{} trees", forest.roots.size()), {kIrregularTreesInc});
}

Kernel couple_pairs(Builder& b) {
  const std::int64_t classes = b.integer("classes", 0);
  const Sizes out = b.out_sizes();
  b.add("kClasses", classes);
  return b.finish(out[0], estimate(out[0]) * 20.0 * static_cast<double>(classes * classes), static_cast<std::uint64_t>(classes * (2 * classes + 2)) * 8, "pairs of classes",
                  {kIrregularCouplePairsInc});
}

constexpr Row kRows[] = {{"xinfer.CouplePairs", couple_pairs, true},
                         {"ai.onnx.ml.TreeEnsemble", trees, true},
                         {"ai.onnx.ml.TreeEnsembleRegressor", trees, true}};

}  // namespace

std::span<const Row> classical_kernels() { return kRows; }

}  // namespace xinfer::forge::cpu::irregular
