#include "hub/client.h"

#include <cstdlib>
#include <optional>

#include "api/codec.h"
#include "api/states.h"
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

bool is_job(const std::string& id) { return id.starts_with("preflight_") || id.starts_with("tune_"); }

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

namespace {

// "/v1/tunes/tune_…"
std::string job_path(const std::string& id) { return fmt::format("/v1/{}s/{}", escape(id.substr(0, id.find('_'))), escape(id)); }

/// Shows the events of a job as progress.
class Shown {
 public:
  explicit Shown(const std::function<void(const Progress&)>& show) : show_(show) {
    if (show_) show_(progress_);
  }
  void operator()(const api::Event& event) {
    progress_.log.clear();
    if (event.kind == "log") progress_.log = event.text;
    if (event.progress) {
      progress_.stage = event.progress->stage;
      progress_.fraction = event.progress->total > 0 ? double(event.progress->done) / double(event.progress->total) : -1;
      progress_.seconds_left = event.progress->remaining_ms ? double(*event.progress->remaining_ms) / 1000 : -1;
      progress_.builds = static_cast<int>(event.progress->builds.value_or(0));
    }
    if (show_ && (event.progress || !progress_.log.empty())) show_(progress_);
  }

 private:
  const std::function<void(const Progress&)>& show_;
  Progress progress_{"queued"};
};

// Why there is no result; nothing where the job succeeded.
std::optional<base::Error> failure(std::string_view what, std::string_view id, std::string_view state, const std::optional<api::BuildError>& known) {
  if (state == "succeeded") return std::nullopt;
  if (state == "cancelled") return base::Error{Code::kCancelled, fmt::format("{} {} was cancelled", what, id), {}};
  base::Error error{Code::kInternal, fmt::format("{} {} failed without saying why", what, id), {}};
  if (known) {
    for (int i = 0; i <= static_cast<int>(Code::kInternal); ++i)
      if (base::facts(static_cast<Code>(i)).name == known->code) error.code = static_cast<Code>(i);
    error.message = fmt::format("{} {} failed ({}): {}", what, id, known->kind, known->message);
    error.where = known->where;
  }
  return error;
}

}  // namespace

Result<void> Client::events(const std::string& path, const std::function<void(const api::Event&)>& on_event) {
  XI_CHECK(http_.events(path + "/events", [&](const ServerEvent& event) {
    const auto parsed = api::decode<api::Event>(event.data, api::Unknown::kIgnore);
    if (!parsed) return true;  // of a newer hub
    on_event(*parsed);
    return !(parsed->kind == "state" && api::is_final(parsed->text));
  }));
  return {};
}

Result<api::Build> Client::follow(const std::string& id, const std::function<void(const api::Event&)>& on_event) {
  for (;;) {  // the hub may end the stream early: it restarts, or the job was requeued
    XI_CHECK(events("/v1/builds/" + escape(id), on_event));
    XI_TRY(api::Build now, build(id));
    if (api::is_final(now.state)) return now;
  }
}

Result<api::Build> Client::wait(const api::Build& build, const std::function<void(const Progress&)>& show) {
  api::Build last = build;
  if (!api::is_final(build.state)) {
    XI_TRY(last, follow(build.id, Shown(show)));
  }
  if (auto error = failure("build", last.id, last.state, last.error)) return std::unexpected(std::move(*error));
  if (!last.engine) return fail(Code::kCorrupt, "build {} succeeded, but the hub names no engine", last.id);
  return last;
}

Result<api::Job> Client::submit_preflight(const api::PreflightRequest& request) {
  return parse<api::Job>(send("POST", "/v1/preflights", api::encode(request)));
}

Result<api::Job> Client::submit_tune(const api::TuneRequest& request) {
  return parse<api::Job>(send("POST", "/v1/tunes", api::encode(request)));
}

Result<api::Job> Client::job(const std::string& id) { return parse<api::Job>(send("GET", job_path(id))); }

Result<api::Job> Client::cancel_job(const std::string& id) { return parse<api::Job>(send("DELETE", job_path(id), {}, false)); }

Result<api::Job> Client::follow_job(const std::string& id, const std::function<void(const api::Event&)>& on_event) {
  for (;;) {
    XI_CHECK(events(job_path(id), on_event));
    XI_TRY(api::Job now, job(id));
    if (api::is_final(now.state)) return now;
  }
}

Result<api::Job> Client::wait(const api::Job& job, const std::function<void(const Progress&)>& show) {
  XI_TRY(api::Job last, follow_job(job.id, Shown(show)));
  if (auto error = failure(last.kind, last.id, last.state, last.error)) return std::unexpected(std::move(*error));
  return last;
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
