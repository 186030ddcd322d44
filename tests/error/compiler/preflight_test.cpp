// What preflight says of models that cannot be built: everything at once, with nodes and a way out.
#include "compiler/preflight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../onnx/model_text.h"
#include "base/files.h"

namespace xinfer::compiler {
namespace {

using base::Code;
using testing::ElementsAre;
using testing::HasSubstr;

base::Result<Preflight> look(const std::string& bytes, PreflightOptions options = {}) {
  base::TemporaryFolder folder;
  const auto path = folder.path() / "model.onnx";
  EXPECT_TRUE(base::write_file(path, bytes));
  if (options.targets == std::vector<std::string>{"host"}) options.targets = {"x86-64-v3"};  // the same everywhere
  return preflight(path, options);
}
base::Result<Preflight> look(const onnx::proto::ModelProto& model, PreflightOptions options = {}) {
  return look(model.SerializeAsString(), std::move(options));
}

const Problem* find(const std::vector<Problem>& problems, std::string_view op) {
  for (const Problem& problem : problems)
    if (problem.op == op) return &problem;
  return nullptr;
}

TEST(PreflightErrors, AllUnsupportedOperatorsAtOnce) {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"2", "3"});
  onnx::add_node(model, "Relu", {"x"}, {"a"}, "fine");
  onnx::add_node(model, "Frobnicate", {"a"}, {"b"}, "first");
  onnx::add_node(model, "Relu", {"b"}, {"c"}, "behind");
  onnx::add_node(model, "Sparkle", {"c"}, {"d"}, "second").set_domain("com.example");
  onnx::add_node(model, "Frobnicate", {"d"}, {"e"}, "third");
  onnx::add_node(model, "Adagrad", {"e"}, {"f"}, "fourth").set_domain("ai.onnx.preview.training");
  onnx::add_output(model, "f");
  const auto found = look(model);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_FALSE(found->supported());
  ASSERT_EQ(found->problems.size(), 3u) << found->error().text();
  EXPECT_THAT(find(found->problems, "Frobnicate")->nodes, ElementsAre("first", "third"));
  EXPECT_EQ(find(found->problems, "com.example.Sparkle")->reason,
            "there is no such operator known in the domain 'com.example'");
  EXPECT_THAT(find(found->problems, "com.example.Sparkle")->advice, HasSubstr("ONNX function"));
  EXPECT_THAT(find(found->problems, "ai.onnx.preview.training.Adagrad")->advice,
              HasSubstr("export the model for inference"));
  EXPECT_EQ(found->error().code, Code::kUnsupported);
  for (const char* node : {"first", "second", "third", "fourth"}) EXPECT_THAT(found->error().message, HasSubstr(node));
}

TEST(PreflightErrors, UnknownOperatorsDoNotHideTheOthers) {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"1", "4", "8", "8"}, 11);
  onnx::add_input(model, "w", {"4", "4", "1", "1"}, 11);
  onnx::add_node(model, "Conv", {"x", "w"}, {"a"}, "doubles");
  onnx::add_node(model, "Frobnicate", {"a"}, {"b"}, "custom");
  onnx::add_output(model, "b");
  onnx::set_type(*model.mutable_graph()->add_value_info(), "b", {"1", "4", "8", "8"}, 11);
  const auto found = look(model);
  ASSERT_TRUE(found) << found.error().text();
  ASSERT_NE(find(found->problems, "Frobnicate"), nullptr);
  ASSERT_NE(find(found->problems, "Conv"), nullptr) << found->error().text();
  EXPECT_EQ(find(found->problems, "Conv")->reason, "Conv of float64 is not supported: use float32");
  EXPECT_THAT(find(found->problems, "Conv")->advice, HasSubstr("float32"));
}

