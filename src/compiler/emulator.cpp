#include "compiler/emulator.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/digest.h"
#include "base/files.h"
#include "base/subprocess.h"
#include "compiler/emulator_text.h"
#include "target/registry.h"

namespace xinfer::compiler {

using base::Code;
using base::fail;
using base::Result;
using engine::BufferRef;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kPage = 4096;
constexpr int kRunTimeoutMs = 600'000;

// As in emulated_run.c.
struct Header {
  std::uint64_t file_bytes, code_at, code_bytes, num_launches, launches_at, num_arguments, arguments_at, symbols_at,
      scratch_at, num_regions, regions_at;
};
struct EmulatedLaunch {
  std::uint64_t code_offset, first_argument, num_tasks;
};
struct EmulatedRegion {
  std::uint64_t begin, end, condition_at, limit_at, iteration_at, wanted, repeats;
  std::int64_t symbol;
};

// Everything that the engine touches, laid out in one file.
class Layout {
 public:
  explicit Layout(const engine::Engine& engine) : engine_(engine) {}

  Result<std::string> make(std::span<const tensor::Tensor* const> inputs) {
    const engine::Plan& plan = engine_.plan();
    if (inputs.size() != plan.inputs.size())
      return fail(Code::kInvalidArgument, "the engine has {} inputs, got {}", plan.inputs.size(), inputs.size());
    Header header{};
    std::uint64_t arguments = 0;
    for (const auto& launch : plan.launches) arguments += launch.arguments.size();
    header.num_launches = plan.launches.size();
    header.num_arguments = arguments;
    end_ = kPage;
    header.launches_at = place(plan.launches.size() * sizeof(EmulatedLaunch));
    header.arguments_at = place(arguments * 8);
    header.symbols_at = symbols_at_ = place(std::max<std::size_t>(1, plan.symbols.size()) * 8);
    header.scratch_at = place(plan.scratch_bytes);
    header.num_regions = plan.regions.size();
    header.regions_at = place(plan.regions.size() * sizeof(EmulatedRegion));
    header.code_bytes = engine_.code().size();
    header.code_at = place(header.code_bytes);
    weights_at_ = place(engine_.weights().size());
    arena_at_ = place(plan.arena_bytes);
    for (const auto& info : plan.inputs) {
      XI_TRY(std::uint64_t bytes, engine::capacity_bytes(plan, info));
      inputs_at_.push_back(place(bytes));
    }
    for (const auto& info : plan.outputs) {
      XI_TRY(std::uint64_t bytes, engine::capacity_bytes(plan, info));
      outputs_at_.push_back(place(bytes));
    }
    header.file_bytes = end_;
    std::string file(end_, '\0');
    put(file, 0, &header, sizeof header);
    put(file, header.code_at, engine_.code().data(), engine_.code().size());
    put(file, weights_at_, engine_.weights().data(), engine_.weights().size());
    XI_CHECK(put_inputs(file, inputs));
    put_launches(file, header);
    put_regions(file, header);
    return file;
  }

  std::vector<tensor::Tensor> outputs(std::string_view file) const {
    const engine::Plan& plan = engine_.plan();
    std::vector<tensor::Tensor> tensors;
    for (std::size_t i = 0; i < plan.outputs.size(); ++i) {
      const auto& info = plan.outputs[i];
      tensor::Shape shape = info.shape;
      for (std::size_t d = 0; d < shape.size(); ++d) {
        if (shape[d] >= 0) continue;
        auto symbol = std::ranges::find(plan.symbols, info.symbols[d], &engine::Symbol::name);
        auto index = static_cast<std::uint64_t>(symbol - plan.symbols.begin());
        std::memcpy(&shape[d], file.data() + symbols_at_ + index * 8, 8);
        shape[d] = std::clamp<std::int64_t>(shape[d], 0, symbol->max);
      }
      tensor::Tensor tensor(info.dtype, shape);
      if (tensor.size_bytes()) std::memcpy(tensor.bytes().data(), file.data() + outputs_at_[i], tensor.size_bytes());
      tensors.push_back(std::move(tensor));
    }
    return tensors;
  }

 private:
  // A page of distance, so that a read past the end of a buffer does not meet another one's numbers.
  std::uint64_t place(std::uint64_t bytes) {
    std::uint64_t at = end_;
    end_ += (bytes + kPage - 1) / kPage * kPage + kPage;
    return at;
  }
  static void put(std::string& file, std::uint64_t at, const void* data, std::size_t bytes) {
    if (bytes) std::memcpy(file.data() + at, data, bytes);
  }
  Result<void> put_inputs(std::string& file, std::span<const tensor::Tensor* const> inputs) {
    const engine::Plan& plan = engine_.plan();
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const auto& info = plan.inputs[i];
      if (inputs[i]->dtype() != info.dtype || inputs[i]->shape() != info.shape)
        return fail(Code::kInvalidArgument, "input '{}' needs {}{}, got {}{}", info.name, tensor::name(info.dtype),
                    tensor::to_string(info.shape), tensor::name(inputs[i]->dtype()),
                    tensor::to_string(inputs[i]->shape()));
      put(file, inputs_at_[i], inputs[i]->bytes().data(), inputs[i]->size_bytes());
    }
    return {};
  }
  void put_launches(std::string& file, const Header& header) {
    const engine::Plan& plan = engine_.plan();
    std::uint64_t next = 0;
    for (std::size_t i = 0; i < plan.launches.size(); ++i) {
      const auto& launch = plan.launches[i];
      EmulatedLaunch emulated{plan.kernels[launch.kernel].code_offset, next,
                              static_cast<std::uint64_t>(launch.num_tasks)};
      put(file, header.launches_at + i * sizeof emulated, &emulated, sizeof emulated);
      for (const auto& ref : launch.arguments) {
        std::uint64_t at = address(ref);
        put(file, header.arguments_at + 8 * next++, &at, 8);
      }
    }
  }
  void put_regions(std::string& file, const Header& header) {
    std::uint64_t at = header.regions_at;
    for (const engine::Region& region : engine_.plan().regions) {
      auto word = [&](const BufferRef& ref) { return ref.bytes > 0 ? address(ref) : 0; };
      const EmulatedRegion emulated{region.begin, region.end, word(region.condition), word(region.limit), word(region.iteration), region.wanted, region.repeats, region.symbol};
      put(file, at, &emulated, sizeof emulated);
      at += sizeof emulated;
    }
  }
  std::uint64_t address(const BufferRef& ref) const {
    switch (ref.space) {
      case BufferRef::Space::kArena: return arena_at_ + ref.offset;
      case BufferRef::Space::kWeights: return weights_at_ + ref.offset;
      case BufferRef::Space::kInput: return inputs_at_[ref.index] + ref.offset;
      default: return outputs_at_[ref.index] + ref.offset;
    }
  }

