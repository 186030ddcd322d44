// What this program is.
#pragma once
#include <string>

namespace xinfer::base {

/// The build id that the linker gave this program (a digest of what it was linked from), hexadecimal; empty without one.
std::string program_id();

}  // namespace xinfer::base
