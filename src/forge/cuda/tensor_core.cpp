// Convolution and matrix product on tensor cores (templates/implicit_gemm.cuh).
#include "forge/cuda/tensor_core.h"

#include <algorithm>
#include <span>

#include "forge/cuda/prelude.h"
#include "forge/cuda_text.h"

namespace xinfer::forge::cuda {
namespace {

using base::Code;
using base::fail;

// Offsets into tensors are 32-bit.
constexpr std::int64_t kMostElements = std::int64_t{1} << 31;

bool has_tensor_cores(DType dtype, const target::GpuIsa& gpu) {
  return dtype == DType::kFloat16 || forge::is_narrow(dtype) || (dtype == DType::kBfloat16 && gpu.sm >= 80);
}

// A row of weights: whole chunks of 16 bytes.
std::int64_t row_of(std::int64_t depth) { return round_up(depth, 16); }

// Rows of int8, and their sums as int32 behind them.
class NarrowRows {
 public:
  NarrowRows(std::int64_t rows, std::int64_t depth) : row_(row_of(depth)), bytes_(static_cast<std::size_t>(rows * (row_ + 4))), sums_(static_cast<std::size_t>(rows)) {}
  void set(std::int64_t row, std::int64_t k, std::int64_t value) {
    bytes_[static_cast<std::size_t>(row * row_ + k)] = static_cast<std::byte>(value);
    sums_[static_cast<std::size_t>(row)] += static_cast<std::int32_t>(value);
  }
  std::vector<std::byte> take() {
    const auto sums = std::as_bytes(std::span(sums_));
    std::ranges::copy(sums, bytes_.end() - static_cast<std::ptrdiff_t>(sums.size()));
    return std::move(bytes_);
  }

