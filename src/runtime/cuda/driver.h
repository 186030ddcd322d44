// The CUDA driver, loaded at run time: one binary runs with and without a GPU.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace xinfer::runtime::cuda {

using DevicePointer = unsigned long long;
using StreamHandle = struct OpaqueStream*;
using EventHandle = struct OpaqueEvent*;
using ModuleHandle = struct OpaqueModule*;
using FunctionHandle = struct OpaqueFunction*;
using ContextHandle = struct OpaqueContext*;
using GraphHandle = struct OpaqueGraph*;
using GraphExecHandle = struct OpaqueGraphExec*;

// Layout of cuda.h's CUlaunchAttribute and CUlaunchConfig.
struct LaunchAttribute {
  enum Id : int { kClusterDimension = 4, kProgrammaticStreamSerialization = 6 };
  int id = 0;
  int padding = 0;
  union {
    char bytes[64];
    struct {
      unsigned x, y, z;
    } cluster;
    int programmatic_stream_serialization;
  } value = {};
};
struct LaunchConfig {
  unsigned grid_x = 1, grid_y = 1, grid_z = 1, block_x = 1, block_y = 1, block_z = 1, shared_bytes = 0;
  StreamHandle stream = nullptr;
  LaunchAttribute* attributes = nullptr;
  unsigned num_attributes = 0;
};

/// cuda.h's CUtensorMap: a matrix in device memory as the copy engine sees it. A kernel's parameter.
struct alignas(64) TensorMap {
  std::byte bytes[128];
};

/// The driver's functions that we use, with the driver's own names. Each returns 0 or an error number; see check().
struct Functions {
  int (*cuInit)(unsigned);
  int (*cuDriverGetVersion)(int*);
  int (*cuGetErrorName)(int, const char**);
  int (*cuGetErrorString)(int, const char**);
  int (*cuDeviceGetCount)(int*);
  int (*cuDeviceGet)(int*, int);
  int (*cuDeviceGetName)(char*, int, int);
  int (*cuDeviceGetAttribute)(int*, int, int);
  int (*cuDevicePrimaryCtxRetain)(ContextHandle*, int);
  int (*cuDevicePrimaryCtxRelease_v2)(int);
  int (*cuCtxSetCurrent)(ContextHandle);
  int (*cuModuleLoadData)(ModuleHandle*, const void*);
  int (*cuModuleUnload)(ModuleHandle);
  int (*cuModuleGetFunction)(FunctionHandle*, ModuleHandle, const char*);
  int (*cuFuncSetAttribute)(FunctionHandle, int, int);
  int (*cuMemAlloc_v2)(DevicePointer*, std::size_t);
  int (*cuMemFree_v2)(DevicePointer);
  int (*cuMemHostAlloc)(void**, std::size_t, unsigned);
  int (*cuMemFreeHost)(void*);
  int (*cuMemcpyHtoDAsync_v2)(DevicePointer, const void*, std::size_t, StreamHandle);
  int (*cuMemcpyDtoHAsync_v2)(void*, DevicePointer, std::size_t, StreamHandle);
  int (*cuMemcpyHtoD_v2)(DevicePointer, const void*, std::size_t);
  int (*cuMemcpyDtoH_v2)(void*, DevicePointer, std::size_t);
  int (*cuMemsetD8_v2)(DevicePointer, unsigned char, std::size_t);
  int (*cuStreamCreate)(StreamHandle*, unsigned);
  int (*cuStreamDestroy_v2)(StreamHandle);
  int (*cuStreamSynchronize)(StreamHandle);
  int (*cuStreamBeginCapture_v2)(StreamHandle, int);
  int (*cuStreamEndCapture)(StreamHandle, GraphHandle*);
  int (*cuGraphInstantiateWithFlags)(GraphExecHandle*, GraphHandle, unsigned long long);
  int (*cuGraphLaunch)(GraphExecHandle, StreamHandle);
  int (*cuGraphExecDestroy)(GraphExecHandle);
  int (*cuGraphDestroy)(GraphHandle);
  int (*cuLaunchKernelEx)(const LaunchConfig*, FunctionHandle, void**, void**);
  int (*cuTensorMapEncodeTiled)(TensorMap*, int type, std::uint32_t rank, DevicePointer, const std::uint64_t* sizes, const std::uint64_t* strides,
                                const std::uint32_t* tile, const std::uint32_t* steps, int interleave, int swizzle, int promotion, int outside);
  int (*cuEventCreate)(EventHandle*, unsigned);
  int (*cuEventDestroy_v2)(EventHandle);
  int (*cuEventRecord)(EventHandle, StreamHandle);
  int (*cuEventSynchronize)(EventHandle);
  int (*cuEventElapsedTime)(float*, EventHandle, EventHandle);
};

// Numbers of cuda.h's CUdevice_attribute and CUfunction_attribute.
inline constexpr int kMultiprocessorCount = 16, kComputeCapabilityMajor = 75, kComputeCapabilityMinor = 76,
                     kMaxSharedMemoryPerBlockOptin = 97, kFuncMaxDynamicSharedBytes = 8, kFuncNonPortableCluster = 14;

/// The loaded and initialised driver. Thread-safe. kUnavailable: no driver or no device, and what to install.
[[nodiscard]] base::Result<const Functions*> load_driver();

/// An error that names the call, the driver's own name and text of the error, and `hint`.
[[nodiscard]] base::Result<void> check(const Functions& driver, int status, std::string_view call,
                                       std::string_view hint = {});

/// The description of a dense matrix of 16-bit elements in tiles of `tile_rows` by 64 elements, swizzled over 128 bytes; what is
/// outside reads as zero.
[[nodiscard]] base::Result<TensorMap> describe_matrix(const Functions& driver, DevicePointer data, std::uint64_t rows,
                                                      std::uint64_t columns, std::uint32_t tile_rows);

}  // namespace xinfer::runtime::cuda
