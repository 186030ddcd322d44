#include "server/store/uploads.h"

#include <soci/soci.h>

#include <cstdio>
#include <memory>

#include "base/digest.h"

namespace xinfer::server::store {

using base::Code;
using base::Result;

Uploads::Uploads(db::Database& database, ObjectStore& store, Blobs& blobs, const Settings& settings,
                 std::filesystem::path scratch, Hold hold, Holds holds, std::function<std::int64_t()> now_ms)
    : database_(database),
      store_(store),
      blobs_(blobs),
      settings_(settings),
      scratch_(std::move(scratch)),
      hold_(std::move(hold)),
      holds_(std::move(holds)),
      now_(std::move(now_ms)) {}

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
    XI_CHECK(blobs_.touch(request.sha256, request.size_bytes));  // whoever asks is about to refer to it
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

Result<api::Upload> Uploads::append(const std::string& organisation, const std::string& id, std::int64_t offset,
                                    const std::filesystem::path& part, std::int64_t bytes,
                                    const std::string& part_sha256) {
  const auto check = [&](const api::Upload& upload) -> Result<void> {
    if (upload.state != "open") return base::fail(Code::kConflict, "this upload is complete");
    if (offset != upload.received_bytes)
      return base::fail(Code::kConflict, "{} bytes have arrived: go on at offset={}", upload.received_bytes,
                        upload.received_bytes);
    if (bytes <= 0) return base::fail(Code::kInvalidArgument, "the part is empty");
    if (offset + bytes > upload.size_bytes)
      return base::fail(Code::kInvalidArgument, "the part ends at byte {}, the file at {}", offset + bytes,
                        upload.size_bytes);
    return {};
  };
  XI_TRY(api::Upload upload, status(organisation, id));
  XI_CHECK(check(upload));
  XI_CHECK(blobs_.put_file(part_sha256, part));
  const long long at = offset, size = bytes, received = offset + bytes, expires = now_() + settings_.uploads_ttl_ms;
  XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
    // Another hub may have taken the same part meanwhile.
    long long have = 0;
    sql << "SELECT received_bytes, state FROM uploads WHERE id = :i", soci::into(have), soci::into(upload.state),
        soci::use(id);
    if (!sql.got_data()) return base::fail(Code::kNotFound, "no upload \"{}\": it may have expired", id.substr(0, 100));
    upload.received_bytes = have;
    XI_CHECK(check(upload));
    sql << "INSERT INTO upload_parts (upload, offset_bytes, size_bytes, sha256) VALUES (:u, :o, :s, :d)", soci::use(id),
        soci::use(at), soci::use(size), soci::use(part_sha256);
    sql << "UPDATE uploads SET received_bytes = :r, expires_ms = :e WHERE id = :i", soci::use(received),
        soci::use(expires), soci::use(id);
    return {};
  }));
  upload.received_bytes = received;
  upload.expires_ms = expires;
  return upload;
}

Result<std::vector<Uploads::Part>> Uploads::parts(const std::string& id) {
  return database_.read([&](soci::session& sql) -> Result<std::vector<Part>> {
    std::vector<Part> list;
    Part part;
    soci::statement rows = (sql.prepare << "SELECT offset_bytes, size_bytes, sha256 FROM upload_parts WHERE upload = :u "
                                           "ORDER BY offset_bytes",
                            soci::into(part.offset), soci::into(part.bytes), soci::into(part.sha256), soci::use(id));
    rows.execute();
    while (rows.fetch()) list.push_back(part);
    return list;
  });
}

// Puts the parts together into one object. kCorrupt when they do not make the file that was announced.
Result<void> Uploads::join(const api::Upload& upload, const std::vector<Part>& parts) {
  if (parts.size() == 1 && parts[0].sha256 == upload.sha256) return {};  // the part is the object
  const std::filesystem::path file = scratch_ / (upload.id + "-" + base::random_hex(4));
  std::string digest;
  {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(file.c_str(), "wb"), &std::fclose);
    if (!out) return base::fail(Code::kIo, "cannot write {}", file.string());
    base::Sha256 hash;
    Result<void> joined;
    for (const Part& part : parts) {
      if (!joined) break;
      joined = store_.read(part.sha256, [&](std::string_view bytes) -> Result<void> {
        hash.update(bytes);
        if (std::fwrite(bytes.data(), 1, bytes.size(), out.get()) == bytes.size()) return {};
        return base::fail(Code::kUnavailable, "cannot join the parts: the hub's disk is full");
      });
    }
    if (joined && std::fflush(out.get()) != 0)
      joined = base::fail(Code::kUnavailable, "cannot join the parts: the hub's disk is full");
    digest = hash.finish();
    if (joined && digest != upload.sha256)
      joined = base::fail(Code::kCorrupt, "the bytes that arrived have SHA-256 {}, not {}: upload again", digest,
                          upload.sha256);
    if (!joined) {
      std::error_code ignored;
      std::filesystem::remove(file, ignored);
      return joined;
    }
  }
  auto stored = blobs_.put_file(digest, file);
  std::error_code ignored;
  if (!stored) std::filesystem::remove(file, ignored);
  return stored;
}

Result<api::Blob> Uploads::complete(const std::string& organisation, const std::string& id) {
  XI_TRY(const api::Upload upload, status(organisation, id));
  if (upload.state == "complete") return api::Blob{upload.sha256, upload.size_bytes};
  if (upload.received_bytes != upload.size_bytes)
    return base::fail(Code::kConflict, "{} of {} bytes have arrived: go on at offset={}", upload.received_bytes,
                      upload.size_bytes, upload.received_bytes);
  XI_TRY(const std::vector<Part> list, parts(id));
  if (auto joined = join(upload, list); !joined) {
    if (joined.error().code == Code::kCorrupt) XI_CHECK(remove(organisation, id));
    return std::unexpected(joined.error());
  }
  XI_CHECK(blobs_.touch(upload.sha256, upload.size_bytes));
  XI_CHECK(hold_(organisation, upload.sha256, upload.size_bytes));
  XI_CHECK(database_.write([&](soci::session& sql) -> Result<void> {
    sql << "UPDATE uploads SET state = 'complete' WHERE id = :i", soci::use(id);
    sql << "DELETE FROM upload_parts WHERE upload = :i", soci::use(id);
    return {};
  }));
  return api::Blob{upload.sha256, upload.size_bytes};
}

Result<void> Uploads::remove(const std::string& organisation, const std::string& id) {
  XI_CHECK(status(organisation, id));
  return database_.write([&](soci::session& sql) -> Result<void> {
    sql << "DELETE FROM uploads WHERE id = :i AND organisation = :o", soci::use(id), soci::use(organisation);
    sql << "DELETE FROM upload_parts WHERE upload = :i", soci::use(id);
    return {};
  });
}

void Uploads::expire() {
  const long long now = now_();
  (void)database_.write([&](soci::session& sql) -> Result<void> {
    sql << "DELETE FROM upload_parts WHERE upload IN (SELECT id FROM uploads WHERE expires_ms < :t)", soci::use(now);
    sql << "DELETE FROM uploads WHERE expires_ms < :t", soci::use(now);
    return {};
  });
}

}  // namespace xinfer::server::store
