// The plan's own consistency: a signed engine from a faulty builder must not make the runtime touch foreign memory.
#include <algorithm>
#include <limits>
#include <utility>

#include "engine/engine.h"
#include "tensor/text.h"

namespace xinfer::engine {

using base::Code;
using base::fail;

namespace {

constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;

base::Result<std::uint64_t> capacity(const Plan& plan, const TensorInfo& info, std::string_view kind) {
  std::size_t element = tensor::stored_bytes(info.dtype);
  if (element == 0) return fail(Code::kCorrupt, "{} '{}' has an unknown element type", kind, info.name);
  std::int64_t count = 1;
  for (std::size_t i = 0; i < info.shape.size(); ++i) {
    std::int64_t size = info.shape[i];
    if (size < 0) {
      auto formula = i < info.symbols.size() ? find_size(plan, info.symbols[i]) : std::nullopt;
      const std::int64_t max = formula ? formula->max() : -1;
      if (max < 0) return fail(Code::kCorrupt, "{} '{}': the size of dimension {} is not defined", kind, info.name, i);
      size = max;
    }
    if (size > kMaxElements || (size > 0 && count > kMaxElements / size))
      return fail(Code::kCorrupt, "{} '{}' is too large", kind, info.name);
    count *= size;
  }
  return static_cast<std::uint64_t>(count) * element;
}

struct Extents {
  std::uint64_t arena, weights;
  std::vector<std::uint64_t> inputs, outputs;
};

base::Result<void> check_argument(const BufferRef& ref, const Extents& extents) {
  std::uint64_t limit = 0;
  switch (ref.space) {
    case BufferRef::Space::kArena: limit = extents.arena; break;
    case BufferRef::Space::kWeights: limit = extents.weights; break;
    case BufferRef::Space::kInput:
    case BufferRef::Space::kOutput: {
      const auto& sizes = ref.space == BufferRef::Space::kInput ? extents.inputs : extents.outputs;
      if (ref.index >= sizes.size()) return fail(Code::kCorrupt, "refers to an input or output that does not exist");
      limit = sizes[ref.index];
      break;
    }
    case BufferRef::Space::kText: break;
    default: return fail(Code::kCorrupt, "refers to an unknown memory space");
  }
  if (ref.offset > limit || ref.bytes > limit - ref.offset)
    return fail(Code::kCorrupt, "bytes {} to {} are outside of their {}-byte buffer", ref.offset,
                ref.offset + ref.bytes, limit);
  return {};
}

bool is_string(const TensorInfo& info) { return info.dtype == tensor::DType::kString; }
bool takes_text(const Launch& launch) {
  return std::ranges::any_of(launch.arguments, [](const BufferRef& ref) { return ref.space == BufferRef::Space::kText; });
}

// Limits of every GPU that has ever had clusters or large shared memory; the driver knows those of the one at hand.
base::Result<void> check_grid(const Grid& grid, bool gpu_code, bool strings) {
  if ((grid.blocks > 0) != gpu_code) return fail(Code::kCorrupt, "mixes code of a CPU and of a GPU");
  if (grid.blocks == 0) return {};
  if (strings) return fail(Code::kCorrupt, "has code of a GPU, and there are strings");
  if (grid.threads == 0 || grid.threads > 1024 || grid.cluster == 0 || grid.cluster > 16 ||
      grid.blocks % grid.cluster != 0 || grid.blocks > INT32_MAX || grid.shared_bytes > (256u << 10))
    return fail(Code::kCorrupt, "has an impossible grid of {} blocks of {} threads", grid.blocks, grid.threads);
  return {};
}

base::Result<void> check_tiled(const TiledMatrix& m, const Launch& launch) {
  constexpr std::uint64_t kMostRows = std::uint64_t{1} << 32, kMostColumns = std::uint64_t{1} << 28, kElement = 2;
  if (launch.grid.blocks == 0 || m.argument >= launch.arguments.size())
    return fail(Code::kCorrupt, "describes argument {}, which is no matrix of a GPU kernel", m.argument);
  if (m.rows == 0 || m.rows > kMostRows || m.columns == 0 || m.columns > kMostColumns || m.columns % 8 != 0 || m.tile_rows == 0 || m.tile_rows > 256 ||
      m.rows * m.columns * kElement > launch.arguments[m.argument].bytes)
    return fail(Code::kCorrupt, "argument {} is no matrix of {} by {} elements", m.argument, m.rows, m.columns);
  return {};
}

// A word that the runtime reads or writes itself between launches.
base::Result<void> check_word(const BufferRef& ref, std::uint64_t bytes, const Extents& extents, std::string_view what) {
  if (ref.bytes == 0) return {};
  if (ref.bytes != bytes || ref.offset % bytes != 0 || ref.space == BufferRef::Space::kText)
    return fail(Code::kCorrupt, "its {} does not lie in {} aligned bytes", what, bytes);
  return check_argument(ref, extents);
}

base::Result<void> check_region(const Plan& plan, const Region& region, const Extents& extents) {
  if (region.begin >= region.end || region.end > plan.launches.size()) return fail(Code::kCorrupt, "has launches that do not exist");
  XI_CHECK(check_word(region.condition, 1, extents, "condition"));
  XI_CHECK(check_word(region.limit, 8, extents, "limit"));
  XI_CHECK(check_word(region.iteration, 8, extents, "count"));
  if (region.symbol < -1 || region.symbol >= static_cast<std::int64_t>(plan.symbols.size())) return fail(Code::kCorrupt, "counts in a symbol that does not exist");
  const bool counts = region.limit.bytes > 0 || region.iteration.bytes > 0 || region.symbol >= 0;
  if (region.repeats ? region.condition.bytes + region.limit.bytes == 0 : region.condition.bytes == 0 || counts)
    return fail(Code::kCorrupt, "says not when it runs");
  if (region.iteration.bytes > 0 && region.iteration.space != BufferRef::Space::kArena) return fail(Code::kCorrupt, "counts outside of the arena");
  if (region.repeats && plan.launches[region.begin].grid.blocks > 0) return fail(Code::kCorrupt, "repeats on a GPU");
  return {};
}

// Each lies wholly inside of those that it lies in at all.
base::Result<void> check_regions(const Plan& plan, const Extents& extents) {
  std::vector<std::uint32_t> ends;  // of those around
  for (std::size_t i = 0; i < plan.regions.size(); ++i) {
    const Region& region = plan.regions[i];
    const std::string where = fmt::format("region {}", i);
    if (auto ok = check_region(plan, region, extents); !ok) return std::unexpected(std::move(ok).error().in(where));
    while (!ends.empty() && ends.back() <= region.begin) ends.pop_back();
    if ((i > 0 && region.begin < plan.regions[i - 1].begin) || (!ends.empty() && region.end > ends.back()))
      return std::unexpected(base::Error{Code::kCorrupt, "does not nest with those around it", where});
    ends.push_back(region.end);
  }
  return {};
}

}  // namespace

std::optional<tensor::Size> find_size(const Plan& plan, std::string_view formula) {
  return tensor::Size::parse(formula, [&](std::string_view name) -> std::optional<tensor::Symbol> {
    for (const auto& symbol : plan.symbols)
      if (symbol.name == name) return tensor::Symbol{symbol.name, symbol.min, symbol.opt, symbol.max};
    return std::nullopt;
  });
}

base::Result<std::uint64_t> capacity_bytes(const Plan& plan, const TensorInfo& info) {
  return capacity(plan, info, "tensor");
}

namespace {

// A plan whose launches call `kernels`.
base::Result<void> check_launches(const Plan& plan, const std::vector<Kernel>& kernels, std::uint64_t weights_bytes) {
  Extents extents{plan.arena_bytes, weights_bytes, {}, {}};
  for (const auto& symbol : plan.symbols)
    if (symbol.name != tensor::symbol_name(symbol.name) || symbol.min < 0 || symbol.min > symbol.max || symbol.max > kMaxElements)
      return fail(Code::kCorrupt, "the symbol '{}' has an impossible name or range", symbol.name);
  for (const auto& info : plan.inputs) {
    XI_TRY(std::uint64_t bytes, capacity(plan, info, "input"));
    extents.inputs.push_back(bytes);
  }
  for (const auto& info : plan.outputs) {
    XI_TRY(std::uint64_t bytes, capacity(plan, info, "output"));
    extents.outputs.push_back(bytes);
  }
  const bool strings = std::ranges::any_of(plan.inputs, is_string) || std::ranges::any_of(plan.outputs, is_string);
  for (std::size_t i = 0; i < plan.launches.size(); ++i) {
    const Launch& launch = plan.launches[i];
    std::string where = fmt::format("launch {} ({})", i, launch.name);
    if (launch.kernel >= kernels.size())
      return std::unexpected(base::Error{Code::kCorrupt, "calls a kernel that does not exist", where});
    if (auto ok = check_grid(launch.grid, kernels[launch.kernel].code_bytes > 0, strings || takes_text(launch)); !ok)
      return std::unexpected(std::move(ok).error().in(where));
    if (launch.num_tasks < 0 || launch.num_tasks > std::numeric_limits<std::uint32_t>::max())
      return std::unexpected(base::Error{Code::kCorrupt, "has an impossible number of tasks", where});
    if (auto tasks = launch.tasks.empty() ? tensor::Size(0) : find_size(plan, launch.tasks); !tasks || tasks->max() > launch.num_tasks || tasks->min() < 0)
      return std::unexpected(base::Error{Code::kCorrupt, "has an impossible number of tasks", where});
    if (launch.scratch_bytes > plan.scratch_bytes)
      return std::unexpected(base::Error{Code::kCorrupt, "needs more scratch memory than the plan has", where});
    for (std::size_t k = 0; k < launch.arguments.size(); ++k)
      if (auto ok = check_argument(launch.arguments[k], extents); !ok)
        return std::unexpected(std::move(ok).error().in(fmt::format("{}, argument {}", where, k)));
    for (const TiledMatrix& matrix : launch.tiled)
      if (auto ok = check_tiled(matrix, launch); !ok) return std::unexpected(std::move(ok).error().in(where));
  }
  return check_regions(plan, extents);
}

// A profile takes and gives what its plan does, in buffers made for that one.
base::Result<void> check_profile(const Plan& plan, const Plan& profile) {
  if (!profile.kernels.empty() || !profile.profiles.empty()) return fail(Code::kCorrupt, "a profile has kernels or profiles of its own");
  for (auto [ours, theirs] : {std::pair(&profile.inputs, &plan.inputs), std::pair(&profile.outputs, &plan.outputs)}) {
    if (ours->size() != theirs->size()) return fail(Code::kCorrupt, "a profile has other inputs or outputs than the engine");
    for (std::size_t i = 0; i < ours->size(); ++i) {
      const TensorInfo &a = (*ours)[i], &b = (*theirs)[i];
      if (a.name != b.name || a.dtype != b.dtype || a.shape.size() != b.shape.size())
        return fail(Code::kCorrupt, "a profile has '{}' where the engine has '{}'", a.name, b.name);
      XI_TRY(const std::uint64_t needed, capacity(profile, a, "profile's"));
      XI_TRY(const std::uint64_t there, capacity(plan, b, "engine's"));
      if (needed > there) return fail(Code::kCorrupt, "'{}' is larger in a profile than in the engine", a.name);
    }
  }
  return {};
}

}  // namespace

base::Result<void> check(const Plan& plan, std::uint64_t code_bytes, std::uint64_t weights_bytes) {
  for (const auto& kernel : plan.kernels)
    if (kernel.code_offset >= code_bytes || kernel.code_bytes > code_bytes - kernel.code_offset)
      return fail(Code::kCorrupt, "kernel {} lies outside of the code section", kernel.symbol);
  XI_CHECK(check_launches(plan, plan.kernels, weights_bytes));
  for (const Plan& profile : plan.profiles) {
    XI_CHECK(check_profile(plan, profile));
    XI_CHECK(check_launches(profile, plan.kernels, weights_bytes));
  }
  return {};
}

}  // namespace xinfer::engine
