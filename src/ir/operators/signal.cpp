// Signal processing: Fourier transforms, windows, determinants.
#include "ir/operators/rules.h"

namespace xinfer::ir::rules {

namespace {

Types dft(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  const DType dtype = dtype_of(context, 0);
  if (!in) return output(context, unknown_rank(dtype));
  XI_CHECK(require_min_rank(context, 0, 2));
  XI_TRY(const auto axis_input, constant_integer(context, 2));
  Dims out = *in;
  const bool onesided = context.node.attributes.integer("onesided", 0) != 0,
             inverse = context.node.attributes.integer("inverse", 0) != 0;
  out.back() = Dim(onesided && inverse ? 1 : 2);
  if (context.has_input(2) && !axis_input) return output(context, tensor_type(dtype, Dims(in->size())));
  XI_TRY(auto axis, normalize_axis(axis_input ? *axis_input : context.node.attributes.integer("axis", -2),
                                   static_cast<std::int64_t>(in->size())));
  if (axis == static_cast<std::int64_t>(in->size()) - 1)
    return fail(Code::kInvalidArgument, "the last axis holds real and imaginary parts");
  Dim& dim = out[static_cast<std::size_t>(axis)];
  XI_TRY(const auto length, constant_integer(context, 1));
  if (length) dim = Dim(*length);
  else if (context.has_input(1)) dim = Dim{};
  else if (onesided && inverse && dim.is_known()) dim = Dim((dim.size() - 1) * 2);
  if (onesided && !inverse) dim = add(divide(dim, 2), Dim(1));
  if (dim.is_static() && dim.value < 1) return fail(Code::kInvalidArgument, "the transform has length {}", dim.value);
  return output(context, tensor_type(dtype, std::move(out)));
}

Types stft(const ShapeContext& context) {
  const DType dtype = dtype_of(context, 0);
  XI_CHECK(require_min_rank(context, 0, 2));
  XI_CHECK(require_rank(context, 2, 1));
  const Dims *signal = dims_of(context, 0), *window = dims_of(context, 2);
  XI_TRY(const auto step, constant_integer(context, 1));
  XI_TRY(const auto length, constant_integer(context, 3));
  if (length && *length < 1) return fail(Code::kInvalidArgument, "a frame has {} samples", *length);
  Dim frame = length ? Dim(*length) : window ? (*window)[0] : Dim{};
  Dim frames, bins = frame;
  if (context.node.attributes.integer("onesided", 1) != 0 && frame.is_static()) bins = Dim(frame.value / 2 + 1);
  if (step && *step <= 0) return fail(Code::kInvalidArgument, "the step is {}", *step);
  if (signal && step && frame.is_static() && (*signal)[1].is_known()) {
    const tensor::Size size = (*signal)[1].size();
    if (size.min() < frame.value)
      return fail(Code::kInvalidArgument, "a frame of {} is longer than the signal of {}", frame.value, size.min());
    frames = Dim(floor_div(size - frame.value, *step) + 1);
  }
  return output(context, tensor_type(dtype, Dims{signal ? (*signal)[0] : Dim{}, frames, bins, Dim(2)}));
}

Types mel_weight_matrix(const ShapeContext& context) {
  XI_TRY(DType dtype, dtype_attribute(context, "output_datatype", DType::kFloat32));
  XI_TRY(const auto bins, constant_integer(context, 0));
  XI_TRY(const auto length, constant_integer(context, 1));
  if ((bins && *bins < 0) || (length && *length < 0))
    return fail(Code::kInvalidArgument, "{} bins and a transform of {} samples", bins.value_or(0), length.value_or(0));
  return output(context, tensor_type(dtype, Dims{length ? Dim(*length / 2 + 1) : Dim{}, bins ? Dim(*bins) : Dim{}}));
}

Types window(const ShapeContext& context) {
  XI_TRY(DType dtype, dtype_attribute(context, "output_datatype", DType::kFloat32));
  XI_TRY(const auto size, constant_integer(context, 0));
  if (size && *size < 0) return fail(Code::kInvalidArgument, "the window has size {}", *size);
  return output(context, tensor_type(dtype, Dims{size ? Dim(*size) : Dim{}}));
}

Types det(const ShapeContext& context) {
  XI_CHECK(require_min_rank(context, 0, 2));
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, unknown_rank(dtype_of(context, 0)));
  XI_CHECK(merge_dim(in->back(), (*in)[in->size() - 2], "rows and columns"));
  return output(context, tensor_type(dtype_of(context, 0), Dims(in->begin(), in->end() - 2)));
}

}  // namespace

void add_signal(Rows& rows) {
  constexpr auto kIrregular = Lowering::kIrregular;
  rows.push_back({"DFT", 1, 3, 1, 1, {integer("axis"), integer("inverse"), integer("onesided")}, dft, kIrregular});
  rows.push_back({"STFT", 2, 4, 1, 1, {integer("onesided")}, stft, kIrregular});
  rows.push_back({"MelWeightMatrix", 5, 5, 1, 1, {integer("output_datatype")}, mel_weight_matrix, Lowering::kFoldOnly});
  for (std::string_view name : {"HannWindow", "HammingWindow", "BlackmanWindow"})
    rows.push_back({name, 1, 1, 1, 1, {integer("output_datatype"), integer("periodic")}, window, Lowering::kFoldOnly});
  rows.push_back({"Det", 1, 1, 1, 1, {}, det, kIrregular});
}

}  // namespace xinfer::ir::rules
