#include "runtime/cuda/device.h"

#include <algorithm>
#include <utility>

#include "target/registry.h"

namespace xinfer::runtime::cuda {

using base::Code;
using base::fail;
using base::Result;

namespace {

// The registry's name for a compute capability; for one that it does not know, what it would be called.
std::string architecture_of(int major, int minor) {
  const int sm = 10 * major + minor;
  for (const auto& row : target::targets())
    if (row.gpu && row.gpu->sm == sm) return std::string(row.name);
  return fmt::format("sm_{}", sm);
}

}  // namespace

Result<std::shared_ptr<const Device>> Device::open(int index) {
  XI_TRY(const Functions* driver, load_driver());
  int count = 0;
  XI_CHECK(check(*driver, driver->cuDeviceGetCount(&count), "cuDeviceGetCount"));
  if (index < 0 || index >= count)
    return fail(Code::kUnavailable, "there is no NVIDIA device {}: this machine has {} (CUDA_VISIBLE_DEVICES hides some)",
                index, count);
  std::shared_ptr<Device> device(new Device(*driver, index));
  XI_CHECK(check(*driver, driver->cuDeviceGet(&device->handle_, index), "cuDeviceGet"));
  char name[256] = {};
  XI_CHECK(check(*driver, driver->cuDeviceGetName(name, sizeof name, device->handle_), "cuDeviceGetName"));
  device->name_ = name;
  int major = 0, minor = 0;
  XI_CHECK(check(*driver, driver->cuDeviceGetAttribute(&major, kComputeCapabilityMajor, device->handle_),
                 "cuDeviceGetAttribute"));
  XI_CHECK(check(*driver, driver->cuDeviceGetAttribute(&minor, kComputeCapabilityMinor, device->handle_),
                 "cuDeviceGetAttribute"));
  device->architecture_ = architecture_of(major, minor);
  XI_CHECK(check(*driver, driver->cuDevicePrimaryCtxRetain(&device->context_, device->handle_),
                 fmt::format("cuDevicePrimaryCtxRetain on {}", device->name_),
                 "is the device used exclusively by another process?"));
  return device;
}

Device::~Device() {
  if (context_) driver_.cuDevicePrimaryCtxRelease_v2(handle_);
}

Result<void> Device::make_current() const {
  return check(driver_, driver_.cuCtxSetCurrent(context_), fmt::format("cuCtxSetCurrent on {}", name_));
}

Result<DeviceMemory> DeviceMemory::allocate(std::shared_ptr<const Device> device, std::uint64_t bytes,
                                            std::string_view purpose) {
  XI_CHECK(device->make_current());
  DeviceMemory memory;
  const int status = device->driver().cuMemAlloc_v2(&memory.address_, std::max<std::uint64_t>(bytes, 1));
  XI_CHECK(check(device->driver(), status, fmt::format("cuMemAlloc of {} bytes for {} on {}", bytes, purpose, device->name()),
                 "free memory of the device (nvidia-smi lists who holds it), or build for a smaller batch"));
  memory.device_ = std::move(device);
  return memory;
}

DeviceMemory& DeviceMemory::operator=(DeviceMemory&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(address_, other.address_);
  return *this;
}

void DeviceMemory::reset() {
  if (device_ && device_->make_current()) device_->driver().cuMemFree_v2(address_);
  device_.reset();
}

Result<PinnedMemory> PinnedMemory::allocate(std::shared_ptr<const Device> device, std::uint64_t bytes) {
  XI_CHECK(device->make_current());
  PinnedMemory memory;
  void* data = nullptr;
  const int status = device->driver().cuMemHostAlloc(&data, std::max<std::uint64_t>(bytes, 1), 0);
  XI_CHECK(check(device->driver(), status, fmt::format("cuMemHostAlloc of {} bytes", bytes),
                 "the system limits locked memory (ulimit -l)"));
  memory.data_ = static_cast<std::byte*>(data);
  memory.device_ = std::move(device);
  return memory;
}

PinnedMemory& PinnedMemory::operator=(PinnedMemory&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  return *this;
}

void PinnedMemory::reset() {
  if (device_ && device_->make_current()) device_->driver().cuMemFreeHost(data_);
  device_.reset();
  data_ = nullptr;
}

}  // namespace xinfer::runtime::cuda
