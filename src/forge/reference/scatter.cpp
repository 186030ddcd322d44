// Writes to computed places.
#include <algorithm>
#include <cmath>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

namespace {

// Calls place(write) with write(to, from) moving element `from` of the updates to `to` of the output by the node's reduction.
template <class F>
Result<void> with_writer(const Call& call, Tensor& out, const Tensor& updates, F&& place) {
  const std::string reduction = call.text("reduction", "none");
  if (reduction == "none" || reduction.empty()) {
    with_copier(out, updates, [&](auto copy) { place(copy); });
    return {};
  }
  auto reduce = [&](auto total, auto updates_as_numbers, auto combine) {
    place([&](std::int64_t to, std::int64_t from) {
      total[index_of(to)] = combine(total[index_of(to)], updates_as_numbers[index_of(from)]);
    });
    store(out, total);
  };
  auto dispatch = [&](auto combine) {
    if (is_real(out.dtype())) reduce(doubles(out), doubles(updates), combine);
    else reduce(ints(out), ints(updates), combine);
  };
  if (reduction == "add") dispatch([](auto a, auto b) { return a + b; });
  else if (reduction == "mul") dispatch([](auto a, auto b) { return a * b; });
  else if (reduction == "max") dispatch([](auto a, auto b) { return b > a ? b : a; });
  else if (reduction == "min") dispatch([](auto a, auto b) { return b < a ? b : a; });
  else return fail(Code::kInvalidArgument, "reduction '{}' is none of none, add, mul, max, min", reduction);
  return {};
}

Values scatter_elements(const Call& call) {
  Tensor out = call.in(0);
  const Tensor& indices = call.in(1);
  const std::size_t axis = index_of(positive_axis(call.integer("axis", 0), out.rank()));
  const std::int64_t size = out.shape()[axis];
  auto at = indices.as_int64s();
  for (auto& v : at) {
    if (v < -size || v >= size) return fail(Code::kInvalidArgument, "index {} is out of range for size {}", v, size);
    if (v < 0) v += size;
  }
  for (std::size_t d = 0; d < out.shape().size(); ++d)
    if (d != axis && indices.shape()[d] > out.shape()[d])
      return fail(Code::kInvalidArgument, "the indices are larger than the data along axis {}", d);
  Shape strides = tensor::strides_of(out.shape());
  const std::int64_t step = strides[axis];
  strides[axis] = 0;
  XI_CHECK(with_writer(call, out, call.in(2), [&](auto write) {
    for_each_index(indices.shape(), std::array{strides}, [&](auto i, auto o) { write(o + at[index_of(i)] * step, i); });
  }));
  return result(std::move(out));
}

Values scatter_nd(const Call& call) {
  Tensor out = call.in(0);
  const Tensor &indices = call.in(1), &updates = call.in(2);
  const std::int64_t depth = indices.shape().back(), rows = depth ? indices.num_elements() / depth : 0;
  Shape strides = tensor::strides_of(out.shape());
  const std::int64_t run = view_axes(out.shape(), depth, depth).inner;
  if (updates.num_elements() != rows * run)
    return fail(Code::kInvalidArgument, "{} updates for {} places of {}", updates.num_elements(), rows, run);
  auto values = indices.as_int64s();
  std::vector<std::int64_t> places;
  for (std::int64_t row = 0; row < rows; ++row) {
    std::int64_t to = 0;
    for (std::int64_t d = 0; d < depth; ++d) {
      const std::int64_t size = out.shape()[index_of(d)], at = values[index_of(row * depth + d)];
      if (at < -size || at >= size)
        return fail(Code::kInvalidArgument, "index {} is out of range for size {}", at, size);
      to += (at < 0 ? at + size : at) * strides[index_of(d)];
    }
    places.push_back(to);
  }
  XI_CHECK(with_writer(call, out, updates, [&](auto write) {
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t i = 0; i < run; ++i) write(places[index_of(row)] + i, row * run + i);
  }));
  return result(std::move(out));
}

// Puts `update` into a cache at a position per batch along the axis (a key-value cache).
Values tensor_scatter(const Call& call) {
  Tensor out = call.in(0);
  const Tensor& update = call.in(1);
  const std::int64_t axis = positive_axis(call.integer("axis", -2), out.rank());
  const bool circular = call.text("mode", "linear") == "circular";
  if (axis < 1) return fail(Code::kInvalidArgument, "axis 0 is the batch");
  for (std::size_t d = 0; d < out.shape().size(); ++d)
    if (static_cast<std::int64_t>(d) != axis && out.shape()[d] != update.shape()[d])
      return fail(Code::kInvalidArgument, "cache and update differ along axis {}", d);
  AxisView cache = view_axis(out.shape(), axis), part = view_axis(update.shape(), axis);
  const std::int64_t per_batch = out.shape()[0] ? cache.outer / out.shape()[0] : 1;
  for (std::int64_t o = 0; o < part.outer; ++o) {
    const std::int64_t start = call.has(2) ? call.in(2).as_int64(o / per_batch) : 0;
    for (std::int64_t i = 0; i < part.size; ++i) {
      std::int64_t to = start + i;
      if (circular && cache.size > 0) to %= cache.size;
      if (to < 0 || to >= cache.size)
        return fail(Code::kInvalidArgument, "position {} lies outside a cache of {}", to, cache.size);
      copy_run(out, (o * cache.size + to) * cache.inner, update, (o * part.size + i) * part.inner, part.inner);
    }
  }
  return result(std::move(out));
}

}  // namespace

void add_scatter(Entries& e) {
  e.emplace_back("ScatterElements", scatter_elements);
  e.emplace_back("ScatterND", scatter_nd);
  e.emplace_back("TensorScatter", tensor_scatter);
}

}  // namespace xinfer::forge::reference
