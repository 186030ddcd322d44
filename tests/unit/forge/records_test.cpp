// Tuning records: their file, and what it decides.
#include "forge/cuda/records.h"

#include <gtest/gtest.h>

#include "target/registry.h"

namespace xinfer::forge::cuda {
namespace {

Problem product() {
  MatMulProblem p;
  p.m = 4096, p.n = 1024, p.k = 1024, p.constant_b = true, p.dtype = DType::kFloat16;
  return p;
}

TEST(Records, FileKeepsEverything) {
  Records made{"sm_90a", "NVIDIA H100 80GB HBM3", "xinfer 0.1.0, NVRTC 13.0", {std::string(64, 'a'), std::string(64, 'b')}, {{"conv", "mma"}, {"matmul", "simt"}}};
  auto read = Records::parse(made.to_json());
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_EQ(read->architecture, made.architecture);
  EXPECT_EQ(read->device, made.device);
  EXPECT_EQ(read->toolchain, made.toolchain);
  EXPECT_EQ(read->models, made.models);
  EXPECT_EQ(read->choices, made.choices);
  EXPECT_EQ(read->to_json(), made.to_json());
}

TEST(Records, OlderFilesNameNoModels) {
  auto read = Records::parse(R"({"format": 1, "architecture": "sm_80", "device": "A100", "records": {"conv": "mma"}})");
  ASSERT_TRUE(read) << read.error().text();
  EXPECT_TRUE(read->models.empty());
  EXPECT_TRUE(read->toolchain.empty());
}

TEST(Records, NewMeasurementsCountBeforeOldOnes) {
  Records now{"sm_90a", "H100", "new", {"b"}, {{"conv", "mma"}}};
  now.add({"sm_90a", "H100", "old", {"a"}, {{"conv", "simt"}, {"pool", "blocked"}}});
  EXPECT_EQ(now.toolchain, "new");
  EXPECT_EQ(now.models, (std::set<std::string>{"a", "b"}));
  EXPECT_EQ(now.choices.at("conv"), "mma");
  EXPECT_EQ(now.choices.at("pool"), "blocked");
}

TEST(Records, OthersAreRefused) {
  EXPECT_EQ(Records::parse("[]").error().code, base::Code::kInvalidArgument);
  EXPECT_EQ(Records::parse(R"({"format": 1, "architecture": "sm_80", "records": {"conv": 3}})").error().code, base::Code::kInvalidArgument);
  EXPECT_EQ(Records::parse(R"({"format": 2, "architecture": "sm_80", "records": {}})").error().message,
            "tuning records of format 2; this version knows 1");
}

TEST(Records, OnlyThoseForTheGpuDecide) {
  const target::GpuIsa& h100 = *target::find_canonical("sm_90a")->gpu;
  const std::string fastest = candidates(product(), h100).front().text, slowest = candidates(product(), h100).back().text;
  Records records{"sm_90a", "H100", {}, {}, {{text_of(product()), slowest}}};
  EXPECT_EQ(choose(product(), h100, {&records}), slowest);
  records.architecture = "sm_80";
  EXPECT_EQ(choose(product(), h100, {&records}), fastest);
  records = {"sm_90a", "H100", {}, {}, {{text_of(product()), "what an older version had"}}};
  EXPECT_EQ(choose(product(), h100, {&records}), fastest);
}

}  // namespace
}  // namespace xinfer::forge::cuda
