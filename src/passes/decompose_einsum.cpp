// Einsum as transposes, reductions and matrix products, two operands at a time.
#include <algorithm>

#include "passes/decompositions.h"

namespace xinfer::passes {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ir::Node;
using ir::ValueId;
using tensor::Tensor;

// One label per axis. Letters are themselves; the axes of "..." are 1, 2, … counted from the right.
using Labels = std::vector<char>;
struct Operand {
  ValueId value;
  Labels labels;
};

bool contains(const Labels& labels, char label) { return std::find(labels.begin(), labels.end(), label) != labels.end(); }

Result<Labels> read_labels(std::string_view term, std::int64_t rank) {
  Labels labels;
  const std::size_t dots = term.find("...");
  const auto letters = static_cast<std::int64_t>(term.size()) - (dots == std::string_view::npos ? 0 : 3);
  if (dots == std::string_view::npos ? letters != rank : letters > rank)
    return fail(Code::kInvalidArgument, "the term '{}' does not fit an operand of rank {}", term, rank);
  for (std::size_t i = 0; i < term.size(); ++i) {
    if (i == dots) {
      for (std::int64_t axis = rank - letters; axis > 0; --axis) labels.push_back(static_cast<char>(axis));
      i += 2;
    } else if (std::isalpha(static_cast<unsigned char>(term[i]))) {
      labels.push_back(term[i]);
    } else {
      return fail(Code::kInvalidArgument, "'{}' in the term '{}'", term[i], term);
    }
  }
  return labels;
}

// Without "->" the result has the labels that occur once, in order, behind those of "...".
Labels implicit_result(const std::vector<Operand>& operands) {
  Labels all, result;
  for (const Operand& operand : operands) all.insert(all.end(), operand.labels.begin(), operand.labels.end());
  std::sort(all.begin(), all.end());
  for (char label : all)
    if (label < 'A' ? !contains(result, label) : std::count(all.begin(), all.end(), label) == 1) result.push_back(label);
  std::sort(result.begin(), result.end(), [](char a, char b) { return a < 'A' && b < 'A' ? a > b : a < b; });
  return result;
}

Result<void> transpose(Rewriter& rewriter, Operand& operand, const Labels& order) {
  if (operand.labels == order) return {};
  std::vector<std::int64_t> perm;
  for (char label : order) perm.push_back(std::find(operand.labels.begin(), operand.labels.end(), label) - operand.labels.begin());
  ir::Attributes attributes;
  attributes.set("perm", perm);
  XI_TRY(operand.value, rewriter.add("Transpose", {operand.value}, std::move(attributes)));
  operand.labels = order;
  return {};
}

Result<void> sum_out(Rewriter& rewriter, Operand& operand, const Labels& kept) {
  std::vector<std::int64_t> axes;
  Labels left;
  for (std::size_t i = 0; i < operand.labels.size(); ++i) {
    if (contains(kept, operand.labels[i])) left.push_back(operand.labels[i]);
    else axes.push_back(static_cast<std::int64_t>(i));
  }
  if (axes.empty()) return {};
  ir::Attributes attributes;
  attributes.set("keepdims", std::int64_t{0});
  XI_TRY(operand.value, rewriter.add("ReduceSum", {operand.value, rewriter.add_int64s(axes)}, std::move(attributes)));
  operand.labels = std::move(left);
  return {};
}

// A label twice in one term selects the diagonal: everything else is multiplied by zero and summed up.
Result<void> take_diagonals(Rewriter& rewriter, Operand& operand) {
  for (std::size_t i = 0; i < operand.labels.size(); ++i) {
    const auto again = std::find(operand.labels.begin() + static_cast<std::ptrdiff_t>(i) + 1, operand.labels.end(), operand.labels[i]);
    if (again == operand.labels.end()) continue;
    const auto second = static_cast<std::size_t>(again - operand.labels.begin());
    const tensor::Shape shape = rewriter.type(operand.value).shape();
    tensor::Shape mask_shape(shape.size(), 1);
    mask_shape[i] = mask_shape[second] = shape[i];
    if (shape[i] != shape[second]) return fail(Code::kInvalidArgument, "a diagonal of sizes {} and {}", shape[i], shape[second]);
    Tensor mask(rewriter.type(operand.value).dtype, mask_shape);
    for (std::int64_t d = 0; d < shape[i]; ++d) mask.set(d * shape[i] + d, 1);
    XI_TRY(const ValueId masked, rewriter.add("Mul", {operand.value, rewriter.add_constant(std::move(mask))}));
    ir::Attributes attributes;
    attributes.set("keepdims", std::int64_t{0});
    XI_TRY(operand.value, rewriter.add("ReduceSum", {masked, rewriter.add_int64s({static_cast<std::int64_t>(second)})}, std::move(attributes)));
    operand.labels.erase(again);
    --i;  // a third time is possible
  }
  return {};
}

std::int64_t size_of(const Rewriter& rewriter, const Operand& operand, char label) {
  const auto axis = std::find(operand.labels.begin(), operand.labels.end(), label) - operand.labels.begin();
  return (*rewriter.type(operand.value).dims)[static_cast<std::size_t>(axis)].value;
}

// Reshapes [batch…, first…, second…] to [batch…, product, product].
Result<ValueId> as_matrices(Rewriter& rewriter, const Operand& operand, const Labels& batch, const Labels& first, const Labels& second) {
  tensor::Shape shape;
  for (char label : batch) shape.push_back(size_of(rewriter, operand, label));
  for (const Labels* group : {&first, &second}) {
    std::int64_t size = 1;
    for (char label : *group) size *= size_of(rewriter, operand, label);
    shape.push_back(size);
  }
  ir::Attributes attributes;
  attributes.set("allowzero", std::int64_t{1});
  return rewriter.add("Reshape", {operand.value, rewriter.add_int64s(shape)}, std::move(attributes));
}

Labels joined(std::initializer_list<const Labels*> groups) {
  Labels all;
  for (const Labels* group : groups) all.insert(all.end(), group->begin(), group->end());
  return all;
}

Result<Operand> contract(Rewriter& rewriter, Operand a, Operand b, const Labels& needed) {
  XI_CHECK(sum_out(rewriter, a, joined({&needed, &b.labels})));
  XI_CHECK(sum_out(rewriter, b, joined({&needed, &a.labels})));
  Labels batch, inner, rows, columns;
  for (char label : a.labels) (contains(b.labels, label) ? (contains(needed, label) ? batch : inner) : rows).push_back(label);
  for (char label : b.labels)
    if (!contains(a.labels, label)) columns.push_back(label);
  // Broadcasting of "..." needs its axes aligned, in one order.
  std::sort(batch.begin(), batch.end());
  XI_CHECK(transpose(rewriter, a, joined({&batch, &rows, &inner})));
  XI_CHECK(transpose(rewriter, b, joined({&batch, &inner, &columns})));
  tensor::Shape shape;
  for (char label : batch) shape.push_back(std::max(size_of(rewriter, a, label), size_of(rewriter, b, label)));
  for (char label : rows) shape.push_back(size_of(rewriter, a, label));
  for (char label : columns) shape.push_back(size_of(rewriter, b, label));
  XI_TRY(const ValueId left, as_matrices(rewriter, a, batch, rows, inner));
  XI_TRY(const ValueId right, as_matrices(rewriter, b, batch, inner, columns));
  XI_TRY(const ValueId product, rewriter.add(inner.empty() ? "Mul" : "MatMul", {left, right}));
  ir::Attributes attributes;
  attributes.set("allowzero", std::int64_t{1});
  XI_TRY(const ValueId value, rewriter.add("Reshape", {product, rewriter.add_int64s(shape)}, std::move(attributes)));
  return Operand{value, joined({&batch, &rows, &columns})};
}

Result<std::vector<Operand>> read_operands(const Rewriter& rewriter, const Node& node, std::string_view terms) {
  std::vector<Operand> operands;
  for (ValueId id : node.inputs) {
    const std::size_t comma = terms.find(',');
    XI_TRY(Labels labels, read_labels(terms.substr(0, comma), static_cast<std::int64_t>(rewriter.type(id).dims->size())));
    operands.push_back({id, std::move(labels)});
    const bool last = operands.size() == node.inputs.size();
    if (last != (comma == std::string_view::npos)) return fail(Code::kInvalidArgument, "the equation's terms and the operands differ in number");
    if (!last) terms.remove_prefix(comma + 1);
  }
  return operands;
}

}  // namespace

