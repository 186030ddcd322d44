// Uploads in parts: they survive broken connections and restarts, and become blobs once their digest holds.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>

#include "api/types.h"
#include "base/error.h"
#include "server/db/database.h"
#include "server/settings.h"
#include "server/store/object_store.h"

namespace xinfer::server::store {

/// Thread-safe. `hold(organisation, sha256, size)` records who may read the finished blob.
class Uploads {
 public:
  using Hold = std::function<base::Result<void>(const std::string&, const std::string&, std::int64_t)>;
  using Holds = std::function<base::Result<bool>(const std::string&, const std::string&)>;
  Uploads(db::Database& database, ObjectStore& store, const Settings& settings, std::filesystem::path folder, Hold hold,
          Holds holds, std::function<std::int64_t()> now_ms);

  /// Complete at once when the organisation has the blob already.
  [[nodiscard]] base::Result<api::Upload> create(const std::string& organisation, const api::UploadRequest& request);
  [[nodiscard]] base::Result<api::Upload> status(const std::string& organisation, const std::string& id);
  /// Appends a part. kConflict, naming the offset to go on at, when `offset` is not where the upload stands.
  [[nodiscard]] base::Result<api::Upload> append(const std::string& organisation, const std::string& id,
                                                 std::int64_t offset, const std::filesystem::path& part,
                                                 std::int64_t bytes);
  /// kConflict while bytes are missing; kCorrupt (and the upload is gone) when the digest is another.
  [[nodiscard]] base::Result<api::Blob> complete(const std::string& organisation, const std::string& id);
  [[nodiscard]] base::Result<void> remove(const std::string& organisation, const std::string& id);
  /// Forgets uploads past their time.
  void expire();

 private:
  [[nodiscard]] base::Result<void> set_received(const std::string& id, std::int64_t bytes);
  [[nodiscard]] base::Result<void> finish(const std::string& id, const std::string& state);
  std::filesystem::path file(const std::string& id) const;
  std::mutex& lock_of(const std::string& id);

  db::Database& database_;
  ObjectStore& store_;
  const Settings& settings_;
  std::filesystem::path folder_;
  Hold hold_;
  Holds holds_;
  std::function<std::int64_t()> now_;
  std::array<std::mutex, 64> locks_;  // parts of one upload come one after the other
};

}  // namespace xinfer::server::store
