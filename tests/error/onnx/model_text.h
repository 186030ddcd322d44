// Small ONNX models for tests, written as protobuf messages.
#pragma once
#include <initializer_list>
#include <string>

#include "onnx/onnx.pb.h"

namespace xinfer::onnx {

inline proto::ModelProto make_model(int opset = 17) {
  proto::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(opset);
  model.mutable_graph()->set_name("test");
  return model;
}

inline void set_type(proto::ValueInfoProto& info, const std::string& name, std::initializer_list<const char*> dims, int dtype = 1) {
  info.set_name(name);
  auto* tensor = info.mutable_type()->mutable_tensor_type();
  tensor->set_elem_type(dtype);
  auto* shape = tensor->mutable_shape();
  for (const char* dim : dims) {
    if (std::isdigit(static_cast<unsigned char>(*dim))) shape->add_dim()->set_dim_value(std::atoll(dim));
    else shape->add_dim()->set_dim_param(dim);
  }
}

inline void add_input(proto::ModelProto& model, const std::string& name, std::initializer_list<const char*> dims, int dtype = 1) {
  set_type(*model.mutable_graph()->add_input(), name, dims, dtype);
}
inline void add_output(proto::ModelProto& model, const std::string& name) { model.mutable_graph()->add_output()->set_name(name); }

inline proto::NodeProto& add_node(proto::GraphProto& graph, const std::string& op, std::initializer_list<const char*> inputs,
                                  std::initializer_list<const char*> outputs, const std::string& name = {}) {
  auto* node = graph.add_node();
  node->set_op_type(op);
  node->set_name(name);
  for (const char* input : inputs) node->add_input(input);
  for (const char* output : outputs) node->add_output(output);
  return *node;
}
inline proto::NodeProto& add_node(proto::ModelProto& model, const std::string& op, std::initializer_list<const char*> inputs,
                                  std::initializer_list<const char*> outputs, const std::string& name = {}) {
  return add_node(*model.mutable_graph(), op, inputs, outputs, name);
}

inline proto::AttributeProto& add_attribute(proto::NodeProto& node, const std::string& name, proto::AttributeProto::AttributeType type) {
  auto* attribute = node.add_attribute();
  attribute->set_name(name);
  attribute->set_type(type);
  return *attribute;
}

inline void add_initializer(proto::GraphProto& graph, const std::string& name, std::initializer_list<std::int64_t> dims,
                            std::initializer_list<float> values) {
  auto* tensor = graph.add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(1);
  for (std::int64_t dim : dims) tensor->add_dims(dim);
  for (float value : values) tensor->add_float_data(value);
}

}  // namespace xinfer::onnx
