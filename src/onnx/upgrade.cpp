#include "onnx/upgrade.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace xinfer::onnx {
namespace {

using base::Code;
using base::fail;
using base::Result;
using ir::Attributes;
using ir::DType;
using ir::kNoValue;
using ir::Node;
using ir::Tensor;
using ir::ValueId;

void set_input(Node& node, std::size_t index, ValueId id) {
  if (node.inputs.size() <= index) node.inputs.resize(index + 1, kNoValue);
  node.inputs[index] = id;
}

bool has_input(const Node& node, std::size_t index) { return index < node.inputs.size() && node.inputs[index] != kNoValue; }

// Attribute with a list of integers -> input.
void ints_to_input(Emitter& e, Node& node, std::string_view attribute, std::size_t index) {
  if (const auto* values = node.attributes.get<std::vector<std::int64_t>>(attribute); values != nullptr && !has_input(node, index))
    set_input(node, index, e.constant(Tensor::from_int64s(*values)));
  node.attributes.erase(attribute);
}

// A scalar of the node's first input's type.
ValueId scalar_like_input(Emitter& e, const Node& node, double value) {
  DType dtype = e.type(node.inputs[0]).dtype;
  if (dtype == DType::kUndefined) dtype = DType::kFloat32;
  Tensor tensor(dtype, {});
  tensor.set(0, value);
  return e.constant(std::move(tensor));
}

void real_to_input(Emitter& e, Node& node, std::string_view attribute, std::size_t index) {
  if (const auto* value = node.attributes.get<float>(attribute)) set_input(node, index, scalar_like_input(e, node, *value));
  node.attributes.erase(attribute);
}

Result<void> drop_consumed_inputs(Emitter&, Node& node, int) {
  node.attributes.erase("consumed_inputs");
  return {};
}

// Before opset 7 the second operand was aligned at `axis`, not at the end.
Result<void> align_broadcast(Emitter& e, Node& node, int) {
  const bool broadcast = node.attributes.integer("broadcast", 0) != 0;
  const auto* axis = node.attributes.get<std::int64_t>("axis");
  const std::int64_t given = axis != nullptr ? *axis : 0;
  const bool aligned = broadcast && axis != nullptr && node.inputs.size() == 2;
  node.attributes.erase("broadcast");
  node.attributes.erase("axis");
  if (!aligned) return {};
  const std::int64_t a = e.rank(node.inputs[0]), b = e.rank(node.inputs[1]);
  if (a < 0 || b < 0) return fail(Code::kUnsupported, "broadcasting along an axis (opset < 7) of inputs of unknown rank");
  if (given < -a || given > a) return fail(Code::kInvalidArgument, "axis {} is outside of the {} axes of the first input", given, a);
  const std::int64_t start = given < 0 ? given + a : given;
  std::vector<std::int64_t> axes;
  for (std::int64_t i = b; i < a - start; ++i) axes.push_back(i);
  if (axes.empty()) return {};
  XI_TRY(node.inputs[1], e.emit("Unsqueeze", {node.inputs[1], e.constant(Tensor::from_int64s(axes))}));
  return {};
}

// One slope per channel before opset 7, aligned at axis 1.
Result<void> upgrade_prelu(Emitter& e, Node& node, int) {
  const std::int64_t x = e.rank(node.inputs[0]), slope = node.inputs.size() > 1 ? e.rank(node.inputs[1]) : -1;
  if (slope != 1 || x <= 2) return {};
  std::vector<std::int64_t> axes;
  for (std::int64_t i = 1; i < x - 1; ++i) axes.push_back(i);
  XI_TRY(node.inputs[1], e.emit("Unsqueeze", {node.inputs[1], e.constant(Tensor::from_int64s(axes))}));
  return {};
}

Result<void> upgrade_batch_normalization(Emitter&, Node& node, int opset) {
  if (opset < 9 && node.attributes.integer("spatial", 1) == 0)
    return fail(Code::kUnsupported, "spatial=0 (a statistic per position): export with opset 9 or newer");
  node.attributes.erase("spatial");
  node.attributes.erase("is_test");
  node.attributes.erase("consumed_inputs");
  node.outputs.resize(1);  // the others exist in training only
  return {};
}

Result<void> upgrade_cast(Emitter&, Node& node, int) {
  const auto* to = node.attributes.get<std::string>("to");
  if (to == nullptr) return {};
  constexpr std::array<std::string_view, 17> names{"UNDEFINED", "FLOAT",  "UINT8",   "INT8",   "UINT16", "INT16",
                                                   "INT32",     "INT64",  "STRING",  "BOOL",   "FLOAT16", "DOUBLE",
                                                   "UINT32",    "UINT64", "COMPLEX64", "COMPLEX128", "BFLOAT16"};
  const auto found = std::find(names.begin(), names.end(), *to);
  if (found == names.end()) return fail(Code::kUnsupported, "cast to '{}'", *to);
  node.attributes.set("to", static_cast<std::int64_t>(found - names.begin()));
  return {};
}

Result<void> upgrade_clip(Emitter& e, Node& node, int) {
  real_to_input(e, node, "min", 1);
  real_to_input(e, node, "max", 2);
  node.attributes.erase("consumed_inputs");
  return {};
}

Result<void> upgrade_dropout(Emitter& e, Node& node, int opset) {
  node.attributes.erase("ratio");
  node.attributes.erase("is_test");
  node.attributes.erase("consumed_inputs");
  if (opset >= 10 || node.outputs.size() < 2 || node.outputs[1] == kNoValue) return {};
  Attributes cast;  // the mask had the data's type
  const DType dtype = e.type(node.inputs[0]).dtype;
  cast.set("to", static_cast<std::int64_t>(dtype == DType::kUndefined ? DType::kFloat32 : dtype));
  e.append(node, 1, "Cast", {}, std::move(cast));
  return {};
}

Result<void> upgrade_pad(Emitter& e, Node& node, int opset) {
  ints_to_input(e, node, opset < 2 ? "paddings" : "pads", 1);
  real_to_input(e, node, "value", 2);
  return {};
}

Result<void> upgrade_slice(Emitter& e, Node& node, int) {
  ints_to_input(e, node, "starts", 1);
  ints_to_input(e, node, "ends", 2);
  ints_to_input(e, node, "axes", 3);
  return {};
}

Result<void> axes_to_input(Emitter& e, Node& node, int) {
  ints_to_input(e, node, "axes", 1);
  return {};
}

Result<void> upgrade_reshape(Emitter& e, Node& node, int) {
  ints_to_input(e, node, "shape", 1);
  node.attributes.erase("consumed_inputs");
  return {};
}

Result<void> upgrade_split(Emitter& e, Node& node, int opset) {
  if (opset < 13) ints_to_input(e, node, "split", 1);
  if (has_input(node, 1)) return {};
  const auto count = static_cast<std::int64_t>(node.outputs.size()), rank = e.rank(node.inputs[0]);
  std::int64_t axis = node.attributes.integer("axis", 0);
  if (axis < 0) axis += rank;
  if (axis >= 0 && axis < rank)
    if (const ir::Dim& dim = (*e.type(node.inputs[0]).dims)[static_cast<std::size_t>(axis)]; dim.is_static() && dim.value % count != 0)
      return fail(Code::kInvalidArgument, "{} elements cannot be split into {} equal parts", dim.value, count);
  node.attributes.set("num_outputs", count);
  return {};
}

// Before opset 13 the input was seen as a matrix [sizes before axis, sizes from axis on], normalised by rows.
Result<void> upgrade_softmax(Emitter& e, Node& node, int) {
  const ValueId x = node.inputs[0];
  const std::int64_t rank = e.rank(x);
  std::int64_t axis = node.attributes.integer("axis", 1);
  if (rank >= 0) {
    if (axis < 0) axis += rank;
    if (axis < 0 || axis > rank) return fail(Code::kInvalidArgument, "axis {} of an input of rank {}", axis, rank);
    const auto& dims = *e.type(x).dims;
    const bool rest_is_one = axis < rank && std::all_of(dims.begin() + axis + 1, dims.end(), [](const ir::Dim& d) { return d.value == 1; });
    if (rest_is_one) {
      node.attributes.set("axis", axis);
      return {};
    }
  }
  Attributes flatten;
  flatten.set("axis", axis);
  XI_TRY(const ValueId shape, e.emit("Shape", {x}));
  XI_TRY(node.inputs[0], e.emit("Flatten", {x}, std::move(flatten)));
  node.attributes.set("axis", std::int64_t{1});
  e.append(node, 0, "Reshape", {shape});
  return {};
}

Result<void> upgrade_top_k(Emitter& e, Node& node, int) {
  const std::int64_t k = node.attributes.integer("k", 0);
  node.attributes.erase("k");
  set_input(node, 1, e.constant(Tensor::from_int64s(std::array{k})));
  return {};
}

// Upsample and Resize-10 mapped output to input positions by division alone.
Result<void> resize_from_scales(Emitter& e, Node& node, ValueId scales) {
  const std::string mode = node.attributes.string("mode", "nearest");
  node.op = "Resize";
  node.inputs = {node.inputs[0], kNoValue, scales};
  // Nearest rounded down when enlarging and up when shrinking.
  bool shrinks = false;
  if (const Tensor* values = e.graph.constant(scales))
    for (std::int64_t i = 0; i < values->num_elements(); ++i) shrinks = shrinks || values->as_double(i) < 1;
  node.attributes = {};
  node.attributes.set("mode", mode == "bilinear" || mode == "linear" ? std::string("linear") : mode);
  node.attributes.set("coordinate_transformation_mode", std::string("asymmetric"));
  node.attributes.set("nearest_mode", std::string(shrinks ? "ceil" : "floor"));
  return {};
}

Result<void> upgrade_upsample(Emitter& e, Node& node, int opset) {
  if (opset >= 9) {
    if (!has_input(node, 1)) return fail(Code::kInvalidArgument, "input 'scales' is missing");
    return resize_from_scales(e, node, node.inputs[1]);
  }
  std::vector<float> scales{1, 1, node.attributes.real("height_scale", 1), node.attributes.real("width_scale", 1)};
  if (const auto* given = node.attributes.get<std::vector<float>>("scales")) scales = *given;
  const auto count = static_cast<std::int64_t>(scales.size());
  return resize_from_scales(e, node, e.constant(Tensor::from<float>(DType::kFloat32, {count}, scales)));
}

Result<void> upgrade_resize(Emitter& e, Node& node, int) {
  if (!has_input(node, 1)) return fail(Code::kInvalidArgument, "input 'scales' is missing");
  return resize_from_scales(e, node, node.inputs[1]);
}

Result<void> upgrade_gemm(Emitter&, Node& node, int) {
  node.attributes.erase("broadcast");
  return {};
}

// Opset 18 had one scale and bias per group, opset 21 one per channel.
Result<void> upgrade_group_normalization(Emitter& e, Node& node, int) {
  const auto& dims = e.type(node.inputs[0]).dims;
  const std::int64_t groups = node.attributes.integer("num_groups", 0);
  if (!dims || dims->size() < 2 || !(*dims)[1].is_static() || groups < 1 || (*dims)[1].value % groups != 0)
    return fail(Code::kUnsupported, "GroupNormalization of opset 18 with an unknown number of channels");
  const std::int64_t channels = (*dims)[1].value;
  for (std::size_t i = 1; i < 3 && has_input(node, i); ++i) {
    XI_TRY(const ValueId column, e.emit("Unsqueeze", {node.inputs[i], e.constant(Tensor::from_int64s(std::array{std::int64_t{1}}))}));
    XI_TRY(const ValueId wide, e.emit("Expand", {column, e.constant(Tensor::from_int64s(std::array{groups, channels / groups}))}));
    XI_TRY(node.inputs[i], e.emit("Reshape", {wide, e.constant(Tensor::from_int64s(std::array{channels}))}));
  }
  return {};
}

Result<void> upgrade_roi_align(Emitter&, Node& node, int) {
  if (!node.attributes.has("coordinate_transformation_mode"))
    node.attributes.set("coordinate_transformation_mode", std::string("output_half_pixel"));
  return {};
}

Result<void> upgrade_grid_sample(Emitter&, Node& node, int) {
  const std::string mode = node.attributes.string("mode", "bilinear");
  node.attributes.set("mode", mode == "bilinear" ? std::string("linear") : mode == "bicubic" ? std::string("cubic") : mode);
  return {};
}

Result<void> upgrade_dft(Emitter& e, Node& node, int) {
  const std::int64_t axis = node.attributes.integer("axis", 1);
  node.attributes.erase("axis");
  set_input(node, 2, e.constant(Tensor::scalar(axis)));
  return {};
}

Result<void> upgrade_scatter(Emitter&, Node& node, int) {
  node.op = "ScatterElements";
  return {};
}

Result<void> upgrade_recurrent(Emitter&, Node& node, int) {
  node.attributes.erase("output_sequence");
  return {};
}

Result<void> upgrade_lp_pool(Emitter&, Node& node, int) {
  if (const float* p = node.attributes.get<float>("p")) node.attributes.set("p", static_cast<std::int64_t>(*p));
  return {};
}

Result<void> upgrade_concat(Emitter&, Node& node, int) {
  if (!node.attributes.has("axis")) node.attributes.set("axis", std::int64_t{1});
  return {};
}

Result<void> refuse_tile(Emitter&, Node&, int) {
  return fail(Code::kUnsupported, "Tile of opset 1: export with opset 6 or newer");
}

// Scan of opset 8 had a leading batch axis everywhere: one scan per element of the batch.
Result<void> upgrade_scan(Emitter& e, Node& node, int) {
  if (has_input(node, 0)) return fail(Code::kUnsupported, "Scan of opset 8 with sequence_lens: export with opset 9 or newer");
  if (node.inputs.size() < 2 || !has_input(node, 1)) return fail(Code::kInvalidArgument, "Scan without inputs");
  const auto& dims = e.type(node.inputs[1]).dims;
  if (!dims || dims->empty() || !dims->front().is_static() || dims->front().value < 1 || dims->front().value > 64)
    return fail(Code::kUnsupported, "Scan of opset 8 with a batch of unknown size or over 64");
  const std::int64_t batch = dims->front().value;
  Attributes attributes = node.attributes;
  if (const auto* directions = attributes.get<std::vector<std::int64_t>>("directions"))
    attributes.set("scan_input_directions", std::vector<std::int64_t>(*directions));
  attributes.erase("directions");
  const ValueId first_axis = e.constant(Tensor::from_int64s(std::array{std::int64_t{0}}));
  std::vector<std::vector<ValueId>> parts(node.outputs.size());
  Attributes gather;
  gather.set("axis", std::int64_t{0});
  for (std::int64_t b = 0; b < batch; ++b) {
    Node scan{"Scan", node.name, {}, {}, attributes};
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      XI_TRY(const ValueId element, e.emit("Gather", {node.inputs[i], e.constant(Tensor::scalar(b))}, gather));
      scan.inputs.push_back(element);
    }
    std::vector<ValueId> results;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) results.push_back(e.temporary("Scan"));
    scan.outputs = results;
    XI_CHECK(e.add(std::move(scan)));
    for (std::size_t i = 0; i < results.size(); ++i) {
      XI_TRY(const ValueId part, e.emit("Unsqueeze", {results[i], first_axis}));
      parts[i].push_back(part);
    }
  }
  for (std::size_t i = 0; i + 1 < node.outputs.size(); ++i)
    if (node.outputs[i] != kNoValue) XI_CHECK(e.add({"Concat", node.name, parts[i], {node.outputs[i]}, gather}));
  node = {"Concat", node.name, parts.back(), {node.outputs.back()}, gather};
  return {};
}

