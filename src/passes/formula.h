// Chains of operators written as expressions: after the first error nothing more is added, and finish() tells it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "passes/rewriter.h"

namespace xinfer::passes {

class Formula {
 public:
  explicit Formula(Rewriter& rewriter) : rewriter_(rewriter) {}
  using Values = std::vector<ir::ValueId>;
  using Ints = std::vector<std::int64_t>;

  ir::ValueId call(std::string op, Values inputs, ir::Attributes attributes = {});
  /// All of its `outputs` results.
  Values call_all(std::string op, Values inputs, std::size_t outputs, ir::Attributes attributes = {});
  void call_into(ir::ValueId output, std::string op, Values inputs, ir::Attributes attributes = {});
  ir::ValueId reshape(ir::ValueId x, Ints shape);
  /// One element for each channel as what broadcasts to [N, C, spatial...] of that rank.
  ir::ValueId per_channel(ir::ValueId x, std::size_t rank);
  void reshape_into(ir::ValueId output, ir::ValueId x, Ints shape);
  ir::ValueId transpose(ir::ValueId x, Ints perm);
  ir::ValueId unsqueeze(ir::ValueId x, Ints axes) { return call("Unsqueeze", {x, rewriter_.add_int64s(std::move(axes))}); }
  ir::ValueId slice(ir::ValueId x, std::int64_t axis, std::int64_t begin, std::int64_t end, std::int64_t step = 1);
  ir::ValueId concat(Values parts, std::int64_t axis);
  ir::ValueId cast(ir::ValueId x, tensor::DType dtype);
  ir::ValueId scalar(tensor::DType dtype, double value) { return rewriter_.add_scalar(dtype, value); }
  ir::ValueId integers(Ints values) { return rewriter_.add_int64s(std::move(values)); }
  ir::ValueId constant(tensor::Tensor tensor) { return rewriter_.add_constant(std::move(tensor)); }

  void fail(base::Error error) {
    if (!error_) error_ = std::move(error);
  }
  bool failed() const { return error_.has_value(); }
  /// True, or the first error.
  [[nodiscard]] base::Result<bool> finish() const;

 private:
  Rewriter& rewriter_;
  std::optional<base::Error> error_;
};

/// Attributes of one integer or string.
ir::Attributes with(std::string name, std::int64_t value);

}  // namespace xinfer::passes
