// The linked image: what lld's ELF file must hold to be loaded as flat, position-independent, read-only code.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "base/error.h"

namespace xinfer::codegen::cpu {

/// The linker script that puts code and constants into one segment from address 0.
std::string_view linker_script();

struct LinkedImage {
  std::string code;
  std::map<std::string, std::uint64_t, std::less<>> symbols;  // function -> offset
};

/// Takes the flat image out of an ELF file linked with linker_script(). kInternal when it has writable data, dynamic
/// relocations or anything else that would need a loader.
[[nodiscard]] base::Result<LinkedImage> extract_image(std::string_view elf);

}  // namespace xinfer::codegen::cpu
