// NVRTC on machines without a GPU; SKIP where it is not installed.
#include "codegen/cuda/nvrtc.h"

#include <gtest/gtest.h>

namespace xinfer {
namespace {

TEST(Nvrtc, ReportsTheLogOfBrokenSource) {
  auto nvrtc = codegen::cuda::Nvrtc::load();
  if (!nvrtc) GTEST_SKIP() << nvrtc.error().message;
  auto cubin = nvrtc->compile("extern \"C\" __global__ void k() { undeclared(); }", "sm_80");
  ASSERT_FALSE(cubin);
  EXPECT_NE(cubin.error().message.find("undeclared"), std::string::npos);
}

}  // namespace
}  // namespace xinfer
