// Sorting, searching, suppression.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

namespace {

Values top_k(const Call& call) {
  Tensor values = call.make(0), indices = call.make(1);
  const Tensor& in = call.in(0);
  const std::int64_t axis = positive_axis(call.integer("axis", -1), in.rank()), k = values.shape()[index_of(axis)];
  const bool largest = call.integer("largest", 1) != 0;
  AxisView view = view_axis(in.shape(), axis);
  auto positions = indices.data<std::int64_t>();
  auto run = [&](const auto& x, auto copy) {
    std::vector<std::int64_t> order(index_of(view.size));
    for (std::int64_t o = 0; o < view.outer; ++o)
      for (std::int64_t i = 0; i < view.inner; ++i) {
        std::iota(order.begin(), order.end(), 0);
        auto at = [&](std::int64_t a) { return x[index_of((o * view.size + a) * view.inner + i)]; };
        std::ranges::partial_sort(order, order.begin() + k,
                                  [&](std::int64_t a, std::int64_t b) {  // equal: the lower index first
                                    return at(a) != at(b) ? (largest ? at(a) > at(b) : at(a) < at(b)) : a < b;
                                  });
        for (std::int64_t n = 0; n < k; ++n) {
          const std::int64_t to = (o * k + n) * view.inner + i;
          positions[index_of(to)] = order[index_of(n)];
          copy(to, (o * view.size + order[index_of(n)]) * view.inner + i);
        }
      }
  };
  with_copier(values, in, [&](auto copy) {
    if (is_real(in.dtype())) run(doubles(in), copy);
    else if (in.dtype() == DType::kUint64)
      run(std::vector<std::uint64_t>(in.data<std::uint64_t>().begin(), in.data<std::uint64_t>().end()), copy);
    else run(ints(in), copy);
  });
  return results(std::move(values), std::move(indices));
}

Values non_zero(const Call& call) {
  const Tensor& in = call.in(0);
  std::vector<std::int64_t> found;
  if (in.dtype() == DType::kString) {
    for (std::int64_t i = 0; i < in.num_elements(); ++i)
      if (!in.strings()[index_of(i)].empty()) found.push_back(i);
  } else {
    auto x = doubles(in);
    for (std::size_t i = 0; i < x.size(); ++i)
      if (x[i] != 0) found.push_back(static_cast<std::int64_t>(i));
  }
  Tensor out(DType::kInt64, {in.rank(), static_cast<std::int64_t>(found.size())});
  Shape strides = tensor::strides_of(in.shape());
  for (std::size_t d = 0; d < strides.size(); ++d)
    for (std::size_t n = 0; n < found.size(); ++n)
      out.data<std::int64_t>()[d * found.size() + n] = found[n] / strides[d] % in.shape()[d];
  return result(std::move(out));
}

struct Box {
  double y1, x1, y2, x2;
  double area() const { return (y2 - y1) * (x2 - x1); }
};

Box box_of(const double* b, bool centred) {
  if (centred) return {b[1] - b[3] / 2, b[0] - b[2] / 2, b[1] + b[3] / 2, b[0] + b[2] / 2};
  return {std::min(b[0], b[2]), std::min(b[1], b[3]), std::max(b[0], b[2]), std::max(b[1], b[3])};
}

double overlap(const Box& a, const Box& b) {
  const double height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1),
               width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  if (height <= 0 || width <= 0 || a.area() <= 0 || b.area() <= 0) return 0;
  const double common = height * width;
  return common / (a.area() + b.area() - common);
}

Values non_max_suppression(const Call& call) {
  auto boxes = doubles(call.in(0)), scores = doubles(call.in(1));
  const Shape &bs = call.in(0).shape(), &ss = call.in(1).shape();
  const std::int64_t limit = call.has(2) && call.in(2).num_elements() ? call.in(2).as_int64(0) : 0;
  const double overlap_limit = call.has(3) && call.in(3).num_elements() ? call.in(3).as_double(0) : 0;
  const bool by_score = call.has(4) && call.in(4).num_elements() > 0;
  const double score_limit = by_score ? call.in(4).as_double(0) : 0;
  const bool centred = call.integer("center_point_box", 0) != 0;
  if (ss[0] != bs[0] || ss[2] != bs[1] || bs[2] != 4)
    return fail(Code::kInvalidArgument, "boxes {} and scores {} do not match", tensor::to_string(bs),
                tensor::to_string(ss));
  std::vector<std::int64_t> selected;
  for (std::int64_t batch = 0; batch < ss[0]; ++batch)
    for (std::int64_t c = 0; c < ss[1]; ++c) {
      const double* score = scores.data() + (batch * ss[1] + c) * ss[2];
      std::vector<std::int64_t> order;
      for (std::int64_t i = 0; i < ss[2]; ++i)
        if (!by_score || score[i] > score_limit) order.push_back(i);
      std::ranges::stable_sort(order, [&](std::int64_t a, std::int64_t b) { return score[a] > score[b]; });
      std::vector<Box> kept;
      for (std::int64_t i : order) {
        if (static_cast<std::int64_t>(kept.size()) >= limit) break;
        const Box box = box_of(boxes.data() + (batch * bs[1] + i) * 4, centred);
        if (std::ranges::any_of(kept, [&](const Box& other) { return overlap(box, other) > overlap_limit; })) continue;
        kept.push_back(box);
        for (auto v : {batch, c, i}) selected.push_back(v);
      }
    }
  return result(from_ints(DType::kInt64, {static_cast<std::int64_t>(selected.size() / 3), 3}, selected));
}

