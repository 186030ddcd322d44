#include "server/store/blobs.h"

#include <soci/soci.h>

#include <cstdio>
#include <memory>

#include "base/digest.h"

namespace xinfer::server::store {

using base::Code;
using base::Result;

namespace {

constexpr long long kBatch = 100, kAbandonedMs = 600'000;

// Of blobs b. What agents alone hold are results that no job has taken (yet).
const std::string kUnreferenced =
    " NOT EXISTS (SELECT 1 FROM blob_holders h WHERE h.digest = b.digest AND h.organisation <> 'agents')"
    " AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.onnx = b.digest)"
    " AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.engine = b.digest)"
    " AND NOT EXISTS (SELECT 1 FROM kernels k WHERE k.bundle = b.digest)"
    " AND NOT EXISTS (SELECT 1 FROM confirmed_sources c WHERE c.sha256 = b.digest)"
    " AND NOT EXISTS (SELECT 1 FROM upload_parts p JOIN uploads u ON u.id = p.upload WHERE p.sha256 = b.digest AND "
    "u.state = 'open') ";

struct Condemned {
  std::vector<std::string> digests;
  std::int64_t bytes = 0;
};

// Condemns a batch, and takes up what a collector that died has condemned.
Result<Condemned> condemn(db::Database& database, long long before, long long now) {
  const long long abandoned = now - kAbandonedMs;
  return database.write([&](soci::session& sql) -> Result<Condemned> {
    Condemned batch;
    std::string digest;
    long long bytes = 0;
    {
      soci::statement rows =
          (sql.prepare << "SELECT b.digest, b.size_bytes FROM blobs b WHERE (b.condemned_ms > 0 AND b.condemned_ms < "
                          ":c) OR (b.condemned_ms = 0 AND b.touched_ms < :t AND b.created_ms < :r AND" +
                              kUnreferenced + ") ORDER BY b.digest LIMIT :l",
           soci::into(digest), soci::into(bytes), soci::use(abandoned), soci::use(before), soci::use(before),
           soci::use(kBatch));
      rows.execute();
      while (rows.fetch()) {
        batch.digests.push_back(digest);
        batch.bytes += bytes;
      }
    }
    for (const std::string& one : batch.digests)
      sql << "UPDATE blobs SET condemned_ms = :t WHERE digest = :d", soci::use(now), soci::use(one);
    return batch;
  });
}

}  // namespace

Result<void> Blobs::touch(const std::string& sha256, std::int64_t bytes) {
  const long long now = now_(), size = bytes;
  return database_.write([&](soci::session& sql) -> Result<void> {
    sql << "INSERT INTO blobs (digest, size_bytes, created_ms, touched_ms) VALUES (:d, :s, :t, :u) ON CONFLICT (digest) "
           "DO UPDATE SET touched_ms = excluded.touched_ms",
        soci::use(sha256), soci::use(size), soci::use(now), soci::use(now);
    long long condemned = 0;
    sql << "SELECT condemned_ms FROM blobs WHERE digest = :d", soci::into(condemned), soci::use(sha256);
    if (condemned != 0)
      return base::fail(Code::kUnavailable, "an old object of this content is being deleted: try again in a moment");
    return {};
  });
}

Result<void> Blobs::put_file(const std::string& sha256, const std::filesystem::path& file) {
  std::error_code error;
  const std::uint64_t bytes = std::filesystem::file_size(file, error);
  if (error) return base::fail(Code::kIo, "cannot read {}: {}", file.string(), error.message());
  XI_CHECK(touch(sha256, static_cast<std::int64_t>(bytes)));
  return store_.put_file(sha256, file);
}

// Objects without a row (of a database that was restored to an earlier day, for example) get one, so that they are
// condemned like others.
Result<void> Blobs::adopt_strangers(std::int64_t before_ms) {
  struct Found {
    std::string digest;
    long long bytes, modified;
  };
  std::vector<Found> batch;
  Result<void> adopted;
  const auto adopt = [&] {
    if (!adopted || batch.empty()) return;
    adopted = database_.write([&](soci::session& sql) -> Result<void> {
      for (const Found& found : batch)
        sql << "INSERT INTO blobs (digest, size_bytes, created_ms, touched_ms) VALUES (:d, :s, :t, 0) ON CONFLICT "
               "(digest) DO NOTHING",
            soci::use(found.digest), soci::use(found.bytes), soci::use(found.modified);
      return {};
    });
    batch.clear();
  };
  XI_CHECK(store_.list([&](const std::string& digest, std::uint64_t bytes, std::int64_t modified) {
    if (modified >= before_ms) return;
    batch.push_back({digest, static_cast<long long>(bytes), modified});
    if (batch.size() >= 1000) adopt();
  }));
  adopt();
  return adopted;
}

Result<Blobs::Collected> Blobs::collect(std::int64_t grace_ms, bool dry_run, bool list_store) {
  const long long before = now_() - grace_ms;
  if (list_store) XI_CHECK(adopt_strangers(before));
  Collected collected;
  if (dry_run) {
    return database_.read([&](soci::session& sql) -> Result<Collected> {
      long long objects = 0, bytes = 0;
      sql << "SELECT COUNT(*), CAST(COALESCE(SUM(b.size_bytes), 0) AS BIGINT) FROM blobs b WHERE b.touched_ms < :t AND "
             "b.created_ms < :c AND" +
                 kUnreferenced,
          soci::into(objects), soci::into(bytes), soci::use(before), soci::use(before);
      return Collected{objects, bytes};
    });
  }
  for (;;) {
    const long long now = now_();
    XI_TRY(const Condemned batch, condemn(database_, before, now));
    if (batch.digests.empty()) return collected;
    for (const std::string& digest : batch.digests) XI_CHECK(store_.remove(digest));
    XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
      for (const std::string& digest : batch.digests) {
        sql << "DELETE FROM blob_holders WHERE digest = :d", soci::use(digest);
        sql << "DELETE FROM blobs WHERE digest = :d AND condemned_ms > 0", soci::use(digest);
      }
      return {};
    }));
    collected.objects += static_cast<std::int64_t>(batch.digests.size());
    collected.bytes += batch.bytes;
  }
}

