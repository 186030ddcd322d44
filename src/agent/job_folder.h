// The scratch folder of one attempt, which outlives neither the attempt nor, for long, an agent that was killed.
#pragma once
#include <filesystem>

#include "base/error.h"

namespace xinfer::agent {

/// WORK/jobs/NAME, locked while it is in use. Deleted with the object.
class JobFolder {
 public:
  [[nodiscard]] static base::Result<JobFolder> make(const std::filesystem::path& work);
  JobFolder(JobFolder&& other) noexcept;
  JobFolder& operator=(JobFolder&&) = delete;
  ~JobFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  JobFolder(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::filesystem::path path_;
  int lock_;
};

/// Deletes folders of agents that have died: those that nobody locks. How many.
int remove_stale_job_folders(const std::filesystem::path& work);

}  // namespace xinfer::agent
