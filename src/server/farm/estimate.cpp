#include "server/farm/estimate.h"

#include <algorithm>
#include <cmath>

namespace xinfer::server::farm {
namespace {

constexpr const char* kCompile = "compile";
constexpr const char* kFirst = "download";  // of an agent, before the compiler's own stages

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

}  // namespace

void History::add(const api::BuildReport& report) {
  if (report.stages.empty()) return;
  ++builds_;
  for (const api::StageTime& stage : report.stages) {
    if (std::ranges::find(stages_, stage.name) == stages_.end()) stages_.push_back(stage.name);
    stage_ms_[stage.name].push_back(stage.milliseconds);
    if (stage.name == kCompile && report.kernels && *report.kernels > 0)
      kernel_ms_.push_back(stage.milliseconds / static_cast<double>(*report.kernels));
  }
}

std::optional<std::int64_t> History::remaining_ms(const api::Progress& progress) const {
  if (builds_ < kFewest) return std::nullopt;
  auto stage = std::ranges::find(stages_, progress.stage);
  double left = 0;
  if (stage == stages_.end()) {
    if (progress.stage != kFirst) return std::nullopt;
    stage = stages_.begin();
  } else {
    const bool by_kernel = progress.stage == kCompile && progress.total > 0 && !kernel_ms_.empty();
    const double whole = by_kernel ? median(kernel_ms_) * static_cast<double>(progress.total) : median(stage_ms_.at(*stage));
    const double done = progress.total > 0 ? static_cast<double>(progress.done) / static_cast<double>(progress.total) : 0;
    left = whole * std::clamp(1 - done, 0.0, 1.0);
    ++stage;
  }
  for (; stage != stages_.end(); ++stage) left += median(stage_ms_.at(*stage));
  return std::llround(left);
}

}  // namespace xinfer::server::farm
