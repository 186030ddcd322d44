// How a nest becomes a kernel: its loops are split in two. A group of threads takes one combination of the outer loops'
// indices, computes what depends on those alone (reductions together, by shuffles), and shares the inner loops. A nest
// without reductions has outer loops only, groups of one thread, and packs of neighbouring elements where memory allows.
// Where all loops of a group go over the same elements (a normalisation: mean, variance, result), each thread reads its share
// of them once, in packs, and keeps it in registers.
#include "schedule/print_cuda.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "forge/cuda/prelude.h"
#include "schedule/expression_text.h"
#include "schedule/loops_text.h"

namespace xinfer::schedule {

namespace {

constexpr std::int64_t kThreads = 256;         // of a block, where nothing else decides
constexpr std::int64_t kMinFolded = 32;        // elements from which a group of threads folds together
constexpr std::int64_t kEnoughOutputs = 8192;  // threads from which one for each output is enough to keep a GPU busy
constexpr std::int64_t kMaxBlocks = 1 << 20;   // a loop takes the rest
constexpr std::int64_t kMaxKept = 64;          // elements of one tensor that a thread keeps
constexpr std::int64_t kMaxKeptBytes = 384;    // of all tensors

std::int64_t extent(E var) { return var->max - var->min + 1; }
std::int64_t product(const std::vector<E>& vars) {
  std::int64_t count = 1;
  for (E var : vars) count *= extent(var);
  return count;
}

template <class Visit>
void walk(E e, std::unordered_set<E>& seen, const Visit& visit) {
  if (!seen.insert(e).second) return;
  visit(e);
  for (E arg : e->args) walk(arg, seen, visit);
}

bool is_fold(E e) { return e->op == Op::kReduce || e->op == Op::kArgReduce; }

// Index arithmetic in 32 bits where every value and every summand fits.
bool is_narrow(E e) {
  if (e->dtype != DType::kInt64) return false;
  auto fits = [](std::int64_t x) { return x >= INT32_MIN && x <= INT32_MAX; };
  if (!fits(e->min) || !fits(e->max)) return false;
  switch (e->op) {
    case Op::kInt:
    case Op::kVar: return true;
    case Op::kDiv:
    case Op::kMod: return fits(e->size.number()) && is_narrow(e->args[0]);
    case Op::kLinear: break;
    default: return false;
  }
  std::int64_t low = e->size.number(), high = e->size.number();
  for (std::size_t i = 0; i < e->args.size(); ++i) {
    if (!is_narrow(e->args[i]) || !fits(e->coefficients[i].number())) return false;
    const std::int64_t c = e->coefficients[i].number(), a = c * e->args[i]->min, b = c * e->args[i]->max;
    low += std::min<std::int64_t>({a, b, 0}), high += std::max<std::int64_t>({a, b, 0});
  }
  return fits(low) && fits(high);
}

// A block of code: a loop's body or a branch. Statements go to the outermost block in which they can stand.
struct Block {
  Block* parent = nullptr;
  std::vector<E> vars;   // the loop's indices
  bool branch = false;   // only entered under a condition
  bool uniform = false;  // all threads of a group are here together
  std::string text;
  std::unordered_map<E, std::string> names;
};

class CudaPrinter {
 public:
  CudaPrinter(NestBuilder& builder, const Nest& nest, const Storage& output, const target::GpuIsa& gpu)
      : builder_(builder), nest_(nest), output_(output), gpu_(gpu) {}

  forge::KernelSource print();

 private:
  void split_loops();
  std::int64_t choose_group(std::int64_t outputs, std::int64_t folded, bool contiguous) const;
  void choose_pack();
  void choose_kept(const std::vector<E>& all);
  void print_kept(Block& block, bool of_outer_loops);
  std::string kept_store(Block& outer, const std::string& element);
  bool is_kept_loop(const std::vector<E>& vars) const { return keep_ > 0 && vars.size() == 1 && vars[0]->min == 0 && extent(vars[0]) == kept_extent_; }
  std::string kept_loop(E var, const std::string& inside, const std::string& before = {}, const std::string& after = {});
  std::string body();
  std::string packed_body(Block& outer);
  void print_store(Block& block);
  std::string decode(const std::vector<E>& vars, const std::string& index);

