#include "hub/client.h"

#include <cstdlib>

#include "api/codec.h"
#include "base/trace.h"
#include "base/digest.h"
#include "base/files.h"
#include "hub/cache.h"

namespace xinfer::hub {
namespace {

using base::Code;
using base::fail;
using base::Result;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

template <class T>
Result<T> parse(Result<std::string> body) {
  if (!body) return std::unexpected(std::move(body.error()));
  auto value = api::decode<T>(*body, api::Unknown::kIgnore);
  if (!value)
    return fail(Code::kCorrupt,
                "the hub's answer is not what its API promises ({}); is it an ignition-hub of this version?",
                value.error().text());
  return value;
}

}  // namespace

std::filesystem::path config_folder() {
  if (const std::string folder = environment("XDG_CONFIG_HOME"); !folder.empty())
    return std::filesystem::path(folder) / "xinfer";
  if (const std::string home = environment("HOME"); !home.empty())
    return std::filesystem::path(home) / ".config" / "xinfer";
  return std::filesystem::temp_directory_path() / "xinfer-config";
}

std::string hub_url(const std::string& url) {
  std::string result = !url.empty() ? url : environment("XINFER_HUB");
  if (result.empty()) result = "http://127.0.0.1:8080";
  while (!result.empty() && result.back() == '/') result.pop_back();
  return result;
}

bool is_final(const api::Build& build) {
  return build.state == "succeeded" || build.state == "failed" || build.state == "cancelled";
}

Result<Client> Client::open(const HubOptions& options) {
  const std::string url = hub_url(options.url);
  HttpOptions http;
  http.token = hub_token(url, options.token);
  http.ca_file = environment("XINFER_CA_FILE");
  http.allow_plain_http = environment("XINFER_ALLOW_HTTP") == "1";
  http.cancelled = options.cancelled;
  const bool has_token = !http.token.empty();
  XI_TRY(Http connection, Http::open(url, std::move(http)));
  // Goes on with the caller's trace where there is one, as in a CI job; else begins one.
  const auto outer = base::parse_trace(environment("TRACEPARENT"));
  connection.set_traceparent(outer ? outer->next().header() : base::new_trace().header());
  return Client(std::move(connection), has_token);
}

Result<std::string> Client::send(std::string method, std::string path, const std::string& body, bool repeatable) {
  Request request;
  request.method = std::move(method);
  request.path = std::move(path);
  request.body = body;
  request.repeatable = repeatable;
  auto response = http_.send(request);
  if (!response) {
    if (response.error().code == Code::kUnauthorized)
      return fail(Code::kUnauthorized, "{}: {}", response.error().message,
                  has_token_ ? "the token is not (or no longer) valid; log in again with `xinfer-cli hub login`"
                             : "log in with `xinfer-cli hub login`, or set XINFER_TOKEN");
    return std::unexpected(std::move(response.error()));
  }
  return std::move(response->body);
}

Result<api::ModelPage> Client::models(const std::string& search, std::int64_t offset, std::int64_t limit) {
  std::string path = fmt::format("/v1/models?offset={}&limit={}", offset, limit);
  if (!search.empty()) path += "&search=" + escape(search);
  return parse<api::ModelPage>(send("GET", path));
}

Result<api::Model> Client::model(const std::string& id) {
  return parse<api::Model>(send("GET", "/v1/models/" + escape(id)));
}
Result<api::TargetList> Client::targets() { return parse<api::TargetList>(send("GET", "/v1/targets")); }
Result<api::KeyList> Client::keys() { return parse<api::KeyList>(send("GET", "/v1/keys")); }

Result<api::Build> Client::submit(const api::BuildRequest& request) {
  // Sent twice, identical builds are one job: repeating it does no harm.
  return parse<api::Build>(send("POST", "/v1/builds", api::encode(request)));
}

Result<api::Build> Client::build(const std::string& id) {
  return parse<api::Build>(send("GET", "/v1/builds/" + escape(id)));
}

Result<api::BuildPage> Client::builds(const std::string& state, std::int64_t offset, std::int64_t limit) {
  std::string path = fmt::format("/v1/builds?offset={}&limit={}", offset, limit);
  if (!state.empty()) path += "&state=" + escape(state);
  return parse<api::BuildPage>(send("GET", path));
}

Result<api::Build> Client::cancel(const std::string& id) {
  return parse<api::Build>(send("DELETE", "/v1/builds/" + escape(id), {}, false));
}

Result<api::Matrix> Client::submit_matrix(const api::MatrixRequest& request) {
  return parse<api::Matrix>(send("POST", "/v1/matrices", api::encode(request)));
}

Result<api::Matrix> Client::matrix(const std::string& id) {
  return parse<api::Matrix>(send("GET", "/v1/matrices/" + escape(id)));
}

Result<api::Matrix> Client::cancel_matrix(const std::string& id) {
  return parse<api::Matrix>(send("DELETE", "/v1/matrices/" + escape(id), {}, false));
}

Result<api::Build> Client::follow(const std::string& id, const std::function<void(const api::Event&)>& on_event) {
  for (;;) {
    bool ended = false;
    XI_CHECK(http_.events("/v1/builds/" + escape(id) + "/events", [&](const ServerEvent& event) {
      const auto parsed = api::decode<api::Event>(event.data, api::Unknown::kIgnore);
      if (!parsed) return true;  // of a newer hub
      on_event(*parsed);
      ended = parsed->kind == "state" &&
              (parsed->text == "succeeded" || parsed->text == "failed" || parsed->text == "cancelled");
      return !ended;
    }));
    XI_TRY(api::Build now, build(id));
    if (is_final(now)) return now;  // else the hub ended the stream early: it restarts, or the job was requeued
  }
}

Result<api::Build> Client::wait(const api::Build& build, const std::function<void(const Progress&)>& show) {
  Progress progress{"queued", -1, {}};
  if (!is_final(build) && show) show(progress);
  auto ended = is_final(build) ? Result<api::Build>(build) : follow(build.id, [&](const api::Event& event) {
    progress.log.clear();
    if (event.kind == "log") progress.log = event.text;
    if (event.progress) {
      progress.stage = event.progress->stage;
      progress.fraction = event.progress->total > 0 ? double(event.progress->done) / double(event.progress->total) : -1;
    }
    if (show && (event.progress || !progress.log.empty())) show(progress);
  });
  XI_TRY(api::Build last, std::move(ended));
  if (last.state == "cancelled") return fail(Code::kCancelled, "build {} was cancelled", last.id);
  if (last.state == "succeeded") {
    if (!last.engine) return fail(Code::kCorrupt, "build {} succeeded, but the hub names no engine", last.id);
    return last;
  }
  base::Error error{Code::kInternal, "build " + last.id + " failed without saying why", {}};
  if (last.error) {
    for (int i = 0; i <= static_cast<int>(Code::kInternal); ++i)
      if (base::facts(static_cast<Code>(i)).name == last.error->code) error.code = static_cast<Code>(i);
    error.message = fmt::format("build {} failed ({}): {}", last.id, last.error->kind, last.error->message);
    error.where = last.error->where;
  }
  return std::unexpected(std::move(error));
}

namespace {

/// A file read in parts.
class PartReader {
 public:
  static Result<PartReader> open(const std::filesystem::path& path) {
    std::FILE* file = std::fopen(path.c_str(), "rb");
    if (!file) return std::unexpected(base::Error{Code::kNotFound, "cannot read", path.string()});
    return PartReader(file);
  }
  Result<std::string> read(std::int64_t offset, std::int64_t size) {
    std::string bytes(static_cast<std::size_t>(size), '\0');
    if (std::fseek(file_.get(), offset, SEEK_SET) != 0 ||
        std::fread(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size())
      return fail(Code::kIo, "the file changed while it was sent");
    return bytes;
  }

 private:
  explicit PartReader(std::FILE* file) : file_(file, std::fclose) {}
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

}  // namespace

Result<api::Upload> Client::begin_upload(const std::filesystem::path& file, const std::string& digest,
                                         const std::filesystem::path& record) {
  if (const auto id = base::read_file(record, 1000)) {  // an earlier call got so far
    auto known = parse<api::Upload>(send("GET", "/v1/uploads/" + escape(*id)));
    if (known && known->sha256 == digest && known->state == "open") return known;
  }
  std::error_code unreadable;
  api::UploadRequest request;
  request.size_bytes = static_cast<std::int64_t>(std::filesystem::file_size(file, unreadable));
  if (unreadable) return std::unexpected(base::Error{Code::kIo, unreadable.message(), file.string()});
  request.sha256 = digest;
  request.name = file.filename().string();
  XI_TRY(api::Upload upload, parse<api::Upload>(send("POST", "/v1/uploads", api::encode(request))));
  if (auto kept = base::write_file(record, upload.id); !kept) return std::unexpected(kept.error());
  return upload;
}

Result<std::string> Client::upload(const std::filesystem::path& file,
                                   const std::function<void(const Progress&)>& show) {
  XI_TRY(const std::string digest, base::sha256_file(file));
  const auto record = base::cache_folder() / "uploads" / base::sha256(url() + "\n" + digest);
  // One process at a time sends the same file; those that waited find that the hub has it.
  XI_TRY(const FileLock lock, FileLock::take(record.string() + ".lock", {}, {}));
  XI_TRY(PartReader reader, PartReader::open(file));
  XI_TRY(api::Upload upload, begin_upload(file, digest, record));
  constexpr std::int64_t kPartBytes = 8 << 20;  // small enough to show progress and to lose little
  int stalled = 0;
  while (upload.state != "complete" && upload.received_bytes < upload.size_bytes) {
    const std::int64_t left = upload.size_bytes - upload.received_bytes;
    const std::int64_t size = std::min({left, upload.part_bytes > 0 ? upload.part_bytes : kPartBytes, kPartBytes});
    XI_TRY(const std::string part, reader.read(upload.received_bytes, size));
    if (show) show({"upload", upload.size_bytes ? double(upload.received_bytes) / double(upload.size_bytes) : 1.0, {}});
    Request request{.method = "PUT",
                    .path = fmt::format("/v1/uploads/{}?offset={}", escape(upload.id), upload.received_bytes),
                    .body = part,
                    .content_type = "application/octet-stream",
                    .headers = {{"X-Part-SHA256", base::sha256(part)}}};
    const std::int64_t before = upload.received_bytes;
    auto sent = http_.send(request);
    // A part that arrived though its answer was lost is refused the second time (wrong offset): ask where we are.
    if (!sent && sent.error().code != Code::kConflict && sent.error().code != Code::kInvalidArgument)
      return std::unexpected(std::move(sent.error()));
    const std::string path = "/v1/uploads/" + escape(upload.id);
    auto now = sent ? parse<api::Upload>(std::move(sent->body)) : parse<api::Upload>(send("GET", path));
    if (!now) return std::unexpected(std::move(now.error()));
    upload = std::move(*now);
    stalled = upload.received_bytes > before ? 0 : stalled + 1;
    if (stalled > 3)
      return sent ? fail(Code::kCorrupt, "the hub takes no more bytes of the upload") : std::unexpected(sent.error());
  }
  std::error_code ignored;
  std::filesystem::remove(record, ignored);  // whatever comes now, this upload is over
  if (upload.state != "complete") XI_CHECK(send("POST", "/v1/uploads/" + escape(upload.id) + "/complete"));
  return digest;
}

Result<api::TuningRecords> Client::tuning(const std::string& target) {
  return parse<api::TuningRecords>(send("GET", "/v1/tuning/" + escape(target)));
}

Result<api::TuningRecords> Client::add_tuning(const api::TuningRecords& records, bool for_all) {
  const std::string path = "/v1/tuning/" + escape(records.architecture) + (for_all ? "?scope=public" : "");
  return parse<api::TuningRecords>(send("PUT", path, api::encode(records)));
}

Result<api::Model> Client::push(const api::PushRequest& request) {
  return parse<api::Model>(send("POST", "/v1/models", api::encode(request), false));
}

}  // namespace xinfer::hub
