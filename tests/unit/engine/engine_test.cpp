#include "engine/engine.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/digest.h"
#include "base/files.h"

namespace xinfer::engine {
namespace {

Contents sample() {
  Contents contents;
  contents.manifest = {"x86-64-v3",          "fp32",          "tiny", std::string(64, 'a'), "test", "Apache-2.0",
                       R"({"task":"none"})", R"({"ok":true})"};
  contents.plan.inputs = {{"x", tensor::DType::kFloat32, {2, 3}, {"", ""}}};
  contents.plan.outputs = {{"y", tensor::DType::kInt64, {-1, 2}, {"n", ""}}};
  contents.plan.symbols = {{"n", 5}};
  contents.plan.arena_bytes = 256;
  contents.plan.scratch_bytes = 64;
  contents.plan.kernels = {{"k0", 0}, {"k1", 16}};
  contents.plan.launches = {{1,
                             {{BufferRef::Space::kInput, 0, 0, 24},
                              {BufferRef::Space::kWeights, 0, 64, 128},
                              {BufferRef::Space::kArena, 0, 128, 128}},
                             7,
                             64,
                             "Conv_1",
                             "conv 3x3",
                             1e6,
                             2e6},
                            {0, {{BufferRef::Space::kOutput, 0, 0, 80}}, 1, 0, "NonZero", "", 0, 0}};
  contents.code = std::string(5000, '\xc3');
  contents.weights.resize(300000);  // two chunks
  for (std::size_t i = 0; i < contents.weights.size(); ++i) contents.weights[i] = static_cast<std::byte>(i * 7);
  return contents;
}

TEST(Engine, RoundTripKeepsEverything) {
  auto key = base::make_key_pair();
  Contents made = sample();
  std::string file = write(made, key.secret_key);
  auto engine = open_bytes(file, {{key.public_key}});
  ASSERT_TRUE(engine) << engine.error().text();
  const Manifest& manifest = (*engine)->manifest();
  EXPECT_EQ(manifest.architecture, "x86-64-v3");
  EXPECT_EQ(manifest.precision, "fp32");
  EXPECT_EQ(manifest.model_name, "tiny");
  EXPECT_EQ(manifest.model_digest, std::string(64, 'a'));
  EXPECT_EQ(manifest.toolchain, "test");
  EXPECT_EQ(manifest.licence, "Apache-2.0");
  EXPECT_EQ(manifest.metadata, R"({"task":"none"})");
  EXPECT_EQ(manifest.report, R"({"ok":true})");
  const Plan& plan = (*engine)->plan();
  EXPECT_EQ(plan.inputs[0].name, "x");
  EXPECT_EQ(plan.inputs[0].shape, (tensor::Shape{2, 3}));
  EXPECT_EQ(plan.outputs[0].dtype, tensor::DType::kInt64);
  EXPECT_EQ(plan.outputs[0].symbols[0], "n");
  EXPECT_EQ(plan.symbols[0].max, 5);
  EXPECT_EQ(plan.arena_bytes, 256U);
  EXPECT_EQ(plan.scratch_bytes, 64U);
  ASSERT_EQ(plan.kernels.size(), 2U);
  EXPECT_EQ(plan.kernels[1].code_offset, 16U);
  ASSERT_EQ(plan.launches.size(), 2U);
  EXPECT_EQ(plan.launches[0].arguments[1].space, BufferRef::Space::kWeights);
  EXPECT_EQ(plan.launches[0].arguments[1].offset, 64U);
  EXPECT_EQ(plan.launches[0].num_tasks, 7);
  EXPECT_EQ(plan.launches[0].choice, "conv 3x3");
  EXPECT_EQ(plan.launches[0].flops, 1e6);
  EXPECT_EQ((*engine)->code().size(), 5000U);
  EXPECT_EQ(std::memcmp((*engine)->weights().data(), made.weights.data(), made.weights.size()), 0);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>((*engine)->weights().data()) % 64, 0U);
  EXPECT_EQ((*engine)->signer(), key.public_key);
  EXPECT_EQ((*engine)->file_bytes(), file.size());
  EXPECT_EQ((*engine)->digest().size(), 64U);
}

TEST(Engine, WritingTwiceGivesTheSameBytes) {
  auto key = base::make_key_pair();
  EXPECT_EQ(write(sample(), key.secret_key), write(sample(), key.secret_key));
  EXPECT_EQ(write(sample(), ""), write(sample(), ""));
}

TEST(Engine, OpensFromAFile) {
  base::TemporaryFolder folder;
  auto path = folder.path() / "a.engine";
  ASSERT_TRUE(base::write_file(path, write(sample(), "")));
  Trust own;
  own.allow_unsigned = true;
  auto engine = open(path, own);
  ASSERT_TRUE(engine) << engine.error().text();
  EXPECT_TRUE((*engine)->signer().empty());
}

TEST(Engine, EmptyCodeAndWeightsAreFine) {
  Contents contents;
  contents.manifest.architecture = "armv8-a";
  Trust own;
  own.allow_unsigned = true;
  auto engine = open_bytes(write(contents, ""), own);
  ASSERT_TRUE(engine) << engine.error().text();
  EXPECT_TRUE((*engine)->weights().empty());
}

TEST(Engine, RegionsSurviveAndAreChecked) {
  const BufferRef condition{BufferRef::Space::kArena, 0, 3, 1}, limit{BufferRef::Space::kArena, 0, 8, 8}, count{BufferRef::Space::kArena, 0, 16, 8};
  Contents made = sample();
  made.plan.regions = {{0, 2, condition, false, false, {}, {}, -1}, {1, 2, condition, true, true, limit, count, 0}};
  Trust own;
  own.allow_unsigned = true;
  auto engine = open_bytes(write(made, ""), own);
  ASSERT_TRUE(engine) << engine.error().text();
  const auto& regions = (*engine)->plan().regions;
  ASSERT_EQ(regions.size(), 2U);
  EXPECT_EQ(regions[0].end, 2U);
  EXPECT_FALSE(regions[0].wanted);
  EXPECT_EQ(regions[0].condition.offset, 3U);
  EXPECT_EQ(regions[0].limit.bytes, 0U);
  EXPECT_EQ(regions[0].symbol, -1);
  EXPECT_TRUE(regions[1].repeats);
  EXPECT_EQ(regions[1].limit.offset, 8U);
  EXPECT_EQ(regions[1].iteration.offset, 16U);
  EXPECT_EQ(regions[1].symbol, 0);

  auto error = [&](auto change) {
    Plan plan = made.plan;
    change(plan.regions);
    auto result = check(plan, made.code.size(), made.weights.size());
    return result ? std::string("accepted") : result.error().text();
  };
  using Regions = std::vector<Region>;
  EXPECT_EQ(error([](Regions& r) { r[0].end = 3; }), "has launches that do not exist (at region 0)");
  EXPECT_EQ(error([](Regions& r) { r[1].begin = 2; }), "has launches that do not exist (at region 1)");
  EXPECT_EQ(error([](Regions& r) { r[0].end = 1, r[1].begin = 0; }), "does not nest with those around it (at region 1)");
  EXPECT_EQ(error([](Regions& r) { std::swap(r[0], r[1]); }), "does not nest with those around it (at region 1)");
  EXPECT_EQ(error([](Regions& r) { r[0].condition.offset = 256; }), "bytes 256 to 257 are outside of their 256-byte buffer (at region 0)");
  EXPECT_EQ(error([](Regions& r) { r[0].condition.bytes = 4; }), "its condition does not lie in 1 aligned bytes (at region 0)");
  EXPECT_EQ(error([](Regions& r) { r[1].limit.offset = 12; }), "its limit does not lie in 8 aligned bytes (at region 1)");
  EXPECT_EQ(error([](Regions& r) { r[1].iteration.space = BufferRef::Space::kWeights; }), "counts outside of the arena (at region 1)");
  EXPECT_EQ(error([](Regions& r) { r[1].symbol = 1; }), "counts in a symbol that does not exist (at region 1)");
  EXPECT_EQ(error([](Regions& r) { r[0].condition = {}; }), "says not when it runs (at region 0)");
  EXPECT_EQ(error([](Regions& r) { r[0].symbol = 0; }), "says not when it runs (at region 0)");
  EXPECT_EQ(error([](Regions& r) { r[1].condition = r[1].limit = {}; }), "says not when it runs (at region 1)");
}

TEST(Engine, PlanThatLeavesItsBuffersIsRefused) {
  auto error = [](auto change) {
    Contents contents = sample();
    change(contents.plan);
    auto result = check(contents.plan, contents.code.size(), contents.weights.size());
    return result ? std::string("accepted") : result.error().text();
  };
  EXPECT_EQ(error([](Plan&) {}), "accepted");
  EXPECT_EQ(error([](Plan& p) { p.launches[0].kernel = 2; }),
            "calls a kernel that does not exist (at launch 0 (Conv_1))");
  EXPECT_EQ(error([](Plan& p) { p.launches[0].arguments[2].bytes = 129; }),
            "bytes 128 to 257 are outside of their 256-byte buffer (at launch 0 (Conv_1), argument 2)");
  EXPECT_EQ(error([](Plan& p) { p.launches[0].arguments[0].offset = ~0ULL; }).find("bytes 18446744073709551615"), 0U);
  EXPECT_EQ(error([](Plan& p) { p.launches[1].arguments[0].bytes = 81; }),
            "bytes 0 to 81 are outside of their 80-byte buffer (at launch 1 (NonZero), argument 0)");
  EXPECT_EQ(error([](Plan& p) { p.launches[1].arguments[0].index = 1; }),
            "refers to an input or output that does not exist (at launch 1 (NonZero), argument 0)");
  EXPECT_EQ(error([](Plan& p) { p.kernels[1].code_offset = 5000; }), "kernel k1 lies outside of the code section");
  EXPECT_EQ(error([](Plan& p) { p.launches[0].scratch_bytes = 65; }),
            "needs more scratch memory than the plan has (at launch 0 (Conv_1))");
  EXPECT_EQ(error([](Plan& p) { p.launches[0].num_tasks = -1; }),
            "has an impossible number of tasks (at launch 0 (Conv_1))");
  EXPECT_EQ(error([](Plan& p) { p.symbols.clear(); }), "output 'y': the size of dimension 0 is not defined");
  EXPECT_EQ(error([](Plan& p) { p.inputs[0].shape = {1LL << 39, 1LL << 39}; }), "input 'x' is too large");
  EXPECT_EQ(error([](Plan& p) { p.inputs[0].dtype = tensor::DType::kUndefined; }),
            "input 'x' has an unknown element type");
  EXPECT_EQ(error([](Plan& p) { p.launches[0].arguments[0] = {BufferRef::Space::kText, 0, 0, 8}; }),
            "bytes 0 to 8 are outside of their 0-byte buffer (at launch 0 (Conv_1), argument 0)");
}

// The sample with a profile for outputs of at most three rows, and for 2x3 as before.
Contents profiled_sample() {
  Contents contents = sample();
  Plan& profile = contents.plan.profiles.emplace_back();
  profile.inputs = contents.plan.inputs;
  profile.outputs = contents.plan.outputs;
  profile.symbols = {{"n", 3}};
  profile.arena_bytes = 64;
  profile.launches = {{0, {{BufferRef::Space::kInput, 0, 0, 24}, {BufferRef::Space::kWeights, 0, 0, 64}, {BufferRef::Space::kOutput, 0, 0, 48}}, 1, 0, "all", "", 0, 0}};
  return contents;
}

TEST(Engine, ProfilesAreKept) {
  Trust own;
  own.allow_unsigned = true;
  auto engine = open_bytes(write(profiled_sample(), ""), own);
  ASSERT_TRUE(engine) << engine.error().text();
  ASSERT_EQ((*engine)->plan().profiles.size(), 1U);
  const Plan& profile = (*engine)->plan().profiles[0];
  EXPECT_EQ(profile.inputs[0].name, "x");
  EXPECT_EQ(profile.outputs[0].symbols[0], "n");
  EXPECT_EQ(profile.symbols[0].max, 3);
  EXPECT_EQ(profile.arena_bytes, 64U);
  ASSERT_EQ(profile.launches.size(), 1U);
  EXPECT_EQ(profile.launches[0].name, "all");
  EXPECT_EQ((*engine)->plan().launches.size(), 2U);
}

TEST(Engine, ProfilesThatDoNotGoWithTheEngineAreRefused) {
  auto error = [](auto change) {
    Contents contents = profiled_sample();
    change(contents.plan.profiles[0]);
    auto result = check(contents.plan, contents.code.size(), contents.weights.size());
    return result ? std::string("accepted") : result.error().text();
  };
  EXPECT_EQ(error([](Plan&) {}), "accepted");
  EXPECT_EQ(error([](Plan& p) { p.kernels = {{"k0", 0}}; }), "a profile has kernels or profiles of its own");
  EXPECT_EQ(error([](Plan& p) { p.outputs.clear(); }), "a profile has other inputs or outputs than the engine");
  EXPECT_EQ(error([](Plan& p) { p.inputs[0].name = "z"; }), "a profile has 'z' where the engine has 'x'");
  EXPECT_EQ(error([](Plan& p) { p.symbols[0].max = 6; }), "'y' is larger in a profile than in the engine");
  EXPECT_EQ(error([](Plan& p) { p.launches[0].kernel = 2; }), "calls a kernel that does not exist (at launch 0 (all))");
  EXPECT_EQ(error([](Plan& p) { p.launches[0].arguments[1].offset = 300000; }),
            "bytes 300000 to 300064 are outside of their 300000-byte buffer (at launch 0 (all), argument 1)");
}

// A GPU engine: cubins and grids instead of machine code and tasks.
Contents gpu_sample() {
  Contents contents = sample();
  contents.manifest.architecture = "sm_90a";
  contents.plan.kernels = {{"k0", 0, 1000}, {"k1", 1024, 3000}};
  contents.plan.launches[0].grid = {132, 256, 4, 98304, true};
  contents.plan.launches[1].grid = {1, 32};
  return contents;
}

TEST(Engine, GridsOfGpuKernelsAreKept) {
  Trust own;
  own.allow_unsigned = true;
  auto engine = open_bytes(write(gpu_sample(), ""), own);
  ASSERT_TRUE(engine) << engine.error().text();
  const Plan& plan = (*engine)->plan();
  EXPECT_EQ(plan.kernels[1].code_offset, 1024U);
  EXPECT_EQ(plan.kernels[1].code_bytes, 3000U);
  const Grid& grid = plan.launches[0].grid;
  EXPECT_EQ(grid.blocks, 132U);
  EXPECT_EQ(grid.threads, 256U);
  EXPECT_EQ(grid.cluster, 4U);
  EXPECT_EQ(grid.shared_bytes, 98304U);
  EXPECT_TRUE(grid.overlaps);
  EXPECT_FALSE(plan.launches[1].grid.overlaps);
  EXPECT_EQ(plan.launches[1].grid.cluster, 1U);
}

TEST(Engine, MatricesOfTheCopyEngineAreKept) {
  Trust own;
  own.allow_unsigned = true;
  Contents contents = gpu_sample();
  contents.plan.launches[0].tiled = {{1, 2, 8, 64}};
  auto engine = open_bytes(write(contents, ""), own);
  ASSERT_TRUE(engine) << engine.error().text();
  const auto& tiled = (*engine)->plan().launches[0].tiled;
  ASSERT_EQ(tiled.size(), 1U);
  EXPECT_EQ(tiled[0].argument, 1U);
  EXPECT_EQ(tiled[0].rows, 2U);
  EXPECT_EQ(tiled[0].columns, 8U);
  EXPECT_EQ(tiled[0].tile_rows, 64U);
  EXPECT_TRUE((*engine)->plan().launches[1].tiled.empty());

  auto error = [&](const TiledMatrix& matrix) {
    contents.plan.launches[0].tiled = {matrix};
    auto result = check(contents.plan, contents.code.size(), contents.weights.size());
    return result ? std::string("accepted") : result.error().text();
  };
  EXPECT_EQ(error({1, 2, 8, 64}), "accepted");
  EXPECT_EQ(error({9, 2, 8, 64}), "describes argument 9, which is no matrix of a GPU kernel (at launch 0 (Conv_1))");
  EXPECT_EQ(error({1, 4096, 8, 64}), "argument 1 is no matrix of 4096 by 8 elements (at launch 0 (Conv_1))");
  EXPECT_EQ(error({1, 2, 7, 64}), "argument 1 is no matrix of 2 by 7 elements (at launch 0 (Conv_1))");
  EXPECT_EQ(error({1, 2, 8, 257}), "argument 1 is no matrix of 2 by 8 elements (at launch 0 (Conv_1))");
}

TEST(Engine, ImpossibleGridIsRefused) {
  auto error = [](auto change) {
    Contents contents = gpu_sample();
    change(contents.plan);
    auto result = check(contents.plan, contents.code.size(), contents.weights.size());
    return result ? std::string("accepted") : result.error().text();
  };
  EXPECT_EQ(error([](Plan&) {}), "accepted");
  EXPECT_EQ(error([](Plan& p) { p.kernels[1].code_bytes = 4000; }), "kernel k1 lies outside of the code section");
  EXPECT_EQ(error([](Plan& p) { p.launches[0].grid.blocks = 0; }),
            "mixes code of a CPU and of a GPU (at launch 0 (Conv_1))");
  EXPECT_EQ(error([](Plan& p) { p.launches[0].grid.threads = 2048; }),
            "has an impossible grid of 132 blocks of 2048 threads (at launch 0 (Conv_1))");
  EXPECT_EQ(error([](Plan& p) { p.launches[0].grid.cluster = 5; }),
            "has an impossible grid of 132 blocks of 256 threads (at launch 0 (Conv_1))");
  EXPECT_EQ(error([](Plan& p) { p.inputs[0].dtype = tensor::DType::kString; }),
            "has code of a GPU, and there are strings (at launch 0 (Conv_1))");
  EXPECT_EQ(error([](Plan& p) { p.launches[1].arguments[0] = {BufferRef::Space::kText, 0, 0, 0}; }),
            "has code of a GPU, and there are strings (at launch 1 (NonZero))");
}

TEST(Trust, KeysAreKeptInAFolder) {
  base::TemporaryFolder folder;
  auto first = base::make_key_pair(), second = base::make_key_pair();
  EXPECT_TRUE(load_trust(folder.path() / "missing")->public_keys.empty());
  ASSERT_TRUE(add_trusted_key(first.public_key, "my hub", folder.path()));
  ASSERT_TRUE(add_trusted_key(first.public_key, "again", folder.path()));
  ASSERT_TRUE(add_trusted_key(second.public_key, "", folder.path()));
  auto trust = load_trust(folder.path());
  ASSERT_TRUE(trust);
  EXPECT_EQ(trust->public_keys.size(), 2U);
  EXPECT_TRUE(trust->trusts(first.public_key));
  EXPECT_FALSE(trust->trusts(base::make_key_pair().public_key));
  ASSERT_TRUE(base::write_file(folder.path() / "bad.pub", "zz\n"));
  EXPECT_EQ(load_trust(folder.path()).error().message, "this is no public key: 64 hexadecimal digits are needed");
}

TEST(Trust, SecretKeyFileIsPrivateAndNeverReplaced) {
  base::TemporaryFolder folder;
  auto path = folder.path() / "deep/my.key";
  auto pair = base::make_key_pair();
  ASSERT_TRUE(write_secret_key(path, pair.secret_key));
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_EQ(*read_secret_key(path), pair.secret_key);
  EXPECT_EQ(write_secret_key(path, pair.secret_key).error().code, base::Code::kConflict);
}

TEST(Trust, OwnKeyIsMadeOnceAndTrusted) {
  base::TemporaryFolder folder;
  auto keys = folder.path() / "xinfer/trusted_keys";
  auto first = own_secret_key(keys);
  ASSERT_TRUE(first) << first.error().text();
  EXPECT_EQ(*own_secret_key(keys), *first);
  auto trust = load_trust(keys);
  EXPECT_TRUE(open_bytes(write(sample(), *first), *trust));
}

}  // namespace
}  // namespace xinfer::engine
