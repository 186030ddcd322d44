#include "schedule/memory.h"

#include <algorithm>
#include <numeric>

namespace xinfer::schedule {

using Space = engine::BufferRef::Space;

namespace {

int root_of(const std::vector<Buffer>& buffers, int buffer) {
  while (buffers[static_cast<std::size_t>(buffer)].parent >= 0)
    buffer = buffers[static_cast<std::size_t>(buffer)].parent;
  return buffer;
}

}  // namespace

namespace {

// By the launches that use them. Loops' ranges nest, and inner ones are looked at first.
void find_lives(std::vector<Buffer>& buffers, const std::vector<std::vector<Argument>>& uses, std::span<const std::pair<std::size_t, std::size_t>> loops) {
  for (std::size_t i = 0; i < uses.size(); ++i)
    for (const Argument& argument : uses[i]) {
      Buffer& root = buffers[static_cast<std::size_t>(root_of(buffers, argument.buffer))];
      if (root.first < 0) root.first = static_cast<int>(i);
      root.last = static_cast<int>(i);
    }
  for (auto loop = loops.rbegin(); loop != loops.rend(); ++loop) {
    const int begin = static_cast<int>(loop->first), last = static_cast<int>(loop->second) - 1;
    for (Buffer& buffer : buffers) {
      const bool inside = buffer.first >= begin && buffer.last <= last, apart = buffer.last < begin || buffer.first > last;
      if (buffer.first < 0 || inside || apart) continue;
      buffer.first = std::min(buffer.first, begin), buffer.last = std::max(buffer.last, last);
    }
  }
}

}  // namespace

engine::BufferRef resolve(const std::vector<Buffer>& buffers, const Argument& argument) {
  std::uint64_t offset = argument.offset;
  int at = argument.buffer;
  for (; buffers[static_cast<std::size_t>(at)].parent >= 0; at = buffers[static_cast<std::size_t>(at)].parent)
    offset += buffers[static_cast<std::size_t>(at)].offset;
  const Buffer& root = buffers[static_cast<std::size_t>(at)];
  return {root.space, root.index, root.offset + offset, argument.bytes};
}

std::uint64_t plan_arena(std::vector<Buffer>& buffers, const std::vector<std::vector<Argument>>& uses,
                         std::span<const std::pair<std::size_t, std::size_t>> loops) {
  find_lives(buffers, uses, loops);
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < buffers.size(); ++i)
    if (buffers[i].space == Space::kArena && buffers[i].parent < 0 && buffers[i].first >= 0) order.push_back(i);
  // Large ones first, each into the smallest gap left by those that live at the same time.
  std::ranges::stable_sort(order, [&](auto a, auto b) { return buffers[a].bytes > buffers[b].bytes; });
  std::vector<std::size_t> placed;
  std::uint64_t total = 0;
  for (std::size_t i : order) {
    Buffer& buffer = buffers[i];
    std::uint64_t bytes = (std::max<std::uint64_t>(buffer.bytes, 1) + 63) / 64 * 64;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> taken;
    for (std::size_t j : placed) {
      const Buffer& other = buffers[j];
      if (other.first <= buffer.last && buffer.first <= other.last)
        taken.emplace_back(other.offset, other.offset + (other.bytes + 63) / 64 * 64);
    }
    std::ranges::sort(taken);
    std::uint64_t best = UINT64_MAX, best_gap = UINT64_MAX, end = 0;
    for (auto [from, to] : taken) {
      if (from > end && from - end >= bytes && from - end < best_gap) best = end, best_gap = from - end;
      end = std::max(end, to);
    }
    buffer.offset = best == UINT64_MAX ? end : best;
    total = std::max(total, buffer.offset + bytes);
    placed.push_back(i);
  }
  return total;
}

}  // namespace xinfer::schedule
