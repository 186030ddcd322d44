// The state of one inference: arena, bound inputs and outputs, sizes found while running.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "runtime/cuda/session.h"
#include "runtime/program.h"
#include "runtime/thread_pool.h"
#include "tensor/tensor.h"

namespace xinfer::runtime {

inline constexpr std::size_t kAlignment = 64;  // of every buffer that a kernel sees

/// Zeroed pages or heap memory, 64-byte aligned; large blocks ask for huge pages.
class Memory {
 public:
  Memory() = default;
  [[nodiscard]] static base::Result<Memory> allocate(std::uint64_t bytes);
  std::byte* data() const { return data_.get(); }
  std::uint64_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::uint64_t size_ = 0;
};

/// One thread at a time; several sessions of one Program run at once.
class Session {
 public:
  /// `pool` is shared with other sessions: whoever finds it busy runs on its own thread alone.
  [[nodiscard]] static base::Result<Session> create(std::shared_ptr<const Program> program,
                                                    std::shared_ptr<ThreadPool> pool);

  const Program& program() const { return *program_; }
  /// The engine's plan or the profile's that the last run walked.
  const engine::Plan& plan() const { return active().program->plan(); }
  /// Reads the input from `data` while run() runs. Copied first unless 64-byte aligned. `shape` must match the plan's; -1
  /// there takes any size in the symbol's range. Strings are tensor::Text, whose text is read where it is. Errors name the
  /// input, the expected and the given shape.
  [[nodiscard]] base::Result<void> bind_input(std::size_t index, const void* data, std::span<const std::int64_t> shape);
  /// Copies the input into the session.
  [[nodiscard]] base::Result<void> copy_input(std::size_t index, const void* data, std::span<const std::int64_t> shape);
  /// Writes the output to `data` (64-byte aligned, `bytes` at least the output's capacity); null: to the session's own memory.
  [[nodiscard]] base::Result<void> bind_output(std::size_t index, void* data, std::size_t bytes);

  /// Runs the program. `microseconds`, when given, receives each launch's time: 0 if it was left out, the sum of all times if
  /// it was repeated. kInvalidArgument names an input that was never bound, or two whose sizes do not go together; kLimit: a
  /// loop does not end, or there are too many texts.
  [[nodiscard]] base::Result<void> run(std::vector<double>* microseconds = nullptr);

  /// Of the last run. Strings are tensor::Text: views of text that lies in the session, the engine or the inputs.
  const std::byte* output(std::size_t index) const {
    return on_device_ ? on_device_->host_output(index) : outputs_[index];
  }
  /// The session's own on a GPU, for device memory and streams; null for a CPU engine.
  cuda::Session* on_device() { return on_device_.get(); }
  tensor::Shape output_shape(std::size_t index) const;

 private:
  struct Patch {
    std::uint32_t argument, index;
    std::uint64_t offset;
    bool output;
  };
  struct alignas(64) Claim {
    std::atomic<std::uint32_t> next{0};
  };
  struct Walk;  // one run() on all threads
  /// A plan as it lies in this session's memory.
  struct Placed {
    const Program* program = nullptr;
    std::vector<void*> arguments;               // of all launches, one after the other; then three words of each region
    std::size_t region_words = 0;               // where those begin
    std::vector<std::uint32_t> first_argument;  // per launch
    std::vector<Patch> patches;                 // arguments that lie in inputs and outputs
    std::vector<std::int64_t> symbols;
    std::vector<std::int64_t> tasks;  // per launch
    std::vector<std::int64_t> times;  // per region: how often it has run
  };

  Session(std::shared_ptr<const Program> program, std::shared_ptr<ThreadPool> pool)
      : program_(std::move(program)), pool_(std::move(pool)) {}
  base::Result<void> bind_shape(std::size_t index, std::span<const std::int64_t> shape);
  const Placed& active() const { return plans_[active_]; }
  Placed place(const Program& program) const;
  base::Result<void> choose_plan();
  base::Result<void> resolve_symbols(Placed& placed) const;
  base::Result<void> prepare();
  base::Result<void> run_launches(std::vector<double>* microseconds);
  const Phase* advance(std::size_t& step);
  bool runs_again(std::uint32_t region);
  base::Result<bool> has_made_texts();
  void call(std::size_t launch, void* scratch, std::int64_t begin, std::int64_t end);
  void run_alone(std::vector<double>* microseconds);

  std::shared_ptr<const Program> program_;
  std::shared_ptr<ThreadPool> pool_;
  std::unique_ptr<cuda::Session> on_device_;  // of a GPU engine: then little below is used
  Memory arena_, scratch_, texts_;
  std::unique_ptr<engine::TextMemory> text_memory_;  // where it is must not change; null: no kernel makes texts
  std::uint64_t scratch_stride_ = 0;
  std::vector<Placed> plans_;  // the engine's own, then those of its profiles; of a GPU without arguments
  std::size_t active_ = 0;     // that the given shapes ask for
  std::vector<const void*> inputs_;  // as bound
  std::vector<Memory> staged_, own_outputs_;
  std::vector<std::string> staged_texts_;      // per input: of copied strings
  std::vector<std::byte*> outputs_;
  std::vector<tensor::Shape> shapes_;  // of the inputs, as bound
  bool reshaped_ = true;               // the plan, its symbols and tasks are to be found again
  std::unique_ptr<Claim[]> claims_;    // per thread
  bool dirty_ = true;                // patches are to be applied
  bool endless_ = false;             // a loop has run too often
};

/// Loads and runs an engine once: for verification and tests. Inputs in the plan's order, with its dtypes.
[[nodiscard]] base::Result<std::vector<tensor::Tensor>> run_once(std::shared_ptr<const engine::Engine> engine,
                                                                 std::span<const tensor::Tensor* const> inputs,
                                                                 int num_threads = 1);

}  // namespace xinfer::runtime
