// Tree ensembles as the reference functions and the kernels see them, whichever attributes they come from.
#pragma once
#include <set>
#include <utility>
#include <vector>

#include "forge/reference/classical.h"

namespace xinfer::forge::reference {

/// In the order of TreeEnsemble's nodes_modes.
enum class Mode { kLessEqual, kLess, kGreaterEqual, kGreater, kEqual, kNotEqual, kMember, kLeaf };

struct TreeNode {
  Mode mode = Mode::kLeaf;
  std::int64_t feature = 0;
  double split = 0;
  bool missing_is_true = false;
  std::int64_t yes = -1, no = -1;  // nodes
  std::set<double> members;
  std::vector<std::pair<std::int64_t, double>> leaves;  // target, weight
};

struct Forest {
  std::vector<TreeNode> nodes;
  std::vector<std::int64_t> roots;
};

/// The trees of a TreeEnsemble, TreeEnsembleRegressor or TreeEnsembleClassifier. Errors: attributes that do not fit together.
/// Whether children, features and targets exist is told by check_forest, or by whoever follows them.
Result<Forest> read_forest(const ir::Node& node);
/// Error unless every walk from a root ends in a leaf and reads and names only what there is.
Result<void> check_forest(const Forest& forest, std::int64_t features, std::int64_t targets);

/// TreeEnsemble's names of its integer attributes' values; empty when out of range.
std::string_view fold_name(std::int64_t aggregate_function);
std::string_view transform_name(std::int64_t post_transform);

}  // namespace xinfer::forge::reference
