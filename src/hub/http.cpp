// HTTP by libcurl.
#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "api/codec.h"
#include "base/digest.h"

namespace xinfer::hub {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr std::size_t kMaxBodyBytes = std::size_t{64} << 20;  // of answers kept in memory

bool starts_with(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

/// Host part of "scheme://host:port/…", brackets of IPv6 kept.
std::string host_of(std::string_view url) {
  url.remove_prefix(std::min(url.find("://") + 3, url.size()));
  url = url.substr(0, url.find_first_of("/?#"));
  url = url.substr(url.rfind('@') == url.npos ? 0 : url.rfind('@') + 1);
  if (starts_with(url, "[")) return std::string(url.substr(0, url.find(']') + 1));
  return std::string(url.substr(0, url.find(':')));
}

bool is_loopback(std::string_view host) {
  if (host == "localhost" || host == "[::1]") return true;
  return starts_with(host, "127.") && host.find_first_not_of("0123456789.") == host.npos;
}

Code code_of_name(std::string_view name, int status) {
  for (int i = 0; i <= static_cast<int>(Code::kInternal); ++i)
    if (base::facts(static_cast<Code>(i)).name == name) return static_cast<Code>(i);
  for (int i = 0; i <= static_cast<int>(Code::kInternal); ++i)
    if (base::facts(static_cast<Code>(i)).http_status == status) return static_cast<Code>(i);
  return status >= 500 ? Code::kUnavailable : Code::kInvalidArgument;
}

/// What the server says is wrong; for answers that are not the hub's, the status.
base::Error error_of(const Response& response, const Request& request) {
  const std::string where = request.method + " " + request.path;
  if (auto reply = api::decode<api::ErrorReply>(response.body, api::Unknown::kIgnore)) {
    base::Error error{code_of_name(reply->error.code, response.status), reply->error.message, reply->error.where};
    if (error.where.empty()) error.where = where;
    return error;
  }
  return {code_of_name("", response.status), fmt::format("the server answered with HTTP status {}", response.status),
          where};
}

bool is_transient(int status) { return status == 429 || status == 502 || status == 503 || status == 504; }

struct CurlLibrary {
  CurlLibrary() { curl_global_init(CURL_GLOBAL_DEFAULT); }
};

struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, ListDeleter>;

void add_header(HeaderList& list, const std::string& line) {
  list.reset(curl_slist_append(list.release(), line.c_str()));
}

/// What one transfer hands its bytes to.
struct Sink {
  Response response;
  std::function<bool(std::string_view)> on_body;  // empty: response.body; false stops the transfer
  bool stopped = false;                           // on_body answered false
  bool too_large = false;
};

std::size_t write_body(char* data, std::size_t, std::size_t count, void* user) {
  auto& sink = *static_cast<Sink*>(user);
  const bool good = sink.response.status < 400;
  if (good && sink.on_body) {
    if (sink.on_body({data, count})) return count;
    sink.stopped = true;
    return 0;
  }
  if (sink.response.body.size() + count > kMaxBodyBytes) {
    sink.too_large = true;
    return 0;
  }
  sink.response.body.append(data, count);
  return count;
}

std::size_t write_header(char* data, std::size_t, std::size_t count, void* user) {
  auto& response = static_cast<Sink*>(user)->response;
  std::string_view line(data, count);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
  if (starts_with(line, "HTTP/")) {
    response.headers.clear();  // those of a redirect or of "100 Continue" before
    const auto space = line.find(' ');
    response.status = space == line.npos ? 0 : std::atoi(std::string(line.substr(space + 1, 3)).c_str());
  } else if (const auto colon = line.find(':'); colon != line.npos) {
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    line.remove_prefix(colon + 1);
    while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
    response.headers[name] = std::string(line);
  }
  return count;
}

int ask_cancelled(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& cancelled = *static_cast<const std::function<bool()>*>(user);
  return cancelled && cancelled() ? 1 : 0;
}

}  // namespace

struct Http::State {
  std::string base_url;
  HttpOptions options;
  std::string traceparent;
  CURL* curl = nullptr;
  ~State() { curl_easy_cleanup(curl); }

  /// One transfer. An error means that no answer came whole; `unseen` that the server cannot have got the request.
  Result<void> transfer(const Request& request, Sink& sink, bool& unseen);
  void set_options(const Request& request, Sink& sink, HeaderList& headers, char* message);
  bool pause(int attempt, const Response& response) const;
};

void Http::State::set_options(const Request& request, Sink& sink, HeaderList& headers, char* message) {
  curl_easy_reset(curl);  // keeps connections
  curl_easy_setopt(curl, CURLOPT_URL, (base_url + request.path).c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, starts_with(base_url, "https") ? "https" : "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "xinfer");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, long{options.connect_timeout_ms});
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, std::max(1L, options.stall_timeout_ms / 1000L));
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, ask_cancelled);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &options.cancelled);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, write_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &sink);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, write_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &sink);
  if (!options.ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, options.ca_file.c_str());
  if (!options.token.empty()) {  // as curl's own credential it is dropped when a redirect leads to another host
    curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, options.token.c_str());
  }
  if (!traceparent.empty()) add_header(headers, "traceparent: " + traceparent);
  for (const auto& [name, value] : request.headers) add_header(headers, name + ": " + value);
  add_header(headers, "Expect:");
  if (request.method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  } else if (request.method != "GET") {
    add_header(headers, "Content-Type: " + request.content_type);
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data() ? request.body.data() : "");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
}

