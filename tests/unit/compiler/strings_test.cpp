// Strings in engines: every operator's native code against the reference functions, and the texts that kernels make.
#include <gtest/gtest.h>

#include "../../error/onnx/model_text.h"
#include "base/files.h"
#include "compiler/build.h"
#include "compiler/verify_engine.h"
#include "engine/engine.h"
#include "forge/reference/reference.h"
#include "onnx/import.h"
#include "runtime/session.h"
#include "xinfer/c_api.h"
#include "xinfer/core/inference_engine.h"

namespace xinfer::compiler {
namespace {

using onnx::add_attribute;
using onnx::add_input;
using onnx::add_node;
using onnx::add_output;
using onnx::proto::AttributeProto;
using onnx::proto::ModelProto;
using tensor::DType;
using tensor::Tensor;

constexpr int kStringType = 8;
using Words = std::vector<std::string>;

Tensor strings(tensor::Shape shape, Words words) {
  Tensor tensor(DType::kString, std::move(shape));
  tensor.strings() = std::move(words);
  return tensor;
}
Tensor list(Words words) {
  const auto count = static_cast<std::int64_t>(words.size());
  return strings({count}, std::move(words));
}

void text(onnx::proto::NodeProto& node, const std::string& name, const std::string& value) { add_attribute(node, name, AttributeProto::STRING).set_s(value); }
void number(onnx::proto::NodeProto& node, const std::string& name, std::int64_t value) { add_attribute(node, name, AttributeProto::INT).set_i(value); }
void words(onnx::proto::NodeProto& node, const std::string& name, const Words& values) {
  auto& attribute = add_attribute(node, name, AttributeProto::STRINGS);
  for (const auto& value : values) attribute.add_strings(value);
}
void numbers(onnx::proto::NodeProto& node, const std::string& name, const std::vector<std::int64_t>& values) {
  auto& attribute = add_attribute(node, name, AttributeProto::INTS);
  for (auto value : values) attribute.add_ints(value);
}

ModelProto make_model() {
  ModelProto model = onnx::make_model(20);
  auto* classical = model.add_opset_import();
  classical->set_domain("ai.onnx.ml");
  classical->set_version(4);
  return model;
}
onnx::proto::NodeProto& add_classical(ModelProto& model, const std::string& op) {
  auto& node = add_node(model, op, {"x"}, {"y"});
  node.set_domain("ai.onnx.ml");
  return node;
}

class Strings : public testing::Test {
 protected:
  std::string built(const ModelProto& model, const std::string& target = "host") {
    path_ = folder_.path() / "model.onnx";
    if (auto written = base::write_file(path_, model.SerializeAsString()); !written) return written.error().text();
    BuildOptions options;
    options.target = target;
    auto output = build(path_, options);
    if (!output) return output.error().text();
    bytes_ = std::move(output->engine);
    engine::Trust trust;
    trust.allow_unsigned = true;
    auto opened = engine::open_bytes(bytes_, trust);
    if (!opened) return opened.error().text();
    engine_ = *opened;
    return output->report.verification.passed() || !output->report.verification.ran ? "" : "verification failed";
  }

  std::vector<Tensor> run(const std::vector<Tensor>& inputs) {
    std::vector<const Tensor*> pointers;
    for (const Tensor& input : inputs) pointers.push_back(&input);
    auto outputs = runtime::run_once(engine_, pointers, 2);
    EXPECT_TRUE(outputs) << outputs.error().text();
    return outputs ? *outputs : std::vector<Tensor>{};
  }