TEST(PreflightErrors, GoesOnBehindValuesOfUnknownType) {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"1", "4", "8", "8"});
  onnx::add_initializer(*model.mutable_graph(), "w", {1, 4, 1, 1}, {1, 2, 3, 4});
  onnx::add_node(model, "Frobnicate", {"x"}, {"a"}, "custom");
  onnx::add_node(model, "Conv", {"a", "w"}, {"b"}, "conv");
  onnx::add_node(model, "Add", {"b", "x"}, {"c"}, "add");
  onnx::add_node(model, "Sparkle", {"c"}, {"d"}, "last");
  onnx::add_input(model, "s", {"1", "4", "8", "8"}, 11);
  onnx::add_input(model, "v", {"4", "4", "1", "1"}, 11);
  onnx::add_node(model, "Conv", {"s", "v"}, {"t"}, "doubles");
  onnx::add_output(model, "d");
  onnx::add_output(model, "t");
  const auto found = look(model);
  ASSERT_TRUE(found) << found.error().text();
  for (const char* op : {"Frobnicate", "Sparkle", "Conv"})
    ASSERT_NE(find(found->problems, op), nullptr) << op << " is not in " << found->error().text() << found->unseen;
  EXPECT_THAT(find(found->problems, "Conv")->nodes, ElementsAre("doubles"));
}

TEST(PreflightErrors, QuantisedOperatorsAreTakenApartAndNoProblem) {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"1", "4", "8", "8"}, 2);
  onnx::add_input(model, "w", {"4", "4", "1", "1"}, 2);
  onnx::add_node(model, "ConvInteger", {"x", "w"}, {"y"}, "conv");
  onnx::add_output(model, "y");
  const auto found = look(model);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_TRUE(found->supported()) << found->error().text();
}

TEST(PreflightErrors, EveryNodeThatCannotBeScheduled) {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"1", "4", "8", "8"}, 11);
  onnx::add_input(model, "w", {"4", "4", "1", "1"}, 11);
  onnx::add_node(model, "Conv", {"x", "w"}, {"a"}, "one");
  onnx::add_node(model, "Conv", {"a", "w"}, {"b"}, "two");
  onnx::add_output(model, "b");
  const auto found = look(model);
  ASSERT_TRUE(found) << found.error().text();
  ASSERT_EQ(found->problems.size(), 1u) << found->error().text();
  EXPECT_THAT(found->problems[0].nodes, ElementsAre("one", "two"));
  EXPECT_TRUE(found->forecasts[0].problems.empty());
}

TEST(PreflightErrors, AnInputDecidesShapes) {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"2", "3"});
  onnx::add_input(model, "shape", {"1"}, 7);
  onnx::add_node(model, "Reshape", {"x", "shape"}, {"y"});
  onnx::add_output(model, "y");
  const auto found = look(model);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_FALSE(found->supported());
  EXPECT_THAT(found->error().message, HasSubstr("input 'shape' decides shapes"));
  EXPECT_THAT(found->error().message, HasSubstr("give --fix shape=FILE"));
}

tensor::Symbol range(std::int64_t min, std::int64_t opt, std::int64_t max) { return {{}, min, opt, max}; }

// A convolution whose kernel is another where sizes are known.
onnx::proto::ModelProto convolution() {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"N", "3", "H", "W"});
  auto& weights = *model.mutable_graph()->add_initializer();
  weights.set_name("w"), weights.set_data_type(1);
  for (int size : {16, 3, 3, 3}) weights.add_dims(size);
  for (int i = 0; i < 16 * 27; ++i) weights.add_float_data(0.5F);
  onnx::add_node(model, "Conv", {"x", "w"}, {"y"});
  onnx::add_output(model, "y");
  return model;
}

