// The report's page: launches as a graph, texts of a hostile model harmless, nothing loaded from elsewhere.
#include "compiler/html_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../runtime/sample_engine.h"
#include "compiler/graph_drawing.h"
#include "compiler/launch_graph.h"

namespace xinfer::compiler {
namespace {

using testing::HasSubstr;
using testing::Not;
using Kind = LaunchGraph::Node::Kind;

constexpr std::string_view kHostile = "</script><script>alert(1)</script>\"'><img src=http://a/ onerror=x>";

std::shared_ptr<const engine::Engine> sample(int layers, const std::string& name) {
  engine::Contents contents = testing_engine::add_chain(layers, 5, false);
  contents.manifest.model_name = name;
  contents.manifest.licence = name;
  for (std::size_t i = 0; i < contents.plan.launches.size(); ++i)
    contents.plan.launches[i].name = name + std::to_string(i);
  contents.plan.launches[0].choice = name;
  contents.manifest.report =
      R"({"verification":{"ran":true,"passed":true,"outputs":[{"name":"</script>","max_abs_error":"x","matches":true}]},)"
      R"("launch_notes":[{"outputs":1,"values":["x: float32[5,16]","","</style>: float32[5,16]"]}],"kernel_reasons":["</title>"]})";
  return *engine::open_bytes(engine::write(contents, ""), {{}, true});
}

TEST(LaunchGraph, FollowsTheMemory) {
  const auto engine = sample(3, "a");
  const LaunchGraph graph = make_launch_graph(engine->plan(), engine->manifest().report);
  ASSERT_EQ(graph.nodes.size(), 5u);  // input, three launches, output
  EXPECT_EQ(graph.nodes[0].kind, Kind::kInput);
  EXPECT_EQ(graph.nodes[4].kind, Kind::kOutput);
  ASSERT_EQ(graph.edges.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(std::pair(graph.edges[i].from, graph.edges[i].to), std::pair(i, i + 1));
  EXPECT_EQ(graph.nodes[1].output, "</style>: float32[5,16]");
  EXPECT_EQ(graph.nodes[1].reason, "</title>");
  EXPECT_EQ(graph.nodes[1].weight_bytes, 64);
  ASSERT_EQ(graph.blocks.size(), 2u);  // what the first two launches left in the arena
  EXPECT_EQ(graph.blocks[0].born, 0u);
  EXPECT_EQ(graph.blocks[0].last, 1u);
}

TEST(LaunchGraph, TakesAnyReport) {
  const auto engine = sample(2, "a");
  for (const char* report :
       {"", "[]", "{}", "null", R"({"launch_notes":3})", R"({"launch_notes":[{"outputs":99999,"values":[1,2]},7]})",
        R"({"launch_notes":[{"outputs":-1,"values":{}}],"kernel_reasons":[{}]})"})
    EXPECT_EQ(make_launch_graph(engine->plan(), report).nodes.size(), 4u) << report;
}

TEST(HtmlReport, HostileNamesStayText) {
  const auto engine = sample(3, std::string(kHostile));
  Measurement measurement{1, 1.5, 1, 2, {10, 20, 30}};
  const std::vector<Report::Stage> stages = {{"import", 1, std::string(kHostile)}};
  const std::string page = html_report(*engine, &measurement, &stages);
  EXPECT_THAT(page, HasSubstr("&lt;/script&gt;&lt;script&gt;alert(1)"));
  EXPECT_THAT(page, Not(HasSubstr("<img")));
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  // One script and one style, both ours.
  const auto count = [&](std::string_view text) {
    std::size_t found = 0;
    for (std::size_t at = page.find(text); at != std::string::npos; at = page.find(text, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count("<script"), 1u);
  EXPECT_EQ(count("</script"), 1u);
  EXPECT_EQ(count("<style"), 1u);
  EXPECT_EQ(count("</style"), 1u);
  EXPECT_EQ(count("<title>"), count("</title>"));
}

TEST(HtmlReport, LoadsNothing) {
  const std::string page = html_report(*sample(3, "net"), nullptr, nullptr);
  for (const char* text : {"src=", "href=", "url(", "@import", "http:", "https:"})
    EXPECT_THAT(page, Not(HasSubstr(text)));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
}

TEST(HtmlReport, ShowsWhatThereIs) {
  const auto engine = sample(3, "net");
  const std::string without = html_report(*engine, nullptr, nullptr);
  EXPECT_THAT(without, Not(HasSubstr("Time by launch")));
  EXPECT_THAT(without, HasSubstr(">passed<"));
  EXPECT_THAT(without, HasSubstr("Graph of launches"));
  Measurement measurement{2, 1.5, 1, 2, {10, 20, 70}};
  const std::string with = html_report(*engine, &measurement, nullptr);
  EXPECT_THAT(with, HasSubstr("Time by launch"));
  EXPECT_THAT(with, HasSubstr("median with 2 threads"));
  EXPECT_THAT(with, HasSubstr(">70.0<"));
  measurement.launch_microseconds.pop_back();  // of another engine
  EXPECT_THAT(html_report(*engine, &measurement, nullptr), Not(HasSubstr("Time by launch")));
}

TEST(GraphDrawing, DrawsEveryBoxAndEdge) {
  std::vector<DrawnBox> boxes(200);
  std::vector<std::pair<std::size_t, std::size_t>> edges;
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    boxes[i].title = fmt::format("node {}", i);
    if (i > 0) edges.emplace_back(i - 1, i);
    if (i > 20) edges.emplace_back(i - 20, i);
  }
  const std::string svg = draw_graph(boxes, edges, "g");
  for (std::size_t i = 0; i < boxes.size(); ++i) EXPECT_THAT(svg, HasSubstr(fmt::format(">node {}<", i)));
  std::size_t paths = 0;
  for (std::size_t at = svg.find("<path"); at != std::string::npos; at = svg.find("<path", at + 1)) ++paths;
  EXPECT_EQ(paths, edges.size());
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(GraphDrawing, ShortensByCharacters) {
  EXPECT_EQ(keep_end("abcdef", 6), "abcdef");
  EXPECT_EQ(keep_end("abcdefg", 4), "…efg");
  EXPECT_EQ(keep_end("äöüäöü", 3), "…öü");
  EXPECT_EQ(keep_begin("abcdefg", 4), "abc…");
  EXPECT_EQ(keep_begin("abcd", 4), "abcd");
  EXPECT_EQ(escape_html("a<b>&\"'\x01"), "a&lt;b&gt;&amp;&quot;&#39;\xEF\xBF\xBD");
}

}  // namespace
}  // namespace xinfer::compiler
