// Movement operators: an output element is an input element at a computed index, or a fill value.
#include <algorithm>

#include "schedule/lowering.h"

namespace xinfer::schedule {

namespace {

using base::Code;
using base::fail;
using base::Result;
using Context = LoweringContext;
using Ints = std::vector<std::int64_t>;
using Sizes = std::vector<Size>;

Result<E> reshape(Context& c) {
  E offset = c.pool.flatten(c.index, c.out_shape());
  return c.read(0, c.pool.unflatten(offset, c.shape(0)));
}

Result<E> transpose(Context& c) {
  Ints order = c.node.attributes.integers("perm");
  std::size_t rank = c.index.size();
  std::vector<E> at(rank);
  for (std::size_t i = 0; i < rank; ++i)
    at[order.empty() ? rank - 1 - i : static_cast<std::size_t>(order[i])] = c.index[i];
  return c.read(0, at);
}

// An integer input that is a constant or follows from shapes, or the attribute that older operator sets have in its place.
Result<Sizes> integers(Context& c, std::size_t input, std::string_view attribute) {
  const Ints given = c.node.attributes.integers(attribute);
  if (c.node.attributes.has(attribute)) return Sizes(given.begin(), given.end());
  if (!c.has(input)) return Sizes{};
  if (auto known = c.known_sizes(input)) return *std::move(known);
  return fail(Code::kUnsupported, "'{}' is computed at run time; only values known at build time are supported",
              attribute);
}

Result<E> slice(Context& c) {
  XI_TRY(Sizes starts, integers(c, 1, "starts"));
  XI_TRY(Sizes axes, integers(c, 3, "axes"));
  XI_TRY(Sizes steps, integers(c, 4, "steps"));
  std::vector<E> at = c.index;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    std::size_t axis = c.axis(axes.empty() ? static_cast<std::int64_t>(i) : axes[i].number(), at.size());
    const Size size = c.shape(0)[axis], step = steps.empty() ? Size(1) : steps[i];
    Size start = starts[i].max() < 0 ? starts[i] + size : starts[i];
    start = larger(0, smaller(start, step.min() > 0 ? size : size - 1));
    at[axis] = c.pool.add(c.pool.scale(at[axis], step), start);
  }
  return c.read(0, at);
}

Result<E> concat(Context& c) {
  std::size_t axis = c.axis(c.node.attributes.integer("axis", 0), c.index.size());
  Sizes ends;
  Size end = 0;
  for (std::size_t i = 0; i < c.node.inputs.size(); ++i) ends.push_back(end += c.shape(i)[axis]);
  E result = nullptr;
  for (std::size_t i = c.node.inputs.size(); i-- > 0;) {
    const Size size = c.shape(i)[axis];
    if (size == Size(0)) continue;
    std::vector<E> at = c.index;
    at[axis] = c.pool.add(at[axis], size - ends[i]);
    E condition = c.pool.in_range(c.index[axis], INT64_MIN, ends[i] - 1);
    if (condition->is_int(0)) continue;
    E element = c.read(i, at);
    result = result ? c.pool.select(condition, element, result) : element;
  }
  return result ? result : c.pool.constant(0, c.out_dtype());
}

Result<E> split(Context& c) {
  std::size_t axis = c.axis(c.node.attributes.integer("axis", 0), c.index.size());
  Size start = 0;
  for (std::size_t i = 0; i < c.output; ++i) start += c.graph.value(c.node.outputs[i]).type.sizes()[axis];
  std::vector<E> at = c.index;
  at[axis] = c.pool.add(at[axis], start);
  return c.read(0, at);
}

Result<E> expand(Context& c) { return c.broadcast(0); }

Result<E> tile(Context& c) {
  std::vector<E> at = c.index;
  for (std::size_t d = 0; d < at.size(); ++d) at[d] = c.pool.mod(at[d], c.shape(0)[d]);
  return c.read(0, at);
}

// Where a padded position reads from, for each position of one dimension; -1 in the filled border.
Ints padded_sources(std::string_view mode, std::int64_t size, std::int64_t before, std::int64_t out) {
  Ints sources;
  for (std::int64_t i = 0; i < out; ++i) {
    std::int64_t x = i - before;
    if (mode == "edge") x = std::clamp<std::int64_t>(x, 0, size - 1);
    if (mode == "wrap") x = (x % size + size) % size;
    if (mode == "reflect" && size == 1) x = 0;
    if (mode == "reflect" && size > 1) {
      std::int64_t period = 2 * (size - 1);
      x = (x % period + period) % period;
      if (x >= size) x = period - x;
    }
    sources.push_back(x);
  }
  return sources;
}

// The same by arithmetic, for sizes and positions that are formulas.
E padded_source(Context& c, std::string_view mode, const Size& size, E x) {
  if (mode == "edge") return c.pool.clamp(x, 0, size - 1);
  if (mode == "wrap") return c.pool.mod(x, size);
  const Size period = size * 2 - 2;  // reflect; of a single element every position is that element
  E folded = c.pool.call(Fn::kMod, x, c.pool.call(Fn::kMax, c.pool.size(period), c.pool.integer(1)));
  E mirrored = c.pool.sub(c.pool.size(period), folded);
  return c.pool.clamp(c.pool.call(Fn::kMin, folded, mirrored), 0, size - 1);
}

Result<E> pad(Context& c) {
  XI_TRY(Sizes pads, integers(c, 1, "pads"));
  XI_TRY(Sizes axes, integers(c, 3, "axes"));
  std::string mode = c.node.attributes.string("mode", "constant");
  std::size_t rank = c.index.size(), count = pads.size() / 2;
  std::vector<E> at = c.index;
  E inside = c.pool.boolean(true);
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t axis = c.axis(axes.empty() ? static_cast<std::int64_t>(i) : axes[i].number(), rank);
    const Size size = c.shape(0)[axis];
    if (pads[i] == Size(0) && pads[count + i] == Size(0)) continue;
    if (mode == "constant" || pads[i].max() < 0) {
      at[axis] = c.pool.add(at[axis], Size(0) - pads[i]);
      if (mode == "constant") inside = c.pool.call(Fn::kAnd, inside, c.pool.in_range(at[axis], 0, size - 1));
    } else if (!size.is_number() || !pads[i].is_number() || !pads[count + i].is_number()) {
      at[axis] = padded_source(c, mode, size, c.pool.add(at[axis], Size(0) - pads[i]));
    } else {
      Ints from = padded_sources(mode, size.number(), pads[i].number(), c.out_shape()[axis].number());
      at[axis] = c.table({from.begin(), from.end()}, DType::kInt64, at[axis]);
    }
  }
  E fill = c.pool.constant(c.node.attributes.real("value", 0), c.out_dtype());
  if (mode == "constant" && c.has(2)) fill = c.read(2, std::vector<E>(c.shape(2).size(), c.pool.integer(0)));
  if (inside->is_int(0)) return fill;
  return c.pool.select(inside, c.read(0, at), fill);
}

