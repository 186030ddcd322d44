#include "agent/job_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstring>
#include <utility>

namespace xinfer::agent {

namespace fs = std::filesystem;
using base::Code;
using base::Result;

Result<JobFolder> JobFolder::make(const fs::path& work) {
  std::error_code error;
  fs::create_directories(work / "jobs", error);
  std::string name = (work / "jobs" / "job.XXXXXX").string();
  if (error || !::mkdtemp(name.data()))
    return base::fail(Code::kIo, "cannot make a folder in {}: {}", (work / "jobs").string(), std::strerror(errno));
  // The folder itself carries the lock. Between making and locking it another agent may clean it away; it is empty then,
  // and the attempt fails and is repeated.
  const int lock = ::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (lock < 0 || ::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    if (lock >= 0) ::close(lock);
    return base::fail(Code::kIo, "cannot lock {}: {}", name, std::strerror(errno));
  }
  return JobFolder(std::move(name), lock);
}

JobFolder::JobFolder(JobFolder&& other) noexcept : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {
  other.path_.clear();
}

JobFolder::~JobFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
  if (lock_ >= 0) ::close(lock_);
}

int remove_stale_job_folders(const fs::path& work) {
  int removed = 0;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(work / "jobs", ignored)) {
    const int lock = ::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (lock < 0) continue;
    if (::flock(lock, LOCK_EX | LOCK_NB) == 0 && fs::remove_all(entry.path(), ignored) > 0) ++removed;
    ::close(lock);
  }
  return removed;
}

}  // namespace xinfer::agent
