#include "codegen/cpu/compile.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

#include "base/files.h"
#include "engine/plan.h"

namespace xinfer::codegen::cpu {
namespace {

using forge::cpu::KernelSource;

target::CpuIsa baseline() {
  return {.name = "x86-64-v3",
          .triple = "x86_64-linux-gnu",
          .flags = {"-march=x86-64-v3"},
          .vector_lanes = 8,
          .vector_registers = 16};
}
target::CpuIsa arm() {
  return {.name = "armv8-a",
          .triple = "aarch64-linux-gnu",
          .flags = {"-march=armv8-a"},
          .vector_lanes = 4,
          .vector_registers = 32};
}

KernelSource kernel(std::string symbol, std::string body) {
  KernelSource made;
  made.symbol = symbol;
  made.source = "#include <stdint.h>\nextern \"C\" __attribute__((visibility(\"default\"))) void " + symbol +
                "(void* const* b, int64_t* s, void* t, int64_t i, int64_t n) {" + body + "}\n";
  return made;
}

const KernelSource kSquare = kernel("k_square",
                                    "float* y = (float*)b[1]; const float* x = (const float*)b[0];"
                                    "for (int64_t k = i * 4; k < n * 4; ++k) y[k] = x[k] * x[k];");
// A table in read-only data and a big structure copy, so that rodata and memcpy are exercised.
const KernelSource kTable = kernel("k_table",
                                   "static const int table[16] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};"
                                   "struct Big { int v[4096]; }; *(Big*)b[1] = *(const Big*)b[0];"
                                   "((int*)b[1])[0] = table[((const int*)b[0])[0] & 15];");

TEST(CompileKernels, RunsWhereverItIsMapped) {
  std::vector<KernelSource> kernels = {kTable, kSquare, kSquare};
  auto image = compile_kernels(kernels, baseline());
  ASSERT_TRUE(image) << image.error().text();
  ASSERT_EQ(image->entry_offsets.size(), 3u);
  EXPECT_EQ(image->entry_offsets[1], image->entry_offsets[2]);
  void* code = mmap(nullptr, image->code.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(code, MAP_FAILED);
  std::memcpy(code, image->code.data(), image->code.size());
  ASSERT_EQ(mprotect(code, image->code.size(), PROT_READ | PROT_EXEC), 0);
  auto entry = [&](int i) {
    return reinterpret_cast<engine::CpuKernel>(static_cast<char*>(code) + image->entry_offsets[i]);
  };

  float x[8] = {0, 1, 2, 3, 4, 5, 6, 7}, y[8] = {};
  void* buffers[] = {x, y};
  entry(1)(buffers, nullptr, nullptr, 1, 2);
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[3], 0);
  EXPECT_EQ(y[7], 49);
  std::vector<int> from(4096, 5), to(4096);
  void* others[] = {from.data(), to.data()};
  entry(0)(others, nullptr, nullptr, 0, 1);
  EXPECT_EQ(to[0], 9);
  EXPECT_EQ(to[4095], 5);
  munmap(code, image->code.size());
}

TEST(CompileKernels, IsDeterministicAndCached) {
  base::TemporaryFolder cache;
  std::vector<KernelSource> kernels = {kSquare, kTable};
  std::size_t calls = 0;
  CompileOptions options{.cache_folder = cache.path(), .on_progress = [&](std::size_t, std::size_t) { ++calls; }};
  auto first = compile_kernels(kernels, baseline(), options);
  ASSERT_TRUE(first) << first.error().text();
  EXPECT_EQ(calls, 3u);
  std::swap(kernels[0], kernels[1]);
  auto second = compile_kernels(kernels, baseline(), options);
  ASSERT_TRUE(second);
  EXPECT_EQ(first->code, second->code);
  EXPECT_EQ(first->entry_offsets[0], second->entry_offsets[1]);
  auto uncached = compile_kernels(kernels, baseline());
  ASSERT_TRUE(uncached);
  EXPECT_EQ(first->code, uncached->code);
}

TEST(CompileKernels, CrossCompilesForArm) {
  std::vector<KernelSource> kernels = {kSquare, kTable};
  auto image = compile_kernels(kernels, arm());
  ASSERT_TRUE(image) << image.error().text();
  EXPECT_GT(image->code.size(), 64u);
}

TEST(CompileKernels, RefusesWhatANeedsALoader) {
  auto check = [](KernelSource bad, std::string_view message) {
    auto image = compile_kernels({&bad, 1}, baseline());
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().code, base::Code::kInternal);
    EXPECT_NE(image.error().message.find(message), std::string::npos) << image.error().message;
  };
  check(kernel("k_writable", "static long count; b = (void* const*)(++count); *(void* volatile*)&b = (void*)count;"),
        "read-only");
  check(kernel("k_pointers",
               "static void* const volatile table[] = {(void*)k_pointers, (void*)k_pointers};"
               "*(void* volatile*)b[0] = table[*(volatile int*)b[1]];"),
        "position-independent");
  check(kernel("k_undefined", "extern \"C\" void nowhere();"), "does not compile");
  auto undefined = kernel("k_undefined", "nowhere();");
  undefined.source = "extern \"C\" void nowhere();\n" + undefined.source;
  check(undefined, "nowhere");
}

TEST(CompileKernels, CanBeCancelled) {
  auto image = compile_kernels({&kSquare, 1}, baseline(), {.cancelled = [] { return true; }});
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, base::Code::kCancelled);
}

}  // namespace
}  // namespace xinfer::codegen::cpu
