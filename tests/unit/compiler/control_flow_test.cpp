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

}  // namespace
}  // namespace xinfer::compiler
