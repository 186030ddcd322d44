#include "onnx/tensor_file.h"

#include <gtest/gtest.h>

#include "onnx/tensor_proto.h"

namespace xinfer::onnx {
namespace {

using tensor::DType;
using tensor::Tensor;

TEST(TensorFile, EveryTypeSurvivesWritingAndReading) {
  for (int number = 1; number <= 26; ++number) {
    const DType dtype = static_cast<DType>(number);
    if (dtype == DType::kComplex64 || dtype == DType::kComplex128) continue;
    Tensor tensor(dtype, {3, 1});
    if (dtype == DType::kString) tensor.strings() = {"a", "", "long \xff bytes"};
    else for (int i = 0; i < 3; ++i) tensor.set(i, i % 2);
    std::string name;
    auto read = read_tensor(write_tensor(tensor, "v"), &name);
    ASSERT_TRUE(read) << number << read.error().text();
    EXPECT_EQ(name, "v");
    EXPECT_EQ(read->dtype(), dtype);
    EXPECT_EQ(read->shape(), tensor.shape());
    EXPECT_EQ(read->strings(), tensor.strings());
    EXPECT_TRUE(std::equal(read->bytes().begin(), read->bytes().end(), tensor.bytes().begin())) << number;
  }
}

TEST(TensorFile, FourBitsUnpackLowHalfFirstWithSign) {
  proto::TensorProto message;
  message.set_data_type(static_cast<int>(DType::kInt4));
  message.add_dims(3);
  message.set_raw_data(std::string("\xf1\x08", 2));
  auto tensor = from_proto(message, {});
  ASSERT_TRUE(tensor);
  EXPECT_EQ(tensor->as_int64s(), (std::vector<std::int64_t>{1, -1, -8}));
}

TEST(TensorFile, TwoBitsUnpackLowBitsFirstWithSign) {
  proto::TensorProto message;
  message.set_data_type(static_cast<int>(DType::kInt2));
  message.add_dims(5);
  message.set_raw_data(std::string("\xe4\x03", 2));
  auto tensor = from_proto(message, {});
  ASSERT_TRUE(tensor);
  EXPECT_EQ(tensor->as_int64s(), (std::vector<std::int64_t>{0, 1, -2, -1, -1}));
}

TEST(TensorFile, TypedFieldsOfHalfHoldBits) {
  proto::TensorProto message;
  message.set_data_type(static_cast<int>(DType::kFloat16));
  message.add_dims(2);
  message.add_int32_data(0x3c00);
  message.add_int32_data(0xc000);
  auto tensor = from_proto(message, {});
  ASSERT_TRUE(tensor);
  EXPECT_EQ(tensor->as_double(0), 1);
  EXPECT_EQ(tensor->as_double(1), -2);
}

TEST(TensorFile, SparseBecomesDense) {
  proto::SparseTensorProto message;
  message.add_dims(2);
  message.add_dims(3);
  message.mutable_values()->set_data_type(1);
  message.mutable_values()->add_dims(2);
  message.mutable_values()->add_float_data(5);
  message.mutable_values()->add_float_data(7);
  message.mutable_indices()->set_data_type(7);
  message.mutable_indices()->add_dims(2);
  message.mutable_indices()->add_int64_data(1);
  message.mutable_indices()->add_int64_data(5);
  auto tensor = from_proto(message, {});
  ASSERT_TRUE(tensor);
  EXPECT_EQ(tensor->as_int64s(), (std::vector<std::int64_t>{0, 5, 0, 0, 0, 7}));
  message.mutable_indices()->set_int64_data(1, 6);
  auto outside = from_proto(message, {});
  ASSERT_FALSE(outside);
  EXPECT_EQ(outside.error().text(), "sparse tensor: an index is out of range");
}

}  // namespace
}  // namespace xinfer::onnx
