// The models that this agent has fetched, by content, so that a matrix build fetches its model once. Agents may share it.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/error.h"

namespace xinfer::agent {

class ModelCache {
 public:
  /// Files below `folder`, together at most `limit_bytes` but for the one in use; 0: nothing is kept.
  ModelCache(std::filesystem::path folder, std::int64_t limit_bytes) : folder_(std::move(folder)), limit_bytes_(limit_bytes) {}

  /// Puts the model of this digest at `file`: from here, or by `fetch(file)`, which checks what came. Whether it was here.
  [[nodiscard]] base::Result<bool> take(const std::string& sha256, const std::filesystem::path& file,
                                        const std::function<base::Result<void>(const std::filesystem::path&)>& fetch) const;

 private:
  void keep(const std::string& sha256, const std::filesystem::path& file) const;
  void make_room() const;
  const std::filesystem::path folder_;
  const std::int64_t limit_bytes_;
};

}  // namespace xinfer::agent
