#include "server/store/uploads.h"

#include <fcntl.h>
#include <soci/soci.h>
#include <unistd.h>

#include <vector>

#include "base/digest.h"
#include "base/files.h"

namespace xinfer::server::store {

using base::Code;
using base::Result;

namespace {

// Copies the part behind what the upload has. Bytes beyond `offset` of an earlier, interrupted try are overwritten.
Result<void> copy_part(const std::filesystem::path& from, const std::filesystem::path& to, std::int64_t offset,
                       std::int64_t bytes) {
  const int in = ::open(from.c_str(), O_RDONLY | O_CLOEXEC),
            out = ::open(to.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  bool good = in >= 0 && out >= 0;
  off_t read_at = 0, write_at = offset;
  std::vector<char> buffer(1 << 20);
  while (good && bytes > 0) {
    const ssize_t got =
        ::pread(in, buffer.data(), std::min<std::size_t>(buffer.size(), static_cast<std::size_t>(bytes)), read_at);
    good = got > 0 && ::pwrite(out, buffer.data(), static_cast<std::size_t>(got), write_at) == got;
    read_at += got, write_at += got, bytes -= got;
  }
  if (in >= 0) ::close(in);
  if (out >= 0) ::close(out);
  if (!good) return base::fail(Code::kIo, "cannot store the part: is the disk full?");
  return {};
}

}  // namespace

Uploads::Uploads(db::Database& database, ObjectStore& store, const Settings& settings, std::filesystem::path folder,
                 Hold hold, Holds holds, std::function<std::int64_t()> now_ms)
    : database_(database),
      store_(store),
      settings_(settings),
      folder_(std::move(folder)),
      hold_(std::move(hold)),
      holds_(std::move(holds)),
      now_(std::move(now_ms)) {}

std::filesystem::path Uploads::file(const std::string& id) const { return folder_ / id; }
std::mutex& Uploads::lock_of(const std::string& id) { return locks_[std::hash<std::string>{}(id) % locks_.size()]; }

Result<api::Upload> Uploads::create(const std::string& organisation, const api::UploadRequest& request) {
  if (!base::is_sha256(request.sha256))
    return std::unexpected(base::Error{Code::kInvalidArgument, "expected 64 lower-case hexadecimal digits", "sha256"});
  if (request.size_bytes <= 0)
    return std::unexpected(base::Error{Code::kInvalidArgument, "expected a size above 0", "size_bytes"});
  if (request.size_bytes > settings_.uploads_file_bytes)
    return base::fail(Code::kLimit, "{} bytes are more than uploads.file_bytes = {}", request.size_bytes,
                      settings_.uploads_file_bytes);
  api::Upload upload;
  upload.id = "upload_" + base::random_hex(12);
  upload.state = "open";
  upload.size_bytes = request.size_bytes;
  upload.part_bytes = settings_.uploads_part_bytes;
  upload.sha256 = request.sha256;
  upload.name = request.name.substr(0, 200);
  upload.expires_ms = now_() + settings_.uploads_ttl_ms;
  XI_TRY(const bool held, holds_(organisation, request.sha256));
  if (held) {
    upload.state = "complete";
    upload.received_bytes = upload.size_bytes;
  }
  const long long size = upload.size_bytes, received = upload.received_bytes, now = now_(), expires = upload.expires_ms;
  XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
    long long open = 0;
    sql << "SELECT COUNT(*) FROM uploads WHERE organisation = :o AND state = 'open'", soci::into(open),
        soci::use(organisation);
    if (open >= settings_.uploads_open)
      return base::fail(Code::kLimit, "{} uploads are open, as many as uploads.open allows: complete or delete some",
                        open);
    sql << "INSERT INTO uploads (id, organisation, sha256, name, size_bytes, received_bytes, state, created_ms, "
           "expires_ms) "
           "VALUES (:i, :o, :d, :n, :s, :r, :st, :c, :e)",
        soci::use(upload.id), soci::use(organisation), soci::use(upload.sha256), soci::use(upload.name),
        soci::use(size), soci::use(received), soci::use(upload.state), soci::use(now), soci::use(expires);
    return {};
  }));
  return upload;
}

