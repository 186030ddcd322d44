// The report as it is stored in the engine. Internal to src/compiler.
#pragma once
#include <string>

#include "compiler/build.h"

namespace xinfer::compiler {

/// JSON without anything that differs between two builds of the same inputs: no times, no paths.
std::string engine_report(const Report& report);

}  // namespace xinfer::compiler
