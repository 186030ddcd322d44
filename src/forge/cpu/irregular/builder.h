// How an irregular kernel is put together: its node's facts as constants in front of a template's text. The text is the same
// for CPUs and GPUs; what differs is its prelude and who runs the items (irregular.h of cpu/ and cuda/).
#pragma once
#include <initializer_list>
#include <optional>
#include <string>

#include "forge/cpu/contraction.h"
#include "forge/cpu/irregular.h"

namespace xinfer::forge::cpu::irregular {

using base::Code;
using base::fail;
using base::Result;
using ir::Shape;
using tensor::DType;
using tensor::Size;
using Sizes = std::vector<Size>;

/// A node's constants and template; `items` independent units of work, any of which the text runs on its own.
struct Irregular {
  std::string constants, text;
  RunTimeSizes sizes;      // that the text reads besides the constants
  std::int64_t items = 1;  // at most
  std::uint64_t scratch_bytes = 0;  // of whoever runs items, one after the other
  std::string block_text;           // where a GPU's blocks need another text than a thread alone, and its scratch memory
  std::uint64_t block_scratch_bytes = 0;
  int threads = 1;                  // of a GPU that run an item together; 1: the text is for one thread alone
  double flops = 0, bytes = 0;
  std::string choice;
};
using Kernel = Result<Irregular>;

/// The row's text for a node; nothing when there is no template for its operator. Errors: those of irregular_kernel.
[[nodiscard]] Result<std::optional<Irregular>> make_irregular(const ir::Node& node, const ir::Graph& graph,
                                                              const SymbolPlace& place = {});

/// One node and the text that grows in front of its template. It declares, for every input i and output o of the node,
/// `typedef … In<i>; constexpr int kIn<i> = slot;` (-1 when absent) and the same with Out. Where any of them are strings, the
/// session's text memory is XI_TEXT_MEMORY.
class Builder {
 public:
  Builder(const ir::Node& node, const ir::Graph& graph, const SymbolPlace& place);
  /// An error unless all types are of dtypes that kernels have, and static, or known where `open` sizes will do; strings only
  /// where the template takes them.
  [[nodiscard]] Result<void> check(bool open, bool takes_strings) const;

  const ir::Node& node;
  const ir::Graph& graph;

  bool has(std::size_t i) const { return i < node.inputs.size() && node.inputs[i] != ir::kNoValue; }
  bool wants(std::size_t o) const { return o < node.outputs.size() && node.outputs[o] != ir::kNoValue; }
  /// Sizes as numbers: for rows that are not open.
  Shape shape(std::size_t i) const { return graph.value(node.inputs[i]).type.shape(); }
  Shape out_shape(std::size_t o = 0) const { return graph.value(node.outputs[o]).type.shape(); }
  DType dtype(std::size_t i) const { return graph.value(node.inputs[i]).type.dtype; }
  DType out_dtype(std::size_t o = 0) const { return graph.value(node.outputs[o]).type.dtype; }
  std::int64_t count(std::size_t i) const { return tensor::num_elements(shape(i)); }
  /// The same for open rows.
  Sizes sizes(std::size_t i) const { return graph.value(node.inputs[i]).type.sizes(); }
  Sizes out_sizes(std::size_t o = 0) const { return graph.value(node.outputs[o]).type.sizes(); }
  Size elements(std::size_t i) const { return tensor::num_elements(sizes(i)); }
  /// A size that must be a number for the template; `what` it is goes into the message.
  [[nodiscard]] Result<std::int64_t> fixed(const Size& size, std::string_view what) const;
  /// An error where two sizes that the template takes for one may differ.
  [[nodiscard]] Result<void> require_equal(const Size& a, const Size& b, std::string_view what) const;
  const tensor::Tensor* constant(std::size_t i) const { return has(i) ? graph.constant(node.inputs[i]) : nullptr; }
  std::int64_t integer(std::string_view name, std::int64_t fallback) const {
    return node.attributes.integer(name, fallback);
  }
  std::string text(std::string_view name, std::string_view fallback) const {
    return node.attributes.string(name, fallback);
  }
  /// Non-negative axis of a tensor of that rank.
  static std::int64_t axis(std::int64_t value, std::size_t rank) {
    return value < 0 ? value + static_cast<std::int64_t>(rank) : value;
  }

  Builder& add(std::string_view name, std::int64_t value);
  Builder& add(std::string_view name, double value);
  Builder& flag(std::string_view name, bool value);
  Builder& list(std::string_view name, std::span<const std::int64_t> values);
  Builder& reals(std::string_view name, std::span<const double> values);
  /// A table of words (word_table).
  Builder& words(std::string_view name, std::span<const std::string> words);
  /// A constant where it is a number, else a size that the kernel computes when it starts.
  Builder& add(std::string_view name, const Size& value);
  Builder& list(std::string_view name, const Sizes& values);
  Builder& line(std::string_view text);

  /// Threads of a GPU block that the text's XI_SHARE loops keep busy.
  Builder& together(std::int64_t threads);
  /// `items` independent units; the template runs as many of them as XI_ITEMS gives it.
  Kernel finish(const Size& items, double flops, std::uint64_t scratch_bytes, std::string choice,
                std::initializer_list<std::string_view> texts);
  /// Gives blocks of that many threads a text of their own.
  static Irregular& in_blocks(Irregular& made, int threads, std::uint64_t scratch_bytes, std::initializer_list<std::string_view> texts);

 private:
  std::string text_of(const Size& size) const;

  const SymbolPlace& place_;
  std::string constants_;
  RunTimeSizes sizes_;
  int threads_ = 1;
};

/// "float", "int64_t", "Text", … of elements in memory; empty when kernels do not have the dtype.
std::string_view element_type(DType dtype);

/// Sizes of a shape seen as [outer, axis, inner].
struct AxisSizes {
  Size outer = 1, size = 1, inner = 1;
};
AxisSizes sizes_around(const Sizes& shape, std::int64_t axis);
/// Row-major strides, in elements.
Sizes dense_strides(const Sizes& shape);
/// What a cost estimate takes for a size.
inline double estimate(const Size& size) { return static_cast<double>(size.opt()); }

using Build = Kernel (*)(Builder&);
struct Row {
  std::string_view op;
  Build build;
  bool open = false;  // takes sizes that are known only while running
  bool takes_strings = false;
};
// The table's parts, one file each.
std::span<const Row> selection_kernels();
std::span<const Row> recurrent_kernels();
std::span<const Row> attention_kernels();
std::span<const Row> sampling_kernels();
std::span<const Row> quantized_kernels();
std::span<const Row> random_kernels();
std::span<const Row> region_kernels();
std::span<const Row> classical_kernels();
std::span<const Row> text_kernels();

}  // namespace xinfer::forge::cpu::irregular
