// What models may hold besides nodes: functions, initialisers in every place, sizes of zero, omitted names, weights beside the file.
#include "onnx/import.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "../../error/onnx/model_text.h"
#include "base/files.h"
#include "ir/operator.h"

namespace xinfer::onnx {
namespace {

using proto::AttributeProto;

std::string imported(const proto::ModelProto& model) {
  auto graph = import_model_bytes(model.SerializeAsString());
  return graph ? ir::print(*graph) : graph.error().text();
}

// A function of the model's own: scale * LeakyRelu(a), where the slope is the caller's and the scale may be left out.
proto::FunctionProto& add_function(proto::ModelProto& model) {
  auto* domain = model.add_opset_import();
  domain->set_domain("mine"), domain->set_version(1);
  auto& function = *model.add_functions();
  function.set_domain("mine"), function.set_name("Scaled");
  function.add_input("a"), function.add_input("low"), function.add_output("b");
  function.add_attribute("alpha");
  function.add_opset_import()->set_version(17);
  auto add = [&](const char* op, std::initializer_list<const char*> inputs, const char* output) -> proto::NodeProto& {
    auto& node = *function.add_node();
    node.set_op_type(op), node.add_output(output);
    for (const char* input : inputs) node.add_input(input);
    return node;
  };
  add_attribute(add("LeakyRelu", {"a"}, "leaky"), "alpha", AttributeProto::FLOAT).set_ref_attr_name("alpha");
  add("Clip", {"leaky", "low"}, "b");
  return function;
}

TEST(Import, OtherNamesOfStandardOperators) {
  auto model = make_model(8);
  auto* domain = model.add_opset_import();
  domain->set_domain("com.microsoft"), domain->set_version(1);
  add_input(model, "x", {"1", "2", "5", "6"});
  add_initializer(*model.mutable_graph(), "axis", {}, {1});
  model.mutable_graph()->mutable_initializer(0)->set_data_type(6);
  model.mutable_graph()->mutable_initializer(0)->clear_float_data();
  model.mutable_graph()->mutable_initializer(0)->add_int32_data(-1);
  auto& scaler = add_node(model, "ImageScaler", {"x"}, {"scaled"});
  add_attribute(scaler, "scale", AttributeProto::FLOAT).set_f(2);
  auto& bias = add_attribute(scaler, "bias", AttributeProto::FLOATS);
  bias.add_floats(1), bias.add_floats(3);
  auto& border = add_attribute(add_node(model, "Crop", {"scaled"}, {"cropped"}), "border", AttributeProto::INTS);
  for (int side : {1, 2, 0, 1}) border.add_ints(side);
  add_node(model, "ExpandDims", {"cropped", "axis"}, {"y"}).set_domain("com.microsoft");
  auto& unique = add_node(model, "Unique", {"bytes"}, {"values", "places", "counts"});
  unique.set_domain("com.microsoft");
  add_input(model, "bytes", {"4"});
  add_output(model, "y"), add_output(model, "counts");
  const std::string text = imported(model);
  EXPECT_NE(text.find("%cropped: float32[1,2,2,5] = Slice("), std::string::npos) << text;
  EXPECT_NE(text.find("%y: float32[1,2,2,5,1] = Unsqueeze("), std::string::npos) << text;
  EXPECT_NE(text.find("= Unique(%bytes) {sorted = 0}"), std::string::npos) << text;
}

TEST(Import, LayerNormalizationBeforeItWasStandard) {
  auto model = make_model(12);
  add_input(model, "x", {"2", "4"}), add_input(model, "scale", {"4"});
  add_node(model, "LayerNormalization", {"x", "scale"}, {"y"});
  add_output(model, "y");
  const std::string text = imported(model);
  EXPECT_NE(text.find("%y: float32[2,4] = LayerNormalization(%x, %scale)"), std::string::npos) << text;
}

TEST(Import, FunctionsAreInlined) {
  auto model = make_model();
  add_function(model);
  add_input(model, "x", {"4"});
  add_initializer(*model.mutable_graph(), "zero", {}, {0});
  auto& first = add_node(model, "Scaled", {"x", "zero"}, {"y"}, "first");
  first.set_domain("mine");
  add_attribute(first, "alpha", AttributeProto::FLOAT).set_f(0.5f);
  add_node(model, "Scaled", {"y"}, {"z"}, "second").set_domain("mine");
  add_output(model, "z");
  EXPECT_EQ(imported(model), R"(graph "test" {
  input %x: float32[4]
  constant %zero = float32[] {0.0}
  %first/leaky: float32[4] = LeakyRelu(%x) {alpha = 0.5} @"first/"
  %first/b: float32[4] = Clip(%first/leaky, %zero) @"first/"
  %second/leaky: float32[4] = LeakyRelu(%first/b) @"second/"
  %second/b: float32[4] = Clip(%second/leaky) @"second/"
  %z: float32[4] = Identity(%second/b) @"z"
  output %z
}
)");
}

TEST(Import, FunctionsMayCallEachOtherInSubgraphs) {
  auto model = make_model();
  add_function(model);
  add_input(model, "go", {}, 9);
  add_input(model, "x", {"4"});
  auto& branch = add_node(model, "If", {"go"}, {"y"});
  for (const char* name : {"then_branch", "else_branch"}) {
    auto& body = *add_attribute(branch, name, AttributeProto::GRAPH).mutable_g();
    add_node(body, "Scaled", {"x"}, {"inside"}, name).set_domain("mine");
    body.add_output()->set_name("inside");
  }
  add_output(model, "y");
  const std::string text = imported(model);
  EXPECT_NE(text.find("%then_branch/leaky: float32[4] = LeakyRelu(%x)"), text.npos) << text;
  EXPECT_NE(text.find("%y: float32[4] = If(%go)"), text.npos) << text;
}

TEST(Import, InitialisersListedAsInputsAreConstants) {
  auto model = make_model();
  add_input(model, "x", {"2"});
  add_input(model, "w", {"2"});
  add_initializer(*model.mutable_graph(), "w", {2}, {1, 2});
  add_node(model, "Add", {"x", "w"}, {"y"});
  add_output(model, "y");
  EXPECT_EQ(imported(model), R"(graph "test" {
  input %x: float32[2]
  constant %w = float32[2] {1.0, 2.0}
  %y: float32[2] = Add(%x, %w)
  output %y
}
)");
}

