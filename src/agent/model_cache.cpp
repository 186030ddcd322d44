#include "agent/model_cache.h"

#include <algorithm>
#include <vector>

#include "base/digest.h"

namespace xinfer::agent {

namespace fs = std::filesystem;
using base::Result;

Result<bool> ModelCache::take(const std::string& sha256, const fs::path& file,
                              const std::function<Result<void>(const fs::path&)>& fetch) const {
  const fs::path kept = folder_ / sha256;
  std::error_code error;
  if (limit_bytes_ > 0 && base::is_sha256(sha256)) {
    fs::create_hard_link(kept, file, error);
    if (!error) {
      // Without a sandbox a build could have written to it.
      const auto digest = base::sha256_file(file);
      if (digest && *digest == sha256) {
        fs::last_write_time(kept, fs::file_time_type::clock::now(), error);
        return true;
      }
      fs::remove(kept, error);
      fs::remove(file, error);
    }
  }
  XI_CHECK(fetch(file));
  if (limit_bytes_ > 0) keep(sha256, file);
  return false;
}

// A model that cannot be kept is fetched again: no error.
void ModelCache::keep(const std::string& sha256, const fs::path& file) const {
  std::error_code error;
  fs::create_directories(folder_, error);
  fs::create_hard_link(file, folder_ / sha256, error);
  make_room();
}

// What was not used for the longest time goes first. A build that still uses a file has a name of its own for it.
void ModelCache::make_room() const {
  struct Kept {
    fs::file_time_type used;
    std::uintmax_t bytes;
    fs::path path;
  };
  std::vector<Kept> all;
  std::uintmax_t total = 0;
  std::error_code error;
  for (fs::directory_iterator entry(folder_, error), end; !error && entry != end; entry.increment(error)) {
    std::error_code gone;
    Kept kept{entry->last_write_time(gone), entry->file_size(gone), entry->path()};
    if (gone) continue;
    total += kept.bytes;
    all.push_back(std::move(kept));
  }
  std::ranges::sort(all, {}, &Kept::used);
  for (std::size_t i = 0; i + 1 < all.size() && total > static_cast<std::uintmax_t>(limit_bytes_); ++i) {
    fs::remove(all[i].path, error);
    total -= all[i].bytes;
  }
}

}  // namespace xinfer::agent
