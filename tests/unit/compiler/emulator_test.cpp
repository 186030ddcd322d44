// Engines for 64-bit Arm run on other machines under qemu-aarch64.
#include "compiler/emulator.h"

#include <gtest/gtest.h>

#include "../runtime/sample_engine.h"
#include "base/files.h"
#include "codegen/cpu/compile.h"

namespace xinfer::compiler {
namespace {

std::shared_ptr<const engine::Engine> arm(engine::Contents contents) {
  contents.manifest.architecture = "armv8-a";
  contents.code = testing_engine::arm_code();
  return *engine::open_bytes(engine::write(contents, ""), {{}, true});
}

class Emulator : public testing::Test {
 protected:
  void SetUp() override {
    if (auto ready = check_emulator("armv8-a"); !ready) GTEST_SKIP() << ready.error().text();
    if (auto version = codegen::cpu::compiler_version(); !version) GTEST_SKIP() << version.error().text();
  }
};

TEST_F(Emulator, RunsAChainOfLaunches) {
  base::TemporaryFolder cache;
  tensor::Tensor x(tensor::DType::kFloat32, {5, 16});
  for (std::int64_t i = 0; i < x.num_elements(); ++i) x.set(i, static_cast<double>(i));
  const tensor::Tensor* inputs[] = {&x};
  for (int again = 0; again < 2; ++again) {
    auto outputs = run_emulated(*arm(testing_engine::add_chain(3, 5, false)), inputs, cache.path());
    ASSERT_TRUE(outputs) << outputs.error().text();
    for (std::int64_t i = 0; i < x.num_elements(); ++i)
      EXPECT_EQ((*outputs)[0].as_double(i), static_cast<double>(i + 3 * (i % 16)));
  }
}

TEST_F(Emulator, FindsSizesWhileRunning) {
  tensor::Tensor x(tensor::DType::kFloat32, {64});
  for (std::int64_t i = 0; i < 64; ++i) x.set(i, static_cast<double>(i % 3 - 1));
  const tensor::Tensor* inputs[] = {&x};
  auto outputs = run_emulated(*arm(testing_engine::compact()), inputs, {});
  ASSERT_TRUE(outputs) << outputs.error().text();
  EXPECT_EQ((*outputs)[0].shape(), (tensor::Shape{21}));
}

TEST_F(Emulator, LeavesRegionsOutAndRepeatsThem) {
  for (bool holds : {true, false}) {
    auto contents = testing_engine::add_region(5, false, true);
    tensor::Tensor x(tensor::DType::kFloat32, {5, 16}), c(tensor::DType::kBool, {}), limit = tensor::Tensor::scalar(std::int64_t{3});
    c.set(0, holds);
    const tensor::Tensor* inputs[] = {&x, &c, &limit};
    auto outputs = run_emulated(*arm(std::move(contents)), inputs, {});
    ASSERT_TRUE(outputs) << outputs.error().text();
    EXPECT_EQ((*outputs)[0].as_double(1), holds ? 5 : 2);
    EXPECT_EQ((*outputs)[1].shape(), tensor::Shape{holds ? 3 : 0});
  }
}

TEST_F(Emulator, ChecksInputs) {
  tensor::Tensor x(tensor::DType::kFloat32, {4, 16});
  const tensor::Tensor* inputs[] = {&x};
  auto outputs = run_emulated(*arm(testing_engine::add_chain(1, 5, false)), inputs, {});
  ASSERT_FALSE(outputs);
  EXPECT_EQ(outputs.error().message, "input 'x' needs float32[5,16], got float32[4,16]");
}

TEST(EmulatorElsewhere, GraphicsCardsHaveNone) {
  EXPECT_EQ(check_emulator("sm_89").error().message,
            "this machine does not run sm_89, and there is no emulator for it");
}

}  // namespace
}  // namespace xinfer::compiler
