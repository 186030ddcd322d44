// ONNX test data files: serialised TensorProto, SequenceProto and OptionalProto, to and from tensors.
#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tensor/tensor.h"

namespace xinfer::onnx {

/// A value of a test data file.
struct TestValue {
  enum class Kind { kTensor, kSequence, kOptional };
  Kind kind = Kind::kTensor;
  std::string name;              // as in the file; may be empty
  tensor::Tensor tensor;         // of kTensor
  std::vector<TestValue> items;  // of kSequence; of kOptional: one item, or none when it is empty
};

/// Reads a TensorProto. All element types, raw and typed storage; 4-bit types come unpacked, one byte an element.
/// Errors: kNotFound, kCorrupt, kLimit, kUnsupported (external data has no folder here).
[[nodiscard]] base::Result<tensor::Tensor> read_tensor_file(const std::filesystem::path& path);
/// The same from bytes. `name`, if not null, receives the tensor's name.
[[nodiscard]] base::Result<tensor::Tensor> read_tensor(std::string_view bytes, std::string* name = nullptr);

/// Reads a file that holds a value of the given kind: the file does not say which it is, the model's type does.
[[nodiscard]] base::Result<TestValue> read_value_file(const std::filesystem::path& path, TestValue::Kind kind);

/// Serialises as TensorProto with raw data.
std::string write_tensor(const tensor::Tensor& tensor, std::string_view name = {});
[[nodiscard]] base::Result<void> write_tensor_file(const std::filesystem::path& path, const tensor::Tensor& tensor,
                                                   std::string_view name = {});

}  // namespace xinfer::onnx
