// NVRTC compiles every GPU template for every architecture, on machines without a GPU; SKIP where NVRTC is not
// installed.
#include "codegen/cuda/nvrtc.h"

#include <gtest/gtest.h>

#include "forge/cuda/conv.h"

namespace xinfer {
namespace {

class NvrtcTest : public ::testing::TestWithParam<const char*> {};

TEST_P(NvrtcTest, CompilesConvolution) {
  auto nvrtc = codegen::cuda::Nvrtc::load();
  if (!nvrtc) GTEST_SKIP() << nvrtc.error().message;
  const std::string architecture = GetParam();
  if (!nvrtc->supports(architecture)) GTEST_SKIP() << nvrtc->version() << " has no " << architecture;
  const int sm = std::atoi(architecture.c_str() + 3);
  forge::cuda::ConvProblem problem{.ih = 14,
                                   .iw = 14,
                                   .c = 64,
                                   .oc = 72,
                                   .oh = 14,
                                   .ow = 14,
                                   .kh = 3,
                                   .kw = 3,
                                   .ph = 1,
                                   .pw = 1,
                                   .residual = true,
                                   .activation = "fmaxf(x, 0.f)"};
  auto candidates = forge::cuda::conv_candidates(problem, sm, 100);
  ASSERT_FALSE(candidates.empty());
  for (const auto& choice : {candidates.front(), candidates.back()}) {
    auto kernel = forge::cuda::conv_kernel(problem, choice);
    ASSERT_TRUE(kernel) << kernel.error().message;
    auto cubin = nvrtc->compile(kernel->source, architecture);
    ASSERT_TRUE(cubin) << cubin.error().message;
    EXPECT_EQ(cubin->substr(1, 3), "ELF");
    EXPECT_NE(cubin->find(kernel->symbol), std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(AllArchitectures, NvrtcTest,
                         ::testing::Values("sm_75", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90a", "sm_100", "sm_120"));

TEST(Nvrtc, ReportsTheLogOfBrokenSource) {
  auto nvrtc = codegen::cuda::Nvrtc::load();
  if (!nvrtc) GTEST_SKIP() << nvrtc.error().message;
  auto cubin = nvrtc->compile("extern \"C\" __global__ void k() { undeclared(); }", "sm_80");
  ASSERT_FALSE(cubin);
  EXPECT_NE(cubin.error().message.find("undeclared"), std::string::npos);
}

TEST(CudaConv, RefusesChannelsThatAreNoMultipleOfEight) {
  forge::cuda::ConvProblem problem{.c = 3};
  auto kernel = forge::cuda::conv_kernel(problem, {});
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().message, "tensor-core convolution takes channels in multiples of 8, not 3 to 8");
}

}  // namespace
}  // namespace xinfer
