// What a GPU makes of the contraction templates: usage below.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>

#include "base/files.h"
#include "forge/cuda/records.h"
#include "measure.h"
#include "onnx/import.h"
#include "passes/pass.h"
#include "schedule/contraction.h"
#include "schedule/schedule.h"
#include "target/registry.h"

namespace xinfer::contraction_bench {
namespace {

using forge::ConvProblem;
using forge::MatMulProblem;
using forge::PoolProblem;
using tensor::DType;

const target::GpuIsa& h100() { return *target::find_canonical("sm_90a")->gpu; }

ConvProblem conv(std::int64_t batch, std::int64_t in, std::int64_t out, std::int64_t h, std::int64_t w, std::int64_t kernel, std::int64_t stride,
                 std::int64_t pad, std::int64_t dilation = 1) {
  ConvProblem p;
  p.batch = batch, p.in_channels = in, p.out_channels = out, p.bias = true;
  p.in = {1, h, w}, p.kernel = {1, kernel, kernel}, p.stride = {1, stride, stride}, p.pad = {0, pad, pad}, p.dilation = {1, dilation, dilation};
  for (std::size_t i : {1, 2}) p.out[i] = (p.in[i] + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
  return p;
}
ConvProblem depthwise(std::int64_t batch, std::int64_t channels, std::int64_t h, std::int64_t w, std::int64_t kernel, std::int64_t stride) {
  ConvProblem p = conv(batch, channels, channels, h, w, kernel, stride, kernel / 2);
  p.groups = channels;
  return p;
}
MatMulProblem matmul(std::int64_t m, std::int64_t n, std::int64_t k, bool constant) {
  MatMulProblem p;
  p.m = m, p.n = n, p.k = k, p.constant_b = constant;
  return p;
}

std::vector<Work> awkward(DType dtype) {
  std::vector<Work> all;
  const auto add = [&](auto problem) {
    problem.dtype = dtype;
    all.push_back({problem});
  };
  add(conv(1, 64, 64, 14, 14, 3, 1, 1));
  add(conv(2, 20, 43, 13, 17, 3, 2, 1));
  add(conv(1, 8, 16, 9, 9, 5, 1, 4, 2));
  add(conv(3, 256, 96, 7, 7, 1, 1, 0));
  add(conv(1, 100, 24, 28, 28, 1, 2, 0));
  add(conv(1, 16, 96, 56, 56, 1, 1, 0));
  add(conv(1, 2048, 512, 7, 7, 1, 1, 0));
  ConvProblem first = conv(2, 3, 64, 61, 45, 7, 2, 3);
  first.plain_input = true;
  add(first);
  first = conv(1, 1, 20, 30, 31, 3, 1, 1);
  first.plain_input = true;
  add(first);
  first = conv(3, 3, 36, 61, 95, 3, 2, 1);
  first.plain_input = true;
  add(first);
  first = conv(1, 3, 64, 224, 224, 7, 2, 3);
  first.plain_input = true;
  add(first);
  add(depthwise(2, 36, 13, 11, 3, 1));
  add(depthwise(1, 96, 28, 28, 5, 2));
  add(conv(4, 72, 200, 60, 60, 1, 1, 0));
  add(conv(8, 64, 30, 56, 56, 1, 1, 0));
  add(matmul(4001, 1000, 776, true));
  add(matmul(9000, 264, 64, true));
  add(matmul(128, 768, 768, true));
  add(matmul(1, 1000, 1280, true));
  add(matmul(77, 2, 72, true));
  add(matmul(33, 45, 51, true));
  add(matmul(300, 515, 200, false));
  MatMulProblem batched = matmul(50, 64, 40, false);
  batched.batch_a = {2, 3}, batched.batch_b = {3};
  add(batched);
  batched.transpose_b = true;
  add(batched);
  batched.transpose_a = true;
  add(batched);
  PoolProblem pool;
  pool.batch = 2, pool.channels = 20, pool.in = {1, 9, 10}, pool.out = {1, 5, 5}, pool.kernel = {1, 3, 3}, pool.stride = {1, 2, 2}, pool.pad = {0, 1, 1};
  pool.pad_end = {0, 1, 0}, pool.layout = forge::Layout::kBlocked;
  add(pool);
  pool.kind = PoolProblem::Kind::kAverage;
  add(pool);
  pool.channels = 130, pool.in = pool.kernel = {1, 7, 7}, pool.out = {1, 1, 1}, pool.stride = {1, 1, 1}, pool.pad = pool.pad_end = {0, 0, 0};
  add(pool);
  return all;
}

struct AttentionCase {
  std::int64_t batch, heads, queries, keys, size;
  bool flat, causal;  // flat: [batch, length, heads * size]
  tensor::Shape mask;
  std::int64_t key_heads = 0;  // 0: as many as heads
};
const AttentionCase kAttention[] = {
    {1, 12, 128, 128, 64, true, false, {1, 1, 1, 128}}, {8, 12, 128, 128, 64, true, false, {8, 1, 1, 128}}, {64, 12, 128, 128, 64, true, false, {64, 1, 1, 128}},
    {2, 3, 77, 50, 32, false, false, {77, 50}},         {1, 8, 200, 200, 128, true, true, {}},               {1, 4, 1, 333, 80, false, false, {}, 2},
    {2, 2, 5, 7, 16, true, false, {}},                  {1, 16, 1024, 1024, 64, false, true, {}}};

ir::Graph attention_graph(const AttentionCase& c) {
  ir::Graph graph;
  const std::int64_t key_heads = c.key_heads ? c.key_heads : c.heads;
  ir::Node node{.op = "Attention"};
  const auto add = [&](const char* name, const tensor::Shape& shape) {
    node.inputs.push_back(graph.add_value(name, ir::ValueType::of(DType::kFloat32, shape)));
  };
  const auto heads = [&](std::int64_t count, std::int64_t length) {
    return c.flat ? tensor::Shape{c.batch, length, count * c.size} : tensor::Shape{c.batch, count, length, c.size};
  };
  add("q", heads(c.heads, c.queries)), add("k", heads(key_heads, c.keys)), add("v", heads(key_heads, c.keys));
  if (!c.mask.empty()) add("mask", c.mask);
  graph.inputs = node.inputs;
  node.outputs = {graph.add_value("y", ir::ValueType::of(DType::kFloat32, heads(c.heads, c.queries)))};
  graph.outputs = node.outputs;
  node.attributes.set("q_num_heads", c.heads);
  node.attributes.set("kv_num_heads", key_heads);
  node.attributes.set("is_causal", std::int64_t{c.causal});
  node.attributes.set("scale", 1.5F);  // random scores are small: make the softmax matter
  graph.nodes.push_back(std::move(node));
  return graph;
}

int check_attention(const Device& device) {
  int wrong = 0;
  Measurement measurement(device, h100(), {});
  for (const AttentionCase& c : kAttention)
    for (const auto& [dtype, queries] : {std::pair{DType::kBfloat16, 0}, {DType::kFloat16, 16}, {DType::kFloat16, 32}, {DType::kFloat16, 64}, {DType::kFloat16, 128}, {DType::kFloat16, 0}}) {
      const Measured m = measurement.attention(attention_graph(c), dtype, queries);
      wrong += !m.right;
      std::printf("%s attention %s %lldx%lld heads, %lld queries, %lld keys of %lld: %.2f us, error %g (%s)\n", m.right ? "right" : "WRONG",
                  std::string(tensor::name(dtype)).c_str(), static_cast<long long>(c.batch), static_cast<long long>(c.heads), static_cast<long long>(c.queries),
                  static_cast<long long>(c.keys), static_cast<long long>(c.size), m.microseconds, m.error, m.candidate.c_str());
    }
  return wrong;
}

int check(const Device& device, const char* filter) {
  int wrong = *filter ? 0 : check_attention(device), checked = 0;
  for (DType dtype : {DType::kFloat16, DType::kBfloat16, DType::kFloat32}) {
    std::vector<Work> works = awkward(dtype);
    std::erase_if(works, [&](const Work& work) { return !forge::cuda::text_of(work.problem).contains(filter); });
    Options options;
    options.top = dtype == DType::kFloat16 ? 96 : 8;
    options.time = false, options.tail = true;
    Measurement measurement(device, h100(), options);
    measurement.start(works);
    for (const Work& work : works)
      for (const Measured& m : measurement.next()) {
        ++checked;
        if (m.right) continue;
        ++wrong;
        std::printf("WRONG %s: %s: error %g\n", forge::cuda::text_of(work.problem).c_str(), m.candidate.c_str(), m.error);
      }
  }
  std::printf("%d candidates checked, %d wrong\n", checked, wrong);
  return wrong > 0;
}

// The model's contractions at `batch` times its own, in float16.
std::vector<Work> works_of(const char* path, std::int64_t batch) {
  auto graph = onnx::import_model(path, {});
  if (!graph) std::fprintf(stderr, "%s\n", graph.error().text().c_str()), std::exit(1);
  passes::PipelineOptions options;
  options.fused_attention = true;
  if (auto runs = passes::run_pipeline(*graph, options); !runs) std::fprintf(stderr, "%s\n", runs.error().text().c_str()), std::exit(1);
  std::vector<Work> works;
  std::map<std::string, std::size_t> seen;
  const auto add = [&](auto problem) {
    problem.dtype = DType::kFloat16;
    const forge::cuda::Problem p = problem;
    const auto [at, is_new] = seen.emplace(forge::cuda::text_of(p), works.size());
    if (is_new) works.push_back({p});
    else ++works[at->second].times;
  };
  for (const ir::Node& node : graph->nodes) {
    if (!schedule::is_contraction(node.op)) continue;
    auto contraction = schedule::make_contraction(*graph, node);
    if (!contraction) std::fprintf(stderr, "%s\n", contraction.error().text().c_str()), std::exit(1);
    if (auto* conv = std::get_if<ConvProblem>(&contraction->problem)) {
      conv->batch *= batch;
      conv->plain_input = std::ranges::find(graph->inputs, contraction->input) != graph->inputs.end();
      add(*conv);
    } else if (auto* product = std::get_if<MatMulProblem>(&contraction->problem)) {
      if (product->batch_a.empty()) product->m *= batch;
      else {
        if (!product->batch_a.empty()) product->batch_a[0] *= batch;
        if (!product->batch_b.empty()) product->batch_b[0] *= batch;
      }
      add(*product);
    } else {
      auto pool = std::get<PoolProblem>(contraction->problem);
      pool.batch *= batch, pool.layout = forge::Layout::kBlocked;
      add(pool);
    }
  }
  return works;
}

int tune(const Device& device, const char* path, int batch, std::size_t top, const char* records_path, const char* filter) {
  std::vector<Work> works = works_of(path, batch);
  std::erase_if(works, [&](const Work& work) { return !forge::cuda::text_of(work.problem).contains(filter); });
  forge::cuda::Records records{std::string(h100().name), device.name(), {}, {}, {}};
  if (auto text = base::read_file(records_path)) records = forge::cuda::Records::parse(*text).value();
  for (Work& work : works)
    if (const auto record = records.choices.find(forge::cuda::text_of(work.problem)); record != records.choices.end()) work.also = record->second;
  Options options;
  options.top = top;
  Measurement measurement(device, h100(), options);
  measurement.start(works);
  double tuned = 0, untuned = 0;
  int wrong = 0;
  std::string all;
  for (const Work& work : works) {
    std::vector<Measured> results = measurement.next();
    const std::string key = forge::cuda::text_of(work.problem);
    for (const Measured& m : results) {
      all += fmt::format("{}\t{}\t{:.2f}\t{:.2f}\n", key, m.candidate, m.microseconds, m.estimate);
      if (!m.right) ++wrong, std::printf("WRONG %s: %s: error %g\n", key.c_str(), m.candidate.c_str(), m.error);
    }
    const double first = results.front().microseconds;
    std::erase_if(results, [](const Measured& m) { return !m.right; });
    if (results.empty()) continue;
    const Measured& best = *std::ranges::min_element(results, {}, &Measured::microseconds);
    records.choices[key] = best.candidate;
    tuned += best.microseconds * work.times, untuned += first * work.times;
    std::printf("%8.2f us x%-2d (untuned %8.2f) %-36s %s\n", best.microseconds, work.times, first, best.candidate.c_str(), key.c_str());
    std::fflush(stdout);
  }
  std::printf("# %s, %s, batch %d: contractions tuned %.1f us, untuned %.1f us; %d wrong\n", device.name().c_str(), path, batch, tuned, untuned, wrong);
  if (auto done = base::write_file(records_path, records.to_json()); !done) return std::fprintf(stderr, "%s\n", done.error().message.c_str()), 1;
  if (auto done = base::write_file(fmt::format("{}.all.{}.b{}.tsv", records_path, std::filesystem::path(path).stem().string(), batch), all); !done) return 1;
  return wrong > 0;
}

// Every launch of the whole network, its own batch.
int launches(const char* path) {
  auto graph = onnx::import_model(path, {});
  if (!graph) return std::fprintf(stderr, "%s\n", graph.error().text().c_str()), 1;
  passes::PipelineOptions options;
  options.fused_attention = true;
  if (auto runs = passes::run_pipeline(*graph, options); !runs) return std::fprintf(stderr, "%s\n", runs.error().text().c_str()), 1;
  std::map<std::string, std::string> problems;
  schedule::GpuOptions gpu_options{DType::kFloat16};
  gpu_options.on_contraction = [&](const forge::cuda::Problem& problem, const forge::cuda::Epilogue&, const forge::cuda::Solution& solution) {
    problems[solution.kernel.symbol] = forge::cuda::text_of(problem);
  };
  auto made = schedule::make_schedule(*graph, h100(), gpu_options);
  if (!made) return std::fprintf(stderr, "%s\n", made.error().text().c_str()), 1;
  for (const engine::Launch& launch : made->plan.launches)
    std::printf("%8.3f MFLOP %8.1f kB  %-44s %-50s %s\n", launch.flops * 1e-6, launch.bytes * 1e-3, made->kernels[launch.kernel].choice.c_str(),
                launch.name.c_str(), problems[made->kernels[launch.kernel].symbol].c_str());
  return 0;
}

int list(const char* path, int batch) {
  for (const Work& work : works_of(path, batch)) {
    const auto all = forge::cuda::candidates(work.problem, h100());
    std::printf("x%-2d %3zu candidates, %8.2f us: %-40s %s\n", work.times, all.size(), all.front().microseconds, all.front().text.c_str(), forge::cuda::text_of(work.problem).c_str());
  }
  return 0;
}

}  // namespace
}  // namespace xinfer::contraction_bench

int main(int argc, char** argv) {
  using namespace xinfer::contraction_bench;
  const auto is = [&](const char* word) { return argc > 1 && std::strcmp(argv[1], word) == 0; };
  if (is("check") && (argc == 2 || argc == 3)) return check(Device(), argc == 3 ? argv[2] : "");
  if (is("attention") && argc == 2) return check_attention(Device());
  if (is("list") && argc == 4) return list(argv[2], std::atoi(argv[3]));
  if (is("launches") && argc == 3) return launches(argv[2]);
  if (is("tune") && (argc == 6 || argc == 7))
    return tune(Device(), argv[2], std::atoi(argv[3]), static_cast<std::size_t>(std::atoi(argv[4])), argv[5], argc == 7 ? argv[6] : "");
  std::fprintf(stderr,
               "usage: contraction_bench check [FILTER] | attention | list MODEL.onnx BATCH | launches MODEL.onnx | tune MODEL.onnx BATCH TOP RECORDS.json [FILTER]\n"
               "  check: every template on awkward shapes against the general one\n"
               "  attention: the same for attention, with times\n"
               "  list:  a network's contractions and what the cost model would take; needs no GPU\n"
               "  launches: every kernel of the network as it is scheduled; needs no GPU\n"
               "  tune:  measures the TOP best candidates of each, and the recorded one, and writes the fastest to RECORDS.json\n"
               "  FILTER: only contractions whose text contains it\n");
  return argc == 1 || is("--help") ? 0 : 2;
}
