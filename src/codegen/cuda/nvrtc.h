// CUDA C++ text to a cubin by NVRTC, which is loaded at run time: building and running without it stays possible.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace xinfer::codegen::cuda {

/// The NVRTC library. Thread-safe; cheap to copy.
class Nvrtc {
 public:
  /// Looks for libnvrtc in $XINFER_NVRTC, the loader's path and the CUDA toolkit's usual places.
  /// kUnavailable says what to install.
  [[nodiscard]] static base::Result<Nvrtc> load();

  /// "NVRTC 13.0".
  const std::string& version() const;
  /// Whether it makes code for `architecture` ("sm_90a").
  bool supports(std::string_view architecture) const;

  /// Compiles one translation unit to a cubin for exactly `architecture`. kInternal carries the compiler's log: our
  /// kernels must compile.
  [[nodiscard]] base::Result<std::string> compile(const std::string& source, std::string_view architecture) const;

 private:
  struct Library;
  explicit Nvrtc(std::shared_ptr<const Library> library) : library_(std::move(library)) {}
  std::shared_ptr<const Library> library_;
};

}  // namespace xinfer::codegen::cuda
