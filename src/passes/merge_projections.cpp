// Before: an Attention of rank 3 whose queries, keys and values are three products of the same input with constant weights.
// After: one product with the weights side by side, and a Split of it, which GPUs' Attention reads in place. Expects
// compose_attention.
#include <algorithm>

#include "passes/formula.h"
#include "passes/passes.h"

namespace xinfer::passes {
namespace {

using base::Result;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using tensor::Tensor;

struct Projection {
  ValueId input = kNoValue;
  const Tensor* weights = nullptr;  // [features in, features out]
  const Tensor* bias = nullptr;     // [features out]
};

bool is_weights(const Tensor* tensor, std::size_t rank) {
  return tensor && tensor->dtype() == ir::DType::kFloat32 && tensor->shape().size() == rank;
}

// x W + b, or x W.
bool find_projection(const Rewriter& rewriter, ValueId value, Projection& found) {
  if (const Node* add = rewriter.only_producer(value, "Add")) {
    const std::size_t side = rewriter.constant(add->inputs[0]) ? 0 : 1;
    found.bias = rewriter.constant(add->inputs[side]);
    value = add->inputs[1 - side];
    if (!is_weights(found.bias, 1)) return false;
  }
  const Node* product = rewriter.only_producer(value, "MatMul");
  if (!product || !is_weights(rewriter.constant(product->inputs[1]), 2)) return false;
  found.input = product->inputs[0];
  found.weights = rewriter.constant(product->inputs[1]);
  return !found.bias || found.bias->num_elements() == found.weights->shape()[1];
}

// The rows of several matrices (or vectors: one row) side by side.
Tensor side_by_side(const std::array<const Tensor*, 3>& parts, std::int64_t rows) {
  std::int64_t columns = 0;
  for (const Tensor* part : parts) columns += part->num_elements() / rows;
  Tensor whole(ir::DType::kFloat32, parts[0]->shape().size() == 2 ? tensor::Shape{rows, columns} : tensor::Shape{columns});
  float* to = whole.data<float>().data();
  for (std::int64_t row = 0; row < rows; ++row)
    for (const Tensor* part : parts) {
      const std::int64_t count = part->num_elements() / rows;
      to = std::copy_n(part->data<float>().data() + row * count, count, to);
    }
  return whole;
}

Result<bool> merge(Rewriter& rewriter, Node& node) {
  if (node.op != "Attention" || node.inputs.size() > 4 || node.outputs.size() != 1) return false;
  std::array<Projection, 3> parts;
  for (std::size_t i = 0; i < 3; ++i) {
    const ir::ValueType& type = rewriter.type(node.inputs[i]);
    if (!type.is_static() || type.dims->size() != 3 || !find_projection(rewriter, node.inputs[i], parts[i])) return false;
    if (parts[i].input != parts[0].input || (parts[i].bias == nullptr) != (parts[0].bias == nullptr)) return false;
  }
  Formula f(rewriter);
  ValueId packed = f.call("MatMul", {parts[0].input, f.constant(side_by_side({parts[0].weights, parts[1].weights, parts[2].weights},
                                                                            parts[0].weights->shape()[0]))});
  if (parts[0].bias) packed = f.call("Add", {packed, f.constant(side_by_side({parts[0].bias, parts[1].bias, parts[2].bias}, 1))});
  XI_CHECK(f.finish());
  Node split{.op = "Split", .name = node.name};
  tensor::Shape sizes;
  for (const Projection& part : parts) sizes.push_back(part.weights->shape()[1]);
  split.inputs = {packed, rewriter.add_int64s(sizes)};
  for (std::size_t i = 0; i < 3; ++i) split.outputs.push_back(rewriter.add_value("part"));
  split.attributes.set("axis", std::int64_t{2});
  std::copy_n(split.outputs.begin(), 3, node.inputs.begin());
  XI_CHECK(rewriter.keep(std::move(split)));
  XI_CHECK(rewriter.keep(std::move(node)));
  return true;
}

}  // namespace

Result<bool> merge_projections(ir::Graph& graph) { return Rewriter(graph).run(merge); }

}  // namespace xinfer::passes
