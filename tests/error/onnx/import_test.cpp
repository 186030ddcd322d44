// One bad model each, and the exact message.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/files.h"
#include "model_text.h"
#include "onnx/import.h"

namespace xinfer::onnx {
namespace {

using base::Code;

base::Error refused(const proto::ModelProto& model, const ImportOptions& options = {}) {
  auto graph = import_model_bytes(model.SerializeAsString(), options);
  if (graph) return {Code::kInternal, "accepted", {}};
  return graph.error();
}

proto::ModelProto relu_model() {
  auto model = make_model();
  add_input(model, "x", {"N", "3", "H", "W"});
  add_node(model, "Relu", {"x"}, {"y"}, "act");
  add_output(model, "y");
  return model;
}

TEST(ImportErrors, EmptyFile) {
  auto graph = import_model_bytes("");
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().code, Code::kCorrupt);
  EXPECT_EQ(graph.error().text(), "the file is empty, not an ONNX model");
}

TEST(ImportErrors, MissingFile) {
  auto graph = import_model("no/such/model.onnx");
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().code, Code::kNotFound);
  EXPECT_NE(graph.error().text().find("model.onnx"), std::string::npos);
}

TEST(ImportErrors, NotAModel) {
  auto graph = import_model_bytes("\x89PNG\r\n\x1a\n and more");
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().code, Code::kCorrupt);
  EXPECT_EQ(graph.error().text(), "not an ONNX model, or cut off: the bytes are not a serialised ModelProto");
}

TEST(ImportErrors, CutOff) {
  auto model = relu_model();
  add_initializer(*model.mutable_graph(), "w", {4}, {1, 2, 3, 4});
  const std::string bytes = model.SerializeAsString();
  for (std::size_t size = 1; size < bytes.size(); ++size) {
    auto graph = import_model_bytes(std::string_view(bytes).substr(0, size));
    EXPECT_TRUE(graph || graph.error().code != Code::kInternal) << size;
  }
  auto graph = import_model_bytes(std::string_view(bytes).substr(0, bytes.size() / 2));
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().text(), "not an ONNX model, or cut off: the bytes are not a serialised ModelProto");
}

TEST(ImportErrors, NoGraph) {
  proto::ModelProto model;
  model.set_ir_version(8);
  EXPECT_EQ(refused(model).text(), "not an ONNX model: it holds no graph");
}

TEST(ImportErrors, NewerOpset) {
  auto model = relu_model();
  model.mutable_opset_import(0)->set_version(99);
  EXPECT_EQ(refused(model).code, Code::kUnsupported);
  EXPECT_EQ(refused(model).text(), "opset 99 is newer than 27, the newest known: export with an older opset");
}

TEST(ImportErrors, UnknownOperatorsAllAtOnce) {
  auto model = make_model();
  add_input(model, "x", {"1"});
  add_node(model, "Frobnicate", {"x"}, {"a"}, "first");
  add_node(model, "Relu", {"a"}, {"b"});
  add_node(model, "Frobnicate", {"b"}, {"c"}, "second");
  add_node(model, "Quux", {"c"}, {"y"}).set_domain("com.example");
  add_output(model, "y");
  const base::Error error = refused(model);
  EXPECT_EQ(error.code, Code::kUnsupported);
  EXPECT_EQ(error.text(),
            "2 operators are not supported:\n"
            "  Frobnicate (2 nodes: 'first', 'second')\n"
            "  com.example.Quux (1 node: 'y')");
}

TEST(ImportErrors, MissingInitialiser) {
  auto model = make_model();
  add_input(model, "x", {"1"});
  add_node(model, "Add", {"x", "w"}, {"y"}, "sum");
  add_output(model, "y");
  const base::Error error = refused(model);
  EXPECT_EQ(error.code, Code::kCorrupt);
  EXPECT_EQ(error.text(), "input 'w' is neither a graph input, an initialiser nor produced by a node (at Add 'sum')");
}

TEST(ImportErrors, MissingOutput) {
  auto model = relu_model();
  add_output(model, "z");
  EXPECT_EQ(refused(model).text(), "graph output 'z' is not produced by any node");
}