TEST(Import, ScalarsAndNothing) {
  auto model = make_model();
  add_input(model, "x", {"0", "3"});
  add_input(model, "s", {});
  add_initializer(*model.mutable_graph(), "none", {0, 3}, {});
  add_node(model, "Mul", {"x", "s"}, {"m"});
  auto& concat = add_node(model, "Concat", {"m", "none"}, {"y"});
  add_attribute(concat, "axis", AttributeProto::INT).set_i(0);
  add_output(model, "y");
  EXPECT_EQ(imported(model), R"(graph "test" {
  input %x: float32[0,3]
  input %s: float32[]
  constant %none = float32[0,3] {}
  %m: float32[0,3] = Mul(%x, %s)
  %y: float32[0,3] = Concat(%m, %none) {axis = 0}
  output %y
}
)");
}

// Nodes without names, with the same name, and inputs and outputs left out.
TEST(Import, NamesLeftOutOrTakenTwice) {
  auto model = make_model();
  add_input(model, "x", {"4"});
  add_initializer(*model.mutable_graph(), "top", {}, {1});
  add_node(model, "Clip", {"x", "", "top"}, {"c"}, "same");
  add_node(model, "Dropout", {"c", "", ""}, {"d", ""}, "same");
  add_node(model, "Relu", {"d"}, {"y"});
  add_output(model, "y");
  EXPECT_EQ(imported(model), R"(graph "test" {
  input %x: float32[4]
  constant %top = float32[] {1.0}
  %c: float32[4] = Clip(%x, _, %top) @"same"
  %d: float32[4] = Dropout(%c) @"same"
  %y: float32[4] = Relu(%d)
  output %y
}
)");
}

TEST(Import, AnOmittedInputThatIsNeededIsRefused) {
  auto model = make_model();
  add_input(model, "x", {"4"});
  add_node(model, "Add", {"", "x"}, {"y"}, "sum");
  add_output(model, "y");
  EXPECT_EQ(imported(model), "input 0 is missing (at Add 'sum')");
}