  const engine::Engine& engine_;
  std::uint64_t end_ = 0, symbols_at_ = 0, weights_at_ = 0, arena_at_ = 0;
  std::vector<std::uint64_t> inputs_at_, outputs_at_;
};

Result<void> run_tool(const std::vector<std::string>& argv, std::string input) {
  base::CommandOptions options;
  options.input = std::move(input);
  options.timeout_ms = 60'000;
  auto run = base::run_command(argv, options);
  if (!run && run.error().code == Code::kNotFound)
    return fail(Code::kUnavailable,
                "{} is needed to run engines under an emulator: install the packages clang-19 and lld-19", argv[0]);
  if (!run) return std::unexpected(std::move(run).error());
  if (run->exit_code != 0) return fail(Code::kInternal, "{} failed: {}", argv[0], run->err);
  return {};
}

// The stand-in for the runtime, compiled for the ISA's architecture.
Result<fs::path> make_runner(const target::CpuIsa& isa, const fs::path& folder) {
  fs::path runner = folder / fmt::format("emulated_run-{}-{}", isa.name, base::sha256(kEmulatedRunC).substr(0, 16));
  std::error_code ignored;
  if (fs::exists(runner, ignored)) return runner;
  fs::create_directories(folder, ignored);
  std::string partial = fmt::format("{}.{}", runner.string(), base::random_hex(8));
  XI_CHECK(run_tool({"clang-19", "-target", std::string(isa.triple), "-O2", "-ffreestanding", "-fno-stack-protector",
                     "-x", "c", "-c", "-", "-o", partial + ".o"},
                    std::string(kEmulatedRunC)));
  XI_CHECK(run_tool({"ld.lld-19", "-static", "-e", "_start", partial + ".o", "-o", partial}, {}));
  fs::remove(partial + ".o", ignored);
  std::error_code error;
  fs::rename(partial, runner, error);
  if (error) return fail(Code::kIo, "cannot write '{}': {}", runner.string(), error.message());
  return runner;
}

}  // namespace

Result<void> check_emulator(std::string_view architecture) {
  const auto* row = target::find_canonical(architecture);
  if (!row || !row->isa || row->isa->emulator.empty())
    return fail(Code::kIncompatible, "this machine does not run {}, and there is no emulator for it", architecture);
  auto version = base::run_command({std::string(row->isa->emulator), "--version"}, {.timeout_ms = 30'000});
  if (version && version->exit_code == 0) return {};
  return fail(Code::kIncompatible, "this machine does not run {}: install the package qemu-user, which has {}",
              architecture, row->isa->emulator);
}

namespace {
bool has_strings(const engine::Plan& plan) {
  auto is_string = [](const engine::TensorInfo& info) { return info.dtype == tensor::DType::kString; };
  auto takes_text = [](const engine::Launch& launch) {
    return std::ranges::any_of(launch.arguments, [](const BufferRef& ref) { return ref.space == BufferRef::Space::kText; });
  };
  return std::ranges::any_of(plan.inputs, is_string) || std::ranges::any_of(plan.outputs, is_string) || std::ranges::any_of(plan.launches, takes_text);
}
}  // namespace

Result<std::vector<tensor::Tensor>> run_emulated(const engine::Engine& engine,
                                                 std::span<const tensor::Tensor* const> inputs,
                                                 const fs::path& cache_folder) {
  XI_CHECK(check_emulator(engine.manifest().architecture));
  if (has_strings(engine.plan())) return fail(Code::kIncompatible, "engines with strings are not run under an emulator");
  const target::CpuIsa& isa = *target::find_canonical(engine.manifest().architecture)->isa;
  base::TemporaryFolder folder;
  XI_TRY(fs::path runner, make_runner(isa, cache_folder.empty() ? folder.path() : cache_folder));
  Layout layout(engine);
  XI_TRY(std::string memory, layout.make(inputs));
  fs::path file = folder.path() / "memory";
  XI_CHECK(base::write_file(file, memory));
  base::CommandOptions options;
  options.timeout_ms = kRunTimeoutMs;
  XI_TRY(auto run, base::run_command({std::string(isa.emulator), runner.string(), file.string()}, options));
  if (run.signal != 0 || run.exit_code != 0)
    return fail(Code::kInternal, "the engine crashed under {} (status {}, signal {}): {}", isa.emulator, run.exit_code,
                run.signal, run.err);
  XI_TRY(memory, base::read_file(file, memory.size()));
  return layout.outputs(memory);
}

}  // namespace xinfer::compiler
