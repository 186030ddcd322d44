// Operators that move elements: reshapes, slices, gathers, scatters.
#include <algorithm>
#include <numeric>

#include "generator.h"

namespace xinfer::fuzz {
namespace {

DType any_type(Generator& g) {
  g.rounding = Rounding::kExact;
  return g.chance(10) ? DType::kBool : g.number_type();
}
std::int64_t any_axis(Generator& g, std::int64_t rank) { return g.between(-rank, rank - 1); }
const ir::Dim& at(const Operand& x, std::int64_t axis) { return x.dims()[static_cast<std::size_t>(axis < 0 ? axis + x.rank() : axis)]; }

std::vector<std::int64_t> shuffled(Generator& g, std::int64_t count) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  for (std::int64_t i = count - 1; i > 0; --i) std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(g.below(i + 1))]);
  return order;
}

bool transpose(Generator& g, const std::string& op) {
  const Operand x = g.operand(any_type(g));
  g.node(op, {x});
  if (g.chance(85)) g.set("perm", shuffled(g, x.rank()));
  return true;
}

bool reshape(Generator& g, const std::string& op) {
  const Operand x = g.operand(any_type(g));
  std::vector<std::int64_t> target;
  // Neighbours joined, some dimensions split, one left to be found.
  for (std::int64_t i = 0; i < x.rank(); ++i) {
    const ir::Dim& dim = x.dims()[static_cast<std::size_t>(i)];
    if (!dim.is_static()) {
      target.push_back(static_cast<std::int64_t>(target.size()) == i ? 0 : -1);
      continue;
    }
    const std::int64_t part = g.between(2, 4);
    if (!target.empty() && target.back() > 0 && g.chance(30)) target.back() *= dim.value;
    else if (dim.value > part && dim.value % part == 0 && g.chance(50)) target.push_back(part), target.push_back(dim.value / part);
    else target.push_back(dim.value);
    if (g.chance(15)) target.push_back(1);
  }
  if (std::ranges::count(target, -1) == 0 && !target.empty() && g.chance(50)) target[static_cast<std::size_t>(g.below(static_cast<std::int64_t>(target.size())))] = -1;
  if (std::ranges::count(target, -1) == 0 && g.chance(10)) target = {-1};
  g.node(op, {x, g.ints(target)});
  if (g.opset() >= 14 && g.chance(20)) g.set("allowzero", std::int64_t{1});
  return true;
}

bool slice(Generator& g, const std::string& op) {
  const Operand x = g.operand(any_type(g), 1);
  std::vector<std::int64_t> starts, ends, axes, steps;
  for (std::int64_t i = 0; i < x.rank(); ++i) {
    if (!g.chance(55)) continue;
    const bool back = g.opset() >= 10 && g.chance(25);
    axes.push_back(g.chance(30) ? i - x.rank() : i);
    starts.push_back(back ? g.pick<std::int64_t>({-1, -2, 5, 1000}) : g.pick<std::int64_t>({0, 1, -2, -100, 2}));
    ends.push_back(back ? g.pick<std::int64_t>({-1000, 0, -9, INT64_MIN}) : g.pick<std::int64_t>({-1, 3, INT64_MAX, INT32_MAX, 4, 1, 0}));
    steps.push_back(back ? g.pick<std::int64_t>({-1, -2, -1, -5}) : g.pick<std::int64_t>({1, 1, 2, 3}));
  }
  if (axes.empty()) return false;
  if (g.opset() < 10) {
    g.node(op, {x});
    g.set("starts", starts), g.set("ends", ends), g.set("axes", axes);
    return true;
  }
  g.node(op, {x, g.ints(starts), g.ints(ends), g.ints(axes), g.ints(steps)});
  return true;
}

bool concat(Generator& g, const std::string& op) {
  const Operand x = g.operand(any_type(g), 1);
  if (!Generator::is_spellable(x.dims())) return false;
  const std::int64_t axis = any_axis(g, x.rank());
  std::vector<Operand> inputs{x};
  for (std::int64_t i = g.between(0, 3); i > 0; --i) {
    Dims dims = x.dims();
    dims[static_cast<std::size_t>(axis < 0 ? axis + x.rank() : axis)] = g.random_dims(1)[0];
    inputs.push_back(g.chance(25) ? x : g.fresh(x.dtype(), dims));
  }
  std::ranges::rotate(inputs, inputs.begin() + g.below(static_cast<std::int64_t>(inputs.size())));
  g.node(op, inputs);
  g.set("axis", axis);
  return true;
}

