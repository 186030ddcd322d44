// Movement operators: elements copied unchanged to new places.
#include <algorithm>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

namespace {

// The same elements under the output's shape.
Values view(const Call& call) {
  Tensor out = call.make();
  copy_run(out, 0, call.in(0), 0, out.num_elements());
  return result(std::move(out));
}

// out[i] = in[offset + sum of index * strides].
std::vector<Value> strided(const Call& call, const Shape& strides, std::int64_t offset) {
  Tensor out = call.make();
  with_copier(out, call.in(0), [&](auto copy) {
    for_each_index(out.shape(), std::array{strides}, [&](auto o, auto i) { copy(o, offset + i); });
  });
  return result(std::move(out));
}

Values transpose(const Call& call) {
  Shape dense = tensor::strides_of(call.in(0).shape()), strides;
  auto perm = call.integers("perm");
  const std::int64_t rank = call.in(0).rank();
  for (std::int64_t i = 0; i < rank; ++i)
    strides.push_back(dense[index_of(perm.empty() ? rank - 1 - i : positive_axis(perm[index_of(i)], rank))]);
  return strided(call, strides, 0);
}

Values slice(const Call& call) {
  const Tensor& in = call.in(0);
  Shape dense = tensor::strides_of(in.shape()), strides = dense;
  auto starts = call.in(1).as_int64s();
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    const std::size_t axis =
        call.has(3) ? index_of(positive_axis(call.in(3).as_int64(static_cast<std::int64_t>(i)), in.rank())) : i;
    const std::int64_t step = call.has(4) ? call.in(4).as_int64(static_cast<std::int64_t>(i)) : 1;
    const std::int64_t size = in.shape()[axis];
    std::int64_t start = starts[i] < 0 ? std::max<std::int64_t>(starts[i] + size, step < 0 ? -1 : 0) : starts[i];
    start = std::min(start, step < 0 ? size - 1 : size);
    offset += start * dense[axis];
    strides[axis] = dense[axis] * step;
  }
  if (tensor::num_elements(call.types[0].shape()) == 0) return result(call.make());
  return strided(call, strides, offset);
}

Values expand(const Call& call) {
  return strided(call, broadcast_strides(call.in(0).shape(), call.types[0].shape()), 0);
}

Values tile(const Call& call) {
  Tensor out = call.make();
  const Shape &from = call.in(0).shape(), &to = out.shape();
  // Seen as [repeat, size] per axis, the repeats have stride 0.
  Shape shape, strides, dense = tensor::strides_of(from);
  for (std::size_t i = 0; i < from.size(); ++i) {
    shape.push_back(from[i] == 0 ? 0 : to[i] / from[i]);
    shape.push_back(from[i]);
    strides.push_back(0);
    strides.push_back(dense[i]);
  }
  with_copier(out, call.in(0),
              [&](auto copy) { for_each_index(shape, std::array{strides}, [&](auto o, auto i) { copy(o, i); }); });
  return result(std::move(out));
}

Values concat(const Call& call) {
  Tensor out = call.make();
  const std::int64_t axis = positive_axis(call.integer("axis", 0), out.rank());
  AxisView whole = view_axis(out.shape(), axis);
  std::int64_t at = 0;
  for (std::size_t n = 0; n < call.inputs.size(); ++n) {
    const std::int64_t size = call.in(n).shape()[index_of(axis)];
    for (std::int64_t o = 0; o < whole.outer; ++o)
      copy_run(out, (o * whole.size + at) * whole.inner, call.in(n), o * size * whole.inner, size * whole.inner);
    at += size;
  }
  return result(std::move(out));
}

Values split(const Call& call) {
  const Tensor& in = call.in(0);
  const std::int64_t axis = positive_axis(call.integer("axis", 0), in.rank());
  AxisView whole = view_axis(in.shape(), axis);
  std::vector<Value> values;
  std::int64_t at = 0;
  for (std::size_t n = 0; n < call.num_outputs(); ++n) {
    Tensor out = call.make(n);
    const std::int64_t size = out.shape()[index_of(axis)];
    for (std::int64_t o = 0; o < whole.outer; ++o)
      copy_run(out, o * size * whole.inner, in, (o * whole.size + at) * whole.inner, size * whole.inner);
    at += size;
    values.emplace_back(std::move(out));
  }
  return values;
}

// The source index of position `at` on an axis of `size`, or -1 for the fill value.
std::int64_t pad_source(std::string_view mode, std::int64_t at, std::int64_t size) {
  if (at >= 0 && at < size) return at;
  if (mode == "constant" || size == 0) return -1;
  if (mode == "edge") return at < 0 ? 0 : size - 1;
  if (mode == "wrap") return (at % size + size) % size;
  if (size == 1) return 0;  // reflect
  const std::int64_t period = 2 * (size - 1);
  at = (at % period + period) % period;
  return at < size ? at : period - at;
}

