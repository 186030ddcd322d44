// Operators of other domains, against what ONNX Runtime 1.30.0 made of the same models on the CPU.
#include <gtest/gtest.h>

#include <cmath>

#include "forge/reference/reference.h"

namespace xinfer::forge::reference {
namespace {

using ir::Attribute;
using ir::Shape;
using tensor::DType;
using Numbers = std::vector<double>;
using Floats = std::vector<float>;
using Ints = std::vector<std::int64_t>;
using NamedAttributes = std::vector<std::pair<std::string, Attribute>>;

Tensor tensor_of(DType dtype, Shape shape, const Numbers& values) {
  Tensor tensor(dtype, std::move(shape));
  for (std::size_t i = 0; i < values.size(); ++i) tensor.set(static_cast<std::int64_t>(i), values[i]);
  return tensor;
}
Attribute number(std::int64_t v) { return v; }
Attribute text(const char* v) { return std::string(v); }

// Inputs without elements are omitted.
std::vector<Value> call(std::string op, const std::vector<Tensor>& inputs, const NamedAttributes& attributes, std::size_t outputs = 1) {
  ir::Node node;
  node.op = std::move(op);
  for (const auto& [name, value] : attributes) node.attributes.set(name, value);
  std::vector<Value> values(inputs.begin(), inputs.end());
  std::vector<const Value*> arguments;
  for (const Value& value : values) {
    const bool omitted = value.tensor->num_elements() == 0;
    node.inputs.push_back(omitted ? ir::kNoValue : 0);
    arguments.push_back(omitted ? nullptr : &value);
  }
  node.outputs.assign(outputs, 0);
  auto result = find(node.op)(node, {}, arguments);
  EXPECT_TRUE(result) << result.error().text();
  return result ? *result : std::vector<Value>(outputs, Value(Tensor()));
}

void expect(const Value& value, const Shape& shape, const Numbers& values, double tolerance = 2e-6) {
  EXPECT_EQ(value.tensor->shape(), shape);
  ASSERT_EQ(value.tensor->num_elements(), static_cast<std::int64_t>(values.size()));
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_NEAR(value.tensor->as_double(static_cast<std::int64_t>(i)), values[i], tolerance * (1 + std::fabs(values[i]))) << "element " << i;
}

TEST(OnnxRuntime, SupportVectorClassifiers) {
  const Tensor x = tensor_of(DType::kFloat32, {4, 3}, {-0.524, 0.088, -0.26, 0.208, 0.251, -0.869, -0.974, 0.675, -0.481, -0.531, 0.991, -0.059});
  {
    const auto y = call("ai.onnx.ml.SVMClassifier", {x},
        {{"classlabels_ints", Ints{10, 20}}, {"kernel_type", text("RBF")}, {"kernel_params", Floats{0.7f, 0.3f, 2}}, {"post_transform", text("NONE")},
         {"vectors_per_class", Ints{2, 3}}, {"coefficients", Floats{0.246f, 0.484f, 0.59f, 0.885f, 0.48f}},
         {"rho", Floats{0.845f}},
         {"support_vectors", Floats{-0.942f, -0.069f, 0.887f, 0.298f, 0.802f, -0.774f, -0.062f, -0.507f, 0.088f, 0.148f, -0.974f, -0.567f, -0.441f, 0.833f, 0.531f}},
         {"prob_a", Floats{-0.681f}}, {"prob_b", Floats{0.594f}}},
        2);
    expect(y[0], {4}, {10, 10, 10, 10});
    expect(y[1], {4, 2}, {0.67245245, 0.32754758, 0.650586247, 0.349413663, 0.584800601, 0.415199399, 0.621701181, 0.378298879}, 1e-5);
  }
  {
    const auto y = call("ai.onnx.ml.SVMClassifier", {x},
        {{"classlabels_ints", Ints{10, 20, 30}}, {"kernel_type", text("POLY")}, {"kernel_params", Floats{0.7f, 0.3f, 2}}, {"post_transform", text("NONE")},
         {"vectors_per_class", Ints{2, 1, 2}}, {"coefficients", Floats{0.246f, 0.484f, 0.59f, 0.885f, 0.48f, 0.845f, -0.942f, -0.069f, 0.887f, 0.298f}},
         {"rho", Floats{0.802f, -0.774f, -0.062f}},
         {"support_vectors", Floats{-0.507f, 0.088f, 0.148f, -0.974f, -0.567f, -0.441f, 0.833f, 0.531f, -0.681f, 0.594f, -0.722f, 0.235f, -0.747f, -0.996f, 0.743f}}},
        2);
    expect(y[0], {4}, {30, 30, 10, 10});
    expect(y[1], {4, 3}, {1.10746145, -0.988335192, -0.0211033449, 1.36836469, -0.75201422, -0.0528748408, 1.27383304, -0.854796648, 0.181947231, 1.00277746, -0.427438438, 0.0988840535}, 1e-5);
  }
  {
    const auto y = call("ai.onnx.ml.SVMClassifier", {x},
        {{"classlabels_ints", Ints{10, 20, 30}}, {"kernel_type", text("SIGMOID")}, {"kernel_params", Floats{0.7f, 0.3f, 2}}, {"post_transform", text("NONE")},
         {"vectors_per_class", Ints{2, 1, 2}}, {"coefficients", Floats{0.246f, 0.484f, 0.59f, 0.885f, 0.48f, 0.845f, -0.942f, -0.069f, 0.887f, 0.298f}},
         {"rho", Floats{0.802f, -0.774f, -0.062f}},
         {"support_vectors", Floats{-0.507f, 0.088f, 0.148f, -0.974f, -0.567f, -0.441f, 0.833f, 0.531f, -0.681f, 0.594f, -0.722f, 0.235f, -0.747f, -0.996f, 0.743f}},
         {"prob_a", Floats{-0.581f, -0.569f, 0.965f}}, {"prob_b", Floats{0.745f, -0.421f, 0.923f}}},
        2);
    expect(y[0], {4}, {10, 30, 30, 30});
    expect(y[1], {4, 3}, {0.338097453, 0.230043337, 0.431859255, 0.325086892, 0.237384334, 0.437528968, 0.300091743, 0.273363948, 0.426544577, 0.312218279, 0.28347069, 0.404311091}, 1e-5);
  }
  {
    const auto y = call("ai.onnx.ml.SVMClassifier", {x},
        {{"classlabels_ints", Ints{10, 20}}, {"kernel_type", text("RBF")}, {"kernel_params", Floats{0.7f, 0.3f, 2}}, {"post_transform", text("LOGISTIC")},
         {"vectors_per_class", Ints{2, 3}}, {"coefficients", Floats{0.246f, 0.484f, 0.59f, 0.885f, 0.48f}},
         {"rho", Floats{-0.6f}},
         {"support_vectors", Floats{-0.942f, -0.069f, 0.887f, 0.298f, 0.802f, -0.774f, -0.062f, -0.507f, 0.088f, 0.148f, -0.974f, -0.567f, -0.441f, 0.833f, 0.531f}}},
        2);
    expect(y[0], {4}, {10, 10, 20, 10});
    expect(y[1], {4, 2}, {0.375603259, 0.624396741, 0.411962748, 0.588037252, 0.516948521, 0.483051479, 0.459037185, 0.540962815}, 1e-5);
  }
}

TEST(OnnxRuntime, WeightsOfFourBits) {
  const Tensor x = tensor_of(DType::kFloat32, {2, 16}, {0.428, 0.842, -0.21, 0.602, -0.111, 0.871, 0.758, -0.805, -0.728, -0.566, 0.931, -0.128, 0.253, -0.398, 0.014, -0.228, -0.298, 0.17, 0.169, 0.808, 0.364, 0.858, 0.713, 0.982, 0.343, -0.674, 0.721, 0.929, 0.809, 0.138, 0.428, -0.578});
  const Tensor b = tensor_of(DType::kUint8, {24}, {121, 66, 189, 242, 33, 6, 240, 132, 119, 98, 240, 243, 203, 77, 118, 77, 199, 7, 32, 81, 21, 154, 15, 137}), largest = tensor_of(DType::kFloat32, {3}, {0.525, 0.747, 0.891});
  expect(call("com.microsoft.MatMulBnb4", {x, b, largest}, {{"K", number(16)}, {"N", number(3)}, {"block_size", number(16)}, {"quant_type", number(0)}})[0], {2, 3},
         {-0.664431214, 0.758702934, 0.368447095, 0.0987546965, 1.67328, -0.037134286});
  expect(call("com.microsoft.MatMulBnb4", {x, b, largest}, {{"K", number(16)}, {"N", number(3)}, {"block_size", number(16)}, {"quant_type", number(1)}})[0], {2, 3},
         {1.09529495, -0.857565224, 0.0440507084, 0.373353302, -0.617736399, -2.37398744});
  const Tensor data = tensor_of(DType::kUint8, {3, 16}, {136, 145, 63, 32, 246, 247, 45, 176, 34, 210, 77, 10, 150, 218, 212, 60, 22, 23, 193, 169, 142, 120, 18, 158, 3, 39, 55, 16, 101, 208, 149, 134, 79, 21, 173, 160, 184, 70, 193, 192, 235, 197, 52, 138, 220, 121, 154, 223});
  const Tensor scales = tensor_of(DType::kFloat32, {3, 2}, {0.98, 0.569, 0.594, 0.11, 0.474, 0.622}), zeros = tensor_of(DType::kUint8, {3, 1}, {10, 192, 68}), rows = tensor_of(DType::kInt64, {2}, {2, 0});
  const NamedAttributes attributes{{"bits", number(4)}, {"block_size", number(16)}, {"gather_axis", number(0)}, {"quantize_axis", number(1)}};
  expect(call("com.microsoft.GatherBlockQuantized", {data, rows, scales}, attributes)[0], {2, 32},
         {3.31800008, -1.89600003, -1.42200005, -3.31800008, 2.37000012, 0.948000014, -3.79200006, 0.948000014, 0, 1.42200005, -0.948000014, -1.89600003, -3.31800008, 1.89600003, -3.79200006, 1.89600003, 1.86599994, 3.73199987, -1.86599994, 2.48799992, -2.48799992, -3.1099999, 1.24399996, 0, 2.48799992, 3.1099999, 0.621999979, -0.621999979, 1.24399996, 0.621999979, 4.35400009, 3.1099999, 0, 0, -6.86000013, 0.980000019, 6.86000013, -4.9000001, -7.84000015, -5.88000011, -1.96000004, 6.86000013, -0.980000019, 6.86000013, 4.9000001, -5.88000011, -7.84000015, 2.94000006, -3.41400003, -3.41400003, -3.41400003, 2.84500003, 2.84500003, -2.27600002, 1.13800001, -4.55200005, -1.13800001, 0.569000006, 1.13800001, 2.84500003, -2.27600002, 2.84500003, 2.27600002, -2.84500003});
  expect(call("com.microsoft.GatherBlockQuantized", {data, rows, scales, zeros}, attributes)[0], {2, 32},
         {5.21400023, 0, 0.474000007, -1.42200005, 4.26600027, 2.8440001, -1.89600003, 2.8440001, 1.89600003, 3.31800008, 0.948000014, 0, -1.42200005, 3.79200006, -1.89600003, 3.79200006, 4.35400009, 6.21999979, 0.621999979, 4.97599983, 0, -0.621999979, 3.73199987, 2.48799992, 4.97599983, 5.59799957, 3.1099999, 1.86599994, 3.73199987, 3.1099999, 6.84200001, 5.59799957, -1.96000004, -1.96000004, -8.81999969, -0.980000019, 4.9000001, -6.86000013, -9.80000019, -7.84000015, -3.92000008, 4.9000001, -2.94000006, 4.9000001, 2.94000006, -7.84000015, -9.80000019, 0.980000019, 1.13800001, 1.13800001, 1.13800001, 7.39700031, 7.39700031, 2.27600002, 5.69000006, 0, 3.41400003, 5.12100029, 5.69000006, 7.39700031, 2.27600002, 7.39700031, 6.82800007, 1.70700002});
}

TEST(OnnxRuntime, PoolsWithChannelsLast) {
  expect(call("com.microsoft.NhwcMaxPool", {tensor_of(DType::kUint8, {1, 3, 3, 2}, {30, 170, 238, 180, 180, 142, 250, 11, 31, 10, 189, 128, 233, 152, 163, 90, 186, 94})}, {{"kernel_shape", Ints{2, 2}}})[0], {1, 2, 2, 2}, {250, 180, 238, 180, 250, 152, 189, 128});
}

// ONNX Runtime rounds the data to 8 bits in each step, which is not done here.
TEST(OnnxRuntime, LstmOfQuantisedWeights) {
  const Tensor none(DType::kFloat32, {0}), x = tensor_of(DType::kFloat32, {3, 1, 2}, {-0.9, -0.457, -0.463, 0.055, -0.154, -0.054}), zero = tensor_of(DType::kInt8, {1}, {0});
  const Tensor w = tensor_of(DType::kInt8, {1, 2, 16}, {32, 61, 7, 25, 65, -75, -115, -61, 30, -15, 9, -6, 39, -33, 94, -79, -76, 36, 42, -14, 96, -42, -88, 44, -17, 102, 10, -13, -67, -111, -31, 33});
  const Tensor r = tensor_of(DType::kInt8, {1, 4, 16}, {-35, 14, 46, -85, 48, -62, 87, 21, 10, 109, 49, 85, 20, 86, 81, -110, 83, -49, -26, -126, 116, 94, -15, -112, 105, 19, 46, -12, -94, 18, -67, -3, -105, -111, -27, 92, -103, -122, 118, -67, -41, 25, -6, -118, 83, -101, -70, 46, -64, 1, 116, -97, 52, -15, -27, -66, -67, -41, -6, 12, -63, -125, 121, 76});
  const Tensor w_scale = tensor_of(DType::kFloat32, {1}, {0.008}), r_scale = tensor_of(DType::kFloat32, {1}, {0.006});
  const auto y = call("com.microsoft.DynamicQuantizeLSTM", {x, w, r, none, none, none, none, none, w_scale, zero, r_scale, zero}, {{"hidden_size", number(4)}}, 3);
  expect(y[0], {3, 1, 1, 4}, {-0.00556560932, 0.13462542, -0.170932248, 0.110347107, -0.0943928882, 0.0936320424, -0.13709794, 0.122952305, -0.0993245989, 0.0519775674, -0.0718208775, 0.0938617364}, 0.01);
  expect(y[2], {1, 1, 4}, {-0.197192788, 0.0912448764, -0.144387037, 0.191195786}, 0.01);
}

}  // namespace
}  // namespace xinfer::forge::reference
