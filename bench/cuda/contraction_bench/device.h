// The GPU of this machine, for measuring kernels: memory, launches, times of graph replays.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "codegen/cuda/nvrtc.h"
#include "forge/cuda/contraction.h"
#include "runtime/cuda/driver.h"

namespace xinfer::contraction_bench {

using runtime::cuda::DevicePointer;

struct Kernel {
  runtime::cuda::ModuleHandle module = nullptr;
  runtime::cuda::FunctionHandle function = nullptr;
  std::uint32_t grid = 1, threads = 32, cluster = 1, shared_bytes = 0;
  bool overlaps = false;
  std::vector<forge::TiledMatrix> tiled;
};

/// Errors end the program: it only measures.
class Device {
 public:
  Device();
  const std::string& name() const { return name_; }

  DevicePointer allocate(std::size_t bytes) const;
  void upload(DevicePointer to, const void* from, std::size_t bytes) const;
  void download(void* to, DevicePointer from, std::size_t bytes) const;
  void fill(DevicePointer to, unsigned char byte, std::size_t bytes) const;

  Kernel load(const std::string& cubin, const forge::cuda::KernelSource& source) const;
  Kernel load(const std::string& cubin, const char* symbol, std::uint32_t threads) const;
  void unload(Kernel& kernel) const;
  void launch(const Kernel& kernel, const std::vector<void*>& arguments) const;
  /// Waits for everything launched; false, with the driver's words on stderr, when a kernel failed.
  bool synchronize() const;
  /// Median microseconds of a replay of what `record` launches.
  template <class F>
  double replay_us(F&& record, int repeats) const {
    begin_capture();
    record();
    return end_capture_and_time(repeats);
  }

 private:
  void must(int status, const char* what) const;
  void begin_capture() const;
  double end_capture_and_time(int repeats) const;

  const runtime::cuda::Functions* cu_ = nullptr;
  runtime::cuda::StreamHandle stream_ = nullptr;
  runtime::cuda::EventHandle start_ = nullptr, stop_ = nullptr;
  std::string name_;
};

}  // namespace xinfer::contraction_bench
