#include "runtime/session.h"

#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

#include "runtime/denormals.h"
#include "tensor/text.h"

namespace xinfer::runtime {

using base::Code;
using base::fail;
using engine::BufferRef;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::uint64_t kHugePageBytes = std::uint64_t{2} << 20;
// Texts that kernels make: what there is room for at first, and at most.
constexpr std::int64_t kFirstTextBytes = 64 << 10, kMaxTextBytes = std::int64_t{4} << 30;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

std::uint64_t round_up(std::uint64_t bytes, std::uint64_t unit) { return (bytes + unit - 1) / unit * unit; }

// The part of num_tasks that thread `index` starts with.
std::uint32_t share_begin(std::int64_t num_tasks, int index, int num_threads) {
  return static_cast<std::uint32_t>(num_tasks * index / num_threads);
}

}  // namespace

void Memory::Free::operator()(std::byte* memory) const { std::free(memory); }

base::Result<Memory> Memory::allocate(std::uint64_t bytes) {
  std::uint64_t alignment = bytes >= kHugePageBytes ? kHugePageBytes : kAlignment;
  Memory memory;
  memory.size_ = round_up(std::max<std::uint64_t>(bytes, 1), alignment);
  memory.data_.reset(static_cast<std::byte*>(std::aligned_alloc(alignment, memory.size_)));
  if (!memory.data_) return fail(Code::kOutOfMemory, "no memory for {} bytes", bytes);
  if (alignment == kHugePageBytes) ::madvise(memory.data_.get(), memory.size_, MADV_HUGEPAGE);
  std::memset(memory.data_.get(), 0, memory.size_);
  return memory;
}

namespace {

bool takes_text(const engine::Launch& launch) {
  return std::ranges::any_of(launch.arguments, [](const BufferRef& ref) { return ref.space == BufferRef::Space::kText; });
}

// What kernels call; they have no libraries of their own.
std::int64_t format_number(double value, bool single, char* to) { return tensor::format_real(value, single, to); }
bool parse_number(const char* text, std::int64_t size, double* value) {
  return tensor::parse_real({text, static_cast<std::size_t>(size)}, *value);
}

}  // namespace

base::Result<Session> Session::create(std::shared_ptr<const Program> program, std::shared_ptr<ThreadPool> pool) {
  Session session(std::move(program), std::move(pool));
  const engine::Plan& plan = session.program_->plan();
  session.shapes_.assign(plan.inputs.size(), {-1});  // of no tensor
  if (const auto& on_device = session.program_->on_device()) {
    std::vector<std::uint64_t> inputs, outputs;
    for (std::size_t i = 0; i < plan.inputs.size(); ++i) inputs.push_back(session.program_->input_capacity(i));
    for (std::size_t i = 0; i < plan.outputs.size(); ++i) outputs.push_back(session.program_->output_capacity(i));
    XI_TRY(session.on_device_, cuda::Session::create(on_device, inputs, outputs));
    Placed& placed = session.plans_.emplace_back();
    placed.program = session.program_.get();
    placed.symbols.resize(plan.symbols.size());
    return session;
  }
  int threads = session.pool_->num_threads();
  std::uint64_t arena = plan.arena_bytes, scratch = plan.scratch_bytes;
  for (const auto& profile : session.program_->profiles())
    arena = std::max(arena, profile->plan().arena_bytes), scratch = std::max(scratch, profile->plan().scratch_bytes);
  XI_TRY(session.arena_, Memory::allocate(arena));
  session.scratch_stride_ = round_up(scratch, kAlignment);
  XI_TRY(session.scratch_, Memory::allocate(session.scratch_stride_ * static_cast<std::uint64_t>(threads)));
  session.claims_ = std::make_unique<Claim[]>(static_cast<std::size_t>(threads));
  session.inputs_.resize(plan.inputs.size());
  session.staged_.resize(plan.inputs.size());
  session.outputs_.resize(plan.outputs.size());
  session.own_outputs_.resize(plan.outputs.size());
  session.staged_texts_.resize(plan.inputs.size());
  bool takes_texts = std::ranges::any_of(plan.launches, takes_text);
  for (const auto& profile : session.program_->profiles()) takes_texts |= std::ranges::any_of(profile->plan().launches, takes_text);
  if (takes_texts) {
    session.text_memory_ = std::make_unique<engine::TextMemory>();
    session.text_memory_->format = format_number, session.text_memory_->parse = parse_number;
    XI_TRY(session.texts_, Memory::allocate(kFirstTextBytes));
  }
  session.plans_.push_back(session.place(*session.program_));
  for (const auto& profile : session.program_->profiles()) session.plans_.push_back(session.place(*profile));
  return session;
}

