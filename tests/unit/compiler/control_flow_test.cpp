// Branches and loops over data.
#include "symbolic.h"

namespace xinfer::compiler {
namespace {

onnx::proto::GraphProto& add_body(onnx::proto::NodeProto& node, const std::string& name) {
  auto& graph = *add_attribute(node, name, AttributeProto::GRAPH).mutable_g();
  graph.set_name(name);
  return graph;
}

// Both branches have the input's shape, which is known only while running.
TEST_F(Symbolic, ABranchThatDataChooses) {
  auto model = onnx::make_model();
  add_input(model, "x", {"N", "5"});
  onnx::add_initializer(*model.mutable_graph(), "limit", {1}, {0.0f});
  add_ints(model, "last", {0});
  auto& sum = add_node(model, "ReduceSum", {"x"}, {"sum"});
  add_attribute(sum, "keepdims", AttributeProto::INT).set_i(0);
  add_node(model, "Less", {"limit", "sum"}, {"positive"});
  auto& choose = add_node(model, "If", {"positive"}, {"y"});
  auto& yes = add_body(choose, "then_branch");
  add_node(yes, "Exp", {"x"}, {"a"});
  yes.add_output()->set_name("a");
  auto& no = add_body(choose, "else_branch");
  add_node(no, "Relu", {"x"}, {"b"});
  no.add_output()->set_name("b");
  add_output(model, "y");
  // Random inputs of these sizes have sums of both signs.
  check(model, {{"x", {range(1, 4, 9), fixed(5)}}}, {{{1, 5}}, {{2, 5}}, {{3, 5}}, {{4, 5}}, {{9, 5}}});
}

// Of two branches with networks of their own one runs, also inside of the other.
TEST_F(Symbolic, BranchesNotTakenAreLeftOut) {
  auto model = onnx::make_model();
  add_input(model, "x", {"N", "16"});
  add_input(model, "a", {}, 9);
  add_input(model, "b", {"1"}, 9);
  for (const char* name : {"u", "v", "w"}) add_weights(model, name, {16, 16});
  auto& outer = add_node(model, "If", {"a"}, {"y"});
  auto& yes = add_body(outer, "then_branch");
  add_node(yes, "MatMul", {"x", "u"}, {"xu"});
  add_node(yes, "Softmax", {"xu"}, {"soft"});
  yes.add_output()->set_name("soft");
  auto& no = add_body(outer, "else_branch");
  add_node(no, "MatMul", {"x", "v"}, {"xv"});
  auto& inner = add_node(no, "If", {"b"}, {"deep"});
  auto& first = add_body(inner, "then_branch");
  add_node(first, "MatMul", {"xv", "w"}, {"xw"});
  add_node(first, "Exp", {"xw"}, {"raised"});
  first.add_output()->set_name("raised");
  auto& second = add_body(inner, "else_branch");
  add_node(second, "Softmax", {"xv"}, {"shares"});
  // Positions that are in range only where they were computed.
  add_attribute(add_node(second, "ArgMax", {"shares"}, {"best"}), "axis", AttributeProto::INT).set_i(1);
  add_node(second, "GatherElements", {"xv", "best"}, {"largest"}).add_attribute()->CopyFrom(second.node(1).attribute(0));
  add_node(second, "Add", {"shares", "largest"}, {"other"});
  second.add_output()->set_name("other");
  no.add_output()->set_name("deep");
  add_output(model, "y");
  check(model, {{"x", {range(1, 4, 9), fixed(16)}}}, {});
  for (std::uint64_t seed = 1; seed < 9; ++seed)  // conditions of all kinds
    for (std::int64_t rows : {1, 4, 9}) compare_at({{rows, 16}, {}, {1}}, seed);
  std::size_t conditional = 0;
  for (const auto& region : engine_->plan().regions) conditional += region.end - region.begin;
  EXPECT_GE(conditional, 5U);  // that each product lies in one, and what follows it
}

// Halves x until its sum is small, at most six times.
TEST_F(Symbolic, ALoopThatDataEnds) {
  auto model = onnx::make_model();
  add_input(model, "x", {"N", "5"});
  add_ints(model, "trips", {6});
  onnx::add_initializer(*model.mutable_graph(), "zero", {5}, {0, 0, 0, 0, 0});
  onnx::add_initializer(*model.mutable_graph(), "limit", {}, {0.4f});
  onnx::add_initializer(*model.mutable_graph(), "half", {}, {0.5f});
  onnx::add_initializer(*model.mutable_graph(), "one", {}, {1.0f});
  add_node(model, "Abs", {"x"}, {"start"});
  add_node(model, "Sub", {"half", "half"}, {"none"});
  add_node(model, "Less", {"none", "limit"}, {"always"});
  auto& loop = add_node(model, "Loop", {"trips", "always", "start", "none"}, {"y", "times"});
  auto& body = add_body(loop, "body");
  onnx::set_type(*body.add_input(), "i", {}, 7);
  onnx::set_type(*body.add_input(), "again", {}, 9);
  onnx::set_type(*body.add_input(), "value", {"N", "5"});
  onnx::set_type(*body.add_input(), "count", {});
  add_node(body, "Mul", {"value", "half"}, {"next"});
  add_node(body, "Add", {"count", "one"}, {"counted"});
  add_attribute(add_node(body, "ReduceMean", {"next"}, {"mean"}), "keepdims", AttributeProto::INT).set_i(0);
  add_node(body, "Less", {"threshold", "mean"}, {"on"});
  onnx::add_initializer(body, "threshold", {}, {0.05f});
  for (const char* name : {"on", "next", "counted"}) body.add_output()->set_name(name);
  add_output(model, "y");
  add_output(model, "times");
  check(model, {{"x", {range(1, 4, 9), fixed(5)}}}, {{{1, 5}}, {{2, 5}}, {{4, 5}}, {{9, 5}}});
}

// A loop's usual inputs in front of its states, and a body that goes on for as long as `on` holds.
onnx::proto::GraphProto& add_loop_body(onnx::proto::NodeProto& loop) {
  auto& body = add_body(loop, "body");
  onnx::set_type(*body.add_input(), "i", {}, 7);
  onnx::set_type(*body.add_input(), "again", {}, 9);
  return body;
}

// Doubles x until its sum exceeds a limit, however often that takes; swaps two states meanwhile.
TEST_F(Symbolic, ALoopWithoutABound) {
  auto model = onnx::make_model();
  add_input(model, "x", {"N", "5"});
  onnx::add_initializer(*model.mutable_graph(), "limit", {}, {1e6f});
  onnx::add_initializer(*model.mutable_graph(), "two", {}, {2.0f});
  onnx::add_initializer(*model.mutable_graph(), "one", {}, {1.0f});
  add_node(model, "Abs", {"x"}, {"start"});
  add_node(model, "Exp", {"x"}, {"other"});
  auto& loop = add_node(model, "Loop", {"", "", "start", "other", "one"}, {"y", "z", "times"});
  auto& body = add_loop_body(loop);
  onnx::set_type(*body.add_input(), "a", {"N", "5"});
  onnx::set_type(*body.add_input(), "b", {"N", "5"});
  onnx::set_type(*body.add_input(), "count", {});
  add_node(body, "Mul", {"a", "two"}, {"doubled"});
  add_node(body, "Identity", {"b"}, {"swapped"});
  add_node(body, "Add", {"count", "one"}, {"counted"});
  add_attribute(add_node(body, "ReduceSum", {"doubled"}, {"sum"}), "keepdims", AttributeProto::INT).set_i(0);
  add_node(body, "Less", {"sum", "limit"}, {"on"});
  for (const char* name : {"on", "swapped", "doubled", "counted"}) body.add_output()->set_name(name);
  for (const char* name : {"y", "z", "times"}) add_output(model, name);
  check(model, {{"x", {range(1, 4, 9), fixed(5)}}}, {{{1, 5}}, {{2, 5}}, {{4, 5}}, {{9, 5}}});
  ASSERT_EQ(engine_->plan().regions.size(), 1U);
  EXPECT_TRUE(engine_->plan().regions[0].repeats);
}

// What it collects has as many elements as there were iterations; the number of trips is data, within a bound.
TEST_F(Symbolic, ALoopThatCollectsUntilDataEndsIt) {
  auto model = onnx::make_model();
  add_input(model, "x", {"N", "5"});
  add_ints(model, "trips", {40});
  onnx::add_initializer(*model.mutable_graph(), "limit", {}, {9.0f});
  auto& loop = add_node(model, "Loop", {"trips", "", "x"}, {"y", "all", "numbers"});
  auto& body = add_loop_body(loop);
  onnx::set_type(*body.add_input(), "a", {"N", "5"});
  add_node(body, "Sin", {"a"}, {"sine"});
  add_node(body, "Add", {"a", "sine"}, {"next"});
  add_node(body, "Cast", {"i"}, {"number"}).add_attribute()->CopyFrom([] {
    onnx::proto::NodeProto node;
    add_attribute(node, "to", AttributeProto::INT).set_i(1);
    return node.attribute(0);
  }());
  add_attribute(add_node(body, "ReduceL1", {"next"}, {"size"}), "keepdims", AttributeProto::INT).set_i(0);
  add_node(body, "Less", {"size", "limit"}, {"on"});
  for (const char* name : {"on", "next", "sine", "number"}) body.add_output()->set_name(name);
  for (const char* name : {"y", "all", "numbers"}) add_output(model, name);
  check(model, {{"x", {range(1, 2, 9), fixed(5)}}}, {{{1, 5}}, {{2, 5}}, {{4, 5}}, {{9, 5}}});
}

// A loop within a loop that is within a branch; the inner one has an early end, and what does not depend on either stands in front.
TEST_F(Symbolic, LoopsNest) {
  auto model = onnx::make_model();
  add_input(model, "x", {"3", "4"});
  add_input(model, "c", {}, 9);
  add_ints(model, "many", {100});
  add_weights(model, "w", {4, 4});
  onnx::add_initializer(*model.mutable_graph(), "half", {}, {0.5f});
  onnx::add_initializer(*model.mutable_graph(), "least", {}, {0.02f});
  auto& choose = add_node(model, "If", {"c"}, {"y"});
  auto& no = add_body(choose, "else_branch");
  add_node(no, "Neg", {"x"}, {"negative"});
  no.add_output()->set_name("negative");
  auto& yes = add_body(choose, "then_branch");
  auto& outer = add_node(yes, "Loop", {"many", "", "x"}, {"looped", "sums"});
  auto& body = add_loop_body(outer);
  onnx::set_type(*body.add_input(), "a", {"3", "4"});
  add_node(body, "MatMul", {"x", "w"}, {"fixed"});
  auto& inner = add_node(body, "Loop", {"", "", "a"}, {"small"});
  auto& deep = add_body(inner, "body");
  onnx::set_type(*deep.add_input(), "j", {}, 7);
  onnx::set_type(*deep.add_input(), "further", {}, 9);
  onnx::set_type(*deep.add_input(), "b", {"3", "4"});
  add_node(deep, "Mul", {"b", "half"}, {"halved"});
  add_attribute(add_node(deep, "ReduceL1", {"halved"}, {"total"}), "keepdims", AttributeProto::INT).set_i(0);
  add_node(deep, "Less", {"least", "total"}, {"onwards"});
  for (const char* name : {"onwards", "halved"}) deep.add_output()->set_name(name);
  add_node(body, "Add", {"small", "fixed"}, {"next"});
  add_attribute(add_node(body, "ReduceSum", {"next"}, {"sum"}), "keepdims", AttributeProto::INT).set_i(0);
  for (const char* name : {"again", "next", "sum"}) body.add_output()->set_name(name);
  add_attribute(add_node(yes, "ReduceMax", {"sums"}, {"largest"}), "keepdims", AttributeProto::INT).set_i(0);
  add_node(yes, "Add", {"looped", "largest"}, {"sum_of_all"});
  yes.add_output()->set_name("sum_of_all");
  add_output(model, "y");
  check(model, {}, {});
  for (std::uint64_t seed = 1; seed < 5; ++seed) compare_at({{3, 4}, {}}, seed);
  std::size_t repeats = 0;
  for (const auto& region : engine_->plan().regions) repeats += region.repeats;
  EXPECT_EQ(repeats, 2U);
}

// A Scan over a size that is known only while running, forwards and backwards, results along another axis.
TEST_F(Symbolic, AScanOfUnknownLength) {
  auto model = onnx::make_model();
  add_input(model, "x", {"N", "5"});
  add_input(model, "z", {"2", "N"});
  add_input(model, "s", {"5"});
  auto& scan = add_node(model, "Scan", {"s", "x", "z"}, {"last", "along", "back"});
  add_attribute(scan, "num_scan_inputs", AttributeProto::INT).set_i(2);
  add_ints_attribute(scan, "scan_input_axes", {0, 1});
  add_ints_attribute(scan, "scan_input_directions", {0, 1});
  add_ints_attribute(scan, "scan_output_axes", {1, 0});
  add_ints_attribute(scan, "scan_output_directions", {0, 1});
  auto& body = add_body(scan, "body");
  onnx::set_type(*body.add_input(), "state", {"5"});
  onnx::set_type(*body.add_input(), "row", {"5"});
  onnx::set_type(*body.add_input(), "column", {"2"});
  add_node(body, "Add", {"state", "row"}, {"sum"});
  add_node(body, "Tanh", {"sum"}, {"next"});
  add_node(body, "Exp", {"column"}, {"raised"});
  for (const char* name : {"next", "next", "raised"}) body.add_output()->set_name(name);
  for (const char* name : {"last", "along", "back"}) add_output(model, name);
  check(model, {{"x", {range(1, 4, 9), fixed(5)}}, {"z", {fixed(2), range(1, 4, 9)}}, {"s", {fixed(5)}}},
        {{{1, 5}, {2, 1}, {5}}, {{4, 5}, {2, 4}, {5}}, {{9, 5}, {2, 9}, {5}}});
}

// The number of trips is an input.
TEST_F(Symbolic, ALoopAsOftenAsAnInputSays) {
  auto model = onnx::make_model();
  add_input(model, "x", {"4"});
  add_input(model, "trips", {}, 7);
  auto& loop = add_node(model, "Loop", {"trips", "", "x"}, {"y"});
  auto& body = add_loop_body(loop);
  onnx::set_type(*body.add_input(), "a", {"4"});
  add_node(body, "Cos", {"a"}, {"next"});
  for (const char* name : {"again", "next"}) body.add_output()->set_name(name);
  add_output(model, "y");
  check(model, {}, {});
  for (std::uint64_t seed = 1; seed < 5; ++seed) compare_at({{4}, {}}, seed);
}

}  // namespace
}  // namespace xinfer::compiler
