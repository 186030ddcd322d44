// An S3 bucket as object store.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <vector>

#include "base/digest.h"
#include "base/files.h"
#include "base/log.h"
#include "server/store/object_store.h"
#include "server/store/s3_request.h"

namespace xinfer::server::store {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::Result;

std::unexpected<base::Error> refused(const S3Answer& answer, std::string_view what) {
  return std::unexpected(base::Error{
      answer.status == 404 ? Code::kNotFound : Code::kUnavailable,
      fmt::format("the object store refused to {}: status {} {} {}", what, answer.status,
                  xml_text(answer.body, "Code"), xml_text(answer.body, "Message")),
      "store"});
}

// "2026-01-31T10:11:12.000Z"
std::int64_t parse_time_ms(const std::string& text) {
  std::tm parts{};
  return ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) ? std::int64_t{::timegm(&parts)} * 1000 : 0;
}

// Copies of objects that pass through the hub. Old ones go when there are too many bytes of them; a file that is being
// sent stays readable for whoever has it open.
class Cache {
 public:
  Cache(fs::path folder, std::uint64_t limit) : folder_(std::move(folder)), limit_(limit) {}
  fs::path file(const std::string& sha256) const { return folder_ / sha256; }

  void trim() {
    const std::lock_guard lock(mutex_);
    struct Entry {
      fs::file_time_type used;
      std::uint64_t bytes;
      fs::path path;
    };
    std::vector<Entry> entries;
    std::uint64_t total = 0;
    std::error_code error;
    for (const auto& item : fs::directory_iterator(folder_, error)) {
      std::error_code gone;
      const std::uint64_t bytes = item.file_size(gone);
      const auto used = item.last_write_time(gone);
      if (gone) continue;
      entries.push_back({used, bytes, item.path()});
      total += bytes;
    }
    std::ranges::sort(entries, {}, &Entry::used);
    const auto recent = fs::file_time_type::clock::now() - std::chrono::minutes(1);
    for (const Entry& entry : entries) {
      if (total <= limit_ || entry.used > recent) return;
      if (fs::remove(entry.path, error)) total -= entry.bytes;
    }
  }

 private:
  fs::path folder_;
  std::uint64_t limit_;
  std::mutex mutex_;
};

struct Place {
  std::string bucket, prefix;
};

class S3Store final : public ObjectStore {
 public:
  S3Store(S3Options options, Place place, const Settings& settings, const fs::path& cache)
      : connection_(std::move(options)),
        place_(std::move(place)),
        redirect_(settings.store_redirect),
        link_s_(settings.store_link_ms / 1000),
        part_bytes_(static_cast<std::uint64_t>(settings.store_part_bytes)),
        cache_(cache, static_cast<std::uint64_t>(settings.store_cache_bytes)) {}

  // The bucket is there and ours; made where it is missing.
  Result<void> check() {
    XI_TRY(const S3Answer head, connection_.send({.method = "HEAD", .path = "/" + place_.bucket}));
    if (head.status == 200) return {};
    if (head.status != 404) return refused(head, fmt::format("open the bucket {}", place_.bucket));
    XI_TRY(const S3Answer made, connection_.send({.method = "PUT", .path = "/" + place_.bucket}));
    // Another hub may have made it at the same moment.
    if (made.status != 200 && made.status != 409) return refused(made, fmt::format("make the bucket {}", place_.bucket));
    return {};
  }

