// Engines on disk, shared by all processes of a user: files by digest, and an index from requests to digests.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/types.h"
#include "base/error.h"

namespace xinfer::hub {

/// What was asked for.
struct EngineKey {
  std::string hub, model, target;
  api::Shapes shapes;
  api::Profiles profiles;
  std::string id() const;  // SHA-256 over all of it
};

/// A lock between processes (and threads), held until destruction. The kernel lets go of it when a process dies.
class FileLock {
 public:
  /// Waits; `waiting` is called once before, `cancelled` often. Errors: kCancelled, kIo.
  [[nodiscard]] static base::Result<FileLock> take(const std::filesystem::path& path,
                                                   const std::function<void()>& waiting,
                                                   const std::function<bool()>& cancelled);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

/// Safe from several threads and processes.
class Cache {
 public:
  explicit Cache(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// The engine that an earlier call put for this key, if its file is whole still.
  std::optional<std::filesystem::path> find(const EngineKey& key) const;
  /// Notes that the file of this digest answers the key.
  [[nodiscard]] base::Result<void> put(const EngineKey& key, const std::string& digest);

  std::filesystem::path engine_file(const std::string& digest) const {
    return folder_ / "engines" / (digest + ".engine");
  }
  std::filesystem::path partial_file(const std::string& digest) const {
    return folder_ / "partial" / (digest + ".part");
  }
  std::filesystem::path lock_file(const std::string& name) const { return folder_ / "locks" / (name + ".lock"); }

 private:
  std::filesystem::path index_file(const EngineKey& key) const { return folder_ / "index" / (key.id() + ".json"); }
  std::filesystem::path folder_;
};

}  // namespace xinfer::hub