TEST(PreflightErrors, ProfilesHaveFiguresOfTheirOwn) {
  PreflightOptions options;
  options.verify = false;
  options.input_ranges = {{"x", {range(1, 1, 4), range(3, 3, 3), range(8, 32, 64), range(8, 32, 64)}}};
  const auto without = look(convolution(), options);
  options.profiles = {{{"x", {range(1, 1, 1), range(3, 3, 3), range(16, 16, 16), range(16, 16, 16)}}},
                      {{"x", {range(4, 4, 4), range(3, 3, 3), range(64, 64, 64), range(64, 64, 64)}}}};
  const auto found = look(convolution(), options);
  ASSERT_TRUE(found) << found.error().text();
  ASSERT_TRUE(found->supported()) << found->error().text();
  const Forecast &all = found->forecasts[0], &whole = without->forecasts[0];
  ASSERT_EQ(all.profiles.size(), 2u);
  EXPECT_EQ(all.profiles[0].sizes, "x=1x3x16x16");
  EXPECT_LT(all.profiles[0].latency.likely, all.latency.likely);
  EXPECT_GT(all.profiles[1].latency.likely, all.profiles[0].latency.likely);
  EXPECT_GT(all.profiles[0].kernels, 0u);
  EXPECT_EQ(all.kernels, whole.kernels + all.profiles[0].kernels + all.profiles[1].kernels);
  EXPECT_GT(all.build.likely, whole.build.likely);
  EXPECT_GT(all.latency_most.likely, whole.latency_most.likely / 2);  // of the whole range; the machine is measured each time
}

TEST(PreflightErrors, ProfilesOutsideOfTheRangeAndOnGpus) {
  PreflightOptions options;
  options.input_ranges = {{"x", {range(1, 1, 1), range(3, 3, 3), range(8, 32, 64), range(8, 32, 64)}}};
  options.profiles = {{{"x", {range(1, 1, 1), range(3, 3, 3), range(8, 8, 128), range(8, 8, 8)}}}};
  const auto outside = look(convolution(), options);
  ASSERT_FALSE(outside);
  EXPECT_EQ(outside.error().code, Code::kInvalidArgument);
  EXPECT_THAT(outside.error().message, HasSubstr("profiles lie inside of --shape"));
  options.input_ranges = {{"x", tensor::fixed_ranges({1, 3, 32, 32})}};
  options.targets = {"t4"};
  const auto gpu = look(convolution(), options);
  ASSERT_TRUE(gpu) << gpu.error().text();
  EXPECT_THAT(gpu->error().message, HasSubstr("engines for GPUs have no profiles"));
}

// What a build makes without --shape: engines for CPUs of several batches, unless the model is written for one.
TEST(PreflightErrors, TheBatchThatABuildTakesByItself) {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"N", "6"});
  onnx::add_node(model, "Relu", {"x"}, {"y"});
  onnx::add_output(model, "y");
  auto found = look(model);
  ASSERT_TRUE(found) << found.error().text();
  ASSERT_EQ(found->dynamic_inputs.size(), 1u);
  EXPECT_TRUE(found->dynamic_inputs[0].by_default);
  EXPECT_FALSE(found->needs_sizes());
  EXPECT_GT(found->forecasts[0].latency_most.likely, 0);

  auto& shape = *model.mutable_graph()->add_initializer();  // written for one batch
  shape.set_name("shape"), shape.set_data_type(7), shape.add_dims(2), shape.add_int64_data(2), shape.add_int64_data(3);
  model.mutable_graph()->clear_output();
  onnx::add_node(model, "Reshape", {"y", "shape"}, {"z"});
  onnx::add_output(model, "z");
  found = look(model);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_TRUE(found->supported()) << found->error().text();
  EXPECT_TRUE(found->needs_sizes());
  EXPECT_EQ(found->forecasts[0].latency_most.likely, 0);
}

TEST(PreflightErrors, FilesThatAreNoModels) {
  EXPECT_EQ(look(std::string()).error().code, Code::kCorrupt);
  EXPECT_EQ(look(std::string(1000, '\xff')).error().code, Code::kCorrupt);
  EXPECT_EQ(preflight("nowhere.onnx", {}).error().code, Code::kNotFound);
  auto model = onnx::make_model(99);
  onnx::add_input(model, "x", {"2"});
  onnx::add_output(model, "x");
  const auto newer = look(model);
  ASSERT_TRUE(newer) << newer.error().text();
  EXPECT_THAT(newer->error().message, HasSubstr("opset 99 is newer than"));
}

