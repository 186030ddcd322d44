#include "device.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace xinfer::contraction_bench {

using namespace runtime::cuda;

void Device::must(int status, const char* what) const {
  if (auto r = check(*cu_, status, what); !r) {
    std::fprintf(stderr, "%s\n", r.error().message.c_str());
    std::exit(1);
  }
}

Device::Device() {
  auto driver = load_driver();
  if (!driver) {
    std::fprintf(stderr, "%s\n", driver.error().message.c_str());
    std::exit(1);
  }
  cu_ = *driver;
  int device = 0;
  ContextHandle context = nullptr;
  must(cu_->cuDeviceGet(&device, 0), "cuDeviceGet");
  must(cu_->cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
  must(cu_->cuCtxSetCurrent(context), "cuCtxSetCurrent");
  char name[128] = {};
  must(cu_->cuDeviceGetName(name, sizeof name, device), "cuDeviceGetName");
  name_ = name;
  must(cu_->cuStreamCreate(&stream_, 1), "cuStreamCreate");
  must(cu_->cuEventCreate(&start_, 0), "cuEventCreate");
  must(cu_->cuEventCreate(&stop_, 0), "cuEventCreate");
}

DevicePointer Device::allocate(std::size_t bytes) const {
  DevicePointer pointer = 0;
  must(cu_->cuMemAlloc_v2(&pointer, bytes), "cuMemAlloc");
  return pointer;
}
void Device::upload(DevicePointer to, const void* from, std::size_t bytes) const {
  must(cu_->cuMemcpyHtoD_v2(to, from, bytes), "cuMemcpyHtoD");
}
void Device::download(void* to, DevicePointer from, std::size_t bytes) const {
  must(cu_->cuMemcpyDtoH_v2(to, from, bytes), "cuMemcpyDtoH");
}
void Device::fill(DevicePointer to, unsigned char byte, std::size_t bytes) const { must(cu_->cuMemsetD8_v2(to, byte, bytes), "cuMemsetD8"); }

Kernel Device::load(const std::string& cubin, const char* symbol, std::uint32_t threads) const {
  Kernel kernel;
  kernel.threads = threads;
  must(cu_->cuModuleLoadData(&kernel.module, cubin.data()), "cuModuleLoadData");
  must(cu_->cuModuleGetFunction(&kernel.function, kernel.module, symbol), "cuModuleGetFunction");
  return kernel;
}
Kernel Device::load(const std::string& cubin, const forge::cuda::KernelSource& source) const {
  Kernel kernel = load(cubin, source.symbol.c_str(), source.threads);
  kernel.grid = source.grid, kernel.cluster = source.cluster, kernel.shared_bytes = source.shared_bytes, kernel.overlaps = source.overlaps;
  kernel.tiled = source.tiled;
  must(cu_->cuFuncSetAttribute(kernel.function, kFuncMaxDynamicSharedBytes, static_cast<int>(source.shared_bytes)), "cuFuncSetAttribute");
  return kernel;
}
void Device::unload(Kernel& kernel) const {
  must(cu_->cuModuleUnload(kernel.module), "cuModuleUnload");
  kernel = {};
}

void Device::launch(const Kernel& kernel, const std::vector<void*>& arguments) const {
  LaunchConfig config;
  config.grid_x = kernel.grid, config.block_x = kernel.threads, config.shared_bytes = kernel.shared_bytes, config.stream = stream_;
  LaunchAttribute attributes[2];
  if (kernel.overlaps) {
    attributes[config.num_attributes].id = LaunchAttribute::kProgrammaticStreamSerialization;
    attributes[config.num_attributes++].value.programmatic_stream_serialization = 1;
  }
  if (kernel.cluster > 1) {
    attributes[config.num_attributes].id = LaunchAttribute::kClusterDimension;
    attributes[config.num_attributes++].value.cluster = {kernel.cluster, 1, 1};
  }
  config.attributes = attributes;
  std::vector<void*> parameters = arguments;
  std::vector<TensorMap> maps(kernel.tiled.size());
  for (std::size_t i = 0; i < maps.size(); ++i) {
    const forge::TiledMatrix& m = kernel.tiled[i];
    auto map = describe_matrix(*cu_, *static_cast<const DevicePointer*>(arguments[m.argument]), static_cast<std::uint64_t>(m.rows),
                               static_cast<std::uint64_t>(m.columns), m.tile_rows);
    if (!map) std::fprintf(stderr, "%s\n", map.error().message.c_str()), std::exit(1);
    maps[i] = *map, parameters[m.argument] = &maps[i];
  }
  must(cu_->cuLaunchKernelEx(&config, kernel.function, parameters.data(), nullptr), "cuLaunchKernelEx");
}

bool Device::synchronize() const {
  auto done = check(*cu_, cu_->cuStreamSynchronize(stream_), "a kernel");
  if (!done) std::fprintf(stderr, "%s\n", done.error().message.c_str());
  return done.has_value();
}

void Device::begin_capture() const { must(cu_->cuStreamBeginCapture_v2(stream_, 0), "cuStreamBeginCapture"); }

double Device::end_capture_and_time(int repeats) const {
  GraphHandle graph = nullptr;
  GraphExecHandle exec = nullptr;
  must(cu_->cuStreamEndCapture(stream_, &graph), "cuStreamEndCapture");
  must(cu_->cuGraphInstantiateWithFlags(&exec, graph, 0), "cuGraphInstantiate");
  std::vector<float> times;
  for (int i = 0; i < repeats + 2; ++i) {
    must(cu_->cuEventRecord(start_, stream_), "cuEventRecord");
    must(cu_->cuGraphLaunch(exec, stream_), "cuGraphLaunch");
    must(cu_->cuEventRecord(stop_, stream_), "cuEventRecord");
    must(cu_->cuEventSynchronize(stop_), "cuEventSynchronize");
    float ms = 0;
    must(cu_->cuEventElapsedTime(&ms, start_, stop_), "cuEventElapsedTime");
    if (i >= 2) times.push_back(ms * 1000);
  }
  must(cu_->cuGraphExecDestroy(exec), "cuGraphExecDestroy");
  must(cu_->cuGraphDestroy(graph), "cuGraphDestroy");
  std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
  return times[times.size() / 2];
}

}  // namespace xinfer::contraction_bench