  // Builds and runs the model, and compares with the reference.
  void check(const ModelProto& model, const std::vector<Tensor>& inputs) {
    ASSERT_EQ(built(model), "");
    auto graph = onnx::import_model(path_);
    ASSERT_TRUE(graph) << graph.error().text();
    std::vector<forge::reference::Value> values(inputs.begin(), inputs.end());
    auto expected = forge::reference::evaluate(*graph, values);
    ASSERT_TRUE(expected) << expected.error().text();
    const auto actual = run(inputs);
    ASSERT_EQ(actual.size(), expected->size());
    for (std::size_t i = 0; i < actual.size(); ++i) {
      const Tensor& wanted = *(*expected)[i].tensor;
      EXPECT_EQ(actual[i].shape(), wanted.shape());
      EXPECT_EQ(actual[i].strings(), wanted.strings());
      EXPECT_TRUE(compare("y", actual[i], wanted, Exactness::kFull).matches);
    }
  }

  base::TemporaryFolder folder_;
  std::filesystem::path path_;
  std::string bytes_;
  std::shared_ptr<const engine::Engine> engine_;
};

TEST_F(Strings, MoveLikeNumbers) {
  ModelProto model = make_model();
  add_input(model, "x", {"2", "3"}, kStringType);
  add_input(model, "i", {"2"}, 7);
  add_node(model, "Transpose", {"x"}, {"t"});
  add_node(model, "Gather", {"t", "i"}, {"g"});
  auto& join = add_node(model, "Concat", {"g", "t"}, {"c"});
  number(join, "axis", 0);
  add_node(model, "Equal", {"g", "g"}, {"same"});
  add_node(model, "Identity", {"c"}, {"y"});
  for (const char* name : {"y", "same"}) add_output(model, name);
  const std::int64_t rows[] = {2, 0};
  check(model, {strings({2, 3}, {"a", "", "ccc", "dd", "e\0e", "füß"}), Tensor::from_int64s(rows)});
}

TEST_F(Strings, ConstantsAreTables) {
  ModelProto model = make_model();
  auto* table = model.mutable_graph()->add_initializer();
  table->set_name("names");
  table->set_data_type(kStringType);
  table->add_dims(3);
  for (const char* name : {"cat", "\"dog\"\\?\n", ""}) table->add_string_data(name);
  add_input(model, "i", {"4"}, 7);
  add_node(model, "Gather", {"names", "i"}, {"y"});
  add_node(model, "Equal", {"y", "names0"}, {"is_cat"});
  auto* first = model.mutable_graph()->add_initializer();
  first->set_name("names0");
  first->set_data_type(kStringType);
  first->add_string_data("cat");
  for (const char* name : {"y", "is_cat", "names"}) add_output(model, name);
  const std::int64_t rows[] = {2, 1, 0, 1};
  check(model, {Tensor::from_int64s(rows)});
}

TEST_F(Strings, Concat) {
  ModelProto model = make_model();
  add_input(model, "a", {"2", "1"}, kStringType);
  add_input(model, "b", {"3"}, kStringType);
  add_node(model, "StringConcat", {"a", "b"}, {"y"});
  add_output(model, "y");
  check(model, {strings({2, 1}, {"x", ""}), list({"1", "", "ß"})});
}

// More text than there is room for at first: the session enlarges its memory and runs again, also where one text is made of another.
TEST_F(Strings, TextsMayBeLong) {
  ModelProto model = make_model();
  add_input(model, "a", {"4"}, kStringType);
  add_node(model, "StringConcat", {"a", "a"}, {"b"});
  add_node(model, "StringConcat", {"b", "b"}, {"c"});
  add_node(model, "StringConcat", {"c", "b"}, {"y"});
  add_output(model, "y");
  check(model, {list({std::string(100'000, 'a'), "b", std::string(5'000, 'c'), ""})});
}

TEST_F(Strings, Normalizer) {
  struct Case {
    const char* action;
    int sensitive;
    Words stop;
  };
  const Words days{"Monday", "tuesday"};
  for (const Case& c : {Case{"NONE", 1, {}}, Case{"LOWER", 0, {}}, Case{"NONE", 0, days}, Case{"LOWER", 1, days}, Case{"UPPER", 0, days}}) {
    ModelProto model = make_model();
    add_input(model, "x", {"1", "5"}, kStringType);
    auto& node = add_node(model, "StringNormalizer", {"x"}, {"y"});
    text(node, "case_change_action", c.action);
    number(node, "is_case_sensitive", c.sensitive);
    if (!c.stop.empty()) words(node, "stopwords", c.stop);
    add_output(model, "y");
    check(model, {strings({1, 5}, {"monday", "Monday", "TUESDAY", "tuesday", "Ähre"})});
  }
}

TEST_F(Strings, NormalizerLeavesOneEmptyString) {
  ModelProto model = make_model();
  add_input(model, "x", {"2"}, kStringType);
  words(add_node(model, "StringNormalizer", {"x"}, {"y"}), "stopwords", {"a", "b"});
  add_output(model, "y");
  check(model, {list({"A", "b"})});
  EXPECT_EQ(run({list({"c", "b"})})[0].strings(), Words{"c"});
}

TEST_F(Strings, Split) {
  for (const char* delimiter : {"", "--"})
    for (const int most : {-1, 0, 2}) {
      ModelProto model = make_model();
      add_input(model, "x", {"2", "3"}, kStringType);
      auto& node = add_node(model, "StringSplit", {"x"}, {"y", "n"});
      text(node, "delimiter", delimiter);
      if (most >= 0) number(node, "maxsplit", most);
      for (const char* name : {"y", "n"}) add_output(model, name);
      check(model, {strings({2, 3}, {"a,b,c", "  a  b c ", "a--b---c--", "", ",", "\t"})});
    }
}

TEST_F(Strings, SplitHasRoomForSoManyParts) {
  ModelProto model = make_model();
  add_input(model, "x", {"1"}, kStringType);
  text(add_node(model, "StringSplit", {"x"}, {"y", "n"}), "delimiter", ",");
  for (const char* name : {"y", "n"}) add_output(model, name);
  check(model, {list({std::string(1023, ',')})});
  const Tensor longer = list({std::string(1024, ',')});
  const Tensor* inputs[] = {&longer};
  auto outputs = runtime::run_once(engine_, inputs);
  ASSERT_FALSE(outputs);
  EXPECT_EQ(outputs.error().text(), "a string has more parts than the engine has room for: give StringSplit a maxsplit");
}

TEST_F(Strings, RegexFullMatch) {
  ModelProto model = make_model();
  add_input(model, "x", {"2", "2"}, kStringType);
  text(add_node(model, "RegexFullMatch", {"x"}, {"y"}), "pattern", "(\\w+\\.)*\\w+@[a-z]+\\.(com|org)");
  add_output(model, "y");
  check(model, {strings({2, 2}, {"a.b@c.com", "a.@c.com", "", "x@yz.orgs"})});
}

TEST_F(Strings, UniqueAndCompress) {
  ModelProto model = make_model();
  add_input(model, "x", {"5"}, kStringType);
  add_input(model, "keep", {"5"}, 9);
  add_node(model, "Unique", {"x"}, {"y", "first", "inverse", "counts"});
  add_node(model, "Compress", {"x", "keep"}, {"kept"});
  for (const char* name : {"y", "first", "inverse", "counts", "kept"}) add_output(model, name);
  Tensor keep(DType::kBool, {5});
  for (int i : {1, 4}) keep.set(i, 1);
  check(model, {list({"b", "a", "b", "", "aa"}), keep});
}

TEST_F(Strings, CastsFromAndToNumbers) {
  for (const int type : {1, 3, 7, 9, 10, 11}) {
    ModelProto model = make_model();
    add_input(model, "x", {"4"}, type);
    number(add_node(model, "Cast", {"x"}, {"t"}), "to", 8);
    add_output(model, "t");
    if (type != 9) {  // "True" is no number
      number(add_node(model, "Cast", {"t"}, {"y"}), "to", type);
      add_output(model, "y");
    }
    Tensor x(static_cast<DType>(type), {4});
    for (int i = 0; i < 4; ++i) x.set(i, std::vector<double>{0, -1.25, 100, 0.1}[static_cast<std::size_t>(i)]);
    check(model, {x});
  }
  ModelProto model = make_model();
  add_input(model, "x", {"3"}, kStringType);
  number(add_node(model, "Cast", {"x"}, {"y"}), "to", 1);
  add_output(model, "y");
  check(model, {list({"1e-3", "-INF", "+7"})});
  const Tensor wrong = list({"1", "one", "2"});
  const Tensor* inputs[] = {&wrong};
  auto outputs = runtime::run_once(engine_, inputs);
  ASSERT_FALSE(outputs);
  EXPECT_EQ(outputs.error().text(), "a string that is cast to a number is none");
}

TEST_F(Strings, LabelEncoder) {
  ModelProto to_numbers = make_model();
  add_input(to_numbers, "x", {"2", "2"}, kStringType);
  auto& first = add_classical(to_numbers, "LabelEncoder");
  words(first, "keys_strings", {"b", "a", "b", ""});
  numbers(first, "values_int64s", {1, 2, 3, 4});
  number(first, "default_int64", -7);
  add_output(to_numbers, "y");
  check(to_numbers, {strings({2, 2}, {"a", "b", "", "c"})});

  ModelProto to_words = make_model();
  add_input(to_words, "x", {"3"}, 7);
  auto& second = add_classical(to_words, "LabelEncoder");
  numbers(second, "keys_int64s", {5, -1});
  words(second, "values_strings", {"five", "minus \"one\""});
  add_output(to_words, "y");
  const std::int64_t keys[] = {-1, 5, 6};
  check(to_words, {Tensor::from_int64s(keys)});
}

TEST_F(Strings, CategoryMapper) {
  for (const bool from_text : {true, false}) {
    ModelProto model = make_model();
    add_input(model, "x", {"3"}, from_text ? kStringType : 7);
    auto& node = add_classical(model, "CategoryMapper");
    words(node, "cats_strings", {"red", "green"});
    numbers(node, "cats_int64s", {10, 20});
    text(node, "default_string", "none");
    add_output(model, "y");
    const std::int64_t keys[] = {20, 10, 30};
    check(model, {from_text ? list({"green", "red", "blue"}) : Tensor::from_int64s(keys)});
  }
}

TEST_F(Strings, OneHotEncoder) {
  ModelProto model = make_model();
  add_input(model, "x", {"2", "2"}, kStringType);
  words(add_classical(model, "OneHotEncoder"), "cats_strings", {"red", "green"});
  add_output(model, "y");
  check(model, {strings({2, 2}, {"green", "red", "", "red"})});
}

// Which class it is is a number, and the name of that class a string.
TEST_F(Strings, ClassNames) {
  ModelProto model = make_model();
  add_input(model, "x", {"3", "2"});
  auto& node = add_classical(model, "LinearClassifier");
  node.add_output("scores");
  words(node, "classlabels_strings", {"cat", "dog", "fish"});
  auto& coefficients = add_attribute(node, "coefficients", AttributeProto::FLOATS);
  for (float value : {1.0f, 0.0f, 0.0f, 1.0f, -1.0f, -1.0f}) coefficients.add_floats(value);
  for (const char* name : {"y", "scores"}) add_output(model, name);
  const float x[] = {1, 0, 0, 2, -1, -3};
  check(model, {Tensor::from<float>(DType::kFloat32, {3, 2}, x)});
}

TEST_F(Strings, NGrams) {
  for (const char* mode : {"TF", "IDF", "TFIDF"}) {
    ModelProto model = make_model();
    add_input(model, "x", {"2", "5"}, kStringType);
    auto& node = add_node(model, "TfIdfVectorizer", {"x"}, {"y"});
    text(node, "mode", mode);
    for (auto [name, value] : {std::pair("min_gram_length", 1), std::pair("max_gram_length", 2), std::pair("max_skip_count", 1)}) number(node, name, value);
    numbers(node, "ngram_counts", {0, 3});
    numbers(node, "ngram_indexes", {0, 1, 2, 4, 3});
    words(node, "pool_strings", {"b", "a", "c", "a", "b", "b", "a"});
    auto& weights = add_attribute(node, "weights", AttributeProto::FLOATS);
    for (float value : {1.0f, 0.5f, 2.0f, 3.0f, 4.0f}) weights.add_floats(value);
    add_output(model, "y");
    check(model, {strings({2, 5}, {"a", "b", "x", "a", "b", "c", "c", "a", "y", ""})});
  }
}

TEST_F(Strings, PublicInterfaces) {
  ModelProto model = make_model();
  add_input(model, "x", {"2"}, kStringType);
  text(add_node(model, "StringNormalizer", {"x"}, {"y"}), "case_change_action", "UPPER");
  add_output(model, "y");
  ASSERT_EQ(built(model), "");
  core::EngineOptions options;
  options.allow_unsigned = true;
  const auto engine = core::InferenceEngine::from_bytes(bytes_, options);
  EXPECT_EQ(engine.inputs()[0].dtype, core::DataType::kString);
  std::vector<core::Tensor> outputs;
  {
    const core::Tensor input({2}, Words{"abc", "de"});
    outputs = engine.infer({input});
  }
  EXPECT_EQ(outputs[0].to_strings(), (Words{"ABC", "DE"}));
  EXPECT_THROW((void)engine.infer({core::Tensor({2}, core::DataType::kInt64)}), Error);
  core::Session session = engine.create_session();
  {
    core::Tensor input({2}, Words{"kept", "copied"});
    session.set_input("x", input);
  }
  session.run();
  EXPECT_EQ(session.get_output("y").data<core::Text>()[1].view(), "COPIED");
  core::Text null[2] = {{nullptr, 3}, {nullptr, 0}};
  try {
    session.set_input("x", core::Tensor::view(null, {2}, core::DataType::kString));
    ADD_FAILURE() << "a text of three bytes that is nowhere";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "string 0 of 3 bytes is null (at input 'x')");
  }

