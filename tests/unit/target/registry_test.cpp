#include "target/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "xinfer/error.h"

namespace xinfer::target {
namespace {

using testing::HasSubstr;

TEST(Registry, NamesAndAliasesAreUnique) {
  std::set<std::string_view> seen;
  for (const auto& row : targets()) {
    EXPECT_TRUE(seen.insert(row.name).second) << row.name;
    for (auto alias : row.aliases) EXPECT_TRUE(seen.insert(alias).second) << alias;
    EXPECT_EQ(row.kind == Kind::kCpu, row.isa != nullptr) << row.name;
    if (row.isa) {
      EXPECT_EQ(row.isa->name, row.name);
    }
    for (auto other : row.runs) EXPECT_NE(find_canonical(other), nullptr) << other;
  }
}

TEST(Registry, AliasesResolveHoweverTheyAreWritten) {
  for (auto [text, name] : {std::pair{"rtx_4090", "sm_89"},
                            {"RTX 4090", "sm_89"},
                            {"NVIDIA GeForce RTX 4090", "sm_89"},
                            {"jetson-orin", "sm_87"},
                            {"t4", "sm_75"},
                            {"Tesla T4", "sm_75"},
                            {"a100", "sm_80"},
                            {"h100", "sm_90a"},
                            {"sm_90", "sm_90a"},
                            {"a10g", "sm_86"},
                            {"l4", "sm_89"},
                            {"b200", "sm_100"},
                            {"rtx_5090", "sm_120"},
                            {"x86_64-v3", "x86-64-v3"},
                            {"aarch64", "armv8-a"}}) {
    auto row = find(text);
    ASSERT_TRUE(row) << row.error().text();
    EXPECT_EQ((*row)->name, name) << text;
  }
}

TEST(Registry, UnknownTargetNamesTheNearest) {
  auto row = find("rtx_4091");
  ASSERT_FALSE(row);
  EXPECT_EQ(row.error().code, base::Code::kNotFound);
  EXPECT_THAT(row.error().message, HasSubstr("unknown target 'rtx_4091'; did you mean rtx_4090"));
  EXPECT_EQ(find("quantum-abacus").error().message,
            "unknown target 'quantum-abacus'; 'xinfer-cli targets' lists the known ones");
  EXPECT_EQ(nearest_names("x86-64-v5").front().substr(0, 8), "x86-64-v");
}

TEST(Registry, CompatibilityOrder) {
  EXPECT_TRUE(runs_on("x86-64-v3", "x86-64-v4"));
  EXPECT_FALSE(runs_on("x86-64-v4", "x86-64-v3"));
  EXPECT_TRUE(runs_on("armv8-a", "armv8-a"));
  EXPECT_FALSE(runs_on("armv8-a", "x86-64-v4"));
  EXPECT_TRUE(runs_on("sm_86", "sm_89"));
  EXPECT_FALSE(runs_on("sm_80", "sm_87"));
  EXPECT_FALSE(runs_on("sm_90a", "sm_100"));
  // Devices that the registry does not know: later minor revisions run what is there.
  EXPECT_TRUE(runs_on("sm_100", "sm_103"));
  EXPECT_TRUE(runs_on("sm_120", "sm_121"));
  EXPECT_FALSE(runs_on("sm_100", "sm_121"));
  EXPECT_FALSE(runs_on("sm_90a", "sm_91"));
  EXPECT_FALSE(runs_on("sm_87", "sm_88"));
  EXPECT_FALSE(runs_on("x86-64-v3", "sm_103"));
}

TEST(HardwareTarget, TextFormRoundTrips) {
  auto target = HardwareTarget::parse("rtx_4090:fp16");
  EXPECT_EQ(target.architecture(), "sm_89");
  EXPECT_EQ(target.precision(), "fp16");
  EXPECT_FALSE(target.is_cpu());
  EXPECT_EQ(target.to_string(), "sm_89:fp16");
  EXPECT_EQ(HardwareTarget::parse(target.to_string()), target);
  EXPECT_EQ(HardwareTarget::parse("x86-64-v3:fp32").to_string(), "x86-64-v3");
  EXPECT_TRUE(HardwareTarget::host().is_cpu());
}

TEST(HardwareTarget, BadTextThrowsWithItsCode) {
  try {
    HardwareTarget::parse("t4:fp13");
    FAIL() << "fp13 was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "invalid_argument");
    EXPECT_STREQ(error.what(), "unknown precision 'fp13' in target 't4:fp13'; known are fp32, fp16, bf16, int8");
  }
  EXPECT_THROW(HardwareTarget::parse(""), Error);
  EXPECT_THROW(HardwareTarget::parse("t4:"), Error);
}

TEST(Registry, PrecisionsThatCanBeBuilt) {
  for (const char* text : {"x86-64-v3", "t4", "t4:fp16", "h100:bf16", "rtx_5090:fp16"})
    EXPECT_TRUE(check_buildable(HardwareTarget::parse(text))) << text;
  auto refusal = [](const char* text) {
    auto result = check_buildable(HardwareTarget::parse(text));
    EXPECT_EQ(result.error().code, base::Code::kUnsupported);
    return result.error().message;
  };
  EXPECT_EQ(refusal("armv8-a:int8"), "armv8-a: precision int8 is not supported on CPU targets by this version; use fp32");
  EXPECT_EQ(refusal("h100:int8"), "sm_90a: precision int8 is not supported by this version; use fp16, bf16 or fp32");
  EXPECT_EQ(refusal("t4:bf16"), "sm_75: this hardware has no bfloat16; use fp16 or fp32");
}

TEST(Registry, EveryTargetHasItsFigures) {
  for (const auto& row : targets()) {
    EXPECT_EQ(row.isa != nullptr, row.kind == Kind::kCpu) << row.name;
    EXPECT_EQ(row.gpu != nullptr, row.kind == Kind::kNvidia) << row.name;
    if (row.gpu) {
      EXPECT_EQ(row.gpu->name, row.name);
    }
  }
}

}  // namespace
}  // namespace xinfer::target