  std::string emit(E e, Block& block);
  std::string emit_index(E e, Block& block);
  std::string emit_load(E e, Block& block);
  std::string emit_select(E e, Block& block);
  std::string emit_reduce(E e, Block& block);
  std::string emit_arg_reduce(E e, Block& block);
  std::string emit_folded(E x, const std::vector<E>& vars, bool together, Block& at);
  std::string emit_calculation(E e, Block& own);
  Block& home(E e, Block& block);
  std::string define(E e, Block& block, std::string_view type, const std::string& text);
  std::string_view type_of(E e) const { return is_narrow(e) ? "int" : c_type(e->dtype); }
  std::string fold_loop(const std::vector<E>& vars, bool together, const std::string& inside);
  std::string name_of(E var);
  std::string fresh(char kind) { return fmt::format("{}{}", kind, next_++); }
  bool is_safe(E e);
  bool is_packable(E offset, E var, std::int64_t count) const;
  double cost() const;
  // Groups of several warps meet at the block's barriers, so they have a block of their own.
  std::int64_t threads() const {
    if (group_ > 32) return group_;
    // Small work in small blocks, so that more multiprocessors take part.
    std::int64_t count = kThreads;
    while (count > 64 && product(outer_) / pack_ * group_ < count * gpu_.multiprocessors) count /= 2;
    return count;
  }

