// Engines with hand-made plans around two tiny x86-64 kernels, for tests of file and runtime without the compiler.
#pragma once
#include <cstring>
#include <string>

#include "base/digest.h"
#include "engine/engine.h"

namespace xinfer::testing_engine {

// Made by clang 19 -O1 -ffreestanding -fPIC from
//   add(b, …):     for each task t and j < 16: b[2][16t+j] = b[0][16t+j] + b[1][j]
//   compact(b, s): copies the positive of 64 floats b[0] to b[1], their number to s[0]           (at offset 128)
inline std::string code() {
  return *base::from_hex(
      "4c39c17d53488b47084889ca48c1e206488b77104801d6480317660f1f440000"
      "31ff66666666662e0f1f840000000000f30f1004baf30f5804b8f30f1104be48"
      "ffc74883ff1075e848ffc14883c6404883c2404c39c175c8c3cccccccccccccc"
      "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
      "488b07488b4f0831d20f57c031ffeb0948ffc24883fa407414f30f100c900f2e"
      "c876edf30f110cb948ffc7ebe348893ec3");
}

/// The same for 64-bit Arm.
inline std::string arm_code() {
  return *base::from_hex(
      "7f0004eb6a02005408a440a96ae47ad30b0040f929010a8b6a010a8beb031faa"
      "40696bbc01696bbc0028211e20692bbc6b1100917f0101f141ffff5463040091"
      "290101914a0101917f0004eb81feff54c0035fd6000000000000000000000000"
      "0000000000000000000000000000000000000000000000000000000000000000"
      "092840a9e8031faaeb031faa04000014081100911f0104f100010054206968bc"
      "0820201e6dffff546c05009140792bbceb030caaf7ffff172b0000f9c0035fd6");
}

/// y = x + layers * w for `tasks` x 16 floats, w = 0, 1, …, 15; every layer is one launch, shared by threads if `shared`.
inline engine::Contents add_chain(int layers, std::int64_t tasks, bool shared) {
  using Space = engine::BufferRef::Space;
  engine::Contents contents;
  contents.manifest.architecture = "x86-64-v3";
  contents.manifest.model_name = "add_chain";
  contents.manifest.toolchain = "test";
  contents.code = code();
  contents.weights.resize(64);
  for (int j = 0; j < 16; ++j) {
    auto value = static_cast<float>(j);
    std::memcpy(contents.weights.data() + 4 * j, &value, 4);
  }
  auto bytes = static_cast<std::uint64_t>(tasks) * 64;
  auto& plan = contents.plan;
  plan.inputs = {{"x", tensor::DType::kFloat32, {tasks, 16}, {"", ""}}};
  plan.outputs = {{"y", tensor::DType::kFloat32, {tasks, 16}, {"", ""}}};
  plan.arena_bytes = 2 * bytes;
  plan.scratch_bytes = 128;
  plan.kernels = {{"add", 0}};
  for (int i = 0; i < layers; ++i) {
    engine::Launch launch;
    auto arena = [&](int slot) { return engine::BufferRef{Space::kArena, 0, slot % 2 ? bytes : 0, bytes}; };
    launch.arguments = {i == 0 ? engine::BufferRef{Space::kInput, 0, 0, bytes} : arena(i - 1),
                        {Space::kWeights, 0, 0, 64},
                        i + 1 == layers ? engine::BufferRef{Space::kOutput, 0, 0, bytes} : arena(i)};
    launch.num_tasks = tasks;
    launch.scratch_bytes = 128;
    launch.name = fmt::format("Add_{}", i);
    launch.choice = "add";
    launch.flops = shared ? 1e6 : 1;
    plan.launches.push_back(launch);
  }
  return contents;
}

/// y = x + (2 + n) * w, where n is how often a region ran: as often as input "limit" says, while input "c" holds; at most once
/// unless it `repeats`. Output "times" has n elements then.
inline engine::Contents add_region(std::int64_t tasks, bool shared, bool repeats) {
  using Space = engine::BufferRef::Space;
  engine::Contents contents = add_chain(3, tasks, shared);
  auto& plan = contents.plan;
  plan.inputs.push_back({"c", tensor::DType::kBool, {}, {}});
  plan.inputs.push_back({"limit", tensor::DType::kInt64, {}, {}});
  const engine::BufferRef kept = plan.launches[0].arguments[2];
  plan.launches[1].arguments[0] = plan.launches[1].arguments[2] = plan.launches[2].arguments[0] = kept;
  engine::Region region{1, 2, {Space::kInput, 1, 0, 1}, true, repeats, {}, {}, -1};
  if (repeats) {
    plan.outputs.push_back({"times", tensor::DType::kFloat32, {-1}, {"n"}});
    plan.symbols = {{"n", 1000}};
    region.limit = {Space::kInput, 2, 0, 8}, region.symbol = 0;
    region.iteration = {Space::kArena, 0, plan.arena_bytes, 8};
    plan.arena_bytes += 8;
  }
  plan.regions = {region};
  return contents;
}

/// y = the positive ones of 64 floats: an output whose size is found while running.
inline engine::Contents compact() {
  using Space = engine::BufferRef::Space;
  engine::Contents contents;
  contents.manifest.architecture = "x86-64-v3";
  contents.code = code();
  auto& plan = contents.plan;
  plan.inputs = {{"x", tensor::DType::kFloat32, {64}, {""}}};
  plan.outputs = {{"y", tensor::DType::kFloat32, {-1}, {"n"}}};
  plan.symbols = {{"n", 64}};
  plan.kernels = {{"compact", 128}};
  plan.launches = {{0, {{Space::kInput, 0, 0, 256}, {Space::kOutput, 0, 0, 256}}, 1, 0, "NonZero", "", 0, 0}};
  return contents;
}

}  // namespace xinfer::testing_engine