Session::Placed Session::place(const Program& program) const {
  const engine::Plan& plan = program.plan();
  Placed placed;
  placed.program = &program;
  placed.symbols.resize(std::max<std::size_t>(1, plan.symbols.size()));
  placed.tasks.resize(plan.launches.size());
  const std::byte* weights = program_->engine().weights().data();
  auto add = [&](const BufferRef& ref) {
    void* address = nullptr;
    // Kernels only read their weights; the C signature has no const.
    if (ref.space == BufferRef::Space::kWeights) address = const_cast<std::byte*>(weights) + ref.offset;
    if (ref.space == BufferRef::Space::kArena) address = arena_.data() + ref.offset;
    if (ref.space == BufferRef::Space::kText) address = text_memory_.get();
    if (!address)
      placed.patches.push_back({static_cast<std::uint32_t>(placed.arguments.size()), ref.index, ref.offset,
                                ref.space == BufferRef::Space::kOutput});
    placed.arguments.push_back(address);
  };
  for (const auto& launch : plan.launches) {
    placed.first_argument.push_back(static_cast<std::uint32_t>(placed.arguments.size()));
    for (const auto& ref : launch.arguments) add(ref);
  }
  placed.region_words = placed.arguments.size();
  placed.times.resize(plan.regions.size());
  for (const auto& region : plan.regions)
    for (const BufferRef* ref : {&region.condition, &region.limit, &region.iteration}) {
      if (ref->bytes > 0) add(*ref);
      else placed.arguments.push_back(nullptr);
    }
  return placed;
}

namespace {

// "[1,3,H=32 to 960,32*W=32 to 960]"
std::string range_text(const engine::Plan& plan, const engine::TensorInfo& info) {
  std::vector<std::string> sizes;
  for (std::size_t i = 0; i < info.shape.size(); ++i) {
    auto size = info.shape[i] < 0 ? engine::find_size(plan, info.symbols[i]) : std::nullopt;
    sizes.push_back(!size ? std::to_string(info.shape[i]) : size->is_number() ? size->text() : fmt::format("{}={} to {}", size->text(), size->min(), size->max()));
  }
  return fmt::format("[{}]", fmt::join(sizes, ","));
}

}  // namespace

base::Result<void> Session::bind_shape(std::size_t index, std::span<const std::int64_t> shape) {
  tensor::Shape& bound = shapes_[index];
  if (std::ranges::equal(bound, shape)) return {};
  const engine::Plan& plan = program_->plan();
  const engine::TensorInfo& info = plan.inputs[index];
  if (!program_->takes(index, shape))
    return fail(Code::kInvalidArgument, "input '{}' needs shape {}, got {}", info.name, range_text(plan, info), tensor::to_string(shape));
  bound.assign(shape.begin(), shape.end());
  reshaped_ = true;
  return {};
}

namespace {

std::int64_t value_of(const engine::Plan& plan, const std::vector<std::int64_t>& values, const std::string& name) {
  auto it = std::ranges::find(plan.symbols, name, &engine::Symbol::name);
  if (it == plan.symbols.end()) return 0;
  return std::clamp<std::int64_t>(values[static_cast<std::size_t>(it - plan.symbols.begin())], 0, it->max);
}

}  // namespace