Result<void> Http::State::transfer(const Request& request, Sink& sink, bool& unseen) {
  HeaderList headers;
  char message[CURL_ERROR_SIZE] = {};
  set_options(request, sink, headers, message);
  const CURLcode result = curl_easy_perform(curl);
  unseen = result == CURLE_COULDNT_CONNECT || result == CURLE_COULDNT_RESOLVE_HOST || result == CURLE_SSL_CONNECT_ERROR;
  if (result == CURLE_OK || sink.stopped) return {};
  if (sink.too_large) return fail(Code::kLimit, "the answer is larger than {} bytes", kMaxBodyBytes);
  const std::string why = message[0] ? message : curl_easy_strerror(result);
  switch (result) {
    case CURLE_ABORTED_BY_CALLBACK: return fail(Code::kCancelled, "cancelled");
    case CURLE_OPERATION_TIMEDOUT: return fail(Code::kTimeout, "{} stopped answering: {}", base_url, why);
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
      return fail(Code::kUnavailable,
                  "no hub answers at {} ({}); start one with `ignition-hub serve`, or name another with "
                  "--hub or $XINFER_HUB",
                  base_url, why);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return fail(Code::kUntrusted, "the certificate of {} is not trusted: {}", base_url, why);
    default: return fail(Code::kUnavailable, "the connection to {} broke: {}", base_url, why);
  }
}

