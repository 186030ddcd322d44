#include "base/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace xinfer::base {

namespace {
std::unexpected<Error> io_error(std::string_view action, const std::filesystem::path& path) {
  int number = errno;
  return fail(number == ENOENT ? Code::kNotFound : Code::kIo, "cannot {} {}: {}", action, path.string(), std::strerror(number));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};
}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit_bytes) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return io_error("open", path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return io_error("stat", path);
  if (S_ISDIR(status.st_mode)) return fail(Code::kInvalidArgument, "{} is a folder, a file is needed", path.string());
  std::string bytes;
  bytes.reserve(static_cast<std::size_t>(status.st_size));
  char buffer[1 << 16];
  while (true) {
    ssize_t count = ::read(file.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return io_error("read", path);
    if (count == 0) return bytes;
    if (bytes.size() + static_cast<std::size_t>(count) > limit_bytes)
      return fail(Code::kLimit, "{} is larger than the limit of {} bytes", path.string(), limit_bytes);
    bytes.append(buffer, static_cast<std::size_t>(count));
  }
}

Result<void> write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::error_code ignored;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ignored);
  std::string temporary = path.string() + ".XXXXXX";
  Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));
  if (file.get() < 0) return io_error("create", temporary);
  ::fchmod(file.get(), 0644);
  for (std::size_t done = 0; done < bytes.size();) {
    ssize_t count = ::write(file.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      auto error = io_error("write", path);
      ::unlink(temporary.c_str());
      return error;
    }
    done += static_cast<std::size_t>(count);
  }
  if (::fsync(file.get()) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0) {
    auto error = io_error("write", path);
    ::unlink(temporary.c_str());
    return error;
  }
  return {};
}

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) return io_error("open", path);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return io_error("stat", path);
  if (!S_ISREG(status.st_mode)) return fail(Code::kInvalidArgument, "{} is not a file", path.string());
  MappedFile mapped;
  mapped.size_ = static_cast<std::size_t>(status.st_size);
  if (mapped.size_ == 0) return mapped;
  void* address = ::mmap(nullptr, mapped.size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (address == MAP_FAILED) return io_error("map", path);
  mapped.data_ = static_cast<const std::byte*>(address);
  return mapped;
}
MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}
MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

TemporaryFolder::TemporaryFolder(std::string_view prefix) {
  std::error_code error;
  auto parent = std::filesystem::temp_directory_path(error);
  std::string name = ((error ? "/tmp" : parent.string()) + "/").append(prefix).append(".XXXXXX");
  if (!::mkdtemp(name.data())) throw std::filesystem::filesystem_error("cannot make a temporary folder", name, std::error_code(errno, std::generic_category()));
  path_ = name;
}
TemporaryFolder::TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

std::filesystem::path cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache) return std::filesystem::path(cache) / "xinfer";
  if (const char* home = std::getenv("HOME"); home && *home) return std::filesystem::path(home) / ".cache" / "xinfer";
  return std::filesystem::temp_directory_path() / "xinfer-cache";
}

}  // namespace xinfer::base
