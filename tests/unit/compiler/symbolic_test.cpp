// One engine for many sizes: built once, run at several, compared with the reference functions at each.
#include "symbolic.h"

namespace xinfer::compiler {
namespace {

// Plain and depthwise convolutions, pooling, upsampling, joins, and a head that depends on the image's size.
TEST_F(Symbolic, ImagesOfAnySize) {
  auto model = onnx::make_model();
  add_input(model, "x", {"N", "3", "H", "W"});
  add_weights(model, "w1", {24, 3, 3, 3});
  add_weights(model, "w2", {24, 1, 5, 5});
  add_weights(model, "w3", {40, 24, 1, 1});
  add_weights(model, "w4", {40, 40, 3, 3});
  add_weights(model, "w5", {40, 12, 2, 2});
  add_ints(model, "flat", {0, 12, -1});
  auto& conv = add_node(model, "Conv", {"x", "w1"}, {"a"});
  add_ints_attribute(conv, "pads", {1, 1, 1, 1});
  add_ints_attribute(conv, "strides", {2, 2});
  add_node(model, "Relu", {"a"}, {"b"});
  auto& deep = add_node(model, "Conv", {"b", "w2"}, {"c"});
  add_ints_attribute(deep, "pads", {2, 2, 2, 2});
  add_attribute(deep, "group", AttributeProto::INT).set_i(24);
  add_node(model, "Conv", {"c", "w3"}, {"d"});
  auto& pool = add_node(model, "MaxPool", {"d"}, {"e"});
  add_ints_attribute(pool, "kernel_shape", {3, 3});
  add_ints_attribute(pool, "pads", {1, 1, 1, 1});
  auto& wide = add_node(model, "Conv", {"e", "w4"}, {"f"});
  add_ints_attribute(wide, "pads", {2, 2, 2, 2});
  add_ints_attribute(wide, "dilations", {2, 2});
  add_node(model, "Add", {"f", "d"}, {"g"});
  auto& up = add_node(model, "ConvTranspose", {"g", "w5"}, {"h"});
  add_ints_attribute(up, "strides", {2, 2});
  add_node(model, "Sigmoid", {"h"}, {"y"});
  add_node(model, "GlobalAveragePool", {"g"}, {"mean"});
  add_node(model, "Reshape", {"h", "flat"}, {"rows"});
  auto& sums = add_node(model, "Softmax", {"rows"}, {"z"});
  add_attribute(sums, "axis", AttributeProto::INT).set_i(-1);
  for (const char* name : {"y", "mean", "z"}) add_output(model, name);
  check(model, {{"x", {range(1, 1, 3), fixed(3), range(5, 24, 40), range(6, 24, 50)}}},
        {{{1, 3, 24, 24}}, {{3, 3, 40, 50}}, {{1, 3, 5, 6}}, {{2, 3, 17, 31}}, {{1, 3, 40, 7}}});
}

// A layer of attention, whose reshapes are computed from the shape as exporters do.
TEST_F(Symbolic, SequencesOfAnyLength) {
  auto model = onnx::make_model();
  add_input(model, "x", {"batch", "length", "32"});
  for (const char* name : {"wq", "wk", "wv", "wo"}) add_weights(model, name, {32, 32});
  add_ints(model, "first", {0});
  add_ints(model, "heads", {4, 8});
  add_ints(model, "joined", {0, 0, -1});
  add_ints(model, "two", {2});
  add_node(model, "Shape", {"x"}, {"shape"});
  add_node(model, "Slice", {"shape", "first", "two"}, {"outer"});
  auto& concat = add_node(model, "Concat", {"outer", "heads"}, {"target"});
  add_attribute(concat, "axis", AttributeProto::INT).set_i(0);
  for (const char* which : {"q", "k", "v"}) {
    const std::string name = which;
    add_node(model, "MatMul", {"x", ("w" + name).c_str()}, {("p" + name).c_str()});
    add_node(model, "Reshape", {("p" + name).c_str(), "target"}, {("r" + name).c_str()});
    auto& transpose = add_node(model, "Transpose", {("r" + name).c_str()}, {("t" + name).c_str()});
    if (name == "k") add_ints_attribute(transpose, "perm", {0, 2, 3, 1});
    else add_ints_attribute(transpose, "perm", {0, 2, 1, 3});
  }
  add_node(model, "MatMul", {"tq", "tk"}, {"scores"});
  add_node(model, "Softmax", {"scores"}, {"weights"});
  add_node(model, "MatMul", {"weights", "tv"}, {"mixed"});
  auto& back = add_node(model, "Transpose", {"mixed"}, {"rows"});
  add_ints_attribute(back, "perm", {0, 2, 1, 3});
  add_node(model, "Reshape", {"rows", "joined"}, {"flat"});
  add_node(model, "MatMul", {"flat", "wo"}, {"out"});
  add_node(model, "Add", {"out", "x"}, {"y"});
  add_output(model, "y");
  check(model, {{"x", {range(1, 1, 4), range(1, 16, 70), fixed(32)}}},
        {{{1, 16, 32}}, {{4, 70, 32}}, {{1, 1, 32}}, {{3, 17, 32}}, {{2, 33, 32}}});
}

// Two inputs joined along sizes of their own; padding; a slice up to the input's length.
TEST_F(Symbolic, JoinsAndParts) {
  auto model = onnx::make_model();
  add_input(model, "x", {"A", "6"});
  add_input(model, "z", {"B", "6"});
  add_weights(model, "table", {64, 6});
  add_ints(model, "pads", {1, 0, 2, 0});
  add_ints(model, "zero", {0});
  add_ints(model, "one", {1});
  auto& concat = add_node(model, "Concat", {"x", "z"}, {"c"});
  add_attribute(concat, "axis", AttributeProto::INT).set_i(0);
  add_node(model, "Pad", {"c", "pads"}, {"p"});
  add_node(model, "Shape", {"p"}, {"shape"});
  add_node(model, "Slice", {"shape", "zero", "one"}, {"length"});
  add_node(model, "Slice", {"table", "zero", "length", "zero"}, {"part"});
  add_node(model, "Mul", {"p", "part"}, {"y"});
  add_node(model, "ReduceMean", {"y"}, {"mean"});
  add_node(model, "Shape", {"y"}, {"size"});
  for (const char* name : {"y", "mean", "size"}) add_output(model, name);
  check(model, {{"x", {range(1, 8, 20), fixed(6)}}, {"z", {range(1, 4, 30), fixed(6)}}},
        {{{8, 6}, {4, 6}}, {{20, 6}, {30, 6}}, {{1, 6}, {1, 6}}, {{13, 6}, {7, 6}}});
}

// Sizes that depend on data, and what is computed from them.
TEST_F(Symbolic, CountedWhileRunning) {
  auto model = onnx::make_model();
  add_input(model, "x", {"N", "5"});
  add_weights(model, "w", {5, 7});
  add_node(model, "Relu", {"x"}, {"r"});
  add_node(model, "NonZero", {"r"}, {"places"});
  add_node(model, "Transpose", {"places"}, {"rows"});
  add_node(model, "GatherND", {"x", "rows"}, {"kept"});
  add_node(model, "Exp", {"kept"}, {"y"});
  add_ints(model, "axis", {1});
  auto& sum = add_node(model, "ReduceSum", {"x", "axis"}, {"sums"});
  add_attribute(sum, "keepdims", AttributeProto::INT).set_i(0);
  add_node(model, "Less", {"zero", "sums"}, {"positive"});
  onnx::add_initializer(*model.mutable_graph(), "zero", {}, {0.0f});
  auto& compress = add_node(model, "Compress", {"x", "positive"}, {"some"});
  add_attribute(compress, "axis", AttributeProto::INT).set_i(0);
  add_node(model, "MatMul", {"some", "w"}, {"z"});
  for (const char* name : {"rows", "y", "z"}) add_output(model, name);
  check(model, {{"x", {range(1, 16, 40), fixed(5)}}}, {{{16, 5}}, {{40, 5}}, {{1, 5}}, {{23, 5}}});
}

// An open batch needs no option, unless the model is written for one.
TEST_F(Symbolic, BatchesByDefault) {
  auto model = onnx::make_model();
  add_input(model, "x", {"N", "4"});
  add_weights(model, "w", {4, 6});
  add_node(model, "MatMul", {"x", "w"}, {"y"});
  add_output(model, "y");
  check(model, {}, {{{1, 4}}, {{8, 4}}, {{3, 4}}});
  add_ints(model, "shape", {3, 2});
  add_node(model, "Reshape", {"y", "shape"}, {"z"});
  add_output(model, "z");
  check(model, {}, {{{1, 4}}});
  EXPECT_EQ(engine_->plan().inputs[0].shape, (tensor::Shape{1, 4}));
}

TEST_F(Symbolic, ShapesOutOfRangeAreRefused) {
  auto model = onnx::make_model();
  add_input(model, "x", {"N", "4"});
  add_input(model, "z", {"N", "4"});
  add_node(model, "Add", {"x", "z"}, {"y"});
  add_output(model, "y");
  check(model, {{"x", {range(2, 4, 8), fixed(4)}}}, {{{2, 4}, {2, 4}}, {{8, 4}, {8, 4}}});
  const tensor::Tensor small(tensor::DType::kFloat32, {1, 4}), five(tensor::DType::kFloat32, {5, 4}), six(tensor::DType::kFloat32, {6, 4});
  auto message = [&](const tensor::Tensor& x, const tensor::Tensor& z) {
    const std::vector<const tensor::Tensor*> inputs = {&x, &z};
    auto run = runtime::run_once(engine_, inputs);
    return run ? "no error" : run.error().message;
  };
  EXPECT_EQ(message(small, five), "input 'x' needs shape [N=2 to 8,4], got [1,4]");
  EXPECT_EQ(message(five, six), "inputs 'x' and 'z' disagree on N: 5 and 6");
}

}  // namespace
}  // namespace xinfer::compiler
