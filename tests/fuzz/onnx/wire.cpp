#include "wire.h"

#include <cstring>

namespace xinfer::fuzz {
namespace {

constexpr int kMaxDepth = 24;

bool read_varint(std::string_view& bytes, std::uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= std::uint64_t{byte & 127u} << shift;
    if (byte < 128) return true;
  }
  return false;
}

void write_varint(std::string& bytes, std::uint64_t value) {
  for (; value >= 128; value >>= 7) bytes += static_cast<char>(value | 128);
  bytes += static_cast<char>(value);
}

bool read_fixed(std::string_view& bytes, std::size_t size, std::uint64_t& value) {
  if (bytes.size() < size) return false;
  value = 0;
  std::memcpy(&value, bytes.data(), size);
  bytes.remove_prefix(size);
  return true;
}

}  // namespace

bool read_fields(std::string_view bytes, std::vector<Field>& fields, int depth) {
  while (!bytes.empty()) {
    std::uint64_t tag = 0, length = 0;
    if (!read_varint(bytes, tag) || tag >> 3 == 0 || tag >> 3 > 1000) return false;
    Field field{static_cast<std::uint32_t>(tag >> 3), static_cast<int>(tag & 7), 0, {}, {}};
    if (field.type == 0) {
      if (!read_varint(bytes, field.value)) return false;
    } else if (field.type == 1 || field.type == 5) {
      if (!read_fixed(bytes, field.type == 1 ? 8 : 4, field.value)) return false;
    } else if (field.type == 2) {
      if (!read_varint(bytes, length) || length > bytes.size()) return false;
      const std::string_view inside = bytes.substr(0, length);
      bytes.remove_prefix(length);
      if (depth >= kMaxDepth || !read_fields(inside, field.fields, depth + 1)) field.fields.clear(), field.bytes = inside;
    } else {
      return false;
    }
    fields.push_back(std::move(field));
  }
  return true;
}

std::string write_fields(const std::vector<Field>& fields) {
  std::string bytes;
  for (const Field& field : fields) {
    write_varint(bytes, std::uint64_t{field.number} << 3 | static_cast<unsigned>(field.type));
    if (field.type == 0) {
      write_varint(bytes, field.value);
    } else if (field.type == 2) {
      const std::string inside = field.fields.empty() ? field.bytes : write_fields(field.fields);
      write_varint(bytes, inside.size());
      bytes += inside;
    } else {
      bytes.append(reinterpret_cast<const char*>(&field.value), field.type == 1 ? 8 : 4);
    }
  }
  return bytes;
}

}  // namespace xinfer::fuzz
