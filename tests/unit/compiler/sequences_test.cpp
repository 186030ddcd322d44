// Sequences and optionals as inputs and outputs of engines: lists of tensors whose length is fixed at the build.
#include <gtest/gtest.h>

#include "../../error/onnx/model_text.h"
#include "base/files.h"
#include "compiler/build.h"
#include "engine/engine.h"
#include "runtime/session.h"

namespace xinfer::compiler {
namespace {

using onnx::add_node;
using tensor::Tensor;

enum class Kind { kSequence, kOptional, kOptionalSequence };

void add_list(onnx::proto::ModelProto& model, const std::string& name, Kind kind, std::initializer_list<const char*> dims) {
  onnx::proto::ValueInfoProto tensor;
  onnx::set_type(tensor, name, dims);
  auto* info = model.mutable_graph()->add_input();
  info->set_name(name);
  auto* type = info->mutable_type();
  if (kind != Kind::kSequence) type = type->mutable_optional_type()->mutable_elem_type();
  if (kind != Kind::kOptional) type = type->mutable_sequence_type()->mutable_elem_type();
  *type = tensor.type();
}

class Sequences : public testing::Test {
 protected:
  base::Result<std::shared_ptr<const engine::Engine>> make(const onnx::proto::ModelProto& model, BuildOptions options) {
    const auto path = folder_.path() / "model.onnx";
    XI_CHECK(base::write_file(path, model.SerializeAsString()));
    XI_TRY(const BuildOutput output, build(path, options));
    if (!output.report.verification.ran || !output.report.verification.passed())
      return base::fail(base::Code::kInternal, "not verified: {}", output.report.verification.reason);
    engine::Trust trust;
    trust.allow_unsigned = true;
    XI_TRY(auto engine, engine::open_bytes(output.engine, trust));
    XI_TRY(const Verification again, verify(path, engine));  // what is empty is in the engine's report
    if (!again.passed()) return base::fail(base::Code::kInternal, "not verified again: {}", again.reason);
    return engine;
  }
  std::string refused(const onnx::proto::ModelProto& model, const BuildOptions& options) {
    auto made = make(model, options);
    return made ? "built" : made.error().text();
  }

