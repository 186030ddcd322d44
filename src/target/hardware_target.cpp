// The public face of the registry: errors become exceptions here.
#include "base/error.h"
#include "target/registry.h"
#include "xinfer/error.h"
#include "xinfer/target.h"

namespace xinfer {

namespace {
HardwareTarget value_or_throw(base::Result<HardwareTarget> target) {
  if (!target) throw Error(std::string(base::facts(target.error().code).name), target.error().text());
  return *std::move(target);
}
}  // namespace

HardwareTarget HardwareTarget::host() { return value_or_throw(target::host()); }
HardwareTarget HardwareTarget::parse(std::string_view text) { return value_or_throw(target::parse(text)); }

std::vector<std::string> HardwareTarget::names() {
  std::vector<std::string> names;
  for (const auto& row : target::targets()) names.emplace_back(row.name);
  return names;
}

bool HardwareTarget::is_cpu() const {
  const auto* row = target::find_canonical(architecture_);
  return row && row->kind == target::Kind::kCpu;
}

std::string HardwareTarget::to_string() const {
  return precision_ == "fp32" ? architecture_ : architecture_ + ":" + precision_;
}

}  // namespace xinfer
