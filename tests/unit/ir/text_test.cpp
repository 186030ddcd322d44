#include <gtest/gtest.h>

#include "ir/operator.h"

namespace xinfer::ir {
namespace {

constexpr std::string_view kText = R"(graph "all" {
  metadata "author" = "me \"and\" you"
  input %x: float32[N,3]
  input %"odd name": seq(int64)
  constant %b = bool[2] {true, false}
  constant %i = int64[] {-9223372036854775808}
  constant %s = string[1] {"a\x0ab"}
  constant %w = float32[2] {0.1, -inf}
  %y: float32[N,3], _ = Dropout(%x, _, %b) @"drop/1"
  %z: float32[?] = If(%b) {else_branch = graph "no" {
    capture %y: float32[N,3] = %y
    output %y
  }, then_branch = graph "yes" {
    capture %x2: float32[N,3] = %x
    %r: float32[N,3] = Relu(%x2)
    output %r
  }}
  %t: float32[] = Test.Op(%y) {axes = [1, -2], e = ints[], f = 1.5, floats = [1.0, 2.0], n = 3, name = "v", strings = ["a", "b"], value = tensor float32[1] {0.25}}
  output %z, %t
}
)";

TEST(Text, PrintsWhatItParses) {
  auto graph = parse(kText);
  ASSERT_TRUE(graph) << graph.error().text();
  EXPECT_EQ(print(*graph), kText);
  EXPECT_EQ(*graph->nodes[2].attributes.get<float>("f"), 1.5f);
  EXPECT_EQ(graph->nodes[2].attributes.integers("axes"), (std::vector<std::int64_t>{1, -2}));
}

TEST(Text, LargeConstantsAreDigests) {
  Graph graph;
  graph.name = "g";
  Tensor big(DType::kFloat32, {100});
  big.set(7, 3);
  const auto shared = std::make_shared<const Tensor>(big);
  graph.outputs = {graph.add_constant("w", big)};
  const std::string text = print(graph);
  EXPECT_NE(text.find("float32[100] sha256:" + digest(big)), std::string::npos);
  auto without = parse(text);
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().message, "the constant sha256:" + digest(big) + " is not given");
  auto with = parse(text, {{digest(big), shared}});
  ASSERT_TRUE(with) << with.error().text();
  EXPECT_EQ(print(*with), text);
}

TEST(Text, ErrorsNameTheLine) {
  auto graph = parse("graph \"g\" {\n  %y: float32[1] = Relu(%x)\n  output %y\n}");
  ASSERT_FALSE(graph);
  EXPECT_EQ(graph.error().text(), "%x is not defined (at line 2)");
}

TEST(Verify, ReportsAllProblemsAtOnce) {
  auto graph = parse("graph \"g\" {\n  input %x: float32[1]\n  %y: float32[1] = Nope(%x)\n  %z: float32[1] = Add(%y)\n  output %z\n}");
  ASSERT_TRUE(graph) << graph.error().text();
  std::swap(graph->nodes[0], graph->nodes[1]);
  auto sound = verify(*graph);
  ASSERT_FALSE(sound);
  EXPECT_EQ(sound.error().message,
            "Add: 1 inputs, the operator takes 2\nAdd: input 'y' is read before it is produced\nNope: unknown operator");
}

TEST(Graph, CompactKeepsCapturedValues) {
  auto graph = parse(kText);
  ASSERT_TRUE(graph);
  graph->nodes.erase(graph->nodes.begin() + 2);
  graph->outputs.pop_back();
  graph->compact();
  EXPECT_EQ(graph->values.size(), 5u);  // two inputs, b, y, z
  EXPECT_EQ(graph->value(graph->outputs[0]).name, "z");
}

}  // namespace
}  // namespace xinfer::ir