bool split(Generator& g, const std::string& op) {
  const Operand x = g.operand(any_type(g), 1);
  const std::int64_t axis = any_axis(g, x.rank());
  if (!at(x, axis).is_static()) return false;
  const std::int64_t size = at(x, axis).value, parts = g.between(1, 3);
  std::vector<std::int64_t> sizes;
  std::int64_t left = size;
  for (std::int64_t i = 0; i + 1 < parts; ++i) sizes.push_back(g.below(left + 1)), left -= sizes.back();
  sizes.push_back(left);
  g.node(op, {x}, static_cast<int>(parts));
  g.set("axis", axis);
  if (size % parts != 0 || g.chance(60)) g.axes(sizes, 13, "split");
  else if (g.opset() >= 18) g.set("num_outputs", parts);
  return true;
}

bool pad(Generator& g, const std::string& op) {
  const Operand x = g.operand(g.opset() < 13 ? g.real_type() : any_type(g), 1);
  g.rounding = Rounding::kExact;
  std::string mode = g.pick({"constant", "constant", "reflect", "edge", g.opset() >= 19 ? "wrap" : "edge"});
  const std::int64_t low = mode == "constant" ? -1 : 0;
  std::vector<std::int64_t> pads;
  for (std::int64_t i = 0; i < 2 * x.rank(); ++i) pads.push_back(g.chance(50) ? 0 : g.between(low, 2));
  if (g.opset() < 11) {
    g.node(op, {x});
    g.set("pads", pads);
    if (g.chance(50)) g.set("value", 1.5f);
  } else {
    std::vector<Operand> inputs{x, g.ints(pads)};
    if (mode == "constant" && g.chance(50)) inputs.push_back(g.fresh(x.dtype(), {}));
    g.node(op, inputs);
  }
  if (mode != "constant" || g.chance(30)) g.set("mode", mode);
  return true;
}

bool expand(Generator& g, const std::string& op) {
  const Operand x = g.operand(any_type(g));
  std::vector<std::int64_t> shape;
  for (const ir::Dim& dim : x.dims()) shape.push_back(dim.is_static() && dim.value == 1 ? g.between(0, 4) : dim.is_static() && g.chance(50) ? dim.value : 1);
  if (g.chance(40)) shape.insert(shape.begin(), g.between(1, 3));
  g.node(op, {x, g.ints(shape)});
  return true;
}
bool tile(Generator& g, const std::string& op) {
  const Operand x = g.operand(any_type(g), 1);
  std::vector<std::int64_t> repeats;
  for (std::int64_t i = 0; i < x.rank(); ++i) repeats.push_back(g.chance(50) ? 1 : g.between(g.chance(10) ? 0 : 1, 3));
  g.node(op, {x, g.ints(repeats)});
  return true;
}
bool squeeze(Generator& g, const std::string& op) {
  const Operand x = g.operand(any_type(g), 1);
  std::vector<std::int64_t> axes;
  for (std::int64_t i = 0; i < x.rank(); ++i)
    if (at(x, i).is_static() && at(x, i).value == 1 && g.chance(70)) axes.push_back(g.chance(30) ? i - x.rank() : i);
  g.node(op, {x});
  if (!axes.empty()) g.axes(axes, 13);
  else if (!Generator::is_static(x.dims())) return false;
  return true;
}
bool unsqueeze(Generator& g, const std::string& op) {
  const Operand x = g.operand(any_type(g), 0, 4);
  const std::int64_t more = g.between(1, 2);
  std::vector<std::int64_t> axes = shuffled(g, x.rank() + more);
  axes.resize(static_cast<std::size_t>(more));
  if (g.opset() >= 11)
    for (auto& axis : axes)
      if (g.chance(30)) axis -= x.rank() + more;
  g.node(op, {x});
  g.axes(axes, 13);
  return true;
}
bool flatten(Generator& g, const std::string& op) {
  const Operand x = g.operand(any_type(g));
  g.node(op, {x});
  if (g.chance(80)) g.set("axis", g.between(g.opset() >= 11 ? -x.rank() : 0, x.rank()));
  return true;
}

