// The wire format of protocol buffers as a tree, without knowing the messages: what looks like a message is one.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace xinfer::fuzz {

struct Field {
  std::uint32_t number = 0;
  int type = 0;             // 0 varint, 1 eight bytes, 2 bytes or a message, 5 four bytes
  std::uint64_t value = 0;  // of types 0, 1 and 5
  std::string bytes;        // of type 2 without fields
  std::vector<Field> fields;
};

/// Nothing but whole fields, or false.
bool read_fields(std::string_view bytes, std::vector<Field>& fields, int depth = 0);
std::string write_fields(const std::vector<Field>& fields);

}  // namespace xinfer::fuzz