TEST(Import, MoreElementsThanAnythingHoldsAreRefused) {
  auto model = make_model();
  add_input(model, "x", {"9223372036854775807", "2"});
  add_node(model, "Relu", {"x"}, {"y"});
  add_output(model, "y");
  EXPECT_EQ(imported(model), "float32[9223372036854775807,2] has more than 1099511627776 elements (at input 'x')");
}

// What was an attribute becomes an input.
TEST(Import, OldOperatorsTakeTheNewForm) {
  auto model = make_model(9);
  add_input(model, "x", {"1", "6"});
  auto& clip = add_node(model, "Clip", {"x"}, {"c"});
  add_attribute(clip, "max", AttributeProto::FLOAT).set_f(6);
  auto& slice = add_node(model, "Slice", {"c"}, {"s"});
  add_attribute(slice, "starts", AttributeProto::INTS).add_ints(1);
  add_attribute(slice, "ends", AttributeProto::INTS).add_ints(-1);
  add_attribute(slice, "axes", AttributeProto::INTS).add_ints(1);
  auto& squeeze = add_node(model, "Squeeze", {"s"}, {"q"});
  add_attribute(squeeze, "axes", AttributeProto::INTS).add_ints(0);
  auto& top = add_node(model, "TopK", {"q"}, {"y", "i"});
  add_attribute(top, "k", AttributeProto::INT).set_i(2);
  add_output(model, "y");
  auto graph = import_model_bytes(model.SerializeAsString());
  ASSERT_TRUE(graph) << graph.error().text();
  std::vector<std::string> found;
  for (const ir::Node& node : graph->nodes) {
    std::string inputs;
    for (std::size_t i = 1; i < node.inputs.size(); ++i)
      inputs += graph->constant(node.inputs[i]) ? " " + std::to_string(graph->constant(node.inputs[i])->as_int64(0)) : " _";
    found.push_back(node.op + inputs + " " + ir::to_string(graph->value(node.outputs[0]).type));
  }
  EXPECT_EQ(found, (std::vector<std::string>{"Clip _ 6 float32[1,6]", "Slice 1 -1 1 float32[1,4]", "Squeeze 0 float32[4]", "TopK 2 float32[2]"}));
}

// Weights of more than 2 GB lie beside the model. The file is sparse and holds zeros; what is read needs the memory.
TEST(Import, WeightsOver2Gigabytes) {
  constexpr std::int64_t kElements = std::int64_t{560} << 20;
  constexpr auto kBytes = static_cast<std::uint64_t>(kElements) * 4;
  const auto free = static_cast<std::uint64_t>(::sysconf(_SC_AVPHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (free < 3 * kBytes) GTEST_SKIP() << "needs " << 3 * kBytes << " bytes of free memory";
  base::TemporaryFolder folder;
  auto model = make_model();
  add_input(model, "x", {"1"});
  auto& weights = *model.mutable_graph()->add_initializer();
  weights.set_name("w"), weights.set_data_type(1), weights.add_dims(kElements);
  weights.set_data_location(proto::TensorProto::EXTERNAL);
  for (const auto& [key, value] : {std::pair{"location", "w.bin"}, {"offset", "4096"}}) {
    auto* entry = weights.add_external_data();
    entry->set_key(key), entry->set_value(value);
  }
  add_node(model, "Add", {"x", "w"}, {"y"});
  add_output(model, "y");
  const auto file = folder.path() / "w.bin";
  { std::ofstream(file, std::ios::binary) << ""; }
  std::error_code error;
  std::filesystem::resize_file(file, 4096 + kBytes, error);
  if (error) GTEST_SKIP() << "no file of " << kBytes << " bytes: " << error.message();
  const float last = 7;
  std::fstream patch(file, std::ios::binary | std::ios::in | std::ios::out);
  patch.seekp(static_cast<std::streamoff>(4096 + kBytes - 4));
  patch.write(reinterpret_cast<const char*>(&last), 4);
  patch.close();
  ASSERT_TRUE(base::write_file(folder.path() / "m.onnx", model.SerializeAsString()));
  const auto graph = import_model(folder.path() / "m.onnx");
  ASSERT_TRUE(graph) << graph.error().text();
  const ir::ValueId id = graph->nodes[0].inputs[1];
  EXPECT_EQ(graph->constant(id)->num_elements(), kElements);
  EXPECT_EQ(graph->constant(id)->data<float>().back(), 7);
}

}  // namespace
}  // namespace xinfer::onnx
