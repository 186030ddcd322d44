#include "schedule/scheduler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/digest.h"
#include "forge/cpu/counted.h"
#include "forge/cpu/irregular.h"
#include "ir/operator.h"
#include "tensor/text.h"

namespace xinfer::schedule {

using base::fail;
using base::Result;
using ir::kNoValue;
using ir::Node;
using ir::ValueId;
using Space = engine::BufferRef::Space;

Scheduler::Scheduler(const ir::Graph& graph, const Backend& backend)
    : graph_(graph),
      backend_(backend),
      blocking_(backend.blocking()),
      producers_(graph.producers()),
      users_(graph.users()) {}

const Storage* Scheduler::storage(ValueId value) const {
  if (auto it = places_.find(value); it != places_.end()) return &it->second.storage;
  if (!graph_.is_constant(value)) return nullptr;
  // Constants become weights when a kernel that reads them is launched; all that matters here is how they will lie.
  auto& place = const_cast<Scheduler*>(this)->places_[value];
  place = const_cast<Scheduler*>(this)->constant_place(value, backend_.stored_dtype(graph_, value));
  return &place.storage;
}

const Node* Scheduler::producer(ValueId value, std::size_t* output) const {
  std::int64_t i = producers_[value];
  if (i < 0) return nullptr;
  const Node& node = graph_.nodes[static_cast<std::size_t>(i)];
  *output = static_cast<std::size_t>(std::ranges::find(node.outputs, value) - node.outputs.begin());
  return &node;
}

std::size_t Scheduler::symbol_place(const std::string& name) const {
  const auto& symbols = schedule_.plan.symbols;
  return static_cast<std::size_t>(std::ranges::find(symbols, name, &engine::Symbol::name) - symbols.begin());
}

std::int64_t Scheduler::num_elements(ValueId value) const { return max_elements(graph_.value(value).type.sizes()); }

// Those of the inputs come first; the rest are written by kernels.
void Scheduler::collect_symbols() {
  auto& symbols = schedule_.plan.symbols;
  auto add = [&](ValueId v) {
    const auto& type = graph_.value(v).type;
    if (!type.is_known()) return;
    for (const ir::Dim& dim : *type.dims)
      for (const tensor::Symbol& symbol : dim.formula.symbols())
        if (std::ranges::find(symbols, symbol.name, &engine::Symbol::name) == symbols.end())
          symbols.push_back({symbol.name, symbol.max, symbol.min, symbol.opt});
  };
  for (ValueId v : graph_.inputs) add(v);
  input_symbols_ = symbols.size();
  for (ValueId v = 0; v < graph_.values.size(); ++v) add(v);
}

namespace {

bool is_bounded(const ir::ValueType& type) {
  return type.is_known() && std::ranges::all_of(*type.dims, [](const ir::Dim& dim) { return dim.size().max() < tensor::kUnbounded; });
}

std::string types_of(const ir::Graph& graph, const Node& node) {
  std::string text;
  for (ValueId v : node.inputs)
    if (v != kNoValue) text += (text.empty() ? "" : ", ") + ir::to_string(graph.value(v).type);
  return text;
}

}  // namespace

Result<void> Scheduler::check() const {
  std::string problems;
  auto report = [&](const Node& node, std::string_view what) {
    problems += fmt::format("{}{} ({}): {}", problems.empty() ? "" : "\n", node.op,
                            node.name.empty() ? "unnamed" : node.name, what);
  };
  const SymbolPlace place = [this](const std::string& name) { return symbol_place(name); };
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    if (partition_.roles[i] == Role::kDead) continue;
    bool known = true, fixed = true, strings = false;
    auto look = [&](ValueId v) {
      if (v == kNoValue) return;
      known = known && graph_.value(v).type.is_known();
      fixed = fixed && graph_.value(v).type.is_static();
      strings = strings || graph_.value(v).type.dtype == DType::kString;
    };
    for (ValueId v : node.inputs) look(v);
    for (ValueId v : node.outputs) look(v);
    if (node.op == ir::kLoopBegin || node.op == ir::kLoopEnd) {
      if (!backend_.leaves_out()) report(node, "GPU engines have no loops that run again and again");
      continue;
    }
    if (!known) report(node, "its shape is not known at build time: give the sizes of all symbolic input dimensions");
    else if (strings && backend_.nest_style() == NestStyle::kWhole) report(node, "GPU engines have no strings");
    else if (!fixed && backend_.nest_style() == NestStyle::kWhole) report(node, "GPU engines need fixed sizes");
    else if (partition_.roles[i] == Role::kIrregular && !forge::cpu::is_irregular(node.op) && !forge::cpu::is_counted(node.op))
      report(node, fixed ? "the operator has no native code yet" : "it needs fixed sizes, not " + types_of(graph_, node));
    else if (partition_.roles[i] == Role::kIrregular) {
      if (auto made = backend_.irregular(node, graph_, place); !made) report(node, made.error().message);
    } else if (partition_.roles[i] == Role::kContraction && is_integer_product(node.op) && backend_.nest_style() != NestStyle::kWhole) {
      report(node, "it needs fixed sizes, not " + types_of(graph_, node));
    } else if (partition_.roles[i] == Role::kContraction) {
      if (auto made = make_contraction(graph_, node, place); !made) report(node, made.error().message);
    }
  }
  if (problems.empty()) return {};
  return std::unexpected(base::Error{Code::kUnsupported, std::move(problems), {}});
}

