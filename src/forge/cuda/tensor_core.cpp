// Convolution and matrix product on tensor cores (templates/implicit_gemm.cuh).
#include "forge/cuda/tensor_core.h"

#include "forge/cuda/prelude.h"
#include "forge/cuda_text.h"

namespace xinfer::forge::cuda {
namespace {

using base::Code;
using base::fail;

// Offsets into tensors are 32-bit.
constexpr std::int64_t kMostElements = std::int64_t{1} << 31;

bool has_tensor_cores(DType dtype, const target::GpuIsa& gpu) {
  return dtype == DType::kFloat16 || (dtype == DType::kBfloat16 && gpu.sm >= 80);
}

}  // namespace

std::optional<Gemm> gemm_of(const ConvProblem& p, const target::GpuIsa& gpu) {
  const std::int64_t c = padded_channels(p.in_channels), n = padded_channels(p.out_channels);
  if (!has_tensor_cores(p.dtype, gpu) || p.groups != 1 || p.transposed || p.spatial_rank > 2 || !p.constant_weights) return std::nullopt;
  if (p.batch * p.in[1] * p.in[2] * c >= kMostElements) return std::nullopt;
  Gemm g{p.batch * p.out[1] * p.out[2], n, p.kernel[1] * p.kernel[2] * c};
  g.pointwise = p.kernel[1] * p.kernel[2] == 1;
  g.dtype = p.dtype;
  g.bytes = bytes_of(p);
  return g;
}

std::optional<Gemm> gemm_of(const MatMulProblem& p, const target::GpuIsa& gpu) {
  if (!has_tensor_cores(p.dtype, gpu) || p.k % 8 != 0 || p.transpose_a || p.m * p.k >= kMostElements) return std::nullopt;
  Gemm g{p.m, p.n, p.k, matrices_of(p), !p.constant_b && !p.transpose_b};
  if (g.columns_b && p.n % 8 != 0) return std::nullopt;
  g.dtype = p.dtype;
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
  const std::vector<float> from = floats_of(constant);
  std::vector<float> to(from.size());
  for (std::int64_t k = 0; k < p.k; ++k)
    for (std::int64_t n = 0; n < p.n; ++n) to[static_cast<std::size_t>(n * p.k + k)] = from[static_cast<std::size_t>(k * p.n + n)];
  return bytes_of(to, p.dtype);
}

Signature matmul_signature(const MatMulProblem& p) { return {true, p.bias, false, p.dtype, p.constant_b ? DType::kFloat32 : p.dtype, p.n}; }

namespace {

struct Shape {  // what differs between a convolution and a matrix product
  Constants constants;
  std::string matrices;
  Signature signature;
};

KernelSource make_kernel(const Gemm& g, const Tile& t, const Shape& shape, const Epilogue& epilogue) {
  KernelSource kernel;
  kernel.grid = static_cast<std::uint32_t>(g.matrices * ceil_div(g.m, t.bm) * ceil_div(g.n, t.bn) * t.split);
  kernel.threads = static_cast<std::uint32_t>(t.threads());
  kernel.cluster = static_cast<std::uint32_t>(t.split);
  kernel.shared_bytes = t.shared_bytes();
  kernel.flops = g.flops();
  kernel.bytes = g.bytes;
  kernel.choice = t.text();
  Constants c = shape.constants;
  c.add("kM", g.m).add("kN", g.n).add("kBM", t.bm).add("kBN", t.bn).add("kBK", t.bk).add("kWarpsM", t.warps_m).add("kWarpsN", t.warps_n);
  c.add("kStages", t.stages).add("kSplitK", t.split).flag("kWgmma", t.wgmma).flag("kColumnsB", g.columns_b);
  if (t.wgmma) c.line("#define XI_WGMMA");
  assemble(kernel, c, shape.signature, epilogue,
           {shape.matrices, kMmaCuh, t.wgmma ? wgmma_source(t.bn, g.dtype) : std::string(), kTileCuh, kImplicitGemmCuh});
  return kernel;
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
  const std::vector<float> from = floats_of(constant);
  const std::int64_t c = padded_channels(p.in_channels), taps = p.kernel[1] * p.kernel[2];
  std::vector<float> to(static_cast<std::size_t>(padded_channels(p.out_channels) * taps * c));
  for (std::int64_t o = 0; o < p.out_channels; ++o)
    for (std::int64_t i = 0; i < p.in_channels; ++i)
      for (std::int64_t tap = 0; tap < taps; ++tap)
        to[static_cast<std::size_t>((o * taps + tap) * c + i)] = from[static_cast<std::size_t>((o * p.in_channels + i) * taps + tap)];
  return bytes_of(to, p.dtype);
}

void add_tensor_core(const ConvProblem& p, const target::GpuIsa& gpu, Candidates& to) { add_tiles(gemm_of(p, gpu), gpu, to); }
void add_tensor_core(const MatMulProblem& p, const target::GpuIsa& gpu, Candidates& to) { add_tiles(gemm_of(p, gpu), gpu, to); }

Solved solve_tensor_core(const ConvProblem& p, const std::string& text, const Epilogue& epilogue, const target::GpuIsa& gpu) {
  const std::optional<Gemm> gemm = gemm_of(p, gpu);
  XI_TRY(const Tile tile, checked_tile(gemm, text, gpu));
  Shape shape{{}, std::string(kOneMatrix), {true, p.bias, false, p.dtype, DType::kFloat32, p.out_channels}};
  add_window(shape.constants, p);
  shape.constants.add("kImages", p.batch).add("kC", padded_channels(p.in_channels)).flag("kConstantB", true);
  Solution solution{make_kernel(*gemm, tile, shape, epilogue)};
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
  shape.constants.add("kImages", 1).add("kC", p.k).flag("kConstantB", p.constant_b);
  Solution solution{make_kernel(*gemm, tile, shape, epilogue)};
  if (p.constant_b && !p.transpose_b) solution.pack_weights = [p](const tensor::Tensor& constant) { return pack_columns(p, constant); };
  return solution;
}

}  // namespace xinfer::forge::cuda
