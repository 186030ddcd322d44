// A GPU of this machine: its name, architecture and primary context.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/error.h"
#include "runtime/cuda/driver.h"

namespace xinfer::runtime::cuda {

/// Thread-safe. Contexts are per thread in CUDA: whoever calls the driver makes the device current first.
class Device {
 public:
  /// kUnavailable: no driver, or no device of this index, with what to do.
  [[nodiscard]] static base::Result<std::shared_ptr<const Device>> open(int index = 0);
  ~Device();
  Device(const Device&) = delete;

  const Functions& driver() const { return driver_; }
  const std::string& name() const { return name_; }                  // "NVIDIA H100 80GB HBM3"
  const std::string& architecture() const { return architecture_; }  // canonical, "sm_90a"
  int index() const { return index_; }
  [[nodiscard]] base::Result<void> make_current() const;

 private:
  Device(const Functions& driver, int index) : driver_(driver), index_(index) {}
  const Functions& driver_;
  int index_, handle_ = 0;
  ContextHandle context_ = nullptr;
  std::string name_, architecture_;
};

/// Memory on a device, or pinned memory of the host; freed with the object.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(DeviceMemory&& other) noexcept { *this = std::move(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept;
  ~DeviceMemory() { reset(); }
  /// kOutOfMemory says how much was asked for and what for.
  [[nodiscard]] static base::Result<DeviceMemory> allocate(std::shared_ptr<const Device> device, std::uint64_t bytes,
                                                           std::string_view purpose);
  DevicePointer address() const { return address_; }

 private:
  void reset();
  std::shared_ptr<const Device> device_;
  DevicePointer address_ = 0;
};

class PinnedMemory {
 public:
  PinnedMemory() = default;
  PinnedMemory(PinnedMemory&& other) noexcept { *this = std::move(other); }
  PinnedMemory& operator=(PinnedMemory&& other) noexcept;
  ~PinnedMemory() { reset(); }
  [[nodiscard]] static base::Result<PinnedMemory> allocate(std::shared_ptr<const Device> device, std::uint64_t bytes);
  std::byte* data() const { return data_; }

 private:
  void reset();
  std::shared_ptr<const Device> device_;
  std::byte* data_ = nullptr;
};

}  // namespace xinfer::runtime::cuda
