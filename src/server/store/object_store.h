// Where bytes live, by content: an interface, the folder and the S3 bucket that implement it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "server/settings.h"

namespace xinfer::server::store {

/// Objects named by their SHA-256. Putting the same content twice is one object. Thread-safe.
class ObjectStore {
 public:
  virtual ~ObjectStore() = default;
  /// Takes over the file (moved away or deleted) whose digest is `sha256`, as its caller has computed it.
  [[nodiscard]] virtual base::Result<void> put_file(const std::string& sha256, const std::filesystem::path& file) = 0;
  /// Size in bytes; nothing when absent.
  [[nodiscard]] virtual base::Result<std::optional<std::uint64_t>> size(const std::string& sha256) = 0;
  /// Gives `sink` the object's bytes, piece by piece; an error of the sink ends it. kNotFound.
  using Sink = std::function<base::Result<void>(std::string_view)>;
  [[nodiscard]] virtual base::Result<void> read(const std::string& sha256, const Sink& sink) = 0;
  /// A local file with the object's bytes, for sending it soon. kNotFound.
  [[nodiscard]] virtual base::Result<std::filesystem::path> local_file(const std::string& sha256) = 0;
  /// An address where whoever has it can fetch the object for a while, past the hub; nothing where there is none.
  /// `method`: GET or HEAD. `name`: of the file, for browsers; may be empty.
  virtual std::optional<std::string> link(const std::string& sha256, const std::string& method,
                                          const std::string& name) = 0;
  /// Absent objects are no error.
  [[nodiscard]] virtual base::Result<void> remove(const std::string& sha256) = 0;
  /// Everything that is stored. `modified_ms`: milliseconds since 1970.
  using Visit = std::function<void(const std::string& sha256, std::uint64_t bytes, std::int64_t modified_ms)>;
  [[nodiscard]] virtual base::Result<void> list(const Visit& visit) = 0;
};

/// FOLDER/ab/abcdef…; every object is written beside its place, synced and renamed.
[[nodiscard]] base::Result<std::unique_ptr<ObjectStore>> open_folder_store(const std::filesystem::path& folder);

/// BUCKET/PREFIX/ab/abcdef… `cache`: a local folder for objects that pass through the hub.
[[nodiscard]] base::Result<std::unique_ptr<ObjectStore>> open_s3_store(const Settings& settings,
                                                                       const std::filesystem::path& cache);

/// The one that store.url names: in `data_folder` where it is empty.
[[nodiscard]] base::Result<std::unique_ptr<ObjectStore>> open_store(const Settings& settings,
                                                                    const std::filesystem::path& data_folder);

}  // namespace xinfer::server::store
