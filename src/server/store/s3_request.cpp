#include "server/store/s3_request.h"

#include <curl/curl.h>
#include <sodium.h>

#include <chrono>
#include <ctime>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "base/digest.h"
#include "base/log.h"

namespace xinfer::server::store {

using base::Code;
using base::Result;

namespace {

constexpr std::string_view kUnsigned = "UNSIGNED-PAYLOAD";
constexpr std::size_t kBodyLimit = 16 << 20;  // of answers kept in memory

std::string hmac(std::string_view key, std::string_view text) {
  crypto_auth_hmacsha256_state state;
  std::string mac(crypto_auth_hmacsha256_BYTES, '\0');
  crypto_auth_hmacsha256_init(&state, reinterpret_cast<const unsigned char*>(key.data()), key.size());
  crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  crypto_auth_hmacsha256_final(&state, reinterpret_cast<unsigned char*>(mac.data()));
  return mac;
}

struct Moment {
  std::string day, second;  // "20260131", "20260131T101112Z"
};
Moment now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y%m%dT%H%M%SZ", &parts);
  return {std::string(text, 8), text};
}

std::string canonical_query(const std::map<std::string, std::string>& query) {
  std::string text;
  for (const auto& [name, value] : query)
    text += (text.empty() ? "" : "&") + s3_escape(name, false) + "=" + s3_escape(value, false);
  return text;
}

// "https://host:port" -> "host:port"; default ports are left out, as HTTP clients leave them out of Host.
std::string host_of(const std::string& endpoint) {
  std::string host = endpoint.substr(endpoint.find("://") + 3);
  host = host.substr(0, host.find('/'));
  const std::string port = endpoint.starts_with("https") ? ":443" : ":80";
  if (host.ends_with(port)) host.resize(host.size() - port.size());
  return host;
}

std::string to_sign(const Moment& moment, const std::string& scope, const std::string& canonical) {
  return fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", moment.second, scope, base::sha256(canonical));
}

struct Transfer {
  const S3Request* request = nullptr;
  S3Answer answer;
  bool stopped = false;
};

std::size_t take_body(char* data, std::size_t, std::size_t size, void* user) {
  auto& transfer = *static_cast<Transfer*>(user);
  if (transfer.request->sink && transfer.answer.status < 300) {
    transfer.stopped = !transfer.request->sink({data, size});
    return transfer.stopped ? 0 : size;
  }
  if (transfer.answer.body.size() + size > kBodyLimit) return 0;
  transfer.answer.body.append(data, size);
  return size;
}

std::size_t take_header(char* data, std::size_t, std::size_t size, void* user) {
  S3Answer& answer = static_cast<Transfer*>(user)->answer;
  std::string line(data, size);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.pop_back();
  if (line.starts_with("HTTP/")) {
    const std::size_t space = line.find(' ');
    answer.status = space == std::string::npos ? 0 : std::atoi(line.c_str() + space);
  }
  const std::size_t colon = line.find(": ");
  if (colon == std::string::npos) return size;
  for (std::size_t i = 0; i < colon; ++i)
    if (line[i] >= 'A' && line[i] <= 'Z') line[i] += 'a' - 'A';
  if (line.starts_with("etag: ")) answer.etag = line.substr(colon + 2);
  if (line.starts_with("content-length: ")) answer.length = std::strtoull(line.c_str() + colon + 2, nullptr, 10);
  return size;
}

}  // namespace

std::string s3_escape(std::string_view text, bool keep_slash) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~' || (keep_slash && c == '/');
    if (plain) out += c;
    else out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string s3_signature(const std::string& secret_key, const std::string& day, const std::string& region,
                         const std::string& text) {
  const std::string key = hmac(hmac(hmac(hmac("AWS4" + secret_key, day), region), "s3"), "aws4_request");
  const std::string signature = hmac(key, text);
  return base::to_hex(std::as_bytes(std::span(signature)));
}

std::string xml_text(std::string_view xml, std::string_view element) {
  const std::string open = fmt::format("<{}>", element), close = fmt::format("</{}>", element);
  const std::size_t begin = xml.find(open);
  if (begin == std::string_view::npos) return "";
  const std::size_t end = xml.find(close, begin);
  if (end == std::string_view::npos) return "";
  return std::string(xml.substr(begin + open.size(), end - begin - open.size()));
}

class S3Connection::State {
 public:
  explicit State(S3Options options) : options(std::move(options)) {
    while (this->options.endpoint.ends_with('/')) this->options.endpoint.pop_back();
    if (this->options.public_endpoint.empty()) this->options.public_endpoint = this->options.endpoint;
    while (this->options.public_endpoint.ends_with('/')) this->options.public_endpoint.pop_back();
  }
  ~State() {
    for (CURL* curl : idle_) curl_easy_cleanup(curl);
  }

  // One try. Nothing came whole where it is an error.
  Result<Transfer> once(const S3Request& request);

  S3Options options;

 private:
  CURL* take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return curl_easy_init();
    CURL* curl = idle_.back();
    idle_.pop_back();
    curl_easy_reset(curl);  // keeps its connection
    return curl;
  }
  void give(CURL* curl) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(curl);
  }
  std::string authorization(const S3Request& request, const Moment& moment, const std::string& payload) const;
  std::mutex mutex_;
  std::vector<CURL*> idle_;
};

