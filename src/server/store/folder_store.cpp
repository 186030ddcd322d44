#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <vector>

#include "base/digest.h"
#include "server/store/object_store.h"

namespace xinfer::server::store {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::Result;

class FolderStore final : public ObjectStore {
 public:
  explicit FolderStore(fs::path folder) : folder_(std::move(folder)) {}

  Result<void> put_file(const std::string& sha256, const fs::path& file) override {
    XI_TRY(const fs::path target, place(sha256));
    std::error_code error;
    if (fs::exists(target, error)) {
      fs::remove(file, error);
      return {};
    }
    fs::create_directories(target.parent_path(), error);
    XI_CHECK(sync(file));
    fs::permissions(file, fs::perms::owner_read | fs::perms::group_read, error);
    fs::rename(file, target, error);
    if (error == std::errc::cross_device_link) return copy_in(file, target);
    if (error) return base::fail(Code::kUnavailable, "cannot store object {}: {}", sha256, error.message());
    return sync(target.parent_path());
  }

  Result<std::optional<std::uint64_t>> size(const std::string& sha256) override {
    XI_TRY(const fs::path path, place(sha256));
    std::error_code error;
    const std::uint64_t size = fs::file_size(path, error);
    if (error) return std::optional<std::uint64_t>();
    return std::optional<std::uint64_t>(size);
  }

  Result<void> read(const std::string& sha256, const Sink& sink) override {
    XI_TRY(const fs::path path, local_file(sha256));
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(std::fopen(path.c_str(), "rb"), &std::fclose);
    if (!in) return base::fail(Code::kNotFound, "no object {}", sha256);
    std::vector<char> buffer(1 << 20);
    while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), in.get()))
      XI_CHECK(sink({buffer.data(), got}));
    if (std::ferror(in.get())) return base::fail(Code::kIo, "cannot read object {}", sha256);
    return {};
  }

  Result<fs::path> local_file(const std::string& sha256) override {
    XI_TRY(const fs::path path, place(sha256));
    std::error_code error;
    if (!fs::exists(path, error)) return base::fail(Code::kNotFound, "no object {}", sha256);
    return path;
  }

  std::optional<std::string> link(const std::string&, const std::string&, const std::string&) override {
    return std::nullopt;
  }

  Result<void> remove(const std::string& sha256) override {
    XI_TRY(const fs::path path, place(sha256));
    std::error_code error;
    fs::remove(path, error);
    if (error) return base::fail(Code::kIo, "cannot delete object {}: {}", sha256, error.message());
    return {};
  }

  Result<void> list(const Visit& visit) override {
    std::error_code error;
    const auto now = fs::file_time_type::clock::now();
    const auto wall = std::chrono::system_clock::now();
    for (fs::recursive_directory_iterator it(folder_, error), end; !error && it != end; it.increment(error)) {
      const std::string name = it->path().filename().string();
      std::error_code gone;
      if (!it->is_regular_file(gone) || !base::is_sha256(name)) continue;
      const auto age = now - it->last_write_time(gone);
      const std::uint64_t bytes = it->file_size(gone);
      if (gone) continue;
      visit(name, bytes,
            std::chrono::duration_cast<std::chrono::milliseconds>((wall - age).time_since_epoch()).count());
    }
    if (error) return base::fail(Code::kIo, "cannot list {}: {}", folder_.string(), error.message());
    return {};
  }

 private:
  Result<fs::path> place(const std::string& sha256) const {
    if (!base::is_sha256(sha256))
      return base::fail(Code::kInvalidArgument, "\"{}\" is no SHA-256 (64 lower-case hexadecimal digits)",
                        sha256.substr(0, 80));
    return folder_ / sha256.substr(0, 2) / sha256;
  }
  // The file lies in another file system: beside its place first, so that no part of it is ever seen there.
  static Result<void> copy_in(const fs::path& file, const fs::path& target) {
    const fs::path beside = target.string() + ".part-" + base::random_hex(4);
    std::error_code error, ignored;
    fs::copy_file(file, beside, error);
    if (!error) XI_CHECK(sync(beside));
    if (!error) fs::rename(beside, target, error);
    if (error) {
      fs::remove(beside, ignored);
      return base::fail(Code::kUnavailable, "cannot store {}: {}: is the disk full?", target.filename().string(),
                        error.message());
    }
    fs::remove(file, ignored);
    return sync(target.parent_path());
  }
  static Result<void> sync(const fs::path& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const bool synced = fd >= 0 && ::fsync(fd) == 0;
    if (fd >= 0) ::close(fd);
    if (!synced) return base::fail(Code::kUnavailable, "cannot write {}: is the disk full?", path.string());
    return {};
  }

  fs::path folder_;
};

}  // namespace

Result<std::unique_ptr<ObjectStore>> open_folder_store(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return base::fail(Code::kIo, "cannot make {}: {}", folder.string(), error.message());
  return std::unique_ptr<ObjectStore>(std::make_unique<FolderStore>(folder));
}

Result<std::unique_ptr<ObjectStore>> open_store(const Settings& settings, const fs::path& data_folder) {
  if (settings.store_url.empty()) return open_folder_store(data_folder / "objects");
  return open_s3_store(settings, data_folder / "cache");
}

}  // namespace xinfer::server::store
