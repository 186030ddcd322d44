// What the ai.onnx.ml functions share.
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

/// A list attribute of numbers, whichever form it has; "<name>_as_tensor" is looked for too.
std::vector<double> attribute_numbers(const ir::Node& node, std::string_view name);
/// NONE, LOGISTIC, SOFTMAX, SOFTMAX_ZERO or PROBIT over the scores of one row.
void post_transform(std::string_view mode, std::span<double> scores);
/// One class label a row, from the label attributes.
Tensor class_labels(const Call& call, const std::vector<std::size_t>& best);
/// The probabilities of classes that fit those of pairs best: `pairs[i * classes + j]` is that of i, given that it is i or j (Wu, Lin
/// and Weng, "Probability estimates for multi-class classification by pairwise coupling", second method, by its fixed point).
std::vector<double> couple_pairs(const std::vector<double>& pairs, std::size_t classes);
void add_trees(Entries& entries);
void add_svm(Entries& entries);

}  // namespace xinfer::forge::reference