Values pad(const Call& call) {
  Tensor out = call.make();
  const Tensor& in = call.in(0);
  const std::string mode = call.text("mode", "constant");
  auto pads = call.in(1).as_int64s();
  std::vector<std::int64_t> before(index_of(in.rank()), 0);
  const std::size_t count = pads.size() / 2;
  for (std::size_t i = 0; i < count; ++i)
    before[call.has(3) ? index_of(positive_axis(call.in(3).as_int64(static_cast<std::int64_t>(i)), in.rank())) : i] =
        pads[i];
  Tensor fill(in.dtype(), {});
  if (call.has(2) && call.in(2).num_elements() > 0) copy_run(fill, 0, call.in(2), 0, 1);
  // Per axis: where each output coordinate comes from.
  Shape dense = tensor::strides_of(in.shape());
  std::vector<std::vector<std::int64_t>> sources(index_of(in.rank()));
  for (std::size_t d = 0; d < sources.size(); ++d)
    for (std::int64_t i = 0; i < out.shape()[d]; ++i) {
      std::int64_t from = pad_source(mode, i - before[d], in.shape()[d]);
      sources[d].push_back(from < 0 ? -1 : from * dense[d]);
    }
  std::vector<std::int64_t> index(index_of(out.rank()), 0);
  with_copier(out, in, [&](auto copy) {
    with_copier(out, fill, [&](auto copy_fill) {
      for (std::int64_t o = 0; o < out.num_elements(); ++o) {
        std::int64_t from = 0;
        for (std::size_t d = 0; d < index.size() && from >= 0; ++d) {
          const std::int64_t part = sources[d][index_of(index[d])];
          from = part < 0 ? -1 : from + part;
        }
        if (from >= 0) copy(o, from);
        else copy_fill(o, 0);
        for (std::size_t d = index.size(); d-- > 0;) {
          if (++index[d] < out.shape()[d]) break;
          index[d] = 0;
        }
      }
    });
  });
  return result(std::move(out));
}

Result<std::vector<std::int64_t>> checked_indices(const Tensor& indices, std::int64_t size) {
  auto values = indices.as_int64s();
  for (auto& v : values) {
    if (v < -size || v >= size) return fail(Code::kInvalidArgument, "index {} is out of range for size {}", v, size);
    if (v < 0) v += size;
  }
  return values;
}

Values gather(const Call& call) {
  Tensor out = call.make();
  const Tensor& in = call.in(0);
  AxisView whole = view_axis(in.shape(), positive_axis(call.integer("axis", 0), in.rank()));
  XI_TRY(auto indices, checked_indices(call.in(1), whole.size));
  std::int64_t to = 0;
  for (std::int64_t o = 0; o < whole.outer; ++o)
    for (auto index : indices) {
      copy_run(out, to, in, (o * whole.size + index) * whole.inner, whole.inner);
      to += whole.inner;
    }
  return result(std::move(out));
}

Values gather_elements(const Call& call) {
  Tensor out = call.make();
  const Tensor& in = call.in(0);
  const std::size_t axis = index_of(positive_axis(call.integer("axis", 0), in.rank()));
  XI_TRY(auto indices, checked_indices(call.in(1), in.shape()[axis]));
  for (std::size_t d = 0; d < out.shape().size(); ++d)
    if (d != axis && out.shape()[d] > in.shape()[d])
      return fail(Code::kInvalidArgument, "the indices are larger than the data along axis {}", d);
  Shape strides = tensor::strides_of(in.shape());
  const std::int64_t step = strides[axis];
  strides[axis] = 0;
  with_copier(out, in, [&](auto copy) {
    for_each_index(out.shape(), std::array{strides}, [&](auto o, auto i) { copy(o, i + indices[index_of(o)] * step); });
  });
  return result(std::move(out));
}

Values gather_nd(const Call& call) {
  Tensor out = call.make();
  const Tensor &in = call.in(0), &indices = call.in(1);
  const std::int64_t batch = call.integer("batch_dims", 0), depth = indices.shape().back();
  auto values = indices.as_int64s();
  Shape strides = tensor::strides_of(in.shape());
  const std::int64_t run = view_axes(in.shape(), batch + depth, batch + depth).inner;
  const std::int64_t batches = view_axes(in.shape(), batch, batch).outer,
                     batch_size = view_axes(in.shape(), batch, batch).inner;
  const std::int64_t rows = indices.num_elements() / std::max<std::int64_t>(1, depth);
  const std::int64_t rows_per_batch = rows / std::max<std::int64_t>(1, batches);
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t from = row / std::max<std::int64_t>(1, rows_per_batch) * batch_size;
    for (std::int64_t d = 0; d < depth; ++d) {
      const std::int64_t size = in.shape()[index_of(batch + d)];
      std::int64_t at = values[index_of(row * depth + d)];
      if (at < -size || at >= size)
        return fail(Code::kInvalidArgument, "index {} is out of range for size {}", at, size);
      from += (at < 0 ? at + size : at) * strides[index_of(batch + d)];
    }
    copy_run(out, row * run, in, from, run);
  }
  return result(std::move(out));
}