TEST(PreflightErrors, TargetsAreToldApart) {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"2", "3"});
  onnx::add_node(model, "Relu", {"x"}, {"y"});
  onnx::add_output(model, "y");
  PreflightOptions options;
  options.targets = {"x86-64-v3", "x86-64-v4:int8"};
  const auto found = look(model, options);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_TRUE(found->problems.empty());
  EXPECT_TRUE(found->forecasts[0].problems.empty());
  EXPECT_GT(found->forecasts[0].latency.likely, 0);
  ASSERT_EQ(found->forecasts[1].problems.size(), 1u);
  EXPECT_THAT(found->forecasts[1].problems[0].reason, HasSubstr("precision int8"));
  options.targets = {"rtx_4091"};
  EXPECT_EQ(look(model, options).error().code, Code::kNotFound);
}

TEST(PreflightErrors, StringsAreForCpus) {
  auto model = onnx::make_model();
  onnx::add_input(model, "s", {"2"}, 8);
  onnx::add_node(model, "StringNormalizer", {"s"}, {"t"}, "words");
  onnx::add_output(model, "t");
  const auto found = look(model);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_TRUE(found->supported()) << found->error().text();
  PreflightOptions options;
  options.targets = {"sm_80"};
  const auto gpu = look(model, options);
  ASSERT_TRUE(gpu) << gpu.error().text();
  EXPECT_FALSE(gpu->supported());
  EXPECT_THAT(gpu->error().message, HasSubstr("input 's' is string[2]: engines for GPUs take and give numbers only"));
}

TEST(Preflight, SizesAreAssumedWhereTheModelLeavesThemOpen) {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"N", "3", "H", "W"});
  onnx::add_input(model, "mask", {"N", "T"});
  onnx::add_node(model, "Relu", {"x"}, {"y"});
  onnx::add_node(model, "Relu", {"mask"}, {"z"});
  onnx::add_output(model, "y");
  onnx::add_output(model, "z");
  const auto found = look(model);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_TRUE(found->supported()) << found->error().text();
  ASSERT_EQ(found->dynamic_inputs.size(), 2u);
  EXPECT_EQ(found->dynamic_inputs[0].type, "float32[N,3,H,W]");
  EXPECT_EQ(found->dynamic_inputs[0].option, "--shape x=1x3x224x224");
  EXPECT_EQ(found->dynamic_inputs[1].option, "--shape mask=1x128");
  PreflightOptions options;
  options.input_ranges["x"] = tensor::fixed_ranges({2, 3, 8, 8});
  const auto given = look(model, options);
  ASSERT_TRUE(given) << given.error().text();
  ASSERT_EQ(given->dynamic_inputs.size(), 1u);
  EXPECT_EQ(given->dynamic_inputs[0].option, "--shape mask=2x128");
}

TEST(Preflight, AssumedSizesFitTheModel) {  // one batch for data and state, and sequences longer than the window
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"batch", "time"});
  onnx::add_input(model, "state", {"2", "batch", "1"});
  auto& axes = *model.mutable_graph()->add_initializer();
  axes.set_name("axes"), axes.set_data_type(7), axes.add_dims(1), axes.add_int64_data(1);
  auto& window = *model.mutable_graph()->add_initializer();
  window.set_name("w"), window.set_data_type(1);
  for (int size : {1, 1, 200}) window.add_dims(size);
  for (int i = 0; i < 200; ++i) window.add_float_data(1);
  onnx::add_node(model, "Unsqueeze", {"x", "axes"}, {"signal"});
  onnx::add_node(model, "Conv", {"signal", "w"}, {"filtered"});
  onnx::add_node(model, "Relu", {"state"}, {"kept"});
  onnx::add_output(model, "filtered"), onnx::add_output(model, "kept");
  const auto found = look(model);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_TRUE(found->supported()) << found->error().text();
  ASSERT_EQ(found->dynamic_inputs.size(), 2u);
  EXPECT_EQ(found->dynamic_inputs[0].option, "--shape x=1x512");
  EXPECT_EQ(found->dynamic_inputs[1].range_option, "--shape state=2x1:1:8x1");
}

