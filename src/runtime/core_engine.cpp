#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "base/digest.h"
#include "engine/engine.h"
#include "runtime/core_tensor.h"
#include "runtime/raise.h"
#include "runtime/session.h"
#include "xinfer/core/inference_engine.h"

namespace xinfer::core {

using base::Code;
using runtime::raise;
using runtime::value_or_raise;

namespace {

std::vector<TensorDescription> describe(const engine::Plan& plan, const std::vector<engine::TensorInfo>& infos) {
  std::vector<TensorDescription> descriptions;
  for (const auto& info : infos) {
    TensorDescription made{info.name, static_cast<DataType>(info.dtype), info.shape, info.shape, info.shape, info.shape};
    for (std::size_t i = 0; i < info.shape.size(); ++i) {
      const auto size = info.shape[i] < 0 ? engine::find_size(plan, info.symbols[i]) : std::nullopt;
      if (size) made.min_shape[i] = size->min(), made.max_shape[i] = size->max(), made.opt_shape[i] = size->opt();
    }
    descriptions.push_back(std::move(made));
  }
  return descriptions;
}

std::size_t find(const std::vector<TensorDescription>& items, const std::string& name, const char* kind) {
  for (std::size_t i = 0; i < items.size(); ++i)
    if (items[i].name == name) return i;
  std::string known;
  for (const auto& item : items) known += (known.empty() ? "" : ", ") + item.name;
  raise({Code::kNotFound, fmt::format("the engine has no {} '{}'; it has {}", kind, name, known), {}});
}

const TensorDescription& at(const std::vector<TensorDescription>& items, std::size_t index, const char* kind) {
  if (index >= items.size())
    raise({Code::kNotFound,
           fmt::format("the engine has {} {}s, there is no {} {}", items.size(), kind, kind, index),
           {}});
  return items[index];
}

std::vector<std::string> names(const std::vector<TensorDescription>& items) {
  std::vector<std::string> result;
  for (const auto& item : items) result.push_back(item.name);
  return result;
}

engine::Trust make_trust(const EngineOptions& options) {
  engine::Trust trust;
  if (options.use_trust_store) trust = value_or_raise(engine::load_trust());
  trust.allow_unsigned = options.allow_unsigned;
  for (const auto& hex : options.trusted_keys) {
    auto key = base::from_hex(hex);
    if (!key || key->size() != 32)
      raise({Code::kInvalidArgument, "a trusted key has 64 lower-case hexadecimal digits",
             "EngineOptions::trusted_keys"});
    trust.public_keys.push_back(*std::move(key));
  }
  return trust;
}

int thread_count(int asked) {
  if (asked < 0 || asked > 1024)
    raise({Code::kInvalidArgument, fmt::format("{} threads: 1 to 1024, or 0 for all", asked), {}});
  return asked > 0 ? asked : runtime::usable_cpus();
}

}  // namespace

// What an engine's sessions share.
struct Shared {
  std::shared_ptr<const runtime::Program> program;
  std::shared_ptr<runtime::ThreadPool> pool;
  std::vector<TensorDescription> inputs, outputs;
};

struct Session::State {
  std::shared_ptr<const Shared> shared;
  runtime::Session session;

