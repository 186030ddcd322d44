#include "hub/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/digest.h"
#include "base/files.h"
#include "tensor/range.h"

namespace xinfer::hub {

using base::Code;
using base::Result;

namespace {

nlohmann::json to_json(const api::Shapes& shapes) {
  nlohmann::json object = nlohmann::json::object();
  for (const auto& [name, dimensions] : shapes) {
    auto& list = object[name] = nlohmann::json::array();
    for (const tensor::Symbol& range : dimensions) {
      if (range.min == range.max) list.push_back(range.min);
      else list.push_back(tensor::format_range(range));
    }
  }
  return object;
}

}  // namespace

std::string EngineKey::id() const {
  // As JSON, so that no two requests can run together.
  auto request = nlohmann::json::array({hub, model, target, to_json(shapes)});
  for (const api::Shapes& profile : profiles) request.push_back(to_json(profile));
  return base::sha256(request.dump());
}

Result<FileLock> FileLock::take(const std::filesystem::path& path, const std::function<void()>& waiting,
                                const std::function<bool()>& cancelled) {
  std::error_code ignored;
  std::filesystem::create_directories(path.parent_path(), ignored);
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return std::unexpected(base::Error{Code::kIo, std::strerror(errno), path.string()});
  FileLock lock(descriptor);
  for (bool told = false; flock(descriptor, LOCK_EX | LOCK_NB) != 0; told = true) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      return std::unexpected(base::Error{Code::kIo, std::strerror(errno), path.string()});
    if (!told && waiting) waiting();
    if (cancelled && cancelled()) return base::fail(Code::kCancelled, "cancelled");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return lock;
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }
FileLock::~FileLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::optional<std::filesystem::path> Cache::find(const EngineKey& key) const {
  const auto text = base::read_file(index_file(key), 1 << 20);
  if (!text) return {};
  const auto entry = nlohmann::json::parse(*text, nullptr, false);
  if (!entry.is_object() || !entry.value("digest", nlohmann::json()).is_string() ||
      !entry.value("size_bytes", nlohmann::json()).is_number_unsigned())
    return {};
  const std::string digest = entry["digest"];
  if (!base::is_sha256(digest)) return {};
  const auto file = engine_file(digest);
  std::error_code missing;
  const auto size = std::filesystem::file_size(file, missing);
  if (missing || size != entry["size_bytes"].get<std::uintmax_t>()) return {};
  return file;
}

Result<void> Cache::put(const EngineKey& key, const std::string& digest) {
  std::error_code missing;
  const auto size = std::filesystem::file_size(engine_file(digest), missing);
  if (missing) return std::unexpected(base::Error{Code::kIo, missing.message(), engine_file(digest).string()});
  const nlohmann::json entry = {{"hub", key.hub},       {"model", key.model}, {"target", key.target},
                                {"shapes", to_json(key.shapes)}, {"digest", digest},   {"size_bytes", size}};
  return base::write_file(index_file(key), entry.dump(1) + "\n");
}

}  // namespace xinfer::hub