TEST(ImportErrors, Cycle) {
  auto model = make_model();
  add_input(model, "x", {"1"});
  add_node(model, "Add", {"x", "c"}, {"a"}, "one");
  add_node(model, "Relu", {"a"}, {"b"}, "two");
  add_node(model, "Neg", {"b"}, {"c"});
  add_node(model, "Relu", {"c"}, {"y"}, "behind");
  add_output(model, "y");
  const base::Error error = refused(model);
  EXPECT_EQ(error.code, Code::kCorrupt);
  EXPECT_EQ(error.text(), "the graph has a cycle through Add 'one', Neg ('c'), Relu 'two'");
}

TEST(ImportErrors, DuplicateNames) {
  auto model = relu_model();
  add_node(model, "Neg", {"x"}, {"y"}, "again");
  const base::Error error = refused(model);
  EXPECT_EQ(error.code, Code::kCorrupt);
  EXPECT_EQ(error.text(), "the name 'y' is given to two values (at Neg 'again')");
}

TEST(ImportErrors, HugeTensor) {
  auto model = relu_model();
  auto* tensor = model.mutable_graph()->add_initializer();
  tensor->set_name("w");
  tensor->set_data_type(1);
  for (int i = 0; i < 4; ++i) tensor->add_dims(1 << 20);
  const base::Error error = refused(model);
  EXPECT_EQ(error.code, Code::kLimit);
  EXPECT_EQ(error.text(), "shape [1048576,1048576,1048576,1048576] exceeds the limit of 2147483648 elements (at initialiser 'w')");
}

TEST(ImportErrors, LargeShapeWithFewBytes) {
  auto model = relu_model();
  auto* tensor = model.mutable_graph()->add_initializer();
  tensor->set_name("w");
  tensor->set_data_type(1);
  tensor->add_dims(1 << 30);
  tensor->set_raw_data("abcd");
  const base::Error error = refused(model);
  EXPECT_EQ(error.code, Code::kCorrupt);
  EXPECT_EQ(error.text(), "float32[1073741824] needs 4294967296 bytes of raw data, the file has 4 (at initialiser 'w')");
}

TEST(ImportErrors, NegativeDimension) {
  auto model = relu_model();
  auto* tensor = model.mutable_graph()->add_initializer();
  tensor->set_name("w");
  tensor->set_data_type(1);
  tensor->add_dims(-3);
  EXPECT_EQ(refused(model).text(), "negative dimension in shape [-3] (at initialiser 'w')");
}

TEST(ImportErrors, UnknownElementType) {
  auto model = relu_model();
  auto* tensor = model.mutable_graph()->add_initializer();
  tensor->set_name("w");
  tensor->set_data_type(77);
  EXPECT_EQ(refused(model).text(), "unknown element type number 77 (at initialiser 'w')");
}

TEST(ImportErrors, NodesOverTheLimit) {
  auto model = make_model();
  add_input(model, "x", {"1"});
  add_node(model, "Relu", {"x"}, {"a"});
  add_node(model, "Relu", {"a"}, {"y"}, "last");
  add_output(model, "y");
  ImportOptions options;
  options.limits.nodes = 1;
  const base::Error error = refused(model, options);
  EXPECT_EQ(error.code, Code::kLimit);
  EXPECT_EQ(error.text(), "more than 1 nodes (nodes) (at Relu 'last')");
}

TEST(ImportErrors, FunctionCallsItself) {
  auto model = make_model();
  model.add_opset_import()->set_domain("my");
  model.mutable_opset_import(1)->set_version(1);
  auto* function = model.add_functions();
  function->set_domain("my");
  function->set_name("f");
  function->add_input("a");
  function->add_output("b");
  function->add_opset_import()->set_version(17);
  auto* inner = function->add_node();
  inner->set_op_type("f");
  inner->set_domain("my");
  inner->add_input("a");
  inner->add_output("b");
  add_input(model, "x", {"1"});
  add_node(model, "f", {"x"}, {"y"}).set_domain("my");
  add_output(model, "y");
  const base::Error error = refused(model);
  EXPECT_EQ(error.text(), "the function calls itself (at f ('y'): f ('b'))");
}