  void check_dtype(std::size_t index, DataType dtype) const {
    const auto& input = shared->inputs[index];
    if (input.dtype != dtype)
      raise({Code::kInvalidArgument,
             fmt::format("input '{}' needs {}, got {}", input.name, name(input.dtype), name(dtype)),
             {}});
  }
  runtime::cuda::Session& on_device() {
    if (!session.on_device())
      raise({Code::kUnsupported, "device memory and streams are for GPU engines; this one runs on the CPU", {}});
    return *session.on_device();
  }
  void bind_device(bool output, std::size_t index, const void* data, std::size_t bytes) {
    auto& device = on_device();
    const auto& port = (output ? shared->outputs : shared->inputs)[index];
    const std::size_t needed =
        output ? session.program().output_capacity(index) : session.program().input_capacity(index);
    if (output ? bytes < needed : bytes != needed)
      raise({Code::kInvalidArgument, fmt::format("'{}' has {} bytes, got {}", port.name, needed, bytes), {}});
    const auto address = static_cast<runtime::cuda::DevicePointer>(reinterpret_cast<std::uintptr_t>(data));
    value_or_raise(output ? device.bind_device_output(index, address) : device.bind_device_input(index, address));
  }
  Tensor output(std::size_t index) const {
    if (!session.output(index)) raise({Code::kInvalidArgument, "there is no output before the first run", {}});
    // A view that nobody writes through: outputs are the session's.
    return Tensor::view(const_cast<std::byte*>(session.output(index)), session.output_shape(index),
                        shared->outputs[index].dtype);
  }
};

namespace {
runtime::Session make_session(const Shared& shared, int num_threads) {
  auto pool = num_threads > 0 ? std::make_shared<runtime::ThreadPool>(thread_count(num_threads)) : shared.pool;
  return value_or_raise(runtime::Session::create(shared.program, std::move(pool)));
}
}  // namespace

struct InferenceEngine::State {
  std::shared_ptr<const Shared> shared;
  std::mutex mutex;
  std::vector<std::unique_ptr<Session::State>> idle;  // sessions that infer() calls take and give back
  std::map<void*, std::unique_ptr<Session::State>> on_streams;  // sessions of infer_async(), one a stream
  std::unique_ptr<Session> own;                       // of set_input, run, get_output

  std::unique_ptr<Session::State> take() {
    {
      std::lock_guard lock(mutex);
      if (!idle.empty()) {
        auto session = std::move(idle.back());
        idle.pop_back();
        return session;
      }
    }
    return std::unique_ptr<Session::State>(new Session::State{shared, make_session(*shared, 0)});
  }
  void give_back(std::unique_ptr<Session::State> session) {
    std::lock_guard lock(mutex);
    idle.push_back(std::move(session));
  }
};

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

void Session::set_input(const std::string& name, const Tensor& tensor) {
  std::size_t index = find(state_->shared->inputs, name, "input");
  state_->check_dtype(index, tensor.dtype());
  value_or_raise(state_->session.copy_input(index, tensor.data(), tensor.shape()));
}

void Session::bind_input(const std::string& name, const void* data, std::size_t bytes) {
  std::size_t index = find(state_->shared->inputs, name, "input");
  std::size_t needed = state_->session.program().input_capacity(index);
  if (bytes != needed)
    raise({Code::kInvalidArgument, fmt::format("input '{}' has {} bytes, got {}", name, needed, bytes), {}});
  value_or_raise(state_->session.bind_input(index, data, state_->shared->inputs[index].shape));
}

void Session::bind_input(const std::string& name, const void* data, const Shape& shape) {
  value_or_raise(state_->session.bind_input(find(state_->shared->inputs, name, "input"), data, shape));
}

void Session::bind_output(const std::string& name, void* data, std::size_t bytes) {
  value_or_raise(state_->session.bind_output(find(state_->shared->outputs, name, "output"), data, bytes));
}

void Session::bind_device_input(const std::string& name, const void* device_data, std::size_t bytes) {
  state_->bind_device(false, find(state_->shared->inputs, name, "input"), device_data, bytes);
}
void Session::bind_device_output(const std::string& name, void* device_data, std::size_t bytes) {
  state_->bind_device(true, find(state_->shared->outputs, name, "output"), device_data, bytes);
}

void Session::run() { value_or_raise(state_->session.run()); }

void Session::run_async(void* stream) {
  value_or_raise(state_->on_device().enqueue(static_cast<runtime::cuda::StreamHandle>(stream)));
}

std::vector<double> Session::measure_device(int runs) { return value_or_raise(state_->on_device().measure(runs)); }

std::vector<LaunchTime> Session::run_timed() {
  std::vector<double> microseconds;
  value_or_raise(state_->session.run(&microseconds));
  std::vector<LaunchTime> times;
  const auto& launches = state_->session.plan().launches;
  for (std::size_t i = 0; i < launches.size(); ++i)
    times.push_back({launches[i].name, launches[i].choice, microseconds[i], launches[i].flops, launches[i].bytes});
  return times;
}

Tensor Session::get_output(const std::string& name) const {
  return state_->output(find(state_->shared->outputs, name, "output"));
}
Tensor Session::get_output(std::size_t index) const {
  at(state_->shared->outputs, index, "output");
  return state_->output(index);
}

namespace {
std::shared_ptr<const Shared> make_shared_state(std::shared_ptr<const engine::Engine> engine,
                                                const EngineOptions& options) {
  auto shared = std::make_shared<Shared>();
  shared->inputs = describe(engine->plan(), engine->plan().inputs);
  shared->outputs = describe(engine->plan(), engine->plan().outputs);
  shared->program = value_or_raise(runtime::Program::load(std::move(engine), options.device));
  shared->pool = std::make_shared<runtime::ThreadPool>(thread_count(options.num_threads));
  return shared;
}
}  // namespace

InferenceEngine::InferenceEngine(const std::string& path, const EngineOptions& options)
    : state_(std::make_shared<State>()) {
  auto opened = value_or_raise(engine::open(path, make_trust(options)));
  try {
    state_->shared = make_shared_state(std::move(opened), options);
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("{} (at {})", error.what(), path));
  }
}