// The symbols' values from the shapes of all inputs, which must agree.
base::Result<void> Session::resolve_symbols(Placed& placed) const {
  const Program& program = *placed.program;
  const engine::Plan& plan = program.plan();
  std::vector<std::ptrdiff_t> from(plan.symbols.size(), -1);  // the input that decided
  for (std::size_t index = 0; index < plan.inputs.size(); ++index)
    for (const Program::Source& source : program.sources(index)) {
      const std::size_t at = source.symbol;
      const std::int64_t value = shapes_[index][source.dimension] / source.factor;
      if (from[at] >= 0 && placed.symbols[at] != value)
        return fail(Code::kInvalidArgument, "inputs '{}' and '{}' disagree on {}: {} and {}", plan.inputs[static_cast<std::size_t>(from[at])].name,
                    plan.inputs[index].name, plan.symbols[at].name, placed.symbols[at], value);
      placed.symbols[at] = value, from[at] = static_cast<std::ptrdiff_t>(index);
    }
  for (std::size_t i = 0; i < plan.launches.size(); ++i) {
    const tensor::Size& tasks = program.tasks(i);
    std::int64_t& count = placed.tasks[i];
    count = tasks.is_number() ? tasks.number() : tasks.evaluate([&](const std::string& name) { return value_of(plan, placed.symbols, name); });
    count = std::clamp<std::int64_t>(count, 0, plan.launches[i].num_tasks);
  }
  return {};
}

// The first profile that all inputs lie in, else the engine's own plan.
base::Result<void> Session::choose_plan() {
  if (!reshaped_) return {};
  XI_CHECK(resolve_symbols(plans_[0]));
  std::size_t chosen = 0;
  for (std::size_t i = 1; i < plans_.size() && chosen == 0; ++i) {
    bool fits = true;
    for (std::size_t input = 0; input < shapes_.size(); ++input) fits = fits && plans_[i].program->takes(input, shapes_[input]);
    if (fits && resolve_symbols(plans_[i])) chosen = i;
  }
  dirty_ |= chosen != active_;
  active_ = chosen;
  reshaped_ = false;
  return {};
}

base::Result<void> Session::bind_input(std::size_t index, const void* data, std::span<const std::int64_t> shape) {
  if (on_device_ && data) {
    XI_CHECK(bind_shape(index, shape));
    return on_device_->bind_input(index, data);
  }
  if (!data || reinterpret_cast<std::uintptr_t>(data) % kAlignment != 0) return copy_input(index, data, shape);
  XI_CHECK(bind_shape(index, shape));
  if (program_->plan().inputs[index].dtype == tensor::DType::kString)
    if (auto sound = tensor::check_texts({static_cast<const tensor::Text*>(data), static_cast<std::size_t>(tensor::num_elements(shape))}); !sound)
      return std::unexpected(std::move(sound).error().in(fmt::format("input '{}'", program_->plan().inputs[index].name)));
  dirty_ |= inputs_[index] != data;
  inputs_[index] = data;
  return {};
}

namespace {

void copy_texts(std::span<const tensor::Text> from, tensor::Text* to, std::string& text) {
  std::string copy;
  for (const tensor::Text& one : from) copy += one.view();
  text = std::move(copy);
  const char* at = text.data();
  for (const tensor::Text& one : from) {
    *to++ = {at, one.size};
    at += one.size;
  }
}

}  // namespace

base::Result<void> Session::copy_input(std::size_t index, const void* data, std::span<const std::int64_t> shape) {
  XI_CHECK(bind_shape(index, shape));
  if (on_device_) return on_device_->set_input(index, data);
  if (!staged_[index].data()) {
    XI_TRY(staged_[index], Memory::allocate(program_->input_capacity(index)));
  }
  const auto count = static_cast<std::size_t>(tensor::num_elements(shape));
  const engine::TensorInfo& info = program_->plan().inputs[index];
  if (info.dtype == tensor::DType::kString) {
    std::span texts(static_cast<const tensor::Text*>(data), count);
    if (auto sound = tensor::check_texts(texts); !sound) return std::unexpected(std::move(sound).error().in(fmt::format("input '{}'", info.name)));
    copy_texts(texts, reinterpret_cast<tensor::Text*>(staged_[index].data()), staged_texts_[index]);
  } else if (count > 0) {
    std::memcpy(staged_[index].data(), data, count * tensor::size_of(info.dtype));
  }
  dirty_ |= inputs_[index] != staged_[index].data();
  inputs_[index] = staged_[index].data();
  return {};
}

