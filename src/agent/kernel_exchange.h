// Compiled kernels of other agents, and outputs of the reference that they computed: asked for by the build in the sandbox, brought by the agent outside, which alone talks to
// the hub. The folder that the build can write is never read or written by the agent through a path that the build made.
#pragma once
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/hub_link.h"
#include "agent/job.h"
#include "api/types.h"
#include "base/error.h"

namespace xinfer::agent {

/// The build's side, in the sandbox.
class KernelRequest {
 public:
  using Print = std::function<void(LineKind, std::string_view)>;
  KernelRequest(std::filesystem::path job, std::filesystem::path out, std::filesystem::path cache, Print print)
      : job_(std::move(job)), out_(std::move(out)), cache_(std::move(cache)), print_(std::move(print)) {}

  /// Asks for files (paths below the cache), waits for the answer and takes into the cache what came.
  void ask(const std::vector<std::string>& missing);
  /// Writes those that had to be made into OUT/kernels and says so.
  [[nodiscard]] base::Result<void> offer() const;

 private:
  const std::filesystem::path job_, out_, cache_;
  const Print print_;
  std::set<std::string> compiled_;
  int asked_ = 0;  // queries
};

/// The agent's side. Not thread-safe. What goes wrong here costs compiling, not the build: it is logged.
class KernelExchange {
 public:
  /// `folder`: JOB/kernels, which the build can only read.
  KernelExchange(HubLink& link, const api::Lease& lease, std::filesystem::path folder)
      : link_(link), lease_(lease), folder_(std::move(folder)) {}

  /// Fetches what the hub has of these and lets the build go on; how many.
  std::size_t fetch(const std::vector<std::string>& names);
  /// Gives the hub what the build compiled of what it had asked for. `bundle`: OUT/kernels, of a build that has ended.
  void give(api::KernelOffer offer, const std::filesystem::path& bundle);

 private:
  [[nodiscard]] base::Result<void> fetch_all(const std::vector<std::string>& names);
  [[nodiscard]] base::Result<void> fetch_bundle(std::vector<api::Kernel> kernels);
  [[nodiscard]] base::Result<void> give_all(api::KernelOffer& offer, const std::filesystem::path& bundle);

  HubLink& link_;
  const api::Lease& lease_;
  const std::filesystem::path folder_;
  std::set<std::string> wanted_;  // asked for, and not on the hub
  std::size_t fetched_ = 0;
  int queries_ = 0;
};

}  // namespace xinfer::agent
