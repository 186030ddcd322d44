// Loop nests as freestanding C++ for Clang. The innermost loop runs over contiguous elements where possible and is left
// to Clang's vectoriser, which inlines the prelude's branch-free mathematics.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>
#include <unordered_set>

#include "forge/cpu/prelude.h"
#include "schedule/expression_text.h"
#include "schedule/loop_nest.h"
#include "schedule/loops_text.h"
#include "tensor/text.h"

namespace xinfer::schedule {

namespace {

constexpr double kCostPerTask = 60'000;  // plain operations, about 10 us: below that a task is not worth its start
constexpr std::int64_t kTile = 64;       // elements of the innermost loop for which reductions run side by side

// A block of code: a loop's body, or a branch. Statements that do not depend on the loop go to an outer block.
struct Block {
  Block* parent = nullptr;
  E var = nullptr;      // the loop's index
  bool branch = false;  // only entered under a condition
  std::string text;
  std::unordered_map<E, std::string> names;
};

class Printer {
 public:
  Printer(NestBuilder& builder, const Storage& output, const target::CpuIsa& isa, int max_threads)
      : builder_(builder), output_(output), isa_(isa), max_threads_(max_threads) {}

  PrintedKernel print(const std::vector<Nest>& nests);

 private:
  std::string emit(E e, Block& block);
  std::string emit_index(E e, Block& block);
  std::string emit_select(E e, Block& block);
  std::string emit_reduce(E e, Block& block);
  std::string emit_arg_reduce(E e, Block& block);
  std::string emit_row(E e, Block& block);
  std::string load_text(E e, Block& block);
  Block& home(E e, Block& block);
  std::string define(E e, Block& block, DType dtype, const std::string& text);
  std::string name_of(E var);
  std::string text_of(const Size& size);
  std::string end_of(E var) { return var->size.is_number() ? std::to_string(var->max + 1) : text_of(var->size); }
  std::string fresh(char kind) { return fmt::format("{}{}", kind, next_++); }
  bool is_safe(E e);
  void print_nest(const Nest& nest, std::string& out, std::int64_t tasks);
  void print_inner(const Nest& nest, Block& block, E var, std::string_view from, std::string_view to);
  void print_tiled(const Nest& nest, Block& block, E var, std::string_view from, std::string_view to);
  void print_store(const Nest& nest, Block& block);
  E transposed_with(const Nest& nest);
  void print_transposed(const Nest& nest, Block& block, E across, std::string_view from, std::string_view to);
  bool reduces_across(const Nest& nest);
  std::string loop_pragma(E value, E var, std::int64_t trips);
  std::uint64_t reserve(std::uint64_t bytes) {
    std::uint64_t at = scratch_bytes_;
    scratch_bytes_ += (bytes + 63) / 64 * 64;
    return at;
  }
  std::string reason(std::int64_t tasks) const;  // for reports
  double nest_cost(const Nest& nest, bool at_most = true, std::vector<double>* reads = nullptr);
  std::string_view pace(const Nest& nest);
  std::vector<std::size_t> in_place(const std::vector<Nest>& nests);

