// TensorProto messages to and from tensors. Internal to src/onnx: needs the generated protobuf header.
#pragma once
#include <filesystem>

#include "onnx/onnx.pb.h"
#include "onnx/tensor_file.h"

namespace xinfer::onnx {

/// Largest tensor accepted from a file.
inline constexpr std::int64_t kMaxTensorElements = std::int64_t{1} << 31;
inline constexpr int kMaxRank = 32;

/// `folder`: where external data may lie, symbolic links resolved; empty refuses external data.
[[nodiscard]] base::Result<tensor::Tensor> from_proto(const proto::TensorProto& message, const std::filesystem::path& folder);
[[nodiscard]] base::Result<tensor::Tensor> from_proto(const proto::SparseTensorProto& message,
                                                      const std::filesystem::path& folder);
void to_proto(const tensor::Tensor& tensor, proto::TensorProto& message);

/// The dtype that a file's number means; kUnsupported names the number.
[[nodiscard]] base::Result<tensor::DType> dtype_from(int number);

}  // namespace xinfer::onnx