Result<std::int64_t> Blobs::forget_events(std::int64_t before_ms, std::int64_t limit) {
  const long long before = before_ms, most = limit;
  return database_.write([&](soci::session& sql) -> Result<std::int64_t> {
    std::vector<std::string> jobs;
    std::string id;
    {
      soci::statement rows =
          (sql.prepare << "SELECT j.id FROM jobs j WHERE j.state IN ('succeeded', 'failed', 'cancelled') AND "
                          "j.finished_ms < :t AND EXISTS (SELECT 1 FROM events e WHERE e.job = j.id AND e.id < j.last_event) LIMIT :l",
           soci::into(id), soci::use(before), soci::use(most));
      rows.execute();
      while (rows.fetch()) jobs.push_back(id);
    }
    // The last event says how the job ended: a stream opened late still ends.
    for (const std::string& job : jobs)
      sql << "DELETE FROM events WHERE job = :j AND id < (SELECT last_event FROM jobs WHERE id = :k)", soci::use(job),
          soci::use(job);
    return static_cast<std::int64_t>(jobs.size());
  });
}

Result<std::vector<std::string>> Blobs::referenced() {
  return database_.read([&](soci::session& sql) -> Result<std::vector<std::string>> {
    std::vector<std::string> digests;
    std::string digest;
    soci::statement rows =
        (sql.prepare << "SELECT b.digest FROM blobs b WHERE b.condemned_ms = 0 AND NOT (" + kUnreferenced +
                            ") ORDER BY b.digest",
         soci::into(digest));
    rows.execute();
    while (rows.fetch()) digests.push_back(digest);
    return digests;
  });
}

Result<Copied> copy_objects(ObjectStore& from, ObjectStore& to, const std::vector<std::string>& digests,
                            const std::filesystem::path& scratch) {
  Copied copied;
  for (const std::string& digest : digests) {
    XI_TRY(const auto there, to.size(digest));
    if (there) {
      ++copied.present;
      continue;
    }
    XI_TRY(const auto size, from.size(digest));
    if (!size) {
      copied.missing.push_back(digest);
      continue;
    }
    const std::filesystem::path file = scratch / digest;
    {
      const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(file.c_str(), "wb"), &std::fclose);
      if (!out) return base::fail(Code::kIo, "cannot write {}", file.string());
      base::Sha256 hash;
      XI_CHECK(from.read(digest, [&](std::string_view bytes) -> Result<void> {
        hash.update(bytes);
        if (std::fwrite(bytes.data(), 1, bytes.size(), out.get()) == bytes.size()) return {};
        return base::fail(Code::kIo, "cannot write {}: is the disk full?", file.string());
      }));
      if (std::fflush(out.get()) != 0) return base::fail(Code::kIo, "cannot write {}", file.string());
      if (hash.finish() != digest) return base::fail(Code::kCorrupt, "object {} has other bytes", digest);
    }
    XI_CHECK(to.put_file(digest, file));
    ++copied.objects;
    copied.bytes += static_cast<std::int64_t>(*size);
  }
  return copied;
}

Result<Blobs::Collected> Blobs::totals() {
  return database_.read([&](soci::session& sql) -> Result<Collected> {
    long long objects = 0, bytes = 0;
    sql << "SELECT COUNT(*), CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM blobs", soci::into(objects),
        soci::into(bytes);
    return Collected{objects, bytes};
  });
}

}  // namespace xinfer::server::store
