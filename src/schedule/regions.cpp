#include "schedule/regions.h"

#include <algorithm>
#include <iterator>

namespace xinfer::schedule {

namespace {

class Regions {
 public:
  Regions(const std::vector<Guard>& guards, const std::vector<LoopRange>& loops, const std::vector<Buffer>& buffers,
          const std::function<Argument(ir::ValueId)>& place)
      : guards_(guards), loops_(loops), buffers_(buffers), place_(place) {}

  std::vector<engine::Region> run() {
    group(0, guards_.size(), 0, {});
    return std::move(regions_);
  }

 private:
  // The loop of that depth that begins there, or null.
  const LoopRange* loop_at(std::size_t launch, std::size_t depth) const {
    const auto found = std::ranges::find_if(loops_, [&](const LoopRange& loop) { return loop.begin == launch && loop.depth == depth; });
    return found == loops_.end() ? nullptr : &*found;
  }

  // A launch alone, or a loop as a whole.
  std::size_t item_end(std::size_t begin, std::size_t depth) const {
    const LoopRange* loop = loop_at(begin, depth);
    return loop ? loop->end : begin + 1;
  }
  Guard item_guard(std::size_t begin, std::size_t depth) const {
    Guard guard = guards_[begin];
    for (std::size_t i = begin + 1; i < item_end(begin, depth); ++i) {
      Guard both;
      std::ranges::set_intersection(guard, guards_[i], std::back_inserter(both));
      guard = std::move(both);
    }
    return guard;
  }

  // Launches [begin, end) inside of `depth` loops, for all of which `held` has been asked.
  void group(std::size_t begin, std::size_t end, std::size_t depth, const Guard& held) {
    while (begin < end) {
      std::optional<Literal> longest;
      std::size_t reach = item_end(begin, depth);
      for (const Literal& literal : item_guard(begin, depth)) {
        if (implies(held, {literal})) continue;
        std::size_t to = item_end(begin, depth);
        while (to < end && implies(item_guard(to, depth), {literal})) to = item_end(to, depth);
        if (!longest || to > reach) longest = literal, reach = to;
      }
      if (longest) {
        add(begin, reach, place_(longest->condition), longest->wanted);
        Guard more = held;
        more.insert(std::ranges::lower_bound(more, *longest), *longest);
        group(begin, reach, depth, more);
      } else if (const LoopRange* loop = loop_at(begin, depth)) {
        engine::Region& region = add(begin, reach, loop->condition, true);
        region.repeats = true, region.symbol = loop->symbol;
        if (loop->limit.bytes > 0) region.limit = resolve(buffers_, loop->limit);
        if (loop->iteration.bytes > 0) region.iteration = resolve(buffers_, loop->iteration);
        group(begin, reach, depth + 1, held);
      }
      begin = reach;
    }
  }

  engine::Region& add(std::size_t begin, std::size_t end, const Argument& condition, bool wanted) {
    engine::Region& region = regions_.emplace_back();
    region.begin = static_cast<std::uint32_t>(begin), region.end = static_cast<std::uint32_t>(end), region.wanted = wanted;
    if (condition.bytes > 0) region.condition = resolve(buffers_, condition);
    return region;
  }

  const std::vector<Guard>& guards_;
  const std::vector<LoopRange>& loops_;
  const std::vector<Buffer>& buffers_;
  const std::function<Argument(ir::ValueId)>& place_;
  std::vector<engine::Region> regions_;
};

}  // namespace

std::vector<engine::Region> make_regions(const std::vector<Guard>& guards, const std::vector<LoopRange>& loops, const std::vector<Buffer>& buffers,
                                         const std::function<Argument(ir::ValueId)>& place) {
  return Regions(guards, loops, buffers, place).run();
}

}  // namespace xinfer::schedule