// Indices into an axis of that size; negative ones too.
Operand indices(Generator& g, std::int64_t size, const Dims& dims, bool distinct_along_all = false) {
  tensor::Shape shape;
  for (const ir::Dim& dim : dims) shape.push_back(dim.value);
  Tensor tensor(g.chance(60) ? DType::kInt64 : DType::kInt32, shape);
  const auto order = shuffled(g, std::max<std::int64_t>(size, tensor.num_elements()));
  for (std::int64_t i = 0; i < tensor.num_elements(); ++i) {
    const std::int64_t index = distinct_along_all ? order[static_cast<std::size_t>(i)] : g.below(size);
    tensor.set(i, static_cast<double>(g.chance(25) ? index - size : index));
  }
  return g.constant(tensor);
}

bool gather(Generator& g, const std::string& op) {
  const Operand x = g.operand(any_type(g), 1);
  const std::int64_t axis = any_axis(g, x.rank());
  const ir::Dim& dim = at(x, axis);
  const std::int64_t size = dim.is_static() ? dim.value : 1;
  if (size == 0) return false;
  if (op == "GatherElements") {
    Dims dims = x.dims();
    if (!Generator::is_static(dims)) return false;
    for (ir::Dim& d : dims)
      if (g.chance(40)) d = ir::Dim(g.between(0, d.value));
    dims[static_cast<std::size_t>(axis < 0 ? axis + x.rank() : axis)] = ir::Dim(g.between(0, 5));
    g.node(op, {x, indices(g, size, dims)});
  } else {
    Dims dims;
    for (std::int64_t i = g.below(3); i > 0; --i) dims.emplace_back(g.between(0, 4));
    g.node(op, {x, indices(g, size, dims)});
  }
  g.set("axis", axis);
  return true;
}
bool gather_nd(Generator& g, const std::string& op) {
  const Operand x = g.operand(any_type(g), 1);
  if (!Generator::is_static(x.dims())) return false;
  const std::int64_t depth = g.between(1, x.rank()), count = g.between(0, 4);
  Tensor tensor(DType::kInt64, {count, depth});
  for (std::int64_t i = 0; i < tensor.num_elements(); ++i) {
    const std::int64_t size = at(x, i % depth).value;
    if (size == 0) return false;
    tensor.set(i, static_cast<double>(g.below(size) - (g.chance(20) ? size : 0)));
  }
  g.node(op, {x, g.constant(tensor)});
  return true;
}

bool blocks(Generator& g, const std::string& op) {
  const DType dtype = g.real_type();
  g.rounding = Rounding::kExact;
  const std::int64_t block = g.between(1, 3), channels = g.between(1, 3), height = g.between(1, 4), width = g.between(1, 4);
  const bool out = op == "DepthToSpace";
  const Dims dims = out ? Dims{g.random_dims(1)[0], channels * block * block, height, width} : Dims{g.random_dims(1)[0], channels, height * block, width * block};
  g.node(op, {g.fresh(dtype, dims)});
  g.set("blocksize", block);
  if (out && g.opset() >= 11 && g.chance(60)) g.set("mode", std::string(g.chance(50) ? "CRD" : "DCR"));
  return true;
}
bool crop_pad(Generator& g, const std::string& op) {
  if (g.opset() < 18) return false;
  const Operand x = g.operand(any_type(g), 1);
  std::vector<std::int64_t> sizes;
  for (std::int64_t i = 0; i < x.rank(); ++i) sizes.push_back(g.between(1, 7));
  g.node(op, {x, g.ints(sizes)});
  return true;
}
bool reverse_sequence(Generator& g, const std::string& op) {
  const Operand x = g.operand(any_type(g), 2);
  const std::int64_t batch = g.below(2);
  const ir::Dim &b = at(x, batch), &t = at(x, 1 - batch);
  if (!b.is_static() || !t.is_static() || t.value == 0) return false;
  Tensor lengths(DType::kInt64, {b.value});
  for (std::int64_t i = 0; i < b.value; ++i) lengths.set(i, static_cast<double>(g.between(1, t.value)));
  g.node(op, {x, g.constant(lengths)});
  g.set("batch_axis", batch), g.set("time_axis", 1 - batch);
  return true;
}
bool trilu(Generator& g, const std::string& op) {
  if (g.opset() < 14) return false;
  const Operand x = g.operand(any_type(g), 2);
  if (g.chance(50)) g.node(op, {x});
  else g.node(op, {x, g.constant(Tensor::scalar(g.between(-3, 3)))});
  if (g.chance(60)) g.set("upper", g.below(2));
  return true;
}
bool one_hot(Generator& g, const std::string& op) {
  g.rounding = Rounding::kJumps;
  const Operand x = g.operand(g.pick({DType::kInt64, DType::kInt32}), 0, 3);
  g.node(op, {x, g.constant(Tensor::scalar(g.between(1, 6))), g.fresh(DType::kFloat32, {2})});
  if (g.chance(60)) g.set("axis", g.between(-x.rank() - 1, x.rank()));
  return true;
}
bool shape(Generator& g, const std::string& op) {
  g.rounding = Rounding::kJumps;
  const Operand x = g.operand(g.number_type());
  g.node(op, {x});
  if (op == "Shape" && g.opset() >= 15 && g.chance(40)) g.set("start", g.between(-2, 1));
  return true;
}

