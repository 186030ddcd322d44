// Wrong use of the public runtime: each mistake has its code and its exact message.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../../unit/runtime/sample_engine.h"
#include "base/files.h"
#include "runtime/program.h"
#include "target/registry.h"
#include "xinfer/core/inference_engine.h"

namespace xinfer::core {
namespace {

using testing::HasSubstr;
using testing_engine::add_chain;

struct Failure {
  std::string code, message;
};
Failure failure(auto&& action) {
  try {
    action();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {"none", "no error"};
}

EngineOptions lenient() {
  EngineOptions options;
  options.allow_unsigned = true;
  options.use_trust_store = false;
  return options;
}

class EngineErrors : public testing::Test {
 protected:
  void SetUp() override {
    if (!target::host() || !target::runs_on("x86-64-v3", target::host()->architecture())) GTEST_SKIP() << "needs AVX2";
    engine_.emplace(InferenceEngine::from_bytes(engine::write(add_chain(2, 4, false), ""), lenient()));
  }
  std::optional<InferenceEngine> engine_;
};

TEST_F(EngineErrors, InputsAreChecked) {
  auto& engine = *engine_;
  EXPECT_EQ(failure([&] { engine.infer(std::vector<Tensor>{}); }).message, "the engine has 1 inputs, got 0");
  EXPECT_EQ(failure([&] { engine.infer({Tensor({4, 8})}); }).message, "input 'x' needs shape [4,16], got [4,8]");
  EXPECT_EQ(failure([&] { engine.infer({Tensor({4, 16}, DataType::kInt64)}); }).message,
            "input 'x' needs float32, got int64");
  EXPECT_EQ(failure([&] { engine.infer(std::map<std::string, Tensor>{}); }).message, "input 'x' was not given");
  auto wrong_name = failure([&] { engine.infer({{"image", Tensor({4, 16})}}); });
  EXPECT_EQ(wrong_name.code, "not_found");
  EXPECT_EQ(wrong_name.message, "the engine has no input 'image'; it has x");
  EXPECT_EQ(failure([&] { engine.get_input_shape(1); }).message, "the engine has 1 inputs, there is no input 1");
  EXPECT_EQ(failure([&] { engine.get_output_shape("z"); }).message, "the engine has no output 'z'; it has y");
}

TEST_F(EngineErrors, SessionsAreChecked) {
  auto session = engine_->create_session();
  EXPECT_EQ(failure([&] { session.run(); }).message, "input 'x' was not set");
  EXPECT_EQ(failure([&] { session.get_output(0); }).message, "there is no output before the first run");
  EXPECT_EQ(failure([&] { engine_->get_output("y"); }).message, "there is no output before the first run");
  alignas(64) static float memory[64];
  EXPECT_EQ(failure([&] { session.bind_input("x", memory, 255); }).message, "input 'x' has 256 bytes, got 255");
  EXPECT_EQ(failure([&] { session.bind_output("y", memory, 255); }).message, "output 'y' needs 256 bytes, got 255");
  EXPECT_EQ(failure([&] { session.bind_output("y", memory + 1, 256); }).message,
            "the memory for output 'y' is not 64-byte aligned");
  EXPECT_EQ(failure([&] { engine_->create_session(5000); }).message, "5000 threads: 1 to 1024, or 0 for all");
}

TEST(EngineFile, UntrustedAndForeignEnginesAreRefused) {
  auto contents = add_chain(1, 1, false);
  std::string bytes = engine::write(contents, "");
  EngineOptions strict = lenient();
  strict.allow_unsigned = false;
  EXPECT_EQ(failure([&] { InferenceEngine::from_bytes(bytes, strict); }).code, "untrusted");

  auto key = base::make_key_pair();
  bytes = engine::write(contents, key.secret_key);
  auto stranger = failure([&] { InferenceEngine::from_bytes(bytes, strict); });
  EXPECT_EQ(stranger.code, "untrusted");
  EXPECT_THAT(stranger.message, HasSubstr(engine::key_id(key.public_key)));
  strict.trusted_keys = {"abc"};
  EXPECT_EQ(failure([&] { InferenceEngine::from_bytes(bytes, strict); }).message,
            "a trusted key has 64 lower-case hexadecimal digits (at EngineOptions::trusted_keys)");

  contents.manifest.architecture = "armv8-a";
  auto host = target::host();
  if (!host || !host->architecture().starts_with("x86")) return;
  auto foreign = failure([&] { InferenceEngine::from_bytes(engine::write(contents, ""), lenient()); });
  EXPECT_EQ(foreign.code, "incompatible");
  EXPECT_EQ(foreign.message,
            fmt::format("the engine needs armv8-a (64-bit Arm with NEON), this machine is {} ({}): build the model "
                        "for target {}",
                        host->architecture(), target::find_canonical(host->architecture())->display_name,
                        host->architecture()));
}

TEST(EngineFile, ErrorsNameTheFile) {
  base::TemporaryFolder folder;
  auto path = (folder.path() / "x.engine").string();
  EXPECT_EQ(failure([&] { InferenceEngine engine(path, lenient()); }).code, "not_found");
  ASSERT_TRUE(base::write_file(path, "hello"));
  auto wrong = failure([&] { InferenceEngine engine(path, lenient()); });
  EXPECT_EQ(wrong.code, "corrupt");
  EXPECT_EQ(wrong.message, "this is not an engine file (at " + path + ")");
  auto contents = add_chain(1, 1, false);
  contents.manifest.architecture = "sm_89";
  ASSERT_TRUE(base::write_file(path, engine::write(contents, "")));
  auto foreign = failure([&] { InferenceEngine engine(path, lenient()); });
  EXPECT_THAT(foreign.message, HasSubstr("the engine needs sm_89 (NVIDIA Ada (sm_89))"));
  EXPECT_THAT(foreign.message, HasSubstr("(at " + path + ")"));
}

TEST(Architecture, OlderCpuIsToldWhatIsMissing) {
  EXPECT_EQ(runtime::check_architecture("x86-64-v4", "x86-64-v3").error().message,
            "the engine needs x86-64-v4 (x86-64 with AVX-512), this machine is x86-64-v3 (x86-64 with AVX2): build the "
            "model for "
            "target x86-64-v3");
  EXPECT_TRUE(runtime::check_architecture("x86-64-v3", "x86-64-v4"));
}

}  // namespace
}  // namespace xinfer::core
