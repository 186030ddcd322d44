// HardwareTarget: the hardware that an engine is compiled for, and its precision.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace xinfer {

/// Names one entry of the target registry plus a precision. Copyable; thread-safe.
///
/// Names: CPU "x86-64-v3", "x86-64-v4", "armv8-a"; NVIDIA "sm_75" … "sm_120"; aliases such as "rtx_4090", "jetson_orin",
/// "t4", "h100", and "host" for the best CPU target of this machine. Text form: "NAME[:PRECISION]", "rtx_4090:fp16".
class HardwareTarget {
 public:
  /// The best CPU target that this machine runs, in fp32.
  static HardwareTarget host();
  /// Parses the text form. Throws xinfer::Error(kInvalidArgument) that lists the nearest names for an unknown one.
  static HardwareTarget parse(std::string_view text);
  /// Canonical names of all known targets.
  static std::vector<std::string> names();

  /// Canonical architecture name, aliases resolved: "sm_89", "x86-64-v4".
  const std::string& architecture() const { return architecture_; }
  /// "fp32", "fp16", "bf16", "int8".
  const std::string& precision() const { return precision_; }
  bool is_cpu() const;
  /// "sm_89:fp16"; the precision is left out when fp32.
  std::string to_string() const;
  bool operator==(const HardwareTarget& other) const {
    return architecture_ == other.architecture_ && precision_ == other.precision_;
  }
  bool operator!=(const HardwareTarget& other) const { return !(*this == other); }

 private:
  HardwareTarget(std::string architecture, std::string precision)
      : architecture_(std::move(architecture)), precision_(std::move(precision)) {}
  friend struct HardwareTargetFactory;
  std::string architecture_, precision_;
};

}  // namespace xinfer
