#include "runtime/cuda/session.h"

#include <cstring>

namespace xinfer::runtime::cuda {

using base::Code;
using base::fail;
using base::Result;
using engine::BufferRef;

namespace {

constexpr std::uint64_t kAlignment = 64;  // of every buffer that a kernel sees
constexpr unsigned kNonBlockingStream = 1, kCaptureThreadLocal = 1;

}  // namespace

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Program> program,
                                                 std::span<const std::uint64_t> inputs,
                                                 std::span<const std::uint64_t> outputs) {
  std::unique_ptr<Session> session(new Session(std::move(program)));
  const auto& device = session->program_->device();
  const engine::Plan& plan = session->program_->plan();
  XI_TRY(session->arena_, DeviceMemory::allocate(device, plan.arena_bytes, "the arena"));
  session->inputs_.resize(inputs.size());
  session->outputs_.resize(outputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) session->inputs_[i].bytes = inputs[i];
  for (std::size_t i = 0; i < outputs.size(); ++i) session->outputs_[i].bytes = outputs[i];
  XI_CHECK(check(device->driver(), device->driver().cuStreamCreate(&session->stream_, kNonBlockingStream), "cuStreamCreate"));
  return session;
}

Session::~Session() {
  if (!program_->device()->make_current()) return;
  drop_graph();
  if (launched_) program_->device()->driver().cuEventDestroy_v2(launched_);
  if (stream_) program_->device()->driver().cuStreamDestroy_v2(stream_);
}

void Session::drop_graph() {
  if (!graph_) return;
  const Functions& driver = program_->device()->driver();
  driver.cuStreamSynchronize(stream_);  // it may be running still
  if (launched_) driver.cuEventSynchronize(launched_);
  driver.cuGraphExecDestroy(graph_);
  graph_ = nullptr;
}

// Memory of the session's own for an input or output, on the device and pinned on the host.
Result<void> Session::stage(Port& port, std::string_view name) {
  if (!port.own.address()) {
    XI_TRY(port.own, DeviceMemory::allocate(program_->device(), port.bytes, name));
  }
  if (!port.pinned.data()) {
    XI_TRY(port.pinned, PinnedMemory::allocate(program_->device(), port.bytes));
  }
  bindings_changed_ |= port.device != port.own.address();
  port.device = port.own.address();
  port.on_device = false;
  return {};
}

Result<void> Session::set_input(std::size_t index, const void* data) {
  Port& port = inputs_[index];
  XI_CHECK(stage(port, program_->plan().inputs[index].name));
  if (port.bytes) std::memcpy(port.pinned.data(), data, port.bytes);
  port.source = nullptr;
  port.set = true;
  return {};
}

Result<void> Session::bind_input(std::size_t index, const void* data) {
  Port& port = inputs_[index];
  XI_CHECK(stage(port, program_->plan().inputs[index].name));
  port.source = data;
  port.set = true;
  return {};
}

void Session::bind_output(std::size_t index, void* data) {
  Port& port = outputs_[index];
  if (port.on_device) port.device = 0;
  port.on_device = false;
  port.host = static_cast<std::byte*>(data);
}

Result<void> Session::bind_device(Port& port, DevicePointer data, std::string_view name) {
  if (data % kAlignment != 0)
    return fail(Code::kInvalidArgument, "the device memory for '{}' is not 64-byte aligned", name);
  bindings_changed_ |= port.device != data;
  port.device = data;
  port.on_device = data != 0;
  port.set = data != 0;
  port.source = nullptr;
  port.host = nullptr;
  return {};
}
Result<void> Session::bind_device_input(std::size_t index, DevicePointer data) {
  return bind_device(inputs_[index], data, program_->plan().inputs[index].name);
}
Result<void> Session::bind_device_output(std::size_t index, DevicePointer data) {
  return bind_device(outputs_[index], data, program_->plan().outputs[index].name);
}