TEST(Preflight, ListsTakeSizesOfTheirElements) {
  auto model = onnx::make_model();
  auto* input = model.mutable_graph()->add_input();
  input->set_name("list");
  auto* element = input->mutable_type()->mutable_sequence_type()->mutable_elem_type()->mutable_tensor_type();
  element->set_elem_type(1);
  for (int i = 0; i < 2; ++i) element->mutable_shape()->add_dim();
  onnx::add_node(model, "ConcatFromSequence", {"list"}, {"y"}).add_attribute()->set_name("axis");
  auto& axis = *model.mutable_graph()->mutable_node(0)->mutable_attribute(0);
  axis.set_type(onnx::proto::AttributeProto::INT), axis.set_i(0);
  onnx::add_output(model, "y");
  const auto found = look(model);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_TRUE(found->supported()) << found->error().text();
  ASSERT_EQ(found->dynamic_inputs.size(), 1u);
  EXPECT_EQ(found->dynamic_inputs[0].option, "--shape list[0]=1x128");
}

TEST(Preflight, RangesAreForecastAtTheirOptimumAndEnds) {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"N", "4", "H", "H"});
  onnx::add_initializer(*model.mutable_graph(), "w", {4, 4, 1, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
  onnx::add_node(model, "Conv", {"x", "w"}, {"y"}, "conv");
  onnx::add_output(model, "y");
  PreflightOptions options;
  options.input_ranges["x"] = {{"", 1, 2, 8}, {"", 4, 4, 4}, {"", 16, 128, 512}, {"", 16, 128, 512}};
  const auto found = look(model, options);
  ASSERT_TRUE(found) << found.error().text();
  ASSERT_TRUE(found->supported()) << found->error().text();
  EXPECT_TRUE(found->dynamic_inputs.empty());
  const Forecast& forecast = found->forecasts[0];
  EXPECT_EQ(forecast.multiply_adds, 4.0 * 4 * 2 * 128 * 128);
  EXPECT_GT(forecast.latency_least.likely, 0);
  EXPECT_LT(2 * forecast.latency_least.likely, forecast.latency.likely);
  EXPECT_LT(2 * forecast.latency.likely, forecast.latency_most.likely);
  EXPECT_THAT(to_json(*found), HasSubstr("latency_most_ms"));
  options.input_ranges["x"] = tensor::fixed_ranges({2, 4, 128, 128});
  const auto fixed = look(model, options);
  ASSERT_TRUE(fixed) << fixed.error().text();
  EXPECT_EQ(fixed->forecasts[0].latency_most.likely, 0);
  EXPECT_EQ(fixed->forecasts[0].multiply_adds, forecast.multiply_adds);
}

TEST(Preflight, CountsExactly) {
  auto model = onnx::make_model();
  onnx::add_input(model, "x", {"1", "2", "5", "5"});
  onnx::add_initializer(*model.mutable_graph(), "w", {3, 2, 1, 1}, {1, 2, 3, 4, 5, 6});
  onnx::add_node(model, "Conv", {"x", "w"}, {"y"}, "conv");
  onnx::add_output(model, "y");
  const auto found = look(model);
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_EQ(found->parameters, 6);
  EXPECT_EQ(found->forecasts[0].multiply_adds, 3 * 2 * 25);
}

}  // namespace
}  // namespace xinfer::compiler
