#include "forge/cpu/contraction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "forge/cpu/prelude.h"
#include "forge/run_time_text.h"

namespace xinfer::forge::cpu {
namespace {

// What the model of a core needs: fused multiply-adds a cycle of a whole vector, vector loads a cycle, and bytes a cycle
// that come from the second-level cache. Zen 4 for AVX-512 and AVX2 (measured), a Cortex-A7x for NEON (guessed).
struct Core {
  double multiply_adds, loads, broadcasts, level2_bytes;
};
Core core_of(const target::CpuIsa& isa) {
  if (isa.vector_lanes >= 16) return {1, 1, 2, 28};
  if (isa.vector_lanes >= 8) return {2, 2, 2, 28};
  return {2, 2, 2, 16};
}
constexpr double kLatency = 4;  // cycles of a multiply-add: each accumulator is used once a step

// Cycles of one step (one input channel) of a tile.
double step_cycles(const target::CpuIsa& isa, const Core& core, std::int64_t mr, std::int64_t nb, std::int64_t depth) {
  const double arithmetic = static_cast<double>(mr * nb) / core.multiply_adds;
  const double loads = static_cast<double>(nb) / core.loads + static_cast<double>(mr) / core.broadcasts;
  const double weight_bytes = static_cast<double>(nb * isa.vector_lanes * 4);
  const double level2 = weight_bytes * static_cast<double>(depth) > 20000 ? weight_bytes / core.level2_bytes : 0;
  // Each row is an address of its own: many rows cost cache misses that few rows with more vectors do not.
  return std::max({arithmetic, kLatency, loads, level2}) + 0.2 + 0.03 * static_cast<double>(mr) + 0.1 * level2;
}

}  // namespace

RegisterTile choose_tile(const target::CpuIsa& isa, std::int64_t rows, std::int64_t width, std::int64_t blocks,
                         std::int64_t depth) {
  const Core core = core_of(isa);
  RegisterTile best;
  best.cycles = best.next_cycles = INFINITY;
  for (std::int64_t nb = 1; nb <= std::min<std::int64_t>(blocks, 8); ++nb) {
    for (std::int64_t mr = 1; mr <= std::min<std::int64_t>(width, isa.vector_registers - 2); ++mr) {
      if (mr * nb + nb + (nb > 1 ? 1 : 0) > isa.vector_registers - (nb == 1 ? 1 : 0)) continue;
      const auto tile = [&](std::int64_t m, std::int64_t n) {
        if (m == 0 || n == 0) return 0.0;
        return static_cast<double>(depth) * step_cycles(isa, core, m, n, depth) + 20 + 2.5 * static_cast<double>(m * n);
      };
      const auto row = [&](std::int64_t n) {
        return static_cast<double>(width / mr) * tile(mr, n) + tile(width % mr, n);
      };
      const double cycles = static_cast<double>(rows) * (static_cast<double>(blocks / nb) * row(nb) + row(blocks % nb));
      const int candidates = best.candidates + 1;
      if (cycles < best.cycles * 0.999)
        best = {static_cast<int>(mr), static_cast<int>(nb), cycles, candidates, best.mr, best.nb, best.cycles};
      else if (cycles < best.next_cycles)
        best.next_mr = static_cast<int>(mr), best.next_nb = static_cast<int>(nb), best.next_cycles = cycles;
      best.candidates = candidates;
    }
  }
  return best;
}

int rest_tile(std::int64_t rows) {
  int tile = 1;
  while (tile * 2 < rows) tile *= 2;
  return tile;
}

std::string explain(const RegisterTile& tile) {
  std::string text = fmt::format("tile {}x{}: {:.3g} Mcycles by the cost model, best of {}", tile.mr, tile.nb,
                                 tile.cycles / 1e6, tile.candidates);
  if (std::isfinite(tile.next_cycles))
    text += fmt::format("; next {}x{} with {:.3g}", tile.next_mr, tile.next_nb, tile.next_cycles / 1e6);
  return text;
}

std::int64_t wanted_tasks(double flops, double bytes) {
  // About 3 microseconds of one core: less is not worth waking another thread for.
  const double units = std::max(flops / 300e3, bytes / 60e3);
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(units), 1, 64);
}

Parts cut(std::int64_t rows, std::int64_t columns, std::int64_t wanted, bool columns_first) {
  Parts parts;
  // A number of parts that leaves equal parts, or so many that the rest does not matter.
  const auto divide = [](std::int64_t units, std::int64_t want) {
    want = std::min(units, want);
    for (std::int64_t p = want; p <= std::min(units, 2 * want); ++p)
      if (units % p == 0) return p;
    return want > 8 || want < 2 ? want : std::min<std::int64_t>(units, 2 * want);
  };
  if (columns_first) {
    parts.columns = divide(columns, wanted);
    parts.rows = divide(rows, ceil_div(wanted, parts.columns));
  } else {
    parts.rows = divide(rows, wanted);
    parts.columns = divide(columns, ceil_div(wanted, parts.rows));
    if (wanted > 1 && parts.rows % 2 == 1 && parts.columns % 2 == 1 && columns % 2 == 0) parts.columns = 2;
  }
  return parts;
}

