#include "forge/cpu/irregular/builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "forge/cpu/prelude.h"
#include "forge/irregular_text.h"
#include "tensor/text.h"

namespace xinfer::forge::cpu {

namespace irregular {

std::string_view element_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kFloat16:
    case DType::kBfloat16: return "float";
    case DType::kFloat64: return "double";
    case DType::kInt4:
    case DType::kInt8: return "int8_t";
    case DType::kInt16: return "int16_t";
    case DType::kInt32: return "int32_t";
    case DType::kInt64: return "int64_t";
    case DType::kBool:
    case DType::kUint4:
    case DType::kUint8: return "uint8_t";
    case DType::kUint16: return "uint16_t";
    case DType::kUint32: return "uint32_t";
    case DType::kUint64: return "uint64_t";
    case DType::kString: return "Text";
    default: return {};
  }
}

AxisSizes sizes_around(const Sizes& shape, std::int64_t axis) {
  AxisSizes sizes;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    auto at = static_cast<std::int64_t>(i);
    (at < axis ? sizes.outer : at == axis ? sizes.size : sizes.inner) *= shape[i];
  }
  return sizes;
}

Sizes dense_strides(const Sizes& shape) {
  Sizes strides(shape.size(), 1);
  for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

Builder::Builder(const ir::Node& node, const ir::Graph& graph, const SymbolPlace& place)
    : node(node), graph(graph), place_(place) {
  int slot = 0;
  auto declare = [&](std::string_view prefix, const std::vector<ir::ValueId>& values, std::size_t at_least) {
    for (std::size_t i = 0; i < std::max(values.size(), at_least); ++i) {
      const bool present = i < values.size() && values[i] != ir::kNoValue;
      std::string_view type = present ? element_type(graph.value(values[i]).type.dtype) : "float";
      if (type.empty()) type = "float";  // check() refuses it
      constants_ += fmt::format("typedef {} {}{};\nconstexpr int k{}{} = {};\n", type, prefix, i, prefix, i,
                                present ? slot++ : -1);
    }
  };
  const bool strings = touches_strings(node, graph);
  if (strings) constants_ = text_prelude();
  declare("In", node.inputs, 9);
  if (strings) constants_ += fmt::format("#define XI_TEXT_MEMORY ((TextMemory*)buffers[{}])\n", slot++);
  declare("Out", node.outputs, 4);
}

Result<void> Builder::check(bool open, bool takes_strings) const {
  for (const auto* values : {&node.inputs, &node.outputs})
    for (ir::ValueId id : *values) {
      if (id == ir::kNoValue) continue;
      const ir::ValueType& type = graph.value(id).type;
      if (open ? !type.is_known() : !type.is_static())
        return fail(Code::kUnsupported, "{} needs fixed sizes, and '{}' is {}", node.op, graph.value(id).name,
                    to_string(type));
      if (element_type(type.dtype).empty() || (type.dtype == DType::kString && !takes_strings))
        return fail(Code::kUnsupported, "{} has no kernel for {}", node.op, tensor::name(type.dtype));
    }
  return {};
}

Result<std::int64_t> Builder::fixed(const Size& size, std::string_view what) const {
  if (!size.is_number()) return fail(Code::kUnsupported, "{} of {} must be a number when building, not {}", what, node.op, size.text());
  return size.number();
}

Result<void> Builder::require_equal(const Size& a, const Size& b, std::string_view what) const {
  if (a == b) return {};
  if (a.is_number() && b.is_number()) return fail(Code::kInvalidArgument, "{}: {} and {} differ", what, a.number(), b.number());
  return fail(Code::kUnsupported, "{}: {} and {} must be one size: give those dimensions of the inputs the same number or name", what,
              a.text(), b.text());
}

std::string Builder::text_of(const Size& size) const {
  return size.c_text([&](const std::string& name) { return fmt::format("symbols[{}]", place_(name)); });
}

Builder& Builder::add(std::string_view name, const Size& value) {
  if (value.is_number()) return add(name, value.number());
  sizes_.member(name, text_of(value));
  return *this;
}
Builder& Builder::list(std::string_view name, const Sizes& values) {
  Shape numbers;
  std::vector<std::string> texts;
  for (const Size& value : values) {
    if (value.is_number()) numbers.push_back(value.number());
    texts.push_back(text_of(value));
  }
  if (numbers.size() == values.size()) return list(name, numbers);
  sizes_.array(name, texts);
  return *this;
}

Builder& Builder::add(std::string_view name, std::int64_t value) {
  return line(fmt::format("constexpr int64_t {} = {};", name, value));
}
Builder& Builder::add(std::string_view name, double value) {
  return line(fmt::format("constexpr double {} = {:.17e};", name, value));
}
Builder& Builder::flag(std::string_view name, bool value) {
  return line(fmt::format("constexpr bool {} = {};", name, value));
}
Builder& Builder::list(std::string_view name, std::span<const std::int64_t> values) {
  // One more element, so that an empty list too is an array.
  return line(
      fmt::format("constexpr int64_t {}[] = {{{}{}0}};", name, fmt::join(values, ", "), values.empty() ? "" : ", "));
}
Builder& Builder::reals(std::string_view name, std::span<const double> values) {
  std::string text;
  for (double value : values)
    text += std::isnan(value)   ? "(double)kNaN, "
            : std::isinf(value) ? (value < 0 ? "-(double)kInfinity, " : "(double)kInfinity, ")
                                : fmt::format("{:.17e}, ", value);
  return line(fmt::format("constexpr double {}[] = {{{}0}};", name, text));
}
Builder& Builder::words(std::string_view name, std::span<const std::string> words) {
  constants_ += word_table(name, words);
  return *this;
}
Builder& Builder::line(std::string_view text) {
  constants_ += text;
  constants_ += '\n';
  return *this;
}

Builder& Builder::together(std::int64_t threads) {
  threads_ = static_cast<int>(std::clamp<std::int64_t>((threads + 31) / 32 * 32, 32, 1024));
  return *this;
}

Kernel Builder::finish(const Size& items, double flops, std::uint64_t scratch_bytes, std::string choice,
                       std::initializer_list<std::string_view> texts) {
  double bytes = 0;
  for (const auto* values : {&node.inputs, &node.outputs})
    for (ir::ValueId id : *values)
      if (id != ir::kNoValue)
        bytes += estimate(tensor::num_elements(graph.value(id).type.sizes())) * static_cast<double>(tensor::stored_bytes(graph.value(id).type.dtype));
  add("kItems", items);
  line(
      "#define XI_ITEMS(item) for (int64_t item = task_begin * kItems / kTasks, item##_end = task_end * kItems / "
      "kTasks; item < item##_end; ++item)");
  if (!sizes_.empty()) choice += ", run-time sizes";
  Irregular made{constants_ + std::string(kIrregularCommonInc), {}, sizes_, items.max(), scratch_bytes, {}, 0, threads_, flops, bytes, std::move(choice)};
  for (std::string_view text : texts) made.text += text;
  return made;
}

Irregular& Builder::in_blocks(Irregular& made, int threads, std::uint64_t scratch_bytes, std::initializer_list<std::string_view> texts) {
  made.threads = threads, made.block_scratch_bytes = scratch_bytes;
  for (std::string_view text : texts) made.block_text += text;
  return made;
}

namespace {

const Row* find_row(std::string_view op) {
  for (auto part : {selection_kernels(), recurrent_kernels(), attention_kernels(), sampling_kernels(), quantized_kernels(),
                    random_kernels(), region_kernels(), classical_kernels(), text_kernels()})
    for (const Row& row : part)
      if (row.op == op) return &row;
  return nullptr;
}

}  // namespace

Result<std::optional<Irregular>> make_irregular(const ir::Node& node, const ir::Graph& graph, const SymbolPlace& place) {
  const Row* row = find_row(node.op);
  if (!row) return std::nullopt;
  Builder builder(node, graph, place);
  XI_CHECK(builder.check(row->open, row->takes_strings));
  return row->build(builder);
}

}  // namespace irregular

