// The list of passes: reads like a table of contents.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "ir/operator.h"
#include "passes/pass.h"
#include "passes/passes.h"

namespace xinfer::passes {

using base::Code;
using base::fail;
using base::Result;

namespace {

constexpr Pass kFoldConstants{"fold_constants", "evaluates what is known at build time, shapes included", fold_constants};
constexpr Pass kRemoveIdentities{"remove_identities", "drops nodes that return their input", remove_identities};
constexpr Pass kRemoveDeadCode{"remove_dead_code", "drops what no output depends on", remove_dead_code};

constexpr Pass kPipeline[] = {
    {"extract_scales", "multiplies dequantised operands as 8-bit integers, for GPUs", extract_scales, &PipelineOptions::integer_products},
    kFoldConstants,
    {"inline_control_flow", "takes If, Loop, Scan, sequences and optionals apart", inline_control_flow, nullptr, &PipelineOptions::loops},
    {"inline_control_flow", "takes all but long loops apart", inline_short_control_flow, &PipelineOptions::loops},
    {"expand_extensions", "spells out other domains' operators in standard ones", expand_extensions},
    {"convert_precision", "computes 16-bit floating types in float32", convert_precision},
    kFoldConstants,
    kRemoveIdentities,
    kRemoveDeadCode,
    {"eliminate_common_subexpressions", "computes equal things once", eliminate_common_subexpressions},
    {"simplify_algebra", "replaces chains of operators by shorter equals", simplify_algebra},
    kRemoveDeadCode,
    {"fold_batch_normalization", "moves scales and shifts per channel into weights", fold_batch_normalization},
    {"decompose_composites", "spells out operators that the back ends do not know", decompose_composites},
    kFoldConstants,
    kRemoveIdentities,
    kRemoveDeadCode,
    {"compose_attention", "puts attention together again for GPUs", compose_attention, &PipelineOptions::fused_attention},
    {"simplify_algebra", "replaces chains of operators by shorter equals", simplify_algebra, &PipelineOptions::fused_attention},
    {"remove_identities", "drops nodes that return their input", remove_identities, &PipelineOptions::fused_attention},
    {"remove_dead_code", "drops what no output depends on", remove_dead_code, &PipelineOptions::fused_attention},
    {"merge_projections", "makes queries, keys and values in one product", merge_projections, &PipelineOptions::fused_attention},
    {"compose_integer_products", "puts products of 8-bit integers together again for GPUs", compose_integer_products, &PipelineOptions::integer_products},
    {"fold_constants", "evaluates what is known at build time, shapes included", fold_constants, &PipelineOptions::integer_products},
    {"remove_dead_code", "drops what no output depends on", remove_dead_code, &PipelineOptions::fused_attention},
    {"remove_dead_code", "drops what no output depends on", remove_dead_code, &PipelineOptions::integer_products},
    {"hoist_invariants", "computes in front of a loop what does not depend on it", hoist_invariants, &PipelineOptions::loops},
    {"string_constants", "makes constants of strings nodes, whose kernels hold the text", string_constants},
};

Result<void> check_names(const PipelineOptions& options) {
  for (const std::string& name : options.disabled) {
    if (std::any_of(std::begin(kPipeline), std::end(kPipeline), [&](const Pass& pass) { return pass.name == name; })) continue;
    std::vector<std::string_view> names;
    for (const Pass& pass : kPipeline)
      if (std::find(names.begin(), names.end(), pass.name) == names.end()) names.push_back(pass.name);
    return fail(Code::kInvalidArgument, "there is no pass '{}'; the passes are {}", name, fmt::join(names, ", "));
  }
  return {};
}

Result<void> check_result(ir::Graph& graph) {
  XI_CHECK(ir::verify(graph));
  return ir::infer_types(graph);
}

}  // namespace

std::span<const Pass> pipeline() { return kPipeline; }

Result<std::vector<PassRun>> run_pipeline(ir::Graph& graph, const PipelineOptions& options) {
  XI_CHECK(check_names(options));
  std::vector<PassRun> runs;
  for (const Pass& pass : kPipeline) {
    if (options.disabled.contains(pass.name) || (pass.only_with != nullptr && !(options.*pass.only_with)) || (pass.not_with != nullptr && options.*pass.not_with)) continue;
    if (options.cancelled && options.cancelled()) return fail(Code::kCancelled, "cancelled before pass {}", pass.name);
    const auto start = std::chrono::steady_clock::now();
    auto changed = pass.run(graph);
    if (!changed) return std::unexpected(std::move(changed).error().in("pass " + std::string(pass.name)));
    if (*changed) {
      if (auto sound = check_result(graph); !sound)
        return fail(Code::kInternal, "pass {} left a broken graph: {}", pass.name, sound.error().text());
    }
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    runs.push_back({pass.name, *changed, graph.nodes.size(), took.count()});
    if (options.after) options.after(pass.name, graph);
  }
  return runs;
}

}  // namespace xinfer::passes