int Scheduler::add_weights(std::span<const std::byte> bytes) {
  std::string digest = base::sha256(bytes);
  if (auto it = weight_buffers_.find(digest); it != weight_buffers_.end()) return it->second;
  std::size_t offset = schedule_.weights.size();
  schedule_.pieces.push_back(offset);
  schedule_.weights.resize(offset + (bytes.size() + 63) / 64 * 64);
  std::memcpy(schedule_.weights.data() + offset, bytes.data(), bytes.size());
  Buffer buffer;
  buffer.space = Space::kWeights, buffer.offset = offset, buffer.bytes = (bytes.size() + 63) / 64 * 64;
  buffers_.push_back(buffer);
  return weight_buffers_[digest] = static_cast<int>(buffers_.size() - 1);
}

Place Scheduler::constant_place(ValueId value, DType dtype) {
  const tensor::Tensor& constant = *graph_.constant(value);
  Place place;
  std::int64_t capacity = storage_capacity({constant.shape().begin(), constant.shape().end()}, Layout::kPlain, dtype, blocking_);
  place.storage = {Layout::kPlain, dtype, capacity};
  if (constant.dtype() == dtype) {
    place.buffer = add_weights(constant.bytes());
  } else {
    tensor::Tensor converted(dtype, constant.shape());
    for (std::int64_t i = 0; i < constant.num_elements(); ++i) converted.set(i, constant.as_double(i));
    place.buffer = add_weights(converted.bytes());
  }
  return place;
}

Place Scheduler::packed_place(ValueId value, const Pack& pack) {
  const std::vector<std::byte> packed = pack(*graph_.constant(value));
  Place place;
  place.buffer = add_weights(packed);
  place.storage = {Layout::kPlain, DType::kUint8, static_cast<std::int64_t>((packed.size() + 63) / 64 * 64)};
  return place;
}

Place Scheduler::table_place(const Operand& operand) {
  tensor::Tensor table(operand.storage.dtype, {static_cast<std::int64_t>(operand.table.size())});
  for (std::size_t i = 0; i < operand.table.size(); ++i) table.set(static_cast<std::int64_t>(i), operand.table[i]);
  Place place;
  place.buffer = add_weights(table.bytes());
  place.storage = operand.storage;
  return place;
}

Place Scheduler::allocate(ValueId value, Layout layout, DType dtype) {
  Place place;
  auto shape = graph_.value(value).type.sizes();
  place.storage = {layout, dtype, storage_capacity(shape, layout, dtype, blocking_)};
  Buffer buffer;
  buffer.bytes = static_cast<std::uint64_t>(place.storage.capacity) * tensor::stored_bytes(dtype);
  buffers_.push_back(buffer);
  place.buffer = static_cast<int>(buffers_.size() - 1);
  return place;
}

// Where a kernel should write the value: a part of a concatenation, the caller's buffer, else memory of its own.
Place Scheduler::allocate_result(ValueId value, Layout layout, DType dtype) {
  if (auto it = reserved_.find(value); it != reserved_.end())
    if (it->second.storage.layout == layout && it->second.storage.dtype == dtype) return it->second;
  auto output = std::ranges::find(graph_.outputs, value);
  if (output != graph_.outputs.end() && layout == Layout::kPlain && dtype == graph_.value(value).type.dtype) {
    Place place = allocate(value, layout, dtype);
    Buffer& buffer = buffers_.back();
    buffer.space = Space::kOutput, buffer.index = static_cast<std::uint32_t>(output - graph_.outputs.begin());
    place.storage.capacity = num_elements(value);
    buffer.bytes = static_cast<std::uint64_t>(place.storage.capacity) * tensor::stored_bytes(dtype);
    return place;
  }
  return allocate(value, layout, dtype);
}

Argument Scheduler::argument(const Place& place, ValueId value) const {
  return {place.buffer, place.offset,
          static_cast<std::uint64_t>(place.storage.capacity) * tensor::stored_bytes(place.storage.dtype), value};
}

std::string Scheduler::names_of(const std::set<const Node*>& nodes) const {
  std::string names;
  std::size_t count = 0;
  for (const Node& node : graph_.nodes) {
    if (!nodes.contains(&node)) continue;
    if (++count > 6) continue;
    names += (names.empty() ? "" : "+") + (node.name.empty() ? node.op : node.name);
  }
  return count > 6 ? fmt::format("{}+{} more", names, count - 6) : names;
}

