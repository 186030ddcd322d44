// ONNX in, a verified engine out: the one call behind `xinfer-cli build` and the build farm's agent.
#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "compiler/fixed_inputs.h"
#include "engine/engine.h"
#include "tensor/size.h"
#include "tensor/tensor.h"

namespace xinfer::compiler {

/// Files that are found again by what they were made from, in a folder that further builds use too.
struct FileExchange {
  std::filesystem::path folder;  // empty: none are kept
  /// Called with the paths below `folder` of those that are wanted and not there: whoever has them elsewhere may put them there.
  std::function<void(const std::vector<std::string>&)> on_missing;
};

struct BuildOptions {
  std::string target = "host";     // canonical name or alias: "x86-64-v3", "host", "rtx_4090"; may carry ":precision"
  std::string precision = "fp32";  // used when `target` carries none
  std::map<std::string, tensor::Shape> input_shapes;  // sizes for symbolic dimensions, by input name
  /// The same with a range for each dimension (onnx::ImportOptions): one engine serves all sizes in it.
  /// An input that has neither, and whose first size alone is open, takes 1 to 8 there (on CPUs), which is a batch nearly always.
  std::map<std::string, std::vector<tensor::Symbol>> input_ranges;
  std::set<std::string> empty_inputs;  // sequences without elements and optionals that hold nothing
  /// Narrower ranges inside of those, which get plans of their own in the engine, the more special ones first. Of CPUs. Inputs
  /// that one leaves out are as above, save sizes that they share with those that it has.
  std::vector<std::map<std::string, std::vector<tensor::Symbol>>> profiles;
  /// How the caller would build again, "xinfer-cli build --onnx a.onnx": errors that give options put it in front of them.
  std::string command;
  /// Inputs whose value is fixed: they become constants, and the engine does not have them. For inputs that decide shapes
  /// or branches, which an engine of static shapes must know.
  std::map<std::string, tensor::Tensor> input_values;
  std::string model_name;                             // for the manifest; empty: the file's stem
  std::string license;                                // for the manifest, SPDX
  std::string metadata;                               // for the manifest: JSON object of pre- and post-processing, or empty
  std::string secret_key;                             // Ed25519, 64 raw bytes; empty: unsigned local build
  std::filesystem::path cache_folder;                 // of compiled kernels; empty: no cache
  /// Called once, before kernels are compiled, with the paths below `cache_folder` of those that are not there: whoever has
  /// them elsewhere may put them there.
  std::function<void(const std::vector<std::string>&)> on_missing_kernels;
  bool verify = true;                                 // run against the reference where this machine can
  FileExchange references;                            // outputs of the reference functions, of models that were built before
  int jobs = 0;                                       // compilers at once; 0: one per core
  int max_threads = 16;                               // that the engine's plan can use
  std::filesystem::path records;                      // of tuning a GPU; they count before the repository's; empty: none
  std::set<std::string, std::less<>> disabled_passes;
  /// Name of a pass (or "import") after which `on_dump` is called with the graph's text; "all" for each.
  std::string dump_after;
  std::function<void(std::string_view stage, std::string_view text)> on_dump;
  /// (stage, fraction of the stage 0…1). From one thread at a time.
  std::function<void(std::string_view stage, double fraction)> on_progress;
  std::function<void(std::size_t ready, std::size_t all)> on_kernel;  // after each, compiled or from the cache
  std::function<bool()> cancelled;  // asked now and then; true ends with Code::kCancelled
};

/// How the engine compares with the reference on seeded random input.
struct Verification {
  bool ran = false;
  std::string reason;  // why it did not run, "not verified on device"
  std::string device;  // what it ran on: "NVIDIA H100 80GB HBM3", "x86-64-v4"
  struct Output {
    std::string name;
    double max_abs_error = 0, max_rel_error = 0, cosine = 1;
    bool matches = true;
  };
  std::vector<Output> outputs;
  std::size_t references = 0, references_known = 0;  // that the engine was compared with; that need not be computed
  double reference_ms = 0;                           // of those that were
  bool passed() const;
};

/// What happened, for people and for the job's log. Times are here and never in the engine, which is reproducible.
struct Report {
  std::string model_digest;
  std::string target;
  std::string toolchain;  // "clang version 19.1.7 …"
  FixedInputs fixed;
  struct Stage {
    std::string name;
    double milliseconds = 0;
    std::string detail;  // "97 nodes"
  };
  std::vector<Stage> stages;
  /// A launch of the plan in the model's terms.
  struct Launch {
    std::size_t outputs = 1;          // of the arguments that `values` names, the last so many
    std::vector<std::string> values;  // per argument: "name: float32[1,64,56,56]"; empty for a table of constants
  };
  std::vector<Launch> launch_list;          // as the plan's
  std::vector<std::string> kernel_reasons;  // as the plan's kernels: why each was chosen
  std::size_t nodes_imported = 0, nodes_scheduled = 0, kernels = 0, launches = 0;
  std::size_t kernels_compiled = 0;  // files that the cache did not have
  std::uint64_t weight_bytes = 0, arena_bytes = 0, code_bytes = 0, engine_bytes = 0;
  double flops = 0;
  /// By output: what its columns stand for, where the model makes a map of each row (ai.onnx.ml.ZipMap).
  std::map<std::string, std::vector<std::string>> column_labels;
  std::vector<std::string> notes;  // what was decided for want of an option, and the option
  Verification verification;
};

struct BuildOutput {
  std::string engine;  // the whole file
  Report report;
};

/// Builds an engine. The same model, options and toolchain give the same bytes. Errors: those of import_model;
/// kInvalidArgument (unknown target or pass; an input whose sizes are not given: the message says which option gives
/// them), kUnsupported (operators, precision), kUnavailable (no Clang 19), kCancelled, kInternal (verification failed).
[[nodiscard]] base::Result<BuildOutput> build(const std::filesystem::path& onnx, const BuildOptions& options);

/// Runs the engine on this machine's device and compares it with the reference functions on the model that it was built from.
/// The engine says which inputs were fixed; `input_values`: of those too large for it. A machine that cannot run it is a reason in
/// the result.
[[nodiscard]] base::Result<Verification> verify(const std::filesystem::path& onnx, std::shared_ptr<const engine::Engine> engine,
                                                const std::map<std::string, tensor::Tensor>& input_values = {},
                                                const FileExchange& references = {});

/// Measures candidates of every contraction of the model on this machine's GPU and returns records (JSON) of the fastest, for
/// BuildOptions::records. Errors: those of build(); kUnavailable or kIncompatible without a device of the target.
[[nodiscard]] base::Result<std::string> tune(const std::filesystem::path& onnx, const BuildOptions& options,
                                             std::size_t max_candidates);

/// Names of inputs whose values must be known to build, given what `options` gives already: they decide shapes or which
/// code there is. Several rounds may be needed, since one such value can hide another.
[[nodiscard]] base::Result<std::vector<std::string>> find_shape_inputs(const std::filesystem::path& onnx, const BuildOptions& options);

/// The report as deterministic text lines (without times) and as JSON (with times).
std::string to_json(const Report& report);

}  // namespace xinfer::compiler
