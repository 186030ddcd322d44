#include "onnx/tensor_file.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>

#include "base/files.h"
#include "onnx/tensor_proto.h"

namespace xinfer::onnx {
namespace {

using base::Code;
using base::fail;
using base::Result;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

static_assert(std::endian::native == std::endian::little, "raw data is little-endian and copied as it is");

constexpr int kMaxValueDepth = 8;  // of sequences and optionals in one another

// Elements that share a byte in files: 2 or 4, else 1.
int per_byte(DType dtype) {
  if (dtype == DType::kInt2 || dtype == DType::kUint2) return 4;
  return dtype == DType::kInt4 || dtype == DType::kUint4 || dtype == DType::kFloat4E2M1 ? 2 : 1;
}

// Element `index` of its byte; the first lies in the low bits. Signed ones are sign-extended in memory.
std::byte unpack(std::uint8_t packed, std::int64_t index, DType dtype) {
  const int bits = 8 / per_byte(dtype);
  const int high = 8 - bits;
  const auto top = static_cast<std::uint8_t>(packed << (high - bits * static_cast<int>(index % per_byte(dtype))));
  if (dtype == DType::kInt4 || dtype == DType::kInt2) return static_cast<std::byte>(static_cast<std::int8_t>(top) >> high);
  return static_cast<std::byte>(top >> high);
}

// Of `count` elements in a file.
std::size_t stored_bytes(DType dtype, std::int64_t count) {
  const int shared = per_byte(dtype);
  return shared > 1 ? static_cast<std::size_t>(count + shared - 1) / shared : static_cast<std::size_t>(count) * tensor::size_of(dtype);
}

Result<Shape> read_shape(const google::protobuf::RepeatedField<std::int64_t>& dims) {
  if (dims.size() > kMaxRank) return fail(Code::kLimit, "rank {} exceeds the limit of {}", dims.size(), kMaxRank);
  Shape shape(dims.begin(), dims.end());
  std::int64_t count = 1;
  bool empty = false;
  for (std::int64_t size : shape) {
    if (size < 0) return fail(Code::kCorrupt, "negative dimension in shape {}", tensor::to_string(shape));
    if (size == 0) empty = true;
    else if (count > kMaxTensorElements / size) count = kMaxTensorElements + 1;
    else count *= size;
    if (count > kMaxTensorElements && !empty)
      return fail(Code::kLimit, "shape {} exceeds the limit of {} elements", tensor::to_string(shape), kMaxTensorElements);
  }
  return shape;
}

Result<Tensor> from_raw(DType dtype, Shape shape, std::string_view raw) {
  const std::int64_t count = tensor::num_elements(shape);
  const std::size_t wanted = stored_bytes(dtype, count);
  // Checked before allocating, so that a small file cannot ask for a lot of memory.
  if (raw.size() != wanted)
    return fail(Code::kCorrupt, "{}{} needs {} bytes of raw data, the file has {}", tensor::name(dtype),
                tensor::to_string(shape), wanted, raw.size());
  Tensor tensor(dtype, std::move(shape));
  if (const int shared = per_byte(dtype); shared > 1) {
    for (std::int64_t i = 0; i < count; ++i) tensor.bytes()[i] = unpack(static_cast<std::uint8_t>(raw[i / shared]), i, dtype);
  } else if (wanted != 0) {
    std::memcpy(tensor.bytes().data(), raw.data(), wanted);
    if (dtype == DType::kBool)
      for (std::byte& value : tensor.bytes()) value = std::byte{value != std::byte{0}};
  }
  return tensor;
}

template <class Stored, class Field>
Result<Tensor> from_field(DType dtype, Shape shape, const Field& field, int values_per_element = 1) {
  const std::int64_t count = tensor::num_elements(shape) * values_per_element;
  if (field.size() != count)
    return fail(Code::kCorrupt, "{}{} needs {} stored values, the file has {}", tensor::name(dtype),
                tensor::to_string(shape), count, field.size());
  Tensor tensor(dtype, std::move(shape));
  auto* out = reinterpret_cast<Stored*>(tensor.bytes().data());
  for (std::int64_t i = 0; i < count; ++i) out[i] = static_cast<Stored>(field.Get(static_cast<int>(i)));
  return tensor;
}

Result<Tensor> from_packed_field(DType dtype, Shape shape, const google::protobuf::RepeatedField<std::int32_t>& field) {
  std::string raw;
  for (std::int32_t value : field) raw.push_back(static_cast<char>(value));
  return from_raw(dtype, std::move(shape), raw);
}

Result<Tensor> from_typed(const proto::TensorProto& message, DType dtype, Shape shape) {
  switch (dtype) {
    case DType::kFloat32: return from_field<float>(dtype, std::move(shape), message.float_data());
    case DType::kComplex64: return from_field<float>(dtype, std::move(shape), message.float_data(), 2);
    case DType::kFloat64: return from_field<double>(dtype, std::move(shape), message.double_data());
    case DType::kComplex128: return from_field<double>(dtype, std::move(shape), message.double_data(), 2);
    case DType::kInt64: return from_field<std::int64_t>(dtype, std::move(shape), message.int64_data());
    case DType::kUint64: return from_field<std::uint64_t>(dtype, std::move(shape), message.uint64_data());
    case DType::kUint32: return from_field<std::uint32_t>(dtype, std::move(shape), message.uint64_data());
    case DType::kInt32: return from_field<std::int32_t>(dtype, std::move(shape), message.int32_data());
    case DType::kUint16:
    case DType::kInt16:
    case DType::kFloat16:
    case DType::kBfloat16: return from_field<std::uint16_t>(dtype, std::move(shape), message.int32_data());
    case DType::kBool:
    case DType::kUint8:
    case DType::kInt8:
    case DType::kFloat8E4M3FN:
    case DType::kFloat8E4M3FNUZ:
    case DType::kFloat8E5M2:
    case DType::kFloat8E8M0:
    case DType::kFloat8E5M2FNUZ: return from_field<std::uint8_t>(dtype, std::move(shape), message.int32_data());
    case DType::kInt2:
    case DType::kUint2:
    case DType::kInt4:
    case DType::kUint4:
    case DType::kFloat4E2M1: return from_packed_field(dtype, std::move(shape), message.int32_data());
    default: return fail(Code::kUnsupported, "element type {} cannot be stored", tensor::name(dtype));
  }
}

Result<Tensor> from_strings(const proto::TensorProto& message, Shape shape) {
  if (message.string_data_size() != tensor::num_elements(shape))
    return fail(Code::kCorrupt, "string{} needs {} strings, the file has {}", tensor::to_string(shape),
                tensor::num_elements(shape), message.string_data_size());
  Tensor tensor(DType::kString, std::move(shape));
  tensor.strings().assign(message.string_data().begin(), message.string_data().end());
  return tensor;
}

struct ExternalRange {
  std::string location;
  std::uint64_t offset = 0;
  std::optional<std::uint64_t> length;
};

Result<ExternalRange> external_range(const proto::TensorProto& message) {
  ExternalRange range;
  for (const auto& entry : message.external_data()) {
    const std::string& text = entry.value();
    if (entry.key() == "location") {
      range.location = text;
    } else if (entry.key() == "offset" || entry.key() == "length") {
      std::uint64_t number = 0;
      auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc{} || end != text.data() + text.size())
        return fail(Code::kCorrupt, "external data: {} '{}' is not a number", entry.key(), text);
      if (entry.key() == "offset") range.offset = number;
      else range.length = number;
    }
  }
  if (range.location.empty()) return fail(Code::kCorrupt, "external data without a location");
  return range;
}

// Only a file that lies, with all links resolved, inside the model's folder.
Result<std::filesystem::path> external_path(const std::string& location, const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  if (folder.empty())
    return fail(Code::kUnsupported, "external data '{}' needs a model file: bytes alone have no folder", location);
  const fs::path relative(location);
  bool escapes = relative.is_absolute() || location.find('\0') != std::string::npos;
  for (const fs::path& part : relative) escapes = escapes || part == "..";
  if (escapes) return fail(Code::kInvalidArgument, "external data '{}' is outside the model's folder", location);
  std::error_code error;
  const fs::path base = fs::canonical(folder, error);
  if (error) return fail(Code::kIo, "cannot resolve the model's folder: {}", error.message());
  const fs::path file = fs::canonical(base / relative, error);
  if (error) return fail(Code::kNotFound, "external data file '{}' is missing beside the model", location);
  const fs::path inside = file.lexically_relative(base);
  if (inside.empty() || *inside.begin() == "..")
    return fail(Code::kInvalidArgument, "external data '{}' is outside the model's folder", location);
  if (!fs::is_regular_file(file, error)) return fail(Code::kInvalidArgument, "external data '{}' is not a file", location);
  return file;
}

Result<Tensor> from_external(const proto::TensorProto& message, DType dtype, Shape shape, const std::filesystem::path& folder) {
  XI_TRY(const ExternalRange range, external_range(message));
  XI_TRY(const std::filesystem::path path, external_path(range.location, folder));
  std::error_code error;
  const std::uint64_t size = std::filesystem::file_size(path, error);
  if (error) return fail(Code::kIo, "external data '{}': {}", range.location, error.message());
  const std::int64_t count = tensor::num_elements(shape);
  const std::uint64_t wanted = stored_bytes(dtype, count);
  if (range.length.value_or(wanted) != wanted)
    return fail(Code::kCorrupt, "{}{} needs {} bytes, external data '{}' gives it {}", tensor::name(dtype),
                tensor::to_string(shape), wanted, range.location, *range.length);
  if (range.offset > size || wanted > size - range.offset)
    return fail(Code::kCorrupt, "external data '{}' has {} bytes, {} bytes at offset {} are needed", range.location, size,
                wanted, range.offset);
  std::string raw(wanted, '\0');
  std::ifstream stream(path, std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(range.offset));
  if (!stream.read(raw.data(), static_cast<std::streamsize>(wanted)))
    return fail(Code::kIo, "external data '{}' cannot be read", range.location);
  return from_raw(dtype, std::move(shape), raw);
}

template <class Message>
Result<Message> parse(std::string_view bytes, std::string_view what) {
  Message message;
  if (bytes.size() > std::size_t{0x7fffffff}) return fail(Code::kLimit, "{} is larger than 2 GiB", what);
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return fail(Code::kCorrupt, "not a serialised {}: the bytes are damaged or cut off", what);
  return message;
}

Result<TestValue> tensor_value(const proto::TensorProto& message) {
  TestValue value;
  value.name = message.name();
  XI_TRY(value.tensor, from_proto(message, {}));
  return value;
}

Result<TestValue> optional_value(const proto::OptionalProto& message, int depth);

Result<TestValue> sequence_value(const proto::SequenceProto& message, int depth) {
  if (depth > kMaxValueDepth) return fail(Code::kLimit, "values nest deeper than {}", kMaxValueDepth);
  TestValue value{TestValue::Kind::kSequence, message.name(), {}, {}};
  if (message.map_values_size() != 0) return fail(Code::kUnsupported, "maps in test data");
  for (const auto& item : message.tensor_values()) {
    XI_TRY(TestValue element, tensor_value(item));
    value.items.push_back(std::move(element));
  }
  for (const auto& item : message.sparse_tensor_values()) {
    TestValue element;
    XI_TRY(element.tensor, from_proto(item, {}));
    value.items.push_back(std::move(element));
  }
  for (const auto& item : message.sequence_values()) {
    XI_TRY(TestValue element, sequence_value(item, depth + 1));
    value.items.push_back(std::move(element));
  }
  for (const auto& item : message.optional_values()) {
    XI_TRY(TestValue element, optional_value(item, depth + 1));
    value.items.push_back(std::move(element));
  }
  return value;
}

Result<TestValue> optional_value(const proto::OptionalProto& message, int depth) {
  if (depth > kMaxValueDepth) return fail(Code::kLimit, "values nest deeper than {}", kMaxValueDepth);
  TestValue value{TestValue::Kind::kOptional, message.name(), {}, {}};
  if (message.has_map_value()) return fail(Code::kUnsupported, "maps in test data");
  if (message.has_tensor_value()) {
    XI_TRY(TestValue item, tensor_value(message.tensor_value()));
    value.items.push_back(std::move(item));
  } else if (message.has_sequence_value()) {
    XI_TRY(TestValue item, sequence_value(message.sequence_value(), depth + 1));
    value.items.push_back(std::move(item));
  } else if (message.has_optional_value()) {
    XI_TRY(TestValue item, optional_value(message.optional_value(), depth + 1));
    value.items.push_back(std::move(item));
  }
  return value;
}

Result<TestValue> read_value(std::string_view bytes, TestValue::Kind kind) {
  if (kind == TestValue::Kind::kSequence) {
    XI_TRY(const auto message, parse<proto::SequenceProto>(bytes, "SequenceProto"));
    return sequence_value(message, 0);
  }
  if (kind == TestValue::Kind::kOptional) {
    XI_TRY(const auto message, parse<proto::OptionalProto>(bytes, "OptionalProto"));
    return optional_value(message, 0);
  }
  XI_TRY(const auto message, parse<proto::TensorProto>(bytes, "TensorProto"));
  return tensor_value(message);
}

}  // namespace