Result<void> Scheduler::add_launch(forge::KernelSource kernel, std::vector<Argument> arguments, std::string name, When when,
                                   const Size& times, std::size_t outputs) {
  if (when.depth > 0)  // a loop runs or does not as a whole
    for (const Literal& literal : demand_.nodes[open_[when.depth - 1].end])
      if (!implies(when.guard, {literal})) when.guard.insert(std::ranges::lower_bound(when.guard, literal), literal);
  for (const Literal& literal : when.guard) {  // must be there when the launch is decided about
    XI_TRY(const Place place, materialize(literal.condition, Layout::kPlain, DType::kBool));
    static_cast<void>(place);
  }
  LaunchNote note{.outputs = outputs, .values = {}};
  for (const Argument& used : arguments)
    note.values.push_back(used.value == kNoValue
                              ? ""
                              : graph_.value(used.value).name + ": " + ir::to_string(graph_.value(used.value).type));
  engine::Launch launch;
  launch.num_tasks = kernel.num_tasks * times.max();
  // What kernels count is not known when the tasks are cut: those past the end then compute what nobody reads.
  const bool known = std::ranges::all_of(times.symbols(), [&](const tensor::Symbol& symbol) { return symbol_place(symbol.name) < input_symbols_; });
  if (!times.is_number() && known) launch.tasks = (times * kernel.num_tasks).text();
  if (backend_.scratch_is_argument()) {
    launch.grid = {kernel.grid, kernel.threads, kernel.cluster, kernel.shared_bytes, kernel.overlaps};
    for (const forge::TiledMatrix& m : kernel.tiled)
      launch.tiled.push_back({m.argument, static_cast<std::uint64_t>(m.rows), static_cast<std::uint64_t>(m.columns), m.tile_rows});
    if (kernel.scratch_bytes > 0) {
      Buffer scratch;
      scratch.bytes = kernel.scratch_bytes;
      buffers_.push_back(scratch);
      arguments.push_back({static_cast<int>(buffers_.size() - 1), 0, kernel.scratch_bytes});
    }
  } else {
    launch.scratch_bytes = kernel.scratch_bytes;
  }
  const auto usual = static_cast<double>(times.opt());
  note.cycles = kernel.cycles * usual;
  launch.flops = kernel.flops * usual, launch.bytes = kernel.bytes * usual, launch.choice = kernel.choice;
  launch.name = std::move(name);
  auto [it, fresh] = kernel_index_.try_emplace(kernel.symbol, static_cast<std::uint32_t>(schedule_.kernels.size()));
  launch.kernel = it->second;
  if (fresh) schedule_.kernels.push_back(std::move(kernel));
  insert_launch(std::move(launch), std::move(arguments), std::move(note), when);
  return {};
}

Result<void> Scheduler::store_by_loops(ValueId value, const Place& place, bool copy, bool here) {
  if (num_elements(value) == 0) return {};
  NestBuilder builder(graph_, *this, blocking_, backend_.nest_style());
  XI_TRY(auto nests, builder.build(value, place.storage, copy));
  auto kernel = backend_.print(builder, nests, place.storage);
  std::vector<Argument> arguments;
  for (const Operand& operand : builder.operands()) {
    Place from = operand.value == kNoValue ? table_place(operand) : places_.at(operand.value);
    arguments.push_back(argument(from, operand.value));
  }
  arguments.push_back(argument(place, value));
  const Size elements = tensor::num_elements(graph_.value(value).type.sizes());  // reports count what is usual
  kernel.bytes -= static_cast<double>((elements.max() - elements.opt()) * static_cast<std::int64_t>(tensor::size_of(place.storage.dtype)));
  std::string name = copy ? "reorder " + graph_.value(value).name : names_of(builder.nodes());
  return add_launch(std::move(kernel), std::move(arguments), std::move(name), {demand_.values[value], here ? open_.size() : depth_[value]});
}

bool Scheduler::is_blockable(ValueId value) const {
  const auto& type = graph_.value(value).type;
  const auto& dims = *type.dims;
  const bool narrow = blocking_.whole && forge::is_narrow(type.dtype);
  return (dims.size() == 3 || dims.size() == 4) && dims[1].is_static() && (compute_type(type.dtype) == DType::kFloat32 || narrow);
}

// Whether some reader is a template that takes blocked tensors, directly or through pointwise operators.
bool Scheduler::wants_blocked(ValueId value, int depth) const {
  if (depth > 4) return false;
  for (std::size_t user : users_[value]) {
    const Node& node = graph_.nodes[user];
    if (partition_.roles[user] == Role::kDead) continue;
    if (is_windowed(node.op) && node.inputs[0] == value) return true;
    bool keeps =
        node.op == "Concat" ||
        (find_lowering(node.op) && !node.outputs.empty() &&
         graph_.value(node.outputs[0]).type.dims == graph_.value(value).type.dims && !is_reshape(node.op));
    if (keeps && wants_blocked(node.outputs[0], depth + 1)) return true;
  }
  return false;
}

