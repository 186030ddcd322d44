// Access tokens: where they are kept and which one a hub gets.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "base/digest.h"
#include "base/files.h"
#include "hub/client.h"

namespace xinfer::hub {
namespace {

using base::Code;
using base::Result;

struct Line {
  std::string url, token;  // without a URL: for hubs on this machine
};

std::vector<Line> read_lines(const std::filesystem::path& path) {
  std::vector<Line> lines;
  const auto text = base::read_file(path, 1 << 20);
  if (!text) return lines;
  std::istringstream stream(*text);
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string first, second;
    words >> first >> second;
    if (first.empty()) continue;
    lines.push_back(second.empty() ? Line{"", first} : Line{hub_url(first), second});
  }
  return lines;
}

/// Replaces the file whole; others can never read it, not even for a moment.
Result<void> write_private(const std::filesystem::path& path, const std::string& text) {
  std::error_code failed;
  std::filesystem::create_directories(path.parent_path(), failed);
  const std::filesystem::path fresh = path.string() + "." + base::random_hex(8);
  const int descriptor = open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0) return std::unexpected(base::Error{Code::kIo, std::strerror(errno), fresh.string()});
  const bool whole = write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (close(descriptor) != 0 || !whole || (std::filesystem::rename(fresh, path, failed), failed)) {
    unlink(fresh.c_str());
    return std::unexpected(base::Error{Code::kIo, "cannot write (is the disk full?)", path.string()});
  }
  return {};
}

}  // namespace

bool is_loopback_url(std::string_view url) {
  url.remove_prefix(std::min(url.find("://") + 3, url.size()));
  std::string_view host = url.substr(0, url.find_first_of("/?#"));
  if (host.starts_with("[::1]") || host == "localhost" || host.starts_with("localhost:")) return true;
  host = host.substr(0, host.find(':'));
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == host.npos;
}

std::string hub_token(const std::string& url, const std::string& token) {
  if (!token.empty()) return token;
  if (const char* value = std::getenv("XINFER_TOKEN"); value && *value) return value;
  std::string local;
  for (const Line& line : read_lines(config_folder() / "token")) {
    if (line.url == url) return line.token;
    if (line.url.empty() && is_loopback_url(url)) local = line.token;
  }
  return local;
}

Result<void> store_token(const std::string& url, const std::string& token) {
  if (token.find_first_of(" \t\r\n#") != token.npos)
    return base::fail(Code::kInvalidArgument, "a token has no blanks and no '#' in it");
  const auto path = config_folder() / "token";
  std::string text = "# Access tokens of xinfer: URL TOKEN\n";
  for (const Line& line : read_lines(path))
    if (line.url != url) text += line.url.empty() ? line.token + "\n" : line.url + " " + line.token + "\n";
  if (!token.empty()) text += url + " " + token + "\n";
  return write_private(path, text);
}

}  // namespace xinfer::hub
