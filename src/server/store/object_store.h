// Where bytes live, by content: an interface, and the folder that implements it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace xinfer::server::store {

/// Objects named by their SHA-256. Putting the same content twice is one object. Thread-safe.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  /// Takes over the file (moved away or deleted) whose digest is `sha256`, as its caller has computed it.
  [[nodiscard]] virtual base::Result<void> put_file(const std::string& sha256, const std::filesystem::path& file) = 0;
  [[nodiscard]] virtual base::Result<void> put(const std::string& sha256, std::string_view bytes) = 0;
  /// Size in bytes; nothing when absent.
  [[nodiscard]] virtual base::Result<std::optional<std::uint64_t>> size(const std::string& sha256) = 0;
  /// A local file with the object's bytes, valid while the object exists. kNotFound.
  [[nodiscard]] virtual base::Result<std::filesystem::path> local_file(const std::string& sha256) = 0;
  [[nodiscard]] virtual base::Result<void> remove(const std::string& sha256) = 0;
  /// Bytes and objects stored.
  struct Totals {
    std::uint64_t bytes = 0, objects = 0;
  };
  virtual Totals totals() = 0;
};

/// FOLDER/ab/abcdef…; every object is written beside its place, synced and renamed.
[[nodiscard]] base::Result<std::unique_ptr<ObjectStore>> open_folder_store(const std::filesystem::path& folder);

}  // namespace xinfer::server::store
