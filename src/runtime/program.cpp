#include "runtime/program.h"

#include <algorithm>

#include "target/registry.h"

namespace xinfer::runtime {

using base::Code;
using base::fail;
using engine::Launch;

namespace {

// What one core does, roughly, to tell launches that are worth sharing from those that are not.
constexpr double kFlopsPerMicrosecond = 50e3, kBytesPerMicrosecond = 15e3;
// A meeting of threads costs some tenths of a microsecond while they spin, waking a parked one tens of microseconds.
constexpr double kShareMicroseconds = 2, kWakeMicroseconds = 30;

double estimate_microseconds(const Launch& launch) {
  double bytes = launch.bytes;
  if (bytes == 0)
    for (const auto& argument : launch.arguments) bytes += static_cast<double>(argument.bytes);
  return std::max(launch.flops / kFlopsPerMicrosecond, bytes / kBytesPerMicrosecond);
}

std::string describe(std::string_view architecture) {
  const auto* row = target::find_canonical(architecture);
  return row ? fmt::format("{} ({})", architecture, row->display_name) : std::string(architecture);
}

}  // namespace

base::Result<void> check_architecture(std::string_view needed, std::string_view machine) {
  if (target::runs_on(needed, machine)) return {};
  return fail(Code::kIncompatible, "the engine needs {}, this machine is {}: build the model for target {}",
              describe(needed), describe(machine), machine);
}

base::Result<void> check_machine(std::string_view architecture) {
  const auto* row = target::find_canonical(architecture);
  if (row && row->kind == target::Kind::kNvidia) return cuda::check_device(architecture);
  XI_TRY(HardwareTarget host, target::host());
  return check_architecture(architecture, host.architecture());
}

base::Result<std::string> machine_name(std::string_view architecture) {
  XI_CHECK(check_machine(architecture));
  const auto* row = target::find_canonical(architecture);
  if (row && row->kind == target::Kind::kNvidia) {
    XI_TRY(auto device, cuda::Device::open());
    return device->name();
  }
  XI_TRY(HardwareTarget host, target::host());
  return host.architecture();
}

base::Result<void> Program::read_sizes() {
  const engine::Plan& plan = *plan_;
  for (const auto& info : plan.inputs) {
    XI_TRY(std::uint64_t bytes, engine::capacity_bytes(plan, info));
    input_bytes_.push_back(bytes);
    std::vector<Source>& sources = sources_.emplace_back();
    for (std::uint32_t i = 0; i < info.shape.size(); ++i) {
      if (info.shape[i] >= 0) continue;
      const tensor::Size size = engine::find_size(plan, info.symbols[i]).value();
      const auto symbols = size.symbols();
      const auto factor = symbols.size() == 1 ? size.over(tensor::Size(symbols[0])) : std::nullopt;
      if (!size.is_number() && (!factor || !factor->is_number() || factor->number() < 1))
        return fail(Code::kCorrupt, "input '{}': the size {} does not say what its symbol is", info.name, size.text());
      const auto& name = symbols.empty() ? info.symbols[i] : symbols[0].name;
      const auto at = std::ranges::find(plan.symbols, name, &engine::Symbol::name);
      if (at == plan.symbols.end()) return fail(Code::kCorrupt, "input '{}' has a size of an unknown symbol '{}'", info.name, name);
      sources.push_back({i, static_cast<std::uint32_t>(at - plan.symbols.begin()), factor ? factor->number() : 1, size.min(), size.max()});
    }
  }
  for (const auto& info : plan.outputs) {
    XI_TRY(std::uint64_t bytes, engine::capacity_bytes(plan, info));
    output_bytes_.push_back(bytes);
    std::vector<tensor::Size>& sizes = output_sizes_.emplace_back();
    for (std::size_t i = 0; i < info.shape.size(); ++i)
      sizes.push_back(info.shape[i] >= 0 ? tensor::Size(info.shape[i]) : engine::find_size(plan, info.symbols[i]).value());
  }
  return {};
}

bool Program::takes(std::size_t input, std::span<const std::int64_t> shape) const {
  const tensor::Shape& wanted = plan_->inputs[input].shape;
  if (shape.size() != wanted.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (wanted[i] >= 0 && shape[i] != wanted[i]) return false;
  return std::ranges::all_of(sources_[input], [&](const Source& source) {
    const std::int64_t size = shape[source.dimension];
    return size >= source.min && size <= source.max && size % source.factor == 0;
  });
}

base::Result<std::unique_ptr<Program>> Program::of_plan(const engine::Plan& plan) {
  std::unique_ptr<Program> program(new Program);
  program->plan_ = &plan;
  XI_CHECK(program->read_sizes());
  return program;
}

// Where launches begin, and which threads share.
void Program::read_launches(const engine::Engine& engine) {
  double shareable = 0;
  std::vector<bool> border(plan_->launches.size() + 1);
  for (const engine::Region& region : plan_->regions) border[region.begin] = border[region.end] = true;
  for (std::uint32_t i = 0; i < plan_->launches.size(); ++i) {
    const Launch& launch = plan_->launches[i];
    const std::byte* entry = engine.code().data() + engine.plan().kernels[launch.kernel].code_offset;
    kernels_.push_back(reinterpret_cast<engine::CpuKernel>(reinterpret_cast<std::uintptr_t>(entry)));
    tasks_.push_back(launch.tasks.empty() ? tensor::Size(launch.num_tasks) : engine::find_size(*plan_, launch.tasks).value());
    double microseconds = estimate_microseconds(launch);
    bool shared = launch.num_tasks > 1 && microseconds >= kShareMicroseconds;
    if (shared) shareable += microseconds;
    if (!shared && !border[i] && !phases_.empty() && !phases_.back().shared) phases_.back().end = i + 1;
    else phases_.push_back({i, i + 1, shared});
  }
  // What repeats may do so often.
  worth_sharing_ = shareable >= kWakeMicroseconds || (shareable > 0 && std::ranges::any_of(plan_->regions, &engine::Region::repeats));
  make_steps();
}

void Program::make_steps() {
  struct Open {
    std::uint32_t region, entered;  // where its kEnter is
  };
  std::vector<Open> open;
  auto close = [&](std::uint32_t launch) {
    for (; !open.empty() && plan_->regions[open.back().region].end <= launch; open.pop_back()) {
      const auto [region, entered] = open.back();
      if (plan_->regions[region].repeats) steps_.push_back({Step::Kind::kRepeat, region, entered + 1});
      steps_[entered].target = static_cast<std::uint32_t>(steps_.size());
    }
  };
  std::uint32_t next = 0;
  for (std::uint32_t p = 0; p < phases_.size(); ++p) {
    close(phases_[p].begin);
    for (; next < plan_->regions.size() && plan_->regions[next].begin == phases_[p].begin; ++next) {
      open.push_back({next, static_cast<std::uint32_t>(steps_.size())});
      steps_.push_back({Step::Kind::kEnter, next, 0});
    }
    steps_.push_back({Step::Kind::kPhase, p, 0});
  }
  close(static_cast<std::uint32_t>(plan_->launches.size()));
}

base::Result<std::shared_ptr<const Program>> Program::load(std::shared_ptr<const engine::Engine> engine,
                                                           int device_index) {
  XI_TRY(std::unique_ptr<Program> program, of_plan(engine->plan()));
  const std::string& architecture = engine->manifest().architecture;
  if (const auto* row = target::find_canonical(architecture); row && row->kind == target::Kind::kNvidia) {
    XI_TRY(program->on_device_, cuda::Program::load(engine, device_index));
  } else {
    XI_TRY(HardwareTarget host, target::host());
    XI_CHECK(check_architecture(architecture, host.architecture()));
    XI_CHECK(engine->make_code_executable());
    program->read_launches(*engine);
    for (const engine::Plan& plan : engine->plan().profiles) {
      XI_TRY(std::unique_ptr<Program> profile, of_plan(plan));
      profile->read_launches(*engine);
      program->profiles_.push_back(std::move(profile));
    }
  }
  program->engine_ = std::move(engine);
  return program;
}

}  // namespace xinfer::runtime
