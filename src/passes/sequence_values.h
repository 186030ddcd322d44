// Sequences and optionals taken apart at build time: lists of values that the graph already has.
#pragma once
#include <unordered_map>
#include <vector>

#include "passes/inline_graph.h"

namespace xinfer::passes {

/// Knows what every sequence and optional seen so far holds.
class SequenceValues {
 public:
  /// Deals with operators over sequences and optionals whose contents are known. False: not one of them, or not known.
  [[nodiscard]] base::Result<bool> visit(Rewriter& rewriter, OuterValues& outer, ir::Node& node, const Visit& visit_body);
  /// Appends what produces the value again if it is a sequence or optional that was taken apart: for a reader that stays.
  [[nodiscard]] base::Result<void> put_together(Rewriter& rewriter, ir::ValueId id);
  /// A graph output as tensors: what a sequence or optional holds under its elements' names, the output itself if it is a tensor
  /// or not known.
  [[nodiscard]] base::Result<void> take_apart(Rewriter& rewriter, ir::ValueId output, std::vector<ir::ValueId>& tensors);
  /// Makes `output` the sequence or tensor that `condition` chooses, which is data. Both must be selectable.
  [[nodiscard]] base::Result<void> select(Rewriter& rewriter, ir::ValueId output, ir::ValueId condition, ir::ValueId a, ir::ValueId b);
  /// Tensors of one known type, or sequences of such, of one length.
  bool is_selectable(const Rewriter& rewriter, ir::ValueId a, ir::ValueId b) const;

 private:
  using Items = std::vector<ir::ValueId>;
  const Items* find(const Rewriter& rewriter, ir::ValueId id) const;
  bool set(const ir::Node& node, Items items);
  base::Result<bool> split(Rewriter& rewriter, ir::Node& node);
  base::Result<bool> concat(Rewriter& rewriter, ir::Node& node);
  base::Result<bool> map(Rewriter& rewriter, OuterValues& outer, ir::Node& node, const Visit& visit_body);
  base::Result<bool> edit(Rewriter& rewriter, ir::Node& node);
  base::Result<bool> optional(Rewriter& rewriter, ir::Node& node);

  std::unordered_map<ir::ValueId, Items> items_;
  std::unordered_map<ir::ValueId, Items> optionals_;  // no item: empty
};

}  // namespace xinfer::passes