// The elements seen as `shape`, permuted by `perm`.
std::vector<Value> permuted(const Call& call, const Shape& shape, const std::vector<std::size_t>& perm) {
  Tensor out = call.make();
  Shape dense = tensor::strides_of(shape), strides, sizes;
  for (auto axis : perm) {
    strides.push_back(dense[axis]);
    sizes.push_back(shape[axis]);
  }
  with_copier(out, call.in(0),
              [&](auto copy) { for_each_index(sizes, std::array{strides}, [&](auto o, auto i) { copy(o, i); }); });
  return result(std::move(out));
}

Values depth_to_space(const Call& call) {
  const Shape& s = call.in(0).shape();
  const std::int64_t b = call.integer("blocksize", 1);
  if (call.text("mode", "DCR") == "DCR")
    return permuted(call, {s[0], b, b, s[1] / (b * b), s[2], s[3]}, {0, 3, 4, 1, 5, 2});
  return permuted(call, {s[0], s[1] / (b * b), b, b, s[2], s[3]}, {0, 1, 4, 2, 5, 3});
}

Values space_to_depth(const Call& call) {
  const Shape& s = call.in(0).shape();
  const std::int64_t b = call.integer("blocksize", 1);
  return permuted(call, {s[0], s[1], s[2] / b, b, s[3] / b, b}, {0, 3, 5, 1, 2, 4});
}

Values center_crop_pad(const Call& call) {
  Tensor out = call.make();
  const Tensor& in = call.in(0);
  // Common part: from `crop` in the input to `margin` in the output.
  Shape sizes, in_strides = tensor::strides_of(in.shape()), out_strides = tensor::strides_of(out.shape());
  std::int64_t from = 0, to = 0;
  for (std::size_t d = 0; d < in.shape().size(); ++d) {
    const std::int64_t have = in.shape()[d], want = out.shape()[d];
    sizes.push_back(std::min(have, want));
    if (have > want) from += (have - want) / 2 * in_strides[d];
    else to += (want - have) / 2 * out_strides[d];
  }
  with_copier(out, in, [&](auto copy) {
    for_each_index(sizes, std::array{in_strides, out_strides}, [&](auto, auto i, auto o) { copy(to + o, from + i); });
  });
  return result(std::move(out));
}

Values reverse_sequence(const Call& call) {
  Tensor out = call.make();
  const Tensor& in = call.in(0);
  const std::size_t batch = index_of(positive_axis(call.integer("batch_axis", 1), in.rank()));
  const std::size_t time = index_of(positive_axis(call.integer("time_axis", 0), in.rank()));
  auto lengths = call.in(1).as_int64s();
  Shape dense = tensor::strides_of(in.shape());
  const Shape& s = in.shape();
  if (static_cast<std::int64_t>(lengths.size()) != s[batch])
    return fail(Code::kInvalidArgument, "{} lengths for a batch of {}", lengths.size(), s[batch]);
  with_copier(out, in, [&](auto copy) {
    for (std::int64_t o = 0; o < out.num_elements(); ++o) {
      const std::int64_t b = o / dense[batch] % s[batch], t = o / dense[time] % s[time], length = lengths[index_of(b)];
      copy(o, t < length ? o + (length - 1 - 2 * t) * dense[time] : o);
    }
  });
  return result(std::move(out));
}

Values trilu(const Call& call) {
  Tensor out = call.make();
  const Tensor& in = call.in(0);
  const bool upper = call.integer("upper", 1) != 0;
  const std::int64_t k = call.has(1) && call.in(1).num_elements() ? call.in(1).as_int64(0) : 0;
  const std::int64_t columns = in.shape().back(), rows = in.shape()[in.shape().size() - 2];
  with_copier(out, in, [&](auto copy) {
    for (std::int64_t o = 0; o < out.num_elements(); ++o) {
      const std::int64_t distance = o % columns - o / columns % rows;
      if (upper ? distance >= k : distance <= k) copy(o, o);
    }
  });
  return result(std::move(out));
}

Values shape(const Call& call) {
  const Shape& s = call.in(0).shape();
  const auto rank = static_cast<std::int64_t>(s.size());
  std::int64_t begin = call.integer("start", 0);
  begin = std::clamp<std::int64_t>(begin < 0 ? begin + rank : begin, 0, rank);
  Tensor out = call.make();
  std::copy_n(s.begin() + begin, out.num_elements(), out.data<std::int64_t>().begin());
  return result(std::move(out));
}