InferenceEngine::InferenceEngine(std::shared_ptr<State> state) : state_(std::move(state)) {}

InferenceEngine InferenceEngine::from_bytes(std::string bytes, const EngineOptions& options) {
  auto state = std::make_shared<State>();
  state->shared = make_shared_state(value_or_raise(engine::open_bytes(bytes, make_trust(options))), options);
  return InferenceEngine(std::move(state));
}

InferenceEngine::InferenceEngine(InferenceEngine&&) noexcept = default;
InferenceEngine& InferenceEngine::operator=(InferenceEngine&&) noexcept = default;
InferenceEngine::~InferenceEngine() = default;

std::vector<Tensor> InferenceEngine::infer(const std::vector<Tensor>& inputs) const {
  const Shared& shared = *state_->shared;
  if (inputs.size() != shared.inputs.size())
    raise({Code::kInvalidArgument,
           fmt::format("the engine has {} inputs, got {}", shared.inputs.size(), inputs.size()),
           {}});
  auto state = state_->take();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    state->check_dtype(i, inputs[i].dtype());
    value_or_raise(state->session.bind_input(i, inputs[i].data(), inputs[i].shape()));
  }
  std::vector<Tensor> outputs;
  outputs.reserve(shared.outputs.size());
  for (std::size_t i = 0; i < shared.outputs.size(); ++i) {
    Shape room = shared.outputs[i].shape;
    bool dynamic = std::ranges::any_of(room, [](auto size) { return size < 0; });
    std::size_t capacity = shared.program->output_capacity(i);
    if (dynamic) room = {static_cast<std::int64_t>(capacity / size_of(shared.outputs[i].dtype))};
    outputs.push_back(TensorFactory::uninitialised(std::move(room), shared.outputs[i].dtype));
    value_or_raise(state->session.bind_output(i, outputs.back().data(), capacity));
  }
  value_or_raise(state->session.run());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    TensorFactory::shrink(outputs[i], state->session.output_shape(i));
    // Their texts lie in the session and in the inputs.
    if (outputs[i].dtype() == DataType::kString) outputs[i] = Tensor(outputs[i]);
  }
  state_->give_back(std::move(state));
  return outputs;
}

std::map<std::string, Tensor> InferenceEngine::infer(const std::map<std::string, Tensor>& inputs) const {
  const Shared& shared = *state_->shared;
  for (const auto& [name, tensor] : inputs) find(shared.inputs, name, "input");
  std::vector<Tensor> ordered;
  for (const auto& description : shared.inputs) {
    auto it = inputs.find(description.name);
    if (it == inputs.end())
      raise({Code::kInvalidArgument, fmt::format("input '{}' was not given", description.name), {}});
    // Borrowed: infer() only reads its inputs.
    ordered.push_back(Tensor::view(const_cast<void*>(it->second.data()), it->second.shape(), it->second.dtype()));
  }
  auto outputs = infer(ordered);
  std::map<std::string, Tensor> named;
  for (std::size_t i = 0; i < outputs.size(); ++i) named.emplace(shared.outputs[i].name, std::move(outputs[i]));
  return named;
}

