#include "schedule/epilogue.h"

#include <fmt/format.h>

#include <cmath>
#include <unordered_map>

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

class VectorPrinter {
 public:
  VectorPrinter(const NestBuilder& builder, ir::ValueId anchor, E offset, E channel)
      : builder_(builder), anchor_(anchor), offset_(offset), channel_(channel) {}

  std::string emit(E e);
  bool good() const { return good_; }
  std::string take_text() { return std::move(text_); }
  const std::vector<std::int64_t>& slots() const { return slots_; }

 private:
  std::string load(E e);
  std::string call(E e);
  std::string reject() {
    good_ = false;
    return "x";
  }

  const NestBuilder& builder_;
  ir::ValueId anchor_;
  E offset_, channel_;
  bool good_ = true;
  std::string text_;
  std::vector<std::int64_t> slots_;  // the builder's operand number of each operand of the epilogue
  std::unordered_map<E, std::string> names_;
};

std::string VectorPrinter::load(E e) {
  const Operand& operand = builder_.operands()[static_cast<std::size_t>(e->integer)];
  E at = e->args[0];
  if (operand.value == anchor_) return at == offset_ ? "x" : reject();
  if (operand.storage.dtype != DType::kFloat32) return reject();
  auto it = std::find(slots_.begin(), slots_.end(), e->integer);
  std::size_t number = static_cast<std::size_t>(it - slots_.begin());
  if (it == slots_.end()) slots_.push_back(e->integer);
  if (at == offset_) return fmt::format("access.load((const float*)operands[{}] + offset)", number);
  if (at == channel_) return fmt::format("access.load_channel((const float*)operands[{}] + channel)", number);
  if (at->op == Op::kInt) return fmt::format("vf(((const float*)operands[{}])[{}])", number, at->integer);
  return reject();
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
    case Fn::kDiv: return infix("/");
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

std::string VectorPrinter::emit(E e) {
  if (e->op == Op::kReal && e->dtype == DType::kFloat32) return literal(e->real);
  if (auto it = names_.find(e); it != names_.end()) return it->second;
  std::string text, type = e->dtype == DType::kBool ? "vi" : "vf";
  if (e->op == Op::kLoad) text = load(e);
  else if (e->op == Op::kCall) text = call(e);
  else if (e->op == Op::kSelect && e->dtype == DType::kFloat32 && e->args[0]->dtype == DType::kBool)
    text = fmt::format("select<vf>({}, {}, {})", emit(e->args[0]), emit(e->args[1]), emit(e->args[2]));
  else text = reject();
  std::string made = fmt::format("t{}", names_.size());
  text_ += fmt::format("  const {} {} = {};\n", type, made, text);
  names_.emplace(e, made);
  return made;
}

}  // namespace

std::optional<FusedEpilogue> make_epilogue(const ir::Graph& graph, const Surroundings& surroundings,
                                           const target::CpuIsa& isa, ir::ValueId anchor, ir::ValueId result,
                                           Layout layout, std::size_t channel_axis) {
  auto shape = graph.value(result).type.shape();
  if (graph.value(result).type.dtype != DType::kFloat32) return std::nullopt;
  AnchorSurroundings around(
      surroundings, anchor,
      {layout, DType::kFloat32, storage_capacity(shape, layout, DType::kFloat32, isa.vector_lanes)});
  NestBuilder builder(graph, around, isa);
  ExprPool& pool = builder.pool();
  auto dims = physical_shape(shape, layout, isa.vector_lanes);
  std::vector<E> place;
  for (auto extent : dims) place.push_back(pool.var(std::max<std::int64_t>(extent, 1)));
  E offset = pool.flatten(place, dims);
  std::vector<E> index = place;
  if (layout == Layout::kBlocked) {
    index.pop_back();
    index[1] = pool.add(pool.scale(place[1], isa.vector_lanes), place.back());
  }
  E value = builder.element(result, index);
  if (!builder.outcome()) return std::nullopt;
  VectorPrinter printer(builder, anchor, offset, index[channel_axis]);
  std::string last = printer.emit(value);
  if (!printer.good()) return std::nullopt;
  FusedEpilogue made;
  made.epilogue.num_operands = static_cast<int>(printer.slots().size());
  made.epilogue.source = fmt::format(
      "template <class Access> static inline vf epilogue(vf x, void* const* operands, int64_t offset, int64_t channel, "
      "Access "
      "access) {{\n{}  return {};\n}}\n",
      printer.take_text(), last);
  for (auto slot : printer.slots()) made.operands.push_back(builder.operands()[static_cast<std::size_t>(slot)]);
  made.nodes = builder.nodes();
  return made;
}

}  // namespace xinfer::schedule
