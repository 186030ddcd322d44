#include <fcntl.h>
#include <unistd.h>

#include <atomic>

#include "base/digest.h"
#include "base/files.h"
#include "server/store/object_store.h"

namespace xinfer::server::store {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::Result;

class FolderStore final : public ObjectStore {
 public:
  explicit FolderStore(fs::path folder) : folder_(std::move(folder)) {
    std::error_code ignored;
    for (const auto& entry : fs::recursive_directory_iterator(folder_, ignored)) {
      if (!entry.is_regular_file(ignored) || !base::is_sha256(entry.path().filename().string())) continue;
      bytes_ += entry.file_size(ignored);
      ++objects_;
    }
  }

  Result<void> put_file(const std::string& sha256, const fs::path& file) override {
    XI_TRY(const fs::path target, place(sha256));
    std::error_code error;
    if (fs::exists(target, error)) {
      fs::remove(file, error);
      return {};
    }
    const std::uint64_t size = fs::file_size(file, error);
    fs::create_directories(target.parent_path(), error);
    sync(file);
    fs::permissions(file, fs::perms::owner_read | fs::perms::group_read, error);
    fs::rename(file, target, error);
    if (error) return base::fail(Code::kIo, "cannot store object {}: {}", sha256, error.message());
    sync(target.parent_path());
    bytes_ += size;
    ++objects_;
    return {};
  }

  Result<void> put(const std::string& sha256, std::string_view bytes) override {
    XI_TRY(const fs::path target, place(sha256));
    std::error_code error;
    if (fs::exists(target, error)) return {};
    XI_CHECK(base::write_file(target, bytes));
    bytes_ += bytes.size();
    ++objects_;
    return {};
  }

  Result<std::optional<std::uint64_t>> size(const std::string& sha256) override {
    XI_TRY(const fs::path path, place(sha256));
    std::error_code error;
    const std::uint64_t size = fs::file_size(path, error);
    if (error) return std::optional<std::uint64_t>();
    return std::optional<std::uint64_t>(size);
  }

  Result<fs::path> local_file(const std::string& sha256) override {
    XI_TRY(const fs::path path, place(sha256));
    std::error_code error;
    if (!fs::exists(path, error)) return base::fail(Code::kNotFound, "no object {}", sha256);
    return path;
  }

  Result<void> remove(const std::string& sha256) override {
    XI_TRY(const fs::path path, place(sha256));
    std::error_code error;
    const std::uint64_t size = fs::file_size(path, error);
    if (!error && fs::remove(path, error)) {
      bytes_ -= size;
      --objects_;
    }
    return {};
  }

  Totals totals() override { return {bytes_, objects_}; }

 private:
  Result<fs::path> place(const std::string& sha256) const {
    if (!base::is_sha256(sha256))
      return base::fail(Code::kInvalidArgument, "\"{}\" is no SHA-256 (64 lower-case hexadecimal digits)",
                        sha256.substr(0, 80));
    return folder_ / sha256.substr(0, 2) / sha256;
  }
  static void sync(const fs::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ::fsync(fd);
    ::close(fd);
  }

  fs::path folder_;
  std::atomic<std::uint64_t> bytes_{0}, objects_{0};
};

}  // namespace

Result<std::unique_ptr<ObjectStore>> open_folder_store(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return base::fail(Code::kIo, "cannot make {}: {}", folder.string(), error.message());
  return std::unique_ptr<ObjectStore>(std::make_unique<FolderStore>(folder));
}

}  // namespace xinfer::server::store