// Compares two slices of a tensor (or two strings); NaN sorts last.
struct SliceOrder {
  const Tensor& tensor;
  std::vector<double> numbers;
  std::vector<std::int64_t> whole;
  AxisView view;

  int compare(std::int64_t a, std::int64_t b) const {
    for (std::int64_t o = 0; o < view.outer; ++o)
      for (std::int64_t i = 0; i < view.inner; ++i) {
        const std::size_t x = index_of((o * view.size + a) * view.inner + i),
                          y = index_of((o * view.size + b) * view.inner + i);
        int order = 0;
        if (tensor.dtype() == DType::kString) order = tensor.strings()[x].compare(tensor.strings()[y]);
        else if (!whole.empty()) order = (whole[x] > whole[y]) - (whole[x] < whole[y]);
        else order = (numbers[x] > numbers[y]) - (numbers[x] < numbers[y]);
        if (order != 0) return order;
      }
    return 0;
  }
};

Values unique(const Call& call) {
  const Tensor& in = call.in(0);
  const bool by_axis = call.node.attributes.has("axis");
  const std::int64_t axis = by_axis ? positive_axis(call.integer("axis", 0), in.rank()) : 0;
  SliceOrder order{in, is_real(in.dtype()) ? doubles(in) : std::vector<double>{},
                   is_real(in.dtype()) ? std::vector<std::int64_t>{} : ints(in),
                   by_axis ? view_axis(in.shape(), axis) : AxisView{1, in.num_elements(), 1}};
  std::vector<std::int64_t> sorted(index_of(order.view.size));
  std::iota(sorted.begin(), sorted.end(), 0);
  std::ranges::stable_sort(sorted, [&](std::int64_t a, std::int64_t b) { return order.compare(a, b) < 0; });
  // Groups of equals: first occurrence and size.
  std::vector<std::int64_t> first, counts, group(sorted.size());
  for (std::size_t n = 0; n < sorted.size(); ++n) {
    if (n == 0 || order.compare(sorted[n - 1], sorted[n]) != 0) {
      first.push_back(sorted[n]);
      counts.push_back(0);
    }
    ++counts.back();
    group[index_of(sorted[n])] = static_cast<std::int64_t>(first.size()) - 1;
  }
  if (call.integer("sorted", 1) == 0) {  // in order of first occurrence
    std::vector<std::int64_t> by_place(first.size()), rank(first.size());
    std::iota(by_place.begin(), by_place.end(), 0);
    std::ranges::sort(by_place, {}, [&](std::int64_t g) { return first[index_of(g)]; });
    auto old_first = first, old_counts = counts;
    for (std::size_t n = 0; n < by_place.size(); ++n) {
      first[n] = old_first[index_of(by_place[n])];
      counts[n] = old_counts[index_of(by_place[n])];
      rank[index_of(by_place[n])] = static_cast<std::int64_t>(n);
    }
    for (auto& g : group) g = rank[index_of(g)];
  }
  const auto count = static_cast<std::int64_t>(first.size());
  Shape shape{count};
  if (by_axis) {
    shape = in.shape();
    shape[index_of(axis)] = count;
  }
  Tensor out(in.dtype(), shape);
  for (std::int64_t o = 0; o < order.view.outer; ++o)
    for (std::int64_t n = 0; n < count; ++n)
      copy_run(out, (o * count + n) * order.view.inner, in,
               (o * order.view.size + first[index_of(n)]) * order.view.inner, order.view.inner);
  return results(std::move(out), Tensor::from_int64s(first), Tensor::from_int64s(group), Tensor::from_int64s(counts));
}

Values compress(const Call& call) {
  const Tensor& in = call.in(0);
  const bool by_axis = call.node.attributes.has("axis");
  const std::int64_t axis = by_axis ? positive_axis(call.integer("axis", 0), in.rank()) : 0;
  AxisView view = by_axis ? view_axis(in.shape(), axis) : AxisView{1, in.num_elements(), 1};
  auto condition = ints(call.in(1));
  std::vector<std::int64_t> kept;
  for (std::int64_t i = 0; i < std::min<std::int64_t>(view.size, static_cast<std::int64_t>(condition.size())); ++i)
    if (condition[index_of(i)]) kept.push_back(i);
  const auto count = static_cast<std::int64_t>(kept.size());
  Shape shape{count};
  if (by_axis) {
    shape = in.shape();
    shape[index_of(axis)] = count;
  }
  Tensor out(in.dtype(), shape);
  for (std::int64_t o = 0; o < view.outer; ++o)
    for (std::int64_t n = 0; n < count; ++n)
      copy_run(out, (o * count + n) * view.inner, in, (o * view.size + kept[index_of(n)]) * view.inner, view.inner);
  return result(std::move(out));
}

}  // namespace

void add_selection(Entries& e) {
  e.emplace_back("TopK", top_k);
  e.emplace_back("NonZero", non_zero);
  e.emplace_back("NonMaxSuppression", non_max_suppression);
  e.emplace_back("Unique", unique);
  e.emplace_back("Compress", compress);
}

}  // namespace xinfer::forge::reference