// A loop nest's output is blocked where its inputs are and a template wants it so, or where that keeps it pointwise.
Layout Scheduler::preferred_layout(ValueId value, int depth) const {
  if (auto it = places_.find(value); it != places_.end()) return it->second.storage.layout;
  std::size_t output = 0;
  const Node* node = producer(value, &output);
  if (!node || depth > 16 || !is_blockable(value) || graph_.is_output(value)) return Layout::kPlain;
  if (is_reshape(node->op) || node->op == "Transpose" || !find_lowering(node->op)) return Layout::kPlain;
  bool blocked = false;
  for (ValueId v : node->inputs)
    if (v != kNoValue && !graph_.is_constant(v) && is_blockable(v) &&
        num_elements(v) > 1)
      blocked = blocked || preferred_layout(v, depth + 1) == Layout::kBlocked;
  // Most lanes of a block would be padding.
  if (!blocked || 2 * graph_.value(value).type.max_shape()[1] < blocking_.lanes) return Layout::kPlain;
  if (depth > 0 || wants_blocked(value)) return Layout::kBlocked;
  bool pointwise = graph_.value(node->inputs[0]).type.dims == graph_.value(value).type.dims;
  return pointwise ? Layout::kBlocked : Layout::kPlain;
}

// A value that is another one's memory under a new shape, or a contiguous part of it.
std::optional<Place> Scheduler::view(ValueId value) {
  std::size_t output = 0;
  const Node* node = producer(value, &output);
  if (!node) return std::nullopt;
  if (node->op == "Slice" || node->op == "Split") return view_of_part(value, *node, output);
  if (!is_reshape(node->op) || output != 0) return std::nullopt;
  ValueId source = node->inputs[0];
  auto it = places_.find(source);
  std::optional<Place> from;
  if (it != places_.end()) from = it->second;
  else if (!graph_.is_constant(source)) from = view(source);
  if (!from || from->storage.layout != Layout::kPlain) return std::nullopt;
  return from;
}

std::optional<Place> Scheduler::view_of_part(ValueId value, const Node& node, std::size_t output) {
  auto it = places_.find(node.inputs[0]);
  if (it == places_.end()) return std::nullopt;
  if (!graph_.value(node.inputs[0]).type.is_static() || !graph_.value(value).type.is_static()) return std::nullopt;
  auto in = graph_.value(node.inputs[0]).type.shape(), out = graph_.value(value).type.shape();
  std::size_t axis = 0;
  while (axis < in.size() && in[axis] == out[axis]) ++axis;
  if (axis == in.size()) return std::nullopt;
  for (std::size_t d = axis + 1; d < in.size(); ++d)
    if (in[d] != out[d]) return std::nullopt;
  for (std::size_t d = 0; d < axis; ++d)
    if (in[d] != 1) return std::nullopt;
  // The first element's place in the source follows from the operator's own lowering, evaluated at index 0 and 1.
  ExprPool pool;
  std::int64_t start = -1;
  std::vector<E> found;
  std::vector<E> index(out.size(), pool.integer(0));
  E along = pool.var(0, std::max<std::int64_t>(out[axis], 2));
  index[axis] = along;
  LoweringContext context(
      pool, graph_, node, output, index,
      [&](ValueId v, std::span<const E> at) {
        if (v == node.inputs[0]) found.assign(at.begin(), at.end());
        return pool.real(0);
      },
      [&](std::vector<double>, DType, E) { return pool.integer(0); });
  auto lowered = find_lowering(node.op)->lower(context);
  if (!lowered || found.size() != in.size() || stride_of(found[axis], along) != 1) return std::nullopt;
  start = linear_form(found[axis]).constant.number();
  Place part = it->second;
  std::int64_t lanes = blocking_.lanes, inner = 1;
  for (std::size_t d = axis + 1; d < in.size(); ++d) inner *= in[d];
  if (part.storage.layout == Layout::kBlocked && (blocking_.whole || axis != 1 || start % lanes != 0))
    return std::nullopt;
  part.offset += static_cast<std::uint64_t>(start * inner) * tensor::stored_bytes(part.storage.dtype);
  if (part.offset % 64 != 0) return std::nullopt;
  part.storage.capacity = tensor::num_elements(physical_shape({out.begin(), out.end()}, part.storage.layout, blocking_)).number();
  part.whole = false;
  return part;
}

Result<Place> Scheduler::main_place(ValueId value) {
  if (auto it = places_.find(value); it != places_.end()) return it->second;
  if (storage(value)) return places_.at(value);  // a constant
  if (auto alias = view(value)) {
    places_[value] = *alias;
    return *alias;
  }
  auto reserved = reserved_.find(value);
  Layout layout = reserved != reserved_.end() ? reserved->second.storage.layout : preferred_layout(value);
  DType dtype = graph_.is_output(value) ? graph_.value(value).type.dtype : backend_.stored_dtype(graph_, value);
  Place place = allocate_result(value, layout, dtype);
  XI_CHECK(store_by_loops(value, place, false));
  places_[value] = place;
  return place;
}

