// Files: whole reads, atomic writes, read-only mappings, scratch folders.
#pragma once
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace xinfer::base {

/// The whole file. `limit_bytes` bounds it (kLimit). Errors name the path.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit_bytes = std::size_t{1} << 32);

/// Writes beside the target, syncs, renames: readers see the old or the new file, never a part. Makes parent folders.
[[nodiscard]] Result<void> write_file(const std::filesystem::path& path, std::string_view bytes);

/// A file mapped read-only; unmapped on destruction. Moves, does not copy.
class MappedFile {
 public:
  MappedFile() = default;
  [[nodiscard]] static Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A folder of its own under $TMPDIR, deleted with everything in it on destruction.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(std::string_view prefix = "xinfer");
  TemporaryFolder(TemporaryFolder&& other) noexcept;
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder();
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// $XDG_CACHE_HOME/xinfer, else ~/.cache/xinfer, else a folder under $TMPDIR.
std::filesystem::path cache_folder();

}  // namespace xinfer::base
