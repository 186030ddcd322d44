// One inference on a device: its arena, inputs and outputs, a stream, and the plan as a CUDA graph.
#pragma once
#include <memory>
#include <span>
#include <vector>

#include "base/error.h"
#include "runtime/cuda/program.h"

namespace xinfer::runtime::cuda {

/// One thread at a time; several sessions of one Program run at once, each on a stream of its own.
class Session {
 public:
  /// `inputs`, `outputs`: bytes of each.
  [[nodiscard]] static base::Result<std::unique_ptr<Session>> create(std::shared_ptr<const Program> program,
                                                                     std::span<const std::uint64_t> inputs,
                                                                     std::span<const std::uint64_t> outputs);
  ~Session();
  Session(const Session&) = delete;

  /// Copies host memory into the input now.
  [[nodiscard]] base::Result<void> set_input(std::size_t index, const void* data);
  /// Copies host memory into the input whenever the session runs.
  [[nodiscard]] base::Result<void> bind_input(std::size_t index, const void* data);
  /// Copies the output to host memory after each run; null: to the session's own, host_output().
  void bind_output(std::size_t index, void* data);
  /// Kernels read from (write to) this device memory; 64-byte aligned. Null: the session's own.
  [[nodiscard]] base::Result<void> bind_device_input(std::size_t index, DevicePointer data);
  [[nodiscard]] base::Result<void> bind_device_output(std::size_t index, DevicePointer data);

  /// Runs on the session's stream and waits. `microseconds` receives each launch's time.
  [[nodiscard]] base::Result<void> run(std::vector<double>* microseconds = nullptr);
  /// Enqueues everything on `stream`: results are there when the stream has come so far.
  [[nodiscard]] base::Result<void> enqueue(StreamHandle stream);

  /// Microseconds of each of `runs` runs back to back, without the copies from and to the host.
  [[nodiscard]] base::Result<std::vector<double>> measure(int runs);

  const std::byte* host_output(std::size_t index) const { return outputs_[index].host; }
  const Program& program() const { return *program_; }

 private:
  struct Port {  // an input or output
    std::uint64_t bytes = 0;
    DeviceMemory own;
    DevicePointer device = 0;      // what kernels use
    bool on_device = false;        // the caller's device memory: nothing is copied
    PinnedMemory pinned;           // staging
    const void* source = nullptr;  // input: host memory of the caller, read at each run
    std::byte* host = nullptr;     // output: where the host finds it
    bool set = false;
  };
  explicit Session(std::shared_ptr<const Program> program) : program_(std::move(program)) {}
  base::Result<void> stage(Port& port, std::string_view name);
  base::Result<void> bind_device(Port& port, DevicePointer data, std::string_view name);
  base::Result<void> prepare_arguments();
  base::Result<void> copy_inputs(StreamHandle stream);
  base::Result<void> copy_outputs(StreamHandle stream);
  base::Result<void> launch(std::size_t index, StreamHandle stream);
  base::Result<void> launch_all(StreamHandle stream);
  base::Result<void> launch_graph(StreamHandle stream);
  base::Result<void> make_graph();
  base::Result<void> run_timed(std::vector<double>& microseconds);
  void drop_graph();

  std::shared_ptr<const Program> program_;
  DeviceMemory arena_;
  std::vector<Port> inputs_, outputs_;
  std::vector<DevicePointer> arguments_;       // of all launches, one after the other
  std::vector<std::uint32_t> first_argument_;  // per launch
  std::vector<std::vector<TensorMap>> maps_;   // per launch: of its tiled arguments
  StreamHandle stream_ = nullptr;
  GraphExecHandle graph_ = nullptr;
  EventHandle launched_ = nullptr;  // behind the graph's last launch on a stream of the caller's, which may be gone by now
  bool bindings_changed_ = true;
  int runs_with_these_bindings_ = 0;  // a graph pays from the second on
};

}  // namespace xinfer::runtime::cuda