Result<Place> Scheduler::materialize(ValueId value, Layout layout, DType dtype) {
  if (graph_.is_constant(value) && layout == Layout::kPlain) return constant_place(value, dtype);
  XI_TRY(Place place, main_place(value));
  if (place.storage.layout == layout && place.storage.dtype == dtype) return place;
  auto key = std::tuple(value, layout, dtype);
  if (auto it = copies_.find(key); it != copies_.end()) return it->second;
  auto shape = graph_.value(value).type.sizes();
  if (place.storage.dtype == dtype && shape.size() >= 3 && shape[0] == Size(1)) {
    // One pixel: channels lie next to each other in both layouts.
    const Size pixels = tensor::num_elements({shape.begin() + 2, shape.end()});
    std::int64_t needed = storage_capacity(shape, layout, dtype, blocking_);
    if (pixels == Size(1) && place.storage.capacity >= needed) {
      place.storage.layout = layout;
      return copies_[key] = place;
    }
  }
  Place copied = allocate(value, layout, dtype);
  XI_CHECK(store_by_loops(value, copied, true));
  return copies_[key] = copied;
}

// Lets the parts of a concatenation be computed in their place, where they are contiguous there and some part is stored
// by a kernel of its own anyway.
void Scheduler::reserve_parts(const Node& node) {
  ValueId result = node.outputs[0];
  // Where parts begin must be a number.
  if (std::ranges::any_of(node.inputs, [&](ValueId v) { return !graph_.value(v).type.is_static(); })) return;
  auto shape = graph_.value(result).type.shape();
  std::int64_t given = node.attributes.integer("axis", 0), rank = static_cast<std::int64_t>(shape.size());
  std::size_t axis = static_cast<std::size_t>(given < 0 ? given + rank : given);
  DType dtype = backend_.stored_dtype(graph_, result);
  for (std::size_t d = 0; d < axis; ++d)
    if (shape[d] != 1) return;
  bool aligned = true, worthwhile = false;
  std::set<ValueId> seen;
  for (std::size_t k = 0; k < node.inputs.size(); ++k) {
    ValueId v = node.inputs[k];
    if (!seen.insert(v).second || graph_.value(v).type.shape()[axis] == 0) return;
    aligned = aligned && (k + 1 == node.inputs.size() || graph_.value(v).type.shape()[axis] % blocking_.lanes == 0);
    worthwhile = worthwhile || is_reservable(v);
  }
  if (!worthwhile) return;
  bool windowed = axis == 1 && is_blockable(result) && wants_blocked(result);
  if (windowed && (!aligned || blocking_.whole)) return;
  Layout layout = windowed ? Layout::kBlocked : Layout::kPlain;
  std::int64_t inner = tensor::num_elements(std::span(shape).subspan(axis + 1)), start = 0;
  std::map<ValueId, Place> parts;
  if (!reserved_.contains(result) && graph_.is_output(result) && dtype != graph_.value(result).type.dtype) return;
  Place whole = allocate_result(result, layout, dtype);
  if (whole.storage.layout != layout) return;
  for (ValueId v : node.inputs) {
    auto dims = graph_.value(v).type.shape();
    Place part = whole;
    part.offset += static_cast<std::uint64_t>(start * inner) * tensor::stored_bytes(dtype);
    part.storage.capacity = tensor::num_elements(physical_shape({dims.begin(), dims.end()}, layout, blocking_)).number();
    part.whole = false;
    start += dims[axis];
    if (part.offset % 64 != 0) return;
    parts[v] = part;
  }
  for (auto& [v, part] : parts) {
    part_of_[{result, v}] = part;
    if (is_reservable(v)) reserved_[v] = part;
  }
  reserved_[result] = whole;
}

bool Scheduler::is_reservable(ValueId value) const {
  std::int64_t i = producers_[value];
  if (i < 0 || graph_.is_output(value) || graph_.is_constant(value) || reserved_.contains(value)) return false;
  Role role = partition_.roles[static_cast<std::size_t>(i)];
  return role == Role::kStored || role == Role::kContraction || role == Role::kAbsorbed || role == Role::kIrregular;
}

// A concatenation whose parts have places: what was not computed there is copied or computed there now.
Result<void> Scheduler::schedule_concat(const Node& node) {
  ValueId result = node.outputs[0];
  for (ValueId v : node.inputs) {
    const Place& part = part_of_.at({result, v});
    auto it = places_.find(v);
    if (it != places_.end() && it->second.buffer == part.buffer && it->second.offset == part.offset) continue;
    if (depth_[v] < open_.size()) XI_CHECK(main_place(v));
    bool stored = storage(v) != nullptr;
    XI_CHECK(store_by_loops(v, part, stored, true));
    if (!stored) places_[v] = part;
  }
  places_[result] = reserved_.at(result);
  return {};
}

