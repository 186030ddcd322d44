// Loop nests, compiled and run, against the reference functions.
#include <array>
#include <limits>

#include "run_graph.h"

namespace xinfer::codegen::cpu {
namespace {

using Ints = std::vector<std::int64_t>;

TEST(Loops, UnaryOperators) {
  GraphBuilder b;
  ValueId x = b.input({3, 37});
  for (const char* op :
       {"Abs",         "Neg",      "Sign",     "Floor",      "Ceil",  "Round", "Exp",  "Sin",       "Cos",
        "Tan",         "Atan",     "Sinh",     "Cosh",       "Tanh",  "Asinh", "Erf",  "Sigmoid",   "Relu",
        "HardSwish",   "Softplus", "Softsign", "Mish",       "Elu",   "Celu",  "Selu", "LeakyRelu", "ThresholdedRelu",
        "HardSigmoid", "Shrink",   "Gelu",     "Reciprocal", "IsNaN", "IsInf"})
    b.output(b.op(op, {x}));
  ValueId positive = b.op("Abs", {x});
  for (const char* op : {"Log", "Sqrt"}) b.output(b.op(op, {positive}));
  check(std::move(b), 2e-5, {"host"});
}

TEST(Loops, BinaryOperatorsBroadcast) {
  GraphBuilder b;
  ValueId x = b.input({4, 1, 33}), y = b.input({5, 33}), i = b.input({4, 1, 33}, DType::kInt32),
          j = b.input({5, 33}, DType::kInt32);
  for (const char* op : {"Add", "Sub", "Mul", "Div", "Max", "Min", "Less", "GreaterOrEqual", "Equal", "PRelu"})
    if (std::string(op) != "PRelu") b.output(b.op(op, {x, y}));
  for (const char* op : {"Add", "Sub", "Mul", "Max", "Less", "BitwiseAnd", "BitwiseXor"}) b.output(b.op(op, {i, j}));
  b.output(b.op("Pow", {b.op("Abs", {x}), y}));
  b.output(b.op("Where", {b.op("Less", {x, y}), x, y}));
  check(std::move(b));
}

TEST(Loops, Casts) {
  GraphBuilder b;
  ValueId x = b.input({130}), i = b.input({130}, DType::kInt64), f = b.input({130}, DType::kBool),
          h = b.input({130}, DType::kFloat16);
  for (DType to :
       {DType::kFloat64, DType::kInt32, DType::kInt64, DType::kBool, DType::kFloat16, DType::kBfloat16, DType::kInt8})
    for (ValueId v : {x, i, f, h}) b.output(b.op("Cast", {v}, {{"to", std::int64_t(to)}}));
  check(std::move(b), 1e-5, {"host"});
}

TEST(Loops, MovementIsFusedIntoOneKernel) {
  GraphBuilder b;
  ValueId x = b.input({2, 12, 20});
  ValueId y = b.op("Transpose", {x}, {{"perm", Ints{0, 2, 1}}});
  y = b.op("Reshape", {y, b.ints({2, 4, 60})});
  y = b.op("Slice", {y, b.ints({1, 50}), b.ints({4, 3}), b.ints({1, 2}), b.ints({1, -3})});
  y = b.op("Pad", {y, b.ints({0, 1, 2, 0, 0, 3})});
  b.output(b.op("Exp", {y}));
  EXPECT_EQ(check(std::move(b)), 1);
}

TEST(Loops, ConcatAndSplit) {
  GraphBuilder b;
  ValueId x = b.input({2, 5, 7}), y = b.input({2, 9, 7}), z = b.input({2, 1, 7});
  ValueId all = b.op("Concat", {x, y, z}, {{"axis", std::int64_t{1}}});
  ValueId last = b.op("Concat", {b.op("Relu", {x}), x}, {{"axis", std::int64_t{-1}}});
  b.output(all);
  b.output(last);
  ir::Node& split = b.node("Split", {all, b.ints({4, 11})}, 2);
  split.attributes.set("axis", std::int64_t{1});
  std::vector<ValueId> parts = split.outputs;
  b.output(b.op("Neg", {parts[0]}));
  b.output(b.op("Neg", {parts[1]}));
  check(std::move(b));
}

TEST(Loops, GatherAndFriends) {
  GraphBuilder b;
  ValueId x = b.input({6, 10}), i = b.input({3, 4}, DType::kInt64);
  b.output(b.op("Gather", {x, i}));
  b.output(b.op("Gather", {x, b.ints({9, 0, -1, 3})}, {{"axis", std::int64_t{1}}}));
  b.output(b.op("GatherElements", {x, b.input({2, 10}, DType::kInt64)}));
  b.output(b.op("Tile", {x, b.ints({2, 3})}));
  b.output(b.op("Expand", {b.input({6, 1}), b.ints({2, 6, 5})}));
  b.output(b.op("Trilu", {x}));
  b.output(b.op("DepthToSpace", {b.input({1, 8, 3, 5})}, {{"blocksize", std::int64_t{2}}}));
  b.output(b.op("SpaceToDepth", {b.input({1, 2, 4, 6})}, {{"blocksize", std::int64_t{2}}}));
  for (const char* mode : {"reflect", "edge", "wrap"})
    b.output(b.op("Pad", {x, b.ints({2, 3, 1, 4})}, {{"mode", std::string(mode)}}));
  check(std::move(b));
}

TEST(Loops, Reductions) {
  GraphBuilder b;
  ValueId x = b.input({3, 17, 40});
  for (const char* op : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
                         "ReduceLogSumExp", "ReduceSumSquare"})
    for (auto axes : {Ints{2}, Ints{0, 1}})
      b.output(b.op(op, {x, b.ints(axes)}, {{"keepdims", static_cast<std::int64_t>(axes.size() - 1)}}));
  for (auto axes : {Ints{1}, Ints{0, 2}, Ints{0, 1, 2}}) b.output(b.op("ReduceMean", {x, b.ints(axes)}));
  for (std::int64_t axis : {0, 1, 2}) b.output(b.op("ArgMax", {x}, {{"axis", axis}}));
  b.output(b.op("ReduceSum", {b.input({7, 300}, DType::kInt32), b.ints({1})}));
  check(std::move(b), 1e-4);
}

TEST(Loops, Normalizations) {
  GraphBuilder b;
  ValueId x = b.input({2, 12, 9, 33});
  for (std::int64_t axis : {1, 2, 3}) {
    b.output(b.op("Softmax", {x}, {{"axis", axis}}));
    b.output(b.op("LogSoftmax", {x}, {{"axis", axis}}));
    b.output(b.op("LpNormalization", {x}, {{"axis", axis}}));
  }
  b.output(b.op("LayerNormalization", {x, b.random({33}), b.random({33})}));
  b.output(b.op("LayerNormalization", {x, b.random({9, 33})}, {{"axis", std::int64_t{2}}}));
  b.output(b.op("InstanceNormalization", {x, b.random({12}), b.random({12})}));
  b.output(b.op("GroupNormalization", {x, b.random({12}), b.random({12})}, {{"num_groups", std::int64_t{3}}}));
  b.output(b.op("LRN", {x}, {{"size", std::int64_t{5}}}));
  b.output(b.op("RMSNormalization", {x, b.random({33})}));
  check(std::move(b), 1e-4);
}

// Rows that a GPU's threads keep in registers between their loops, in packs of 8, 4 and 1.
TEST(Loops, NormalizationsOfWholePacks) {
  GraphBuilder b;
  for (std::int64_t size : {768, 128, 96}) {
    ValueId x = b.op("Add", {b.input({2, 3, size}), b.input({2, 3, size})});
    b.output(b.op("LayerNormalization", {x, b.random({size}), b.random({size})}));
    b.output(b.op("Softmax", {x}));
    b.output(b.op("ReduceMean", {x, b.ints({2})}));
    b.output(b.op("ArgMax", {x}, {{"axis", std::int64_t{2}}}));
    b.output(b.op("Softmax", {b.input({1, size})}));  // one row: nothing depends on its index
  }
  check(std::move(b), 1e-4);
}

TEST(Loops, SoftmaxOfMaskedRows) {
  GraphBuilder b;
  ValueId x = b.input({6, 40});
  Tensor mask(DType::kFloat32, {6, 40});
  const float infinity = std::numeric_limits<float>::infinity();
  for (int row = 0; row < 6; ++row)  // no mask, a usual one, infinite, just about and far below normal, nothing left (NaN)
    for (int i = 0; i < 40; ++i)
      mask.set(row * 40 + i, i % 3 && row < 5 ? 0.0 : std::array{0.f, -1e4f, -infinity, -87.f, -95.f, -infinity}[row]);
  ValueId masked = b.op("Add", {x, b.constant(mask)});
  b.output(b.op("Softmax", {masked}));
  b.output(b.op("LogSoftmax", {masked}));
  check(std::move(b), 1e-5);
}

TEST(Loops, Resize) {
  for (const char* mode : {"nearest", "linear", "cubic"})
    for (const char* coordinates : {"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"}) {
      GraphBuilder b;
      ValueId x = b.input({1, 3, 5, 7});
      ValueId none = ir::kNoValue;
      Tensor scales(DType::kFloat32, {4});
      for (int i = 0; i < 4; ++i) scales.set(i, i < 2 ? 1 : i == 2 ? 2 : 1.7);
      b.output(b.op("Resize", {x, none, b.constant(scales)},
                    {{"mode", std::string(mode)}, {"coordinate_transformation_mode", std::string(coordinates)}}));
      check(std::move(b), 1e-4, {"host"});
    }
}

TEST(Loops, LargeTensorsAreCutIntoTasks) {
  GraphBuilder b;
  ValueId x = b.input({64, 333}), y = b.input({1, 64, 333});
  b.output(b.op("Tanh", {b.op("Exp", {x})}));
  b.output(b.op("Softmax", {x}));
  b.output(b.op("Transpose", {y}, {{"perm", Ints{2, 0, 1}}}));
  check(std::move(b));
}

TEST(Loops, OutputsOfEveryOrigin) {
  GraphBuilder b;
  ValueId x = b.input({2, 3, 4}), y = b.op("Exp", {x});
  b.output(x);  // an input itself
  b.output(y);
  b.output(y);                                     // twice
  b.output(b.op("Reshape", {y, b.ints({6, 4})}));  // another shape of an output
  b.output(b.op("Reshape", {x, b.ints({-1})}));    // another shape of an input
  b.output(b.random({2, 5}));                      // a constant
  b.output(b.op("Identity", {b.ints({3, 1, 4, 1})}));
  ValueId half = b.input({5}, DType::kFloat16);
  b.output(b.op("Neg", {half}));
  b.output(b.op("Mul", {b.op("Neg", {half}), half}));
  check(std::move(b), 2e-3, {"host"});
}

TEST(Loops, EmptyTensors) {
  GraphBuilder b;
  ValueId x = b.input({0, 4}), y = b.input({3, 4});
  b.output(b.op("Relu", {x}));
  b.output(b.op("Concat", {x, y}, {{"axis", std::int64_t{0}}}));
  b.output(b.op("ReduceSum", {x, b.ints({0})}));
  check(std::move(b), 1e-5, {"host"});
}

}  // namespace
}  // namespace xinfer::codegen::cpu
