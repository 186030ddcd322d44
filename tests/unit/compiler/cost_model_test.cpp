// Predictions: every kernel has a row, more work never takes less time, and figures exist for every CPU target.
#include "compiler/cost_model.h"

#include <gtest/gtest.h>

#include "forge/cpu/conv.h"
#include "forge/cpu/matmul.h"
#include "forge/cpu/pool.h"
#include "target/registry.h"

namespace xinfer::compiler {
namespace {

target::Machine machine() { return target::typical_machine(*target::find_canonical("x86-64-v4")); }
const target::CpuIsa& isa() { return *target::find_canonical("x86-64-v4")->isa; }

engine::Launch launch(std::string choice, double flops, std::uint64_t bytes, std::int64_t tasks = 1) {
  engine::Launch made;
  made.choice = std::move(choice);
  made.flops = flops;
  made.num_tasks = tasks;
  made.arguments = {{engine::BufferRef::Space::kArena, 0, 0, bytes / 2},
                    {engine::BufferRef::Space::kWeights, 0, 0, bytes / 2}};
  return made;
}

schedule::Schedule schedule_of(engine::Launch launch, std::uint64_t arena_bytes) {
  schedule::Schedule made;
  made.plan.arena_bytes = arena_bytes;
  made.plan.launches = {std::move(launch)};
  return made;
}

TEST(KernelKind, KnowsEveryTemplate) {
  forge::cpu::ConvProblem conv{.in_channels = 64,
                               .out_channels = 64,
                               .in = {1, 28, 28},
                               .out = {1, 28, 28},
                               .kernel = {1, 3, 3},
                               .pad = {0, 1, 1}};
  EXPECT_EQ(kernel_kind(forge::cpu::choose_conv(conv, isa()).kernel.choice), "conv winograd");
  conv.exact = true;
  EXPECT_EQ(kernel_kind(forge::cpu::choose_conv(conv, isa()).kernel.choice), "conv direct");
  conv.constant_weights = false;
  EXPECT_EQ(kernel_kind(forge::cpu::choose_conv(conv, isa()).kernel.choice), "conv general");
  conv.constant_weights = true, conv.groups = 64;
  EXPECT_EQ(kernel_kind(forge::cpu::choose_conv(conv, isa()).kernel.choice), "conv depthwise");
  forge::cpu::MatMulProblem product{.m = 64, .n = 64, .k = 64, .batch_a = {}, .batch_b = {}};
  EXPECT_EQ(kernel_kind(forge::cpu::choose_matmul(product, isa()).kernel.choice), "matmul");
  product.constant_b = true;
  EXPECT_EQ(kernel_kind(forge::cpu::choose_matmul(product, isa()).kernel.choice), "matmul packed");
  product.dtype = tensor::DType::kInt32;
  EXPECT_EQ(kernel_kind(forge::cpu::choose_matmul(product, isa()).kernel.choice), "matmul general");
  EXPECT_EQ(kernel_kind(
                forge::cpu::choose_pool({.channels = 16, .in = {1, 8, 8}, .out = {1, 4, 4}, .kernel = {1, 2, 2}}, isa())
                    .kernel.choice),
            "pool");
  EXPECT_EQ(kernel_kind("loop nest, 3 parts"), "loop nest");
  EXPECT_EQ(kernel_kind("loop nest, 3 parts, folding"), "loop nest folding");
  EXPECT_EQ(kernel_kind("top 5 of 100"), "irregular");
  EXPECT_TRUE(is_contraction_kind("conv winograd"));
  EXPECT_FALSE(is_contraction_kind("loop nest"));
}

TEST(Choices, SayWhatElseThereWas) {
  const forge::cpu::ConvProblem conv{.in_channels = 64,
                                     .out_channels = 64,
                                     .in = {1, 28, 28},
                                     .out = {1, 28, 28},
                                     .kernel = {1, 3, 3},
                                     .pad = {0, 1, 1}};
  const std::string why = forge::cpu::choose_conv(conv, isa()).kernel.why;
  EXPECT_NE(why.find("depthwise: not one channel a group"), std::string::npos) << why;
  EXPECT_NE(why.find("Mcycles by the cost model: direct "), std::string::npos) << why;
  EXPECT_NE(why.find("F(4x4)"), std::string::npos) << why;
}

TEST(CostModel, MoreWorkNeverTakesLess) {
  for (const char* choice : {"conv 3x3 winograd F(4x4)", "conv 1x1 direct mr=14", "conv 3x3 depthwise",
                             "matmul 1x1x1 packed", "pool max", "loop nest, 1 part", "lstm 8x8", "running sum"}) {
    double last = 0;
    for (double flops = 1e3; flops < 1e11; flops *= 10) {
      const double seconds = predict_launch(schedule_of(launch(choice, flops, 1 << 20), 10'000'000), 0, machine()).seconds();
      EXPECT_GE(seconds, last) << choice << " " << flops;
      last = seconds;
    }
    last = 0;
    for (std::uint64_t bytes = 1024; bytes < (1ULL << 32); bytes *= 4) {
      const double seconds =
          predict_launch(schedule_of(launch(choice, 1e9, bytes), bytes), 0, machine()).seconds();
      EXPECT_GE(seconds, last) << choice << " " << bytes;
      last = seconds;
    }
  }
}

TEST(CostModel, ThreadsHelpWhatHasTasks) {
  auto schedule = schedule_of(launch("conv 1x1 direct mr=14", 1e10, 1 << 20, 64), 1'000'000);
  const Interval one = predict_latency(schedule, machine(), 1), four = predict_latency(schedule, machine(), 4);
  EXPECT_LT(four.likely, one.likely / 3);
  EXPECT_GT(four.likely, one.likely / 4.5);
  schedule.plan.launches[0].num_tasks = 1;
  EXPECT_EQ(predict_latency(schedule, machine(), 4).likely, predict_latency(schedule, machine(), 1).likely);
  // Of a range, the tasks that there are at the optimum.
  schedule.plan.launches[0].num_tasks = 64, schedule.plan.launches[0].tasks = "N";
  schedule.plan.symbols = {{"N", 64, 1, 1}};
  EXPECT_EQ(predict_latency(schedule, machine(), 4).likely, predict_latency(schedule, machine(), 1).likely);
}

TEST(CostModel, IntervalsAreInOrder) {
  const Interval latency = predict_latency(schedule_of(launch("loop nest, 1 part", 1e6, 1 << 20), 0), machine(), 1);
  EXPECT_LT(0, latency.low);
  EXPECT_LT(latency.low, latency.likely);
  EXPECT_LT(latency.likely, latency.high);
  forge::KernelSource kernel;
  kernel.source = std::string(30'000, ' ');
  BuildWork work;
  work.verify = false;
  const double none = predict_build(work).likely;
  work.kernels = {&kernel, &kernel, &kernel, &kernel};
  const double four = predict_build(work).likely;
  EXPECT_LT(none, four);
  work.jobs = 4;
  EXPECT_LT(predict_build(work).likely, four);
  work.verify = true, work.contraction_flops = 1e9;
  EXPECT_GT(predict_build(work).likely, none + 0.1);
}

TEST(Machines, EveryCpuTargetHasFigures) {
  for (const auto& row : target::targets()) {
    if (row.kind != target::Kind::kCpu) continue;
    const target::Machine typical = target::typical_machine(row);
    EXPECT_FALSE(typical.name.empty()) << row.name;
    EXPECT_FALSE(typical.measured);
    EXPECT_GT(typical.flops, 1e9);
    EXPECT_GE(typical.level2_bandwidth, typical.level3_bandwidth);
    EXPECT_GE(typical.level3_bandwidth, typical.memory_bandwidth);
  }
}

TEST(Machines, BandwidthFallsWithTheDistance) {
  const target::Machine m = machine();
  double last = m.bandwidth(1);
  for (double bytes = 1e3; bytes < 1e10; bytes *= 2) {
    EXPECT_LE(m.bandwidth(bytes), last * (1 + 1e-12)) << bytes;
    last = m.bandwidth(bytes);
  }
  EXPECT_LT(last, 1.1 * m.memory_bandwidth);
}

TEST(Machines, ThisOneIsMeasured) {
  auto host = target::find("host");
  if (!host) GTEST_SKIP() << host.error().text();
  const auto machine = target::measure_host(**host);
  ASSERT_TRUE(machine) << machine.error().text();
  EXPECT_TRUE(machine->measured);
  EXPECT_GT(machine->cores, 0);
  EXPECT_GT(machine->frequency, 1e8);
  EXPECT_GT(machine->flops, machine->frequency);  // a vector unit does more than one operation a cycle
  EXPECT_GE(machine->level2_bandwidth, machine->level3_bandwidth);
  EXPECT_FALSE(target::measure_host(*target::find_canonical("sm_80")));
}

}  // namespace
}  // namespace xinfer::compiler