Result<api::Upload> Uploads::status(const std::string& organisation, const std::string& id) {
  return database_.read([&](soci::session& sql) -> Result<api::Upload> {
    api::Upload upload;
    upload.id = id;
    upload.part_bytes = settings_.uploads_part_bytes;
    long long size = 0, received = 0, expires = 0;
    sql << "SELECT sha256, name, size_bytes, received_bytes, state, expires_ms FROM uploads WHERE id = :i AND "
           "organisation = :o",
        soci::into(upload.sha256), soci::into(upload.name), soci::into(size), soci::into(received),
        soci::into(upload.state), soci::into(expires), soci::use(id), soci::use(organisation);
    if (!sql.got_data()) return base::fail(Code::kNotFound, "no upload \"{}\": it may have expired", id.substr(0, 100));
    upload.size_bytes = size;
    upload.received_bytes = received;
    upload.expires_ms = expires;
    return upload;
  });
}

Result<void> Uploads::set_received(const std::string& id, std::int64_t bytes) {
  const long long received = bytes, expires = now_() + settings_.uploads_ttl_ms;
  return database_.write([&](soci::session& sql) -> Result<void> {
    sql << "UPDATE uploads SET received_bytes = :r, expires_ms = :e WHERE id = :i", soci::use(received),
        soci::use(expires), soci::use(id);
    return {};
  });
}

Result<api::Upload> Uploads::append(const std::string& organisation, const std::string& id, std::int64_t offset,
                                    const std::filesystem::path& part, std::int64_t bytes) {
  const std::lock_guard lock(lock_of(id));
  XI_TRY(api::Upload upload, status(organisation, id));
  if (upload.state != "open") return base::fail(Code::kConflict, "this upload is complete");
  if (offset != upload.received_bytes)
    return base::fail(Code::kConflict, "{} bytes have arrived: go on at offset={}", upload.received_bytes,
                      upload.received_bytes);
  if (bytes <= 0) return base::fail(Code::kInvalidArgument, "the part is empty");
  if (offset + bytes > upload.size_bytes)
    return base::fail(Code::kInvalidArgument, "the part ends at byte {}, the file at {}", offset + bytes,
                      upload.size_bytes);
  XI_CHECK(copy_part(part, file(id), offset, bytes));
  upload.received_bytes = offset + bytes;
  XI_CHECK(set_received(id, upload.received_bytes));
  return upload;
}

Result<api::Blob> Uploads::complete(const std::string& organisation, const std::string& id) {
  const std::lock_guard lock(lock_of(id));
  XI_TRY(const api::Upload upload, status(organisation, id));
  if (upload.state == "complete") return api::Blob{upload.sha256, upload.size_bytes};
  if (upload.received_bytes != upload.size_bytes)
    return base::fail(Code::kConflict, "{} of {} bytes have arrived: go on at offset={}", upload.received_bytes,
                      upload.size_bytes, upload.received_bytes);
  XI_TRY(const std::string digest, base::sha256_file(file(id)));
  if (digest != upload.sha256) {
    XI_CHECK(remove(organisation, id));
    return base::fail(Code::kCorrupt, "the bytes that arrived have SHA-256 {}, not {}: upload again", digest,
                      upload.sha256);
  }
  XI_CHECK(store_.put_file(digest, file(id)));
  XI_CHECK(hold_(organisation, digest, upload.size_bytes));
  XI_CHECK(finish(id, "complete"));
  return api::Blob{digest, upload.size_bytes};
}

Result<void> Uploads::finish(const std::string& id, const std::string& state) {
  return database_.write([&](soci::session& sql) -> Result<void> {
    sql << "UPDATE uploads SET state = :s WHERE id = :i", soci::use(state), soci::use(id);
    return {};
  });
}

Result<void> Uploads::remove(const std::string& organisation, const std::string& id) {
  XI_TRY(const api::Upload upload, status(organisation, id));
  XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
    sql << "DELETE FROM uploads WHERE id = :i AND organisation = :o", soci::use(id), soci::use(organisation);
    return {};
  }));
  std::error_code ignored;
  if (upload.state == "open") std::filesystem::remove(file(id), ignored);
  return {};
}

void Uploads::expire() {
  const long long now = now_();
  std::vector<std::string> ids;
  auto done = database_.write([&](soci::session& sql) -> Result<void> {
    std::string id;
    {
      soci::statement rows =
          (sql.prepare << "SELECT id FROM uploads WHERE expires_ms < :t", soci::into(id), soci::use(now));
      rows.execute();
      while (rows.fetch()) ids.push_back(id);
    }
    if (!ids.empty()) sql << "DELETE FROM uploads WHERE expires_ms < :t", soci::use(now);
    return {};
  });
  if (!done) return;
  std::error_code ignored;
  for (const std::string& id : ids) std::filesystem::remove(file(id), ignored);
}

}  // namespace xinfer::server::store
