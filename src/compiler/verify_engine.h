// Runs a freshly built engine on seeded random input and compares it with the reference functions.
#pragma once
#include <memory>
#include <vector>

#include "compiler/build.h"
#include "compiler/reference_cache.h"
#include "engine/engine.h"
#include "ir/graph.h"

namespace xinfer::compiler {

/// What random floats are: in [-1, 1], or, in tensors that are images by their shape, whole numbers from 0 to 255.
enum class Numbers { kUnit, kPixels };

/// Random inputs of the graph's input types, with `sizes` for their symbols; the same for equal seeds everywhere.
std::vector<tensor::Tensor> random_inputs(const ir::Graph& graph, std::uint64_t seed, const tensor::Size::Values& sizes = {},
                                          Numbers numbers = Numbers::kUnit);

/// `original`: the graph as imported, before any pass, from which the engine was built. A machine that cannot run it, or a
/// reference that cannot be evaluated, is a reason in the result. Symbols are at their optimum, minimum, maximum and one
/// value in between, as far as the reference can be evaluated in reasonable time. A network for images made for pixels amplifies
/// the rounding of numbers in [-1, 1], to which it hardly answers: where an engine fails on these, but not by much (a cosine of 0.99), it must agree on
/// pixels, and the result's reason says so. Errors: kInternal (the engine does not load or run).
[[nodiscard]] base::Result<Verification> verify_engine(const ir::Graph& original,
                                                       std::shared_ptr<const engine::Engine> engine,
                                                       const ReferenceCache& references = {});

/// How much work the reference has in that for an engine of so many operations: 1 is the optimum alone.
double verification_share(const ir::Graph& original, double flops);

/// How near an output can be expected to be: float32 throughout, 16-bit floats between kernels, or quantised integers.
enum class Exactness { kFull, kFloat16, kBfloat16, kQuantised };

/// Error figures of one output and whether it is near enough. Both have the same type, else it does not match.
Verification::Output compare(std::string name, const tensor::Tensor& actual, const tensor::Tensor& expected,
                             Exactness exactness = Exactness::kFull);

/// Keeps the worse of two comparisons of one output.
void merge(Verification::Output& into, const Verification::Output& other);
/// The same of all outputs, with those of one of the engine's profiles.
void add_verification(Verification& into, const Verification& of_profile);

}  // namespace xinfer::compiler
