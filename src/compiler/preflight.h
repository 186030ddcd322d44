// What will come of a build, found out in seconds and without building: everything that stands in its way at once, sizes,
// work, and how long the build and an inference will take.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "compiler/cost_model.h"
#include "tensor/size.h"
#include "tensor/tensor.h"

namespace xinfer::compiler {

struct PreflightOptions {
  std::vector<std::string> targets = {"host"};  // names as BuildOptions::target
  std::map<std::string, std::vector<tensor::Symbol>> input_ranges;  // as BuildOptions::input_ranges
  std::set<std::string> empty_inputs;                                    // as BuildOptions::empty_inputs
  std::vector<std::map<std::string, std::vector<tensor::Symbol>>> profiles;  // as BuildOptions::profiles
  std::map<std::string, tensor::Tensor> input_values;
  std::filesystem::path cache_folder;  // of compiled kernels: what lies there need not be compiled
  int jobs = 0;                        // compilers at once; 0: one per core
  int threads = 0;                     // of the second latency; 0: one per core
  bool verify = true;                  // whether the build will
};

/// Something that a build would refuse.
struct Problem {
  std::string op;                  // empty: the model as a whole
  std::vector<std::string> nodes;  // all of them
  std::string reason, advice;      // what is wrong; the way out
};

/// An input whose sizes the model leaves open.
struct DynamicInput {
  std::string name, type;    // "x", of a sequence's elements "x[0]"; "float32[N,3,H,W]"
  tensor::Shape assumed;     // for the forecasts; `option` gives it to a build
  std::string option;        // "--shape x=1x3x224x224"
  std::string range_option;  // "--shape x=1:1:8x3x64:224:640x64:224:640": one engine for all of these
  bool by_default = false;   // a build takes that range by itself, and the forecasts are for it
};

/// A kernel that a build compiles.
struct KernelForecast {
  std::string symbol;
  std::string_view kind;
  double source_bytes = 0, table_bytes = 0;
};

struct LaunchForecast {
  std::string name, choice;
  LaunchCost cost;
  double flops = 0, bytes = 0;
};

/// What is expected of the plan for one profile.
struct ProfileForecast {
  std::string sizes;  // as --profile takes them, of all inputs
  std::size_t kernels = 0, launches = 0;  // kernels: that the plan for the whole range and earlier profiles do not have
  std::uint64_t arena_bytes = 0;
  Interval latency, latency_threads;  // as Forecast's
};

/// What is expected of one target.
struct Forecast {
  std::string target;
  std::vector<Problem> problems;  // of this target alone; the forecast is empty when there are any
  target::Machine machine;        // that the latencies are for
  std::size_t kernels = 0, kernels_cached = 0, launches = 0;  // kernels with those of the profiles, launches without
  double flops = 0, multiply_adds = 0;  // as scheduled; of contractions alone
  double bytes_moved = 0;               // into and out of kernels
  std::uint64_t weight_bytes = 0, arena_bytes = 0;  // of all plans; of the largest
  int threads = 1;
  Interval latency, latency_threads;  // seconds, with one thread and with `threads`; at the optimum of ranges
  Interval latency_least, latency_most;  // one thread, at the smallest and the largest sizes; all 0 without ranges
  std::vector<ProfileForecast> profiles;
  Interval build;                     // seconds on this machine
  double prepare_seconds = 0;         // of it: import, passes and schedule, which were done for this
  double verified_flops = 0, verified_multiply_adds = 0;  // of the reference, at all sizes at which it is evaluated
  std::vector<KernelForecast> kernel_list;                // to compile
  std::vector<LaunchForecast> launch_list;
};

struct Preflight {
  std::string model_digest;
  std::size_t nodes = 0;
  std::int64_t parameters = 0;  // elements of all constants that are numbers, but for shapes and indices
  std::uint64_t constant_bytes = 0;
  std::vector<std::string> inputs, outputs;  // "x: float32[1,3,224,224]"
  std::vector<DynamicInput> dynamic_inputs;
  std::vector<Problem> problems;  // of every target
  std::string unseen;             // why what depends on unknown operators could not be looked at; mostly empty
  std::vector<Forecast> forecasts;
  double seconds = 0;  // that this took

  bool supported() const;
  /// Whether a build would have to be told sizes.
  bool needs_sizes() const;
  /// All problems as the error that a build would be refused with.
  base::Error error() const;
};

/// Looks at the model. Errors are those of files that are no models (kNotFound, kIo, kCorrupt, kLimit) and of options
/// (kInvalidArgument, kNotFound for a target); what cannot be built is in the result.
[[nodiscard]] base::Result<Preflight> preflight(const std::filesystem::path& onnx, const PreflightOptions& options);

/// What is expected, in one line: "build 8.9 s (4.5 to 17), latency 4.63 ms (3 to 7.2) with 1 thread on …".
std::string to_text(const Forecast& forecast);

/// One JSON document; `launches`: with every launch of every forecast.
std::string to_json(const Preflight& preflight, bool launches = false);

}  // namespace xinfer::compiler