base::Result<void> Session::bind_output(std::size_t index, void* data, std::size_t bytes) {
  const auto& name = program_->plan().outputs[index].name;
  if (data && reinterpret_cast<std::uintptr_t>(data) % kAlignment != 0)
    return fail(Code::kInvalidArgument, "the memory for output '{}' is not 64-byte aligned", name);
  if (data && bytes < program_->output_capacity(index))
    return fail(Code::kInvalidArgument, "output '{}' needs {} bytes, got {}", name, program_->output_capacity(index),
                bytes);
  if (on_device_) {
    on_device_->bind_output(index, data);
    return {};
  }
  dirty_ |= outputs_[index] != data;
  outputs_[index] = static_cast<std::byte*>(data);
  return {};
}

base::Result<void> Session::prepare() {
  if (!dirty_ && !reshaped_) return {};
  const engine::Plan& plan = program_->plan();
  for (std::size_t i = 0; i < inputs_.size(); ++i)
    if (!inputs_[i]) return fail(Code::kInvalidArgument, "input '{}' was not set", plan.inputs[i].name);
  XI_CHECK(choose_plan());
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (outputs_[i]) continue;
    if (!own_outputs_[i].data()) {
      XI_TRY(own_outputs_[i], Memory::allocate(program_->output_capacity(i)));
    }
    outputs_[i] = own_outputs_[i].data();
  }
  Placed& placed = plans_[active_];
  for (const Patch& patch : placed.patches) {
    auto* base =
        patch.output ? outputs_[patch.index] : static_cast<std::byte*>(const_cast<void*>(inputs_[patch.index]));
    placed.arguments[patch.argument] = base + patch.offset;
  }
  dirty_ = false;
  return {};
}

inline void Session::call(std::size_t launch, void* scratch, std::int64_t begin, std::int64_t end) {
  Placed& placed = plans_[active_];
  placed.program->kernel(launch)(placed.arguments.data() + placed.first_argument[launch], placed.symbols.data(), scratch, begin, end);
}

// Whether the region is to run now, `times` of it behind us.
bool Session::runs_again(std::uint32_t index) {
  Placed& placed = plans_[active_];
  const engine::Region& region = placed.program->plan().regions[index];
  void* const* words = placed.arguments.data() + placed.region_words + std::size_t{3} * index;
  const auto *condition = static_cast<const std::uint8_t*>(words[0]);
  const auto *limit = static_cast<const std::int64_t*>(words[1]);
  auto* iteration = static_cast<std::int64_t*>(words[2]);
  const std::int64_t times = placed.times[index];
  bool runs = (!condition || (*condition != 0) == region.wanted) && (!limit || times < *limit);
  if (times >= engine::kMaxIterations) endless_ |= runs, runs = false;
  if (runs && iteration) *iteration = times;
  if (!runs && region.symbol >= 0) placed.symbols[static_cast<std::size_t>(region.symbol)] = times;
  return runs;
}

// The next phase to run; null at the end. `step` goes past it.
const Phase* Session::advance(std::size_t& step) {
  Placed& placed = plans_[active_];
  const auto steps = placed.program->steps();
  while (step < steps.size()) {
    const Step at = steps[step++];
    switch (at.kind) {
      case Step::Kind::kPhase: return &placed.program->phases()[at.index];
      case Step::Kind::kEnter:
        placed.times[at.index] = 0;
        if (!runs_again(at.index)) step = at.target;
        break;
      case Step::Kind::kRepeat:
        ++placed.times[at.index];
        if (runs_again(at.index)) step = at.target;
        break;
    }
  }
  return nullptr;
}