  NestBuilder& builder_;
  const Storage& output_;
  const target::CpuIsa& isa_;
  int max_threads_;
  int next_ = 0;
  std::unordered_map<E, std::string> var_names_;
  std::map<std::string, std::size_t> symbols_;  // that the kernel reads: their place in the plan
  std::unordered_map<E, bool> safe_;
  std::uint64_t scratch_bytes_ = 0;
  double cost_ = 0;
  // While a tile is printed: its loop, and where the tile's reductions and rows are (indexed by position in the tile).
  E tile_var_ = nullptr;
  std::string tile_begin_;
  std::unordered_map<E, std::string> tile_arrays_;
};

std::string Printer::name_of(E var) {
  auto [it, fresh_name] = var_names_.try_emplace(var);
  if (fresh_name) it->second = fmt::format("i{}", var_names_.size() - 1);
  return it->second;
}

std::string Printer::text_of(const Size& size) {
  if (size.is_number()) return std::to_string(size.number());
  return size.c_text([&](const std::string& name) {
    const std::size_t place = builder_.symbol_place(name);
    symbols_[name] = place;
    return fmt::format("size{}", place);
  });
}

// Whether the expression may be computed where its value is not wanted: no load out of bounds, nothing long.
bool Printer::is_safe(E e) {
  if (auto it = safe_.find(e); it != safe_.end()) return it->second;
  bool safe = e->op != Op::kReduce && e->op != Op::kArgReduce && e->op != Op::kRow &&
              (e->op != Op::kLoad || builder_.is_safe(e));
  for (E arg : e->args) safe = safe && is_safe(arg);
  safe_.emplace(e, safe);
  return safe;
}

// The outermost block in which the expression can be computed.
Block& Printer::home(E e, Block& block) {
  Block* at = &block;
  while (at->parent) {
    if (at->var && e->depends_on(at->var)) break;
    if (at->branch && !is_safe(e)) break;
    at = at->parent;
  }
  return *at;
}

std::string Printer::define(E e, Block& block, DType dtype, const std::string& text) {
  std::string made = fresh('t');
  block.text += fmt::format("const {} {} = {};\n", c_type(dtype), made, text);
  block.names.emplace(e, made);
  return made;
}

std::string Printer::emit_index(E e, Block& block) {
  std::string out;
  for (std::size_t i = 0; i < e->args.size(); ++i) {
    std::string term = emit(e->args[i], block);
    const Size& c = e->coefficients[i];
    if (c == Size(1)) out += (i ? " + " : "") + term;
    else out += fmt::format("{}{} * {}", i ? " + " : "", c.is_number() ? fmt::format("{}ll", c.number()) : text_of(c), term);
  }
  if (e->size != Size(0)) out += e->size.is_number() ? fmt::format(" + {}ll", e->size.number()) : " + " + text_of(e->size);
  return "(" + out + ")";
}

std::string Printer::load_text(E e, Block& block) {
  const Storage& storage = builder_.operands()[static_cast<std::size_t>(e->integer)].storage;
  std::string element = fmt::format("b{}[{}]", e->integer, emit(e->args[0], block));
  if (auto small = small_float(storage.dtype); !small.from.empty())
    return fmt::format(fmt::runtime(small.from), element);
  return storage.dtype == DType::kBool ? "(bool)" + element : element;
}

std::string Printer::emit_select(E e, Block& block) {
  if (is_safe(e->args[1]) && is_safe(e->args[2])) {
    std::string condition = emit(e->args[0], block), a = emit(e->args[1], block), b = emit(e->args[2], block);
    return define(e, block, e->dtype, fmt::format("{} ? {} : {}", condition, a, b));
  }
  std::string condition = emit(e->args[0], block), made = fresh('t');
  Block yes{.parent = &block, .branch = true}, no{.parent = &block, .branch = true};
  std::string a = emit(e->args[1], yes), b = emit(e->args[2], no);
  block.text += fmt::format("{} {};\nif ({}) {{\n{}{} = {};\n}} else {{\n{}{} = {};\n}}\n", c_type(e->dtype), made,
                            condition, yes.text, made, a, no.text, made, b);
  block.names.emplace(e, made);
  return made;
}

// A reduction whose innermost loop runs over several accumulators, which Clang keeps in vectors.
std::string Printer::emit_reduce(E e, Block& block) {
  std::string_view type = c_type(e->dtype);
  std::string result = fresh('r'), zero = neutral(e->function, e->dtype);
  E inner = e->vars.back();
  for (E var : e->vars)  // the loop along which elements lie next to each other goes inside
    if (e->args[0]->op == Op::kLoad && stride_of(e->args[0]->args[0], var) == 1) inner = var;
  std::vector<E> outer = e->vars;
  std::erase(outer, inner);
  const bool fixed = inner->size.is_number();
  std::int64_t extent = fixed ? inner->max - inner->min + 1 : inner->size.opt(), lanes = isa_.vector_lanes;
  std::int64_t width = extent >= 8 * lanes ? 4 * lanes : extent >= 2 * lanes ? lanes : 1;

  std::vector<Block> blocks(outer.size() + 1);
  Block wrapper{.parent = &block};
  Block* parent = &wrapper;
  for (std::size_t i = 0; i < outer.size(); ++i) {
    blocks[i].parent = parent, blocks[i].var = outer[i];
    parent = &blocks[i];
  }
  std::string k = name_of(inner), loops;
  auto body = [&](std::string_view target) {
    Block at{.parent = parent, .var = inner};
    std::string x = emit(e->args[0], at);
    return at.text + fmt::format("{} = {};\n", target, combine(e->function, e->dtype, std::string(target), x));
  };
  std::string accumulators = fresh('a');
  std::int64_t whole = width > 1 ? extent / width * width : 0;
  const std::string whole_end =
      fixed ? std::to_string(inner->min + whole) : width > 1 ? fmt::format("({0} / {1} * {1})", end_of(inner), width) : "0";
  if (width > 1) {
    loops += fmt::format(
        "for (int64_t o = {0}; o < {1}; o += {2}) {{\n{5}for (int64_t l = 0; l < {2}; ++l) {{\nconst int64_t {3} = o + "
        "l;\n{4}}}\n}}\n",
        inner->min, whole_end, width, k, body(accumulators + "[l]"), loop_pragma(e->args[0], inner, width));
  }
  if (whole < extent || !fixed)
    loops += fmt::format("for (int64_t {0} = {1}; {0} < {2}; ++{0}) {{\n{3}}}\n", k, whole_end, end_of(inner),
                         body(result));
  for (std::size_t i = outer.size(); i-- > 0;) {
    std::string v = name_of(outer[i]);
    loops = fmt::format("for (int64_t {0} = {1}; {0} < {2}; ++{0}) {{\n{3}{4}}}\n", v, outer[i]->min, end_of(outer[i]),
                        blocks[i].text, loops);
  }
  std::string text = fmt::format("{} {} = {};\n{{\n{}", type, result, zero, wrapper.text);
  if (width > 1)
    text += fmt::format("{} {}[{}];\nfor (int64_t l = 0; l < {}; ++l) {}[l] = {};\n", type, accumulators, width, width,
                        accumulators, zero);
  text += loops;
  if (width > 1) {  // halves onto halves: vector operations, not a chain as long as there are accumulators
    for (std::int64_t half = width / 2; half > 0; half /= 2)
      text += fmt::format("for (int64_t l = 0; l < {0}; ++l) {1}[l] = {2};\n", half, accumulators,
                          combine(e->function, e->dtype, accumulators + "[l]", fmt::format("{}[l + {}]", accumulators, half)));
    text += fmt::format("{} = {};\n", result, combine(e->function, e->dtype, result, accumulators + "[0]"));
  }
  block.text += text + "}\n";
  block.names.emplace(e, result);
  return result;
}

std::string Printer::emit_arg_reduce(E e, Block& block) {
  std::string best = fresh('r'), value = fresh('r'), k = name_of(e->vars[0]);
  Block at{.parent = &block, .var = e->vars[0]};
  std::string x = emit(e->args[0], at);
  bool real = is_real(e->args[0]->dtype);
  std::string better = fmt::format("{} {}{} {}", x, e->function == Fn::kMax ? ">" : "<", e->integer ? "=" : "", value);
  if (real) better = fmt::format("({0}) | (({1} != {1}) & ({2} == {2}))", better, x, value);  // the first NaN wins
  block.text += fmt::format(
      "int64_t {0} = {1};\n{2} {3} = 0;\nfor (int64_t {4} = {1}; {4} < {5}; ++{4}) {{\n{6}if ({4} == {1} || ({7})) {0} "
      "= {4}, {3} = {8};\n}}\n",
      best, e->vars[0]->min, c_type(e->args[0]->dtype), value, k, end_of(e->vars[0]), at.text, better, x);
  block.names.emplace(e, best);
  return best;
}

std::string Printer::emit_row(E e, Block& block) {
  E var = e->vars[0];
  std::string made = fresh('m'), k = name_of(var);
  std::uint64_t bytes = static_cast<std::uint64_t>(var->max + 1) * tensor::stored_bytes(e->dtype);
  Block at{.parent = &block, .var = var};
  std::string x = emit(e->args[0], at);
  block.text += fmt::format(
      "{0}* __restrict {1} = ({0}*)((char*)scratch + {2});\n{7}for (int64_t {3} = 0; {3} < {4}; ++{3}) {{\n{5}{1}[{3}] "
      "= "
      "{6};\n}}\n",
      c_type(e->dtype), made, reserve(bytes), k, end_of(var), at.text, x, loop_pragma(e->args[0], var, var->max + 1));
  block.names.emplace(e, made);
  return made;
}

std::string Printer::emit(E e, Block& block) {
  switch (e->op) {
    case Op::kInt: return int_literal(e->integer, e->dtype);
    case Op::kReal: return real_literal(e->real, e->dtype);
    case Op::kVar: return name_of(e);
    case Op::kSize: return text_of(e->size);
    default: break;
  }
  if (auto it = tile_arrays_.find(e); it != tile_arrays_.end())
    return fmt::format("{}[{} - {}]", it->second, name_of(tile_var_), tile_begin_);
  for (Block* at = &block; at; at = at->parent)
    if (auto it = at->names.find(e); it != at->names.end()) return it->second;
  if (e->op == Op::kLinear && !e->has_load) return emit_index(e, block);
  Block& own = home(e, block);
  switch (e->op) {
    case Op::kLinear: return define(e, own, DType::kInt64, emit_index(e, own));
    // Indices are never negative where a division is left, so C's rules and floor agree; else correct the quotient.
    case Op::kDiv:
      if (e->args[0]->min >= 0)
        return define(e, own, DType::kInt64, fmt::format("{} / {}", emit(e->args[0], own), text_of(e->size)));
      if (!e->size.is_number())
        return define(e, own, DType::kInt64, fmt::format("x_quotient({}, {})", emit(e->args[0], own), text_of(e->size)));
      return define(e, own, DType::kInt64,
                    fmt::format("({0} - ({0} % {1}ll + {1}ll) % {1}ll) / {1}ll", emit(e->args[0], own), e->size.number()));
    case Op::kMod:
      if (e->args[0]->min >= 0)
        return define(e, own, DType::kInt64, fmt::format("{} % {}", emit(e->args[0], own), text_of(e->size)));
      return define(e, own, DType::kInt64,
                    fmt::format("({0} % {1} + {1}) % {1}", emit(e->args[0], own),
                                e->size.is_number() ? fmt::format("{}ll", e->size.number()) : text_of(e->size)));
    case Op::kLoad: return define(e, own, e->dtype, load_text(e, own));
    case Op::kSelect: return emit_select(e, own);
    case Op::kCast: {
      std::string x = emit(e->args[0], own);
      if (e->integer) return define(e, own, e->dtype, fmt::format("__builtin_bit_cast({}, {})", c_type(e->dtype), x));
      bool to_bool = e->dtype == DType::kBool;
      return define(e, own, e->dtype, to_bool ? fmt::format("{} != 0", x) : fmt::format("({}){}", c_type(e->dtype), x));
    }
    case Op::kReduce: return emit_reduce(e, own);
    case Op::kArgReduce: return emit_arg_reduce(e, own);
    case Op::kRow: return emit_row(e, own);
    case Op::kRowLoad: {
      if (auto it = tile_arrays_.find(e->args[0]); it != tile_arrays_.end()) {
        std::string index = emit(e->args[1], own);
        return define(e, own, e->dtype,
                      fmt::format("{}[{} * {} + {} - {}]", it->second, index, kTile, name_of(tile_var_), tile_begin_));
      }
      std::string row = emit(e->args[0], own), index = emit(e->args[1], own);
      return define(e, own, e->dtype, fmt::format("{}[{}]", row, index));
    }
    default: break;
  }
  std::vector<std::string> args;
  for (E arg : e->args) args.push_back(emit(arg, own));
  if (e->function == Fn::kRoundF8) return define(e, own, e->dtype, rounded(e->integer, args[0]));
  return define(e, own, e->dtype, call_text(e->function, e->args[0]->dtype, args));
}

void Printer::print_store(const Nest& nest, Block& block) {
  std::string x = emit(nest.value, block);
  if (auto small = small_float(output_.dtype); !small.to.empty()) x = fmt::format(fmt::runtime(small.to), x);
  std::string offset = emit(nest.offset, block);
  std::string store = fmt::format("out[{}] = {};\n", offset, x);
  if (nest.guard) store = fmt::format("if ({}) {}", emit(nest.guard, block), store);
  block.text += store;
}

// Clang is told only what it cannot see: that stores alias no load. Gathers are left to its own judgement. Short loops
// must reach the vectoriser as loops: once unrolled, it would run along the next loop, with gathers.
std::string Printer::loop_pragma(E value, E var, std::int64_t trips) {
  bool contiguous = true;
  std::unordered_set<E> seen;
  auto visit = [&](auto& self, E e) -> void {
    if (!seen.insert(e).second) return;
    bool loads = e->op == Op::kLoad || e->op == Op::kRowLoad;
    contiguous &= e->dtype != DType::kString;
    if (loads && e->depends_on(var)) {
      auto stride = stride_of(e->args.back(), var);
      contiguous &= stride && (*stride == 0 || *stride == 1);
    }
    bool folds = e->op == Op::kReduce || e->op == Op::kArgReduce || e->op == Op::kRow;
    if (folds && !e->depends_on(var)) return;  // computed outside of this loop
    if (folds) contiguous = false;
    if (e->op == Op::kSelect) contiguous &= is_safe(e->args[1]) && is_safe(e->args[2]);
    for (E arg : e->args) self(self, arg);
  };
  visit(visit, value);
  if (!contiguous) return "";
  return fmt::format("#pragma clang loop vectorize(assume_safety){}\n", trips <= kTile ? " unroll(disable)" : "");
}

void Printer::print_inner(const Nest& nest, Block& block, E var, std::string_view from, std::string_view to) {
  Block body{.parent = &block, .var = var};
  print_store(nest, body);
  block.text +=
      fmt::format("{0}for (int64_t {1} = {2}; {1} < {3}; ++{1}) {{\n{4}}}\n",
                  stride_of(nest.offset, var) == 1 ? loop_pragma(nest.value, var, var->max - var->min + 1) : "",
                  name_of(var), from, to, body.text);
}

// True where reductions are better run for neighbouring outputs side by side than each along its own elements.
bool Printer::reduces_across(const Nest& nest) {
  if (nest.vars.empty()) return false;
  E var = nest.vars.back();
  bool across = false, along = false;
  std::unordered_set<E> seen;
  auto visit = [&](auto& self, E e, E reduced) -> void {
    if (!seen.insert(e).second) return;
    if (e->op == Op::kReduce || e->op == Op::kRow) reduced = e->vars.back();
    if (e->op == Op::kArgReduce && e->depends_on(var)) along = true;
    if (e->op == Op::kLoad && reduced) {
      if (stride_of(e->args[0], reduced) == 1) along = true;
      if (stride_of(e->args[0], var) == 1 && e->depends_on(reduced)) across = true;
    }
    for (E arg : e->args) self(self, arg, reduced);
  };
  visit(visit, nest.value, nullptr);
  return across && !along;
}

// The innermost loop in tiles: each reduction and row for a whole tile, then the elements.
void Printer::print_tiled(const Nest& nest, Block& block, E var, std::string_view from, std::string_view to) {
  std::vector<E> stages;  // arguments first
  std::unordered_set<E> seen;
  auto visit = [&](auto& self, E e) -> void {
    if (!seen.insert(e).second) return;
    for (E arg : e->args) self(self, arg);
    if ((e->op == Op::kReduce || e->op == Op::kRow) && e->depends_on(var)) stages.push_back(e);
  };
  visit(visit, nest.value);

  tile_var_ = var, tile_begin_ = fresh('v');
  std::string end = fresh('n'), v = name_of(var);
  Block tile{.parent = &block, .var = var};
  auto tile_loop = [&](const std::string& body) {
    return fmt::format(
        "#pragma clang loop vectorize(assume_safety)\nfor (int64_t {0} = {1}; {0} < {2}; ++{0}) {{\n{3}}}\n", v,
        tile_begin_, end, body);
  };
  for (E stage : stages) {
    std::string array = fresh(stage->op == Op::kRow ? 'm' : 'a');
    std::string_view type = c_type(stage->dtype);
    std::vector<Block> loops(stage->vars.size());
    Block* parent = &tile;
    for (std::size_t i = 0; i < loops.size(); ++i)
      loops[i].parent = parent, loops[i].var = stage->vars[i], parent = &loops[i];
    Block body{.parent = parent, .var = var};
    std::string x = emit(stage->args[0], body), text;
    if (stage->op == Op::kRow) {
      std::uint64_t bytes =
          static_cast<std::uint64_t>((stage->vars[0]->max + 1) * kTile) * tensor::stored_bytes(stage->dtype);
      tile.text += fmt::format("{0}* __restrict {1} = ({0}*)((char*)scratch + {2});\n", type, array, reserve(bytes));
      text = tile_loop(body.text + fmt::format("{}[{} * {} + {} - {}] = {};\n", array, name_of(stage->vars[0]), kTile,
                                               v, tile_begin_, x));
    } else {
      std::string element = fmt::format("{}[{} - {}]", array, v, tile_begin_);
      tile.text += fmt::format("{} {}[{}];\nfor (int64_t l = 0; l < {}; ++l) {}[l] = {};\n", type, array, kTile, kTile,
                               array, neutral(stage->function, stage->dtype));
      text =
          tile_loop(body.text + fmt::format("{} = {};\n", element, combine(stage->function, stage->dtype, element, x)));
    }
    for (std::size_t i = loops.size(); i-- > 0;)
      text = fmt::format("for (int64_t {0} = {1}; {0} < {2}; ++{0}) {{\n{3}{4}}}\n", name_of(stage->vars[i]),
                         stage->vars[i]->min, end_of(stage->vars[i]), loops[i].text, text);
    tile.text += text;
    tile_arrays_.emplace(stage, array);
  }
  Block body{.parent = &tile, .var = var};
  print_store(nest, body);
  tile.text += tile_loop(body.text);
  block.text += fmt::format(
      "for (int64_t {0} = {1}; {0} < {2}; {0} += {3}) {{\nconst int64_t {4} = {0} + {3} < {2} ? {0} + {3} : "
      "{2};\n{5}}}\n",
      tile_begin_, from, to, kTile, end, tile.text);
  tile_arrays_.clear();
  tile_var_ = nullptr;
}

// The loop along which elements are read next to each other while the innermost loop writes them next to each other; null
// where there is none, or where the nest does more than that.
E Printer::transposed_with(const Nest& nest) {
  if (nest.vars.size() < 2 || nest.guard || output_.dtype != DType::kFloat32) return nullptr;
  E inner = nest.vars.back();
  auto extent = [](E var) { return var->max - var->min + 1; };
  if (stride_of(nest.offset, inner) != 1 || extent(inner) < 4) return nullptr;
  for (std::size_t i = nest.vars.size() - 1; i-- > 0;) {
    E across = nest.vars[i];
    if (extent(across) < 4 || !stride_of(nest.offset, across)) continue;
    bool useful = false, good = true;
    std::unordered_set<E> seen;
    auto visit = [&](auto& self, E e) -> void {
      if (!seen.insert(e).second) return;
      if (e->op == Op::kLoad) {
        auto along = stride_of(e->args[0], inner), over = stride_of(e->args[0], across);
        good = good && along && over && (*over == 0 || *over == 1) && is_safe(e);
        useful = useful || (good && *over == 1 && *along > 1);
      }
      bool folds = e->op == Op::kReduce || e->op == Op::kArgReduce || e->op == Op::kRow || e->op == Op::kRowLoad;
      good = good && !(folds && (e->depends_on(inner) || e->depends_on(across)));
      for (E arg : e->args) self(self, arg);
    };
    visit(visit, nest.value);
    if (good && useful) return across;
  }
  return nullptr;
}

// Square tiles: computed in rows along `across`, transposed in registers, stored in rows along the innermost loop.
void Printer::print_transposed(const Nest& nest, Block& block, E across, std::string_view from, std::string_view to) {
  E inner = nest.vars.back();
  std::string u = name_of(across), v = name_of(inner);
  Block row{.parent = &block, .var = inner}, lane{.parent = &row, .var = across};
  std::string x = emit(nest.value, lane);
  Block corner{.parent = &block, .var = across};
  Block at{.parent = &corner, .var = inner};
  std::string offset = emit(nest.offset, at);
  auto fill = [&](std::string_view count) {
    return fmt::format(
        "#pragma clang loop vectorize(disable) unroll(disable)\nfor (int64_t {0} = v0; {0} < v1; ++{0}) {{\n{1}"
        "#pragma clang loop vectorize(assume_safety) unroll(disable)\nfor (int64_t l = 0; l < {2}; ++l) "
        "{{\nconst int64_t {3} = u0 + l;\n{4}tile[({0} - v0) * kLanes + l] = {5};\n}}\n}}\n",
        v, row.text, count, u, lane.text, x);
  };
  block.text += fmt::format(
      "for (int64_t u0 = {0}; u0 < {1}; u0 += kLanes) {{\nconst int64_t u1 = min_int(u0 + kLanes, {1});\n"
      "for (int64_t v0 = {2}; v0 < {3}; v0 += kLanes) {{\nconst int64_t v1 = min_int(v0 + kLanes, {3});\n"
      "alignas(64) float tile[kLanes * kLanes];\nif (u1 - u0 == kLanes) {{\n{4}}} else {{\n{5}}}\n"
      "const int64_t {6} = v0, {7} = u0;\n{8}{9}x_store_transposed(tile, out + {10}, {11}, u1 - u0, v1 - "
      "v0);\n}}\n}}\n",
      from, to, inner->min, end_of(inner), fill("kLanes"), fill("u1 - u0"), v, u, corner.text, at.text, offset,
      stride_of(nest.offset, across).value_or(0));
}

// What keeps the innermost loop from long rows of neighbouring elements; for reports and forecasts.
std::string_view Printer::pace(const Nest& nest) {
  if (nest.vars.empty()) return "";
  if (transposed_with(nest)) return ", transposing";
  bool folds = false, gathers = false;
  const E inner = nest.vars.back();
  const bool across = reduces_across(nest);
  std::unordered_set<E> seen;
  auto visit = [&](auto& self, E e, E along) -> void {
    if (!seen.insert(e).second) return;
    if (e->op == Op::kReduce || e->op == Op::kArgReduce || e->op == Op::kRow) folds = true, along = across ? inner : e->vars.back();
    if (e->op == Op::kLoad && e->depends_on(along)) {
      const auto stride = stride_of(e->args[0], along);
      gathers = gathers || !stride || (*stride != 0 && *stride != 1);
    }
    for (E arg : e->args) self(self, arg, along);
  };
  visit(visit, nest.value, inner);
  const bool brief = inner->max - inner->min + 1 < 2 * isa_.vector_lanes;
  if (folds) return gathers ? ", folding strides" : ", folding";
  if (brief) return ", short rows";
  return gathers || stride_of(nest.offset, nest.vars.back()) != 1 ? ", gathering" : "";
}

// Plain operations at the largest sizes, or at the optimum; `reads`: loads of each operand are added to it.
double Printer::nest_cost(const Nest& nest, bool at_most, std::vector<double>* reads) {
  std::unordered_set<E> seen;
  double total = 0;
  auto trips = [&](E var) { return static_cast<double>((at_most || var->size.is_number() ? var->max + 1 : var->size.opt()) - var->min); };
  auto visit = [&](auto& self, E e, const std::vector<E>& loops) -> void {
    if (!seen.insert(e).second) return;
    double count = 1;
    for (E var : loops)
      if (e->depends_on(var)) count *= trips(var);
    total += count * cost_of(e);
    if (e->op == Op::kLoad && reads != nullptr) (*reads)[static_cast<std::size_t>(e->integer)] += count;
    std::vector<E> inside = loops;
    inside.insert(inside.end(), e->vars.begin(), e->vars.end());
    if (e->op == Op::kReduce || e->op == Op::kArgReduce) {
      double folded = count;
      for (E var : e->vars) folded *= trips(var);
      total += folded;
    }
    for (E arg : e->args) self(self, arg, inside);
  };
  visit(visit, nest.value, nest.vars);
  double stores = 1;
  for (E var : nest.vars) stores *= trips(var);
  return total + stores;
}

void Printer::print_nest(const Nest& given, std::string& out, std::int64_t tasks) {
  Nest nest = given;
  E across = transposed_with(nest);
  if (across) {  // the two loops of a transposition go inside together
    std::erase(nest.vars, across);
    nest.vars.insert(nest.vars.end() - 1, across);
  }
  std::size_t count = nest.vars.size(), outer = count - std::min<std::size_t>(count, across ? 2 : 1);
  std::vector<Block> blocks(count + 1);
  for (std::size_t i = 0; i < outer; ++i) blocks[i + 1].parent = &blocks[i], blocks[i + 1].var = nest.vars[i];
  if (count == 0) {
    print_store(nest, blocks[0]);
    out += tasks > 1 ? fmt::format("if (task_begin == 0) {{\n{}}}\n", blocks[0].text) : "{\n" + blocks[0].text + "}\n";
    return;
  }
  // Tasks cut one loop: the outermost with enough trips, else the one with the most. No index needs a division then.
  auto extent = [&](std::size_t i) { return nest.vars[i]->max - nest.vars[i]->min + 1; };
  std::int64_t unit = across ? isa_.vector_lanes : kTile;  // the inner loop is only worth cutting into longer pieces
  std::size_t cut = outer;
  std::int64_t most = (extent(outer) + unit - 1) / unit;
  for (std::size_t i = outer; i-- > 0;)
    if (std::min(extent(i), tasks) >= std::min(most, tasks)) cut = i, most = extent(i);
  auto range = [&](std::size_t i) {
    E var = nest.vars[i];
    if (tasks == 1 || i != cut) return std::pair(std::to_string(var->min), end_of(var));
    if (!var->size.is_number()) {
      const std::string end = end_of(var), step = std::to_string(i == outer ? unit : 1);
      const std::string steps = fmt::format("(({} + {} - 1) / {})", end, step, step);
      return std::pair(fmt::format("({} * task_begin / {} * {})", steps, tasks, step),
                       fmt::format("min_int({}, {} * task_end / {} * {})", end, steps, tasks, step));
    }
    std::int64_t step = i == outer ? unit : 1, steps = (extent(i) + step - 1) / step;
    return std::pair(
        fmt::format("({} + {} * task_begin / {} * {})", var->min, steps, tasks, step),
        fmt::format("min_int({}, {} + {} * task_end / {} * {})", var->max + 1, var->min, steps, tasks, step));
  };
  E inner = nest.vars[outer];
  auto [from, to] = range(outer);
  Block& last = blocks[outer];
  if (across) print_transposed(nest, last, across, from, to);
  else if (reduces_across(nest)) print_tiled(nest, last, inner, from, to);
  else print_inner(nest, last, inner, from, to);
  std::string text = last.text;
  for (std::size_t i = outer; i-- > 0;) {
    auto [begin, end] = range(i);
    text = fmt::format("{4}for (int64_t {0} = {1}; {0} < {2}; ++{0}) {{\n{3}}}\n", name_of(nest.vars[i]), begin, end,
                       text, blocks[i].text);
  }
  out += "{\n" + text + "}\n";
}

// Operands that are only read at the very element that is about to be written may give their memory to the output.
std::vector<std::size_t> Printer::in_place(const std::vector<Nest>& nests) {
  const auto& operands = builder_.operands();
  std::vector<bool> good(operands.size(), nests.size() == 1);
  for (const Nest& nest : nests) {
    std::unordered_set<E> seen;
    auto visit = [&](auto& self, E e) -> void {
      if (!seen.insert(e).second) return;
      if (e->op == Op::kLoad && e->args[0] != nest.offset) good[static_cast<std::size_t>(e->integer)] = false;
      for (E arg : e->args) self(self, arg);
    };
    visit(visit, nest.value);
  }
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < operands.size(); ++i)
    if (good[i] && operands[i].value != ir::kNoValue &&
        memory_type(operands[i].storage.dtype) == memory_type(output_.dtype))
      found.push_back(i);
  return found;
}

std::string Printer::reason(std::int64_t tasks) const {
  const std::size_t fused = builder_.nodes().size();
  return fmt::format("{}; {:.3g} M operations in {} task{}",
                     fused == 0   ? "brings a value into the layout that its reader wants"
                     : fused == 1 ? "one node, as a loop nest"
                                  : fmt::format("{} nodes in one pass: no value between them is stored", fused),
                     cost_ / 1e6, tasks, tasks == 1 ? "" : "s");
}

PrintedKernel Printer::print(const std::vector<Nest>& nests) {
  double bytes = 0, usual_cost = 0, most_cost = -1;
  std::string_view how;  // the largest part goes
  std::vector<double> reads(builder_.operands().size());
  for (const Nest& nest : nests) {
    const double cost = nest_cost(nest, false, &reads);
    cost_ += nest_cost(nest), usual_cost += cost;
    if (cost > most_cost) most_cost = cost, how = pace(nest);
  }
  std::int64_t tasks = std::clamp<std::int64_t>(static_cast<std::int64_t>(cost_ / kCostPerTask), 1, max_threads_);
  std::int64_t most = 1;  // trips of the longest loop, which is the one that tasks cut
  for (const Nest& nest : nests)
    for (std::size_t i = 0; i < nest.vars.size(); ++i) {
      std::int64_t trips = nest.vars[i]->max - nest.vars[i]->min + 1;
      most = std::max(most, i + 1 == nest.vars.size() ? (trips + kTile - 1) / kTile : trips);
    }
  tasks = std::min(tasks, most);
  std::string body;
  for (const Nest& nest : nests) print_nest(nest, body, tasks);
  const auto& operands = builder_.operands();
  std::string arguments;
  for (const auto& [name, place] : symbols_) arguments += fmt::format("const int64_t size{0} = symbols[{0}];\n", place);
  for (std::size_t i = 0; i < operands.size(); ++i) {
    std::string_view type = memory_type(operands[i].storage.dtype);
    arguments += fmt::format("const {0}* __restrict b{1} = (const {0}*)buffers[{1}];\n", type, i);
    // A gather reads no more of its table than it takes.
    bytes += std::min(static_cast<double>(operands[i].storage.capacity), reads[i]) *
             static_cast<double>(tensor::stored_bytes(operands[i].storage.dtype));
  }
  arguments += fmt::format("{0}* __restrict out = ({0}*)buffers[{1}];\n", memory_type(output_.dtype), operands.size());
  bytes += static_cast<double>(output_.capacity) * static_cast<double>(tensor::stored_bytes(output_.dtype));
  const bool strings = output_.dtype == DType::kString || std::ranges::any_of(operands, [](const Operand& operand) { return operand.storage.dtype == DType::kString; });
  std::string source = forge::cpu::prelude(isa_) + std::string(strings ? forge::cpu::text_prelude() : "") + std::string(kLoopsInc) + std::string(kTransposeInc) +
                       fmt::format(
                           "XI_KERNEL void {}(void* const* buffers, int64_t* symbols, void* scratch, int64_t "
                           "task_begin, int64_t task_end) {{\n{}{}}}\n",
                           forge::cpu::kSymbolMark, arguments, body);
  auto named = forge::cpu::with_symbol(std::move(source));
  PrintedKernel printed;
  printed.kernel = {std::move(named.symbol),
                    std::move(named.source),
                    tasks,
                    scratch_bytes_,
                    usual_cost,
                    bytes,
                    fmt::format("loop nest, {} part{}{}", nests.size(), nests.size() == 1 ? "" : "s", how),
                    reason(tasks)};
  printed.in_place = in_place(nests);
  return printed;
}

}  // namespace

PrintedKernel print_kernel(NestBuilder& builder, const std::vector<Nest>& nests, const Storage& output,
                           const target::CpuIsa& isa, int max_threads) {
  return Printer(builder, output, isa, max_threads).print(nests);
}

}  // namespace xinfer::schedule