  NestBuilder& builder_;
  const Nest& nest_;
  const Storage& output_;
  const target::GpuIsa& gpu_;
  std::vector<E> outer_, inner_;
  std::int64_t group_ = 1;  // threads that work on one combination of the outer indices
  std::int64_t pack_ = 1;   // neighbouring elements that one thread computes
  int next_ = 0;
  std::unordered_map<E, std::string> var_names_;
  std::unordered_map<E, bool> safe_;
  // While a pack is printed: its loop, the index of its first element, the block of its loads, the loads.
  E pack_var_ = nullptr, pack_first_ = nullptr;
  Block* pack_block_ = nullptr;
  std::unordered_map<E, std::string> packs_;
  // What a thread keeps in registers: keep_ packs (0: nothing) of keep_pack_ elements of each kept tensor.
  std::int64_t keep_ = 0, keep_pack_ = 1, kept_extent_ = 0;
  bool stores_kept_packs_ = false;
  E kept_index_ = nullptr, kept_step_ = nullptr;  // of an element, of a pack
  std::vector<E> kept_loads_;                     // at kept_index_
  struct Kept {
    std::size_t array;
    E var;  // of the loop
  };
  std::unordered_map<E, Kept> kept_;  // loads of all loops
  std::set<E> in_packs_;              // indices of the loops around that are printed by kept_loop
};

std::string CudaPrinter::name_of(E var) {
  auto [it, fresh_name] = var_names_.try_emplace(var);
  if (fresh_name) it->second = fmt::format("i{}", var_names_.size() - 1);
  return it->second;
}

// Whether the expression may be computed where its value is not wanted: no load out of bounds, nothing long.
bool CudaPrinter::is_safe(E e) {
  if (auto it = safe_.find(e); it != safe_.end()) return it->second;
  bool safe = !is_fold(e) && (e->op != Op::kLoad || builder_.is_safe(e));
  for (E arg : e->args) safe = safe && is_safe(arg);
  safe_.emplace(e, safe);
  return safe;
}

Block& CudaPrinter::home(E e, Block& block) {
  Block* at = &block;
  while (at->parent) {
    if (std::ranges::any_of(at->vars, [&](E var) { return e->depends_on(var); })) break;
    if (at->branch && !is_safe(e)) break;
    at = at->parent;
  }
  return *at;
}

std::string CudaPrinter::define(E e, Block& block, std::string_view type, const std::string& text) {
  std::string made = fresh('t');
  block.text += fmt::format("const {} {} = {};\n", type, made, text);
  block.names.emplace(e, made);
  return made;
}

std::string CudaPrinter::emit_index(E e, Block& block) {
  const std::string_view suffix = is_narrow(e) ? "" : "ll";
  std::string out;
  for (std::size_t i = 0; i < e->args.size(); ++i) {
    std::string term = emit(e->args[i], block);
    if (e->coefficients[i] == Size(1)) out += (i ? " + " : "") + term;
    else out += fmt::format("{}{}{} * {}", i ? " + " : "", e->coefficients[i].number(), suffix, term);
  }
  if (e->size != Size(0)) out += fmt::format(" + {}{}", e->size.number(), suffix);
  return "(" + out + ")";
}

// Whether the elements at `offset` for `count` neighbouring values of `var` lie beside each other, aligned as one.
bool CudaPrinter::is_packable(E offset, E var, std::int64_t count) const {
  if (stride_of(offset, var) != 1) return false;
  LinearForm form = linear_form(offset);
  if (form.constant.number() % count != 0) return false;
  return std::ranges::all_of(form.terms, [&](auto& term) { return term.first == var || term.second.number() % count == 0; });
}

std::string CudaPrinter::emit_load(E e, Block& block) {
  const Storage& storage = builder_.operands()[static_cast<std::size_t>(e->integer)].storage;
  std::string element;
  if (const auto kept = kept_.find(e); kept != kept_.end() && in_packs_.contains(kept->second.var)) {
    element = fmt::format("kept{}[q].at[l]", kept->second.array);
  } else if (pack_var_ && e->depends_on(pack_var_) && is_safe(e) && is_packable(e->args[0], pack_var_, pack_)) {
    auto [it, fresh_pack] = packs_.try_emplace(e);
    if (fresh_pack) {
      E first = builder_.pool().substitute(e->args[0], {{pack_var_, pack_first_}});
      std::string at = emit(first, *pack_block_);
      it->second = fresh('v');
      pack_block_->text += fmt::format("const auto {} = load_pack<{}>(b{} + {});\n", it->second, pack_, e->integer, at);
    }
    element = fmt::format("{}.at[l]", it->second);
  } else {
    element = fmt::format("b{}[{}]", e->integer, emit(e->args[0], block));
  }
  if (auto small = small_float(storage.dtype); !small.from.empty())
    return fmt::format(fmt::runtime(small.from), element);
  return storage.dtype == DType::kBool ? "(bool)" + element : element;
}

std::string CudaPrinter::emit_select(E e, Block& block) {
  const std::string_view type = type_of(e);
  if (is_safe(e->args[1]) && is_safe(e->args[2])) {
    std::string condition = emit(e->args[0], block), a = emit(e->args[1], block), b = emit(e->args[2], block);
    return define(e, block, type, fmt::format("{} ? ({}){} : ({}){}", condition, type, a, type, b));
  }
  std::string condition = emit(e->args[0], block), made = fresh('t');
  Block yes{.parent = &block, .branch = true}, no{.parent = &block, .branch = true};
  std::string a = emit(e->args[1], yes), b = emit(e->args[2], no);
  block.text += fmt::format("{} {};\nif ({}) {{\n{}{} = {};\n}} else {{\n{}{} = {};\n}}\n", type, made, condition,
                            yes.text, made, a, no.text, made, b);
  block.names.emplace(e, made);
  return made;
}

// The loop over a fold's indices. Together: as one index, of which every thread of the group takes its share, neighbours
// beside each other; else the loops as they are.
std::string CudaPrinter::fold_loop(const std::vector<E>& vars, bool together, const std::string& inside) {
  if (together && is_kept_loop(vars)) return kept_loop(vars[0], inside);
  if (together)
    return fmt::format("#pragma unroll 4\nfor ({0} k = lane; k < {1}; k += {2}) {{\n{3}{4}}}\n",
                       product(vars) > INT32_MAX ? "int64_t" : "int", product(vars), group_, decode(vars, "k"), inside);
  std::string text = inside;
  for (std::size_t i = vars.size(); i-- > 0;)
    text = fmt::format("{5}for ({4} {0} = {1}; {0} < {2}; ++{0}) {{\n{3}}}\n", name_of(vars[i]), vars[i]->min,
                       vars[i]->max + 1, text, is_narrow(vars[i]) ? "int" : "int64_t",
                       i + 1 == vars.size() ? "#pragma unroll 4\n" : "");
  return text;
}

// The loop along which elements lie beside each other goes inside.
std::vector<E> fold_order(E e) {
  std::vector<E> vars = e->vars;
  E inner = vars.back();
  for (E var : vars)
    if (e->args[0]->op == Op::kLoad && stride_of(e->args[0]->args[0], var) == 1) inner = var;
  std::erase(vars, inner);
  vars.push_back(inner);
  return vars;
}

// What a fold folds.
std::string CudaPrinter::emit_folded(E x, const std::vector<E>& vars, bool together, Block& at) {
  const bool in_packs = together && is_kept_loop(vars);
  if (in_packs) in_packs_.insert(vars[0]);
  std::string text = emit(x, at);
  if (in_packs) in_packs_.erase(vars[0]);
  return text;
}

std::string CudaPrinter::emit_reduce(E e, Block& block) {
  const std::string_view type = c_type(e->dtype);
  std::vector<E> vars = fold_order(e);
  const bool together = block.uniform && group_ > 1 && product(vars) >= kMinFolded;
  std::string result = fresh('r'), zero = neutral(e->function, e->dtype);
  Block at{.parent = &block, .vars = vars};
  std::string x = emit_folded(e->args[0], vars, together, at);
  std::string step = fmt::format("{}{} = {};\n", at.text, result, combine(e->function, e->dtype, result, x));
  block.text += fmt::format("{} {} = {};\n{}", type, result, zero, fold_loop(vars, together, step));
  if (together)
    block.text += fmt::format("{0} = fold_group<{1}, {2}>({0}, {3}, [](const {2} a, const {2} b) -> {2} {{ return {4}; }});\n",
                              result, group_, type, zero, combine(e->function, e->dtype, "a", "b"));
  block.names.emplace(e, result);
  return result;
}

std::string CudaPrinter::emit_arg_reduce(E e, Block& block) {
  const bool together = block.uniform && group_ > 1 && extent(e->vars[0]) >= kMinFolded;
  const bool maximum = e->function == Fn::kMax, last = e->integer != 0;
  std::string best = fresh('r'), result = fresh('r');
  const std::string_view type = c_type(e->args[0]->dtype);
  Block at{.parent = &block, .vars = {e->vars[0]}};
  std::string x = emit_folded(e->args[0], {e->vars[0]}, together, at);
  std::string step = fmt::format("{}{} = better<{}, {}>({}, Best<{}>{{{}, {}}});\n", at.text, best, maximum, last, best,
                                 type, x, name_of(e->vars[0]));
  block.text += fmt::format("Best<{}> {}{{0, -1}};\n{}", type, best, fold_loop({e->vars[0]}, together, step));
  block.text += together ? fmt::format("const int64_t {} = best_of_group<{}, {}, {}>({});\n", result, group_, maximum,
                                       last, best)
                         : fmt::format("const int64_t {} = {}.index;\n", result, best);
  block.names.emplace(e, result);
  return result;
}

std::string CudaPrinter::emit(E e, Block& block) {
  switch (e->op) {
    case Op::kInt: return is_narrow(e) ? std::to_string(e->integer) : int_literal(e->integer, e->dtype);
    case Op::kReal: return real_literal(e->real, e->dtype);
    case Op::kVar: return name_of(e);
    default: break;
  }
  for (Block* at = &block; at; at = at->parent)
    if (auto it = at->names.find(e); it != at->names.end()) return it->second;
  if (e->op == Op::kLinear && !e->has_load) return emit_index(e, block);
  Block& own = home(e, block);
  switch (e->op) {
    case Op::kLoad: return define(e, own, c_type(e->dtype), emit_load(e, own));
    case Op::kSelect: return emit_select(e, own);
    case Op::kReduce: return emit_reduce(e, own);
    case Op::kArgReduce: return emit_arg_reduce(e, own);
    default: return emit_calculation(e, own);
  }
}

std::string CudaPrinter::emit_calculation(E e, Block& own) {
  const std::string_view suffix = is_narrow(e) ? "" : "ll";
  switch (e->op) {
    case Op::kLinear: return define(e, own, type_of(e), emit_index(e, own));
    // Indices are hardly ever negative where a division is left, so C's rules and floor agree; else correct the quotient.
    case Op::kDiv: {
      std::string x = emit(e->args[0], own), by = fmt::format("{}{}", e->size.number(), suffix);
      return define(e, own, type_of(e), e->args[0]->min >= 0 ? fmt::format("{} / {}", x, by)
                                                             : fmt::format("({0} - ({0} % {1} + {1}) % {1}) / {1}", x, by));
    }
    case Op::kMod: {
      std::string x = emit(e->args[0], own), by = fmt::format("{}{}", e->size.number(), suffix);
      return define(e, own, type_of(e), e->args[0]->min >= 0 ? fmt::format("{} % {}", x, by)
                                                             : fmt::format("({0} % {1} + {1}) % {1}", x, by));
    }
    case Op::kCast: {
      std::string x = emit(e->args[0], own);
      if (e->integer) return define(e, own, c_type(e->dtype), fmt::format("bit_cast<{}>({})", c_type(e->dtype), x));
      bool to_bool = e->dtype == DType::kBool;
      return define(e, own, c_type(e->dtype),
                    to_bool ? fmt::format("{} != 0", x) : fmt::format("({}){}", c_type(e->dtype), x));
    }
    default: break;
  }
  std::vector<std::string> args;
  for (E arg : e->args) args.push_back(emit(arg, own));
  if (e->function == Fn::kRoundF8) return define(e, own, c_type(e->dtype), rounded(e->integer, args[0]));
  return define(e, own, c_type(e->dtype), call_text(e->function, e->args[0]->dtype, args));
}

void CudaPrinter::print_store(Block& block) {
  std::string x = emit(nest_.value, block);
  if (auto small = small_float(output_.dtype); !small.to.empty()) x = fmt::format(fmt::runtime(small.to), x);
  std::string store = pack_ > 1 || stores_kept_packs_ ? fmt::format("made.at[l] = {};\n", x)
                                : fmt::format("out[{}] = {};\n", emit(nest_.offset, block), x);
  if (nest_.guard) store = fmt::format("if ({}) {}", emit(nest_.guard, block), store);
  block.text += store;
}

// What the folds depend on are the outer loops; the group shares the others.
void CudaPrinter::split_loops() {
  std::unordered_set<E> seen;
  std::set<E> needed;
  std::int64_t folded = 0;
  bool contiguous = false;
  std::vector<E> all;  // in an order that is always the same
  walk(nest_.value, seen, [&](E e) {
    all.push_back(e);
    if (!is_fold(e)) return;
    for (E var : e->free_vars)
      if (std::ranges::find(nest_.vars, var) != nest_.vars.end()) needed.insert(var);
    folded = std::max(folded, product(e->vars));
    std::unordered_set<E> inside;
    walk(e->args[0], inside, [&](E load) {
      if (load->op == Op::kLoad)
        for (E var : e->vars) contiguous = contiguous || stride_of(load->args[0], var) == 1;
    });
  });
  if (folded == 0) {
    outer_ = nest_.vars;
    return choose_pack();
  }
  for (E var : nest_.vars) (needed.contains(var) ? outer_ : inner_).push_back(var);
  group_ = choose_group(product(outer_), std::max(folded, product(inner_)), contiguous);
  choose_kept(all);
}

// Loads of neighbouring elements along loops that all go over the same number of elements.
void CudaPrinter::choose_kept(const std::vector<E>& all) {
  if (group_ == 1 || nest_.guard || inner_.size() > 1) return;
  std::vector<E> loops = inner_;
  for (E e : all)
    if (is_fold(e) && e->vars.size() == 1 && std::ranges::find(loops, e->vars[0]) == loops.end()) loops.push_back(e->vars[0]);
  if (loops.empty() || loops[0]->min != 0) return;
  kept_extent_ = extent(loops[0]);
  std::erase_if(loops, [&](E var) { return var->min != 0 || extent(var) != kept_extent_; });
  if (kept_extent_ % group_ != 0 || kept_extent_ / group_ > kMaxKept) return;
  const std::int64_t each = kept_extent_ / group_;
  keep_pack_ = 8;
  while (each % keep_pack_ != 0) keep_pack_ /= 2;
  kept_index_ = builder_.pool().var(kept_extent_), kept_step_ = builder_.pool().var(kept_extent_ / keep_pack_);
  std::unordered_map<E, std::size_t> found;  // by the load at any index
  std::int64_t bytes = 0;
  for (E load : all)
    for (E var : loops) {
      if (load->op != Op::kLoad || !is_safe(load) || !is_packable(load->args[0], var, keep_pack_) || std::ranges::any_of(loops, [&](E other) { return other != var && load->depends_on(other); })) continue;
      const auto [at, is_new] = found.try_emplace(builder_.pool().substitute(load, {{var, kept_index_}}), kept_loads_.size());
      if (is_new) {
        const auto& storage = builder_.operands()[static_cast<std::size_t>(load->integer)].storage;
        bytes += each * static_cast<std::int64_t>(tensor::size_of(storage.dtype));
        if (bytes > kMaxKeptBytes) return void(found.erase(at));
        kept_loads_.push_back(at->first);
      }
      kept_.emplace(load, Kept{at->second, var});
      keep_ = each / keep_pack_;
    }
  stores_kept_packs_ = keep_ > 0 && !inner_.empty() && is_packable(nest_.offset, inner_[0], keep_pack_);
}

// A thread's share: packs that lie a group's packs apart.
std::string CudaPrinter::kept_loop(E var, const std::string& inside, const std::string& before, const std::string& after) {
  return fmt::format(
      "#pragma unroll\nfor (int q = 0; q < {}; ++q) {{\n{}#pragma unroll\nfor (int l = 0; l < {}; ++l) {{\nconst int {} = (q * {} + lane) * {} + l;\n{}}}\n{}}}\n", keep_,
      before, keep_pack_, name_of(var), group_, keep_pack_, inside, after);
}

// The nest's elements, in packs where memory allows.
std::string CudaPrinter::kept_store(Block& outer, const std::string& element) {
  if (!stores_kept_packs_) return kept_loop(inner_[0], element);
  ExprPool& pool = builder_.pool();
  Block pack{.parent = &outer, .vars = {kept_step_}};
  const std::string at = emit(pool.substitute(nest_.offset, {{inner_[0], pool.scale(kept_step_, keep_pack_)}}), pack);
  return kept_loop(inner_[0], element, fmt::format("Pack<{}, {}> made;\n", memory_type(output_.dtype), keep_pack_),
                   fmt::format("const int {} = q * {} + lane;\n{}store_pack(out + {}, made);\n", name_of(kept_step_), group_, pack.text, at));
}

// The arrays, and their loads: of what depends on the outer loops' indices, or of the rest.
void CudaPrinter::print_kept(Block& block, bool of_outer_loops) {
  ExprPool& pool = builder_.pool();
  Block loop{.parent = &block, .vars = {kept_step_}};
  std::string loads;
  for (std::size_t i = 0; i < kept_loads_.size(); ++i) {
    const E load = kept_loads_[i];
    if (std::ranges::any_of(outer_, [&](E var) { return load->depends_on(var); }) != of_outer_loops) continue;
    const std::string at = emit(pool.substitute(load->args[0], {{kept_index_, pool.scale(kept_step_, keep_pack_)}}), loop);
    const auto& storage = builder_.operands()[static_cast<std::size_t>(load->integer)].storage;
    block.text += fmt::format("Pack<{}, {}> kept{}[{}];\n", memory_type(storage.dtype), keep_pack_, i, keep_);
    loads += fmt::format("kept{}[q] = load_pack<{}>(b{} + {});\n", i, keep_pack_, load->integer, at);
  }
  if (loads.empty()) return;
  block.text += fmt::format("#pragma unroll\nfor (int q = 0; q < {}; ++q) {{\nconst int {} = q * {} + lane;\n{}{}}}\n", keep_, name_of(kept_step_), group_, loop.text, loads);
}

// Threads for one combination of outer indices. One, where there are many and neighbours read neighbouring elements.
std::int64_t CudaPrinter::choose_group(std::int64_t outputs, std::int64_t folded, bool contiguous) const {
  if (folded < kMinFolded || (!contiguous && outputs >= kEnoughOutputs)) return 1;
  if (!contiguous && folded < 8 * kMinFolded) return 1;
  std::int64_t group = 32;
  // More threads where the groups are few for the GPU and every thread still has several elements.
  while (group < 1024 && outputs * group < 512 * std::int64_t{gpu_.multiprocessors} && group * 4 <= folded) group *= 2;
  while (group < 1024 && folded / group > 64) group *= 2;
  return group == 64 ? 128 : group;
}

void CudaPrinter::choose_pack() {
  if (outer_.empty() || nest_.guard) return;
  E last = outer_.back();
  const std::int64_t elements = product(outer_);
  std::int64_t count = std::clamp<std::int64_t>(16 / static_cast<std::int64_t>(tensor::size_of(output_.dtype)), 1, 8);
  while (count > 1 && (extent(last) % count != 0 || !is_packable(nest_.offset, last, count) ||
                       elements / count < 64 * std::int64_t{gpu_.multiprocessors}))
    count /= 2;
  pack_ = count;
}

// "const int i0 = g / 12; const int i1 = g % 12;"
std::string CudaPrinter::decode(const std::vector<E>& vars, const std::string& index) {
  std::string text;
  std::int64_t stride = 1;
  for (std::size_t i = vars.size(); i-- > 0;) {
    std::string at = stride == 1 ? index : fmt::format("{} / {}", index, stride);
    if (i > 0) at = fmt::format("{} % {}", stride == 1 ? at : "(" + at + ")", extent(vars[i]));
    if (vars[i]->min != 0) at += fmt::format(" + {}", vars[i]->min);
    text += fmt::format("const {} {} = {};\n", is_narrow(vars[i]) ? "int" : "int64_t", name_of(vars[i]), at);
    stride *= extent(vars[i]);
  }
  return text;
}

// A thread's neighbouring elements: their loads as packs, then element by element, then one store.
std::string CudaPrinter::packed_body(Block& outer) {
  ExprPool& pool = builder_.pool();
  pack_var_ = outer_.back();
  E step = pool.var(extent(pack_var_) / pack_);
  std::vector<E> steps = outer_;
  steps.back() = step;
  pack_first_ = pool.add(pool.scale(step, pack_), pack_var_->min);
  pack_block_ = &outer;
  outer.vars = steps;
  Block element{.parent = &outer, .vars = {pack_var_}};
  print_store(element);
  std::string first = emit(pack_first_, outer), at = emit(pool.substitute(nest_.offset, {{pack_var_, pack_first_}}), outer);
  return decode(steps, "g") + outer.text +
         fmt::format("Pack<{}, {}> made;\n#pragma unroll\nfor (int l = 0; l < {}; ++l) {{\nconst int {} = {} + l;\n{}}}\n"
                     "store_pack(out + {}, made);\n",
                     memory_type(output_.dtype), pack_, pack_, name_of(pack_var_), first, element.text, at);
}

std::string CudaPrinter::body() {
  Block top{.uniform = true}, outer{.parent = &top, .vars = outer_, .uniform = true};
  std::string inside;
  if (keep_ > 0) print_kept(top, false), print_kept(outer, true);
  if (pack_ > 1) {
    inside = packed_body(outer);
  } else if (inner_.empty()) {
    Block store{.parent = &outer};
    print_store(store);
    if (group_ > 1) store.text = fmt::format("if (lane == 0) {{\n{}}}\n", store.text);
    inside = decode(outer_, "g") + outer.text + store.text;
  } else {
    Block element{.parent = &outer, .vars = inner_};
    if (keep_ > 0) in_packs_.insert(inner_[0]);
    print_store(element);
    std::string loop = keep_ > 0 ? kept_store(outer, element.text) : fmt::format("for ({0} j = {1}; j < {2}; j += {3}) {{\n{4}{5}}}\n",
                                   product(inner_) > INT32_MAX ? "int64_t" : "int", group_ > 1 ? "lane" : "0",
                                   product(inner_), group_, decode(inner_, "j"), element.text);
    inside = decode(outer_, "g") + outer.text + loop;
  }
  const std::int64_t groups = product(outer_) / pack_;
  const std::string_view type = groups > INT32_MAX / 2 ? "int64_t" : "int";
  return fmt::format("{6}{0}for ({1} g = ({1})blockIdx.x * {2} + threadIdx.x / {3}; g < {4}; g += ({1})gridDim.x * {2}) {{\n{5}}}\n",
                     top.text, type, threads() / group_, group_, groups, inside,
                     group_ > 1 ? fmt::format("const int lane = threadIdx.x % {};\n", group_) : "");
}

double CudaPrinter::cost() const {
  std::unordered_set<E> seen;
  double total = 0;
  walk(nest_.value, seen, [&](E e) {
    double count = 1;
    for (E var : nest_.vars)
      if (e->depends_on(var)) count *= static_cast<double>(extent(var));
    if (is_fold(e)) total += count * static_cast<double>(product(e->vars));
    else total += count * cost_of(e);
  });
  return total;
}

forge::KernelSource CudaPrinter::print() {
  split_loops();
  std::string text = body(), parameters;
  forge::KernelSource kernel;
  kernel.overlaps = gpu_.sm >= 90;
  if (kernel.overlaps) text = "wait_for_inputs();\nready_for_next();\n" + text;
  auto parameter = [&](const Storage& storage, std::string_view qualifier, const std::string& name) {
    parameters += fmt::format("{}{}{}*{} {}", parameters.empty() ? "" : ", ", qualifier, memory_type(storage.dtype),
                              kernel.overlaps ? "" : " __restrict__", name);
    kernel.bytes += static_cast<double>(storage.capacity) * static_cast<double>(tensor::size_of(storage.dtype));
  };
  for (std::size_t i = 0; i < builder_.operands().size(); ++i)
    parameter(builder_.operands()[i].storage, "const ", fmt::format("b{}", i));
  parameter(output_, "", "out");
  const std::int64_t at_once = threads() / group_, groups = product(outer_) / pack_;
  kernel.threads = static_cast<std::uint32_t>(threads());
  kernel.grid = static_cast<std::uint32_t>(std::clamp<std::int64_t>((groups + at_once - 1) / at_once, 1, kMaxBlocks));
  kernel.flops = cost();
  kernel.choice = group_ > 1  ? fmt::format("loop nest, {} threads a group", group_)
                  : pack_ > 1 ? fmt::format("loop nest, packs of {}", pack_)
                              : "loop nest";
  forge::cuda::finish_source(kernel, fmt::format("{}extern \"C\" __global__ void __launch_bounds__({}) {}({}) {{\n{}}}\n",
                                                 kLoopsInc, threads(), forge::cuda::kSymbolMark, parameters, text));
  return kernel;
}

}  // namespace

forge::KernelSource print_cuda_kernel(NestBuilder& builder, const Nest& nest, const Storage& output,
                                      const target::GpuIsa& gpu) {
  return CudaPrinter(builder, nest, output, gpu).print();
}

}  // namespace xinfer::schedule