  Result<void> put_file(const std::string& sha256, const fs::path& file) override {
    XI_TRY(const std::string path, path_of(sha256));
    XI_TRY(const auto there, size(sha256));
    std::error_code ignored;
    const std::uint64_t bytes = fs::file_size(file, ignored);
    if (!there || *there != bytes) {
      XI_TRY(const base::MappedFile mapped, base::MappedFile::open(file));
      const std::string_view content(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
      // The digest is part of the signature: the server checks the bytes that arrive against it.
      if (content.size() <= part_bytes_) {
        XI_TRY(const S3Answer answer,
               connection_.send({.method = "PUT", .path = path, .body = content, .body_sha256 = sha256}));
        if (answer.status != 200) return refused(answer, "store an object");
      } else {
        XI_CHECK(put_parts(path, content));
      }
    }
    fs::remove(file, ignored);
    return {};
  }

  Result<std::optional<std::uint64_t>> size(const std::string& sha256) override {
    XI_TRY(const std::string path, path_of(sha256));
    XI_TRY(const S3Answer answer, connection_.send({.method = "HEAD", .path = path}));
    if (answer.status == 404) return std::optional<std::uint64_t>();
    if (answer.status != 200) return refused(answer, "show an object");
    return std::optional<std::uint64_t>(answer.length);
  }

  Result<void> read(const std::string& sha256, const Sink& sink) override {
    XI_TRY(const std::string path, path_of(sha256));
    Result<void> taken;
    XI_TRY(const S3Answer answer, connection_.send({.path = path, .sink = [&](std::string_view bytes) {
                                                      taken = sink(bytes);
                                                      return taken.has_value();
                                                    }}));
    XI_CHECK(taken);
    if (answer.status == 404) return base::fail(Code::kNotFound, "no object {}", sha256);
    if (answer.status != 200 && answer.status != 206) return refused(answer, "read an object");
    return {};
  }

  Result<fs::path> local_file(const std::string& sha256) override {
    const fs::path file = cache_.file(sha256), beside = file.string() + "." + base::random_hex(4);
    std::error_code error;
    if (base::is_sha256(sha256) && fs::exists(file, error)) {
      fs::last_write_time(file, fs::file_time_type::clock::now(), error);
      return file;
    }
    {
      std::FILE* out = std::fopen(beside.c_str(), "wb");
      if (!out) return base::fail(Code::kIo, "cannot write {}", beside.string());
      const std::unique_ptr<std::FILE, int (*)(std::FILE*)> closer(out, &std::fclose);
      base::Sha256 hash;
      auto got = read(sha256, [&](std::string_view bytes) -> Result<void> {
        hash.update(bytes);
        if (std::fwrite(bytes.data(), 1, bytes.size(), out) == bytes.size()) return {};
        return base::fail(Code::kIo, "cannot write {}: is the disk full?", beside.string());
      });
      if (got && std::fflush(out) != 0) got = base::fail(Code::kIo, "cannot write {}", beside.string());
      if (got && hash.finish() != sha256) got = base::fail(Code::kCorrupt, "object {} has other bytes", sha256);
      if (!got) {
        fs::remove(beside, error);
        return std::unexpected(got.error());
      }
    }
    fs::rename(beside, file, error);
    if (error) return base::fail(Code::kIo, "cannot write {}: {}", file.string(), error.message());
    cache_.trim();
    return file;
  }

  std::optional<std::string> link(const std::string& sha256, const std::string& method,
                                  const std::string& name) override {
    const auto path = path_of(sha256);
    if (!redirect_ || !path) return std::nullopt;
    std::map<std::string, std::string> query;
    if (!name.empty()) query["response-content-disposition"] = fmt::format("attachment; filename=\"{}\"", name);
    return connection_.presign(method, *path, std::move(query), link_s_);
  }

  Result<void> remove(const std::string& sha256) override {
    XI_TRY(const std::string path, path_of(sha256));
    XI_TRY(const S3Answer answer, connection_.send({.method = "DELETE", .path = path}));
    if (answer.status != 204 && answer.status != 200 && answer.status != 404)
      return refused(answer, "delete an object");
    std::error_code ignored;
    fs::remove(cache_.file(sha256), ignored);
    return {};
  }

  Result<void> list(const Visit& visit) override {
    std::string continuation;
    do {
      std::map<std::string, std::string> query = {{"list-type", "2"}, {"prefix", place_.prefix}};
      if (!continuation.empty()) query["continuation-token"] = continuation;
      XI_TRY(const S3Answer answer, connection_.send({.path = "/" + place_.bucket, .query = std::move(query)}));
      if (answer.status != 200) return refused(answer, "list the bucket");
      std::string_view rest = answer.body;
      for (std::size_t at; (at = rest.find("<Contents>")) != std::string_view::npos;) {
        rest.remove_prefix(at + 1);
        const std::string key = xml_text(rest, "Key"), name = key.substr(key.rfind('/') + 1);
        if (!base::is_sha256(name)) continue;
        visit(name, std::strtoull(xml_text(rest, "Size").c_str(), nullptr, 10),
              parse_time_ms(xml_text(rest, "LastModified")));
      }
      continuation = xml_text(answer.body, "NextContinuationToken");
    } while (!continuation.empty());
    return {};
  }

 private:
  Result<std::string> path_of(const std::string& sha256) const {
    if (!base::is_sha256(sha256))
      return base::fail(Code::kInvalidArgument, "\"{}\" is no SHA-256 (64 lower-case hexadecimal digits)",
                        sha256.substr(0, 80));
    return fmt::format("/{}/{}{}/{}", place_.bucket, place_.prefix, sha256.substr(0, 2), sha256);
  }

  // Parts are sent one after the other and tried again each for itself; what fails leaves nothing behind.
  Result<void> put_parts(const std::string& path, std::string_view content) {
    XI_TRY(const S3Answer begun, connection_.send({.method = "POST", .path = path, .query = {{"uploads", ""}}}));
    const std::string id = xml_text(begun.body, "UploadId");
    if (begun.status != 200 || id.empty()) return refused(begun, "begin an upload");
    const auto done = send_parts(path, id, content);
    if (!done) (void)connection_.send({.method = "DELETE", .path = path, .query = {{"uploadId", id}}});
    return done;
  }
  Result<void> send_parts(const std::string& path, const std::string& id, std::string_view content) {
    std::string list = "<CompleteMultipartUpload>";
    for (int number = 1; !content.empty(); ++number) {
      const std::string_view part = content.substr(0, part_bytes_);
      content.remove_prefix(part.size());
      XI_TRY(const S3Answer answer,
             connection_.send({.method = "PUT",
                               .path = path,
                               .query = {{"partNumber", std::to_string(number)}, {"uploadId", id}},
                               .body = part}));
      if (answer.status != 200) return refused(answer, "store a part");
      list += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", number, answer.etag);
    }
    list += "</CompleteMultipartUpload>";
    XI_TRY(const S3Answer answer,
           connection_.send({.method = "POST", .path = path, .query = {{"uploadId", id}}, .body = list}));
    // Success may turn out to be an error while the server assembles: status 200, an error in the body.
    if (answer.status != 200 || answer.body.find("<Error>") != std::string::npos)
      return refused(answer, "join an object's parts");
    return {};
  }

  S3Connection connection_;
  const Place place_;
  const bool redirect_;
  const std::int64_t link_s_;
  const std::uint64_t part_bytes_;
  Cache cache_;
};

// Two lines, access key and secret key; or the usual variables of the environment.
Result<void> read_credentials(const Settings& settings, S3Options& options) {
  if (settings.store_s3_credentials.empty()) {
    const char *access = std::getenv("AWS_ACCESS_KEY_ID"), *secret = std::getenv("AWS_SECRET_ACCESS_KEY");
    if (!access || !secret)
      return base::fail(Code::kInvalidArgument,
                        "no key for {}: set store.s3_credentials to a file with access key and secret key on a line "
                        "each, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                        settings.store_url);
    options.access_key = access;
    options.secret_key = secret;
    return {};
  }
  const fs::path file = settings.store_s3_credentials;
  struct stat info{};
  if (::stat(file.c_str(), &info) == 0 && (info.st_mode & 007) != 0)
    return base::fail(Code::kUntrusted, "{} is open to every user: chmod 600 it", file.string());
  XI_TRY(const std::string text, base::read_file(file, 4096));
  const std::size_t line = text.find('\n');
  if (line == std::string::npos)
    return base::fail(Code::kInvalidArgument, "{}: expected access key and secret key on a line each", file.string());
  options.access_key = text.substr(0, line);
  options.secret_key = text.substr(line + 1, text.find_first_of("\r\n", line + 1) - line - 1);
  return {};
}

}  // namespace

Result<std::unique_ptr<ObjectStore>> open_s3_store(const Settings& settings, const fs::path& cache) {
  constexpr std::string_view kScheme = "s3://";
  if (!settings.store_url.starts_with(kScheme))
    return std::unexpected(
        base::Error{Code::kInvalidArgument, "expected s3://BUCKET or s3://BUCKET/PREFIX, or nothing", "store.url"});
  if (!settings.store_s3_endpoint.starts_with("http://") && !settings.store_s3_endpoint.starts_with("https://"))
    return std::unexpected(
        base::Error{Code::kInvalidArgument, "expected the address of an S3 server", "store.s3_endpoint"});
  Place place{settings.store_url.substr(kScheme.size()), ""};
  if (const std::size_t slash = place.bucket.find('/'); slash != std::string::npos) {
    place.prefix = place.bucket.substr(slash + 1);
    place.bucket.resize(slash);
    if (!place.prefix.empty() && !place.prefix.ends_with('/')) place.prefix += '/';
  }
  S3Options options;
  options.endpoint = settings.store_s3_endpoint;
  options.public_endpoint = settings.store_s3_public_endpoint;
  options.region = settings.store_s3_region;
  options.timeout_ms = settings.store_timeout_ms;
  options.attempts = static_cast<int>(settings.store_attempts);
  XI_CHECK(read_credentials(settings, options));
  std::error_code error;
  fs::create_directories(cache, error);
  if (error) return base::fail(Code::kIo, "cannot make {}: {}", cache.string(), error.message());
  auto store = std::make_unique<S3Store>(std::move(options), std::move(place), settings, cache);
  XI_CHECK(store->check());
  return std::unique_ptr<ObjectStore>(std::move(store));
}

}  // namespace xinfer::server::store
