#include <gtest/gtest.h>

#include "xinfer/core/tensor.h"
#include "xinfer/error.h"

namespace xinfer::core {
namespace {

std::string message(auto&& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), "invalid_argument");
    return error.what();
  }
  return "no error";
}

TEST(CoreTensor, OwnsZeroedAlignedElements) {
  Tensor t({2, 3}, DataType::kInt64);
  EXPECT_EQ(t.num_elements(), 6U);
  EXPECT_EQ(t.size_bytes(), 48U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(t.data()) % 64, 0U);
  EXPECT_EQ(t.to_vector<std::int64_t>(), std::vector<std::int64_t>(6, 0));
  EXPECT_EQ(Tensor(Shape{}).num_elements(), 1U);
  EXPECT_FALSE(Tensor({0, 3}).empty());
  EXPECT_TRUE(Tensor().empty());
}

TEST(CoreTensor, CopiesAreDeepAndMovesLeaveNothing) {
  Tensor a({3}, std::vector<float>{1, 2, 3});
  Tensor b = a;
  b.data<float>()[0] = 9;
  EXPECT_EQ(a.data<float>()[0], 1);
  Tensor c = std::move(a);
  EXPECT_EQ(c.to_vector<float>(), (std::vector<float>{1, 2, 3}));
  EXPECT_TRUE(a.empty());
  EXPECT_EQ(a.num_elements(), 0U);
}

TEST(CoreTensor, ViewsBorrow) {
  float data[4] = {1, 2, 3, 4};
  Tensor view = Tensor::view(data, {2, 2});
  EXPECT_TRUE(view.is_view());
  view.data<float>()[3] = 7;
  EXPECT_EQ(data[3], 7);
  Tensor copy = view;
  EXPECT_FALSE(copy.is_view());
  EXPECT_NE(copy.data(), view.data());
}

TEST(CoreTensor, HostCopiesCheckTheirSize) {
  Tensor t({4});
  float values[4] = {1, 2, 3, 4}, back[4];
  t.copy_from_host(values);
  t.copy_to_host(back, sizeof back);
  EXPECT_EQ(back[2], 3);
  EXPECT_EQ(message([&] { t.copy_from_host(values, 12); }), "a tensor of 16 bytes cannot take 12 bytes");
  EXPECT_EQ(message([&] { t.copy_to_host(back, 12); }), "a tensor of 16 bytes cannot fill 12 bytes");
}

TEST(CoreTensor, MistakesAreNamed) {
  Tensor t({2}, DataType::kFloat16);
  EXPECT_EQ(message([&] { t.data<float>(); }), "the tensor holds float16, not float32");
  EXPECT_NO_THROW(t.data<std::uint16_t>());
  EXPECT_EQ(message([&] { t.reshape({3}); }), "a tensor of shape [2] cannot become [3]");
  EXPECT_EQ(message([&] { Tensor({-1}); }), "shape [-1] has a negative size");
  EXPECT_EQ(message([&] { Tensor({1LL << 30, 1LL << 30}); }),
            "shape [1073741824,1073741824] has more than 2^40 elements");
  EXPECT_EQ(message([&] { Tensor({1}, static_cast<DataType>(99)); }), "99 is no element type");
}

TEST(CoreTensor, ReshapeKeepsElements) {
  Tensor t({6}, std::vector<float>{1, 2, 3, 4, 5, 6});
  t.reshape({2, 3});
  EXPECT_EQ(t.rank(), 2U);
  EXPECT_EQ(t.data<float>()[5], 6);
}

}  // namespace
}  // namespace xinfer::core
