// Builds a model for this machine, runs it and compares it with the reference functions; makes failing models smaller.
#pragma once
#include <string>

#include "model.h"

namespace xinfer::fuzz {

struct Outcome {
  enum Kind { kEqual, kRefused, kFailed } kind = kEqual;
  std::string message;  // of the last two
};
/// kRefused: the compiler says that it cannot. kFailed: everything else but equal outputs.
Outcome check(const Model& model);

/// A part of the model that still fails: fewer outputs, and values in the middle made inputs.
Model reduce(Model model);

}  // namespace xinfer::fuzz