  base::TemporaryFolder folder_;
};

std::vector<std::string> names(const std::vector<engine::TensorInfo>& infos) {
  std::vector<std::string> all;
  for (const auto& info : infos) all.push_back(info.name);
  return all;
}

Tensor row(std::initializer_list<float> values) {
  return Tensor::from<float>(tensor::DType::kFloat32, {static_cast<std::int64_t>(values.size())}, std::vector<float>(values));
}

using Names = std::vector<std::string>;

TEST_F(Sequences, ElementsAreInputsAndOutputs) {
  auto model = onnx::make_model();
  add_list(model, "x", Kind::kSequence, {"N"});
  onnx::add_input(model, "more", {"2"});
  add_node(model, "SequenceInsert", {"x", "more"}, {"y"});
  onnx::add_output(model, "y");
  BuildOptions options;
  options.input_shapes = {{"x[0]", {3}}, {"x[1]", {1}}};  // the name N holds for no two of them
  auto engine = make(model, options);
  ASSERT_TRUE(engine) << engine.error().text();
  EXPECT_EQ(names((*engine)->plan().inputs), (Names{"x[0]", "x[1]", "more"}));
  EXPECT_EQ(names((*engine)->plan().outputs), (Names{"y[0]", "y[1]", "y[2]"}));
  const Tensor a = row({1, 2, 3}), b = row({4}), more = row({5, 6});
  const Tensor* inputs[] = {&a, &b, &more};
  auto outputs = runtime::run_once(*engine, inputs);
  ASSERT_TRUE(outputs) << outputs.error().text();
  EXPECT_EQ((*outputs)[0].data<float>()[2], 3);
  EXPECT_EQ((*outputs)[1].shape(), tensor::Shape{1});
  EXPECT_EQ((*outputs)[2].data<float>()[1], 6);
}

TEST_F(Sequences, ElementsMayHaveRanges) {
  auto model = onnx::make_model();
  add_list(model, "x", Kind::kSequence, {"N"});
  auto& join = add_node(model, "ConcatFromSequence", {"x"}, {"y"});
  onnx::add_attribute(join, "axis", onnx::proto::AttributeProto::INT).set_i(0);
  onnx::add_output(model, "y");
  BuildOptions options;
  options.input_ranges = {{"x[0]", {{.name = {}, .min = 1, .opt = 2, .max = 4}}}, {"x[1]", tensor::fixed_ranges({2})}};
  auto engine = make(model, options);
  ASSERT_TRUE(engine) << engine.error().text();
  const Tensor a = row({1, 2, 3}), b = row({4, 5});
  const Tensor* inputs[] = {&a, &b};
  auto outputs = runtime::run_once(*engine, inputs);
  ASSERT_TRUE(outputs) << outputs.error().text();
  EXPECT_EQ((*outputs)[0].shape(), tensor::Shape{5});
  EXPECT_EQ((*outputs)[0].data<float>()[3], 4);
}

TEST_F(Sequences, OptionalsHoldATensorASequenceOrNothing) {
  auto model = onnx::make_model(18);
  add_list(model, "a", Kind::kOptional, {"2"});
  add_list(model, "b", Kind::kOptionalSequence, {"1"});
  add_list(model, "c", Kind::kOptional, {"2"});
  for (const char* name : {"a", "b", "c"}) {
    add_node(model, "OptionalHasElement", {name}, {(std::string("has_") + name).c_str()});
    onnx::add_output(model, std::string("has_") + name);
  }
  add_node(model, "Identity", {"a"}, {"y"});
  onnx::add_output(model, "y");
  BuildOptions options;
  options.input_shapes = {{"a", {2}}, {"b[0]", {1}}};
  options.empty_inputs = {"c"};
  auto engine = make(model, options);
  ASSERT_TRUE(engine) << engine.error().text();
  EXPECT_EQ(names((*engine)->plan().inputs), (Names{"a", "b[0]"}));
  EXPECT_EQ(names((*engine)->plan().outputs), (Names{"has_a", "has_b", "has_c", "y"}));
  const Tensor a = row({1, 2}), b = row({3});
  const Tensor* inputs[] = {&a, &b};
  auto outputs = runtime::run_once(*engine, inputs);
  ASSERT_TRUE(outputs) << outputs.error().text();
  EXPECT_EQ((*outputs)[0].as_int64(0), 1);
  EXPECT_EQ((*outputs)[1].as_int64(0), 1);
  EXPECT_EQ((*outputs)[2].as_int64(0), 0);
  EXPECT_EQ((*outputs)[3].data<float>()[1], 2);
}

// Both branches give sequences of one type: which one is decided while running.
TEST_F(Sequences, BranchesAreChosenByData) {
  auto model = onnx::make_model();
  onnx::add_input(model, "c", {}, 9);
  onnx::add_input(model, "x", {"2"});
  auto& node = add_node(model, "If", {"c"}, {"y"});
  for (const char* op : {"Neg", "Abs"}) {
    auto* branch = onnx::add_attribute(node, op == std::string("Neg") ? "then_branch" : "else_branch", onnx::proto::AttributeProto::GRAPH).mutable_g();
    branch->set_name(op);
    add_node(*branch, op, {"x"}, {"one"});
    add_node(*branch, "SequenceConstruct", {"one", "x"}, {"list"});
    branch->add_output()->set_name("list");
  }
  onnx::add_output(model, "y");
  auto engine = make(model, {});
  ASSERT_TRUE(engine) << engine.error().text();
  Tensor yes(tensor::DType::kBool, {});
  const Tensor x = row({1, -2});
  for (const int answer : {0, 1}) {
    yes.set(0, answer);
    const Tensor* inputs[] = {&yes, &x};
    auto outputs = runtime::run_once(*engine, inputs);
    ASSERT_TRUE(outputs) << outputs.error().text();
    ASSERT_EQ(outputs->size(), 2U);
    EXPECT_EQ((*outputs)[0].data<float>()[0], answer != 0 ? -1 : 1);
    EXPECT_EQ((*outputs)[0].data<float>()[1], 2);
    EXPECT_EQ((*outputs)[1].data<float>()[1], -2);
  }
}

TEST_F(Sequences, RefusalsSayWhatToGive) {
  auto model = onnx::make_model();
  add_list(model, "x", Kind::kSequence, {"N", "4"});
  add_node(model, "SequenceLength", {"x"}, {"y"});
  onnx::add_output(model, "y");
  EXPECT_EQ(refused(model, {}),
            "sizes of inputs are not fixed: input 'x' is seq(float32[N,4]). Give each a size or a range minimum:optimum:maximum, for example: "
            "--shape 'x[0]'=1:1:8x4 (a sequence takes one for each of its elements, x[0], x[1], …; an optional one for the tensor that it holds, "
            "or as a sequence; either x=none where there is nothing in it)");
  BuildOptions options;
  options.input_shapes = {{"x[0]", {3, 5}}};
  EXPECT_EQ(refused(model, options), "the shape [3,5] given for input 'x[0]' does not fit the model's float32[_,4] (at model.onnx)");
  options.input_shapes = {{"x[1]", {3, 4}}};
  EXPECT_TRUE(refused(model, options).starts_with("a shape is given for 'x[1]', which is not an input; the inputs are 'x'"));
  options.input_shapes = {{"x[0]", {3, 4}}};
  options.empty_inputs = {"x"};
  EXPECT_TRUE(refused(model, options).starts_with("input 'x' is said to be empty, and shapes or values are given for it"));
  options.empty_inputs = {"y"};
  EXPECT_TRUE(refused(model, options).starts_with("'y' is no sequence or optional that could be empty; the inputs are 'x'"));
}

TEST_F(Sequences, LengthsThatDependOnDataAreRefused) {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"6"});
  onnx::add_input(model, "split", {}, 7);
  add_node(model, "SplitToSequence", {"x", "split"}, {"y"});
  onnx::add_output(model, "y");
  EXPECT_EQ(refused(model, {}), "input 'split' must be known at build time, because it decides shapes: give --fix split=FILE (its value becomes part of the engine)");
}

}  // namespace
}  // namespace xinfer::compiler
