// One case in the layout of the ONNX backend tests: model.onnx and test_data_set_N/{input,output}_K.pb.
#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "forge/reference/reference.h"

namespace xinfer::cli {

struct CaseOptions {
  std::string target = "host";  // or "reference"
  std::optional<double> rtol, atol;
  int num_threads = 1;  // of an engine
  int compilers = 1;    // at once, for one engine
  std::filesystem::path cache_folder;
};

struct CaseOutcome {
  enum class Kind { kPassed, kFailed, kSkipped };
  Kind kind = Kind::kPassed;
  std::string reason;  // of a passed case: what is to be known about it
};

/// Folders below `roots` that hold a model.onnx and a test_data_set_*, sorted. kNotFound when a root does not exist.
[[nodiscard]] base::Result<std::vector<std::filesystem::path>> find_cases(
    const std::vector<std::filesystem::path>& roots);

/// Runs all data sets of one case.
CaseOutcome run_case(const std::filesystem::path& folder, const CaseOptions& options);

/// Whether `actual` equals `expected`: same type and shape, floats within atol + rtol * |expected|, NaN equals NaN.
/// Returns what differs first, empty when equal.
std::string compare(const forge::reference::Value& actual, const forge::reference::Value& expected, double rtol,
                    double atol);

}  // namespace xinfer::cli
