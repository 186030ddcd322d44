// The memory plan: which buffers share which bytes of the arena.
#pragma once
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "engine/plan.h"
#include "ir/graph.h"

namespace xinfer::schedule {

/// A piece of memory while the plan is made. Buffers of the arena may lie inside another one (a concatenation's parts).
struct Buffer {
  engine::BufferRef::Space space = engine::BufferRef::Space::kArena;
  std::uint32_t index = 0;   // of the input or output
  std::uint64_t offset = 0;  // in its space, or in `parent`
  std::uint64_t bytes = 0;
  int parent = -1;
  int first = -1, last = -1;  // launches that use it, filled in by `plan_arena`
};

/// An argument of a launch: bytes [offset, offset + bytes) of a buffer.
struct Argument {
  int buffer = -1;
  std::uint64_t offset = 0, bytes = 0;
  ir::ValueId value = ir::kNoValue;  // what it holds, for reports; none for a table of constants
};

/// Where each argument ends up once offsets are known.
engine::BufferRef resolve(const std::vector<Buffer>& buffers, const Argument& argument);

/// Gives every arena buffer an offset (multiple of 64) such that buffers in use at the same time do not overlap.
/// `uses[i]`: arguments of launch i; the last `uses` of a buffer ends its life. `loops`: ranges of launches that are run again and
/// again: what is used inside and outside of one lives as long as it runs.
/// Returns the arena's size.
std::uint64_t plan_arena(std::vector<Buffer>& buffers, const std::vector<std::vector<Argument>>& uses,
                         std::span<const std::pair<std::size_t, std::size_t>> loops = {});

}  // namespace xinfer::schedule