Result<E> depth_to_space(Context& c) {
  std::int64_t block = c.node.attributes.integer("blocksize", 1);
  const Size depth = c.out_shape()[1];
  E h = c.index[2], w = c.index[3], inner = c.pool.add(c.pool.scale(c.pool.mod(h, block), block), c.pool.mod(w, block));
  E channel = c.node.attributes.string("mode", "DCR") == "DCR"
                  ? c.pool.add(c.pool.scale(inner, depth), c.index[1])
                  : c.pool.add(c.pool.scale(c.index[1], block * block), inner);
  return c.read(0, std::vector<E>{c.index[0], channel, c.pool.div(h, block), c.pool.div(w, block)});
}

Result<E> space_to_depth(Context& c) {
  std::int64_t block = c.node.attributes.integer("blocksize", 1);
  const Size depth = c.shape(0)[1];
  E channel = c.pool.mod(c.index[1], depth), inner = c.pool.div(c.index[1], depth);
  E h = c.pool.add(c.pool.scale(c.index[2], block), c.pool.div(inner, block));
  E w = c.pool.add(c.pool.scale(c.index[3], block), c.pool.mod(inner, block));
  return c.read(0, std::vector<E>{c.index[0], channel, h, w});
}

// Element `at` of an integer input as an index into a dimension of `size`.
E gathered_index(Context& c, std::size_t input, std::span<const E> at, const Size& size) {
  const auto* known = c.constant(input);
  if (!known) return c.wrap_index(c.read(input, at), size);
  const auto numbers = known->as_int64s();
  if (!size.is_number()) {
    const bool from_end = std::ranges::any_of(numbers, [](auto value) { return value < 0; });
    if (from_end && numbers.size() == 1) return c.pool.size(larger(size + numbers[0], 0));
    if (from_end) return c.wrap_index(c.read(input, at), size);
  }
  const std::int64_t last = std::max<std::int64_t>(size.max() - 1, 0);
  std::vector<double> values;
  for (std::int64_t value : numbers)
    values.push_back(static_cast<double>(std::clamp<std::int64_t>(value < 0 ? value + size.max() : value, 0, last)));
  E index = c.table(std::move(values), DType::kInt64, c.pool.flatten(at, {known->shape().begin(), known->shape().end()}));
  return size.is_number() ? index : c.pool.clamp(index, 0, size - 1);
}

