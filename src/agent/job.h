// The part of the agent that runs inside the sandbox: one job, from files to files, reporting by lines on its output.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "api/types.h"
#include "base/error.h"

namespace xinfer::agent {

/// What the child prints, one per line: a kind and its text.
enum class LineKind : char {
  kProgress = 'P',  // api::Progress as JSON
  kLog = 'L',       // text
  kError = 'E',     // api::BuildError as JSON: the job's end
  kKernels = 'K',   // api::KernelQuery as JSON: the job waits for JOB/kernels/ready-N, N for the Nth query
  kOffer = 'O',     // api::KernelOffer as JSON, of OUT/kernels
  kReport = 'R',    // what the job has found, as JSON: it succeeded
};
void print(LineKind kind, std::string_view text);

/// Where a job's files are: JOB/lease.json (api::Lease), JOB/model.onnx and, to verify, JOB/engine and JOB/key (the hub's,
/// hexadecimal); OUT/engine (unsigned) is written by builds. `cache`: of compiled kernels.
struct JobFiles {
  std::filesystem::path job, out, cache;
  int jobs = 0;  // compilers at once; 0: one per core
};

/// What an agent can do, by the kind of job.
struct JobWork {
  std::string_view kind;
  base::Result<void> (*run)(const api::Lease& lease, const JobFiles& files) = nullptr;
  bool takes_engine = false, gives_engine = false;
  bool on_device = false;
};
std::span<const JobWork> job_works();
/// nullptr for a kind that this version does not know.
const JobWork* find_work(std::string_view kind);

base::Result<void> run_build(const api::Lease& lease, const JobFiles& files);

/// The job of JOB/lease.json. Returns the process's exit status.
int run_job(const JobFiles& files);

}  // namespace xinfer::agent