bool scatter_elements(Generator& g, const std::string& op) {
  const Operand x = g.operand(g.chance(70) ? DType::kFloat32 : any_type(g), 1, 3);
  g.rounding = Rounding::kExact;
  if (!Generator::is_static(x.dims()) || (x.dtype() == DType::kBool)) return false;
  const std::int64_t axis = any_axis(g, x.rank()), size = at(x, axis).value;
  if (size == 0 || g.opset() < 11) return false;
  // Without a reduction no place may be written twice: one index for a line.
  const bool reduces = g.opset() >= 18 && tensor::size_of(x.dtype()) >= 4 && g.chance(50);
  Dims dims = x.dims();
  for (ir::Dim& d : dims) d = ir::Dim(reduces ? g.between(0, d.value) : d.value);
  dims[static_cast<std::size_t>(axis < 0 ? axis + x.rank() : axis)] = ir::Dim(reduces ? g.between(1, 4) : 1);
  g.node(op, {x, indices(g, size, dims), g.fresh(x.dtype(), dims)});
  g.set("axis", axis);
  if (reduces) g.set("reduction", std::string(g.pick({"add", "mul", "max", "min"})));
  return true;
}
bool scatter_nd(Generator& g, const std::string& op) {
  if (g.opset() < 11) return false;
  const Operand x = g.operand(g.chance(70) ? DType::kFloat32 : g.number_type(), 1, 3);
  g.rounding = Rounding::kExact;
  if (!Generator::is_static(x.dims()) || x.dims()[0].value == 0) return false;
  const std::int64_t size = x.dims()[0].value, count = g.between(0, std::min<std::int64_t>(size, 4));
  Dims updates = x.dims();
  updates[0] = ir::Dim(count);
  g.node(op, {x, indices(g, size, {ir::Dim(count), ir::Dim(1)}, true), g.fresh(x.dtype(), updates)});
  if (g.opset() >= 18 && tensor::is_float(x.dtype()) && g.chance(50)) g.set("reduction", std::string(g.pick({"add", "mul", "max", "min"})));
  return true;
}

}  // namespace

void add_movement(std::vector<Entry>& entries) {
  const Entry all[] = {{"Transpose", transpose}, {"Reshape", reshape}, {"Slice", slice}, {"Concat", concat}, {"Split", split}, {"Pad", pad},
                       {"Expand", expand}, {"Tile", tile}, {"Squeeze", squeeze}, {"Unsqueeze", unsqueeze}, {"Flatten", flatten},
                       {"Gather", gather}, {"GatherElements", gather}, {"GatherND", gather_nd}, {"DepthToSpace", blocks}, {"SpaceToDepth", blocks},
                       {"CenterCropPad", crop_pad}, {"ReverseSequence", reverse_sequence}, {"Trilu", trilu}, {"OneHot", one_hot}, {"Shape", shape},
                       {"Size", shape}, {"ScatterElements", scatter_elements}, {"ScatterND", scatter_nd}};
  entries.insert(entries.end(), std::begin(all), std::end(all));
}

}  // namespace xinfer::fuzz
