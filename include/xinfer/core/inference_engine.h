// InferenceEngine: loads an .engine file and runs it.
//
//   xinfer::core::InferenceEngine engine("yolox-nano.engine");
//   xinfer::core::Tensor image(engine.get_input_shape(0));
//   auto outputs = engine.infer({image});
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "xinfer/core/tensor.h"
#include "xinfer/error.h"

namespace xinfer {
namespace core {

struct EngineOptions {
  /// The GPU that a GPU engine runs on, counted as the driver counts them.
  int device = 0;
  /// Threads that one inference uses, the caller's included; 0: one per CPU that this process may use.
  int num_threads = 0;
  /// Public keys (64 hexadecimal digits) trusted beside those of the trust store.
  std::vector<std::string> trusted_keys;
  /// Whether keys in $XDG_CONFIG_HOME/xinfer/trusted_keys are trusted.
  bool use_trust_store = true;
  /// Also load an engine without a signature. An engine is native code: only for files that you have built yourself.
  bool allow_unsigned = false;
};

/// One input or output.
struct TensorDescription {
  std::string name;
  DataType dtype = DataType::kFloat32;
  Shape shape;  // -1 where the size is known only while running
  Shape min_shape, max_shape;  // what it may be; equal to `shape` where that is a number
  Shape opt_shape;             // what the engine is made to be fast at
};

/// Time spent in one launch of a kernel.
struct LaunchTime {
  std::string name;    // the model's nodes that it computes
  std::string choice;  // the kernel, with its tunables
  double microseconds = 0;
  double flops = 0;  // by formula
  double bytes = 0;
};

/// The state of one inference: arena, bound buffers. Sessions of one engine run at once from several threads; one session
/// belongs to one thread at a time.
class Session {
 public:
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  /// Copies `tensor` into the input. Throws Error("invalid_argument") naming expected and given shape and type.
  void set_input(const std::string& name, const Tensor& tensor);
  /// Lets the engine read the input from `data` (size of the input, alive during run(), no copy when 64-byte aligned).
  void bind_input(const std::string& name, const void* data, std::size_t bytes);
  /// The same for an input that takes many sizes.
  void bind_input(const std::string& name, const void* data, const Shape& shape);
  /// Lets the engine write the output to `data` (64-byte aligned, room for the output, alive during run()).
  void bind_output(const std::string& name, void* data, std::size_t bytes);
  /// GPU engines: lets kernels read the input from (write the output to) device memory of the engine's GPU, without a copy.
  /// 64-byte aligned, of exactly the input's size (room for the output), alive until the runs that use it are done. Throws
  /// Error("unsupported") for a CPU engine.
  void bind_device_input(const std::string& name, const void* device_data, std::size_t bytes);
  void bind_device_output(const std::string& name, void* device_data, std::size_t bytes);
  /// Runs with the inputs set so far. Throws Error("invalid_argument") naming an input that was never set.
  void run();
  /// GPU engines: enqueues the run on `stream` (a CUstream or cudaStream_t of the engine's GPU; null: the default stream) and
  /// returns. Outputs, on the host too, are there once the stream has come so far; until then the session must not be
  /// touched. Several streams may run several sessions at once. Throws Error("unsupported") for a CPU engine.
  void run_async(void* stream);
  /// GPU engines: microseconds of each of `runs` runs back to back on the device, copies from and to the host not counted.
  std::vector<double> measure_device(int runs);
  /// Runs and measures every launch, in order.
  std::vector<LaunchTime> run_timed();
  /// The output of the last run(): a view into the session, valid until its next run or its end.
  Tensor get_output(const std::string& name) const;
  Tensor get_output(std::size_t index) const;

 private:
  friend class InferenceEngine;
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A loaded, verified engine. Movable. infer() and create_session() are thread-safe: simultaneous calls run at once,
/// each in a session of its own.
class InferenceEngine {
 public:
  /// Throws Error: "not_found", "corrupt" (no engine, truncated, damaged), "untrusted" (unsigned, unknown signer),
  /// "incompatible" (other architecture, newer format). Nothing in the file is parsed or executed before that.
  explicit InferenceEngine(const std::string& path, const EngineOptions& options = {});
  /// The same from the file's bytes in memory.
  static InferenceEngine from_bytes(std::string bytes, const EngineOptions& options = {});
  InferenceEngine(InferenceEngine&&) noexcept;
  InferenceEngine& operator=(InferenceEngine&&) noexcept;
  ~InferenceEngine();

  /// Inputs in the model's order (see input_names()); outputs in the model's order.
  std::vector<Tensor> infer(const std::vector<Tensor>& inputs) const;
  /// Inputs and outputs by name.
  std::map<std::string, Tensor> infer(const std::map<std::string, Tensor>& inputs) const;
  /// GPU engines: infer() on device memory, enqueued on the caller's stream (see Session::run_async). Pointers in the model's
  /// order, as bind_device_input and bind_device_output want them. Calls on one stream use one session after the other, calls
  /// on different streams run at once.
  void infer_async(const std::vector<const void*>& device_inputs, const std::vector<void*>& device_outputs,
                   void* stream) const;
  /// A session of its own. `num_threads` > 0 gives it a thread pool of its own; 0: it shares the engine's, and runs on the
  /// caller's thread alone while another session has the pool.
  Session create_session(int num_threads = 0) const;

  std::size_t num_inputs() const noexcept;
  std::size_t num_outputs() const noexcept;
  const std::vector<TensorDescription>& inputs() const noexcept;
  const std::vector<TensorDescription>& outputs() const noexcept;
  std::vector<std::string> input_names() const;
  std::vector<std::string> output_names() const;
  /// Throws Error("not_found") for an index or name that does not exist.
  const Shape& get_input_shape(std::size_t index) const;
  const Shape& get_input_shape(const std::string& name) const;
  const Shape& get_output_shape(std::size_t index) const;
  const Shape& get_output_shape(const std::string& name) const;
  std::size_t get_num_inputs() const noexcept { return num_inputs(); }
  std::size_t get_num_outputs() const noexcept { return num_outputs(); }

  /// For callers that keep one input and output at a time: set, run, get, on a session of this object's own.
  /// Not thread-safe, unlike infer().
  void set_input(const std::string& name, const Tensor& tensor);
  void run();
  Tensor get_output(const std::string& name) const;

  int num_threads() const noexcept;
  /// The GPU's name, "NVIDIA H100 80GB HBM3"; empty for a CPU engine.
  const std::string& device_name() const noexcept;
  /// "x86-64-v4", "fp32".
  const std::string& architecture() const noexcept;
  const std::string& precision() const noexcept;
  /// JSON text that the engine carries: pre- and post-processing, labels (empty when none); the build's report.
  const std::string& metadata() const noexcept;
  const std::string& report() const noexcept;

 private:
  struct State;
  explicit InferenceEngine(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace core
}  // namespace xinfer
