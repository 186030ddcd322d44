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
  EXPECT_EQ(error.code, Code::kLimit);
  EXPECT_TRUE(error.message.starts_with("functions call one another deeper than 32 (function_depth)")) << error.text();
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