TEST(ImportErrors, GivenShapeDoesNotFit) {
  ImportOptions options;
  options.input_shapes["x"] = {1, 4, 8, 8};
  const base::Error error = refused(relu_model(), options);
  EXPECT_EQ(error.code, Code::kInvalidArgument);
  EXPECT_EQ(error.text(), "the shape [1,4,8,8] given for input 'x' does not fit the model's float32[N,3,H,W]");
}

TEST(ImportErrors, GivenShapeForNoInput) {
  ImportOptions options;
  options.input_shapes["image"] = {1, 3, 8, 8};
  EXPECT_EQ(refused(relu_model(), options).text(), "a shape is given for 'image', which is not an input; the inputs are 'x'");
}

TEST(ImportErrors, ShapesThatContradictEachOther) {
  auto model = make_model();
  add_input(model, "a", {"N", "2"});
  add_input(model, "b", {"N", "2"});
  add_node(model, "Add", {"a", "b"}, {"y"});
  add_output(model, "y");
  ImportOptions options;
  options.input_shapes["a"] = {1, 2};
  options.input_shapes["b"] = {3, 2};
  EXPECT_EQ(refused(model, options).text(), "the given shapes need 'N' to be both 1 and 3");
}

TEST(ImportErrors, WrongAttribute) {
  auto model = relu_model();
  add_attribute(*model.mutable_graph()->mutable_node(0), "slope", proto::AttributeProto::FLOAT).set_f(2);
  EXPECT_EQ(refused(model).text(), "Relu 'act': unknown attribute 'slope' (at test)");
}

TEST(ImportErrors, TooFewInputs) {
  auto model = make_model();
  add_input(model, "x", {"1"});
  add_node(model, "Add", {"x"}, {"y"}, "sum");
  add_output(model, "y");
  EXPECT_EQ(refused(model).text(), "1 inputs where the operator takes 2 to 2 (at Add 'sum')");
}

// Each is refused by ONNX Runtime too.
TEST(ImportErrors, ElementTypesThatOperatorsDoNotTake) {
  struct Case {
    const char* op;
    std::vector<int> types;
    const char* message;
  };
  const Case cases[] = {
      {"Relu", {9}, "input 0 is bool, and Relu takes floating-point numbers or signed integers there"},
      {"Relu", {8}, "input 0 is string, and Relu takes floating-point numbers or signed integers there"},
      {"Not", {1}, "input 0 is float32, and Not takes bool there"},
      {"Where", {1, 1, 1}, "input 0 is float32, and Where takes bool there"},
      {"Gather", {1, 1}, "input 1 is float32, and Gather takes int32 or int64 there"},
      {"Reshape", {1, 1}, "input 1 is float32, and Reshape takes int64 there"},
      {"Dropout", {1, 7}, "input 1 is int64, and Dropout takes floating-point numbers there"},
      {"Sigmoid", {6}, "input 0 is int32, and Sigmoid takes floating-point numbers there"},
  };
  for (const Case& one : cases) {
    auto model = make_model();
    auto& node = add_node(model, one.op, {}, {"y"}, "n");
    for (std::size_t i = 0; i < one.types.size(); ++i) {
      const std::string name = "x" + std::to_string(i);
      add_input(model, name, {"2"}, one.types[i]);
      node.add_input(name);
    }
    add_output(model, "y");
    EXPECT_EQ(refused(model).text(), std::string(one.message) + " (at " + one.op + " 'n')");
  }
}

TEST(ImportErrors, DeclaredTypesMustBeTheRealOnes) {
  auto model = relu_model();
  set_type(*model.mutable_graph()->mutable_output(0), "y", {"N", "3", "H", "W"}, 7);
  EXPECT_EQ(refused(model).text(), "'y' is declared as int64, and what makes it gives float32");
  model = relu_model();
  add_node(model, "Neg", {"y"}, {"z"});
  model.mutable_graph()->mutable_output(0)->set_name("z");
  set_type(*model.mutable_graph()->add_value_info(), "y", {}, 10);
  EXPECT_EQ(refused(model).text(), "'y' is declared as float16, and what makes it gives float32");
}

TEST(ImportErrors, WordsThatAttributesDoNotTake) {
  auto model = make_model();
  add_input(model, "x", {"2", "3"});
  add_input(model, "pads", {"4"}, 7);
  auto& pad = add_node(model, "Pad", {"x", "pads"}, {"y"}, "p");
  add_attribute(pad, "mode", proto::AttributeProto::STRING).set_s("sideways");
  add_output(model, "y");
  EXPECT_EQ(refused(model).text(), "attribute 'mode' is 'sideways', which is none of constant reflect edge wrap (at Pad 'p')");
}