Result<void> Scheduler::schedule_contraction(std::size_t i) {
  const Node& node = graph_.nodes[i];
  const auto& chain = partition_.epilogues[i];
  if (num_elements(node.outputs[0]) == 0) {  // nothing to compute, and templates divide by their sizes
    for (ValueId v : node.outputs)
      if (v != kNoValue) places_[v] = allocate_result(v, Layout::kPlain, backend_.stored_dtype(graph_, v));
    if (!chain.empty()) XI_CHECK(main_place(graph_.nodes[chain.back()].outputs[0]));
    return {};
  }
  XI_TRY(Contraction contraction, make_contraction(graph_, node, [this](const std::string& name) { return symbol_place(name); }));
  ValueId anchor = node.outputs[0];
  ValueId result = chain.empty() ? anchor : graph_.nodes[chain.back()].outputs[0];
  DType dtype = backend_.contraction_dtype(graph_.value(contraction.input).type.dtype);

  XI_TRY(Place data, main_place(contraction.input));
  bool rank4 = is_blockable(contraction.input);
  if (auto* conv = std::get_if<forge::cpu::ConvProblem>(&contraction.problem)) {
    conv->plain_input = data.storage.layout == Layout::kPlain && rank4;
    if (conv->plain_input) conv->stored_input = data.storage.dtype;
    // A few channels would fill only a small part of each block.
    bool thin = 2 * conv->out_channels < blocking_.lanes && !wants_blocked(result);
    conv->plain_output = graph_.is_output(result) || thin;
  } else if (auto* pool = std::get_if<forge::cpu::PoolProblem>(&contraction.problem)) {
    bool blocked = data.storage.layout == Layout::kBlocked && data.storage.dtype == dtype && !pool->indices;
    pool->layout = blocked ? Layout::kBlocked : Layout::kPlain;
  }
  XI_TRY(auto choice, backend_.contract(contraction, nullptr));
  std::optional<FusedEpilogue> fused;
  if (!chain.empty() && contraction.fuses) {
    std::size_t rank = graph_.value(anchor).type.dims->size();
    bool matmul = std::holds_alternative<forge::cpu::MatMulProblem>(contraction.problem);
    fused = backend_.fuse(graph_, *this, anchor, result, choice.output_layout, matmul ? rank - 1 : 1);
    if (fused) {
      XI_TRY(auto with, backend_.contract(contraction, &*fused));
      if (with.output_layout == choice.output_layout) choice = std::move(with);
      else fused.reset();
    }
  }
  if (!fused) result = anchor;

  const DType read = choice.input_dtype == DType::kUndefined ? dtype : choice.input_dtype;
  XI_TRY(data, materialize(contraction.input, choice.input_layout, read));
  std::vector<Argument> arguments = {argument(data, contraction.input)};
  for (bool is_bias : {false, true}) {
    ValueId v = is_bias ? contraction.bias : contraction.weights;
    if (v == kNoValue) continue;
    const auto& pack = is_bias ? choice.pack_bias : choice.pack_weights;
    if (contraction.packs_weights() && pack) {
      arguments.push_back(argument(packed_place(v, pack), v));
    } else {
      const bool constant_bias = is_bias && graph_.is_constant(v);
      XI_TRY(Place place, materialize(v, Layout::kPlain, constant_bias ? backend_.bias_dtype(dtype) : dtype));
      arguments.push_back(argument(place, v));
    }
  }
  std::set<const Node*> nodes = {&node};
  if (fused) nodes.insert(fused->nodes.begin(), fused->nodes.end());
  if (choice.finish) {
    const bool zero_point = is_integer_product(node.op) && contraction.bias != kNoValue;
    XI_CHECK(add_sums(std::move(choice.kernel), choice.finish->sums_bytes, arguments, zero_point, names_of(nodes), when(i)));
    choice.kernel = std::move(choice.finish->kernel);
  }
  if (fused) {
    for (const Operand& operand : fused->operands)
      arguments.push_back(
          argument(operand.value == kNoValue ? table_place(operand) : places_.at(operand.value), operand.value));
  }
  const DType whole = fused ? fused->stored : DType::kInt32;
  Place out = allocate_result(result, choice.output_layout, is_integer_product(node.op) ? whole : dtype);
  arguments.push_back(argument(out, result));
  places_[result] = out;
  const bool two = node.outputs.size() > 1 && node.outputs[1] != kNoValue;
  if (two) {
    Place indices = allocate_result(node.outputs[1], Layout::kPlain, DType::kInt64);
    arguments.push_back(argument(indices, node.outputs[1]));
    places_[node.outputs[1]] = indices;
  }
  XI_CHECK(add_launch(std::move(choice.kernel), std::move(arguments), names_of(nodes), when(i), contraction.entries, two ? 2 : 1));
  if (!fused) {  // the epilogue did not fit: its nodes are computed as loop nests, the last one stored
    if (!chain.empty()) XI_CHECK(main_place(graph_.nodes[chain.back()].outputs[0]));
    return {};
  }
  const auto vectors = (tensor::num_elements(graph_.value(result).type.sizes()).opt() + blocking_.lanes - 1) / blocking_.lanes;
  schedule_.notes.back().fused_operations = fused->operations * static_cast<double>(vectors);
  return {};
}

