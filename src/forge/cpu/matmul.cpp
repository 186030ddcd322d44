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

// Leading batch dimensions of A over one shared B are rows of one larger A.
MatMulProblem fold_batch(MatMulProblem p) {
  std::int64_t a = 1, b = 1;
  for (std::int64_t size : p.batch_a) a *= size;
  for (std::int64_t size : p.batch_b) b *= size;
  if (b == 1 && !p.transpose_a) {
    p.m *= a;
    p.batch_a.clear();
    p.batch_b.clear();
  }
  return p;
}

void add_sizes(Constants& c, const MatMulProblem& p, const Batch& batch) {
  c.add("kM", p.m).add("kN", p.n).add("kK", p.k);
  c.add("kAM", p.transpose_a ? 1 : p.k)
      .add("kAK", p.transpose_a ? p.m : 1)
      .add("kBK", p.transpose_b ? 1 : p.n)
      .add("kBN", p.transpose_b ? p.k : 1);
  c.text(fmt::format("constexpr int kBatchRank = {};", batch.sizes.size()));
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
  const std::int64_t rows = batch.count * p.m;
  choice.kernel.flops = 2.0 * static_cast<double>(rows * p.n * p.k);
  choice.kernel.num_tasks = std::clamp<std::int64_t>(rows, 1, wanted_tasks(4 * choice.kernel.flops, 0));
  choice.kernel.choice = fmt::format("matmul {}x{}x{} {} general", p.m, p.n, p.k, c_type(p.dtype));
  Constants c;
  add_sizes(c, p, batch);
  c.add("kRows", rows).add("kTasks", choice.kernel.num_tasks).text(fmt::format("typedef {} Number;", c_type(p.dtype)));
  assemble(choice.kernel, isa, c.str(), {}, {kMatmulGeneralInc});
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
  const Batch batch = batch_of(p);
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
  const std::int64_t wanted = ceil_div(wanted_tasks(kernel.flops, kernel.bytes), batch.count);
  const bool packs = !p.constant_b &&
                     !in_place;  // every task packs the panels that it uses: cut rows only where panels do not suffice
  const Parts parts = cut(packs ? std::min<std::int64_t>(row_units, ceil_div(wanted, 4 * panels)) : row_units, panels,
                          wanted, packs || p.k * p.n > p.m * p.k);
  kernel.num_tasks = batch.count * parts.rows * parts.columns;
  if (packs) kernel.scratch_bytes = static_cast<std::uint64_t>(p.k * tile.nb * lanes) * 4;
  kernel.choice = fmt::format("matmul {}x{}x{} mr={} nb={}{}", p.m, p.n, p.k, tile.mr, tile.nb,
                              p.constant_b ? " packed"
                              : in_place   ? " in place"
                                           : "");

  Constants c;
  add_sizes(c, p, batch);
  c.text(fmt::format("constexpr bool kHasBias = {}, kPacked = {}, kReadInPlace = {};", p.bias, p.constant_b, in_place));
  c.text(fmt::format("constexpr int kMR = {}, kNB = {}, kLastNB = {}, kUnroll = {};", tile.mr, tile.nb, last_nb,
                     tile.mr * tile.nb > 12 ? 4 : 8));
  c.add("kRowParts", parts.rows).add("kPanelParts", parts.columns).add("kRowUnits", row_units).add("kPanels", panels);
  assemble(kernel, isa, c.str(), epilogue, {kMatmulInc});
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
