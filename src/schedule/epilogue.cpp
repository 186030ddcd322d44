#include "schedule/epilogue.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "schedule/expression_text.h"

namespace xinfer::schedule {

namespace {

// The contraction's output counts as stored; everything between it and the result is computed.
class AnchorSurroundings : public Surroundings {
 public:
  AnchorSurroundings(const Surroundings& outer, ir::ValueId anchor, Storage storage)
      : outer_(outer), anchor_(anchor), storage_(storage) {}
  const Storage* storage(ir::ValueId value) const override {
    return value == anchor_ ? &storage_ : outer_.storage(value);
  }
  const ir::Node* producer(ir::ValueId value, std::size_t* output) const override {
    return outer_.producer(value, output);
  }
  std::size_t symbol_place(const std::string& name) const override { return outer_.symbol_place(name); }

 private:
  const Surroundings& outer_;
  ir::ValueId anchor_;
  Storage storage_;
};

std::string literal(double value) {
  if (std::isnan(value)) return "vf(kNaN)";
  if (std::isinf(value)) return value < 0 ? "vf(-kInfinity)" : "vf(kInfinity)";
  return fmt::format("vf({:a}f)", value);
}

// The other argument of a minimum or maximum with a constant that is no less than `low` and no more than `high`; or null.
E beside_bound(E e, Fn function, double low, double high) {
  if (e->op != Op::kCall || e->function != function) return nullptr;
  for (std::size_t i : {0u, 1u})
    if (e->args[i]->op == Op::kReal && e->args[i]->real >= low && e->args[i]->real <= high) return e->args[1 - i];
  return nullptr;
}

// What is stored in 8 bits as the whole number, still a float, that QuantizeLinear has cut to their range; or null.
E before_narrowing(E e) {
  if (e->op != Op::kCast || !forge::is_narrow(e->dtype)) return nullptr;
  E wide = e->args[0];
  if (wide->op != Op::kCast || wide->dtype != DType::kInt32 || wide->args[0]->dtype != DType::kFloat32) return nullptr;
  const double low = e->dtype == DType::kInt8 ? -128 : 0;
  E above = beside_bound(wide->args[0], Fn::kMin, low, low + 255);
  return above && beside_bound(above, Fn::kMax, low, low + 255) ? wide->args[0] : nullptr;
}

// Prints for vectors (CPUs) or for one element (GPUs, whose prelude calls a float a vector of one lane).
class VectorPrinter {
 public:
  /// `rounded`: the result is stored in 16 bits.
  VectorPrinter(const NestBuilder& builder, ir::ValueId anchor, E offset, E channel, bool scalar, bool rounded)
      : builder_(builder), anchor_(anchor), offset_(offset), channel_(channel), scalar_(scalar), rounded_(rounded) {}

  std::string emit(E e);
  bool good() const { return good_; }
  std::string take_text() { return std::move(text_); }
  /// Per operand of the epilogue: the builder's operand number, and how it is read.
  struct Slot {
    std::int64_t operand;
    EpilogueRead read;
    bool operator==(const Slot&) const = default;
  };
  const std::vector<Slot>& slots() const { return slots_; }

 private:
  std::string load(E e);
  std::string call(E e);
  // A product's int32, which the template hands over as a float.
  bool is_sum(E e) const {
    return e->op == Op::kLoad && e->dtype == DType::kInt32 && builder_.operands()[static_cast<std::size_t>(e->integer)].value == anchor_ && e->args[0] == offset_;
  }
  std::string whole(E e);
  std::string reject() {
    good_ = false;
    return "x";
  }

