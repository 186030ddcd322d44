// Values that a build was given for inputs: the engine knows them when it is verified later.
#include "compiler/fixed_inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "symbolic.h"
#include "tensor/npy.h"

namespace xinfer::compiler {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using tensor::DType;
using tensor::Tensor;

class Fixed : public Symbolic {
 protected:
  // y = Reshape(x, shape) + bias, shape and bias being inputs; verified without any value at hand.
  void make(std::int64_t columns) {
    auto model = onnx::make_model();
    add_input(model, "x", {"N", std::to_string(columns).c_str()});
    add_input(model, "shape", {"2"}, 7);
    add_input(model, "bias", {std::to_string(columns).c_str()});
    add_node(model, "Reshape", {"x", "shape"}, {"r"});
    add_node(model, "Add", {"r", "bias"}, {"y"});
    add_output(model, "y");
    path_ = folder_.path() / "model.onnx";
    ASSERT_TRUE(base::write_file(path_, model.SerializeAsString()));
    const std::int64_t shape[] = {-1, columns};
    values_ = {{"shape", Tensor::from_int64s(shape)}, {"bias", Tensor(DType::kFloat32, {columns})}};
    values_.at("bias").set(1, 0.1);
    BuildOptions options;
    options.input_ranges = {{"x", {range(1, 2, 5), fixed(columns)}}};
    options.profiles = {{{"x", {fixed(3), fixed(columns)}}}};
    options.input_values = values_;
    options.verify = false;
    const auto built = build(path_, options);
    ASSERT_TRUE(built) << built.error().text();
    engine::Trust trust;
    trust.allow_unsigned = true;
    auto opened = engine::open_bytes(built->engine, trust);
    ASSERT_TRUE(opened) << opened.error().text();
    engine_ = *opened;
  }
  std::string refusal(const std::map<std::string, Tensor>& given) {
    const auto verified = verify(path_, engine_, given);
    return verified ? "verified" : verified.error().text();
  }
  std::map<std::string, Tensor> values_;
};

TEST_F(Fixed, TheEngineKnowsItsValues) {
  make(4);
  const auto verified = verify(path_, engine_);
  ASSERT_TRUE(verified) << verified.error().text();
  EXPECT_TRUE(verified->passed()) << verified->reason;
  EXPECT_EQ(refusal(values_), "verified");
  EXPECT_THAT(describe_fixed_inputs(engine_->manifest().report), ElementsAre(HasSubstr("bias = float32[4] 0, 0.1"), "shape = int64[2] -1, 4"));
  EXPECT_THAT(refusal({{"shape", Tensor::from_int64s(std::vector<std::int64_t>{4, -1})}}), HasSubstr("built with another value of 'shape'"));
  EXPECT_THAT(refusal({{"x", Tensor(DType::kFloat32, {2, 4})}}), HasSubstr("'x', which was not fixed"));
  Tensor narrow(DType::kInt32, {2});  // the same numbers
  narrow.set(0, -1), narrow.set(1, 4);
  EXPECT_EQ(refusal({{"shape", narrow}}), "verified");
}

TEST_F(Fixed, LargeValuesAreGivenAgain) {
  make(2000);
  EXPECT_THAT(refusal({}), HasSubstr("give it, --fix bias=FILE"));
  EXPECT_EQ(refusal({{"bias", values_.at("bias")}}), "verified");
  EXPECT_THAT(refusal({{"bias", Tensor(DType::kFloat32, {2000})}}), HasSubstr("another value of 'bias'"));
}

TEST(FixedInputs, StringsAndEmptyLists) {
  Tensor words(DType::kString, {2});
  words.strings() = {"one", "two"};
  Tensor bytes(DType::kString, {1});
  bytes.strings() = {"\xff"};
  const nlohmann::ordered_json report = {{"fixed_inputs", to_json({{{"words", words}}, {"mask"}})}};
  const auto read = read_fixed_inputs(report.dump(), {});
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->values.at("words").strings(), words.strings());
  EXPECT_EQ(read->empty, std::set<std::string>{"mask"});
  EXPECT_THAT(describe_fixed_inputs(report.dump()), ElementsAre("words = string[2] one, two", "mask = none"));
  // What JSON cannot hold is known by its digest.
  const auto odd = nlohmann::ordered_json{{"fixed_inputs", to_json({{{"bytes", bytes}}, {}})}}.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  EXPECT_FALSE(read_fixed_inputs(odd, {}));
  EXPECT_TRUE(read_fixed_inputs(odd, {{"bytes", bytes}}));
}

// An engine may hold anything.
TEST(FixedInputs, AnyReportIsRead) {
  for (const char* report : {"", "[]", "{\"fixed_inputs\":3}", R"({"fixed_inputs":{"values":[],"empty":{}}})", R"({"fixed_inputs":{"empty":[3,{}]}})"}) {
    const auto read = read_fixed_inputs(report, {});
    ASSERT_TRUE(read) << report;
    EXPECT_TRUE(read->values.empty() && read->empty.empty()) << report;
  }
  for (const char* value : {"3", "{}", R"({"dtype":"float32","shape":[4000000000,4000000000],"bytes":""})", R"({"dtype":"float32","shape":[-1],"bytes":""})",
                            R"({"dtype":"int64","shape":[1],"bytes":"0011"})", R"({"dtype":"string","shape":[1],"strings":[3]})", R"({"dtype":7,"shape":"x","bytes":"zz"})"}) {
    const std::string report = std::string(R"({"fixed_inputs":{"values":{"x":)") + value + "}}}";
    EXPECT_THAT(read_fixed_inputs(report, {}).error().text(), HasSubstr("--fix x=FILE")) << report;
    EXPECT_EQ(describe_fixed_inputs(report).size(), 1u);
  }
}

}  // namespace
}  // namespace xinfer::compiler
