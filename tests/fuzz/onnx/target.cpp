// ONNX files: imported, checked, printed. Inputs are changed as trees of fields, so that most are still ONNX files.
#include <cstdio>
#include <cstdlib>

#include "../../error/onnx/model_text.h"
#include "../lib/fuzz.h"
#include "ir/operator.h"
#include "onnx/import.h"
#include "wire.h"

namespace xinfer::fuzz {
namespace {

using onnx::add_attribute;
using onnx::add_input;
using onnx::add_node;
using onnx::add_output;
namespace proto = onnx::proto;

proto::ModelProto convolution() {
  auto model = onnx::make_model(11);
  add_input(model, "x", {"N", "3", "8", "W"});
  onnx::add_initializer(*model.mutable_graph(), "w", {4, 3, 1, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12});
  auto& node = add_node(model, "Conv", {"x", "w", ""}, {"c"}, "conv");
  auto& strides = add_attribute(node, "strides", proto::AttributeProto::INTS);
  strides.add_ints(2), strides.add_ints(2);
  add_node(model, "BatchNormalization", {"c", "w", "w", "w", "w"}, {"b"});
  add_node(model, "Clip", {"b"}, {"k"});
  add_node(model, "Upsample", {"k", "w"}, {"u"});
  add_output(model, "k");
  return model;
}

proto::ModelProto shape_arithmetic() {
  auto model = onnx::make_model();
  add_input(model, "x", {"N", "T", "16"});
  add_node(model, "Shape", {"x"}, {"s"});
  auto& constant = add_node(model, "Constant", {}, {"one"});
  auto& value = *add_attribute(constant, "value", proto::AttributeProto::TENSOR).mutable_t();
  value.set_data_type(7), value.add_dims(1), value.add_int64_data(1);
  add_node(model, "Gather", {"s", "one"}, {"t"});
  add_node(model, "Mul", {"t", "one"}, {"m"});
  add_attribute(add_node(model, "Concat", {"m", "one", "t"}, {"shape"}), "axis", proto::AttributeProto::INT).set_i(0);
  add_node(model, "Reshape", {"x", "shape"}, {"r"});
  add_node(model, "Expand", {"r", "shape"}, {"e"});
  add_node(model, "ConstantOfShape", {"shape"}, {"zeros"});
  add_node(model, "NonZero", {"zeros"}, {"where"});
  add_attribute(add_node(model, "Split", {"x"}, {"a", "b"}), "axis", proto::AttributeProto::INT).set_i(-1);
  add_node(model, "Einsum", {"a", "b"}, {"p"}).add_attribute()->set_name("equation");
  add_output(model, "e");
  add_output(model, "where");
  return model;
}

proto::ModelProto control_flow() {
  auto model = onnx::make_model();
  add_input(model, "go", {}, 9);
  add_input(model, "x", {"2"});
  auto& branch = add_node(model, "If", {"go"}, {"y"});
  for (const char* name : {"then_branch", "else_branch"}) {
    auto& body = *add_attribute(branch, name, proto::AttributeProto::GRAPH).mutable_g();
    add_node(body, "Relu", {"x"}, {"inside"});
    body.add_output()->set_name("inside");
  }
  auto& loop = add_node(model, "Loop", {"", "go", "y"}, {"last", "all"});
  auto& body = *add_attribute(loop, "body", proto::AttributeProto::GRAPH).mutable_g();
  onnx::set_type(*body.add_input(), "i", {}, 7);
  onnx::set_type(*body.add_input(), "c", {}, 9);
  onnx::set_type(*body.add_input(), "v", {"2"});
  add_node(body, "Add", {"v", "x"}, {"w"});
  for (const char* name : {"c", "w", "v"}) body.add_output()->set_name(name);
  add_node(model, "SequenceConstruct", {"x", "y"}, {"list"});
  add_node(model, "ConcatFromSequence", {"list"}, {"joined"});
  add_output(model, "last");
  add_output(model, "joined");
  return model;
}

proto::ModelProto functions() {
  auto model = onnx::make_model();
  auto* imported = model.add_opset_import();
  imported->set_domain("mine"), imported->set_version(1);
  auto& function = *model.add_functions();
  function.set_domain("mine"), function.set_name("Twice");
  function.add_input("a"), function.add_output("b"), function.add_attribute("alpha");
  function.add_opset_import()->set_version(17);
  auto& inside = *function.add_node();
  inside.set_op_type("LeakyRelu"), inside.add_input("a"), inside.add_output("b");
  auto& alpha = add_attribute(inside, "alpha", proto::AttributeProto::FLOAT);
  alpha.set_ref_attr_name("alpha");
  add_input(model, "x", {"4"});
  for (const auto& [from, to] : {std::pair{"x", "y"}, {"y", "z"}}) {
    auto& call = add_node(model, "Twice", {from}, {to});
    call.set_domain("mine");
    add_attribute(call, "alpha", proto::AttributeProto::FLOAT).set_f(0.5f);
  }
  auto& lstm = add_node(model, "LSTM", {"z", "w", "r"}, {"all", "", "cell"});
  add_attribute(lstm, "hidden_size", proto::AttributeProto::INT).set_i(3);
  add_attribute(lstm, "direction", proto::AttributeProto::STRING).set_s("bidirectional");
  add_output(model, "z");
  return model;
}

void collect(std::vector<Field>& fields, std::vector<std::pair<std::vector<Field>*, std::size_t>>& places) {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    places.emplace_back(&fields, i);
    collect(fields[i].fields, places);
  }
}

void change_leaf(Field& field, Random& random, const ByteMutator& bytes) {
  static constexpr std::uint64_t kNumbers[] = {0, 1, 2, 3, 7, 9, 16, 255, 0x7fffffff, 0xffffffff, 0x7fffffffffffffff,
                                               0x8000000000000000, ~std::uint64_t{0}, ~std::uint64_t{1}, 1ull << 40};
  if (field.type != 2) {
    field.value = random() % 2 ? kNumbers[random() % std::size(kNumbers)] : field.value + random() % 5 - 2;
  } else if (random() % 3 == 0) {
    const auto operators = ir::operators();
    field.bytes = operators[random() % operators.size()].name;
  } else {
    field.bytes = bytes(std::move(field.bytes), random);
  }
}

}  // namespace