/// Waits before the next attempt: as long as the server asks, else 0.2 s doubled each time, a third of it random so
/// that clients that failed together do not come back together. False when cancelled meanwhile.
bool Http::State::pause(int attempt, const Response& response) const {
  double seconds = std::min(0.2 * (1 << std::min(attempt, 5)), 5.0);
  seconds *= 0.67 + 0.33 * (std::stoul(base::random_hex(2), nullptr, 16) / 65535.0);
  if (const auto asked = response.headers.find("retry-after"); asked != response.headers.end())
    seconds = std::clamp(std::atof(asked->second.c_str()), seconds, 30.0);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end) {
    if (options.cancelled && options.cancelled()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

Http::Http(std::unique_ptr<State> state) : state_(std::move(state)) {}
Http::Http(Http&&) noexcept = default;
Http& Http::operator=(Http&&) noexcept = default;
Http::~Http() = default;
const std::string& Http::base_url() const { return state_->base_url; }
void Http::set_traceparent(std::string header) { state_->traceparent = std::move(header); }

Result<Http> Http::open(std::string base_url, HttpOptions options) {
  static const CurlLibrary library;  // curl wants one initialisation before any use; a local static is thread-safe
  while (!base_url.empty() && base_url.back() == '/') base_url.pop_back();
  const bool plain = starts_with(base_url, "http://");
  if ((!plain && !starts_with(base_url, "https://")) || host_of(base_url).empty())
    return fail(Code::kInvalidArgument,
                "'{}' is not a hub's address, such as https://hub.example.org or http://127.0.0.1:8080", base_url);
  if (plain && !options.token.empty() && !options.allow_plain_http && !is_loopback(host_of(base_url)))
    return fail(Code::kInvalidArgument,
                "{} is plain HTTP to another machine, so your token would travel readable: use https://, or set "
                "XINFER_ALLOW_HTTP=1 if you trust the whole network",
                base_url);
  auto state = std::make_unique<State>();
  state->base_url = std::move(base_url);
  state->options = std::move(options);
  state->curl = curl_easy_init();
  if (!state->curl) return fail(Code::kOutOfMemory, "curl cannot start");
  return Http(std::move(state));
}

Result<Response> Http::send(const Request& request) {
  for (int attempt = 0;; ++attempt) {
    Sink sink;
    bool unseen = false;
    const auto done = state_->transfer(request, sink, unseen);
    if (done && sink.response.status < 400) return std::move(sink.response);
    const base::Error error = done ? error_of(sink.response, request) : done.error();
    const bool transient =
        done ? is_transient(sink.response.status) : error.code == Code::kUnavailable || error.code == Code::kTimeout;
    // Nobody listens: that seldom changes within seconds.
    const int attempts = unseen ? std::min(state_->options.attempts, 3) : state_->options.attempts;
    if (!transient || attempt + 1 >= attempts || !(request.repeatable || unseen)) return std::unexpected(error);
    if (!state_->pause(attempt, sink.response)) return fail(Code::kCancelled, "cancelled");
  }
}

Result<void> Http::download(const std::string& path, const std::filesystem::path& file,
                            const std::function<void(std::int64_t, std::int64_t)>& on_bytes) {
  std::error_code ignored;
  for (int attempt = 0;; ++attempt) {
    std::int64_t have =
        std::filesystem::exists(file) ? static_cast<std::int64_t>(std::filesystem::file_size(file, ignored)) : 0;
    const std::int64_t had = have;
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(file.c_str(), "ab"), std::fclose);
    if (!out) return std::unexpected(base::Error{Code::kIo, "cannot write", file.string()});

    Request request{.path = path};
    if (have > 0) request.headers["Range"] = fmt::format("bytes={}-", have);
    Sink sink;
    bool full = false;
    sink.on_body = [&](std::string_view bytes) {
      if (have == had && had > 0 && sink.response.status != 206) {  // the server sends the whole file: begin anew
        if (!std::freopen(file.c_str(), "wb", out.get())) return !(full = true);
        have = 0;
      }
      if (std::fwrite(bytes.data(), 1, bytes.size(), out.get()) != bytes.size()) return !(full = true);
      have += static_cast<std::int64_t>(bytes.size());
      if (on_bytes) {
        const auto length = sink.response.headers.find("content-length");
        const std::int64_t left = length == sink.response.headers.end() ? 0 : std::atoll(length->second.c_str());
        on_bytes(have, left == 0 ? 0 : sink.response.status == 206 ? had + left : left);
      }
      return true;
    };
    bool unseen = false;
    const auto done = state_->transfer(request, sink, unseen);
    const bool flushed = std::fflush(out.get()) == 0;
    if (full || !flushed)
      return std::unexpected(base::Error{Code::kIo, "cannot write (is the disk full?)", file.string()});
    if (done && sink.response.status < 400) return {};
    if (done && sink.response.status == 416) {  // the file is longer than what the server has: not a part of it
      out.reset();
      std::filesystem::remove(file, ignored);
      if (had > 0 && attempt + 1 < state_->options.attempts) continue;
    }
    const base::Error error = done ? error_of(sink.response, request) : done.error();
    const bool transient =
        done ? is_transient(sink.response.status) : error.code == Code::kUnavailable || error.code == Code::kTimeout;
    if (have > had) attempt = 0;  // it moves: only attempts in vain count
    if (!transient || attempt + 1 >= (unseen ? 3 : state_->options.attempts)) return std::unexpected(error);
    if (!state_->pause(attempt, sink.response)) return fail(Code::kCancelled, "cancelled");
  }
}

Result<void> Http::events(const std::string& path, const std::function<bool(const ServerEvent&)>& on_event) {
  std::string last_id;
  for (int attempt = 0;; ++attempt) {
    Request request{.path = path, .headers = {{"Accept", "text/event-stream"}}};
    if (!last_id.empty()) request.headers["Last-Event-ID"] = last_id;
    EventParser parser;
    Sink sink;
    bool enough = false;
    sink.on_body = [&](std::string_view bytes) {
      return parser.feed(bytes, [&](const ServerEvent& event) {
        attempt = 0;
        last_id = event.id;
        enough = !on_event(event);
        return !enough;
      });
    };
    bool unseen = false;
    const auto done = state_->transfer(request, sink, unseen);
    if (enough || (done && sink.response.status < 400)) return {};
    const base::Error error = done ? error_of(sink.response, request) : done.error();
    const bool transient =
        done ? is_transient(sink.response.status) : error.code == Code::kUnavailable || error.code == Code::kTimeout;
    if (!transient || attempt + 1 >= (unseen ? 3 : state_->options.attempts)) return std::unexpected(error);
    if (!state_->pause(attempt, sink.response)) return fail(Code::kCancelled, "cancelled");
  }
}

std::string escape(std::string_view text) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out;
  for (const char c : text) {
    if (kPlain.find(c) != kPlain.npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

bool EventParser::feed(std::string_view bytes, const std::function<bool(const ServerEvent&)>& on_event) {
  rest_ += bytes;
  std::size_t start = 0;
  for (std::size_t end; (end = rest_.find('\n', start)) != rest_.npos; start = end + 1) {
    std::string_view line(rest_.data() + start, end - start);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (!take_line(line, on_event)) return false;
  }
  rest_.erase(0, start);
  return true;
}

bool EventParser::take_line(std::string_view line, const std::function<bool(const ServerEvent&)>& on_event) {
  if (line.empty()) {
    bool more = true;
    if (has_data_) {
      event_.id = last_id_;
      more = on_event(event_);
    }
    event_ = {};
    has_data_ = false;
    return more;
  }
  if (line.front() == ':') return true;  // a comment that keeps the connection alive
  const auto colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == line.npos ? std::string_view{} : line.substr(colon + 1);
  if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  if (field == "data") {
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  } else if (field == "event") {
    event_.event = value;
  } else if (field == "id") {
    last_id_ = value;
  }
  return true;
}

}  // namespace xinfer::hub
