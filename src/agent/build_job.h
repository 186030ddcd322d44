// The part of the agent that runs inside the sandbox: one build, from files to files, reporting by lines on its output.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace xinfer::agent {

/// What the child prints, one per line: a kind and its text.
enum class LineKind : char {
  kProgress = 'P',  // api::Progress as JSON
  kLog = 'L',       // text
  kError = 'E',     // api::BuildError as JSON: the build's end
  kKernels = 'K',   // api::KernelQuery as JSON: the build waits for JOB/kernels/ready
  kOffer = 'O',     // api::KernelOffer as JSON, of OUT/kernels
  kReport = 'R',    // the compiler's report as JSON: the build succeeded
};

/// Reads JOB/lease.json, JOB/model.onnx, JOB/engine and JOB/key (the hub's, hexadecimal); runs the engine on this machine's
/// device and reports how it compares with the reference. Returns the process's exit status.
int run_verify_job(const std::filesystem::path& job);

/// Reads JOB/lease.json (api::Lease) and JOB/model.onnx, writes OUT/engine (unsigned). `cache`: of compiled kernels.
/// Returns the process's exit status.
int run_build_job(const std::filesystem::path& job, const std::filesystem::path& out,
                  const std::filesystem::path& cache, int jobs);

}  // namespace xinfer::agent
