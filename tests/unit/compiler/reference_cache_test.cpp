// Outputs of the reference that one verification has computed serve the next; none that somebody else gave can spoil a build.
#include "compiler/reference_cache.h"

#include <gtest/gtest.h>

#include "base/program.h"
#include "symbolic.h"

namespace xinfer::compiler {
namespace {

namespace fs = std::filesystem;

class References : public Symbolic {
 protected:
  void SetUp() override {
    if (base::program_id().empty()) GTEST_SKIP() << "this program was linked without a build id";
    auto model = onnx::make_model();
    add_input(model, "x", {"N", "4"});
    add_node(model, "Softmax", {"x"}, {"a"});
    add_node(model, "Relu", {"a"}, {"y"});
    add_output(model, "y");
    path_ = folder_.path() / "model.onnx";
    ASSERT_TRUE(base::write_file(path_, model.SerializeAsString()));
  }
  Verification verified(std::int64_t most = 8) {
    BuildOptions options;
    options.target = "x86-64-v3";
    options.cache_folder = folder_.path() / "kernels";
    options.input_ranges = {{"x", {range(1, 4, most), fixed(4)}}};
    options.references = {folder_.path() / "shared", [&](const std::vector<std::string>& missing) { asked_.push_back(missing); }};
    const auto built = build(path_, options);
    EXPECT_TRUE(built) << built.error().text();
    return built ? built->report.verification : Verification();
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> all;
    for (const auto& entry : fs::directory_iterator(folder_.path() / "shared/references")) all.push_back(entry.path());
    return all;
  }
  std::vector<std::vector<std::string>> asked_;
};

TEST_F(References, WhatWasComputedIsKnownThen) {
  const Verification first = verified();
  if (!first.ran) GTEST_SKIP() << first.reason;
  EXPECT_EQ(first.references, 4U);  // at the optimum, the minimum, the maximum and between
  EXPECT_EQ(first.references_known, 0U);
  ASSERT_EQ(asked_.size(), 1U) << "all at once";
  EXPECT_EQ(asked_[0].size(), 4U);
  EXPECT_TRUE(asked_[0][0].starts_with("references/") && asked_[0][0].ends_with(".reference")) << asked_[0][0];
  const Verification second = verified();
  EXPECT_EQ(second.references_known, 4U);
  EXPECT_EQ(second.reference_ms, 0);
  EXPECT_TRUE(second.passed());
  EXPECT_EQ(asked_.size(), 1U) << "nothing is missing";
  EXPECT_EQ(verified(16).references_known, 3U) << "the same sizes in another range";
}

TEST_F(References, WrongOnesCostTimeAndNoBuild) {
  if (!verified().ran) GTEST_SKIP() << "this machine does not run x86-64-v3";
  const std::vector<fs::path> all = files();
  ASSERT_EQ(all.size(), 4U);
  std::string bytes = base::read_file(all[0]).value();
  for (const fs::path& file : all) {  // well-formed, with other numbers
    std::string other = base::read_file(file).value();
    for (std::size_t i = other.size() - 16; i < other.size(); ++i) other[i] = '\x3f';
    ASSERT_TRUE(base::write_file(file, other));
  }
  const Verification spoiled = verified();
  EXPECT_TRUE(spoiled.passed());
  EXPECT_EQ(spoiled.references_known, 0U) << "computed again";
  for (std::size_t cut : {std::size_t{0}, std::size_t{3}, std::size_t{11}, bytes.size() - 1}) {
    for (const fs::path& file : all) ASSERT_TRUE(base::write_file(file, bytes.substr(0, cut)));
    EXPECT_TRUE(verified().passed()) << "cut to " << cut;
  }
}

}  // namespace
}  // namespace xinfer::compiler