// The first kernel of a product that is finished by a second one: it writes sums, and `arguments` (input, weights, bias or zero
// point) become the second's.
Result<void> Scheduler::add_sums(forge::KernelSource kernel, std::uint64_t bytes, std::vector<Argument>& arguments, bool zero_point, const std::string& name,
                                 const When& when) {
  Buffer sums;
  sums.bytes = bytes;
  buffers_.push_back(sums);
  const Argument made{static_cast<int>(buffers_.size() - 1), 0, bytes};
  std::vector<Argument> first = arguments;
  if (!zero_point) first.resize(2);
  first.push_back(made);
  XI_CHECK(add_launch(std::move(kernel), std::move(first), name, when));
  arguments[0] = made;
  if (!zero_point) arguments.erase(arguments.begin() + 1);
  return {};
}

// Irregular templates take dense row-major tensors.
Result<void> Scheduler::schedule_irregular(const Node& node) {
  XI_TRY(auto kernel, backend_.irregular(node, graph_, [this](const std::string& name) { return symbol_place(name); }));
  if (!kernel) return fail(Code::kInternal, "the template of {} has gone (our bug)", node.op);
  std::vector<Argument> arguments;
  for (ValueId v : backend_.irregular_inputs(graph_, node)) {
    XI_TRY(Place place, materialize(v, Layout::kPlain, backend_.irregular_dtype(graph_, node, v)));
    arguments.push_back(argument(place, v));
  }
  if (forge::cpu::touches_strings(node, graph_)) arguments.push_back(text_memory());
  for (ValueId v : node.outputs) {
    if (v == kNoValue) continue;
    Place place = allocate_result(v, Layout::kPlain, backend_.irregular_dtype(graph_, node, v));
    arguments.push_back(argument(place, v));
    places_[v] = place;
  }
  const auto outputs = static_cast<std::size_t>(
      std::ranges::count_if(node.outputs, [](ValueId v) { return v != kNoValue; }));
  const auto index = static_cast<std::size_t>(&node - graph_.nodes.data());
  return add_launch(std::move(*kernel), std::move(arguments), node.name.empty() ? node.op : node.name, when(index), 1, outputs);
}

Argument Scheduler::text_memory() {
  Buffer buffer;
  buffer.space = Space::kText;
  buffers_.push_back(buffer);
  return {static_cast<int>(buffers_.size() - 1), 0, 0};
}

Result<void> Scheduler::schedule_node(std::size_t i) {
  const Node& node = graph_.nodes[i];
  switch (partition_.roles[i]) {
    case Role::kDead:
    case Role::kInline:
    case Role::kAbsorbed:
    case Role::kContraction: return {};
    case Role::kIrregular:
      if (node.op == ir::kLoopBegin) return begin_loop(i);
      if (node.op == ir::kLoopEnd) return end_loop(node);
      return schedule_irregular(node);
    case Role::kStored:
      if (node.op == "Concat" && part_of_.contains({node.outputs[0], node.inputs[0]})) return schedule_concat(node);
      for (ValueId v : node.outputs)
        if (v != kNoValue && (!users_[v].empty() || graph_.is_output(v))) XI_CHECK(main_place(v));
      return {};
  }
  return {};
}

Result<void> Scheduler::finish_outputs() {
  for (std::size_t k = 0; k < graph_.outputs.size(); ++k) {
    ValueId value = graph_.outputs[k];
    XI_TRY(Place place, main_place(value));
    Buffer& buffer = buffers_[static_cast<std::size_t>(place.buffer)];
    if (buffer.space == Space::kOutput && buffer.index == k && place.offset == 0) continue;
    DType dtype = graph_.value(value).type.dtype;
    bool exact =
        place.storage.layout == Layout::kPlain && place.storage.dtype == dtype && place.whole && place.offset == 0;
    std::uint64_t bytes =
        static_cast<std::uint64_t>(num_elements(value)) * tensor::stored_bytes(dtype);
    if (exact && buffer.space == Space::kArena && buffer.parent < 0 && buffer.bytes == (bytes + 63) / 64 * 64) {
      // A reshape of a stored value: the caller's memory takes the place of ours, if no kernel counts on padding there.
      bool padded = false;
      for (auto& arguments : uses_)
        for (auto& used : arguments)
          if (used.buffer == place.buffer) padded = padded || (used.bytes > bytes && buffer.bytes > bytes);
      if (!padded) {
        buffer.space = Space::kOutput, buffer.index = static_cast<std::uint32_t>(k);
        continue;
      }
    }
    Place out;
    out.storage = {Layout::kPlain, dtype, num_elements(value)};
    Buffer output;
    output.space = Space::kOutput, output.index = static_cast<std::uint32_t>(k), output.bytes = bytes;
    buffers_.push_back(output);
    out.buffer = static_cast<int>(buffers_.size() - 1);
    XI_CHECK(store_by_loops(value, out, true));
  }
  return {};
}