Result<DType> dtype_from(int number) {
  if (number < 1 || number > static_cast<int>(DType::kInt2))
    return fail(Code::kUnsupported, "unknown element type number {}", number);
  return static_cast<DType>(number);
}

Result<Tensor> from_proto(const proto::TensorProto& message, const std::filesystem::path& folder) {
  XI_TRY(const DType dtype, dtype_from(message.data_type()));
  XI_TRY(Shape shape, read_shape(message.dims()));
  if (message.has_segment()) return fail(Code::kUnsupported, "tensors stored in segments");
  if (message.data_location() == proto::TensorProto::EXTERNAL) {
    if (dtype == DType::kString) return fail(Code::kUnsupported, "strings in external data");
    return from_external(message, dtype, std::move(shape), folder);
  }
  if (dtype == DType::kString) return from_strings(message, std::move(shape));
  if (message.has_raw_data()) return from_raw(dtype, std::move(shape), message.raw_data());
  return from_typed(message, dtype, std::move(shape));
}

Result<Tensor> from_proto(const proto::SparseTensorProto& message, const std::filesystem::path& folder) {
  XI_TRY(const Shape shape, read_shape(message.dims()));
  XI_TRY(const Tensor values, from_proto(message.values(), folder));
  XI_TRY(const Tensor indices, from_proto(message.indices(), folder));
  constexpr std::int64_t kMaxDenseElements = std::int64_t{1} << 26;  // a few stored bytes must not fill the memory
  const std::int64_t total = tensor::num_elements(shape), count = values.num_elements();
  if (total > kMaxDenseElements)
    return fail(Code::kLimit, "sparse tensor {} exceeds the limit of {} elements", tensor::to_string(shape), kMaxDenseElements);
  const bool flat = indices.rank() == 1;
  const std::int64_t rank = static_cast<std::int64_t>(shape.size());
  if (indices.dtype() != DType::kInt64 || values.dtype() == DType::kString ||
      indices.num_elements() != (flat ? count : count * rank))
    return fail(Code::kCorrupt, "sparse tensor: indices do not fit the values");
  Tensor tensor(values.dtype(), shape);
  const Shape strides = tensor::strides_of(shape);
  const std::size_t size = tensor::size_of(values.dtype());
  const auto index = indices.data<std::int64_t>();
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t position = flat ? index[i] : 0;
    for (std::int64_t d = 0; !flat && d < rank; ++d) {
      if (index[i * rank + d] < 0 || index[i * rank + d] >= shape[d]) position = -total - 1;
      else position += index[i * rank + d] * strides[d];
    }
    if (position < 0 || position >= total) return fail(Code::kCorrupt, "sparse tensor: an index is out of range");
    std::memcpy(tensor.bytes().data() + position * size, values.bytes().data() + i * size, size);
  }
  return tensor;
}