Result<E> gather(Context& c) {
  std::size_t axis = c.axis(c.node.attributes.integer("axis", 0), c.shape(0).size());
  std::size_t count = c.shape(1).size();
  std::vector<E> at(c.index.begin(), c.index.begin() + static_cast<std::ptrdiff_t>(axis));
  at.push_back(gathered_index(c, 1, std::span(c.index).subspan(axis, count), c.shape(0)[axis]));
  at.insert(at.end(), c.index.begin() + static_cast<std::ptrdiff_t>(axis + count), c.index.end());
  return c.read(0, at);
}

Result<E> gather_elements(Context& c) {
  std::size_t axis = c.axis(c.node.attributes.integer("axis", 0), c.index.size());
  std::vector<E> at = c.index;
  at[axis] = gathered_index(c, 1, c.index, c.shape(0)[axis]);
  return c.read(0, at);
}

Result<E> gather_nd(Context& c) {
  std::size_t batch = static_cast<std::size_t>(c.node.attributes.integer("batch_dims", 0));
  const Sizes indices = c.shape(1), data = c.shape(0);
  std::size_t depth = static_cast<std::size_t>(indices.back().number());
  std::vector<E> at(c.index.begin(), c.index.begin() + static_cast<std::ptrdiff_t>(batch));
  std::vector<E> place(c.index.begin(), c.index.begin() + static_cast<std::ptrdiff_t>(indices.size() - 1));
  place.push_back(nullptr);
  for (std::size_t k = 0; k < depth; ++k) {
    place.back() = c.pool.integer(static_cast<std::int64_t>(k));
    at.push_back(c.wrap_index(c.read(1, place), data[batch + k]));
  }
  at.insert(at.end(), c.index.begin() + static_cast<std::ptrdiff_t>(indices.size() - 1), c.index.end());
  return c.read(0, at);
}

Result<E> trilu(Context& c) {
  std::size_t rank = c.index.size();
  E distance = c.pool.sub(c.index[rank - 1], c.index[rank - 2]);  // column - row
  const bool upper = c.node.attributes.integer("upper", 1) != 0;
  E kept;
  if (c.has(1) && !c.constant(1)) {
    E k = c.read(1, std::vector<E>(c.shape(1).size(), c.pool.integer(0)));
    kept = upper ? c.pool.call(Fn::kLe, k, distance) : c.pool.call(Fn::kLe, distance, k);
  } else {
    const std::int64_t k = c.has(1) ? c.constant(1)->as_int64(0) : 0;
    kept = upper ? c.pool.in_range(distance, k, INT64_MAX) : c.pool.in_range(distance, INT64_MIN, k);
  }
  return c.pool.select(kept, c.broadcast(0), c.pool.constant(0, c.out_dtype()));
}

Result<E> eye_like(Context& c) {
  E distance = c.pool.sub(c.index[1], c.index[0]);
  std::int64_t k = c.node.attributes.integer("k", 0);
  return c.pool.cast(c.pool.in_range(distance, k, k), c.out_dtype());
}