bool touches_strings(const ir::Node& node, const ir::Graph& graph) {
  auto is_string = [&](ir::ValueId id) { return id != ir::kNoValue && graph.value(id).type.dtype == tensor::DType::kString; };
  return std::ranges::any_of(node.inputs, is_string) || std::ranges::any_of(node.outputs, is_string);
}

bool is_irregular(std::string_view op) { return irregular::find_row(op) != nullptr; }

base::Result<std::optional<KernelSource>> irregular_kernel(const ir::Node& node, const ir::Graph& graph,
                                                           const target::CpuIsa& isa, const SymbolPlace& place) {
  XI_TRY(auto made, irregular::make_irregular(node, graph, place));
  if (!made) return std::nullopt;
  KernelSource kernel;
  kernel.num_tasks = std::clamp<std::int64_t>(std::min(made->items, wanted_tasks(made->flops * 4, made->bytes)), 1, 64);
  kernel.scratch_bytes = made->scratch_bytes;
  kernel.flops = made->flops;
  kernel.bytes = made->bytes;
  kernel.choice = std::move(made->choice);
  kernel.why = "its operator is neither a loop nest nor a contraction: it has this one template";
  assemble(kernel, isa, fmt::format("constexpr int64_t kTasks = {};\n{}{}", kernel.num_tasks, kIrregularAloneInc, made->constants), {},
           {made->text}, made->sizes);
  return kernel;
}

}  // namespace xinfer::forge::cpu
