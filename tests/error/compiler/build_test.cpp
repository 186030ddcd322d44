// What cannot be built, and the exact message.
#include <gtest/gtest.h>

#include "../onnx/model_text.h"
#include "base/files.h"
#include "compiler/build.h"

namespace xinfer::compiler {
namespace {

using base::Code;

base::Error refused(const onnx::proto::ModelProto& model, BuildOptions options = {}) {
  base::TemporaryFolder folder;
  const auto path = folder.path() / "model.onnx";
  EXPECT_TRUE(base::write_file(path, model.SerializeAsString()));
  if (options.target == "host") options.target = "x86-64-v3";  // the same everywhere
  auto output = build(path, options);
  return output ? base::Error{Code::kInternal, "built", {}} : output.error();
}

onnx::proto::ModelProto relu_model() {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"N", "3", "H", "W"});
  onnx::add_node(model, "Relu", {"x"}, {"y"}, "act");
  onnx::add_output(model, "y");
  return model;
}

TEST(BuildErrors, SizesOfInputsAreMissing) {
  const base::Error error = refused(relu_model());
  EXPECT_EQ(error.code, Code::kInvalidArgument);
  EXPECT_EQ(error.text(),
            "sizes of inputs are not fixed: input 'x' is float32[N,3,H,W]. Give each a size or a range minimum:optimum:maximum, "
            "for example: --shape x=1:1:8x3x64:224:640x64:224:640");
}

TEST(BuildErrors, TheWholeCommandIsGiven) {
  BuildOptions options;
  options.command = "xinfer-cli build --onnx a.onnx -o a.engine";
  EXPECT_TRUE(refused(relu_model(), options).text().ends_with("for example:\n  xinfer-cli build --onnx a.onnx -o a.engine --shape x=1:1:8x3x64:224:640x64:224:640"));
}

TEST(BuildErrors, ARangeForAModelOfOneSize) {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"N", "4"});
  auto* shape = model.mutable_graph()->add_initializer();
  shape->set_name("shape");
  shape->set_data_type(7);
  shape->add_dims(2);
  for (int size : {2, 2}) shape->add_int64_data(size);
  onnx::add_node(model, "Reshape", {"x", "shape"}, {"y"});
  onnx::add_output(model, "y");
  BuildOptions options;
  options.input_ranges["x"] = {{.name = {}, .min = 1, .opt = 1, .max = 3}, {.name = {}, .min = 4, .opt = 4, .max = 4}};
  const base::Error error = refused(model, options);
  EXPECT_EQ(error.code, Code::kUnsupported);
  EXPECT_EQ(error.text(), "'y' is reshaped from float32[N,4] to float32[2,2], which is not possible with N=3: the model is written for fixed sizes there");
}

TEST(BuildErrors, AnInputDecidesShapes) {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"2", "3"});
  onnx::add_input(model, "shape", {"1"}, 7);
  onnx::add_node(model, "Reshape", {"x", "shape"}, {"y"});
  onnx::add_output(model, "y");
  const base::Error error = refused(model);
  EXPECT_EQ(error.code, Code::kUnsupported);
  EXPECT_EQ(error.text(),
            "input 'shape' must be known at build time, because it decides shapes: give --fix shape=FILE (its value becomes part of the engine)");
}

TEST(BuildErrors, AnOutputOfStrings) {
  auto model = onnx::make_model();
  auto& node = onnx::add_node(model, "Constant", {}, {"y"});
  onnx::add_attribute(node, "value_string", onnx::proto::AttributeProto::STRING).set_s("text");
  onnx::add_output(model, "y");
  BuildOptions options;
  options.target = "sm_80";
  const base::Error error = refused(model, options);
  EXPECT_EQ(error.code, Code::kUnsupported);
  EXPECT_EQ(error.text(), "output 'y' is string[]: engines for GPUs take and give numbers only, those for CPUs strings too");
}

TEST(BuildErrors, IntegerSumsInSixteenBitFloats) {
  auto model = onnx::make_model();
  onnx::add_input(model, "a", {"2", "3"}, 2);
  onnx::add_input(model, "b", {"3", "2"}, 2);
  onnx::add_node(model, "MatMulInteger", {"a", "b"}, {"y"});
  onnx::add_output(model, "y");
  BuildOptions options;
  options.target = "h100:fp16";
  const base::Error error = refused(model, options);
  EXPECT_EQ(error.code, Code::kUnsupported);
  EXPECT_EQ(error.text(), "MatMulInteger sums integers, which 16-bit floats cannot hold: build this quantised model in fp32");
}

TEST(BuildErrors, UnknownPass) {
  BuildOptions options;
  options.input_shapes["x"] = {1, 3, 2, 2};
  options.disabled_passes = {"fold"};
  const base::Error error = refused(relu_model(), options);
  EXPECT_EQ(error.code, Code::kInvalidArgument);
  EXPECT_TRUE(error.message.starts_with("there is no pass 'fold'; the passes are extract_scales, fold_constants, inline_control_flow, ")) << error.text();
}

TEST(BuildErrors, UnknownPassToDumpAfter) {
  BuildOptions options;
  options.input_shapes["x"] = {1, 3, 2, 2};
  options.dump_after = "folding";
  const base::Error error = refused(relu_model(), options);
  EXPECT_TRUE(error.message.starts_with("there is no pass 'folding' to dump after; known are all, import, ")) << error.text();
}

TEST(BuildErrors, Cancelled) {
  BuildOptions options;
  options.cancelled = [] { return true; };
  const base::Error error = refused(relu_model(), options);
  EXPECT_EQ(error.code, Code::kCancelled);
  EXPECT_EQ(error.text(), "cancelled before stage import");
}

}  // namespace
}  // namespace xinfer::compiler
