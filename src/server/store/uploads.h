// Uploads in parts: they survive broken connections and restarts, and become blobs once their digest holds.
// Parts are objects of the store, so that any hub can take the next one; the collector deletes them afterwards.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "api/types.h"
#include "base/error.h"
#include "server/db/database.h"
#include "server/settings.h"
#include "server/store/blobs.h"
#include "server/store/object_store.h"

namespace xinfer::server::store {

/// Thread-safe. `hold(organisation, sha256, size)` records who may read the finished blob.
class Uploads {
 public:
  using Hold = std::function<base::Result<void>(const std::string&, const std::string&, std::int64_t)>;
  using Holds = std::function<base::Result<bool>(const std::string&, const std::string&)>;
  /// `scratch`: a folder for files that are put together.
  Uploads(db::Database& database, ObjectStore& store, Blobs& blobs, const Settings& settings,
          std::filesystem::path scratch, Hold hold, Holds holds, std::function<std::int64_t()> now_ms);

  /// Complete at once when the organisation has the blob already.
  [[nodiscard]] base::Result<api::Upload> create(const std::string& organisation, const api::UploadRequest& request);
  [[nodiscard]] base::Result<api::Upload> status(const std::string& organisation, const std::string& id);
  /// Appends a part, whose digest the caller has computed; takes over its file. kConflict, naming the offset to go on
  /// at, when `offset` is not where the upload stands.
  [[nodiscard]] base::Result<api::Upload> append(const std::string& organisation, const std::string& id,
                                                 std::int64_t offset, const std::filesystem::path& part,
                                                 std::int64_t bytes, const std::string& part_sha256);
  /// kConflict while bytes are missing; kCorrupt (and the upload is gone) when the digest is another.
  [[nodiscard]] base::Result<api::Blob> complete(const std::string& organisation, const std::string& id);
  [[nodiscard]] base::Result<void> remove(const std::string& organisation, const std::string& id);
  /// Forgets uploads past their time.
  void expire();

 private:
  struct Part {
    long long offset = 0, bytes = 0;
    std::string sha256;
  };
  [[nodiscard]] base::Result<std::vector<Part>> parts(const std::string& id);
  [[nodiscard]] base::Result<void> join(const api::Upload& upload, const std::vector<Part>& parts);

  db::Database& database_;
  ObjectStore& store_;
  Blobs& blobs_;
  const Settings& settings_;
  std::filesystem::path scratch_;
  Hold hold_;
  Holds holds_;
  std::function<std::int64_t()> now_;
};

}  // namespace xinfer::server::store
