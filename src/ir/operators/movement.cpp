// Movement operators: every output element is one input element at a computed index, or a fill value.
#include <algorithm>
#include <cmath>

#include "ir/operators/rules.h"

namespace xinfer::ir::rules {

namespace {

Dims unknown_dims(std::size_t rank) { return Dims(rank); }

// The number of elements of a one-dimensional input that holds a shape or axes, or -1.
std::int64_t length_of(const ShapeContext& context, std::size_t input) {
  constexpr std::int64_t kMaxRank = 64;
  const Dims* dims = dims_of(context, input);
  return dims && dims->size() == 1 && (*dims)[0].value <= kMaxRank ? (*dims)[0].value : -1;
}

// What -1 stands for: the elements of `in` over those of `out` without that entry.
Result<Dim> inferred_size(const Dims& in, const Dims& out, std::size_t at) {
  Dims others = out;
  others[at] = Dim(1);
  // Sizes on both sides cancel, known or not: what a 0 copies needs no name.
  Dims have = in;
  for (Dim& dim : others) {
    if (dim.is_static()) continue;
    auto it = std::ranges::find(have, dim);
    if (!dim.is_known() || it == have.end()) continue;
    dim = *it = Dim(1);
  }
  const Dim whole = product(have, 0, have.size()), used = product(others, 0, others.size());
  if (!whole.is_known() || !used.is_known()) return Dim{};
  if (whole.is_static() && used.is_static()) {
    if (used.value == 0 ? whole.value != 0 : whole.value % used.value != 0)
      return fail(Code::kInvalidArgument, "cannot reshape {} elements into groups of {}", whole.value, used.value);
    return Dim(used.value == 0 ? 0 : whole.value / used.value);
  }
  if (used.size().min() <= 0) return Dim{};
  return Dim(floor_div(whole.size(), used.size()));
}

Types reshape(const ShapeContext& context) {
  const DType dtype = dtype_of(context, 0);
  const Dims* in = dims_of(context, 0);
  auto target = known_sizes(context, 1);
  if (!target) {
    auto rank = length_of(context, 1);
    return output(context,
                  rank < 0 ? unknown_rank(dtype) : tensor_type(dtype, unknown_dims(static_cast<std::size_t>(rank))));
  }
  const bool allow_zero = context.node.attributes.integer("allowzero", 0) != 0;
  Dims out;
  std::ptrdiff_t infer = -1;
  for (std::size_t i = 0; i < target->size(); ++i) {
    const tensor::Size& size = (*target)[i];
    if (size == tensor::Size(-1)) {
      if (infer >= 0) return fail(Code::kInvalidArgument, "the new shape has more than one -1");
      infer = static_cast<std::ptrdiff_t>(i);
      out.emplace_back();
    } else if (size == tensor::Size(0) && !allow_zero) {
      if (in && i >= in->size())
        return fail(Code::kInvalidArgument, "the new shape copies dimension {} of a rank {} input", i, in->size());
      out.push_back(in ? (*in)[i] : Dim{});
    } else if (size.max() < 0) {
      return fail(Code::kInvalidArgument, "size {} in the new shape", size.text());
    } else {
      out.emplace_back(size);
    }
  }
  if (in && infer >= 0) {
    XI_TRY(out[static_cast<std::size_t>(infer)], inferred_size(*in, out, static_cast<std::size_t>(infer)));
  } else if (in) {
    Dim have = product(*in, 0, in->size()), want = product(out, 0, out.size());
    if (have.is_static() && want.is_static() && have.value != want.value)
      return fail(Code::kInvalidArgument, "cannot reshape {} elements into {}", have.value, want.value);
  }
  return output(context, tensor_type(dtype, std::move(out)));
}

Types transpose(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, unknown_rank(dtype_of(context, 0)));
  auto perm = context.node.attributes.integers("perm");
  if (!context.node.attributes.has("perm"))
    for (std::size_t i = in->size(); i-- > 0;) perm.push_back(static_cast<std::int64_t>(i));
  if (perm.size() != in->size())
    return fail(Code::kInvalidArgument, "perm has {} entries for rank {}", perm.size(), in->size());
  XI_TRY(auto axes, normalize_axes(perm, static_cast<std::int64_t>(in->size())));
  Dims out;
  for (auto axis : axes) out.push_back((*in)[static_cast<std::size_t>(axis)]);
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

// Elements that start:end:step takes of `size`, numpy's way.
std::int64_t slice_length(std::int64_t size, std::int64_t start, std::int64_t end, std::int64_t step) {
  auto clamp = [&](std::int64_t at) {
    if (at < 0) at = at < -size ? -1 : at + size;
    return step > 0 ? std::clamp<std::int64_t>(at, 0, size) : std::clamp<std::int64_t>(at, -1, size - 1);
  };
  start = start < -size ? (step > 0 ? 0 : -1) : clamp(start);
  end = clamp(end);
  const std::int64_t span = step > 0 ? end - start : start - end;
  const std::int64_t stride =
      step > 0 ? step
               : (step == std::numeric_limits<std::int64_t>::min() ? std::numeric_limits<std::int64_t>::max() : -step);
  return span <= 0 ? 0 : (span - 1) / stride + 1;
}

// The same with formulas, for steps of 1 and ranges whose order is sure; nothing elsewhere.
std::optional<tensor::Size> slice_size(const tensor::Size& size, tensor::Size start, tensor::Size end, const tensor::Size& step) {
  using tensor::Size;
  if (size.is_number() && start.is_number() && end.is_number() && step.is_number())
    return Size(slice_length(size.number(), start.number(), end.number(), step.number()));
  auto placed = [&](Size at) -> std::optional<Size> {
    if (at.max() < 0) at = larger(at + size, 0);
    else if (at.min() < 0) return std::nullopt;
    return smaller(at, size);
  };
  if (!step.is_number() || step.number() < 1) {
    // All of it backwards is as long as forwards.
    const bool whole = step == Size(-1) && start == Size(-1) && end.max() < -size.max();
    return whole ? std::optional(size) : std::nullopt;
  }
  auto from = placed(start), to = placed(end);
  if (!from || !to) return std::nullopt;
  return ceil_div(larger(*to - *from, 0), step);
}

Types slice(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, unknown_rank(dtype_of(context, 0)));
  auto starts = known_sizes(context, 1), ends = known_sizes(context, 2), steps = known_sizes(context, 4);
  auto axes = constant_integers(context, 3);
  Dims out = *in;
  if (context.has_input(3) && !axes)
    return output(context, tensor_type(dtype_of(context, 0), unknown_dims(in->size())));
  std::int64_t count = length_of(context, 1);
  if (!axes) {
    if (count < 0) return output(context, tensor_type(dtype_of(context, 0), unknown_dims(in->size())));
    axes.emplace();
    for (std::int64_t i = 0; i < count; ++i) axes->push_back(i);
  }
  XI_TRY(auto normal, normalize_axes(*axes, static_cast<std::int64_t>(in->size())));
  for (std::size_t i = 0; i < normal.size(); ++i) {
    Dim& dim = out[static_cast<std::size_t>(normal[i])];
    const bool known = starts && ends && (!context.has_input(4) || steps);
    if (!known) {
      dim = Dim{};
      continue;
    }
    if (i >= starts->size() || i >= ends->size() || (steps && i >= steps->size()))
      return fail(Code::kInvalidArgument, "starts, ends, axes and steps have different lengths");
    const tensor::Size step = steps ? (*steps)[i] : tensor::Size(1);
    if (step == tensor::Size(0)) return fail(Code::kInvalidArgument, "a step is 0");
    auto length = dim.is_known() ? slice_size(dim.size(), (*starts)[i], (*ends)[i], step) : std::nullopt;
    const bool whole = (*starts)[i] == tensor::Size(0) && (*ends)[i].min() >= std::numeric_limits<std::int32_t>::max() && step == tensor::Size(1);
    if (!whole) dim = length ? Dim(*length) : Dim{};
    else if (length) dim = Dim(*length);
  }
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

Types concat(const ShapeContext& context) {
  XI_CHECK(require_same_dtype(context, 0, context.num_inputs() - 1));
  const DType dtype = dtype_of(context, 0);
  const Dims* first = dims_of(context, 0);
  if (!first) return output(context, unknown_rank(dtype));
  XI_TRY(auto axis,
         normalize_axis(context.node.attributes.integer("axis", 0), static_cast<std::int64_t>(first->size())));
  Dims out = *first;
  for (std::size_t i = 1; i < context.num_inputs(); ++i) {
    const Dims* dims = dims_of(context, i);
    if (!dims) return output(context, tensor_type(dtype, unknown_dims(first->size())));
    if (dims->size() != out.size())
      return fail(Code::kInvalidArgument, "inputs 0 and {} have ranks {} and {}", i, out.size(), dims->size());
    for (std::size_t d = 0; d < out.size(); ++d) {
      if (d == static_cast<std::size_t>(axis)) {
        out[d] = add(out[d], (*dims)[d]);
      } else {
        XI_TRY(out[d], merge_dim(out[d], (*dims)[d], fmt::format("dimension {} of inputs 0 and {}", d, i)));
      }
    }
  }
  return output(context, tensor_type(dtype, std::move(out)));
}

Types split(const ShapeContext& context) {
  const std::size_t count = context.node.outputs.size();
  const DType dtype = dtype_of(context, 0);
  const Dims* in = dims_of(context, 0);
  if (!in) return outputs(context, std::vector<ValueType>(count, unknown_rank(dtype)));
  XI_TRY(auto axis, normalize_axis(context.node.attributes.integer("axis", 0), static_cast<std::int64_t>(in->size())));
  const Dim& whole = (*in)[static_cast<std::size_t>(axis)];
  std::vector<ValueType> types(count, tensor_type(dtype, *in));
  auto sizes = known_sizes(context, 1);
  if (sizes && sizes->size() != count)
    return fail(Code::kInvalidArgument, "{} sizes for {} outputs", sizes->size(), count);
  tensor::Size total = 0;
  // Without sizes: equal parts, the last one smaller.
  const auto parts = context.node.attributes.integer("num_outputs", static_cast<std::int64_t>(count));
  if (parts <= 0) return fail(Code::kInvalidArgument, "num_outputs is {}", parts);
  const tensor::Size part = whole.is_known() ? ceil_div(whole.size(), parts) : tensor::Size(0);
  for (std::size_t i = 0; i < count; ++i) {
    Dim& dim = (*types[i].dims)[static_cast<std::size_t>(axis)];
    if (sizes) dim = Dim((*sizes)[i]);
    else if (context.has_input(1) || !whole.is_known()) dim = Dim{};
    else dim = Dim(larger(0, smaller(part, whole.size() - total)));
    if (dim.is_known()) total += dim.size();
    if (sizes && (*sizes)[i].max() < 0) return fail(Code::kInvalidArgument, "a part has size {}", (*sizes)[i].text());
  }
  if (sizes && whole.is_static() && total.is_number() && total.number() != whole.value)
    return fail(Code::kInvalidArgument, "the parts sum to {}, the axis has {}", total.number(), whole.value);
  return outputs(context, std::move(types));
}

Types pad(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, unknown_rank(dtype_of(context, 0)));
  auto pads = known_sizes(context, 1);
  auto axes = constant_integers(context, 3);
  if (!pads || (context.has_input(3) && !axes))
    return output(context, tensor_type(dtype_of(context, 0), unknown_dims(in->size())));
  if (!axes) {
    axes.emplace();
    for (std::size_t i = 0; i < in->size(); ++i) axes->push_back(static_cast<std::int64_t>(i));
  }
  XI_TRY(auto normal, normalize_axes(*axes, static_cast<std::int64_t>(in->size())));
  if (pads->size() != 2 * normal.size())
    return fail(Code::kInvalidArgument, "{} pads for {} axes", pads->size(), normal.size());
  Dims out = *in;
  for (std::size_t i = 0; i < normal.size(); ++i) {
    const tensor::Size extra = (*pads)[i] + (*pads)[i + normal.size()];
    Dim& dim = out[static_cast<std::size_t>(normal[i])];
    if (!dim.is_known()) {
      if (extra != tensor::Size(0)) dim = Dim{};
      continue;
    }
    const tensor::Size padded = dim.size() + extra;
    if (padded.max() < 0) return fail(Code::kInvalidArgument, "axis {} is cropped to less than nothing", normal[i]);
    dim = Dim(padded);
  }
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

Types expand(const ShapeContext& context) {
  auto shape = known_sizes(context, 1);
  const Dims* in = dims_of(context, 0);
  if (!shape) {
    auto rank = length_of(context, 1);
    if (!in || rank < 0) return output(context, unknown_rank(dtype_of(context, 0)));
    return output(
        context, tensor_type(dtype_of(context, 0), unknown_dims(std::max(in->size(), static_cast<std::size_t>(rank)))));
  }
  if (!in) return output(context, unknown_rank(dtype_of(context, 0)));
  for (const auto& size : *shape)
    if (size.max() < 0) return fail(Code::kInvalidArgument, "the shape to expand to has size {}", size.text());
  XI_TRY(auto out, broadcast_dims(*in, to_dims(*shape)));
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

Types tile(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, unknown_rank(dtype_of(context, 0)));
  auto repeats = known_sizes(context, 1);
  Dims out = *in;
  if (repeats && repeats->size() != in->size())
    return fail(Code::kInvalidArgument, "{} repeats for rank {}", repeats->size(), in->size());
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (repeats && (*repeats)[i].max() < 0) return fail(Code::kInvalidArgument, "a repeat is {}", (*repeats)[i].text());
    out[i] = repeats && out[i].is_known() ? Dim(out[i].size() * (*repeats)[i]) : Dim{};
  }
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

Types squeeze(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  auto axes = constant_integers(context, 1);
  if (!in || (context.has_input(1) && !axes)) return output(context, unknown_rank(dtype_of(context, 0)));
  std::vector<bool> drop(in->size(), false);
  if (axes) {
    XI_TRY(auto normal, normalize_axes(*axes, static_cast<std::int64_t>(in->size())));
    for (auto axis : normal) {
      const Dim& dim = (*in)[static_cast<std::size_t>(axis)];
      if (dim.is_static() && dim.value != 1)
        return fail(Code::kInvalidArgument, "cannot squeeze axis {} of size {}", axis, dim.value);
      drop[static_cast<std::size_t>(axis)] = true;
    }
  } else {
    for (std::size_t i = 0; i < in->size(); ++i) {
      if (!(*in)[i].is_static() && !((*in)[i].is_known() && (*in)[i].size().min() > 1))
        return output(context, unknown_rank(dtype_of(context, 0)));
      drop[i] = (*in)[i].value == 1;
    }
  }
  Dims out;
  for (std::size_t i = 0; i < in->size(); ++i)
    if (!drop[i]) out.push_back((*in)[i]);
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

Types unsqueeze(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  auto axes = constant_integers(context, 1);
  if (!in) return output(context, unknown_rank(dtype_of(context, 0)));
  if (!axes) {
    auto count = length_of(context, 1);
    return output(context, count < 0 ? unknown_rank(dtype_of(context, 0))
                                     : tensor_type(dtype_of(context, 0),
                                                   unknown_dims(in->size() + static_cast<std::size_t>(count))));
  }
  const std::size_t rank = in->size() + axes->size();
  XI_TRY(auto normal, normalize_axes(*axes, static_cast<std::int64_t>(rank)));
  Dims out;
  for (std::size_t i = 0, next = 0; i < rank; ++i)
    out.push_back(std::ranges::find(normal, static_cast<std::int64_t>(i)) != normal.end() ? Dim(1) : (*in)[next++]);
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

Types flatten(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, tensor_type(dtype_of(context, 0), unknown_dims(2)));
  const auto rank = static_cast<std::int64_t>(in->size());
  std::int64_t axis = context.node.attributes.integer("axis", 1);
  if (axis < -rank || axis > rank)
    return fail(Code::kInvalidArgument, "axis {} is out of range for rank {}", axis, rank);
  if (axis < 0) axis += rank;
  const auto at = static_cast<std::size_t>(axis);
  return output(context, tensor_type(dtype_of(context, 0), Dims{product(*in, 0, at), product(*in, at, in->size())}));
}

Types gather(const ShapeContext& context) {
  const Dims *data = dims_of(context, 0), *indices = dims_of(context, 1);
  if (!data || !indices) return output(context, unknown_rank(dtype_of(context, 0)));
  XI_TRY(auto axis,
         normalize_axis(context.node.attributes.integer("axis", 0), static_cast<std::int64_t>(data->size())));
  Dims out(data->begin(), data->begin() + axis);
  out.insert(out.end(), indices->begin(), indices->end());
  out.insert(out.end(), data->begin() + axis + 1, data->end());
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

Types gather_elements(const ShapeContext& context) {
  const Dims *data = dims_of(context, 0), *indices = dims_of(context, 1);
  if (data)
    XI_CHECK(normalize_axis(context.node.attributes.integer("axis", 0), static_cast<std::int64_t>(data->size())));
  if (data) XI_CHECK(require_rank(context, 1, data->size()));
  return output(context, indices ? tensor_type(dtype_of(context, 0), *indices) : unknown_rank(dtype_of(context, 0)));
}

Types gather_nd(const ShapeContext& context) {
  const Dims *data = dims_of(context, 0), *indices = dims_of(context, 1);
  if (!data || !indices || indices->empty() || !indices->back().is_static())
    return output(context, unknown_rank(dtype_of(context, 0)));
  const auto batch = context.node.attributes.integer("batch_dims", 0);
  if (batch < 0 || batch >= static_cast<std::int64_t>(indices->size()) ||
      indices->back().value > static_cast<std::int64_t>(data->size()) - batch)
    return fail(Code::kInvalidArgument, "indices of length {} and batch_dims {} for rank {}", indices->back().value,
                batch, data->size());
  Dims out(indices->begin(), indices->end() - 1);
  out.insert(out.end(), data->begin() + batch + indices->back().value, data->end());
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

constexpr std::int64_t kMaxBlock = 1 << 20;

Types depth_to_space(const ShapeContext& context) {
  XI_CHECK(require_rank(context, 0, 4));
  const std::int64_t block = context.node.attributes.integer("blocksize", 1);
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, tensor_type(dtype_of(context, 0), unknown_dims(4)));
  if (block <= 0 || block > kMaxBlock) return fail(Code::kInvalidArgument, "blocksize is {}", block);
  if ((*in)[1].is_static() && (*in)[1].value % (block * block) != 0)
    return fail(Code::kInvalidArgument, "{} channels are not divisible by {}", (*in)[1].value, block * block);
  Dim channels = divide((*in)[1], block * block);
  return output(context, tensor_type(dtype_of(context, 0),
                                     Dims{(*in)[0], channels, multiply((*in)[2], block), multiply((*in)[3], block)}));
}

Types space_to_depth(const ShapeContext& context) {
  XI_CHECK(require_rank(context, 0, 4));
  const std::int64_t block = context.node.attributes.integer("blocksize", 1);
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, tensor_type(dtype_of(context, 0), unknown_dims(4)));
  if (block <= 0 || block > kMaxBlock) return fail(Code::kInvalidArgument, "blocksize is {}", block);
  Dims out{(*in)[0], multiply((*in)[1], block * block), Dim{}, Dim{}};
  for (std::size_t i = 2; i < 4; ++i) {
    if ((*in)[i].is_static() && (*in)[i].value % block != 0)
      return fail(Code::kInvalidArgument, "size {} is not divisible by the block size {}", (*in)[i].value, block);
    out[i] = divide((*in)[i], block);
  }
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

Types center_crop_pad(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, unknown_rank(dtype_of(context, 0)));
  auto sizes = known_sizes(context, 1);
  auto axes = context.node.attributes.integers("axes");
  if (!context.node.attributes.has("axes"))
    for (std::size_t i = 0; i < in->size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  XI_TRY(auto normal, normalize_axes(axes, static_cast<std::int64_t>(in->size())));
  if (sizes && sizes->size() != normal.size())
    return fail(Code::kInvalidArgument, "{} sizes for {} axes", sizes->size(), normal.size());
  Dims out = *in;
  for (std::size_t i = 0; i < normal.size(); ++i)
    out[static_cast<std::size_t>(normal[i])] = sizes ? Dim((*sizes)[i]) : Dim{};
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

Types reverse_sequence(const ShapeContext& context) {
  XI_CHECK(require_min_rank(context, 0, 2));
  return same_as_first(context);
}

Types trilu(const ShapeContext& context) {
  XI_CHECK(require_min_rank(context, 0, 2));
  return same_as_first(context);
}

Types shape(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, tensor_type(DType::kInt64, Dims{Dim{}}));
  const auto rank = static_cast<std::int64_t>(in->size());
  auto clamp = [&](std::int64_t at) { return std::clamp<std::int64_t>(at < 0 ? at + rank : at, 0, rank); };
  std::int64_t begin = clamp(context.node.attributes.integer("start", 0)),
               end = clamp(context.node.attributes.integer("end", rank));
  return output(context, tensor_type(DType::kInt64, Dims{Dim(std::max<std::int64_t>(0, end - begin))}));
}

Types size(const ShapeContext& context) { return output(context, scalar(DType::kInt64)); }

Types constant(const ShapeContext& context) {
  const Attributes& a = context.node.attributes;
  for (std::string_view name : {"value", "sparse_value"})
    if (const auto* tensor = a.get<std::shared_ptr<const Tensor>>(name))
      return output(context, ValueType::of((*tensor)->dtype(), (*tensor)->shape()));
  if (a.get<float>("value_float")) return output(context, scalar(DType::kFloat32));
  if (a.get<std::int64_t>("value_int")) return output(context, scalar(DType::kInt64));
  if (a.get<std::string>("value_string")) return output(context, scalar(DType::kString));
  auto vector = [&](DType dtype, std::size_t count) {
    return output(context, static_type(dtype, {static_cast<std::int64_t>(count)}));
  };
  if (const auto* list = a.get<std::vector<float>>("value_floats")) return vector(DType::kFloat32, list->size());
  if (const auto* list = a.get<std::vector<std::int64_t>>("value_ints")) return vector(DType::kInt64, list->size());
  if (const auto* list = a.get<std::vector<std::string>>("value_strings")) return vector(DType::kString, list->size());
  return fail(Code::kInvalidArgument, "Constant has no value");
}

Types constant_of_shape(const ShapeContext& context) {
  DType dtype = DType::kFloat32;
  if (const auto* value = context.node.attributes.get<std::shared_ptr<const Tensor>>("value"))
    dtype = (*value)->dtype();
  auto shape = known_sizes(context, 0);
  if (!shape) {
    auto rank = length_of(context, 0);
    return output(context,
                  rank < 0 ? unknown_rank(dtype) : tensor_type(dtype, unknown_dims(static_cast<std::size_t>(rank))));
  }
  for (const auto& size : *shape)
    if (size.max() < 0) return fail(Code::kInvalidArgument, "size {} in the shape", size.text());
  return output(context, tensor_type(dtype, to_dims(*shape)));
}

// The length of a range between sizes that follow from shapes.
Dim range_size(const ShapeContext& context) {
  auto start = known_sizes(context, 0), limit = known_sizes(context, 1), delta = known_sizes(context, 2);
  if (!start || !limit || !delta || start->size() != 1 || limit->size() != 1 || delta->size() != 1 || (*delta)[0].min() <= 0) return Dim{};
  return Dim(larger(ceil_div((*limit)[0] - (*start)[0], (*delta)[0]), 0));
}

Types range(const ShapeContext& context) {
  XI_CHECK(require_same_dtype(context, 0, 2));
  const DType dtype = dtype_of(context, 0);
  const Tensor *start = context.constant(0), *limit = context.constant(1), *delta = context.constant(2);
  if (!start || !limit || !delta || start->num_elements() != 1 || limit->num_elements() != 1 ||
      delta->num_elements() != 1)
    return output(context, tensor_type(dtype, Dims{range_size(context)}));
  std::int64_t count = 0;
  if (tensor::is_float(dtype)) {
    const double step = delta->as_double(0), span = limit->as_double(0) - start->as_double(0);
    if (step == 0) return fail(Code::kInvalidArgument, "delta is 0");
    count = static_cast<std::int64_t>(std::clamp(std::ceil(span / step), 0.0, 9e15));
  } else {
    using Wide = __int128;
    const Wide step = delta->as_int64(0), span = Wide(limit->as_int64(0)) - start->as_int64(0);
    if (step == 0) return fail(Code::kInvalidArgument, "delta is 0");
    const Wide steps = (span > 0) == (step > 0) && span != 0 ? ((span < 0 ? -span : span) - 1) / (step < 0 ? -step : step) + 1 : 0;
    count = static_cast<std::int64_t>(std::min<Wide>(steps, tensor::kUnbounded));
  }
  return output(context, static_type(dtype, {count}));
}

Types eye_like(const ShapeContext& context) {
  XI_CHECK(require_rank(context, 0, 2));
  XI_TRY(DType dtype, dtype_attribute(context, "dtype", dtype_of(context, 0)));
  return output(context, tensor_type(dtype, context.input(0).dims));
}

Types one_hot(const ShapeContext& context) {
  const Dims* indices = dims_of(context, 0);
  const DType dtype = dtype_of(context, 2);
  if (!indices) return output(context, unknown_rank(dtype));
  const auto rank = static_cast<std::int64_t>(indices->size()) + 1;
  XI_TRY(auto axis, normalize_axis(context.node.attributes.integer("axis", -1), rank));
  auto depth = constant_integers(context, 1);
  if (depth && (depth->size() != 1 || (*depth)[0] < 0))
    return fail(Code::kInvalidArgument, "depth must be one number, not negative");
  Dims out = *indices;
  out.insert(out.begin() + axis, depth ? Dim((*depth)[0]) : Dim{});
  return output(context, tensor_type(dtype, std::move(out)));
}

}  // namespace

void add_movement(Rows& rows) {
  constexpr auto kMove = Lowering::kMovement;
  rows.push_back({"Reshape", 2, 2, 1, 1, {integer("allowzero")}, reshape, kMove});
  rows.push_back({"Transpose", 1, 1, 1, 1, {integers("perm")}, transpose, kMove});
  rows.push_back({"Slice", 3, 5, 1, 1, {}, slice, kMove});
  rows.push_back({"Concat", 1, kVariadic, 1, 1, {integer("axis", true)}, concat, kMove});
  rows.push_back({"Split", 1, 2, 1, kVariadic, {integer("axis"), integer("num_outputs")}, split, kMove});
  rows.push_back({"Pad", 2, 4, 1, 1, {text("mode")}, pad, kMove});
  rows.push_back({"Expand", 2, 2, 1, 1, {}, expand, kMove});
  rows.push_back({"Tile", 2, 2, 1, 1, {}, tile, kMove});
  rows.push_back({"Squeeze", 1, 2, 1, 1, {}, squeeze, kMove});
  rows.push_back({"Unsqueeze", 2, 2, 1, 1, {}, unsqueeze, kMove});
  rows.push_back({"Flatten", 1, 1, 1, 1, {integer("axis")}, flatten, kMove});
  rows.push_back({"Gather", 2, 2, 1, 1, {integer("axis")}, gather, kMove});
  rows.push_back({"GatherElements", 2, 2, 1, 1, {integer("axis")}, gather_elements, kMove});
  rows.push_back({"GatherND", 2, 2, 1, 1, {integer("batch_dims")}, gather_nd, kMove});
  rows.push_back({"DepthToSpace", 1, 1, 1, 1, {integer("blocksize", true), text("mode")}, depth_to_space, kMove});
  rows.push_back({"SpaceToDepth", 1, 1, 1, 1, {integer("blocksize", true)}, space_to_depth, kMove});
  rows.push_back({"CenterCropPad", 2, 2, 1, 1, {integers("axes")}, center_crop_pad, kMove});
  rows.push_back(
      {"ReverseSequence", 2, 2, 1, 1, {integer("batch_axis"), integer("time_axis")}, reverse_sequence, kMove});
  rows.push_back({"Trilu", 1, 2, 1, 1, {integer("upper")}, trilu, kMove});
  rows.push_back({"OneHot", 3, 3, 1, 1, {integer("axis")}, one_hot, Lowering::kIrregular});
  rows.push_back({"EyeLike", 1, 1, 1, 1, {integer("dtype"), integer("k")}, eye_like, Lowering::kFoldOnly});
  rows.push_back({"Shape", 1, 1, 1, 1, {integer("start"), integer("end")}, shape, Lowering::kFoldOnly});
  rows.push_back({"Size", 1, 1, 1, 1, {}, size, Lowering::kFoldOnly});
  rows.push_back({"Range", 3, 3, 1, 1, {}, range, Lowering::kFoldOnly});
  rows.push_back({"ConstantOfShape", 1, 1, 1, 1, {tensor_attribute("value")}, constant_of_shape, Lowering::kFoldOnly});
  rows.push_back(
      {"Constant",
       0,
       0,
       1,
       1,
       {tensor_attribute("value"), tensor_attribute("sparse_value"), real("value_float"), reals("value_floats"),
        integer("value_int"), integers("value_ints"), text("value_string"), texts("value_strings")},
       constant,
       Lowering::kFoldOnly});
}

}  // namespace xinfer::ir::rules