Result<void> Session::prepare_arguments() {
  const engine::Plan& plan = program_->plan();
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    if (!inputs_[i].set) return fail(Code::kInvalidArgument, "input '{}' was not set", plan.inputs[i].name);
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Port& port = outputs_[i];
    if (port.on_device) continue;
    XI_CHECK(stage(port, plan.outputs[i].name));
    if (!port.host) port.host = port.pinned.data();
  }
  if (!bindings_changed_) return {};
  drop_graph();
  runs_with_these_bindings_ = 0;
  arguments_.clear(), first_argument_.clear(), maps_.clear();
  for (const engine::Launch& launch : plan.launches) {
    first_argument_.push_back(static_cast<std::uint32_t>(arguments_.size()));
    for (const BufferRef& ref : launch.arguments) {
      DevicePointer base = 0;
      switch (ref.space) {
        case BufferRef::Space::kArena: base = arena_.address(); break;
        case BufferRef::Space::kWeights: base = program_->weights(); break;
        case BufferRef::Space::kInput: base = inputs_[ref.index].device; break;
        case BufferRef::Space::kOutput: base = outputs_[ref.index].device; break;
        case BufferRef::Space::kText: break;  // of CPU kernels only: engine::check() has seen to it
      }
      arguments_.push_back(base + ref.offset);
    }
    maps_.emplace_back();
    for (const engine::TiledMatrix& m : launch.tiled) {
      XI_TRY(const TensorMap map, describe_matrix(program_->device()->driver(), arguments_[first_argument_.back() + m.argument], m.rows, m.columns,
                                                  m.tile_rows));
      maps_.back().push_back(map);
    }
  }
  bindings_changed_ = false;
  return {};
}

Result<void> Session::copy_inputs(StreamHandle stream) {
  const Functions& driver = program_->device()->driver();
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    Port& port = inputs_[i];
    if (port.on_device || port.bytes == 0) continue;
    if (port.source) std::memcpy(port.pinned.data(), port.source, port.bytes);
    XI_CHECK(check(driver, driver.cuMemcpyHtoDAsync_v2(port.device, port.pinned.data(), port.bytes, stream),
                   fmt::format("cuMemcpyHtoDAsync of input '{}'", program_->plan().inputs[i].name)));
  }
  return {};
}

Result<void> Session::copy_outputs(StreamHandle stream) {
  const Functions& driver = program_->device()->driver();
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    Port& port = outputs_[i];
    if (port.on_device || port.bytes == 0) continue;
    XI_CHECK(check(driver, driver.cuMemcpyDtoHAsync_v2(port.host, port.device, port.bytes, stream),
                   fmt::format("cuMemcpyDtoHAsync of output '{}'", program_->plan().outputs[i].name)));
  }
  return {};
}

Result<void> Session::launch(std::size_t index, StreamHandle stream) {
  const engine::Launch& launch = program_->plan().launches[index];
  std::vector<void*> parameters;
  for (std::size_t i = 0; i < launch.arguments.size(); ++i) parameters.push_back(&arguments_[first_argument_[index] + i]);
  for (std::size_t i = 0; i < launch.tiled.size(); ++i) parameters[launch.tiled[i].argument] = &maps_[index][i];
  LaunchAttribute attributes[2];
  LaunchConfig config;
  config.grid_x = launch.grid.blocks, config.block_x = launch.grid.threads;
  config.shared_bytes = launch.grid.shared_bytes, config.stream = stream;
  config.attributes = attributes;
  if (launch.grid.cluster > 1) {
    LaunchAttribute& attribute = attributes[config.num_attributes++];
    attribute.id = LaunchAttribute::kClusterDimension;
    attribute.value.cluster.x = launch.grid.cluster;
    attribute.value.cluster.y = attribute.value.cluster.z = 1;
  }
  // The first kernel of a plan must not overtake the copies in front of it.
  if (launch.grid.overlaps && index > 0) {
    LaunchAttribute& attribute = attributes[config.num_attributes++];
    attribute.id = LaunchAttribute::kProgrammaticStreamSerialization;
    attribute.value.programmatic_stream_serialization = 1;
  }
  const Functions& driver = program_->device()->driver();
  return check(driver, driver.cuLaunchKernelEx(&config, program_->function(index), parameters.data(), nullptr),
               fmt::format("cuLaunchKernelEx of launch {} ({}) on {}", index, launch.name, program_->device()->name()));
}

Result<void> Session::launch_all(StreamHandle stream) {
  for (std::size_t i = 0; i < program_->plan().launches.size(); ++i) XI_CHECK(launch(i, stream));
  return {};
}