Result<bool> decompose_einsum(Rewriter& rewriter, Node& node) {
  for (ValueId id : node.inputs)
    if (!rewriter.type(id).is_static()) return false;
  std::string equation = node.attributes.string("equation", "");
  std::erase(equation, ' ');
  const std::size_t arrow = equation.find("->");
  XI_TRY(std::vector<Operand> operands, read_operands(rewriter, node, std::string_view(equation).substr(0, arrow)));
  Labels result = implicit_result(operands);
  if (arrow != std::string::npos) {
    const auto dots = std::count_if(result.begin(), result.end(), [](char label) { return label < 'A'; });
    const std::string_view term = std::string_view(equation).substr(arrow + 2);
    const bool has_dots = term.find("...") != std::string_view::npos;
    const auto rank = static_cast<std::int64_t>(term.size()) - (has_dots ? 3 - dots : 0);
    XI_TRY(result, read_labels(term, rank));
  }
  for (Operand& operand : operands) XI_CHECK(take_diagonals(rewriter, operand));
  Operand total = operands[0];
  for (std::size_t i = 1; i < operands.size(); ++i) {
    Labels needed = result;
    for (std::size_t j = i + 1; j < operands.size(); ++j) needed.insert(needed.end(), operands[j].labels.begin(), operands[j].labels.end());
    XI_TRY(total, contract(rewriter, std::move(total), operands[i], needed));
  }
  XI_CHECK(sum_out(rewriter, total, result));
  XI_CHECK(transpose(rewriter, total, result));
  rewriter.replace(node.outputs[0], total.value);
  return true;
}

}  // namespace xinfer::passes
