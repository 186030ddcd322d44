// Every file of cases/ holds the name of a pass, a graph, and the graph that the pass (and removing dead code) leaves.
// XI_UPDATE=1 rewrites the latter.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/files.h"
#include "ir/operator.h"
#include "passes/pass.h"

namespace xinfer::passes {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSeparator = "\n==== after\n";

std::vector<std::string> cases() {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(fs::path(XI_SOURCE_DIR) / "tests/golden/passes/cases")) files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

// "NAME with loops" is what runs for back ends that have loops.
const Pass* find_pass(std::string_view name) {
  constexpr std::string_view kLoops = " with loops";
  const auto all = pipeline();
  const bool loops = name.ends_with(kLoops);
  if (loops) name.remove_suffix(kLoops.size());
  auto found = std::find_if(all.begin(), all.end(), [&](const Pass& pass) { return pass.name == name && (loops ? pass.not_with : pass.only_with) != &PipelineOptions::loops; });
  return found == all.end() ? nullptr : &*found;
}

base::Result<void> run_pass(ir::Graph& graph, std::string_view name) {
  const Pass* pass = find_pass(name);
  if (pass == nullptr) return base::fail(base::Code::kNotFound, "no pass {}", name);
  XI_TRY(const bool changed, pass->run(graph));
  static_cast<void>(changed);
  XI_CHECK(ir::verify(graph));
  return ir::infer_types(graph);
}

class PassGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(PassGolden, Case) {
  auto text = base::read_file(GetParam());
  ASSERT_TRUE(text);
  const std::size_t line = text->find('\n'), separator = text->find(kSeparator);
  ASSERT_TRUE(text->starts_with("pass ")) << "the first line names the pass";
  const std::string pass = text->substr(5, line - 5);
  const std::string before = text->substr(line + 1, separator == std::string::npos ? separator : separator - line);
  auto graph = ir::parse(before);
  ASSERT_TRUE(graph) << graph.error().text();
  auto typed = ir::infer_types(*graph);
  ASSERT_TRUE(typed) << typed.error().text();
  auto sound = ir::verify(*graph);
  ASSERT_TRUE(sound) << sound.error().text();
  auto done = run_pass(*graph, pass);
  ASSERT_TRUE(done) << done.error().text();
  done = run_pass(*graph, "remove_dead_code");
  ASSERT_TRUE(done) << done.error().text();
  const std::string after = ir::print(*graph);
  if (std::getenv("XI_UPDATE") != nullptr) {
    std::string head = text->substr(0, separator);
    while (head.ends_with('\n')) head.pop_back();
    ASSERT_TRUE(base::write_file(GetParam(), head + "\n" + std::string(kSeparator.substr(1)) + after));
    return;
  }
  ASSERT_NE(separator, std::string::npos) << "no expectation: run with XI_UPDATE=1 and read the change";
  EXPECT_EQ(after, text->substr(separator + kSeparator.size()));
}

INSTANTIATE_TEST_SUITE_P(Files, PassGolden, ::testing::ValuesIn(cases()), [](const auto& info) {
  std::string name = fs::path(info.param).stem().string();
  std::replace_if(name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
});

TEST(Pipeline, RefusesUnknownPasses) {
  ir::Graph graph;
  PipelineOptions options;
  options.disabled = {"fold_konstants"};
  auto runs = run_pipeline(graph, options);
  ASSERT_FALSE(runs);
  EXPECT_TRUE(runs.error().message.starts_with("there is no pass 'fold_konstants'; the passes are extract_scales, fold_constants, ")) << runs.error().message;
}

}  // namespace
}  // namespace xinfer::passes
