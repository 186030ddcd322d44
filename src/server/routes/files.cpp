// Files over HTTP: RFC 9110 validators and ranges.
#include <charconv>

#include "server/routes/route.h"
#include "server/services.h"

namespace xinfer::server::routes {
namespace {

struct Range {
  std::uint64_t first = 0, last = 0;
};
enum class RangeKind { kNone, kOne, kUnsatisfiable };

// One range of bytes; several, other units and malformed ones are ignored, as RFC 9110 (14.2) allows.
RangeKind parse_range(std::string_view text, std::uint64_t size, Range& range) {
  constexpr std::string_view kUnit = "bytes=";
  if (!text.starts_with(kUnit) || text.find(',') != std::string_view::npos) return RangeKind::kNone;
  text.remove_prefix(kUnit.size());
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return RangeKind::kNone;
  const auto number = [](std::string_view digits, std::uint64_t& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  const std::string_view first = text.substr(0, dash), last = text.substr(dash + 1);
  if (first.empty()) {  // the last N bytes
    std::uint64_t count = 0;
    if (!number(last, count)) return RangeKind::kNone;
    if (count == 0 || size == 0) return RangeKind::kUnsatisfiable;
    range = {size - std::min(size, count), size - 1};
    return RangeKind::kOne;
  }
  if (!number(first, range.first)) return RangeKind::kNone;
  range.last = size == 0 ? 0 : size - 1;
  if (!last.empty()) {
    std::uint64_t end = 0;
    if (!number(last, end) || end < range.first) return RangeKind::kNone;
    range.last = std::min(range.last, end);
  }
  return range.first >= size ? RangeKind::kUnsatisfiable : RangeKind::kOne;
}

bool matches_etag(std::string_view list, std::string_view etag) {
  if (list == "*") return true;
  while (!list.empty()) {
    std::string_view item = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), item.size() + 1));
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (item.starts_with("W/")) item.remove_prefix(2);
    if (item == etag) return true;
  }
  return false;
}

// A file with validators and ranges.
http::Response file_response(const http::Request& request, const std::filesystem::path& file, std::uint64_t size,
                             const std::string& etag, bool immutable, const std::string& name) {
  const std::string quoted = '"' + etag + '"';
  http::Response response;
  response.headers = {{"ETag", quoted},
                      {"Accept-Ranges", "bytes"},
                      {"Cache-Control", immutable ? "private, max-age=31536000, immutable" : "no-cache"}};
  if (const std::string& none = request.header("if-none-match"); !none.empty() && matches_etag(none, quoted)) {
    response.status = 304;
    return response;
  }
  response.headers.emplace_back("Content-Type", "application/octet-stream");
  if (!name.empty())
    response.headers.emplace_back("Content-Disposition", fmt::format("attachment; filename=\"{}\"", name));
  const std::string& if_range = request.header("if-range");
  Range range;
  const RangeKind kind =
      !if_range.empty() && if_range != quoted ? RangeKind::kNone : parse_range(request.header("range"), size, range);
  if (kind == RangeKind::kUnsatisfiable) {
    http::Response refused =
        http::Response::error({base::Code::kInvalidArgument, fmt::format("the file has {} bytes", size), "Range"});
    refused.status = 416;
    refused.headers.emplace_back("Content-Range", fmt::format("bytes */{}", size));
    return refused;
  }
  if (kind == RangeKind::kOne) {
    response.status = 206;
    response.headers.emplace_back("Content-Range", fmt::format("bytes {}-{}/{}", range.first, range.last, size));
    response.file = {file, range.first, range.last - range.first + 1};
  } else {
    response.file = {file, 0, size};
  }
  return response;
}

}  // namespace

Reply send_object(Services& services, const Call& call, const std::string& digest, bool immutable,
                  const std::string& name) {
  if (auto link = services.store.link(digest, call.request.method, name)) {
    http::Response response;
    response.status = 302;
    response.headers = {{"Location", std::move(*link)}, {"Cache-Control", "no-store"}};
    return response;
  }
  XI_TRY(const auto path, services.store.local_file(digest));
  std::error_code error;
  const std::uint64_t size = std::filesystem::file_size(path, error);
  if (error) return base::fail(base::Code::kNotFound, "no object {}", digest);
  return file_response(call.request, path, size, digest, immutable, name);
}

}  // namespace xinfer::server::routes
