#include "forge/cpu/counted.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "forge/counted_text.h"
#include "forge/cpu/irregular.h"
#include "forge/cpu/irregular/builder.h"
#include "forge/cpu/prelude.h"
#include "ir/operator.h"

namespace xinfer::forge::cpu {
namespace {

using base::Code;
using base::fail;
using base::Result;
using tensor::Size;

struct Row {
  std::string_view op, text;
  bool takes_strings = false;
};
const std::array<Row, 6>& rows() {
  static const std::array<Row, 6> kRows = {{{"NonZero", kCountedNonZeroInc},
                                            {"Compress", kCountedCompressInc, true},
                                            {"Unique", kCountedUniqueInc, true},
                                            {"NonMaxSuppression", kCountedNonMaxSuppressionInc},
                                            {"StringNormalizer", kCountedStringNormalizerInc, true},
                                            {"StringSplit", kCountedStringSplitInc, true}}};
  return kRows;
}

class Counted {
 public:
  Counted(const ir::Node& node, const ir::Graph& graph, const SymbolPlace& place)
      : node_(node), graph_(graph), place_(place) {}

  Result<KernelSource> run(const target::CpuIsa& isa, const Row& row) {
    const bool strings = touches_strings(node_, graph_);
    if (strings && !row.takes_strings) return fail(Code::kUnsupported, "{} of strings", node_.op);
    if (strings) types_ = text_prelude();
    XI_CHECK(declare("In", node_.inputs, 5));
    if (strings) types_ += fmt::format("#define XI_TEXT_MEMORY ((TextMemory*)buffers[{}])\n", slot_++);
    XI_CHECK(declare("Out", node_.outputs, 4));
    if (node_.op == "StringNormalizer") XI_CHECK(add_stop_words());
    if (node_.op == "StringSplit") add_delimiter();
    XI_CHECK(add_sizes());
    KernelSource kernel;
    kernel.scratch_bytes = scratch_elements_ * sizeof(std::int64_t);
    kernel.flops = 4 * static_cast<double>(shape(0).empty() ? 1 : tensor::num_elements(shape(0)).opt());
    kernel.choice = fmt::format("{}, counted while running", node_.op);
    std::string source = prelude(isa) + types_ + std::string(kCountedCommonInc) + std::string(row.text) +
                         fmt::format("XI_KERNEL void {}(void* const* buffers, int64_t* symbols, void* scratch, int64_t, int64_t) {{\n"
                                     "{}  const int64_t found = count(buffers, (int64_t*)scratch, sizes);\n"
                                     "{}  fill(buffers, (int64_t*)scratch, sizes, found);\n}}\n",
                                     kSymbolMark, sizes_, keep_found());
    NamedSource named = with_symbol(std::move(source));
    kernel.symbol = std::move(named.symbol), kernel.source = std::move(named.source);
    return kernel;
  }

 private:
  bool has(std::size_t i) const { return i < node_.inputs.size() && node_.inputs[i] != ir::kNoValue; }
  std::vector<Size> shape(std::size_t i) const { return graph_.value(node_.inputs[i]).type.sizes(); }

  Result<void> declare(std::string_view prefix, const std::vector<ir::ValueId>& values, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const bool present = i < values.size() && values[i] != ir::kNoValue;
      std::string_view type = "float";
      if (present) {
        const tensor::DType dtype = graph_.value(values[i]).type.dtype;
        type = irregular::element_type(dtype);
        if (type.empty()) return fail(Code::kUnsupported, "{} of {}", node_.op, tensor::name(dtype));
      }
      types_ += fmt::format("typedef {} {}{};\nconstexpr int k{}{} = {};\n", type, prefix, i, prefix, i, present ? slot_++ : -1);
    }
    return {};
  }

  Result<void> add_stop_words() {
    const ir::Attributes& a = node_.attributes;
    const bool sensitive = a.integer("is_case_sensitive", 0) != 0;
    const std::string action = a.string("case_change_action", "NONE");
    if (action != "NONE" && action != "LOWER" && action != "UPPER") return fail(Code::kInvalidArgument, "case_change_action '{}'", action);
    std::set<std::string> stop;
    if (const auto* words = a.get<std::vector<std::string>>("stopwords"))
      for (std::string word : *words) {
        if (!sensitive)
          for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        stop.insert(std::move(word));
      }
    types_ += word_table("kStop", std::vector<std::string>(stop.begin(), stop.end()));
    types_ += fmt::format("constexpr int64_t kStopCount = {};\nconstexpr bool kSensitive = {};\nconstexpr int kCase = {};\n", stop.size(), sensitive,
                          action == "LOWER" ? 1 : action == "UPPER" ? 2 : 0);
    return {};
  }