void Session::run_alone(std::vector<double>* microseconds) {
  const std::vector<std::int64_t>& tasks = active().tasks;
  std::size_t step = 0;
  while (const Phase* phase = advance(step))
    for (std::size_t i = phase->begin; i < phase->end; ++i) {
      auto start = microseconds ? Clock::now() : Clock::time_point();
      call(i, scratch_.data(), 0, tasks[i]);
      if (microseconds) (*microseconds)[i] += microseconds_since(start);
    }
}

// Every thread walks all phases. In a shared phase each starts with its own part of the tasks, claimed in pieces from the
// front, and then helps where others have fallen behind: a thread whose core was taken away costs one piece, not its part.
// What comes next is decided once for all of them, while they meet.
struct Session::Walk {
  Session& session;
  std::vector<double>* microseconds;
  int num_threads = session.pool_->num_threads();
  std::size_t step = 0;
  const Phase* phase = nullptr;
  Clock::time_point phase_start = {};

  void next() {
    phase = session.advance(step);
    if (!phase || !phase->shared) return;
    std::int64_t tasks = session.active().tasks[phase->begin];
    for (int t = 0; t < num_threads; ++t)
      session.claims_[t].next.store(share_begin(tasks, t, num_threads), std::memory_order_relaxed);
  }

  void run_shared(std::size_t launch, int self) {
    std::int64_t tasks = session.active().tasks[launch];
    auto piece = static_cast<std::uint32_t>(std::max<std::int64_t>(1, tasks / (num_threads * 4)));
    void* scratch = session.scratch_.data() + session.scratch_stride_ * static_cast<std::uint64_t>(self);
    for (int i = 0; i < num_threads; ++i) {
      int owner = (self + i) % num_threads;
      std::uint32_t end = share_begin(tasks, owner + 1, num_threads);
      auto& next = session.claims_[owner].next;
      while (next.load(std::memory_order_relaxed) < end) {
        std::uint32_t begin = next.fetch_add(piece, std::memory_order_relaxed);
        if (begin < end) session.call(launch, scratch, begin, std::min(begin + piece, end));
      }
    }
  }

  // A shared phase ends when the slowest thread has come to the next meeting (or to the end of the run).
  void note_shared(const Phase& done) {
    if (done.shared) (*microseconds)[done.begin] += microseconds_since(phase_start);
  }

  void operator()(ThreadPool::Thread& thread) {
    const bool timed = microseconds && thread.index == 0;
    const std::size_t num_steps = session.active().program->steps().size();
    while (const Phase* const now = phase) {
      if (timed) phase_start = Clock::now();
      if (now->shared) {
        run_shared(now->begin, thread.index);
      } else if (thread.index == 0) {
        for (std::size_t i = now->begin; i < now->end; ++i) {
          auto start = timed ? Clock::now() : Clock::time_point();
          session.call(i, session.scratch_.data(), 0, session.active().tasks[i]);
          if (timed) (*microseconds)[i] += microseconds_since(start);
        }
      }
      if (step == num_steps) return;  // the run's end is a meeting too
      session.pool_->meet(thread, [this] { next(); });
      if (timed) note_shared(*now);
    }
  }
};

base::Result<void> Session::run(std::vector<double>* microseconds) {
  if (on_device_) return on_device_->run(microseconds);
  XI_CHECK(prepare());
  for (;;) {
    XI_CHECK(run_launches(microseconds));
    if (!text_memory_) return {};
    XI_TRY(const bool made, has_made_texts());
    if (made) return {};
  }
}

