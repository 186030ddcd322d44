#include "codegen/cuda/nvrtc.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>

namespace xinfer::codegen::cuda {

namespace {

// NVRTC's C interface as far as it is used here; the toolkit's header is not needed to build.
using Program = struct OpaqueProgram*;
using Status = int;  // 0 is success

template <class F>
bool resolve(void* library, const char* name, F& function) {
  function = reinterpret_cast<F>(::dlsym(library, name));
  return function != nullptr;
}

}  // namespace

struct Nvrtc::Library {
  void* handle = nullptr;
  const char* (*get_error_string)(Status) = nullptr;
  Status (*get_version)(int*, int*) = nullptr;
  Status (*get_num_architectures)(int*) = nullptr;
  Status (*get_architectures)(int*) = nullptr;
  Status (*create)(Program*, const char*, const char*, int, const char* const*, const char* const*) = nullptr;
  Status (*destroy)(Program*) = nullptr;
  Status (*compile)(Program, int, const char* const*) = nullptr;
  Status (*get_log_size)(Program, std::size_t*) = nullptr;
  Status (*get_log)(Program, char*) = nullptr;
  Status (*get_cubin_size)(Program, std::size_t*) = nullptr;
  Status (*get_cubin)(Program, char*) = nullptr;
  std::string version;
  std::vector<int> architectures;

  ~Library() {
    if (handle) ::dlclose(handle);
  }
  bool resolve_all() {
    return resolve(handle, "nvrtcGetErrorString", get_error_string) && resolve(handle, "nvrtcVersion", get_version) &&
           resolve(handle, "nvrtcGetNumSupportedArchs", get_num_architectures) &&
           resolve(handle, "nvrtcGetSupportedArchs", get_architectures) &&
           resolve(handle, "nvrtcCreateProgram", create) && resolve(handle, "nvrtcDestroyProgram", destroy) &&
           resolve(handle, "nvrtcCompileProgram", compile) && resolve(handle, "nvrtcGetProgramLogSize", get_log_size) &&
           resolve(handle, "nvrtcGetProgramLog", get_log) && resolve(handle, "nvrtcGetCUBINSize", get_cubin_size) &&
           resolve(handle, "nvrtcGetCUBIN", get_cubin);
  }
};

base::Result<Nvrtc> Nvrtc::load() {
  std::vector<std::string> places = {"libnvrtc.so.13",
                                     "libnvrtc.so.12",
                                     "libnvrtc.so",
                                     "/usr/local/cuda/lib64/libnvrtc.so",
                                     "/usr/local/cuda/lib/libnvrtc.so",
                                     "/usr/lib/x86_64-linux-gnu/libnvrtc.so"};
  if (const char* path = std::getenv("XINFER_NVRTC"); path && *path) places.insert(places.begin(), path);
  auto library = std::make_shared<Library>();
  for (const auto& place : places) {
    library->handle = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library->handle) break;
  }
  if (!library->handle)
    return base::fail(
        base::Code::kUnavailable,
        "NVIDIA targets need NVRTC (libnvrtc.so), which is not on this machine: install the CUDA toolkit "
        "(Debian: libnvrtc or nvidia-cuda-toolkit) or name the library in XINFER_NVRTC. No GPU is needed");
  if (!library->resolve_all())
    return base::fail(base::Code::kUnavailable, "libnvrtc is too old: CUDA 12 or newer is needed");
  int major = 0, minor = 0, count = 0;
  library->get_version(&major, &minor);
  library->version = fmt::format("NVRTC {}.{}", major, minor);
  library->get_num_architectures(&count);
  library->architectures.resize(static_cast<std::size_t>(count));
  library->get_architectures(library->architectures.data());
  return Nvrtc(std::move(library));
}

const std::string& Nvrtc::version() const {
  return library_->version;
}

bool Nvrtc::supports(std::string_view architecture) const {
  if (!architecture.starts_with("sm_")) return false;
  int number = std::atoi(std::string(architecture.substr(3)).c_str());
  return std::ranges::count(library_->architectures, number) > 0;
}

base::Result<std::string> Nvrtc::compile(const std::string& source, std::string_view architecture) const {
  Program program = nullptr;
  if (Status status = library_->create(&program, source.c_str(), "kernel.cu", 0, nullptr, nullptr))
    return base::fail(base::Code::kInternal, "NVRTC: {}", library_->get_error_string(status));
  const std::string arch = fmt::format("-arch={}", architecture);
  const char* options[] = {arch.c_str(), "-std=c++17", "-default-device", "-dopt=on", "--fmad=true"};
  Status status = library_->compile(program, 3, options);
  base::Result<std::string> result;
  std::size_t size = 0;
  if (status != 0) {
    library_->get_log_size(program, &size);
    std::string log(size, '\0');
    library_->get_log(program, log.data());
    result = base::fail(base::Code::kInternal, "NVRTC for {}: {}\n{}", architecture, library_->get_error_string(status),
                        log);
  } else {
    library_->get_cubin_size(program, &size);
    std::string cubin(size, '\0');
    library_->get_cubin(program, cubin.data());
    result = std::move(cubin);
  }
  library_->destroy(&program);
  return result;
}

}  // namespace xinfer::codegen::cuda
