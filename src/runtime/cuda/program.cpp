#include "runtime/cuda/program.h"

#include <algorithm>
#include <cstring>

#include "target/registry.h"

namespace xinfer::runtime::cuda {

using base::Code;
using base::fail;
using base::Result;

namespace {

constexpr std::uint32_t kSharedWithoutAsking = 48 << 10;

std::string describe(std::string_view architecture) {
  const auto* row = target::find_canonical(architecture);
  return fmt::format("{} ({})", architecture, row ? row->display_name : "which this version does not know");
}

// The device, or why there is none for an engine of this architecture.
Result<std::shared_ptr<const Device>> open_for(std::string_view engine, int index) {
  auto device = Device::open(index);
  if (device) return device;
  base::Error error = std::move(device).error();
  error.message = fmt::format("the engine needs {}: {}", describe(engine), error.message);
  return std::unexpected(std::move(error));
}

Result<void> check_runs(std::string_view engine, const Device& device) {
  if (target::runs_on(engine, device.architecture())) return {};
  return fail(Code::kIncompatible, "the engine needs {}, this device is {}, {}: build the model for target {}",
              describe(engine), device.name(), describe(device.architecture()), device.architecture());
}

}  // namespace

Result<void> check_device(std::string_view architecture, int device_index) {
  XI_TRY(auto device, open_for(architecture, device_index));
  return check_runs(architecture, *device);
}

Result<std::shared_ptr<const Program>> Program::load(std::shared_ptr<const engine::Engine> engine, int device_index) {
  std::shared_ptr<Program> program(new Program);
  XI_TRY(program->device_, open_for(engine->manifest().architecture, device_index));
  XI_CHECK(check_runs(engine->manifest().architecture, *program->device_));
  program->engine_ = std::move(engine);
  XI_CHECK(program->device_->make_current());
  XI_CHECK(program->load_kernels());
  const auto weights = program->engine_->weights();
  XI_TRY(program->weights_, DeviceMemory::allocate(program->device_, weights.size(), "the weights"));
  const Functions& driver = program->device_->driver();
  if (!weights.empty())
    XI_CHECK(check(driver, driver.cuMemcpyHtoD_v2(program->weights(), weights.data(), weights.size()),
                   "cuMemcpyHtoD of the weights"));
  return program;
}

Result<void> Program::load_kernels() {
  const Functions& driver = device_->driver();
  for (const engine::Kernel& kernel : plan().kernels) {
    ModuleHandle module = nullptr;
    FunctionHandle function = nullptr;
    XI_CHECK(check(driver, driver.cuModuleLoadData(&module, engine_->code().data() + kernel.code_offset),
                   fmt::format("cuModuleLoadData of kernel {} on {}", kernel.symbol, device_->name()),
                   "a driver older than the engine's toolkit may not know its code: update the driver"));
    modules_.push_back(module);
    XI_CHECK(check(driver, driver.cuModuleGetFunction(&function, module, kernel.symbol.c_str()),
                   fmt::format("cuModuleGetFunction of {}", kernel.symbol)));
    functions_.push_back(function);
  }
  std::vector<std::uint32_t> shared(functions_.size());
  std::vector<bool> large_clusters(functions_.size());
  for (const engine::Launch& launch : plan().launches) {
    shared[launch.kernel] = std::max(shared[launch.kernel], launch.grid.shared_bytes);
    if (launch.grid.cluster > 8) large_clusters[launch.kernel] = true;
  }
  for (std::size_t i = 0; i < functions_.size(); ++i) {
    if (shared[i] > kSharedWithoutAsking)
      XI_CHECK(check(driver,
                     driver.cuFuncSetAttribute(functions_[i], kFuncMaxDynamicSharedBytes, static_cast<int>(shared[i])),
                     fmt::format("cuFuncSetAttribute for {} bytes of shared memory on {}", shared[i], device_->name())));
    if (large_clusters[i])
      XI_CHECK(check(driver, driver.cuFuncSetAttribute(functions_[i], kFuncNonPortableCluster, 1),
                     "cuFuncSetAttribute for clusters of 16 blocks"));
  }
  return {};
}

Program::~Program() {
  if (device_ && device_->make_current())
    for (ModuleHandle module : modules_) device_->driver().cuModuleUnload(module);
}

}  // namespace xinfer::runtime::cuda
