// What the rows know of the object store's objects; and the collector of those that nothing refers to.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "server/db/database.h"
#include "server/store/object_store.h"

namespace xinfer::server::store {

/// An object has a row before it has bytes, and the row says when it was touched: put, or asked for by somebody about to
/// refer to it. The collector takes only what was not touched for the grace period and what neither an organisation
/// (other than the agents') holds, nor a job names, nor an open upload has as a part. It condemns in the database first;
/// touching a condemned object fails until its bytes are gone. So nothing that is referred to is ever deleted, whatever
/// hubs and agents do meanwhile, as long as a request takes less than the grace period. Thread-safe.
class Blobs {
 public:
  Blobs(db::Database& database, ObjectStore& store, std::function<std::int64_t()> now_ms)
      : database_(database), store_(store), now_(std::move(now_ms)) {}

  /// To be called before referring to an object. kUnavailable for a moment while it is being deleted.
  [[nodiscard]] base::Result<void> touch(const std::string& sha256, std::int64_t bytes);
  /// touch(), then ObjectStore::put_file().
  [[nodiscard]] base::Result<void> put_file(const std::string& sha256, const std::filesystem::path& file);

  struct Collected {
    std::int64_t objects = 0, bytes = 0;
  };
  /// Deletes what nothing refers to and nobody touched for `grace_ms`; with `dry_run` only counts. `list_store` looks
  /// through the store too, for objects that have no row at all.
  [[nodiscard]] base::Result<Collected> collect(std::int64_t grace_ms, bool dry_run, bool list_store);
  /// Events of jobs that ended before `before_ms` go; how many jobs' (at most `limit`).
  [[nodiscard]] base::Result<std::int64_t> forget_events(std::int64_t before_ms, std::int64_t limit);

  /// Digests of what something refers to.
  [[nodiscard]] base::Result<std::vector<std::string>> referenced();
  /// Objects and bytes that rows know of.
  [[nodiscard]] base::Result<Collected> totals();

 private:
  base::Result<void> adopt_strangers(std::int64_t before_ms);
  db::Database& database_;
  ObjectStore& store_;
  std::function<std::int64_t()> now_;
};

struct Copied {
  std::int64_t objects = 0, bytes = 0, present = 0;
  std::vector<std::string> missing;  // in `from`
};
/// Copies what `to` lacks; every object's digest is checked. `scratch`: a folder for one object at a time.
[[nodiscard]] base::Result<Copied> copy_objects(ObjectStore& from, ObjectStore& to,
                                                const std::vector<std::string>& digests,
                                                const std::filesystem::path& scratch);

}  // namespace xinfer::server::store
