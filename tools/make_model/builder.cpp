#include "builder.h"

#include <cmath>
#include <cstring>

namespace xinfer::make_model {
namespace {

// SplitMix64 seeded with the tensor's name: the weights of one layer do not depend on how many layers there are.
class Random {
 public:
  explicit Random(std::string_view name) {
    for (const char c : name) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  // Uniform in [-1, 1).
  float next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return static_cast<float>(z >> 40) * 0x1p-23F - 1.0F;
  }

 private:
  uint64_t state_ = 0xcbf29ce484222325ULL;
};

void set_shape(proto::ValueInfoProto& info, const Shape& shape, int32_t dtype) {
  auto& tensor = *info.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(dtype);
  for (const int64_t size : shape) tensor.mutable_shape()->add_dim()->set_dim_value(size);
}

constexpr float kUniformSpread = 1.7320508F;  // sqrt(3): a uniform variable of spread sqrt(3) has variance 1

}  // namespace

Builder::Builder(std::string_view model, int64_t opset) {
  model_.set_ir_version(8);
  model_.set_producer_name("make_model");
  model_.mutable_graph()->set_name(std::string(model));
  model_.add_opset_import()->set_version(opset);
}

std::string Builder::fresh(std::string_view stem) {
  const auto found = used_.try_emplace(std::string(stem), 0).first;
  return std::string(stem) + "_" + std::to_string(found->second++);
}

Value Builder::input(std::string_view name, DataType dtype, const Shape& shape) {
  auto& info = *model_.mutable_graph()->add_input();
  info.set_name(std::string(name));
  set_shape(info, shape, static_cast<int32_t>(dtype));
  return {std::string(name), shape.size() > 1 ? shape[1] : 0};
}

void Builder::output(const Value& value, const Shape& shape) {
  auto& info = *model_.mutable_graph()->add_output();
  info.set_name(value.name);
  set_shape(info, shape, static_cast<int32_t>(DataType::kFloat));
}

std::string Builder::serialize() const { return model_.SerializeAsString(); }

proto::NodeProto& Builder::node() { return *model_.mutable_graph()->mutable_node(model_.graph().node_size() - 1); }

Value Builder::op(std::string_view type, std::initializer_list<Value> inputs, int64_t channels) {
  auto& node = *model_.mutable_graph()->add_node();
  node.set_op_type(std::string(type));
  node.set_name(fresh(type));
  for (const Value& value : inputs) node.add_input(value.name);
  node.add_output(node.name() + "_out");
  return {node.output(0), channels};
}

void Builder::set_int(std::string_view name, int64_t value) {
  auto& attribute = *node().add_attribute();
  attribute.set_name(std::string(name));
  attribute.set_type(proto::AttributeProto::INT);
  attribute.set_i(value);
}

void Builder::set_ints(std::string_view name, const Shape& values) {
  auto& attribute = *node().add_attribute();
  attribute.set_name(std::string(name));
  attribute.set_type(proto::AttributeProto::INTS);
  attribute.mutable_ints()->Add(values.begin(), values.end());
}

void Builder::set_domain(std::string_view domain, int64_t version) {
  node().set_domain(std::string(domain));
  auto& import = *model_.add_opset_import();
  import.set_domain(std::string(domain));
  import.set_version(version);
}

void Builder::set_floats(std::string_view name, const std::vector<float>& values) {
  auto& attribute = *node().add_attribute();
  attribute.set_name(std::string(name));
  attribute.set_type(proto::AttributeProto::FLOATS);
  attribute.mutable_floats()->Add(values.begin(), values.end());
}

void Builder::set_strings(std::string_view name, const std::vector<std::string>& values) {
  auto& attribute = *node().add_attribute();
  attribute.set_name(std::string(name));
  attribute.set_type(proto::AttributeProto::STRINGS);
  for (const std::string& value : values) attribute.add_strings(value);
}

void Builder::set_float(std::string_view name, float value) {
  auto& attribute = *node().add_attribute();
  attribute.set_name(std::string(name));
  attribute.set_type(proto::AttributeProto::FLOAT);
  attribute.set_f(value);
}

void Builder::set_string(std::string_view name, std::string_view value) {
  auto& attribute = *node().add_attribute();
  attribute.set_name(std::string(name));
  attribute.set_type(proto::AttributeProto::STRING);
  attribute.set_s(std::string(value));
}

Value Builder::conv(const Value& x, int64_t channels, const ConvOptions& options) {
  const int64_t per_group = x.channels / options.groups;
  const auto fan_in = static_cast<float>(per_group * options.kernel * options.kernel);
  const Value weight = random("conv_weight", {channels, per_group, options.kernel, options.kernel}, 0.0F,
                              options.gain * kUniformSpread / std::sqrt(fan_in));
  const Value y = options.bias ? op("Conv", {x, weight, random("conv_bias", {channels}, 0.0F, 0.1F)}, channels)
                               : op("Conv", {x, weight}, channels);
  const int64_t pad = options.kernel / 2;
  set_ints("kernel_shape", {options.kernel, options.kernel});
  set_ints("strides", {options.stride, options.stride});
  set_ints("pads", {pad, pad, pad, pad});
  set_ints("dilations", {1, 1});
  set_int("group", options.groups);
  return y;
}

Value Builder::batch_norm(const Value& x, float scale) {
  const Value gamma = random("bn_scale", {x.channels}, scale, 0.2F * scale);
  const Value beta = random("bn_bias", {x.channels}, 0.0F, 0.1F);
  const Value mean = random("bn_mean", {x.channels}, 0.0F, 0.1F);
  const Value variance = random("bn_variance", {x.channels}, 1.0F, 0.2F);
  const Value y = op("BatchNormalization", {x, gamma, beta, mean, variance}, x.channels);
  set_float("epsilon", 1e-5F);
  return y;
}

Value Builder::max_pool(const Value& x, int64_t kernel, int64_t stride) {
  const Value y = op("MaxPool", {x}, x.channels);
  const int64_t pad = kernel / 2;
  set_ints("kernel_shape", {kernel, kernel});
  set_ints("strides", {stride, stride});
  set_ints("pads", {pad, pad, pad, pad});
  return y;
}

Value Builder::dense(const Value& x, int64_t features, float gain) {
  const float spread = gain * kUniformSpread / std::sqrt(static_cast<float>(x.channels));
  const Value weight = random("dense_weight", {x.channels, features}, 0.0F, spread);
  const Value bias = random("dense_bias", {features}, 0.0F, 0.05F);
  return op("Add", {op("MatMul", {x, weight}, features), bias}, features);
}

Value Builder::layer_norm(const Value& x) {
  const Value scale = random("ln_scale", {x.channels}, 1.0F, 0.1F);
  const Value bias = random("ln_bias", {x.channels}, 0.0F, 0.05F);
  const Value y = op("LayerNormalization", {x, scale, bias}, x.channels);
  set_int("axis", -1);
  set_float("epsilon", 1e-12F);
  return y;
}

std::vector<Value> Builder::split(const Value& x, int64_t axis, const Shape& sizes) {
  op("Split", {x, ints("split", sizes)}, 0);
  set_int("axis", axis);
  auto& added = node();
  added.clear_output();
  std::vector<Value> parts;
  for (size_t i = 0; i < sizes.size(); ++i) {
    parts.push_back({added.name() + "_out" + std::to_string(i), axis == 1 ? sizes[i] : x.channels});
    added.add_output(parts.back().name);
  }
  return parts;
}

Value Builder::concat(const std::vector<Value>& values, int64_t axis, int64_t channels) {
  const Value y = op("Concat", {}, channels);
  for (const Value& value : values) node().add_input(value.name);
  set_int("axis", axis);
  return y;
}

Value Builder::reshape(const Value& x, const Shape& shape) {
  return op("Reshape", {x, ints("shape", shape)}, shape.size() > 1 ? shape[1] : 0);
}

Value Builder::transpose(const Value& x, const Shape& permutation) {
  const Value y = op("Transpose", {x}, x.channels);
  set_ints("perm", permutation);
  return y;
}

proto::TensorProto& Builder::initializer(const std::string& name, const Shape& shape, int32_t dtype) {
  auto& tensor = *model_.mutable_graph()->add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(dtype);
  tensor.mutable_dims()->Add(shape.begin(), shape.end());
  return tensor;
}

Value Builder::ints(std::string_view name, const Shape& values) {
  const std::string unique = fresh(name);
  auto& tensor = initializer(unique, {static_cast<int64_t>(values.size())}, static_cast<int32_t>(DataType::kInt64));
  tensor.set_raw_data(values.data(), values.size() * sizeof(int64_t));
  return {unique, 0};
}

Value Builder::floats(std::string_view name, const Shape& shape, const std::vector<float>& values) {
  const std::string unique = fresh(name);
  auto& tensor = initializer(unique, shape, static_cast<int32_t>(DataType::kFloat));
  tensor.set_raw_data(values.data(), values.size() * sizeof(float));
  return {unique, 0};
}

Value Builder::scalar(std::string_view name, float value) { return floats(name, {}, {value}); }

Value Builder::random(std::string_view name, const Shape& shape, float centre, float spread) {
  size_t count = 1;
  for (const int64_t size : shape) count *= static_cast<size_t>(size);
  const std::string unique = fresh(name);
  std::string bytes(count * sizeof(float), '\0');
  Random random(unique);
  for (size_t i = 0; i < count; ++i) {
    const float value = centre + spread * random.next();
    std::memcpy(bytes.data() + i * sizeof(float), &value, sizeof(float));
  }
  initializer(unique, shape, static_cast<int32_t>(DataType::kFloat)).set_raw_data(std::move(bytes));
  return {unique, 0};
}

}  // namespace xinfer::make_model
