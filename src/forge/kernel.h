// A kernel as text: what a template of forge or a loop nest hands to codegen.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace xinfer::forge {

/// The place of a symbol among the plan's: kernels read symbols[place].
using SymbolPlace = std::function<std::size_t(const std::string& name)>;

/// An argument that a GPU kernel reads in tiles with the copy engine (sm_90 and later): a dense matrix of 16-bit elements.
/// Instead of a pointer the kernel gets its description, a CUtensorMap.
struct TiledMatrix {
  std::uint32_t argument = 0;
  std::int64_t rows = 0, columns = 0;  // columns: a multiple of 8
  std::uint32_t tile_rows = 0;         // at most 256; a tile has 64 columns, swizzled over 128 bytes
};

/// A kernel's source and what the schedule must know to launch it. The symbol is a digest of the source, so equal kernels
/// are one; it must not depend on the model's names. What the source defines is said in cpu/kernel.h and cuda/kernel.h.
struct KernelSource {
  std::string symbol;
  std::string source;
  std::int64_t num_tasks = 1;       // of CPU kernels
  std::uint64_t scratch_bytes = 0;  // CPU: of each thread; GPU: of the whole launch
  double flops = 0, bytes = 0;
  std::string choice;  // template and tunables in words, "conv 3x3 winograd F(4x4) nb=2"
  std::string why;     // what else there was, and the costs that decided
  // GPU kernels: blocks, threads of a block, blocks of a cluster (more than 1 needs sm_90), dynamic shared memory.
  std::uint32_t grid = 1, threads = 32, cluster = 1, shared_bytes = 0;
  /// The kernel may be started before the one in front of it has finished: it waits itself (griddepcontrol.wait) before
  /// it reads or writes anything but weights.
  bool overlaps = false;
  /// Of CPU contractions: about how many cycles of one core they take where all data are near, vectors filled up included.
  double cycles = 0;
  std::vector<TiledMatrix> tiled;
};

}  // namespace xinfer::forge
