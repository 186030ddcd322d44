#include "tensor/npy.h"

#include <gtest/gtest.h>

#include "base/files.h"

namespace xinfer::tensor {
namespace {

std::string file(std::string header, std::string_view data, int major = 1) {
  header += '\n';
  std::string bytes("\x93NUMPY", 6);
  bytes += static_cast<char>(major);
  bytes += '\0';
  bytes += static_cast<char>(header.size());
  bytes += '\0';
  if (major > 1) bytes += std::string(2, '\0');
  return bytes + header + std::string(data);
}

TEST(Npy, EveryTypeAndRankRoundTrips) {
  for (auto dtype : {DType::kFloat32, DType::kFloat64, DType::kFloat16, DType::kInt8, DType::kInt16, DType::kInt32,
                     DType::kInt64, DType::kUint8, DType::kUint16, DType::kUint32, DType::kUint64, DType::kBool})
    for (const Shape& shape : {Shape{}, Shape{5}, Shape{2, 3}, Shape{0, 4}, Shape{1, 2, 1, 3}}) {
      Tensor tensor(dtype, shape);
      for (std::int64_t i = 0; i < tensor.num_elements(); ++i) tensor.set(i, dtype == DType::kBool ? i % 2 : i + 1);
      auto bytes = format_npy(tensor);
      ASSERT_TRUE(bytes);
      EXPECT_EQ((bytes->size() - tensor.size_bytes()) % 64, 0U);
      auto back = parse_npy(*bytes);
      ASSERT_TRUE(back) << back.error().text();
      EXPECT_EQ(back->dtype(), dtype);
      EXPECT_EQ(back->shape(), shape);
      for (std::int64_t i = 0; i < tensor.num_elements(); ++i) EXPECT_EQ(back->as_double(i), tensor.as_double(i));
    }
}

TEST(Npy, HeaderIsWhatNumpyWrites) {
  Tensor tensor(DType::kFloat32, {3});
  auto bytes = *format_npy(tensor);
  EXPECT_EQ(bytes.substr(10, 60), "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }   ");
}

TEST(Npy, TypesThatNumpyLacksBecomeNearOnes) {
  Tensor tensor(DType::kBfloat16, {2});
  tensor.set(1, 1.5);
  auto back = parse_npy(*format_npy(tensor));
  EXPECT_EQ(back->dtype(), DType::kFloat32);
  EXPECT_EQ(back->as_double(1), 1.5);
}

TEST(Npy, FortranOrderIsTurned) {
  auto tensor =
      parse_npy(file("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", std::string("\1\4\2\5\3\6", 6)));
  ASSERT_TRUE(tensor) << tensor.error().text();
  EXPECT_EQ(tensor->as_int64s(), (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6}));
}

TEST(Npy, LaterFormatsHaveLongHeaders) {
  auto tensor = parse_npy(file("{'descr': '<i2', 'fortran_order': False, 'shape': (1,), }", std::string("\7\0", 2), 2));
  ASSERT_TRUE(tensor) << tensor.error().text();
  EXPECT_EQ(tensor->as_int64(0), 7);
}

TEST(Npy, BadFilesAreRefused) {
  auto error = [](const std::string& bytes) {
    auto tensor = parse_npy(bytes);
    return tensor ? std::string("accepted") : tensor.error().message;
  };
  EXPECT_EQ(error("PK\3\4"), "this is no .npy file");
  EXPECT_EQ(error(file("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "1234")),
            "the .npy file has 4 bytes of elements, its shape [2] needs 8");
  EXPECT_EQ(error(file("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "1234")),
            ".npy element type '>f4' is not supported: use little-endian bool, integer or floating types");
  EXPECT_EQ(error(file("{'descr': '<U4', 'fortran_order': False, 'shape': (1,), }", "1234")),
            ".npy element type '<U4' is not supported: use little-endian bool, integer or floating types");
  EXPECT_EQ(error(file("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "")),
            "the .npy header's shape is malformed");
  EXPECT_EQ(error(file("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 9999999), }", "")),
            "the .npy array has more than 2^36 elements");
  EXPECT_EQ(error(file("{'descr': '<f4', 'shape': (1,), }", "1234")), "the .npy header has no 'fortran_order'");
  EXPECT_EQ(error(file("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "1234").substr(0, 30)),
            "the .npy file is truncated");
  EXPECT_EQ(error(file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "1234")),
            ".npy files of records are not supported");
}

}  // namespace
}  // namespace xinfer::tensor