void run(std::string_view input) {
  onnx::ImportOptions options;
  options.limits = {.file_bytes = 1 << 20, .constant_bytes = 1 << 24, .nodes = 2000, .inputs_per_node = 64, .graph_depth = 8, .function_depth = 8};
  const auto graph = onnx::import_model_bytes(input, options);
  if (!graph) {
    if (graph.error().code == base::Code::kInternal) {
      std::fprintf(stderr, "%s\n", graph.error().text().c_str());
      std::abort();
    }
    return;
  }
  const std::string text = ir::print(*graph, 1 << 20);
  if (auto again = ir::parse(text); !again || ir::print(*again, 1 << 20) != text) {
    std::fprintf(stderr, "%s\n%s\n", text.c_str(), again ? ir::print(*again, 1 << 20).c_str() : again.error().text().c_str());
    std::abort();
  }
}

std::vector<std::string> seeds() {
  std::vector<std::string> inputs;
  for (const auto& model : {convolution(), shape_arithmetic(), control_flow(), functions()}) inputs.push_back(model.SerializeAsString());
  return inputs;
}

std::string mutate(std::string input, Random& random, const ByteMutator& bytes) {
  std::vector<Field> fields;
  std::vector<std::pair<std::vector<Field>*, std::size_t>> places;
  if (random() % 16 == 0 || !read_fields(input, fields)) return bytes(std::move(input), random);
  collect(fields, places);
  if (places.empty()) return bytes(std::move(input), random);
  const auto& [list, at] = places[random() % places.size()];
  const auto& [other_list, other] = places[random() % places.size()];
  switch (random() % 6) {
    case 0: list->erase(list->begin() + static_cast<std::ptrdiff_t>(at)); break;
    case 1: list->insert(list->begin() + static_cast<std::ptrdiff_t>(random() % (list->size() + 1)), Field((*list)[at])); break;
    case 2: std::swap((*list)[at], (*list)[random() % list->size()]); break;
    case 3: {  // a copy of something of the same kind
      const Field copy = (*other_list)[other];
      if (copy.type == (*list)[at].type) {
        const std::uint32_t number = (*list)[at].number;
        (*list)[at] = copy;
        (*list)[at].number = random() % 4 ? number : copy.number;
      }
      break;
    }
    default:
      if ((*list)[at].fields.empty()) change_leaf((*list)[at], random, bytes);
      break;
  }
  return write_fields(fields);
}

}  // namespace xinfer::fuzz