 private:
  std::int64_t row_;
  std::vector<std::byte> bytes_;
  std::vector<std::int32_t> sums_;
};

}  // namespace

std::optional<Gemm> gemm_of(const ConvProblem& p, const target::GpuIsa& gpu) {
  const std::int64_t c = padded_channels(p.in_channels), n = padded_channels(p.out_channels);
  if (!has_tensor_cores(p.dtype, gpu) || p.groups != 1 || p.spatial_rank > 2 || !p.constant_weights) return std::nullopt;
  if (p.batch * p.in[1] * p.in[2] * c >= kMostElements) return std::nullopt;
  Gemm g{p.batch * p.out[1] * p.out[2], n, p.kernel[1] * p.kernel[2] * c};
  g.pointwise = p.kernel[1] * p.kernel[2] == 1;
  g.dtype = p.dtype;
  if (g.narrow()) g.k = row_of(g.k) / 2;
  g.bytes = bytes_of(p);
  return g;
}

std::optional<Gemm> gemm_of(const MatMulProblem& p, const target::GpuIsa& gpu) {
  if (!has_tensor_cores(p.dtype, gpu) || p.transpose_a || p.m * p.k >= kMostElements) return std::nullopt;
  Gemm g{p.m, p.n, p.k, matrices_of(p), !p.constant_b && !p.transpose_b};
  g.dtype = p.dtype;
  if (g.narrow()) g.k = row_of(g.k) / 2;
  if (g.narrow() ? !p.constant_b : p.k % 8 != 0 || (g.columns_b && p.n % 8 != 0)) return std::nullopt;
  g.bytes = bytes_of(p);
  return g;
}

// As PTX spells it out for each bn.
std::string wgmma_source(int bn, DType dtype) {
  std::string registers, operands;
  for (int i = 0; i < bn / 2; ++i) {
    registers += fmt::format("{}%{}", i ? ", " : "", i);
    operands += fmt::format("{}\"+f\"(d[{}][{}])", i ? ", " : "", i / 4, i % 4);
  }
  const std::string_view type = dtype == DType::kFloat16 ? "f16" : "bf16";
  return fmt::format(
      "__device__ __forceinline__ void multiply_group(float (&d)[{0}][4], u64 a, u64 b) {{\n"
      "  asm volatile(\"wgmma.mma_async.sync.aligned.m64n{1}k16.f32.{2}.{2} {{{3}}}, %{4}, %{5}, 1, 1, 1, 0, 0;\" : {6} : \"l\"(a), \"l\"(b));\n}}\n",
      bn / 8, bn, type, registers, bn / 2, bn / 2 + 1, operands);
}

// [k][n] to [n][k].
std::vector<std::byte> pack_columns(const MatMulProblem& p, const tensor::Tensor& constant) {
  if (forge::is_narrow(p.dtype)) {
    NarrowRows rows(p.n, p.k);
    for (std::int64_t k = 0; k < p.k; ++k)
      for (std::int64_t n = 0; n < p.n; ++n) rows.set(n, k, constant.as_int64(p.transpose_b ? n * p.k + k : k * p.n + n));
    return rows.take();
  }
  const std::vector<float> from = floats_of(constant);
  std::vector<float> to(from.size());
  for (std::int64_t k = 0; k < p.k; ++k)
    for (std::int64_t n = 0; n < p.n; ++n) to[static_cast<std::size_t>(n * p.k + k)] = from[static_cast<std::size_t>(k * p.n + n)];
  return bytes_of(to, p.dtype);
}

Signature matmul_signature(const MatMulProblem& p) {
  Signature signature{true, p.bias, false, p.dtype, p.constant_b ? DType::kFloat32 : p.dtype, p.n};
  signature.zero_point = p.zero_point;
  signature.column_sums = p.n * row_of(p.k);
  return signature;
}

namespace {

struct Shape {  // what differs between a convolution and a matrix product
  Constants constants;
  std::string matrices;
  Signature signature;
};

// The second kernel of a product that is split without clusters: a thread takes eight outputs.
Finish make_finish(const Gemm& g, const Tile& t, const Shape& shape, const Epilogue& epilogue) {
  Finish finish;
  KernelSource& kernel = finish.kernel;
  const std::int64_t outputs = g.matrices * g.m * g.n;
  finish.sums_bytes = static_cast<std::uint64_t>(outputs * t.split * 4);
  kernel.threads = 128;
  kernel.grid = static_cast<std::uint32_t>(ceil_div(g.matrices * g.m * ceil_div(g.n, 8), kernel.threads));
  kernel.bytes = double(finish.sums_bytes) + double(outputs) * double(tensor::size_of(g.dtype));
  kernel.choice = fmt::format("sum of {}", t.split);
  Signature signature = shape.signature;
  signature.weights = signature.zero_point;
  Constants c;
  c.add("kM", g.m).add("kN", g.n).add("kMatrices", g.matrices).add("kSplitK", t.split).flag("kPartial", false);
  assemble(kernel, c, signature, epilogue, {kFinishCuh, kAddSumsCuh});
  return finish;
}

Solution make_solution(const Gemm& g, const Tile& t, const Shape& shape, const Epilogue& epilogue, const target::GpuIsa& gpu) {
  const bool partial = t.split > 1 && !has_clusters(gpu);
  Solution solution;
  KernelSource& kernel = solution.kernel;
  kernel.grid = static_cast<std::uint32_t>(g.matrices * ceil_div(g.m, t.bm) * ceil_div(g.n, t.bn) * t.split);
  kernel.threads = static_cast<std::uint32_t>(t.threads());
  kernel.cluster = partial ? 1 : static_cast<std::uint32_t>(t.split);
  kernel.shared_bytes = t.shared_bytes();
  kernel.flops = g.flops();
  kernel.bytes = g.bytes;
  kernel.choice = t.text();
  Constants c = shape.constants;
  c.add("kM", g.m).add("kN", g.n).add("kBM", t.bm).add("kBN", t.bn).add("kBK", t.bk).add("kWarpsM", t.warps_m).add("kWarpsN", t.warps_n);
  c.add("kStages", t.stages).add("kSplitK", t.split).flag("kPartial", partial).flag("kWgmma", t.wgmma).flag("kColumnsB", g.columns_b);
  if (t.wgmma) c.line("#define XI_WGMMA");
  Signature signature = shape.signature;
  if (partial) {
    solution.finish = make_finish(g, t, shape, epilogue);
    kernel.bytes += double(solution.finish->sums_bytes);
    signature.bias = false;
    signature.output = g.narrow() ? DType::kInt32 : DType::kFloat32;
  }
  assemble(kernel, c, signature, partial ? Epilogue{} : epilogue,
           {shape.matrices, kMmaCuh, t.wgmma ? wgmma_source(t.bn, g.dtype) : std::string(), kFinishCuh, kTileCuh, kImplicitGemmCuh});
  return solution;
}

base::Result<Tile> checked_tile(const std::optional<Gemm>& gemm, const std::string& text, const target::GpuIsa& gpu) {
  const std::optional<Tile> tile = parse_tile(text);
  if (!tile || !gemm || !fits(*gemm, *tile, gpu))
    return fail(Code::kInvalidArgument, "'{}' is no way to compute this product on {}; tune again", text, gpu.name);
  return *tile;
}

void add_tiles(const std::optional<Gemm>& gemm, const target::GpuIsa& gpu, Candidates& to) {
  if (!gemm) return;
  for (const Tile& tile : tiles_of(*gemm, gpu)) to.push_back({tile.text(), estimate(*gemm, tile, gpu)});
}

}  // namespace

std::vector<std::byte> pack_conv(const ConvProblem& p, const tensor::Tensor& constant) {
  const std::int64_t c = padded_channels(p.in_channels), taps = p.kernel[1] * p.kernel[2];
  if (forge::is_narrow(p.dtype)) {
    NarrowRows rows(padded_channels(p.out_channels), taps * c);
    for (std::int64_t o = 0; o < p.out_channels; ++o)
      for (std::int64_t i = 0; i < p.in_channels; ++i)
        for (std::int64_t tap = 0; tap < taps; ++tap) rows.set(o, tap * c + i, constant.as_int64((o * p.in_channels + i) * taps + tap));
    return rows.take();
  }
  const std::vector<float> from = floats_of(constant);
  std::vector<float> to(static_cast<std::size_t>(padded_channels(p.out_channels) * taps * c));
  for (std::int64_t o = 0; o < p.out_channels; ++o)
    for (std::int64_t i = 0; i < p.in_channels; ++i)
      for (std::int64_t tap = 0; tap < taps; ++tap)
        to[static_cast<std::size_t>((o * taps + tap) * c + i)] = from[static_cast<std::size_t>((p.transposed ? i * p.out_channels + o : o * p.in_channels + i) * taps + tap)];
  return bytes_of(to, p.dtype);
}

void add_tensor_core(const ConvProblem& p, const target::GpuIsa& gpu, Candidates& to) { add_tiles(gemm_of(p, gpu), gpu, to); }
void add_tensor_core(const MatMulProblem& p, const target::GpuIsa& gpu, Candidates& to) { add_tiles(gemm_of(p, gpu), gpu, to); }

Solved solve_tensor_core(const ConvProblem& p, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu) {
  const std::optional<Gemm> gemm = gemm_of(p, gpu);
  XI_TRY(const Tile tile, checked_tile(gemm, text, gpu));
  Shape shape{{}, std::string(kOneMatrix), {true, p.bias, false, p.dtype, DType::kFloat32, p.out_channels}};
  add_window(shape.constants, p);
  shape.constants.add("kImages", p.batch).add("kC", padded_channels(p.in_channels)).flag("kConstantB", true).flag("kTransposed", p.transposed);
  shape.signature.zero_point = p.zero_point;
  shape.signature.column_sums = gemm->n * row_of(p.kernel[1] * p.kernel[2] * padded_channels(p.in_channels));
  Solution solution = make_solution(*gemm, tile, shape, epilogue, gpu);
  solution.pack_weights = [p](const tensor::Tensor& constant) { return pack_conv(p, constant); };
  solution.input_layout = solution.output_layout = Layout::kBlocked;
  return solution;
}

Solved solve_tensor_core(const MatMulProblem& p, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu) {
  const std::optional<Gemm> gemm = gemm_of(p, gpu);
  XI_TRY(const Tile tile, checked_tile(gemm, text, gpu));
  Shape shape{{}, matrices_source(p), matmul_signature(p)};
  ConvProblem rows;  // of one pixel each
  rows.in[1] = rows.out[1] = p.m;
  add_window(shape.constants, rows);
  shape.constants.add("kImages", 1).add("kC", p.k).flag("kConstantB", p.constant_b).flag("kTransposed", false);
  Solution solution = make_solution(*gemm, tile, shape, epilogue, gpu);
  if (p.constant_b && (!p.transpose_b || gemm->narrow())) solution.pack_weights = [p](const tensor::Tensor& constant) { return pack_columns(p, constant); };
  return solution;
}

}  // namespace xinfer::forge::cuda
