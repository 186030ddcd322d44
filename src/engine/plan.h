// The execution plan: what an engine does, as plain data. Made by schedule and codegen, stored in the engine file, run by
// the runtime. Everything is static: the runtime only walks the list.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/size.h"
#include "tensor/tensor.h"

namespace xinfer::engine {

/// The C signature of every CPU kernel. `tasks` of a launch are independent; a thread runs [task_begin, task_end).
/// `buffers`: the launch's arguments in order. `symbols`: the session's sizes, read and (for data-dependent outputs)
/// written. `scratch`: this thread's own memory of Launch::scratch_bytes, 64-byte aligned.
extern "C" typedef void (*CpuKernel)(void* const* buffers, std::int64_t* symbols, void* scratch,
                                     std::int64_t task_begin, std::int64_t task_end);

/// What CPU kernels that touch strings have for texts that they make. String tensors hold tensor::Text, views.
struct TextMemory {
  char* data = nullptr;
  std::int64_t capacity = 0;
  /// A kernel adds what it takes, also what has no room any more: then the session enlarges the memory and runs again.
  std::int64_t used = 0;
  std::int64_t failure = 0;  // TextFailure
  /// tensor::format_real and parse_real.
  std::int64_t (*format)(double value, bool single, char* to) = nullptr;
  bool (*parse)(const char* text, std::int64_t size, double* value) = nullptr;
};
enum class TextFailure : std::int64_t { kNone, kTooManyParts, kNoNumber };

/// Where an argument lives.
struct BufferRef {
  enum class Space : std::uint8_t { kArena, kWeights, kInput, kOutput, kText };
  Space space = Space::kArena;
  std::uint32_t index = 0;   // of the input or output; 0 otherwise
  std::uint64_t offset = 0;  // bytes from the start of the space (or of that input or output)
  std::uint64_t bytes = 0;   // extent that the kernel may touch
};

/// How a GPU kernel is launched; CPU kernels have no blocks. Its parameters are pointers, the launch's arguments in order.
struct Grid {
  std::uint32_t blocks = 0, threads = 0;  // threads of a block
  std::uint32_t cluster = 1;              // blocks of a cluster
  std::uint32_t shared_bytes = 0;         // dynamic shared memory of a block
  bool overlaps = false;                  // may start before the launch in front has finished: it waits itself
};

/// An argument that a GPU kernel reads in tiles with the copy engine: a dense matrix of 16-bit elements. The kernel's parameter
/// is a CUtensorMap of it (tiles of `tile_rows` by 64, swizzled over 128 bytes, zeros outside) instead of a pointer.
struct TiledMatrix {
  std::uint32_t argument = 0;
  std::uint64_t rows = 0, columns = 0;
  std::uint32_t tile_rows = 0;
};

/// One kernel call.
struct Launch {
  std::uint32_t kernel = 0;  // index into Plan::kernels
  std::vector<BufferRef> arguments;
  std::int64_t num_tasks = 1;  // at most
  std::uint64_t scratch_bytes = 0;  // per thread
  std::string name;                 // the model's nodes that it computes, "Conv_12+Relu_13"
  std::string choice;               // which template or loop nest, with its tunables: for reports
  double flops = 0, bytes = 0;      // work and traffic by formula, for reports
  Grid grid;                        // of GPU kernels
  std::string tasks;                // a formula over the symbols (tensor::Size::text) where num_tasks depends on them
  std::vector<TiledMatrix> tiled;   // of GPU kernels
};

/// Launches [begin, end) that run only while a condition holds: the branches of an If, the body of a loop. Regions nest.
struct Region {
  std::uint32_t begin = 0, end = 0;
  BufferRef condition;   // of a bool that a launch in front has written, or an input; none if its bytes are 0: it always holds
  bool wanted = true;    // what the condition has to be
  bool repeats = false;  // the launches run again for as long as condition and limit allow
  // Of a region that repeats; none where their bytes are 0.
  BufferRef limit;           // int64: at most so many times
  BufferRef iteration;       // int64 in the arena: the runtime counts here, from 0
  std::int64_t symbol = -1;  // of the plan: the number of times, once the region has ended
};
inline constexpr std::int64_t kMaxIterations = std::int64_t{1} << 31;  // of a region: what goes on after that never ends

/// An entry point in the code section.
struct Kernel {
  std::string symbol;
  std::uint64_t code_offset = 0;  // bytes from the start of the code section
  std::uint64_t code_bytes = 0;   // GPU kernels: of the cubin that defines the symbol; 0 for CPU kernels
};

struct TensorInfo {
  std::string name;
  tensor::DType dtype = tensor::DType::kUndefined;
  tensor::Shape shape;               // -1 where a symbol
  std::vector<std::string> symbols;  // per dimension, empty where static: of inputs a name, of outputs a formula of names
};

/// A size that is known only while running: the kernels' symbols[i] is Plan::symbols[i]. A kernel writes it before any
/// reader's launch starts. Buffers are dense under the actual shape and have room for `max`.
struct Symbol {
  std::string name;
  std::int64_t max = 0;
  std::int64_t min = 0;
  std::int64_t opt = 0;  // what the engine is made to be fast at
};

struct Plan {
  std::vector<TensorInfo> inputs, outputs;
  std::vector<Symbol> symbols;
  std::uint64_t arena_bytes = 0;
  std::uint64_t scratch_bytes = 0;  // largest of the launches
  std::vector<Kernel> kernels;
  std::vector<Launch> launches;  // in order; each starts when the one before has finished
  std::vector<Region> regions;   // by where they begin, outer ones first; GPUs may ignore those that do not repeat
  /// Plans of the same model for narrower ranges, which take over where all inputs lie in them; the first that fits runs. Their
  /// launches call the kernels above; they have neither kernels nor profiles of their own.
  std::vector<Plan> profiles;
};

}  // namespace xinfer::engine
