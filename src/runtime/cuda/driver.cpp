#include "runtime/cuda/driver.h"

#include <dlfcn.h>

namespace xinfer::runtime::cuda {

namespace {

base::Result<Functions> open_driver() {
  void* library = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library)
    return base::fail(
        base::Code::kUnavailable,
        "this machine has no NVIDIA driver (libcuda.so.1): install it, or use an engine for a CPU target");
  Functions f{};
  const char* missing = nullptr;
  auto get = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
    if (!function && !missing) missing = name;
  };
#define XI_GET(name) get(f.name, #name)
  XI_GET(cuInit), XI_GET(cuDriverGetVersion), XI_GET(cuGetErrorName), XI_GET(cuGetErrorString);
  XI_GET(cuDeviceGetCount), XI_GET(cuDeviceGet), XI_GET(cuDeviceGetName), XI_GET(cuDeviceGetAttribute);
  XI_GET(cuDevicePrimaryCtxRetain), XI_GET(cuDevicePrimaryCtxRelease_v2), XI_GET(cuCtxSetCurrent);
  XI_GET(cuModuleLoadData), XI_GET(cuModuleUnload), XI_GET(cuModuleGetFunction), XI_GET(cuFuncSetAttribute);
  XI_GET(cuMemAlloc_v2), XI_GET(cuMemFree_v2), XI_GET(cuMemcpyHtoD_v2), XI_GET(cuMemcpyDtoH_v2), XI_GET(cuMemsetD8_v2);
  XI_GET(cuMemHostAlloc), XI_GET(cuMemFreeHost), XI_GET(cuMemcpyHtoDAsync_v2), XI_GET(cuMemcpyDtoHAsync_v2);
  XI_GET(cuStreamCreate), XI_GET(cuStreamDestroy_v2), XI_GET(cuStreamSynchronize);
  XI_GET(cuStreamBeginCapture_v2), XI_GET(cuStreamEndCapture);
  XI_GET(cuGraphInstantiateWithFlags), XI_GET(cuGraphLaunch), XI_GET(cuGraphExecDestroy), XI_GET(cuGraphDestroy);
  XI_GET(cuLaunchKernelEx), XI_GET(cuTensorMapEncodeTiled);
  XI_GET(cuEventCreate), XI_GET(cuEventDestroy_v2), XI_GET(cuEventRecord), XI_GET(cuEventSynchronize),
      XI_GET(cuEventElapsedTime);
#undef XI_GET
  if (missing)
    return base::fail(base::Code::kUnavailable,
                      "the NVIDIA driver is too old ({} is missing): CUDA 12 or newer is needed", missing);
  if (int status = f.cuInit(0))
    return std::unexpected(
        check(f, status, "cuInit", "is the driver's kernel module loaded and a device present?").error());
  return f;
}

}  // namespace

base::Result<const Functions*> load_driver() {
  static const base::Result<Functions> driver = open_driver();
  if (!driver) return std::unexpected(driver.error());
  return &*driver;
}

base::Result<TensorMap> describe_matrix(const Functions& driver, DevicePointer data, std::uint64_t rows, std::uint64_t columns,
                                        std::uint32_t tile_rows) {
  // Numbers of cuda.h's CUtensorMapDataType and the like.
  constexpr int kUint16 = 1, kNoInterleave = 0, kSwizzle128 = 3, kPromote256 = 3, kZeros = 0;
  const std::uint64_t sizes[] = {columns, rows}, stride = columns * 2;
  const std::uint32_t tile[] = {64, tile_rows}, steps[] = {1, 1};
  TensorMap map;
  XI_CHECK(check(driver,
                 driver.cuTensorMapEncodeTiled(&map, kUint16, 2, data, sizes, &stride, tile, steps, kNoInterleave, kSwizzle128, kPromote256, kZeros),
                 fmt::format("cuTensorMapEncodeTiled of {} by {} elements", rows, columns)));
  return map;
}

base::Result<void> check(const Functions& driver, int status, std::string_view call, std::string_view hint) {
  if (status == 0) return {};
  const char *name = nullptr, *text = nullptr;
  driver.cuGetErrorName(status, &name);
  driver.cuGetErrorString(status, &text);
  constexpr int kOutOfMemory = 2;
  return base::fail(status == kOutOfMemory ? base::Code::kOutOfMemory : base::Code::kUnavailable,
                    "{} failed: {} ({}){}{}", call, text ? text : "unknown error",
                    name ? name : std::to_string(status).c_str(), hint.empty() ? "" : "; ", hint);
}

}  // namespace xinfer::runtime::cuda