struct Adapter {
  std::string_view op;
  int below;  // applies to opsets before this one
  Result<void> (*run)(Emitter&, Node&, int opset);
};

constexpr Adapter kAdapters[] = {
    {"Add", 7, align_broadcast},
    {"And", 7, align_broadcast},
    {"BatchNormalization", 14, upgrade_batch_normalization},
    {"Cast", 6, upgrade_cast},
    {"Clip", 11, upgrade_clip},
    {"Concat", 4, upgrade_concat},
    {"DFT", 20, upgrade_dft},
    {"Div", 7, align_broadcast},
    {"Dropout", 12, upgrade_dropout},
    {"Equal", 7, align_broadcast},
    {"GRU", 7, upgrade_recurrent},
    {"Gemm", 7, upgrade_gemm},
    {"GlobalLpPool", 2, upgrade_lp_pool},
    {"Greater", 7, align_broadcast},
    {"GridSample", 20, upgrade_grid_sample},
    {"GroupNormalization", 21, upgrade_group_normalization},
    {"Hardmax", 13, upgrade_softmax},
    {"LSTM", 7, upgrade_recurrent},
    {"Less", 7, align_broadcast},
    {"LogSoftmax", 13, upgrade_softmax},
    {"LpPool", 2, upgrade_lp_pool},
    {"Mul", 7, align_broadcast},
    {"Or", 7, align_broadcast},
    {"PRelu", 7, upgrade_prelu},
    {"Pad", 11, upgrade_pad},
    {"Pow", 7, align_broadcast},
    {"RNN", 7, upgrade_recurrent},
    {"ReduceL1", 18, axes_to_input},
    {"ReduceL2", 18, axes_to_input},
    {"ReduceLogSum", 18, axes_to_input},
    {"ReduceLogSumExp", 18, axes_to_input},
    {"ReduceMax", 18, axes_to_input},
    {"ReduceMean", 18, axes_to_input},
    {"ReduceMin", 18, axes_to_input},
    {"ReduceProd", 18, axes_to_input},
    {"ReduceSum", 13, axes_to_input},
    {"ReduceSumSquare", 18, axes_to_input},
    {"Reshape", 5, upgrade_reshape},
    {"Resize", 11, upgrade_resize},
    {"RoiAlign", 16, upgrade_roi_align},
    {"Scan", 9, upgrade_scan},
    {"Scatter", 1000, upgrade_scatter},
    {"Slice", 10, upgrade_slice},
    {"Softmax", 13, upgrade_softmax},
    {"Split", 18, upgrade_split},
    {"Squeeze", 13, axes_to_input},
    {"Sub", 7, align_broadcast},
    {"Tile", 6, refuse_tile},
    {"TopK", 10, upgrade_top_k},
    {"Unsqueeze", 13, axes_to_input},
    {"Upsample", 1000, upgrade_upsample},
    {"Xor", 7, align_broadcast},
};

