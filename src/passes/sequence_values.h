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