Values size(const Call& call) { return result(Tensor::scalar(call.in(0).num_elements())); }

Values constant(const Call& call) {
  const auto& a = call.node.attributes;
  for (std::string_view name : {"value", "sparse_value"})
    if (const auto* tensor = a.get<std::shared_ptr<const Tensor>>(name)) return std::vector<Value>{Value(*tensor)};
  Tensor out = call.make();
  if (const auto* v = a.get<float>("value_float")) out.data<float>()[0] = *v;
  if (const auto* v = a.get<std::int64_t>("value_int")) out.data<std::int64_t>()[0] = *v;
  if (const auto* v = a.get<std::string>("value_string")) out.strings()[0] = *v;
  if (const auto* v = a.get<std::vector<float>>("value_floats")) std::ranges::copy(*v, out.data<float>().begin());
  if (const auto* v = a.get<std::vector<std::int64_t>>("value_ints"))
    std::ranges::copy(*v, out.data<std::int64_t>().begin());
  if (const auto* v = a.get<std::vector<std::string>>("value_strings")) out.strings() = *v;
  return result(std::move(out));
}

Values constant_of_shape(const Call& call) {
  Tensor out = call.make();
  if (const auto* value = call.node.attributes.get<std::shared_ptr<const Tensor>>("value"))
    with_copier(out, **value, [&](auto copy) {
      for (std::int64_t i = 0; i < out.num_elements(); ++i) copy(i, 0);
    });
  return result(std::move(out));
}

Values range(const Call& call) {
  Tensor out = call.make();
  const std::int64_t count = out.num_elements();
  if (is_real(out.dtype())) {
    const double start = call.in(0).as_double(0), delta = call.in(2).as_double(0);
    std::vector<double> values;
    for (std::int64_t i = 0; i < count; ++i) values.push_back(start + static_cast<double>(i) * delta);
    store(out, values);
  } else {
    const std::int64_t start = call.in(0).as_int64(0), delta = call.in(2).as_int64(0);
    std::vector<std::int64_t> values;
    for (std::int64_t i = 0; i < count; ++i) values.push_back(start + i * delta);
    store(out, values);
  }
  return result(std::move(out));
}

Values eye_like(const Call& call) {
  Tensor out = call.make();
  const std::int64_t k = call.integer("k", 0), rows = out.shape()[0], columns = out.shape()[1];
  for (std::int64_t r = 0; r < rows; ++r)
    if (r + k >= 0 && r + k < columns) out.set(r * columns + r + k, 1);
  return result(std::move(out));
}

Values one_hot(const Call& call) {
  Tensor out = call.make();
  AxisView view = view_axis(out.shape(), positive_axis(call.integer("axis", -1), out.rank()));
  auto indices = call.in(0).as_int64s();  // values [off, on]
  with_copier(out, call.in(2), [&](auto copy) {
    for (std::int64_t o = 0; o < view.outer; ++o)
      for (std::int64_t d = 0; d < view.size; ++d)
        for (std::int64_t i = 0; i < view.inner; ++i) {
          std::int64_t index = indices[index_of(o * view.inner + i)];
          if (index < 0) index += view.size;
          copy((o * view.size + d) * view.inner + i, index == d);
        }
  });
  return result(std::move(out));
}

}  // namespace

void add_movement(Entries& e) {
  for (std::string_view name : {"Reshape", "Squeeze", "Unsqueeze", "Flatten"}) e.emplace_back(name, view);
  e.emplace_back("Transpose", transpose);
  e.emplace_back("Slice", slice);
  e.emplace_back("Expand", expand);
  e.emplace_back("Tile", tile);
  e.emplace_back("Concat", concat);
  e.emplace_back("Split", split);
  e.emplace_back("Pad", pad);
  e.emplace_back("Gather", gather);
  e.emplace_back("GatherElements", gather_elements);
  e.emplace_back("GatherND", gather_nd);
  e.emplace_back("DepthToSpace", depth_to_space);
  e.emplace_back("SpaceToDepth", space_to_depth);
  e.emplace_back("CenterCropPad", center_crop_pad);
  e.emplace_back("ReverseSequence", reverse_sequence);
  e.emplace_back("Trilu", trilu);
  e.emplace_back("Shape", shape);
  e.emplace_back("Size", size);
  e.emplace_back("Constant", constant);
  e.emplace_back("ConstantOfShape", constant_of_shape);
  e.emplace_back("Range", range);
  e.emplace_back("EyeLike", eye_like);
  e.emplace_back("OneHot", one_hot);
}

}  // namespace xinfer::forge::reference
