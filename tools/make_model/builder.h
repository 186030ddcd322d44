// Writes ONNX graphs node by node, with weights that are random, deterministic and scaled so that activations stay
// finite.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "onnx/onnx.pb.h"

namespace xinfer::make_model {

// A value of the graph, and how many channels (or features) it has: what the next layer's weights depend on.
struct Value {
  std::string name;
  int64_t channels = 0;
};

using Shape = std::vector<int64_t>;

namespace proto = onnx::proto;

enum class DataType : int32_t { kFloat = 1, kInt64 = 7 };  // as in TensorProto.DataType

// std = gain / sqrt(fan_in) keeps the variance of the layer's output that of its input: sqrt(2) undoes ReLU,
// 1.68 undoes SiLU (whose second moment for a standard normal input is 0.355), 1 suits a layer without activation.
inline constexpr float kReluGain = 1.4142135F;
inline constexpr float kSiluGain = 1.68F;
inline constexpr float kLinearGain = 1.0F;

struct ConvOptions {
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t groups = 1;
  bool bias = true;
  float gain = kReluGain;
};

class Builder {
 public:
  Builder(std::string_view model, int64_t opset);

  Value input(std::string_view name, DataType dtype, const Shape& shape);
  void output(const Value& value, const Shape& shape);
  std::string serialize() const;

  // One node with one output; attributes are set on the node that is returned by node().
  Value op(std::string_view type, std::initializer_list<Value> inputs, int64_t channels);
  proto::NodeProto& node();  // the node added last
  void set_domain(std::string_view domain, int64_t version);  // of that node

  void set_int(std::string_view name, int64_t value);
  void set_ints(std::string_view name, const Shape& values);
  void set_float(std::string_view name, float value);
  void set_floats(std::string_view name, const std::vector<float>& values);
  void set_strings(std::string_view name, const std::vector<std::string>& values);
  void set_string(std::string_view name, std::string_view value);

  // Padding is kernel / 2 on every side, as in the networks built here.
  Value conv(const Value& x, int64_t channels, const ConvOptions& options);
  Value batch_norm(const Value& x, float scale = 1.0F);
  Value max_pool(const Value& x, int64_t kernel, int64_t stride);
  // y = x · W + b over the last axis.
  Value dense(const Value& x, int64_t features, float gain = kLinearGain);
  Value layer_norm(const Value& x);
  // One node with several outputs along `axis`; `sizes` are constant.
  std::vector<Value> split(const Value& x, int64_t axis, const Shape& sizes);
  Value concat(const std::vector<Value>& values, int64_t axis, int64_t channels);
  Value reshape(const Value& x, const Shape& shape);
  Value transpose(const Value& x, const Shape& permutation);

  // Constants. Random ones are uniform in (centre - spread, centre + spread).
  Value ints(std::string_view name, const Shape& values);
  Value floats(std::string_view name, const Shape& shape, const std::vector<float>& values);
  Value scalar(std::string_view name, float value);
  Value random(std::string_view name, const Shape& shape, float centre, float spread);

 private:
  std::string fresh(std::string_view stem);
  proto::TensorProto& initializer(const std::string& name, const Shape& shape, int32_t dtype);

  proto::ModelProto model_;
  std::map<std::string, int, std::less<>> used_;
};

}  // namespace xinfer::make_model
