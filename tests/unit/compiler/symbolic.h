// Models with open dimensions for tests: built once, run at several sizes, compared with the reference functions at each.
#pragma once
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
using onnx::add_attribute;
using onnx::add_input;
using onnx::add_node;
using onnx::add_output;
using onnx::proto::AttributeProto;
using Ranges = std::map<std::string, std::vector<tensor::Symbol>>;

inline tensor::Symbol fixed(std::int64_t size) { return {.name = {}, .min = size, .opt = size, .max = size}; }
inline tensor::Symbol range(std::int64_t min, std::int64_t opt, std::int64_t max) { return {.name = {}, .min = min, .opt = opt, .max = max}; }

inline void add_ints(onnx::proto::ModelProto& model, const std::string& name, std::initializer_list<std::int64_t> values) {
  auto* tensor = model.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(7);
  tensor->add_dims(static_cast<std::int64_t>(values.size()));
  for (auto value : values) tensor->add_int64_data(value);
}

inline void add_weights(onnx::proto::ModelProto& model, const std::string& name, std::initializer_list<std::int64_t> dims) {
  auto* tensor = model.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(1);
  std::int64_t count = 1;
  for (auto dim : dims) tensor->add_dims(dim), count *= dim;
  for (std::int64_t i = 0; i < count; ++i) tensor->add_float_data(static_cast<float>((i * 37 + 11) % 29 - 14) / 29.0f);
}

inline void add_ints_attribute(onnx::proto::NodeProto& node, const std::string& name, std::initializer_list<std::int64_t> values) {
  auto& attribute = add_attribute(node, name, AttributeProto::INTS);
  for (auto value : values) attribute.add_ints(value);
}

class Symbolic : public testing::Test {
 protected:
  // Builds the model and runs it with inputs of these shapes, each against the reference.
  void check(const onnx::proto::ModelProto& model, const Ranges& ranges, const std::vector<std::vector<tensor::Shape>>& runs) {
    path_ = folder_.path() / "model.onnx";
    ASSERT_TRUE(base::write_file(path_, model.SerializeAsString()));
    BuildOptions options = options_;
    options.input_ranges = ranges;
    options.verify = false;
    auto output = build(path_, options);
    ASSERT_TRUE(output) << output.error().text();
    engine::Trust trust;
    trust.allow_unsigned = true;
    auto opened = engine::open_bytes(output->engine, trust);
    ASSERT_TRUE(opened) << opened.error().text();
    engine_ = *opened;
    for (const auto& shapes : runs) compare_at(shapes);
  }

  // Why the model cannot be built with these ranges.
  std::string refusal(const onnx::proto::ModelProto& model, const Ranges& ranges) {
    const auto path = folder_.path() / "refused.onnx";
    EXPECT_TRUE(base::write_file(path, model.SerializeAsString()));
    BuildOptions options = options_;
    options.input_ranges = ranges;
    options.verify = false;
    auto output = build(path, options);
    return output ? "built" : output.error().message;
  }

  void compare_at(const std::vector<tensor::Shape>& shapes, std::uint64_t seed = 7) {
    onnx::ImportOptions fixed_sizes;
    for (std::size_t i = 0; i < shapes.size(); ++i) fixed_sizes.input_shapes[engine_->plan().inputs[i].name] = shapes[i];
    auto graph = onnx::import_model(path_, fixed_sizes);
    ASSERT_TRUE(graph) << graph.error().text();
    const auto inputs = random_inputs(*graph, seed);
    std::vector<forge::reference::Value> values(inputs.begin(), inputs.end());
    std::vector<const tensor::Tensor*> pointers;
    for (const auto& input : inputs) pointers.push_back(&input);
    auto expected = forge::reference::evaluate(*graph, values);
    auto actual = runtime::run_once(engine_, pointers, 2);
    ASSERT_TRUE(expected) << expected.error().text();
    ASSERT_TRUE(actual) << actual.error().text();
    for (std::size_t i = 0; i < actual->size(); ++i) {
      const auto compared = compare("y", (*actual)[i], *(*expected)[i].tensor, Exactness::kFull);
      EXPECT_TRUE(compared.matches) << "at " << tensor::to_string(shapes[0]) << ", error " << compared.max_abs_error << ", shapes "
                                    << tensor::to_string((*actual)[i].shape()) << tensor::to_string((*expected)[i].tensor->shape());
    }
  }

  BuildOptions options_;  // besides ranges
  base::TemporaryFolder folder_;
  std::filesystem::path path_;
  std::shared_ptr<const engine::Engine> engine_;
};

}  // namespace xinfer::compiler
