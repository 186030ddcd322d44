// How long a build still takes, by what earlier builds for its target took. Pure.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/types.h"

namespace xinfer::server::farm {

/// Times of the last builds for one target.
class History {
 public:
  static constexpr std::size_t kFewest = 3;  // builds that an estimate is made from

  void add(const api::BuildReport& report);
  /// Medians of the stages still to come, and of the present one for what is left of it: compilation by its kernels. Nothing
  /// where there were too few builds, or where earlier builds had no such stage.
  std::optional<std::int64_t> remaining_ms(const api::Progress& progress) const;
  std::int64_t builds() const { return static_cast<std::int64_t>(builds_); }

 private:
  std::vector<std::string> stages_;  // in the order of a build
  std::map<std::string, std::vector<double>> stage_ms_;
  std::vector<double> kernel_ms_;  // compilation by kernel
  std::size_t builds_ = 0;
};

}  // namespace xinfer::server::farm