TEST(ImportErrors, OperatorsNewerThanTheModelsOpset) {
  auto model = make_model(17);
  add_input(model, "x", {"2"});
  add_node(model, "Gelu", {"x"}, {"a"}, "g");
  add_node(model, "Mish", {"a"}, {"y"}, "m");
  add_output(model, "y");
  EXPECT_EQ(refused(model).text(),
            "2 operators are not supported:\n"
            "  Gelu: it came with opset 20, and the model is of opset 17 (1 node: 'g')\n"
            "  Mish: it came with opset 18, and the model is of opset 17 (1 node: 'm')");
}

TEST(ImportErrors, WhatTheFileSaysOfItself) {
  auto model = relu_model();
  model.set_ir_version(99);
  EXPECT_EQ(refused(model).code, Code::kUnsupported);
  EXPECT_EQ(refused(model).text(), "the file is of IR version 99, newer than 13, the newest known: export with an older version of onnx");
  model = relu_model();
  model.clear_opset_import();
  EXPECT_EQ(refused(model).text(), "the model does not say which operator set it is of (opset_import)");
  model = relu_model();
  model.mutable_graph()->clear_output();
  EXPECT_EQ(refused(model).text(), "the graph has no outputs");
  model = relu_model();
  model.mutable_graph()->mutable_input(0)->clear_type();
  EXPECT_EQ(refused(model).text(), "input 'x' has no element type");
}

TEST(ImportErrors, CallsWithTooManyArguments) {
  auto model = make_model();
  model.add_opset_import()->set_domain("my");
  auto* function = model.add_functions();
  function->set_domain("my");
  function->set_name("f");
  function->add_input("a");
  function->add_output("b");
  function->add_opset_import()->set_version(17);
  auto* inner = function->add_node();
  inner->set_op_type("Relu");
  inner->add_input("a");
  inner->add_output("b");
  add_input(model, "x", {"1"});
  add_node(model, "f", {"x", "x"}, {"y"}).set_domain("my");
  add_output(model, "y");
  EXPECT_EQ(refused(model).text(), "2 inputs and 1 outputs, and the function has 1 and 1 (at f ('y'))");
}

TEST(ImportErrors, WindowsThatContradictThemselves) {
  const auto of = [](const char* op, std::initializer_list<std::int64_t> weights, std::initializer_list<std::pair<const char*, std::vector<std::int64_t>>> attributes) {
    auto model = make_model();
    add_input(model, "x", {"1", "3", "8", "8"});
    auto& node = add_node(model, op, {"x"}, {"y"}, "n");
    if (weights.size() != 0) {
      add_initializer(*model.mutable_graph(), "w", weights, {1, 2, 3, 4, 5, 6, 7, 8, 9});
      node.add_input("w");
    }
    for (const auto& [name, values] : attributes) {
      auto& attribute = add_attribute(node, name, proto::AttributeProto::INTS);
      for (std::int64_t value : values) attribute.add_ints(value);
    }
    add_output(model, "y");
    return refused(model).text();
  };
  EXPECT_EQ(of("Conv", {3, 3, 1, 1}, {{"kernel_shape", {3, 3}}}), "kernel_shape says 3 where the weights have 1 (at Conv 'n')");
  EXPECT_EQ(of("MaxPool", {}, {{"kernel_shape", {2, 2}}, {"pads", {2, 0, 0, 0}}}),
            "padding of 2 beside a window of 2: there would be windows of padding alone (at MaxPool 'n')");
  EXPECT_EQ(of("ConvTranspose", {3, 3, 1, 1}, {{"strides", {2, 2}}, {"output_padding", {2, 0}}}),
            "output_padding is 2, and must be less than the stride or the dilation, 2 (at ConvTranspose 'n')");
}

TEST(ImportErrors, IndicesOutOfTheirAxis) {
  auto model = make_model();
  add_input(model, "x", {"2", "3"});
  auto* index = model.mutable_graph()->add_initializer();
  index->set_name("i"), index->set_data_type(7), index->add_int64_data(-3);
  add_node(model, "Gather", {"x", "i"}, {"y"}, "g");
  add_output(model, "y");
  EXPECT_EQ(refused(model).text(), "index -3 of axis 0, which has 2 elements (at Gather 'g')");
}