void to_proto(const Tensor& tensor, proto::TensorProto& message) {
  for (std::int64_t size : tensor.shape()) message.add_dims(size);
  message.set_data_type(static_cast<int>(tensor.dtype()));
  if (tensor.dtype() == DType::kString) {
    for (const std::string& text : tensor.strings()) message.add_string_data(text);
  } else if (const int shared = per_byte(tensor.dtype()); shared > 1) {
    const int bits = 8 / shared;
    std::string raw(stored_bytes(tensor.dtype(), tensor.num_elements()), '\0');
    for (std::int64_t i = 0; i < tensor.num_elements(); ++i) {
      const int part = std::to_integer<int>(tensor.bytes()[i]) & ((1 << bits) - 1);
      raw[i / shared] = static_cast<char>(static_cast<std::uint8_t>(raw[i / shared]) | part << (bits * (i % shared)));
    }
    message.set_raw_data(std::move(raw));
  } else {
    message.set_raw_data(reinterpret_cast<const char*>(tensor.bytes().data()), tensor.size_bytes());
  }
}

Result<Tensor> read_tensor(std::string_view bytes, std::string* name) {
  XI_TRY(const auto message, parse<proto::TensorProto>(bytes, "TensorProto"));
  if (name != nullptr) *name = message.name();
  return from_proto(message, {});
}

Result<Tensor> read_tensor_file(const std::filesystem::path& path) {
  XI_TRY(const std::string bytes, base::read_file(path));
  auto tensor = read_tensor(bytes);
  if (!tensor) return std::unexpected(std::move(tensor).error().in(path.string()));
  return tensor;
}

Result<TestValue> read_value_file(const std::filesystem::path& path, TestValue::Kind kind) {
  XI_TRY(const std::string bytes, base::read_file(path));
  auto value = read_value(bytes, kind);
  if (!value) return std::unexpected(std::move(value).error().in(path.string()));
  return value;
}

std::string write_tensor(const Tensor& tensor, std::string_view name) {
  proto::TensorProto message;
  if (!name.empty()) message.set_name(std::string(name));
  to_proto(tensor, message);
  return message.SerializeAsString();
}

Result<void> write_tensor_file(const std::filesystem::path& path, const Tensor& tensor, std::string_view name) {
  return base::write_file(path, write_tensor(tensor, name));
}

}  // namespace xinfer::onnx