  const std::string file = (folder_.path() / "a.engine").string();
  ASSERT_TRUE(base::write_file(file, bytes_));
  xi_engine_options c_options{};
  c_options.struct_size = sizeof c_options;
  c_options.allow_unsigned = 1;
  xi_engine* opened = nullptr;
  xi_session* c_session = nullptr;
  ASSERT_EQ(xi_engine_open(file.c_str(), &c_options, &opened), XI_OK) << xi_last_error();
  ASSERT_EQ(xi_session_create(opened, &c_session), XI_OK);
  xi_tensor_info info;
  ASSERT_EQ(xi_engine_output_info(opened, 0, &info), XI_OK);
  EXPECT_EQ(info.dtype, XI_STRING);
  const xi_string given[2] = {{"one", 3}, {"", 0}};
  ASSERT_EQ(xi_session_set_input(c_session, "x", given, sizeof given), XI_OK) << xi_last_error();
  ASSERT_EQ(xi_session_run(c_session), XI_OK) << xi_last_error();
  const void* data = nullptr;
  size_t bytes = 0;
  ASSERT_EQ(xi_session_output(c_session, "y", &data, &bytes, nullptr, 0, nullptr), XI_OK);
  ASSERT_EQ(bytes, 2 * sizeof(xi_string));
  const auto* texts = static_cast<const xi_string*>(data);
  EXPECT_EQ(std::string(texts[0].data, static_cast<std::size_t>(texts[0].size)), "ONE");
  EXPECT_EQ(texts[1].size, 0);
  xi_session_close(c_session);
  xi_engine_close(opened);
}

TEST_F(Strings, AreRefusedForGpus) {
  ModelProto model = make_model();
  add_input(model, "x", {"2"}, kStringType);
  add_node(model, "Identity", {"x"}, {"y"});
  add_output(model, "y");
  EXPECT_EQ(built(model, "h100"), "input 'x' is string[2]: engines for GPUs take and give numbers only, those for CPUs strings too");
}

}  // namespace
}  // namespace xinfer::compiler
