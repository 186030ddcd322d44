// Engines with plans for narrower ranges.
#include "runtime/thread_pool.h"
#include "symbolic.h"

namespace xinfer::compiler {
namespace {

class Profiles : public Symbolic {
 protected:
  // Two convolutions whose kernels differ with sizes known while building, and a matrix product whose do not.
  static onnx::proto::ModelProto model() {
    auto model = onnx::make_model();
    add_input(model, "x", {"N", "3", "H", "W"});
    add_input(model, "z", {"N", "32"});
    add_weights(model, "w1", {16, 3, 3, 3});
    add_weights(model, "w2", {32, 16, 3, 3});
    add_weights(model, "w3", {32, 8});
    for (const auto& [in, w, out] : {std::tuple("x", "w1", "a"), std::tuple("b", "w2", "c")}) {
      auto& conv = add_node(model, "Conv", {in, w}, {out});
      add_ints_attribute(conv, "pads", {1, 1, 1, 1});
      if (std::string_view(out) == "a") add_node(model, "Relu", {"a"}, {"b"});
    }
    add_node(model, "MatMul", {"z", "w3"}, {"y"});
    add_output(model, "c");
    add_output(model, "y");
    return model;
  }
  static Ranges whole() { return {{"x", {range(1, 2, 4), fixed(3), range(8, 32, 64), range(8, 32, 64)}}}; }

  // The choices of all launches of the plan that runs for these shapes.
  std::string choices_at(const tensor::Shape& x, const tensor::Shape& z) {
    auto program = runtime::Program::load(engine_);
    EXPECT_TRUE(program) << program.error().text();
    auto session = runtime::Session::create(*program, std::make_shared<runtime::ThreadPool>(1));
    EXPECT_TRUE(session) << session.error().text();
    const tensor::Tensor first(tensor::DType::kFloat32, x), second(tensor::DType::kFloat32, z);
    EXPECT_TRUE(session->bind_input(0, first.bytes().data(), x));
    EXPECT_TRUE(session->bind_input(1, second.bytes().data(), z));
    EXPECT_TRUE(session->run());
    std::string choices;
    for (const engine::Launch& launch : session->plan().launches) choices += launch.choice + "; ";
    return choices;
  }
};

TEST_F(Profiles, TheFirstThatFitsRuns) {
  options_.profiles = {{{"x", {fixed(1), fixed(3), fixed(32), fixed(32)}}}, {{"x", {range(1, 1, 4), fixed(3), fixed(48), fixed(48)}}}};
  check(model(), whole(),
        {{{1, 3, 32, 32}, {1, 32}}, {{2, 3, 32, 32}, {2, 32}}, {{3, 3, 48, 48}, {3, 32}}, {{1, 3, 17, 40}, {1, 32}}, {{4, 3, 64, 64}, {4, 32}}});
  ASSERT_EQ(engine_->plan().profiles.size(), 2u);
  const std::string general = choices_at({2, 3, 32, 32}, {2, 32}), fixed_size = choices_at({1, 3, 32, 32}, {1, 32}), batches = choices_at({4, 3, 48, 48}, {4, 32});
  EXPECT_NE(general.find("run-time sizes"), std::string::npos) << general;
  EXPECT_EQ(fixed_size.find("run-time sizes"), std::string::npos) << fixed_size;
  EXPECT_NE(fixed_size, batches);
  EXPECT_NE(general, batches);
}

TEST_F(Profiles, EqualKernelsAndWeightsAreKeptOnce) {
  check(model(), whole(), {});
  const std::size_t weights = engine_->weights().size(), kernels = engine_->plan().kernels.size();
  // The batch alone is narrower: the convolutions are the same.
  options_.profiles = {{{"x", {range(1, 2, 3), fixed(3), range(8, 32, 64), range(8, 32, 64)}}}};
  check(model(), whole(), {{{3, 3, 20, 30}, {3, 32}}});
  EXPECT_EQ(engine_->weights().size(), weights);
  EXPECT_LT(engine_->plan().kernels.size(), 2 * kernels);  // how often a task is repeated may be part of one
}

// A session goes back and forth between plans; its own outputs and the caller's stay where they are.
TEST_F(Profiles, OneSessionManyPlans) {
  options_.profiles = {{{"x", {fixed(1), fixed(3), fixed(32), fixed(32)}}}};
  check(model(), whole(), {});
  auto program = runtime::Program::load(engine_);
  ASSERT_TRUE(program);
  auto session = runtime::Session::create(*program, std::make_shared<runtime::ThreadPool>(2));
  ASSERT_TRUE(session);
  const std::byte* where = nullptr;
  for (const tensor::Shape& shape : {tensor::Shape{1, 3, 32, 32}, {2, 3, 40, 33}, {1, 3, 32, 32}, {4, 3, 64, 64}}) {
    tensor::Tensor x(tensor::DType::kFloat32, shape), z(tensor::DType::kFloat32, {shape[0], 32});
    for (std::int64_t i = 0; i < x.num_elements(); ++i) x.set(i, static_cast<double>(i % 17) / 17);
    for (std::int64_t i = 0; i < z.num_elements(); ++i) z.set(i, static_cast<double>(i % 5) / 5);
    ASSERT_TRUE(session->copy_input(0, x.bytes().data(), x.shape()));
    ASSERT_TRUE(session->copy_input(1, z.bytes().data(), z.shape()));
    ASSERT_TRUE(session->run());
    const std::vector<const tensor::Tensor*> inputs = {&x, &z};
    auto expected = runtime::run_once(engine_, inputs);
    ASSERT_TRUE(expected);
    ASSERT_EQ(session->output_shape(0), (*expected)[0].shape());
    EXPECT_EQ(std::memcmp(session->output(0), (*expected)[0].bytes().data(), (*expected)[0].size_bytes()), 0);
    EXPECT_TRUE(where == nullptr || session->output(0) == where);
    where = session->output(0);
  }
}

TEST_F(Profiles, RangesThatDoNotFitAreRefused) {
  const auto refused = [&](const Ranges& profile) {
    options_.profiles = {profile};
    return refusal(model(), whole());
  };
  EXPECT_EQ(refused({{"x", {fixed(1), fixed(3), fixed(128), fixed(32)}}}),
            "the profile of input 'x' has 128 where the engine takes H:8:32:64: profiles lie inside of --shape");
  EXPECT_EQ(refused({{"x", {range(1, 2, 4), fixed(3), range(8, 32, 64), range(8, 32, 64)}}}), "a profile is not narrower than the engine's ranges");
  EXPECT_EQ(refused({{"image", {fixed(1)}}}), "a profile is given for 'image', which is not an input");
}

}  // namespace
}  // namespace xinfer::compiler