  void add_delimiter() {
    const std::string delimiter = node_.attributes.string("delimiter", "");
    types_ += word_table("kDelimiter", std::vector<std::string>{delimiter});
    std::int64_t limit = 0;
    if (!node_.outputs.empty() && node_.outputs[0] != ir::kNoValue) limit = graph_.value(node_.outputs[0]).type.sizes().back().max();
    types_ += fmt::format("constexpr int64_t kDelimiterSize = {}, kMost = {}, kLimit = {};\n", delimiter.size(), node_.attributes.integer("maxsplit", -1),
                          limit == 0 ? INT64_MAX : limit);
  }

  // Nothing where the size was known before: there is no symbol then.
  std::string keep_found() const {
    const std::string name = ir::counted_symbol(graph_, node_);
    for (ir::ValueId id : node_.outputs)
      for (const Size& size : id == ir::kNoValue ? std::vector<Size>{} : graph_.value(id).type.sizes())
        for (const tensor::Symbol& symbol : size.symbols())
          if (symbol.name == name) return fmt::format("  symbols[{}] = found;\n", place_(name));
    return {};
  }

  // The input seen as [outer, size, inner], and what else the templates ask for.
  Result<void> add_sizes() {
    const std::vector<Size> in = shape(0);
    Size outer = 1, size = tensor::num_elements(in), inner = 1;
    if (node_.op != "NonZero" && node_.attributes.has("axis")) {
      const std::int64_t given = node_.attributes.integer("axis", 0), rank = static_cast<std::int64_t>(in.size());
      const auto axis = static_cast<std::size_t>(given < 0 ? given + rank : given);
      for (std::size_t i = 0; i < axis; ++i) outer *= in[i];
      for (std::size_t i = axis + 1; i < in.size(); ++i) inner *= in[i];
      size = in[axis];
    }
    Size last = has(1) ? tensor::num_elements(shape(1)) : Size(0);
    Size classes = 1;
    if (node_.op == "NonMaxSuppression") {
      const std::vector<Size> scores = shape(1);
      outer = scores[0], classes = scores[1], size = scores[2];
    }
    std::string dims;
    for (const Size& dim : in) dims += text(dim) + ", ";
    sizes_ = fmt::format("  const int64_t dims[] = {{{}1}};\n  const Sizes sizes{{{}, {}, {}, {}, {}, dims}};\n", dims, text(outer),
                         text(size), text(inner), text(last), text(classes));
    types_ += fmt::format("constexpr int kRank = {};\nconstexpr bool kSorted = {}, kCentred = {};\n", in.size(),
                          node_.attributes.integer("sorted", 1) != 0, node_.attributes.integer("center_point_box", 0) != 0);
    scratch_elements_ = 4 * static_cast<std::uint64_t>(std::max<std::int64_t>(size.max(), 1));
    return {};
  }

  std::string text(const Size& size) const {
    return size.c_text([&](const std::string& name) { return fmt::format("symbols[{}]", place_(name)); });
  }

  const ir::Node& node_;
  const ir::Graph& graph_;
  const SymbolPlace& place_;
  std::string types_, sizes_;
  int slot_ = 0;
  std::uint64_t scratch_elements_ = 0;
};

}  // namespace

bool is_counted(std::string_view op) {
  return std::ranges::any_of(rows(), [&](const Row& row) { return row.op == op; });
}

Result<KernelSource> counted_kernel(const ir::Node& node, const ir::Graph& graph, const target::CpuIsa& isa,
                                    const SymbolPlace& place) {
  const auto row = std::ranges::find(rows(), std::string_view(node.op), &Row::op);
  if (row == rows().end()) return fail(Code::kInternal, "{} has no counted kernel (our bug)", node.op);
  return Counted(node, graph, place).run(isa, *row);
}

}  // namespace xinfer::forge::cpu