// False: there was no room for all texts; now there is more, and kernels must run again.
base::Result<bool> Session::has_made_texts() {
  const engine::TextMemory& memory = *text_memory_;
  if (memory.used > memory.capacity) {
    if (memory.used > kMaxTextBytes) return fail(Code::kLimit, "the texts that this run makes exceed {} GiB", kMaxTextBytes >> 30);
    XI_TRY(texts_, Memory::allocate(static_cast<std::uint64_t>(memory.used) * 2));
    return false;
  }
  switch (static_cast<engine::TextFailure>(memory.failure)) {
    case engine::TextFailure::kNone: return true;
    case engine::TextFailure::kTooManyParts: return fail(Code::kLimit, "a string has more parts than the engine has room for: give StringSplit a maxsplit");
    case engine::TextFailure::kNoNumber: return fail(Code::kInvalidArgument, "a string that is cast to a number is none");
  }
  return fail(Code::kInternal, "a kernel failed with {}", memory.failure);
}

base::Result<void> Session::run_launches(std::vector<double>* microseconds) {
  const FlushDenormals flush;
  if (microseconds) microseconds->assign(active().tasks.size(), 0);
  if (text_memory_) {
    text_memory_->data = reinterpret_cast<char*>(texts_.data()), text_memory_->capacity = static_cast<std::int64_t>(texts_.size());
    text_memory_->used = text_memory_->failure = 0;
  }
  endless_ = false;
  auto lock = pool_->num_threads() > 1 && active().program->worth_sharing() ? pool_->try_lock() : std::unique_lock<std::mutex>();
  if (lock) {
    Walk walk{*this, microseconds};
    walk.next();
    const Phase* const last = walk.phase ? &active().program->phases().back() : nullptr;
    pool_->run([](void* context, ThreadPool::Thread& thread) { (*static_cast<Walk*>(context))(thread); }, &walk);
    if (microseconds && walk.phase == last && last) walk.note_shared(*last);
  } else {
    run_alone(microseconds);
  }
  if (endless_) return fail(Code::kLimit, "a loop of the model has run {} times and does not end", engine::kMaxIterations);
  return {};
}

tensor::Shape Session::output_shape(std::size_t index) const {
  tensor::Shape shape;
  const Placed& placed = active();
  for (const tensor::Size& size : placed.program->output_sizes(index))
    shape.push_back(size.evaluate([&](const std::string& name) { return value_of(placed.program->plan(), placed.symbols, name); }));
  return shape;
}

base::Result<std::vector<tensor::Tensor>> run_once(std::shared_ptr<const engine::Engine> engine,
                                                   std::span<const tensor::Tensor* const> inputs, int num_threads) {
  XI_TRY(auto program, Program::load(std::move(engine)));
  XI_TRY(Session session, Session::create(program, std::make_shared<ThreadPool>(num_threads)));
  const engine::Plan& plan = program->plan();
  if (inputs.size() != plan.inputs.size())
    return fail(Code::kInvalidArgument, "the engine has {} inputs, got {}", plan.inputs.size(), inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i]->dtype() != plan.inputs[i].dtype)
      return fail(Code::kInvalidArgument, "input '{}' needs {}, got {}", plan.inputs[i].name,
                  name(plan.inputs[i].dtype), name(inputs[i]->dtype()));
    const std::vector<tensor::Text> texts = tensor::texts_of(*inputs[i]);  // empty of numbers
    const void* data = inputs[i]->dtype() == tensor::DType::kString ? static_cast<const void*>(texts.data()) : inputs[i]->bytes().data();
    XI_CHECK(inputs[i]->dtype() == tensor::DType::kString ? session.copy_input(i, data, inputs[i]->shape()) : session.bind_input(i, data, inputs[i]->shape()));
  }
  XI_CHECK(session.run());
  std::vector<tensor::Tensor> outputs;
  for (std::size_t i = 0; i < plan.outputs.size(); ++i) {
    if (plan.outputs[i].dtype == tensor::DType::kString) {
      outputs.push_back(tensor::from_texts(session.output_shape(i), reinterpret_cast<const tensor::Text*>(session.output(i))));
      continue;
    }
    tensor::Tensor output(plan.outputs[i].dtype, session.output_shape(i));
    if (output.size_bytes()) std::memcpy(output.bytes().data(), session.output(i), output.size_bytes());
    outputs.push_back(std::move(output));
  }
  return outputs;
}

}  // namespace xinfer::runtime
