#include "tensor/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/files.h"

namespace xinfer::tensor {

using base::Code;
using base::fail;

namespace {

constexpr std::string_view kMagic{"\x93NUMPY", 6};
constexpr std::size_t kMaxHeaderBytes = 1 << 16;
constexpr std::int64_t kMaxElements = std::int64_t{1} << 36;

struct NumpyType {
  std::string_view code;  // without byte order
  DType dtype;
};
constexpr NumpyType kTypes[] = {
    {"f4", DType::kFloat32},   {"f8", DType::kFloat64},     {"f2", DType::kFloat16}, {"i1", DType::kInt8},
    {"i2", DType::kInt16},     {"i4", DType::kInt32},       {"i8", DType::kInt64},   {"u1", DType::kUint8},
    {"u2", DType::kUint16},    {"u4", DType::kUint32},      {"u8", DType::kUint64},  {"b1", DType::kBool},
    {"c8", DType::kComplex64}, {"c16", DType::kComplex128},
};

// The text after "'key':" of the header's dict literal.
base::Result<std::string_view> field(std::string_view header, std::string_view key) {
  auto at = header.find(fmt::format("'{}'", key));
  if (at == std::string_view::npos) return fail(Code::kCorrupt, "the .npy header has no '{}'", key);
  header.remove_prefix(at + key.size() + 2);
  auto begin = header.find_first_not_of(": ");
  if (begin == std::string_view::npos) return fail(Code::kCorrupt, "the .npy header's '{}' is empty", key);
  return header.substr(begin);
}

base::Result<Shape> parse_shape(std::string_view text) {
  auto close = text.find(')');
  if (!text.starts_with('(') || close == std::string_view::npos)
    return fail(Code::kCorrupt, "the .npy header's shape is malformed");
  text = text.substr(1, close - 1);
  Shape shape;
  std::int64_t count = 1;
  while (true) {
    auto begin = text.find_first_not_of(", ");
    if (begin == std::string_view::npos) return shape;
    text.remove_prefix(begin);
    std::int64_t size = -1;
    auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (problem != std::errc() || size < 0 || shape.size() >= 64)
      return fail(Code::kCorrupt, "the .npy header's shape is malformed");
    if (size > 0 && count > kMaxElements / size)
      return fail(Code::kLimit, "the .npy array has more than 2^36 elements");
    count *= size;
    shape.push_back(size);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.starts_with('L')) text.remove_prefix(1);
  }
}

// Fortran order to ours: element by element, the first index running fastest in the file.
void fill_from_fortran(Tensor& tensor, const char* data) {
  const Shape& shape = tensor.shape();
  Shape strides = strides_of(shape), index(shape.size(), 0);
  std::size_t element = size_of(tensor.dtype());
  for (std::int64_t i = 0; i < tensor.num_elements(); ++i) {
    std::int64_t at = 0;
    for (std::size_t d = 0; d < shape.size(); ++d) at += index[d] * strides[d];
    std::memcpy(tensor.bytes().data() + static_cast<std::size_t>(at) * element,
                data + static_cast<std::size_t>(i) * element, element);
    for (std::size_t d = 0; d < shape.size() && ++index[d] == shape[d]; ++d) index[d] = 0;
  }
}

// Types that numpy does not know, as the nearest that it does.
Tensor as_numpy_type(const Tensor& tensor) {
  if (std::ranges::find(kTypes, tensor.dtype(), &NumpyType::dtype) != std::end(kTypes)) return tensor;
  DType wide = is_float(tensor.dtype()) ? DType::kFloat32 : is_signed(tensor.dtype()) ? DType::kInt8 : DType::kUint8;
  Tensor converted(wide, tensor.shape());
  for (std::int64_t i = 0; i < tensor.num_elements(); ++i) converted.set(i, tensor.as_double(i));
  return converted;
}

}  // namespace

base::Result<Tensor> parse_npy(std::string_view bytes) {
  if (!bytes.starts_with(kMagic) || bytes.size() < 10) return fail(Code::kCorrupt, "this is no .npy file");
  int major = static_cast<unsigned char>(bytes[6]);
  std::size_t length_bytes = major == 1 ? 2 : 4, length = 0;
  if (major < 1 || major > 3) return fail(Code::kUnsupported, ".npy format {} is not known", major);
  if (bytes.size() < 8 + length_bytes) return fail(Code::kCorrupt, "the .npy file is truncated");
  std::memcpy(&length, bytes.data() + 8, length_bytes);
  if (length > kMaxHeaderBytes || bytes.size() < 8 + length_bytes + length)
    return fail(Code::kCorrupt, "the .npy file is truncated");
  std::string_view header = bytes.substr(8 + length_bytes, length), data = bytes.substr(8 + length_bytes + length);

  XI_TRY(std::string_view descr, field(header, "descr"));
  XI_TRY(std::string_view order, field(header, "fortran_order"));
  XI_TRY(std::string_view shape_text, field(header, "shape"));
  XI_TRY(Shape shape, parse_shape(shape_text));
  if (!descr.starts_with('\'')) return fail(Code::kUnsupported, ".npy files of records are not supported");
  descr = descr.substr(1, descr.find('\'', 1) - 1);
  std::string_view code = descr.substr(descr.empty() ? 0 : 1);
  auto type = std::ranges::find(kTypes, code, &NumpyType::code);
  if (type == std::end(kTypes) || descr[0] == '>')
    return fail(Code::kUnsupported,
                ".npy element type '{}' is not supported: use little-endian bool, integer or floating types", descr);
  Tensor tensor(type->dtype, std::move(shape));
  if (data.size() != tensor.size_bytes())
    return fail(Code::kCorrupt, "the .npy file has {} bytes of elements, its shape {} needs {}", data.size(),
                to_string(tensor.shape()), tensor.size_bytes());
  if (order.starts_with("True")) fill_from_fortran(tensor, data.data());
  else if (!data.empty()) std::memcpy(tensor.bytes().data(), data.data(), data.size());
  return tensor;
}

base::Result<Tensor> read_npy(const std::filesystem::path& path) {
  XI_TRY(std::string bytes, base::read_file(path));
  auto tensor = parse_npy(bytes);
  if (!tensor) return std::unexpected(std::move(tensor).error().in(path.string()));
  return tensor;
}

base::Result<std::string> format_npy(const Tensor& tensor) {
  if (tensor.dtype() == DType::kString) return fail(Code::kUnsupported, "strings cannot be written as .npy");
  Tensor values = as_numpy_type(tensor);
  auto type = std::ranges::find(kTypes, values.dtype(), &NumpyType::dtype);
  std::string shape = fmt::format("{}", fmt::join(values.shape(), ", "));
  if (values.rank() == 1) shape += ",";
  std::string header = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}",
                                   size_of(values.dtype()) == 1 ? '|' : '<', type->code, shape);
  // The elements begin at a multiple of 64 bytes (NEP 1).
  header.append(63 - (10 + header.size()) % 64, ' ');
  header += '\n';
  auto length = static_cast<std::uint16_t>(header.size());
  std::string bytes(kMagic);
  bytes += {'\1', '\0', static_cast<char>(length & 255), static_cast<char>(length >> 8)};
  bytes += header;
  bytes.append(reinterpret_cast<const char*>(values.bytes().data()), values.size_bytes());
  return bytes;
}

base::Result<void> write_npy(const std::filesystem::path& path, const Tensor& tensor) {
  XI_TRY(std::string bytes, format_npy(tensor));
  return base::write_file(path, bytes);
}

}  // namespace xinfer::tensor
