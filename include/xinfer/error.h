// The one exception of the public API.
#pragma once
#include <stdexcept>
#include <string>

namespace xinfer {

/// Thrown by every public function that can fail. what() says what happened, where, and what to do.
class Error : public std::runtime_error {
 public:
  /// `code`: the stable name of the kind of failure, "not_found", "corrupt", "untrusted", … (docs/errors.md).
  Error(std::string code, const std::string& message) : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const noexcept { return code_; }

 private:
  std::string code_;
};

}  // namespace xinfer
