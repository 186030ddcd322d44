// Plans of one model for different ranges, in one schedule.
#include <algorithm>
#include <map>
#include <span>
#include <string>

#include "base/digest.h"
#include "schedule/schedule.h"

namespace xinfer::schedule {

namespace {

using Space = engine::BufferRef::Space;

std::span<const std::byte> piece(const Schedule& schedule, std::size_t index) {
  const std::size_t begin = schedule.pieces[index];
  const std::size_t end = index + 1 < schedule.pieces.size() ? schedule.pieces[index + 1] : schedule.weights.size();
  return std::span(schedule.weights).subspan(begin, end - begin);
}

// Where each of the profile's pieces lies in the joined weights; what is not there yet is appended.
std::vector<std::uint64_t> join_weights(Schedule& schedule, const Schedule& profile) {
  std::map<std::string, std::uint64_t> known;  // by content
  for (std::size_t i = 0; i < schedule.pieces.size(); ++i) known.emplace(base::sha256(piece(schedule, i)), schedule.pieces[i]);
  std::vector<std::uint64_t> moved;
  for (std::size_t i = 0; i < profile.pieces.size(); ++i) {
    const std::span<const std::byte> bytes = piece(profile, i);
    const auto [found, fresh] = known.emplace(base::sha256(bytes), schedule.weights.size());
    if (fresh) {
      schedule.pieces.push_back(schedule.weights.size());
      schedule.weights.insert(schedule.weights.end(), bytes.begin(), bytes.end());
    }
    moved.push_back(found->second);
  }
  return moved;
}

}  // namespace

void add_profile(Schedule& schedule, Schedule profile) {
  const std::vector<std::uint64_t> moved = join_weights(schedule, profile);
  std::vector<std::uint32_t> renumbered;
  for (forge::KernelSource& kernel : profile.kernels) {
    const auto known = std::ranges::find(schedule.kernels, kernel.symbol, &forge::KernelSource::symbol);
    renumbered.push_back(static_cast<std::uint32_t>(known - schedule.kernels.begin()));
    if (known != schedule.kernels.end()) continue;
    schedule.plan.kernels.push_back({kernel.symbol, 0});
    schedule.kernels.push_back(std::move(kernel));
  }
  for (engine::Launch& launch : profile.plan.launches) {
    launch.kernel = renumbered[launch.kernel];
    for (engine::BufferRef& ref : launch.arguments) {
      if (ref.space != Space::kWeights) continue;
      const auto after = std::ranges::upper_bound(profile.pieces, ref.offset);
      const auto index = static_cast<std::size_t>(after - profile.pieces.begin()) - 1;
      ref.offset = moved[index] + (ref.offset - profile.pieces[index]);
    }
  }
  profile.plan.kernels.clear();
  schedule.plan.profiles.push_back(std::move(profile.plan));
}

}  // namespace xinfer::schedule