static_assert(std::is_sorted(std::begin(kAdapters), std::end(kAdapters),
                             [](const Adapter& a, const Adapter& b) { return a.op < b.op; }));

}  // namespace

std::string make_unique(Names& names, const std::string& stem) {
  auto [entry, fresh] = names.emplace(stem, 1);
  if (fresh) return stem;
  for (std::size_t& number = entry->second;;) {
    std::string name = fmt::format("{}.{}", stem, number++);
    if (names.emplace(name, 1).second) return name;
  }
}

ValueId Emitter::temporary(std::string_view what) {
  return graph.add_value(make_unique(names_, fmt::format("{}.{}", stem_, what)), {});
}

ValueId Emitter::constant(Tensor tensor) {
  return graph.add_constant(make_unique(names_, stem_ + ".constant"), std::move(tensor));
}

Result<ValueId> Emitter::emit(std::string op, std::vector<ValueId> inputs, Attributes attributes) {
  const ValueId output = temporary(op);
  XI_CHECK(add({std::move(op), stem_, std::move(inputs), {output}, std::move(attributes)}));
  return output;
}

void Emitter::append(Node& node, std::size_t index, std::string op, std::vector<ValueId> more, Attributes attributes) {
  const ValueId old = node.outputs[index];
  node.outputs[index] = temporary(node.op);
  more.insert(more.begin(), node.outputs[index]);
  after.push_back({std::move(op), stem_, std::move(more), {old}, std::move(attributes)});
}

Result<void> Emitter::add(Node node) {
  if (typed_) XI_CHECK(ir::infer_node_types(graph, node));
  graph.nodes.push_back(std::move(node));
  return {};
}

std::int64_t Emitter::rank(ValueId id) const {
  const auto& dims = type(id).dims;
  return dims ? static_cast<std::int64_t>(dims->size()) : -1;
}

Result<void> upgrade(Emitter& emitter, Node& node, int opset) {
  if (opset < 6) XI_CHECK(drop_consumed_inputs(emitter, node, opset));
  const auto found = std::lower_bound(std::begin(kAdapters), std::end(kAdapters), std::string_view(node.op),
                                      [](const Adapter& adapter, std::string_view op) { return adapter.op < op; });
  if (found == std::end(kAdapters) || found->op != node.op || opset >= found->below) return {};
  if (node.inputs.empty() || node.outputs.empty() || (node.inputs[0] == kNoValue && node.op != "Scan"))
    return fail(Code::kInvalidArgument, "{} needs an input and an output", node.op);
  return found->run(emitter, node, opset);
}

}  // namespace xinfer::onnx
