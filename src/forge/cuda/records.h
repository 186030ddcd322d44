// Tuning records: for a contraction and a GPU, the candidate that was the fastest when measured.
#pragma once
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "base/error.h"
#include "forge/cuda/contraction.h"

namespace xinfer::forge::cuda {

/// What decides a contraction's speed, as a line of text: "conv float16 1x64x1x56x56 to 64x1x56x56 kernel 1x3x3 …". The key of
/// tuning records; stable between versions.
std::string text_of(const Problem& problem);

/// A set of records for one GPU architecture. Text form: JSON,
/// {"format": 1, "architecture": "sm_90a", "device": "NVIDIA H100 80GB HBM3", "toolchain": "xinfer 0.1.0, NVRTC 13.0",
///  "models": [SHA-256 of an ONNX file, …], "records": {PROBLEM: CANDIDATE, …}}; toolchain and models may be absent.
struct Records {
  std::string architecture, device;
  std::string toolchain;         // that measured last
  std::set<std::string> models;  // whose contractions were measured
  std::map<std::string, std::string, std::less<>> choices;

  /// kInvalidArgument: no such JSON, or a format that this version does not know.
  [[nodiscard]] static base::Result<Records> parse(std::string_view json);
  std::string to_json() const;
  /// What `before` has and these have not. Both are for one architecture.
  void add(const Records& before);
  /// The records of the repository's folder tuning/ for the GPU; empty where there are none.
  static const Records& builtin(const target::GpuIsa& gpu);
};

/// The recorded candidate where there is one that this version still has, else the best by the cost model.
/// Earlier records count before later ones.
std::string choose(const Problem& problem, const target::GpuIsa& gpu, std::initializer_list<const Records*> records);

}  // namespace xinfer::forge::cuda