Result<void> Session::make_graph() {
  const Functions& driver = program_->device()->driver();
  GraphHandle graph = nullptr;
  XI_CHECK(check(driver, driver.cuStreamBeginCapture_v2(stream_, kCaptureThreadLocal), "cuStreamBeginCapture"));
  auto launched = launch_all(stream_);
  const int status = driver.cuStreamEndCapture(stream_, &graph);
  XI_CHECK(launched);
  XI_CHECK(check(driver, status, "cuStreamEndCapture"));
  const int made = driver.cuGraphInstantiateWithFlags(&graph_, graph, 0);
  driver.cuGraphDestroy(graph);
  if (made != 0) graph_ = nullptr;
  return check(driver, made, "cuGraphInstantiate");
}

Result<void> Session::launch_graph(StreamHandle stream) {
  const Functions& driver = program_->device()->driver();
  XI_CHECK(check(driver, driver.cuGraphLaunch(graph_, stream), "cuGraphLaunch"));
  if (stream == stream_) return {};
  constexpr unsigned kDisableTiming = 2;
  if (!launched_) XI_CHECK(check(driver, driver.cuEventCreate(&launched_, kDisableTiming), "cuEventCreate"));
  return check(driver, driver.cuEventRecord(launched_, stream), "cuEventRecord");
}

Result<void> Session::enqueue(StreamHandle stream) {
  XI_CHECK(program_->device()->make_current());
  XI_CHECK(prepare_arguments());
  XI_CHECK(copy_inputs(stream));
  if (!graph_ && ++runs_with_these_bindings_ > 1 && !program_->plan().launches.empty()) {
    XI_CHECK(make_graph());
  }
  XI_CHECK(graph_ ? launch_graph(stream) : launch_all(stream));
  return copy_outputs(stream);
}

Result<void> Session::run(std::vector<double>* microseconds) {
  const Functions& driver = program_->device()->driver();
  XI_CHECK(microseconds ? run_timed(*microseconds) : enqueue(stream_));
  return check(driver, driver.cuStreamSynchronize(stream_),
               fmt::format("cuStreamSynchronize on {}", program_->device()->name()), "a kernel failed (our bug)");
}

namespace {

// Points in time on a stream.
class Events {
 public:
  Events(const Functions& driver, StreamHandle stream) : driver_(driver), stream_(stream) {}
  ~Events() {
    for (EventHandle event : events_) driver_.cuEventDestroy_v2(event);
  }
  Events(const Events&) = delete;

  Result<void> record() {
    EventHandle event = nullptr;
    XI_CHECK(check(driver_, driver_.cuEventCreate(&event, 0), "cuEventCreate"));
    events_.push_back(event);
    return check(driver_, driver_.cuEventRecord(event, stream_), "cuEventRecord");
  }
  /// Microseconds from each to the next, once the stream has passed them all.
  Result<std::vector<double>> differences() const {
    XI_CHECK(check(driver_, driver_.cuStreamSynchronize(stream_), "cuStreamSynchronize", "a kernel failed (our bug)"));
    std::vector<double> microseconds;
    for (std::size_t i = 1; i < events_.size(); ++i) {
      float milliseconds = 0;
      XI_CHECK(check(driver_, driver_.cuEventElapsedTime(&milliseconds, events_[i - 1], events_[i]), "cuEventElapsedTime"));
      microseconds.push_back(1e3 * static_cast<double>(milliseconds));
    }
    return microseconds;
  }

 private:
  const Functions& driver_;
  StreamHandle stream_;
  std::vector<EventHandle> events_;
};

}  // namespace

Result<void> Session::run_timed(std::vector<double>& microseconds) {
  XI_CHECK(program_->device()->make_current());
  XI_CHECK(prepare_arguments());
  XI_CHECK(copy_inputs(stream_));
  Events events(program_->device()->driver(), stream_);
  XI_CHECK(events.record());
  for (std::size_t i = 0; i < program_->plan().launches.size(); ++i) {
    XI_CHECK(launch(i, stream_));
    XI_CHECK(events.record());
  }
  XI_CHECK(copy_outputs(stream_));
  XI_TRY(microseconds, events.differences());
  return {};
}

Result<std::vector<double>> Session::measure(int runs) {
  XI_CHECK(run());
  XI_CHECK(run());  // makes the graph
  Events events(program_->device()->driver(), stream_);
  XI_CHECK(events.record());
  for (int i = 0; i < runs; ++i) {
    XI_CHECK(graph_ ? launch_graph(stream_) : launch_all(stream_));
    XI_CHECK(events.record());
  }
  return events.differences();
}

}  // namespace xinfer::runtime::cuda