Result<E> one_hot(Context& c) {
  std::size_t axis = c.axis(c.node.attributes.integer("axis", -1), c.index.size());
  const Size depth = c.out_shape()[axis];
  std::vector<E> at = c.index;
  at.erase(at.begin() + static_cast<std::ptrdiff_t>(axis));
  E wanted = c.pool.cast(c.read(0, at), DType::kInt64);
  wanted = c.pool.select(c.pool.call(Fn::kLt, wanted, c.pool.integer(0)), c.pool.add(wanted, depth), wanted);
  E hit = c.pool.call(Fn::kEq, wanted, c.index[axis]);
  return c.pool.select(hit, c.read(2, std::vector<E>{c.pool.integer(1)}), c.read(2, std::vector<E>{c.pool.integer(0)}));
}

Result<E> reverse_sequence(Context& c) {
  std::size_t batch = static_cast<std::size_t>(c.node.attributes.integer("batch_axis", 1));
  std::size_t time = static_cast<std::size_t>(c.node.attributes.integer("time_axis", 0));
  E length = c.pool.cast(c.read(1, std::vector<E>{c.index[batch]}), DType::kInt64), t = c.index[time];
  std::vector<E> at = c.index;
  E reversed = c.pool.clamp(c.pool.add(c.pool.sub(length, t), -1), 0, c.shape(0)[time] - 1);
  at[time] = c.pool.select(c.pool.call(Fn::kLt, t, length), reversed, t);
  return c.read(0, at);
}

Result<E> range(Context& c) {
  auto scalar = [&](std::size_t i) { return c.read(i, std::vector<E>(c.shape(i).size(), c.pool.integer(0))); };
  DType dtype = c.out_dtype();
  return c.pool.call(Fn::kAdd, scalar(0), c.pool.call(Fn::kMul, c.pool.cast(c.index[0], dtype), scalar(2)));
}

Result<E> constant_of_shape(Context& c) {
  const auto* value = c.node.attributes.get<std::shared_ptr<const tensor::Tensor>>("value");
  DType dtype = c.out_dtype();
  if (!value || !*value) return c.pool.constant(0, dtype);
  bool real = dtype == DType::kFloat32 || dtype == DType::kFloat64;
  return real ? c.pool.real((*value)->as_double(0), dtype) : c.pool.integer((*value)->as_int64(0), dtype);
}

Result<E> center_crop_pad(Context& c) {
  std::vector<E> at = c.index;
  E inside = c.pool.boolean(true);
  for (std::size_t d = 0; d < at.size(); ++d) {
    const Size in = c.shape(0)[d], out = c.out_shape()[d];
    if (tensor::surely_at_most(out, in)) {
      at[d] = c.pool.add(at[d], floor_div(in - out, 2));
    } else if (!tensor::surely_at_most(in, out)) {
      return fail(Code::kUnsupported, "size {} may be cropped or padded to {}, depending on its value", in.text(), out.text());
    } else {
      at[d] = c.pool.add(at[d], Size(0) - floor_div(out - in, 2));
      inside = c.pool.call(Fn::kAnd, inside, c.pool.in_range(at[d], 0, in - 1));
    }
  }
  return c.pool.select(inside, c.read(0, at), c.pool.constant(0, c.out_dtype()));
}

constexpr LoweringRow kRows[] = {
    {"Reshape", reshape, 0},
    {"Flatten", reshape, 0},
    {"Squeeze", reshape, 0},
    {"Unsqueeze", reshape, 0},
    {"Transpose", transpose, 0},
    {"Slice", slice, 0},
    {"Concat", concat, 0},
    {"Split", split, 0},
    {"Expand", expand, 0},
    {"Tile", tile, 0},
    {"Pad", pad, 1},
    {"DepthToSpace", depth_to_space, 0},
    {"SpaceToDepth", space_to_depth, 0},
    {"Gather", gather, 1},
    {"GatherElements", gather_elements, 2},
    {"GatherND", gather_nd, 3},
    {"Trilu", trilu, 1},
    {"EyeLike", eye_like, 1},
    {"OneHot", one_hot, 2},
    {"ReverseSequence", reverse_sequence, 2},
    {"Range", range, 2},
    {"ConstantOfShape", constant_of_shape, 0},
    {"CenterCropPad", center_crop_pad, 1},
};

}  // namespace

std::span<const LoweringRow> movement_lowerings() { return kRows; }

}  // namespace xinfer::schedule
