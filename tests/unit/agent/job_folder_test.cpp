#include "agent/job_folder.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"

namespace xinfer::agent {
namespace {

TEST(JobFolder, GoesWithItsObject) {
  const base::TemporaryFolder work("xinfer-work");
  std::filesystem::path path;
  {
    auto folder = JobFolder::make(work.path());
    ASSERT_TRUE(folder);
    path = folder->path();
    ASSERT_TRUE(base::write_file(path / "file", "x"));
    EXPECT_EQ(remove_stale_job_folders(work.path()), 0) << "it is in use";
    EXPECT_TRUE(std::filesystem::exists(path / "file"));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(JobFolder, OfAKilledAgentIsCleanedAway) {
  const base::TemporaryFolder work("xinfer-work");
  const pid_t child = ::fork();
  if (child == 0) {
    auto folder = JobFolder::make(work.path());
    const bool made = folder && base::write_file(folder->path() / "file", "x");
    ::kill(::getpid(), made ? SIGKILL : SIGTERM);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_FALSE(std::filesystem::is_empty(work.path() / "jobs"));
  EXPECT_EQ(remove_stale_job_folders(work.path()), 1);
  EXPECT_TRUE(std::filesystem::is_empty(work.path() / "jobs"));
}

TEST(JobFolder, AFolderThatCannotBeMadeIsAnError) {
  EXPECT_EQ(JobFolder::make("/proc/no/such").error().code, base::Code::kIo);
}

}  // namespace
}  // namespace xinfer::agent
