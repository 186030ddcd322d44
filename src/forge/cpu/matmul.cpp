#include "forge/cpu/matmul.h"

#include <fmt/format.h>

#include <algorithm>

#include "forge/cpu/contraction.h"
#include "forge/matmul_text.h"

namespace xinfer::forge::cpu {
namespace {

// numpy's broadcasting of the batch dimensions, as sizes and as steps (in elements) of A and B for each.
struct Batch {
  std::vector<std::int64_t> sizes, steps_a, steps_b;
  std::int64_t count = 1;
};

std::vector<std::int64_t> steps_of(const std::vector<std::int64_t>& dims, std::size_t rank, std::int64_t matrix) {
  std::vector<std::int64_t> steps(rank, 0);
  std::int64_t step = matrix;
  for (std::size_t i = dims.size(); i-- > 0; step *= dims[i])
    if (dims[i] != 1) steps[rank - dims.size() + i] = step;
  return steps;
}

Batch batch_of(const MatMulProblem& p) {
  Batch batch;
  const std::size_t rank = std::max(p.batch_a.size(), p.batch_b.size());
  batch.sizes.assign(rank, 1);
  for (const auto* dims : {&p.batch_a, &p.batch_b})
    for (std::size_t i = 0; i < dims->size(); ++i)
      if ((*dims)[i] != 1) batch.sizes[rank - dims->size() + i] = (*dims)[i];
  batch.steps_a = steps_of(p.batch_a, rank, p.m * p.k);
  batch.steps_b = steps_of(p.batch_b, rank, p.k * p.n);
  for (std::int64_t size : batch.sizes) batch.count *= size;
  return batch;
}

// The same as texts, where sizes are known only while running: those may turn out to be 1.
struct BatchTexts {
  std::vector<std::string> sizes, steps_a, steps_b;
};

std::vector<std::string> step_texts(const std::vector<std::int64_t>& dims, const std::vector<RunTimeSize>& run,
                                    std::size_t rank, std::string step) {
  std::vector<std::string> steps(rank, "0");
  for (std::size_t i = dims.size(); i-- > 0;) {
    const RunTimeSize size = run.empty() ? RunTimeSize{} : run[i];
    std::string& text = steps[rank - dims.size() + i];
    if (size) text = fmt::format("({} == 1 ? 0 : {})", size.text, step);
    else if (dims[i] != 1) text = step;
    step += " * " + text_of(dims[i], size);
  }
  return steps;
}

BatchTexts batch_texts(const MatMulProblem& p) {
  BatchTexts batch;
  const std::size_t rank = std::max(p.batch_a.size(), p.batch_b.size());
  for (std::size_t i = 0; i < rank; ++i) {
    auto text = [&](const std::vector<std::int64_t>& dims, const std::vector<RunTimeSize>& run) -> std::string {
      if (i + dims.size() < rank) return "1ll";
      const std::size_t at = i + dims.size() - rank;
      return text_of(dims[at], run.empty() ? RunTimeSize{} : run[at]);
    };
    batch.sizes.push_back(fmt::format("x_larger({}, {})", text(p.batch_a, p.run_batch_a), text(p.batch_b, p.run_batch_b)));
  }
  const std::string m = text_of(p.m, p.run_m), n = text_of(p.n, p.run_n), k = text_of(p.k, p.run_k);
  batch.steps_a = step_texts(p.batch_a, p.run_batch_a, rank, m + " * " + k);
  batch.steps_b = step_texts(p.batch_b, p.run_batch_b, rank, k + " * " + n);
  return batch;
}

// Leading batch dimensions of A over one shared B are rows of one larger A.
MatMulProblem fold_batch(MatMulProblem p) {
  if (p.has_run_batch()) return p;
  std::int64_t a = 1, b = 1;
  for (std::int64_t size : p.batch_a) a *= size;
  for (std::int64_t size : p.batch_b) b *= size;
  if (b == 1 && !p.transpose_a && (a == 1 || !p.run_m)) {
    p.m *= a;
    p.batch_a.clear();
    p.batch_b.clear();
  }
  return p;
}

void add_sizes(Constants& c, const MatMulProblem& p, const Batch& batch, RunTimeSizes& sizes) {
  const RunTimeSize one;
  sizes.add(c, "kM", p.m, p.run_m).add(c, "kN", p.n, p.run_n).add(c, "kK", p.k, p.run_k);
  sizes.add(c, "kAM", p.transpose_a ? 1 : p.k, p.transpose_a ? one : p.run_k)
      .add(c, "kAK", p.transpose_a ? p.m : 1, p.transpose_a ? p.run_m : one)
      .add(c, "kBK", p.transpose_b ? 1 : p.n, p.transpose_b ? one : p.run_n)
      .add(c, "kBN", p.transpose_b ? p.k : 1, p.transpose_b ? p.run_k : one);
  c.text(fmt::format("constexpr int kBatchRank = {};", batch.sizes.size()));
  if (!p.is_fixed() && !batch.sizes.empty()) {
    const BatchTexts texts = batch_texts(p);
    sizes.array("kBatch", texts.sizes).array("kBatchA", texts.steps_a).array("kBatchB", texts.steps_b);
    return;
  }
  c.text(fmt::format("constexpr int64_t kBatch[] = {{{0}{3}1}}, kBatchA[] = {{{1}{3}0}}, kBatchB[] = {{{2}{3}0}};",
                     fmt::join(batch.sizes, ", "), fmt::join(batch.steps_a, ", "), fmt::join(batch.steps_b, ", "),
                     batch.sizes.empty() ? "" : ", "));
}

std::string_view c_type(tensor::DType dtype) {
  switch (dtype) {
    case tensor::DType::kFloat64: return "double";
    case tensor::DType::kInt64: return "int64_t";
    case tensor::DType::kUint64: return "uint64_t";
    case tensor::DType::kInt32: return "int32_t";
    case tensor::DType::kUint32: return "uint32_t";
    case tensor::DType::kInt16: return "int16_t";
    case tensor::DType::kUint16: return "uint16_t";
    case tensor::DType::kInt8: return "int8_t";
    case tensor::DType::kUint8: return "uint8_t";
    default: return "float";
  }
}

KernelChoice general(const MatMulProblem& p, const target::CpuIsa& isa) {
  KernelChoice choice;
  const Batch batch = batch_of(p);
  const std::int64_t rows = (p.has_run_batch() ? 1 : batch.count) * p.m;
  choice.kernel.flops = 2.0 * static_cast<double>(rows * p.n * p.k);
  choice.kernel.num_tasks = std::clamp<std::int64_t>(rows, 1, wanted_tasks(4 * choice.kernel.flops, 0));
  choice.kernel.choice = fmt::format("matmul {}x{}x{} {} general", p.m, p.n, p.k, c_type(p.dtype));
  choice.kernel.why = "general: plain loops, as for every element type but float32";
  Constants c;
  RunTimeSizes sizes;
  add_sizes(c, p, batch, sizes);
  RunTimeSize run_rows;
  if (p.run_m) run_rows.text = fmt::format("({} * {})", p.has_run_batch() ? 1 : batch.count, p.run_m.text);
  sizes.add(c, "kRows", rows, run_rows);
  c.add("kTasks", choice.kernel.num_tasks).text(fmt::format("typedef {} Number;", c_type(p.dtype)));
  assemble(choice.kernel, isa, c.str(), {}, {kMatmulGeneralInc}, sizes);
  return choice;
}

std::vector<float> pack(std::span<const float> b, const MatMulProblem& p, std::int64_t panel_columns) {
  std::vector<float> packed;
  const std::int64_t columns = p.n;
  for (std::int64_t first = 0; first < columns; first += panel_columns)
    for (std::int64_t k = 0; k < p.k; ++k)
      for (std::int64_t n = first; n < std::min(first + panel_columns, columns); ++n)
        packed.push_back(b[static_cast<std::size_t>(p.transpose_b ? n * p.k + k : k * p.n + n)]);
  return packed;
}

}  // namespace

KernelChoice choose_matmul(const MatMulProblem& problem, const target::CpuIsa& isa, const Epilogue& epilogue) {
  if (problem.dtype != tensor::DType::kFloat32) return general(problem, isa);
  const MatMulProblem p = fold_batch(problem);
  Batch batch = batch_of(p);
  if (p.has_run_batch()) batch.count = 1;  // tasks are those of one entry
  const std::int64_t lanes = isa.vector_lanes, vectors = ceil_div(p.n, lanes);
  // In a packed product of few rows the weights come from memory once: enough vectors side by side to hide latency.
  const RegisterTile tile = choose_tile(isa, batch.count, p.m, vectors, p.k);
  const std::int64_t panels = ceil_div(vectors, tile.nb), last_nb = vectors - (panels - 1) * tile.nb,
                     row_units = ceil_div(p.m, tile.mr);
  // Copying B into panels pays where several tiles of rows use it; its rows can be read in place only where they are contiguous.
  const bool in_place = !p.constant_b && !p.transpose_b && (row_units < 4 || (p.n * 4 % 4096 != 0 && p.k <= 256));

  KernelChoice choice;
  KernelSource& kernel = choice.kernel;
  kernel.flops = 2.0 * static_cast<double>(batch.count * p.m * p.n) * static_cast<double>(p.k);
  kernel.bytes =
      4.0 * static_cast<double>(batch.count * (p.m * p.k + p.m * p.n) + (p.constant_b ? 1 : batch.count) * p.k * p.n);
  kernel.cycles = tile.cycles;
  const std::int64_t wanted = ceil_div(wanted_tasks(kernel.flops, kernel.bytes), batch.count);
  const bool packs = !p.constant_b &&
                     !in_place;  // every task packs the panels that it uses: cut rows only where panels do not suffice
  const Parts parts = cut(packs ? std::min<std::int64_t>(row_units, ceil_div(wanted, 4 * panels)) : row_units, panels,
                          wanted, packs || p.k * p.n > p.m * p.k);
  kernel.num_tasks = batch.count * parts.rows * parts.columns;
  if (packs) kernel.scratch_bytes = static_cast<std::uint64_t>((p.run_k ? p.run_k.max : p.k) * tile.nb * lanes) * 4;
  kernel.choice = fmt::format("matmul {}x{}x{} mr={} nb={}{}{}", p.m, p.n, p.k, tile.mr, tile.nb,
                              p.constant_b ? " packed"
                              : in_place   ? " in place"
                                           : "",
                              p.is_fixed() ? "" : " run-time sizes");
  kernel.why = fmt::format("{} | B is {}", explain(tile),
                           p.constant_b ? "a constant: packed into panels while building"
                           : in_place   ? "read where it lies: few rows use it, or its rows are short"
                                        : "copied into panels, which several tiles of rows use");

  Constants c;
  RunTimeSizes sizes;
  add_sizes(c, p, batch, sizes);
  c.text(fmt::format("constexpr bool kHasBias = {}, kPacked = {}, kReadInPlace = {};", p.bias, p.constant_b, in_place));
  c.text(fmt::format("constexpr int kMR = {}, kNB = {}, kLastNB = {}, kUnroll = {};", tile.mr, tile.nb, p.run_n ? tile.nb : last_nb,
                     tile.mr * tile.nb > 12 ? 4 : 8));
  c.add("kRowParts", parts.rows).add("kPanelParts", parts.columns);
  c.text(fmt::format("constexpr int kRestRows = {}, kRestTile = {};", p.run_m ? -1 : p.m % tile.mr, rest_tile(tile.mr)));
  c.text(fmt::format("constexpr bool kKnownColumns = {}, kCut = {};", !p.run_n, p.n % lanes != 0));
  RunTimeSize run_units, run_panels, run_last_vectors, run_last_columns;
  if (p.run_m) run_units.text = fmt::format("ceil_div({}, {})", p.run_m.text, tile.mr);
  if (p.run_n) {
    run_panels.text = fmt::format("ceil_div({}, {})", p.run_n.text, tile.nb * lanes);
    run_last_vectors.text = fmt::format("(ceil_div({0}, {1}) - ({2} - 1) * {3})", p.run_n.text, lanes, run_panels.text, tile.nb);
    run_last_columns.text = fmt::format("(({0} + {1} - 1) % {1} + 1)", p.run_n.text, lanes);
  }
  sizes.add(c, "kRowUnits", row_units, run_units).add(c, "kPanels", panels, run_panels);
  sizes.add(c, "kLastVectors", last_nb, run_last_vectors).add(c, "kLastColumns", (p.n + lanes - 1) % lanes + 1, run_last_columns);
  assemble(kernel, isa, c.str(), epilogue, {kMatmulInc}, sizes);
  if (p.constant_b)
    choice.pack_weights = [p, lanes, nb = tile.nb](std::span<const float> b) {
      MatMulProblem padded = p;
      std::vector<float> whole;
      if (p.n % lanes != 0) {  // columns up to whole vectors are zero
        padded.n = round_up(p.n, lanes);
        padded.transpose_b = false;
        whole.resize(static_cast<std::size_t>(padded.n * p.k));
        for (std::int64_t k = 0; k < p.k; ++k)
          for (std::int64_t n = 0; n < p.n; ++n)
            whole[static_cast<std::size_t>(k * padded.n + n)] =
                b[static_cast<std::size_t>(p.transpose_b ? n * p.k + k : k * p.n + n)];
        b = whole;
      }
      return pack(b, padded, nb * lanes);
    };
  return choice;
}

}  // namespace xinfer::forge::cpu