  const NestBuilder& builder_;
  ir::ValueId anchor_;
  E offset_, channel_;
  bool scalar_, rounded_, good_ = true;
  std::string text_;
  std::vector<Slot> slots_;
  std::unordered_map<E, std::string> names_;
};

std::string VectorPrinter::load(E e) {
  const Operand& operand = builder_.operands()[static_cast<std::size_t>(e->integer)];
  E at = e->args[0];
  if (operand.value == anchor_) return at == offset_ && e->dtype == DType::kFloat32 ? "x" : reject();
  if (compute_type(operand.storage.dtype) != DType::kFloat32 || tensor::size_of(operand.storage.dtype) < (scalar_ ? 2u : 4u))
    return reject();
  const bool element = at == offset_, channel = at == channel_, fixed = at->op == Op::kInt;
  if (!element && !channel && !(fixed && (!scalar_ || at->integer == 0))) return reject();
  const Slot slot{e->integer, element   ? EpilogueRead::kElement
                              : channel ? EpilogueRead::kChannel
                                        : EpilogueRead::kScalar};
  // A CPU epilogue reads one pointer in several ways; on GPUs each way is an operand of its own.
  auto same = [&](const Slot& other) { return scalar_ ? other == slot : other.operand == slot.operand; };
  auto it = std::ranges::find_if(slots_, same);
  std::size_t number = static_cast<std::size_t>(it - slots_.begin());
  if (it == slots_.end()) slots_.push_back(slot);
  if (scalar_) return fmt::format("operands[{}]", number);
  if (element) return fmt::format("access.load((const float*)operands[{}] + offset)", number);
  if (channel) return fmt::format("access.load_channel((const float*)operands[{}] + channel)", number);
  return fmt::format("vf(((const float*)operands[{}])[{}])", number, at->integer);
}

std::string VectorPrinter::call(E e) {
  std::vector<std::string> a;
  bool real = true;
  for (E arg : e->args) a.push_back(emit(arg)), real = real && arg->dtype == DType::kFloat32;
  auto infix = [&](std::string_view symbol) { return fmt::format("{} {} {}", a[0], symbol, a[1]); };
  switch (e->function) {
    case Fn::kAnd: return infix("&");
    case Fn::kOr: return infix("|");
    case Fn::kNot: return fmt::format("({} == 0)", a[0]);
    default: break;
  }
  if (!real) return reject();
  bool left = e->args[0]->op == Op::kReal, right = e->args.size() > 1 && e->args[1]->op == Op::kReal;
  switch (e->function) {
    case Fn::kAdd: return infix("+");
    case Fn::kSub: return infix("-");
    case Fn::kMul: return infix("*");
    // A division takes as long as the rest of a GELU, and its last bit is lost in 16 bits.
    case Fn::kDiv:
      if (rounded_ && right && std::isnormal(e->args[1]->real)) return fmt::format("{} * {}", a[0], literal(1 / e->args[1]->real));
      return infix("/");
    case Fn::kNeg: return "-" + a[0];
    case Fn::kEq: return infix("==");
    case Fn::kLt: return infix("<");
    case Fn::kLe: return infix("<=");
    // With a constant one instruction does it: a NaN in the second operand gets through.
    case Fn::kMin:
      return left    ? fmt::format("min<vf>({}, {})", a[0], a[1])
             : right ? fmt::format("min<vf>({}, {})", a[1], a[0])
                     : fmt::format("minimum<vf>({}, {})", a[0], a[1]);
    case Fn::kMax:
      return left    ? fmt::format("max<vf>({}, {})", a[0], a[1])
             : right ? fmt::format("max<vf>({}, {})", a[1], a[0])
                     : fmt::format("maximum<vf>({}, {})", a[0], a[1]);
    case Fn::kRound: return fmt::format("round_even<vf>({})", a[0]);
    case Fn::kPow: return fmt::format("pow<vf>({}, {})", a[0], a[1]);
    case Fn::kAbs:
    case Fn::kSign:
    case Fn::kFloor:
    case Fn::kCeil:
    case Fn::kTrunc:
    case Fn::kSqrt:
    case Fn::kExp:
    case Fn::kLog:
    case Fn::kSin:
    case Fn::kCos:
    case Fn::kTanh:
    case Fn::kErf:
    case Fn::kSigmoid:
    case Fn::kLog1p:
    case Fn::kExpm1: return fmt::format("{}<vf>({})", name(e->function), a[0]);
    default: return reject();
  }
}

// A whole number that was cast to float32, as float32: the product's sum, or what 8 bits hold, plus or minus what is as small.
std::string VectorPrinter::whole(E e) {
  const auto small = [](auto& self, E part) -> bool {
    if (part->op == Op::kInt) return std::abs(part->integer) <= 1 << 16;
    if (part->op == Op::kCast) return before_narrowing(part) || (!tensor::is_float(part->dtype) && self(self, part->args[0]));
    return part->op == Op::kCall && (part->function == Fn::kAdd || part->function == Fn::kSub) && self(self, part->args[0]) && self(self, part->args[1]);
  };
  const auto text_of = [&](auto& self, E part) -> std::string {
    if (part->op == Op::kInt) return literal(static_cast<double>(part->integer));
    if (part->op == Op::kCast) return before_narrowing(part) ? emit(before_narrowing(part)) : self(self, part->args[0]);
    return fmt::format("({} {} {})", self(self, part->args[0]), part->function == Fn::kAdd ? "+" : "-", self(self, part->args[1]));
  };
  if (scalar_ && is_sum(e)) return "x";
  return scalar_ && small(small, e) ? text_of(text_of, e) : reject();
}

std::string VectorPrinter::emit(E e) {
  if (e->op == Op::kReal && e->dtype == DType::kFloat32) return literal(e->real);
  if (auto it = names_.find(e); it != names_.end()) return it->second;
  std::string text, type = e->dtype == DType::kBool ? "vi" : "vf";
  if (e->op == Op::kLoad) text = load(e);
  else if (e->op == Op::kCall) text = call(e);
  else if (e->op == Op::kCast && e->dtype == DType::kFloat32) text = whole(e->args[0]);
  else if (e->op == Op::kSelect && e->dtype == DType::kFloat32 && e->args[0]->dtype == DType::kBool)
    text = fmt::format("select<vf>({}, {}, {})", emit(e->args[0]), emit(e->args[1]), emit(e->args[2]));
  else text = reject();
  std::string made = fmt::format("t{}", names_.size());
  text_ += fmt::format("  const {} {} = {};\n", type, made, text);
  names_.emplace(e, made);
  return made;
}

// `stored`: how the result lies; a narrow one only behind a sum of integers.
std::optional<FusedEpilogue> make_epilogue(const ir::Graph& graph, const Surroundings& surroundings, Blocking blocking,
                                           const Storage& stored, bool scalar, ir::ValueId anchor, ir::ValueId result,
                                           std::size_t channel_axis) {
  auto shape = graph.value(result).type.sizes();
  const DType sums = graph.value(anchor).type.dtype;
  const bool narrow = scalar && sums == DType::kInt32 && forge::is_narrow(graph.value(result).type.dtype);
  if (graph.value(result).type.dtype != DType::kFloat32 && !narrow) return std::nullopt;
  AnchorSurroundings around(surroundings, anchor, {stored.layout, sums == DType::kInt32 ? sums : stored.dtype, stored.capacity});
  NestBuilder builder(graph, around, blocking);
  ExprPool& pool = builder.pool();
  auto dims = physical_shape(shape, stored.layout, blocking);
  std::vector<E> place;
  for (const Size& extent : dims) place.push_back(pool.var(extent == Size(0) ? Size(1) : extent));
  E offset = pool.flatten(place, dims);
  std::vector<E> index = place;
  if (stored.layout == Layout::kBlocked) {
    index.pop_back();
    index[1] = pool.add(pool.scale(place[1], dims.back()), place.back());
  }
  E value = builder.element(result, index);
  if (narrow) value = before_narrowing(value);
  if (!builder.outcome() || value == nullptr) return std::nullopt;
  const bool rounded = stored.dtype == DType::kFloat16 || stored.dtype == DType::kBfloat16;
  VectorPrinter printer(builder, anchor, offset, index[channel_axis], scalar, rounded);
  std::string last = printer.emit(value);
  if (!printer.good()) return std::nullopt;
  FusedEpilogue made;
  made.stored = stored.dtype;
  for (const auto& slot : printer.slots()) {
    made.operands.push_back(builder.operands()[static_cast<std::size_t>(slot.operand)]);
    made.reads.push_back(slot.read);
  }
  const std::string head =
      scalar ? fmt::format("XI_INLINE float epilogue(float x, const float (&operands)[{}])",
                           std::max<std::size_t>(1, made.reads.size()))
             : "template <class Access> static inline vf epilogue(vf x, void* const* operands, int64_t offset, int64_t "
               "channel, Access access)";
  made.source = fmt::format("{} {{\n{}  return {};\n}}\n", head, printer.take_text(), last);
  made.nodes = builder.nodes();
  std::unordered_set<E> seen;
  auto count = [&](auto& self, E e) -> void {
    if (!seen.insert(e).second) return;
    made.operations += cost_of(e);
    for (E arg : e->args) self(self, arg);
  };
  count(count, value);
  return made;
}

}  // namespace

std::optional<FusedEpilogue> make_vector_epilogue(const ir::Graph& graph, const Surroundings& surroundings,
                                                  const target::CpuIsa& isa, ir::ValueId anchor, ir::ValueId result,
                                                  Layout layout, std::size_t channel_axis) {
  const auto capacity = storage_capacity(graph.value(result).type.sizes(), layout, DType::kFloat32, isa);
  return make_epilogue(graph, surroundings, isa, {layout, DType::kFloat32, capacity}, false, anchor, result, channel_axis);
}

std::optional<FusedEpilogue> make_scalar_epilogue(const ir::Graph& graph, const Surroundings& surroundings,
                                                  Blocking blocking, DType stored, ir::ValueId anchor, ir::ValueId result,
                                                  Layout layout, std::size_t channel_axis) {
  const auto capacity = storage_capacity(graph.value(result).type.sizes(), layout, stored, blocking);
  return make_epilogue(graph, surroundings, blocking, {layout, stored, capacity}, true, anchor, result, channel_axis);
}

}  // namespace xinfer::schedule