Schedule Scheduler::finish() {
  auto info = [&](ValueId v) {
    const auto& value = graph_.value(v);
    engine::TensorInfo made{value.name, value.type.dtype, value.type.shape(), {}};
    for (const ir::Dim& dim : *value.type.dims) made.symbols.push_back(dim.is_static() ? "" : dim.formula.text());
    return made;
  };
  auto& plan = schedule_.plan;
  for (ValueId v : graph_.inputs) plan.inputs.push_back(info(v));
  for (ValueId v : graph_.outputs) plan.outputs.push_back(info(v));
  auto condition = [&](ValueId v) {
    const Place& place = places_.at(v);
    return Argument{place.buffer, place.offset, 1, v};
  };
  auto uses = uses_;
  for (std::size_t i = 0; i < uses.size(); ++i)
    for (const Literal& literal : guards_[i]) uses[i].push_back(condition(literal.condition));
  std::ranges::sort(loops_, [](const LoopRange& a, const LoopRange& b) { return std::pair(a.begin, a.depth) < std::pair(b.begin, b.depth); });
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  for (const LoopRange& loop : loops_) {
    ranges.emplace_back(loop.begin, loop.end);
    for (const Argument* word : {&loop.condition, &loop.limit, &loop.iteration})
      for (std::size_t launch : {loop.begin, loop.end - 1})
        if (word->bytes > 0) uses[launch].push_back(*word);
  }
  plan.arena_bytes = plan_arena(buffers_, uses, ranges);
  plan.regions = make_regions(guards_, loops_, buffers_, condition);
  for (std::size_t i = 0; i < uses_.size(); ++i) {
    for (const Argument& used : uses_[i]) plan.launches[i].arguments.push_back(resolve(buffers_, used));
    plan.scratch_bytes = std::max(plan.scratch_bytes, plan.launches[i].scratch_bytes);
  }
  for (const auto& kernel : schedule_.kernels) plan.kernels.push_back({kernel.symbol, 0});
  return std::move(schedule_);
}

Result<Schedule> Scheduler::run() {
  std::string unknown;
  for (const auto& value : graph_.values)
    if (!is_bounded(value.type) && value.constant == nullptr && unknown.empty()) unknown = value.name;
  if (!unknown.empty())
    return fail(Code::kUnsupported,
                "the shape of '{}' is not known at build time: give the sizes of all symbolic input dimensions; "
                "shapes that depend on data are not supported yet",
                unknown);
  demand_ = backend_.leaves_out() ? find_demand(graph_) : no_demand(graph_);
  partition_ = make_partition(graph_, demand_);
  collect_symbols();
  find_depths();
  XI_CHECK(check());
  for (std::size_t k = 0; k < graph_.inputs.size(); ++k) {
    ValueId value = graph_.inputs[k];
    DType dtype = graph_.value(value).type.dtype;
    Buffer buffer;
    buffer.space = Space::kInput, buffer.index = static_cast<std::uint32_t>(k);
    buffer.bytes = static_cast<std::uint64_t>(num_elements(value)) * tensor::stored_bytes(dtype);
    buffers_.push_back(buffer);
    Place place;
    place.buffer = static_cast<int>(buffers_.size() - 1);
    place.storage = {Layout::kPlain, dtype, num_elements(value)};
    places_[value] = place;
  }
  for (std::size_t i = graph_.nodes.size(); i-- > 0;)  // outer concatenations first
    if (graph_.nodes[i].op == "Concat" && partition_.roles[i] == Role::kStored) reserve_parts(graph_.nodes[i]);
  // A contraction is computed where its epilogue's last node stands: all it reads is there by then.
  std::map<std::size_t, std::size_t> contraction_at;
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i)
    if (partition_.roles[i] == Role::kContraction)
      contraction_at[partition_.epilogues[i].empty() ? i : partition_.epilogues[i].back()] = i;
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    auto it = contraction_at.find(i);
    auto done = it != contraction_at.end() ? schedule_contraction(it->second) : schedule_node(i);
    const Node& node = graph_.nodes[i];
    if (!done && done.error().where.empty())
      return std::unexpected(std::move(done).error().in(node.name.empty() ? node.op : node.name));
    XI_CHECK(done);
  }
  XI_CHECK(finish_outputs());
  return finish();
}

}  // namespace xinfer::schedule
