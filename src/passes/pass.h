// The passes: Graph to Graph, in the order in which they run. Each file holds one and says what it expects and leaves.
#pragma once
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "ir/graph.h"

namespace xinfer::passes {

struct PipelineOptions;

struct Pass {
  std::string_view name;     // verb_noun, as the file
  std::string_view summary;  // one line for people
  /// Changes the graph; true if anything changed. Expects a verified graph with inferred types and leaves one.
  base::Result<bool> (*run)(ir::Graph& graph);
  bool PipelineOptions::*only_with = nullptr;  // runs only with this option
  bool PipelineOptions::*not_with = nullptr;   // runs only without
};

/// All passes in order; some appear more than once.
std::span<const Pass> pipeline();

/// One executed pass, for reports.
struct PassRun {
  std::string_view name;
  bool changed = false;
  std::size_t nodes_after = 0;
  double milliseconds = 0;
};

struct PipelineOptions {
  std::set<std::string, std::less<>> disabled;  // by name; unknown names are refused
  /// Called after each pass with the graph it left (for --dump-after).
  std::function<void(std::string_view pass, const ir::Graph&)> after;
  std::function<bool()> cancelled;
  /// For back ends that have Attention as one kernel: it is put together, from whatever the model spells it with.
  bool fused_attention = false;
  /// For back ends that multiply 8-bit integers: their products are put together again.
  bool integer_products = false;
  /// For back ends that repeat a part of the plan: long loops and such that data ends stay loops.
  bool loops = false;
};

/// Runs the pipeline; infers types and verifies after every pass that changed something, so that a broken pass is named
/// (kInternal). Errors: kInvalidArgument (unknown pass), kUnsupported, kCancelled.
[[nodiscard]] base::Result<std::vector<PassRun>> run_pipeline(ir::Graph& graph, const PipelineOptions& options = {});

}  // namespace xinfer::passes