TEST(ImportErrors, SizesAndAttributesThatContradictEachOther) {
  using Dims = std::vector<std::int64_t>;
  struct Input {
    Dims dims;
    int type = 1;
  };
  struct Case {
    const char* op;
    std::vector<Input> inputs;
    std::vector<std::pair<const char*, std::int64_t>> numbers;
    const char* message;
    int outputs = 1;
  };
  const Case cases[] = {
      {"Softmax", {{{}}}, {}, "axis -1 is out of range for rank 0"},
      {"QuantizeLinear", {{{2, 3}}, {{3}}, {{3}, 2}}, {{"axis", 5}}, "axis 5 is out of range for rank 2"},
      {"QuantizeLinear", {{{2, 3}}, {{2}}, {{2}, 2}}, {{"axis", 1}}, "places of the axis and scales: 3 and 2 differ"},
      {"DequantizeLinear", {{{2}}, {{}}}, {}, "input 0 is float32, and DequantizeLinear takes quantised numbers (integers of 32 bits or less, 8-bit floats) there"},
      {"BitShift", {{{2}, 6}, {{2}, 6}}, {}, "input 0 is int32, and BitShift takes unsigned integers there"},
      {"BatchNormalization", {{{1, 3}}, {{3}}, {{3}}, {{3}}, {{3}}}, {}, "3 outputs, and there is one outside of training", 3},
      {"LRN", {{{1, 3, 4, 4}}}, {{"size", 2}}, "size is 2, and must be odd"},
      {"LpNormalization", {{{2, 3}}}, {{"p", 3}}, "p is 3, and must be 1 or 2"},
      {"LSTM", {{{1, 1, 3}}, {{1, 8, 3}}, {{1, 8, 2}}}, {}, "attribute 'hidden_size' is missing or not positive"},
      {"GRU", {{{1, 1, 3}}, {{1, 8, 3}}, {{1, 6, 2}}}, {{"hidden_size", 2}}, "rows of the input weights: 8 where 6 are needed"},
      {"OneHot", {{{2}, 7}, {{1}, 7}, {{3}}}, {}, "values for off and on: 3 where 2 are needed"},
      {"ScatterElements", {{{2, 3}}, {{1, 1}, 7}, {{1, 1}, 7}}, {}, "inputs 0 (float32) and 2 (int64) must have the same element type"},
      {"Slice", {{{2, 3}}, {{1}, 7}, {{2}, 7}}, {}, "numbers in input 2: 2 where 1 are needed"},
      {"Split", {{{2, 3}}}, {{"axis", 1}}, "3 elements cannot be split into 2 equal parts", 2},
      {"StringNormalizer", {{{2, 2}, 8}}, {}, "the input must have the shape [C] or [1,C]"},
      {"Mod", {{{2}}, {{2}}}, {}, "floating-point numbers need fmod=1"},
      {"CumSum", {{{2, 3}}, {{2}, 7}}, {}, "the axis must be one number"},
      {"RoiAlign", {{{1, 3, 8, 8}}, {{1, 5}}, {{1}, 7}}, {}, "numbers of a region: 5 where 4 are needed"},
      {"NonMaxSuppression", {{{1, 10, 5}}, {{1, 1, 10}}}, {}, "numbers of a box: 5 and 4 differ"},
      {"ReverseSequence", {{{2, 3}}, {{5}, 7}}, {}, "lengths of sequences: 5 where 3 are needed"},
      {"Conv", {{{1, 3, 8, 8}}, {{4, 3, 1, 1}}}, {{"pads", -1}}, "padding of -1"},
  };
  for (const Case& one : cases) {
    auto model = make_model();
    auto& node = add_node(model, one.op, {}, {}, "n");
    for (std::size_t i = 0; i < one.inputs.size(); ++i) {
      auto& info = *model.mutable_graph()->add_input();
      set_type(info, "x" + std::to_string(i), {}, one.inputs[i].type);
      for (std::int64_t dim : one.inputs[i].dims) info.mutable_type()->mutable_tensor_type()->mutable_shape()->add_dim()->set_dim_value(dim);
      node.add_input(info.name());
    }
    for (const auto& [name, value] : one.numbers) {
      const bool list = std::string_view(name) == "pads";
      auto& attribute = add_attribute(node, name, list ? proto::AttributeProto::INTS : proto::AttributeProto::INT);
      if (list) for (int i = 0; i < 4; ++i) attribute.add_ints(value);
      else attribute.set_i(value);
    }
    for (int i = 0; i < one.outputs; ++i) {
      node.add_output("y" + std::to_string(i));
      add_output(model, "y" + std::to_string(i));
    }
    EXPECT_EQ(refused(model).text(), std::string(one.message) + " (at " + one.op + " 'n')") << one.op;
  }
}

