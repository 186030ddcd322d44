#include "xinfer/c_api.h"

#include <gtest/gtest.h>

#include "base/files.h"
#include "sample_engine.h"
#include "target/registry.h"

namespace xinfer {
namespace {

TEST(CApi, OpensRunsAndReports) {
  if (!target::host() || !target::runs_on("x86-64-v3", target::host()->architecture())) GTEST_SKIP() << "needs AVX2";
  base::TemporaryFolder folder;
  auto path = (folder.path() / "a.engine").string();
  ASSERT_TRUE(base::write_file(path, engine::write(testing_engine::add_chain(2, 3, false), "")));

  xi_engine* engine = nullptr;
  xi_engine_options options{};
  options.struct_size = sizeof options;
  options.num_threads = 1;
  options.ignore_trust_store = 1;
  EXPECT_EQ(xi_engine_open(path.c_str(), &options, &engine), XI_UNTRUSTED);
  EXPECT_NE(std::string(xi_last_error()).find("the engine is not signed"), std::string::npos);
  options.allow_unsigned = 1;
  ASSERT_EQ(xi_engine_open(path.c_str(), &options, &engine), XI_OK) << xi_last_error();
  EXPECT_EQ(xi_engine_num_inputs(engine), 1U);
  xi_tensor_info info;
  ASSERT_EQ(xi_engine_input_info(engine, 0, &info), XI_OK);
  EXPECT_STREQ(info.name, "x");
  EXPECT_EQ(info.dtype, XI_FLOAT32);
  EXPECT_EQ(info.rank, 2U);
  EXPECT_EQ(info.shape[1], 16);
  EXPECT_EQ(xi_engine_output_info(engine, 1, &info), XI_NOT_FOUND);

  xi_session* session = nullptr;
  ASSERT_EQ(xi_session_create(engine, &session), XI_OK);
  xi_engine_close(engine);  // the session keeps what it needs
  float x[48] = {};
  EXPECT_EQ(xi_session_run(session), XI_INVALID_ARGUMENT);
  EXPECT_STREQ(xi_last_error(), "input 'x' was not set");
  EXPECT_EQ(xi_session_set_input(session, "x", x, 100), XI_INVALID_ARGUMENT);
  EXPECT_EQ(xi_session_set_input(session, "z", x, sizeof x), XI_NOT_FOUND);
  ASSERT_EQ(xi_session_set_input(session, "x", x, sizeof x), XI_OK);
  ASSERT_EQ(xi_session_run(session), XI_OK);
  const void* data = nullptr;
  size_t bytes = 0, rank = 0;
  int64_t shape[4];
  ASSERT_EQ(xi_session_output(session, "y", &data, &bytes, shape, 4, &rank), XI_OK);
  EXPECT_EQ(bytes, sizeof x);
  EXPECT_EQ(rank, 2U);
  EXPECT_EQ(shape[0], 3);
  EXPECT_EQ(static_cast<const float*>(data)[47], 30);
  EXPECT_EQ(xi_session_bind_device_input(session, "x", x, sizeof x), XI_UNSUPPORTED);
  EXPECT_STREQ(xi_last_error(), "device memory and streams are for GPU engines; this one runs on the CPU");
  EXPECT_EQ(xi_session_run_async(session, nullptr), XI_UNSUPPORTED);
  xi_session_close(session);
}

TEST(CApi, OneEngineTakesManySizes) {
  if (!target::host() || !target::runs_on("x86-64-v3", target::host()->architecture())) GTEST_SKIP() << "needs AVX2";
  base::TemporaryFolder folder;
  const auto path = (folder.path() / "a.engine").string();
  engine::Contents contents = testing_engine::add_chain(1, 3, false);
  for (auto* info : {&contents.plan.inputs[0], &contents.plan.outputs[0]}) info->shape[0] = -1, info->symbols[0] = "n";
  contents.plan.symbols = {{.name = "n", .max = 3, .min = 1, .opt = 2}};
  contents.plan.launches[0].tasks = "n";
  ASSERT_TRUE(base::write_file(path, engine::write(contents, "")));

  xi_engine_options options{};
  options.struct_size = sizeof options;
  options.allow_unsigned = 1;
  xi_engine* engine = nullptr;
  ASSERT_EQ(xi_engine_open(path.c_str(), &options, &engine), XI_OK) << xi_last_error();
  const int64_t *min = nullptr, *opt = nullptr, *max = nullptr;
  ASSERT_EQ(xi_engine_input_range(engine, 0, &min, &opt, &max), XI_OK);
  EXPECT_EQ(min[0], 1);
  EXPECT_EQ(opt[0], 2);
  EXPECT_EQ(max[0], 3);
  EXPECT_EQ(max[1], 16);
  EXPECT_EQ(xi_engine_input_range(engine, 1, nullptr, nullptr, nullptr), XI_NOT_FOUND);

  xi_session* session = nullptr;
  ASSERT_EQ(xi_session_create(engine, &session), XI_OK);
  float x[32] = {};
  EXPECT_EQ(xi_session_set_input(session, "x", x, sizeof x), XI_INVALID_ARGUMENT);
  EXPECT_STREQ(xi_last_error(), "input 'x' of shape [-1,16] takes many sizes: call xi_session_set_input_shape first");
  const int64_t wide[] = {4, 16}, fitting[] = {2, 16};
  EXPECT_EQ(xi_session_set_input_shape(session, "x", wide, 2), XI_INVALID_ARGUMENT);
  EXPECT_STREQ(xi_last_error(), "input 'x' takes [1,16] to [3,16], got [4,16]");
  EXPECT_EQ(xi_session_set_input_shape(session, "x", fitting, 1), XI_INVALID_ARGUMENT);
  ASSERT_EQ(xi_session_set_input_shape(session, "x", fitting, 2), XI_OK) << xi_last_error();
  ASSERT_EQ(xi_session_bind_input(session, "x", x, sizeof x), XI_OK) << xi_last_error();
  ASSERT_EQ(xi_session_run(session), XI_OK) << xi_last_error();
  const void* data = nullptr;
  size_t bytes = 0;
  int64_t shape[2];
  ASSERT_EQ(xi_session_output(session, "y", &data, &bytes, shape, 2, nullptr), XI_OK);
  EXPECT_EQ(bytes, sizeof x);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(static_cast<const float*>(data)[31], 15);
  xi_session_close(session);
  xi_engine_close(engine);
}

TEST(CApi, NullsAreAnswered) {
  EXPECT_EQ(xi_engine_open(nullptr, nullptr, nullptr), XI_INVALID_ARGUMENT);
  EXPECT_STREQ(xi_last_error(), "path is null");
  EXPECT_EQ(xi_session_run(nullptr), XI_INVALID_ARGUMENT);
  EXPECT_EQ(xi_engine_num_inputs(nullptr), 0U);
  xi_engine_close(nullptr);
  xi_session_close(nullptr);
  EXPECT_EQ(xi_api_version(), XI_API_VERSION);
}

}  // namespace
}  // namespace xinfer
