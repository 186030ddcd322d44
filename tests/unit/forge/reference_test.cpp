// The reference functions where their semantics are easy to get wrong; all results are worked out by hand.
#include "forge/reference/reference.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "ir/operator.h"

namespace xinfer::forge::reference {
namespace {

using ir::Attribute;
using ir::Shape;
using tensor::DType;
using Numbers = std::vector<double>;

Tensor tensor_of(DType dtype, Shape shape, const Numbers& values) {
  Tensor tensor(dtype, std::move(shape));
  for (std::size_t i = 0; i < values.size(); ++i) tensor.set(static_cast<std::int64_t>(i), values[i]);
  return tensor;
}
Tensor reals(Shape shape, const Numbers& values) { return tensor_of(DType::kFloat32, std::move(shape), values); }
Tensor whole(Shape shape, const Numbers& values) { return tensor_of(DType::kInt64, std::move(shape), values); }

using NamedAttributes = std::vector<std::pair<std::string, Attribute>>;
Attribute number(std::int64_t v) { return v; }
Attribute text(const char* v) { return std::string(v); }

base::Result<std::vector<Value>> call(std::string op, const std::vector<Tensor>& inputs,
                                      const NamedAttributes& attributes = {}, std::size_t outputs = 1) {
  ir::Node node;
  node.op = std::move(op);
  for (const auto& [name, value] : attributes) node.attributes.set(name, value);
  std::vector<Value> values(inputs.begin(), inputs.end());
  std::vector<const Value*> arguments;
  for (const Value& value : values) {
    node.inputs.push_back(0);
    arguments.push_back(&value);
  }
  node.outputs.assign(outputs, 0);
  return find(node.op)(node, {}, arguments);
}

void expect(const base::Result<std::vector<Value>>& result, const Shape& shape, const Numbers& values,
            std::size_t output = 0) {
  ASSERT_TRUE(result) << result.error().text();
  const Tensor& tensor = *(*result)[output].tensor;
  EXPECT_EQ(tensor.shape(), shape);
  ASSERT_EQ(tensor.num_elements(), static_cast<std::int64_t>(values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double got = tensor.as_double(static_cast<std::int64_t>(i));
    if (got == values[i]) continue;  // infinities too
    if (std::isnan(values[i])) EXPECT_TRUE(std::isnan(got)) << "element " << i;
    else EXPECT_NEAR(got, values[i], 1e-6 * (1 + std::fabs(values[i]))) << "element " << i;
  }
}

TEST(Reference, ModTakesTheDivisorsSignUnlessFmod) {
  const Tensor a = whole({4}, {7, -7, 7, -7}), b = whole({4}, {3, 3, -3, -3});
  expect(call("Mod", {a, b}), {4}, {1, 2, -2, -1});
  expect(call("Mod", {a, b}, {{"fmod", number(1)}}), {4}, {1, -1, 1, -1});
}

TEST(Reference, IntegerDivisionTruncates) {
  expect(call("Div", {whole({3}, {7, -7, 5}), whole({3}, {2, 2, 0})}), {3}, {3, -3, 0});
}

TEST(Reference, Int64StaysExactBeyondDoubles) {
  Tensor a(DType::kInt64, {1}), b(DType::kInt64, {1});
  a.data<std::int64_t>()[0] = (std::int64_t{1} << 62) + 1;
  b.data<std::int64_t>()[0] = 1;
  auto sum = call("Add", {a, b});
  ASSERT_TRUE(sum);
  EXPECT_EQ((*sum)[0].tensor->data<std::int64_t>()[0], (std::int64_t{1} << 62) + 2);
}

TEST(Reference, Uint64ComparesUnsigned) {
  Tensor big(DType::kUint64, {1}), small(DType::kUint64, {1});
  big.data<std::uint64_t>()[0] = ~std::uint64_t{0};
  small.data<std::uint64_t>()[0] = 1;
  expect(call("Greater", {big, small}), {1}, {1});
  expect(call("Less", {big, small}), {1}, {0});
}

TEST(Reference, RoundGoesToEven) {
  expect(call("Round", {reals({5}, {0.5, 1.5, 2.5, -0.5, -1.5})}), {5}, {0, 2, 2, 0, -2});
}

TEST(Reference, MaxPropagatesNan) {
  expect(call("Max", {reals({3}, {NAN, 1, 2}), reals({3}, {0, NAN, 1})}), {3}, {NAN, NAN, 2});
}

TEST(Reference, ClipWithCrossedLimitsGivesTheUpper) {
  expect(call("Clip", {reals({2}, {-5, 5}), reals({}, {2}), reals({}, {1})}), {2}, {1, 1});
}

TEST(Reference, SliceBackwards) {
  const Tensor x = whole({5}, {0, 1, 2, 3, 4});
  expect(call("Slice", {x, whole({1}, {-1}), whole({1}, {-100}), whole({1}, {0}), whole({1}, {-2})}), {3}, {4, 2, 0});
  expect(call("Slice", {x, whole({1}, {10}), whole({1}, {1}), whole({1}, {0}), whole({1}, {-1})}), {3}, {4, 3, 2});
  expect(call("Slice", {x, whole({1}, {3}), whole({1}, {1})}), {0}, {});
}

TEST(Reference, ReshapeCopiesAndInfers) {
  expect(call("Reshape", {reals({2, 3}, {1, 2, 3, 4, 5, 6}), whole({3}, {0, -1, 1})}), {2, 3, 1}, {1, 2, 3, 4, 5, 6});
  auto bad = call("Reshape", {reals({2, 3}, {1, 2, 3, 4, 5, 6}), whole({2}, {4, -1})});
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, base::Code::kInvalidArgument);
}

TEST(Reference, PadReflectsWithoutRepeatingTheEdge) {
  const Tensor x = reals({3}, {1, 2, 3}), pads = whole({2}, {2, 1});
  expect(call("Pad", {x, pads}, {{"mode", text("reflect")}}), {6}, {3, 2, 1, 2, 3, 2});
  expect(call("Pad", {x, pads}, {{"mode", text("edge")}}), {6}, {1, 1, 1, 2, 3, 3});
  expect(call("Pad", {x, pads}, {{"mode", text("wrap")}}), {6}, {2, 3, 1, 2, 3, 1});
  expect(call("Pad", {x, whole({2}, {-1, 1}), reals({}, {9})}), {3}, {2, 3, 9});
}

TEST(Reference, SplitLeavesTheSmallPartLast) {
  auto parts = call("Split", {whole({5}, {1, 2, 3, 4, 5})}, {{"num_outputs", number(3)}}, 3);
  expect(parts, {2}, {1, 2}, 0);
  expect(parts, {2}, {3, 4}, 1);
  expect(parts, {1}, {5}, 2);
}

TEST(Reference, GatherCountsFromTheEndAndChecksItsRange) {
  expect(call("Gather", {reals({3}, {1, 2, 3}), whole({2}, {-1, 0})}), {2}, {3, 1});
  EXPECT_FALSE(call("Gather", {reals({3}, {1, 2, 3}), whole({1}, {3})}));
}

TEST(Reference, ReduceOfNothing) {
  expect(call("ReduceMax", {reals({0, 2}, {}), whole({1}, {0})}), {1, 2}, {-INFINITY, -INFINITY});
  expect(call("ReduceProd", {reals({0, 2}, {}), whole({1}, {0})}), {1, 2}, {1, 1});
}

TEST(Reference, ReduceWithEmptyAxes) {
  const Tensor x = reals({2}, {3, 4}), none = whole({0}, {});
  expect(call("ReduceSumSquare", {x, none}), {1}, {25});
  expect(call("ReduceSum", {x, none}, {{"noop_with_empty_axes", number(1)}}), {2}, {3, 4});
}

TEST(Reference, ConvolutionSameLowerPutsTheOddPadFirst) {
  const Tensor x = reals({1, 1, 4}, {1, 2, 3, 4}), w = reals({1, 1, 2}, {1, 10});
  expect(call("Conv", {x, w}, {{"auto_pad", text("SAME_UPPER")}}), {1, 1, 4}, {21, 32, 43, 4});
  expect(call("Conv", {x, w}, {{"auto_pad", text("SAME_LOWER")}}), {1, 1, 4}, {10, 21, 32, 43});
}

TEST(Reference, GroupedConvolution) {
  // Two groups of one channel, two maps each: y = w * x.
  expect(call("Conv",
              {reals({1, 2, 1, 2}, {1, 2, 3, 4}), reals({4, 1, 1, 1}, {1, 10, 100, 1000}), reals({4}, {0, 0, 0, 5})},
              {{"group", number(2)}}),
         {1, 4, 1, 2}, {1, 2, 10, 20, 300, 400, 3005, 4005});
}

TEST(Reference, TransposedConvolutionOverlaps) {
  expect(call("ConvTranspose", {reals({1, 1, 2}, {1, 2}), reals({1, 1, 3}, {1, 1, 1})},
              {{"strides", std::vector<std::int64_t>{2}}}),
         {1, 1, 5}, {1, 1, 3, 2, 2});
}

TEST(Reference, AveragePoolCountsPaddingOnlyWhenAsked) {
  const Tensor x = reals({1, 1, 3}, {3, 6, 9});
  const NamedAttributes base{{"kernel_shape", std::vector<std::int64_t>{3}}, {"pads", std::vector<std::int64_t>{1, 1}}};
  expect(call("AveragePool", {x}, base), {1, 1, 3}, {4.5, 6, 7.5});
  auto padded = base;
  padded.emplace_back("count_include_pad", number(1));
  expect(call("AveragePool", {x}, padded), {1, 1, 3}, {3, 6, 5});
}

TEST(Reference, ResizeNearestModes) {
  const Tensor x = reals({1, 1, 1, 2}, {1, 2}), none = reals({0}, {}), scales = reals({4}, {1, 1, 1, 2});
  expect(call("Resize", {x, none, scales},
              {{"coordinate_transformation_mode", text("asymmetric")}, {"nearest_mode", text("floor")}}),
         {1, 1, 1, 4}, {1, 1, 2, 2});
  expect(call("Resize", {x, none, scales}, {{"mode", text("linear")}}), {1, 1, 1, 4}, {1, 1.25, 1.75, 2});
  expect(call("Resize", {x, none, scales},
              {{"mode", text("linear")}, {"coordinate_transformation_mode", text("align_corners")}}),
         {1, 1, 1, 4}, {1, 4.0 / 3, 5.0 / 3, 2});
}

TEST(Reference, TopKPrefersTheLowerIndex) {
  auto best = call("TopK", {reals({4}, {1, 3, 3, 2}), whole({1}, {2})}, {}, 2);
  expect(best, {2}, {3, 3}, 0);
  expect(best, {2}, {1, 2}, 1);
}

TEST(Reference, UniqueInOrderOfAppearance) {
  auto result = call("Unique", {whole({5}, {3, 1, 3, 2, 1})}, {{"sorted", number(0)}}, 4);
  expect(result, {3}, {3, 1, 2}, 0);
  expect(result, {3}, {0, 1, 3}, 1);
  expect(result, {5}, {0, 1, 0, 2, 1}, 2);
  expect(result, {3}, {2, 2, 1}, 3);
}

TEST(Reference, SuppressionKeepsTheBestOfOverlappingBoxes) {
  const Tensor boxes = reals({1, 3, 4}, {0, 0, 1, 1, 0, 0, 1, 0.9, 0, 2, 1, 3}),
               scores = reals({1, 1, 3}, {0.8, 0.9, 0.7});
  expect(call("NonMaxSuppression", {boxes, scores, whole({1}, {10}), reals({1}, {0.5}), reals({1}, {0.75})}), {1, 3},
         {0, 0, 1});
}

TEST(Reference, ScatterAddsTwice) {
  expect(call("ScatterElements", {reals({3}, {1, 1, 1}), whole({3}, {1, 1, -1}), reals({3}, {5, 6, 7})},
              {{"reduction", text("add")}}),
         {3}, {1, 12, 8});
}

TEST(Reference, QuantizeRoundsTiesToEvenAndSaturates) {
  const Tensor zero = tensor_of(DType::kUint8, {}, {10});
  expect(call("QuantizeLinear", {reals({4}, {1, 3, 1000, -1000}), reals({}, {2}), zero}), {4}, {10, 12, 255, 0});
}

TEST(Reference, BlockedDequantization) {
  const Tensor x = tensor_of(DType::kInt8, {4}, {1, 2, 3, 4});
  expect(call("DequantizeLinear", {tensor_of(DType::kInt8, {1, 4}, {1, 2, 3, 4}), reals({1, 2}, {1, 10})},
              {{"axis", number(1)}, {"block_size", number(2)}}),
         {1, 4}, {1, 2, 30, 40});
  expect(call("DequantizeLinear", {x, reals({4}, {1, 2, 3, 4})}, {{"axis", number(0)}}), {4}, {1, 4, 9, 16});
}

TEST(Reference, GruOfOneStep) {
  // Zero weights: update gate 0.5, candidate 0: half of the state remains.
  expect(call("GRU",
              {reals({1, 1, 1}, {1}), reals({1, 3, 1}, {0, 0, 0}), reals({1, 3, 1}, {0, 0, 0}),
               reals({1, 6}, {0, 0, 0, 0, 0, 0}), tensor_of(DType::kInt32, {1}, {1}), reals({1, 1, 1}, {4})},
              {{"hidden_size", number(1)}}),
         {1, 1, 1, 1}, {2});
}

TEST(Reference, AttentionWithNothingToAttendToGivesZero) {
  const Tensor one = reals({1, 1, 1, 2}, {1, 1}), mask = tensor_of(DType::kBool, {1, 1}, {0});
  expect(call("Attention", {one, one, one, mask}), {1, 1, 1, 2}, {0, 0});
}

TEST(Reference, EinsumTraceAndOuterProduct) {
  expect(call("Einsum", {reals({2, 2}, {1, 2, 3, 4})}, {{"equation", text("ii->")}}), {}, {5});
  expect(call("Einsum", {reals({2}, {1, 2}), reals({2}, {3, 4})}, {{"equation", text("i, j")}}), {2, 2}, {3, 4, 6, 8});
  expect(call("Einsum", {reals({2, 1, 2}, {1, 2, 3, 4}), reals({2, 2}, {1, 0, 0, 1})},
              {{"equation", text("...ij,jk->...ik")}}),
         {2, 1, 2}, {1, 2, 3, 4});
}

TEST(Reference, EveryRowHasAFunctionOrIsControlFlow) {
  for (const ir::OperatorInfo& row : ir::operators()) {
    const bool has_body = row.name == "If" || row.name == "Loop" || row.name == "Scan" || row.name == "SequenceMap";
    const bool of_loop = row.name == ir::kLoopBegin || row.name == ir::kLoopEnd || row.name == "xinfer.StoreSlice";  // of what passes make
    EXPECT_EQ(static_cast<bool>(find(row.name)), !has_body && !of_loop) << row.name;
    EXPECT_NE(row.shape_rule, nullptr) << row.name;
  }
}

TEST(Reference, RandomNumbersAreThoseOfNumPy) {  // numpy.random.RandomState(seed).rand(3) and .randn(3)
  const Attribute three = std::vector<std::int64_t>{3};
  expect(call("RandomUniform", {}, {{"shape", three}, {"seed", Attribute(0.0f)}}), {3}, {0.5488135, 0.71518937, 0.60276338});
  expect(call("RandomUniform", {}, {{"shape", three}, {"seed", Attribute(42.0f)}}), {3}, {0.37454012, 0.95071431, 0.73199394});
  expect(call("RandomNormal", {}, {{"shape", three}, {"seed", Attribute(0.0f)}}), {3}, {1.76405235, 0.40015721, 0.97873798});
}

TEST(Reference, QuantisedAttentionByHand) {
  // One head of size 1: q = k = v = (x - 1) / 2 of x = 1, 3, so scores are products of 0 and 1.
  const Tensor x = tensor_of(DType::kUint8, {1, 2, 1}, {1, 3}), w = tensor_of(DType::kUint8, {1, 3}, {1, 1, 1}), none = reals({3}, {0, 0, 0});
  const Tensor half = reals({}, {0.5}), one = reals({}, {1}), mask = tensor_of(DType::kInt32, {1}, {2}), zero = tensor_of(DType::kUint8, {}, {1});
  const double e = std::exp(1.0);
  expect(call("com.microsoft.QAttention", {x, w, none, half, one, mask, zero}, {{"num_heads", number(1)}}), {1, 2, 1}, {0.5, e / (1 + e)});
}

TEST(Reference, GroupQueryAttentionPutsNewKeysBehindThoseOfTheirRow) {
  // Two query heads of size 1 share a key head; the past holds one token of three places; all queries are 0, so values are averaged.
  const Tensor q = reals({1, 1, 2}, {0, 0}), k = reals({1, 1, 1}, {7}), v = reals({1, 1, 1}, {5}), past = reals({1, 1, 3, 1}, {3, 9, 9});
  const auto y = call("com.microsoft.GroupQueryAttention", {q, k, v, past, past, tensor_of(DType::kInt32, {1}, {1}), tensor_of(DType::kInt32, {}, {3})},
                      {{"num_heads", number(2)}, {"kv_num_heads", number(1)}}, 3);
  expect(y, {1, 1, 2}, {4, 4});
  expect(y, {1, 1, 3, 1}, {3, 7, 9}, 1);
  expect(y, {1, 1, 3, 1}, {3, 5, 9}, 2);
}

TEST(Reference, WeightsOfFourBitsByHand) {  // 16 weights of one column: 1, 2, 8, …; the first three less 8, times 0.5
  Tensor b(DType::kUint8, {1, 1, 8});
  std::ranges::fill(b.data<std::uint8_t>(), std::uint8_t{0x88});
  b.data<std::uint8_t>()[0] = 0x21;
  Numbers ones(16, 1.0);
  expect(call("com.microsoft.MatMulNBits", {reals({1, 16}, ones), b, reals({1}, {0.5})},
              {{"K", number(16)}, {"N", number(1)}, {"bits", number(4)}, {"block_size", number(16)}}),
         {1, 1}, {-6.5});
}

TEST(Reference, ProductsOf64BitIntegersAreExactAndWrapAround) {
  const Tensor a = Tensor::from_int64s(std::array<std::int64_t, 2>{(std::int64_t{1} << 53) + 1, std::int64_t{1} << 62}),
               b = Tensor::from_int64s(std::array<std::int64_t, 2>{1, 2});
  const auto product = call("MatMul", {a, b});
  ASSERT_TRUE(product) << product.error().text();
  EXPECT_EQ((*product)[0].tensor->data<std::int64_t>()[0], std::numeric_limits<std::int64_t>::min() + (std::int64_t{1} << 53) + 1);
}

TEST(Reference, NearestElementsAreChosenInSinglePrecision) {  // 17 / 1.7f is 10 in floats, just below it in doubles
  Numbers elements(10), wanted(17);
  for (int i = 0; i < 10; ++i) elements[static_cast<std::size_t>(i)] = i;
  for (int i = 0; i < 17; ++i) wanted[static_cast<std::size_t>(i)] = std::floor(static_cast<float>(i) / 1.7f);
  const Tensor none(DType::kFloat32, {0});
  expect(call("Resize", {reals({10}, elements), none, reals({1}, {1.7})},
              {{"coordinate_transformation_mode", text("asymmetric")}, {"nearest_mode", text("floor")}}),
         {17}, wanted);
}

TEST(Reference, NumbersOfActivationsGoToThoseThatTakeOne) {  // W = R = 0, B = 2: both layers give f(2)
  const auto made = call("RNN", {reals({1, 1, 1}, {1}), reals({2, 1, 1}, {0, 0}), reals({2, 1, 1}, {0, 0}), reals({2, 2}, {-2, 0, -2, 0})},
                         {{"direction", text("bidirectional")}, {"hidden_size", number(1)},
                          {"activations", std::vector<std::string>{"Relu", "LeakyRelu"}}, {"activation_alpha", std::vector<float>{0.25f}}});
  expect(made, {1, 2, 1, 1}, {0, -0.5});
}

TEST(Reference, TreesThatRunInACircleAreRefused) {
  const NamedAttributes attributes = {{"nodes_treeids", std::vector<std::int64_t>{0, 0}},
                                      {"nodes_nodeids", std::vector<std::int64_t>{0, 1}},
                                      {"nodes_featureids", std::vector<std::int64_t>{0, 0}},
                                      {"nodes_modes", std::vector<std::string>{"BRANCH_LEQ", "BRANCH_LEQ"}},
                                      {"nodes_values", std::vector<float>{0, 0}},
                                      {"nodes_truenodeids", std::vector<std::int64_t>{1, 0}},
                                      {"nodes_falsenodeids", std::vector<std::int64_t>{1, 0}}};
  auto made = call("ai.onnx.ml.TreeEnsembleRegressor", {reals({1, 1}, {1})}, attributes);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().message, "a tree runs in a circle");
}

}  // namespace
}  // namespace xinfer::forge::reference