TEST(ImportErrors, AnAttributeGivenTwice) {
  auto model = relu_model();
  auto& node = *model.mutable_graph()->mutable_node(0);
  node.set_op_type("Softmax");
  for (int axis : {0, 1}) add_attribute(node, "axis", proto::AttributeProto::INT).set_i(axis);
  EXPECT_EQ(refused(model).text(), "attribute 'axis' is given twice (at Softmax 'act')");
}

TEST(ImportErrors, ResizeToNothing) {
  auto model = make_model();
  add_input(model, "x", {"2", "3"});
  add_node(model, "Resize", {"x"}, {"y"}, "r");
  add_output(model, "y");
  EXPECT_EQ(refused(model).text(), "Resize needs either scales or sizes (at Resize 'r')");
}

class ExternalData : public ::testing::Test {
 protected:
  base::Error refused_at(const std::string& location) {
    auto model = relu_model();
    auto* tensor = model.mutable_graph()->add_initializer();
    tensor->set_name("w");
    tensor->set_data_type(1);
    tensor->add_dims(2);
    tensor->set_data_location(proto::TensorProto::EXTERNAL);
    auto* entry = tensor->add_external_data();
    entry->set_key("location");
    entry->set_value(location);
    const auto path = folder_.path() / "model" / "model.onnx";
    EXPECT_TRUE(base::write_file(path, model.SerializeAsString()));
    auto graph = import_model(path);
    return graph ? base::Error{Code::kInternal, "accepted", {}} : graph.error();
  }
  base::TemporaryFolder folder_;
};

TEST_F(ExternalData, ParentFolder) {
  EXPECT_TRUE(base::write_file(folder_.path() / "secret.bin", "12345678"));
  EXPECT_EQ(refused_at("../secret.bin").text(),
            "external data '../secret.bin' is outside the model's folder (at model.onnx: initialiser 'w')");
}

TEST_F(ExternalData, AbsolutePath) {
  EXPECT_EQ(refused_at("/etc/passwd").text(), "external data '/etc/passwd' is outside the model's folder (at model.onnx: initialiser 'w')");
}

TEST_F(ExternalData, LinkOutOfTheFolder) {
  EXPECT_TRUE(base::write_file(folder_.path() / "secret.bin", "12345678"));
  std::filesystem::create_directories(folder_.path() / "model");
  std::filesystem::create_symlink(folder_.path() / "secret.bin", folder_.path() / "model" / "weights.bin");
  EXPECT_EQ(refused_at("weights.bin").text(), "external data 'weights.bin' is outside the model's folder (at model.onnx: initialiser 'w')");
}

TEST_F(ExternalData, Missing) {
  EXPECT_EQ(refused_at("weights.bin").text(), "external data file 'weights.bin' is missing beside the model (at model.onnx: initialiser 'w')");
}

TEST_F(ExternalData, TooShort) {
  EXPECT_TRUE(base::write_file(folder_.path() / "model" / "weights.bin", "1234"));
  EXPECT_EQ(refused_at("weights.bin").text(),
            "external data 'weights.bin' has 4 bytes, 8 bytes at offset 0 are needed (at model.onnx: initialiser 'w')");
}

TEST_F(ExternalData, InsideIsRead) {
  EXPECT_TRUE(base::write_file(folder_.path() / "model" / "weights.bin", "12345678"));
  EXPECT_EQ(refused_at("weights.bin").text(), "accepted");
}

}  // namespace
}  // namespace xinfer::onnx