void assemble(KernelSource& kernel, const target::CpuIsa& isa, std::string_view constants, const Epilogue& epilogue,
              std::initializer_list<std::string_view> texts, const RunTimeSizes& sizes) {
  std::string source = prelude(isa);
  source += constants;
  source += fmt::format("constexpr int kOperands = {};\n", epilogue.num_operands);
  source += epilogue.empty() ? "template <class Access> XI_INLINE vf epilogue(vf x, void* const*, int64_t, int64_t, "
                               "Access) { return x; }\n"
                             : epilogue.source;
  // Code for an epilogue with transcendental functions is long: it goes into a loop over the tile instead of behind each sum.
  bool heavy = epilogue.source.size() > 600;
  for (std::string_view call : {"exp", "tanh", "sigmoid", "erf", "log", "pow", "sin", "cos", "tan"})
    heavy |= epilogue.source.contains(call);
  source += fmt::format("\nconstexpr bool kHeavyEpilogue = {};\n", heavy);
  std::string body;
  for (std::string_view text : texts) body += text;
  if (sizes.empty()) {
    source += body;
  } else {
    constexpr std::string_view kEntry = "XI_KERNEL void XI_SYMBOL(";
    body.replace(body.find(kEntry), kEntry.size(), "XI_MEMBER void run_tasks(");
    source += kRunTimeSizesInc;
    // Nameless: kernels are linked together, and members of one name would be taken for the same function.
    source += fmt::format(
        "namespace {{\nstruct Kernel {{\n{}{}}};\n}}\n"
        "XI_KERNEL void XI_SYMBOL(void* const* buffers, int64_t* symbols, void* scratch, int64_t task_begin, int64_t "
        "task_end) {{\n  Kernel kernel{{{}}};\n  kernel.run_tasks(buffers, symbols, scratch, task_begin, task_end);\n}}\n",
        sizes.members(), body, sizes.values());
  }
  NamedSource named = with_symbol(std::move(source));
  kernel.symbol = std::move(named.symbol);
  kernel.source = std::move(named.source);
}

RunTimeSizes& RunTimeSizes::add(Constants& constants, std::string_view name, std::int64_t number, const RunTimeSize& size) {
  if (size) return member(name, size.text);
  constants.add(name, number);
  return *this;
}

RunTimeSizes& RunTimeSizes::member(std::string_view name, std::string_view text) {
  members_ += fmt::format("const int64_t {};\n", name);
  values_ += fmt::format("{}{}", values_.empty() ? "" : ", ", text);
  return *this;
}

RunTimeSizes& RunTimeSizes::array(std::string_view name, const std::vector<std::string>& texts) {
  members_ += fmt::format("const int64_t {}[{}];\n", name, texts.size());
  values_ += fmt::format("{}{{{}}}", values_.empty() ? "" : ", ", fmt::join(texts, ", "));
  return *this;
}

std::string_view number_type(tensor::DType dtype) {
  using tensor::DType;
  switch (dtype) {
    case DType::kFloat64: return "double";
    case DType::kInt64: return "int64_t";
    case DType::kInt32: return "int32_t";
    case DType::kInt16: return "int16_t";
    case DType::kInt8: return "int8_t";
    case DType::kUint64: return "uint64_t";
    case DType::kUint32: return "uint32_t";
    case DType::kUint16: return "uint16_t";
    case DType::kUint8: return "uint8_t";
    default: return "float";
  }
}
std::string_view lowest_number(tensor::DType dtype) {
  using tensor::DType;
  switch (dtype) {
    case DType::kFloat64: return "-(double)kInfinity";
    case DType::kInt64: return "(-9223372036854775807 - 1)";
    case DType::kInt32: return "(-2147483647 - 1)";
    case DType::kInt16: return "-32768";
    case DType::kInt8: return "-128";
    case DType::kUint64:
    case DType::kUint32:
    case DType::kUint16:
    case DType::kUint8: return "0";
    default: return "-kInfinity";
  }
}

Constants& Constants::add(std::string_view name, std::int64_t value) {
  text_ += fmt::format("constexpr int64_t {} = {};\n", name, value);
  return *this;
}

Constants& Constants::text(std::string_view line) {
  text_ += line;
  text_ += '\n';
  return *this;
}

PackWeights pad_to_vectors(std::int64_t channels, int lanes) {
  return [channels, lanes](std::span<const float> values) {
    std::vector<float> padded(static_cast<std::size_t>(round_up(channels, lanes)));
    std::copy_n(values.begin(), std::min<std::size_t>(values.size(), static_cast<std::size_t>(channels)),
                padded.begin());
    return padded;
  };
}

double conv_flops(const ConvProblem& p) {
  const auto& side = p.transposed ? p.in : p.out;
  const auto& channels = p.transposed ? p.out_channels : p.in_channels;
  const auto& others = p.transposed ? p.in_channels : p.out_channels;
  return 2.0 * static_cast<double>(p.batch * others * side[0] * side[1] * side[2]) *
         static_cast<double>(channels / p.groups * p.kernel[0] * p.kernel[1] * p.kernel[2]);
}

double conv_bytes(const ConvProblem& p) {
  return 4.0 * static_cast<double>(p.batch * p.in_channels * p.in[0] * p.in[1] * p.in[2] +
                                   p.batch * p.out_channels * p.out[0] * p.out[1] * p.out[2] +
                                   p.in_channels / p.groups * p.out_channels * p.kernel[0] * p.kernel[1] * p.kernel[2]);
}

}  // namespace xinfer::forge::cpu
