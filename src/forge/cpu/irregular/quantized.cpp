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

// An axis of one element is read again and again; nothing where an axis may have one element or more.
Result<Sizes> broadcast_strides(const Builder& b, const Sizes& shape, const Sizes& out) {
  const Sizes dense = dense_strides(shape);
  Sizes strides(out.size(), 0);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const Size& size = shape[shape.size() - 1 - i];
    if (size == Size(1)) continue;
    XI_CHECK(b.require_equal(size, out[out.size() - 1 - i], "sizes of the operands"));
    strides[out.size() - 1 - i] = dense[shape.size() - 1 - i];
  }
  return strides;
}

template <int kKind>
Kernel qlinear_binary(Builder& b) {
  Sizes out = b.out_sizes();
  if (out.empty()) out = {1};
  XI_TRY(const Sizes a, broadcast_strides(b, b.sizes(0), out));
  XI_TRY(const Sizes other, broadcast_strides(b, b.sizes(3), out));
  add_limits(b, kKind);
  b.add("kRank", static_cast<std::int64_t>(out.size()))
      .list("kShape", out)
      .list("kStridesA", a)
      .list("kStridesB", other);
  b.add("kWidth", out.back()).add("kStepA", a.back()).add("kStepB", other.back());
  const Size rows = out.back() == Size(0) ? Size(0) : tensor::num_elements({out.begin(), out.end() - 1});
  return b.finish(rows, 6.0 * estimate(tensor::num_elements(out)), 0, "quantised arithmetic", {kIrregularQlinearInc});
}

// Items of `width` elements each; the unary template needs no shapes.
Kernel qlinear_rows(Builder& b, std::int64_t kind, const Size& rows, const Size& width) {
  add_limits(b, kind);
  const std::int64_t none[] = {0};
  b.add("kRank", std::int64_t{1})
      .list("kShape", none)
      .list("kStridesA", none)
      .list("kStridesB", none)
      .add("kWidth", width)
      .add("kStepA", std::int64_t{0})
      .add("kStepB", std::int64_t{0});
  return b.finish(rows, 8.0 * estimate(rows * width), 0, "quantised function", {kIrregularQlinearInc});
}
template <int kKind>
Kernel qlinear_unary(Builder& b) {
  const Sizes x = b.sizes(0);
  if (x.empty()) return qlinear_rows(b, kKind, 1, 1);
  return qlinear_rows(b, kKind, tensor::num_elements({x.begin(), x.end() - 1}), x.back());
}
Kernel qlinear_average(Builder& b) {
  const Sizes x = b.sizes(0);
  return qlinear_rows(b, 4, x[0] * x[1], tensor::num_elements({x.begin() + 2, x.end()}));
}

// Bytes are moved by words of 4 where elements are that long, or happen to fill such words.
void add_cache(Builder& b, const Size& count, std::int64_t element_bytes, bool update) {
  const bool words = element_bytes % 4 == 0 || (count.is_number() && count.number() * element_bytes % 4 == 0);
  b.line(words ? "typedef uint32_t Unit;" : "typedef uint8_t Unit;");
  b.add("kUnits", floor_div(count * element_bytes, words ? 4 : 1)).flag("kUpdate", update);
}

Kernel bit_cast(Builder& b) {
  for (DType dtype : {b.dtype(0), b.out_dtype()})
    if (dtype == DType::kFloat16 || dtype == DType::kBfloat16)
      return fail(Code::kUnsupported, "BitCast of {}", tensor::name(dtype));
  add_cache(b, b.elements(0), static_cast<std::int64_t>(tensor::size_of(b.dtype(0))), false);
  for (std::string_view name : {"kOuter", "kPerBatch", "kPart", "kSize", "kInner"}) b.add(name, std::int64_t{1});
  b.flag("kCircular", false);
  b.together(b.elements(0).opt() / 4);
  return b.finish(1, 0, 0, "copy", {kIrregularCacheInc});
}

Kernel tensor_scatter(Builder& b) {
  const Sizes cache = b.sizes(0), update = b.sizes(1);
  const std::int64_t axis = Builder::axis(b.integer("axis", -2), cache.size());
  if (axis < 1) return fail(Code::kInvalidArgument, "axis 0 is the batch");
  for (std::size_t d = 0; d < cache.size(); ++d)
    if (static_cast<std::int64_t>(d) != axis) XI_CHECK(b.require_equal(update[d], cache[d], "cache and update"));
  if (b.has(2)) XI_CHECK(b.require_equal(b.elements(2), cache[0], "batches of cache and positions"));
  const AxisSizes whole = sizes_around(cache, axis), part = sizes_around(update, axis);
  const std::int64_t bytes =
      element_type(b.dtype(0)) == "float" ? 4 : static_cast<std::int64_t>(tensor::size_of(b.dtype(0)));
  add_cache(b, b.elements(0), bytes, true);
  b.add("kOuter", part.outer)
      .add("kPerBatch", tensor::num_elements({cache.begin() + 1, cache.begin() + axis}))
      .add("kPart", part.size)
      .add("kSize", whole.size)
      .add("kInner", whole.inner);
  b.flag("kCircular", b.text("mode", "linear") == "circular");
  b.together(b.elements(0).opt() / 4);
  return b.finish(1, 0, 0, "cache update", {kIrregularCacheInc});
}

constexpr Row kRows[] = {{"com.microsoft.QLinearAdd", qlinear_binary<0>, true},
                         {"com.microsoft.QLinearMul", qlinear_binary<1>, true},
                         {"com.microsoft.QLinearSigmoid", qlinear_unary<2>, true},
                         {"com.microsoft.QLinearLeakyRelu", qlinear_unary<3>, true},
                         {"com.microsoft.QLinearGlobalAveragePool", qlinear_average, true},
                         {"BitCast", bit_cast, true},
                         {"TensorScatter", tensor_scatter, true}};

}  // namespace

std::span<const Row> quantized_kernels() { return kRows; }

}  // namespace xinfer::forge::cpu::irregular