void InferenceEngine::infer_async(const std::vector<const void*>& device_inputs,
                                  const std::vector<void*>& device_outputs, void* stream) const {
  const Shared& shared = *state_->shared;
  if (device_inputs.size() != shared.inputs.size() || device_outputs.size() != shared.outputs.size())
    raise({Code::kInvalidArgument,
           fmt::format("the engine has {} inputs and {} outputs, got {} and {}", shared.inputs.size(),
                       shared.outputs.size(), device_inputs.size(), device_outputs.size()),
           {}});
  std::lock_guard lock(state_->mutex);
  auto& session = state_->on_streams[stream];
  if (!session) session.reset(new Session::State{state_->shared, make_session(shared, 0)});
  for (std::size_t i = 0; i < device_inputs.size(); ++i)
    session->bind_device(false, i, device_inputs[i], shared.program->input_capacity(i));
  for (std::size_t i = 0; i < device_outputs.size(); ++i)
    session->bind_device(true, i, device_outputs[i], shared.program->output_capacity(i));
  value_or_raise(session->on_device().enqueue(static_cast<runtime::cuda::StreamHandle>(stream)));
}

Session InferenceEngine::create_session(int num_threads) const {
  return Session(
      std::unique_ptr<Session::State>(new Session::State{state_->shared, make_session(*state_->shared, num_threads)}));
}

std::size_t InferenceEngine::num_inputs() const noexcept { return state_->shared->inputs.size(); }
std::size_t InferenceEngine::num_outputs() const noexcept { return state_->shared->outputs.size(); }
const std::vector<TensorDescription>& InferenceEngine::inputs() const noexcept { return state_->shared->inputs; }
const std::vector<TensorDescription>& InferenceEngine::outputs() const noexcept { return state_->shared->outputs; }
std::vector<std::string> InferenceEngine::input_names() const { return names(inputs()); }
std::vector<std::string> InferenceEngine::output_names() const { return names(outputs()); }
const Shape& InferenceEngine::get_input_shape(std::size_t index) const { return at(inputs(), index, "input").shape; }
const Shape& InferenceEngine::get_input_shape(const std::string& name) const {
  return inputs()[find(inputs(), name, "input")].shape;
}
const Shape& InferenceEngine::get_output_shape(std::size_t index) const { return at(outputs(), index, "output").shape; }
const Shape& InferenceEngine::get_output_shape(const std::string& name) const {
  return outputs()[find(outputs(), name, "output")].shape;
}

void InferenceEngine::set_input(const std::string& name, const Tensor& tensor) {
  if (!state_->own) state_->own = std::make_unique<Session>(create_session());
  state_->own->set_input(name, tensor);
}
void InferenceEngine::run() {
  if (!state_->own) state_->own = std::make_unique<Session>(create_session());
  state_->own->run();
}
Tensor InferenceEngine::get_output(const std::string& name) const {
  if (!state_->own) raise({Code::kInvalidArgument, "there is no output before the first run", {}});
  return state_->own->get_output(name);
}

int InferenceEngine::num_threads() const noexcept { return state_->shared->pool->num_threads(); }
const std::string& InferenceEngine::device_name() const noexcept {
  static const std::string none;
  const auto& on_device = state_->shared->program->on_device();
  return on_device ? on_device->device()->name() : none;
}
const std::string& InferenceEngine::architecture() const noexcept {
  return state_->shared->program->engine().manifest().architecture;
}
const std::string& InferenceEngine::precision() const noexcept {
  return state_->shared->program->engine().manifest().precision;
}
const std::string& InferenceEngine::metadata() const noexcept {
  return state_->shared->program->engine().manifest().metadata;
}
const std::string& InferenceEngine::report() const noexcept {
  return state_->shared->program->engine().manifest().report;
}

}  // namespace xinfer::core