std::string S3Connection::State::authorization(const S3Request& request, const Moment& moment,
                                               const std::string& payload) const {
  constexpr std::string_view kHeaders = "host;x-amz-content-sha256;x-amz-date";
  const std::string canonical =
      fmt::format("{}\n{}\n{}\nhost:{}\nx-amz-content-sha256:{}\nx-amz-date:{}\n\n{}\n{}", request.method,
                  s3_escape(request.path, true), canonical_query(request.query), host_of(options.endpoint), payload,
                  moment.second, kHeaders, payload);
  const std::string scope = fmt::format("{}/{}/s3/aws4_request", moment.day, options.region);
  return fmt::format("Authorization: AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}",
                     options.access_key, scope, kHeaders,
                     s3_signature(options.secret_key, moment.day, options.region, to_sign(moment, scope, canonical)));
}

Result<Transfer> S3Connection::State::once(const S3Request& request) {
  Transfer transfer;
  transfer.request = &request;
  const Moment moment = now_utc();
  const std::string payload = request.body_sha256.empty() ? base::sha256(request.body) : request.body_sha256;
  std::string url = options.endpoint + s3_escape(request.path, true);
  if (!request.query.empty()) url += "?" + canonical_query(request.query);
  CURL* curl = take();
  if (!curl) return base::fail(Code::kOutOfMemory, "curl cannot start");
  char message[CURL_ERROR_SIZE] = {};
  curl_slist* headers = nullptr;
  for (const std::string& line :
       {authorization(request, moment, payload), "x-amz-date: " + moment.second, "x-amz-content-sha256: " + payload,
        std::string("Content-Type: application/octet-stream"), std::string("Expect:")})
    headers = curl_slist_append(headers, line.c_str());
  if (request.offset > 0)
    headers = curl_slist_append(headers, fmt::format("Range: bytes={}-", request.offset).c_str());
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options.timeout_ms));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, std::max(1L, static_cast<long>(options.timeout_ms / 1000)));
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  if (request.method == "HEAD") curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  if (request.method == "PUT" || request.method == "POST") {
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.empty() ? "" : request.body.data());
  }
  if (request.method != "HEAD") curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  const CURLcode result = curl_easy_perform(curl);
  curl_slist_free_all(headers);
  give(curl);
  if (result != CURLE_OK && !transfer.stopped)
    return base::fail(Code::kUnavailable, "{}: {}", options.endpoint, message[0] ? message : curl_easy_strerror(result));
  return transfer;
}

S3Connection::S3Connection(S3Options options) : state_(std::make_unique<State>(std::move(options))) {}
S3Connection::~S3Connection() = default;

Result<S3Answer> S3Connection::send(const S3Request& original) {
  S3Request request = original;
  // What the sink has taken is not asked for again.
  if (original.sink)
    request.sink = [&](std::string_view bytes) {
      request.offset += bytes.size();
      return original.sink(bytes);
    };
  std::string why;
  for (int attempt = 0; attempt < state_->options.attempts; ++attempt) {
    if (attempt > 0) {
      base::log(base::LogLevel::kWarning, "object store", {{"error", why}, {"attempt", std::to_string(attempt)}});
      std::this_thread::sleep_for(std::chrono::milliseconds(100 << std::min(attempt, 5)));
    }
    auto transfer = state_->once(request);
    if (!transfer) {
      if (transfer.error().code != Code::kUnavailable) return std::unexpected(transfer.error());
      why = transfer.error().message;
      continue;
    }
    if (transfer->answer.status < 500) return std::move(transfer->answer);
    why = fmt::format("status {} {}", transfer->answer.status, xml_text(transfer->answer.body, "Code"));
  }
  return std::unexpected(base::Error{Code::kUnavailable, "the object store does not answer: " + why, "store"});
}

std::string S3Connection::presign(const std::string& method, const std::string& path,
                                  std::map<std::string, std::string> query, std::int64_t valid_s) const {
  const S3Options& options = state_->options;
  const Moment moment = now_utc();
  const std::string scope = fmt::format("{}/{}/s3/aws4_request", moment.day, options.region);
  query["X-Amz-Algorithm"] = "AWS4-HMAC-SHA256";
  query["X-Amz-Credential"] = options.access_key + "/" + scope;
  query["X-Amz-Date"] = moment.second;
  query["X-Amz-Expires"] = std::to_string(valid_s);
  query["X-Amz-SignedHeaders"] = "host";
  const std::string canonical =
      fmt::format("{}\n{}\n{}\nhost:{}\n\nhost\n{}", method, s3_escape(path, true), canonical_query(query),
                  host_of(options.public_endpoint), kUnsigned);
  const std::string signature =
      s3_signature(options.secret_key, moment.day, options.region, to_sign(moment, scope, canonical));
  return fmt::format("{}{}?{}&X-Amz-Signature={}", options.public_endpoint, s3_escape(path, true),
                     canonical_query(query), signature);
}

}  // namespace xinfer::server::store
