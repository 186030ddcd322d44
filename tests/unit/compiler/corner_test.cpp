// Models that random graphs (tests/fuzz/random_graphs) once broke on, made small: engines against the reference functions.
#include <gtest/gtest.h>

#include "../../error/onnx/model_text.h"
#include "base/files.h"
#include "compiler/build.h"
#include "compiler/verify_engine.h"
#include "engine/engine.h"
#include "forge/reference/reference.h"
#include "onnx/import.h"
#include "runtime/session.h"

namespace xinfer::compiler {
namespace {

using onnx::add_attribute;
using onnx::add_input;
using onnx::add_node;
using onnx::add_output;
using onnx::proto::AttributeProto;

void set_ints(onnx::proto::NodeProto& node, const std::string& name, std::initializer_list<std::int64_t> values) {
  auto& attribute = add_attribute(node, name, AttributeProto::INTS);
  for (auto value : values) attribute.add_ints(value);
}

// Builds the model and compares its outputs on `inputs`, or on random ones.
void check(const onnx::proto::ModelProto& model, std::vector<tensor::Tensor> inputs = {}) {
  base::TemporaryFolder folder;
  const auto path = folder.path() / "model.onnx";
  ASSERT_TRUE(base::write_file(path, model.SerializeAsString()));
  BuildOptions options;
  options.verify = false;
  auto output = build(path, options);
  ASSERT_TRUE(output) << output.error().text();
  engine::Trust trust;
  trust.allow_unsigned = true;
  auto engine = engine::open_bytes(output->engine, trust);
  ASSERT_TRUE(engine) << engine.error().text();
  auto graph = onnx::import_model(path);
  ASSERT_TRUE(graph) << graph.error().text();
  if (inputs.empty()) inputs = random_inputs(*graph, 7);
  std::vector<const tensor::Tensor*> pointers;
  for (const auto& input : inputs) pointers.push_back(&input);
  const std::vector<forge::reference::Value> values(inputs.begin(), inputs.end());
  auto expected = forge::reference::evaluate(*graph, values);
  ASSERT_TRUE(expected) << expected.error().text();
  auto actual = runtime::run_once(*engine, pointers);
  ASSERT_TRUE(actual) << actual.error().text();
  for (std::size_t i = 0; i < actual->size(); ++i) {
    const std::string& name = (*engine)->plan().outputs[i].name;
    EXPECT_TRUE(compare(name, (*actual)[i], *(*expected)[i].tensor).matches) << name;
  }
}

TEST(Corner, ProductsAndConvolutionsOfNothing) {
  auto model = onnx::make_model();
  add_input(model, "a", {"0", "3"});
  add_input(model, "b", {"3", "4"});
  add_input(model, "c", {"1", "4"});
  add_node(model, "MatMul", {"a", "b"}, {"p"});
  add_node(model, "Add", {"p", "c"}, {"y"});
  add_input(model, "x", {"0", "2", "5", "5"});
  add_input(model, "w", {"3", "2", "1", "1"});
  add_node(model, "Conv", {"x", "w"}, {"z"});
  add_input(model, "s", {"0"});
  add_input(model, "n", {"2", "0", "3"});
  add_node(model, "InstanceNormalization", {"n", "s", "s"}, {"i"});
  for (const char* name : {"y", "z", "i"}) add_output(model, name);
  check(model);
}

// The output is larger than what the windows cover: half of the rest lies in front.
TEST(Corner, TransposedWindowsThatLeaveABorder) {
  for (const char* mode : {"SAME_LOWER", "SAME_UPPER"}) {
    auto model = onnx::make_model();
    add_input(model, "x", {"1", "2", "3", "5"});
    add_input(model, "w", {"2", "2", "1", "1"});
    auto& node = add_node(model, "ConvTranspose", {"x", "w"}, {"y"});
    set_ints(node, "strides", {2, 3});
    add_attribute(node, "auto_pad", AttributeProto::STRING).set_s(mode);
    add_output(model, "y");
    check(model);
  }
}

TEST(Corner, ReductionsOfIntegersThroughRealNumbers) {
  auto model = onnx::make_model();
  add_input(model, "x", {"3", "4"}, 7);
  for (const char* op : {"ReduceL2", "ReduceLogSum", "ReduceLogSumExp"}) {
    set_ints(add_node(model, op, {"x"}, {op}), "axes", {1});
    add_output(model, op);
  }
  check(model, {tensor::Tensor::from<std::int64_t>(tensor::DType::kInt64, {3, 4}, std::vector<std::int64_t>{3, 4, 0, 0, 9, 9, 9, 9, 1, 2, 2, 4})});
}

TEST(Corner, ALineOfZerosHasNoNorm) {
  auto model = onnx::make_model();
  add_input(model, "x", {"2", "3"});
  add_node(model, "LpNormalization", {"x"}, {"y"});
  add_output(model, "y");
  check(model, {tensor::Tensor::from<float>(tensor::DType::kFloat32, {2, 3}, std::vector<float>{0, 0, 0, 3, 0, 4})});
}

// The indices are read by nobody, but TopK has two outputs.
TEST(Corner, OutputsThatMustBeThere) {
  auto model = onnx::make_model();
  add_input(model, "x", {"2", "6"});
  auto& k = *model.mutable_graph()->add_initializer();
  k.set_name("k"), k.set_data_type(7), k.add_dims(1), k.add_int64_data(3);
  add_node(model, "TopK", {"x", "k"}, {"best", "places"});
  add_node(model, "Exp", {"best"}, {"y"});
  add_output(model, "y");
  check(model);
}

}  // namespace
}  // namespace xinfer::compiler
