// com.microsoft's quantised pointwise operators; caches and reinterpreted tensors.
#include <fmt/format.h>

#include <algorithm>

#include "forge/cpu/irregular/builder.h"
#include "forge/irregular_text.h"

namespace xinfer::forge::cpu::irregular {

namespace {

void add_limits(Builder& b, std::int64_t kind) {
  const bool is_signed = b.out_dtype() == DType::kInt8;
  b.add("kKind", kind)
      .add("kLow", std::int64_t{is_signed ? -128 : 0})
      .add("kHigh", std::int64_t{is_signed ? 127 : 255})
      .add("kAlpha", static_cast<double>(b.node.attributes.real("alpha", 0.01f)));
}

Shape broadcast_strides(const Shape& shape, const Shape& out) {
  const Shape dense = tensor::strides_of(shape);
  Shape strides(out.size(), 0);
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (shape[shape.size() - 1 - i] != 1) strides[out.size() - 1 - i] = dense[shape.size() - 1 - i];
  return strides;
}

template <int kKind>
Kernel qlinear_binary(Builder& b) {
  Shape out = b.out_shape();
  if (out.empty()) out = {1};
  const Shape a = broadcast_strides(b.shape(0), out), other = broadcast_strides(b.shape(3), out);
  add_limits(b, kKind);
  b.add("kRank", static_cast<std::int64_t>(out.size()))
      .list("kShape", out)
      .list("kStridesA", a)
      .list("kStridesB", other);
  b.add("kWidth", out.back()).add("kStepA", a.back()).add("kStepB", other.back());
  const std::int64_t rows = out.back() ? tensor::num_elements(out) / out.back() : 0;
  return b.finish(rows, 6.0 * static_cast<double>(tensor::num_elements(out)), 0, "quantised arithmetic",
                  {kIrregularQlinearInc});
}

// Items of `width` elements each; the unary template needs no shapes.
Kernel qlinear_rows(Builder& b, std::int64_t kind, std::int64_t rows, std::int64_t width) {
  add_limits(b, kind);
  const std::int64_t none[] = {0};
  b.add("kRank", std::int64_t{1})
      .list("kShape", none)
      .list("kStridesA", none)
      .list("kStridesB", none)
      .add("kWidth", width)
      .add("kStepA", std::int64_t{0})
      .add("kStepB", std::int64_t{0});
  return b.finish(rows, 8.0 * static_cast<double>(rows * width), 0, "quantised function", {kIrregularQlinearInc});
}
template <int kKind>
Kernel qlinear_unary(Builder& b) {
  const std::int64_t count = b.count(0), width = b.shape(0).empty() ? 1 : std::max<std::int64_t>(1, b.shape(0).back());
  return qlinear_rows(b, kKind, count / width, width);
}
Kernel qlinear_average(Builder& b) {
  const Shape x = b.shape(0);
  const std::int64_t rows = x[0] * x[1];
  return qlinear_rows(b, 4, rows, rows ? b.count(0) / rows : 0);
}

void add_cache(Builder& b, std::int64_t bytes, bool update) { b.add("kBytes", bytes).flag("kUpdate", update); }

Kernel bit_cast(Builder& b) {
  for (DType dtype : {b.dtype(0), b.out_dtype()})
    if (dtype == DType::kFloat16 || dtype == DType::kBfloat16)
      return fail(Code::kUnsupported, "BitCast of {}", tensor::name(dtype));
  add_cache(b, b.count(0) * static_cast<std::int64_t>(tensor::size_of(b.dtype(0))), false);
  for (std::string_view name : {"kOuter", "kPerBatch", "kPart", "kSize", "kInner"}) b.add(name, std::int64_t{1});
  b.flag("kCircular", false);
  b.together(b.count(0) / 4);
  return b.finish(1, 0, 0, "copy", {kIrregularCacheInc});
}

Kernel tensor_scatter(Builder& b) {
  const Shape cache = b.shape(0);
  const std::int64_t axis = Builder::axis(b.integer("axis", -2), cache.size());
  if (axis < 1) return fail(Code::kInvalidArgument, "axis 0 is the batch");
  const AxisSizes whole = sizes_around(cache, axis), part = sizes_around(b.shape(1), axis);
  const std::int64_t bytes =
      element_type(b.dtype(0)) == "float" ? 4 : static_cast<std::int64_t>(tensor::size_of(b.dtype(0)));
  add_cache(b, b.count(0) * bytes, true);
  b.add("kOuter", part.outer)
      .add("kPerBatch", std::max<std::int64_t>(1, part.outer / std::max<std::int64_t>(1, cache[0])))
      .add("kPart", part.size)
      .add("kSize", whole.size)
      .add("kInner", whole.inner);
  b.flag("kCircular", b.text("mode", "linear") == "circular");
  b.together(b.count(0) / 4);
  return b.finish(1, 0, 0, "cache update", {kIrregularCacheInc});
}

constexpr Row kRows[] = {{"com.microsoft.QLinearAdd", qlinear_binary<0>},
                         {"com.microsoft.QLinearMul", qlinear_binary<1>},
                         {"com.microsoft.QLinearSigmoid", qlinear_unary<2>},
                         {"com.microsoft.QLinearLeakyRelu", qlinear_unary<3>},
                         {"com.microsoft.QLinearGlobalAveragePool", qlinear_average},
                         {"BitCast", bit_cast},
                         {"TensorScatter", tensor_scatter}};

}  // namespace

std::span<const Row> quantized_kernels() { return kRows; }

}  // namespace xinfer::forge::cpu::irregular
