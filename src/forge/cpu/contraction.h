// What the contraction templates share: register tiles and their cost, cutting work into tasks, assembling a source.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "forge/cpu/conv.h"
#include "forge/cpu/kernel.h"
#include "target/isa.h"

namespace xinfer::forge::cpu {

/// A register tile: `mr` rows (pixels) by `nb` vectors of output channels (columns).
struct RegisterTile {
  int mr = 1, nb = 1;
  double cycles = 0;  // estimate for the whole problem on one core
  int candidates = 0;  // that were compared, and the second best
  int next_mr = 0, next_nb = 0;
  double next_cycles = 0;
};

/// "tile 14x2: 0.53 Mcycles by the cost model, best of 120; next 12x2 with 0.55".
std::string explain(const RegisterTile& tile);

/// The tile with the least estimated time for rows of `width` pixels (`rows` of them) by `blocks` vectors, each output
/// summing `depth` products. `edge_left`, `edge_right`: pixels at the ends of a row whose tiles need code of their own.
RegisterTile choose_tile(const target::CpuIsa& isa, std::int64_t rows, std::int64_t width, std::int64_t blocks,
                         std::int64_t depth);

/// The largest power of two below `rows`, at least 1: with its halves it covers what whole tiles leave.
int rest_tile(std::int64_t rows);

/// Into how many tasks work of `flops` (or of as many bytes moved) may be cut: 1 for tiny work.
std::int64_t wanted_tasks(double flops, double bytes);

/// How `rows` times `columns` units are cut into row_parts * column_parts tasks, about `wanted`.
struct Parts {
  std::int64_t rows = 1, columns = 1;
};
Parts cut(std::int64_t rows, std::int64_t columns, std::int64_t wanted, bool columns_first);

class Constants;

/// Sizes that are known only while running, by the names that templates call them.
class RunTimeSizes {
 public:
  /// The number as a constant, or the size as a member.
  RunTimeSizes& add(Constants& constants, std::string_view name, std::int64_t number, const RunTimeSize& size);
  RunTimeSizes& member(std::string_view name, std::string_view text);
  RunTimeSizes& array(std::string_view name, const std::vector<std::string>& texts);
  bool empty() const { return members_.empty(); }
  const std::string& members() const { return members_; }
  const std::string& values() const { return values_; }

 private:
  std::string members_, values_;
};
/// The number, or the text of the size.
inline std::string text_of(std::int64_t number, const RunTimeSize& size) { return size ? size.text : fmt::format("{}ll", number); }

/// The whole translation unit: prelude, constants, epilogue, template texts; sets symbol and source of `kernel`. With
/// run-time sizes the texts become members of a struct that holds them: one text serves both kinds.
void assemble(KernelSource& kernel, const target::CpuIsa& isa, std::string_view constants, const Epilogue& epilogue,
              std::initializer_list<std::string_view> texts, const RunTimeSizes& sizes = {});

/// "constexpr TYPE NAME = VALUE;" lines.
class Constants {
 public:
  Constants& add(std::string_view name, std::int64_t value);
  Constants& text(std::string_view line);
  const std::string& str() const { return text_; }

 private:
  std::string text_;
};

/// Adds sizes (kID, kOD, kKD, …) and steps (kSZ, kDZ, kPZ, …) of the three spatial dimensions of a window.
template <class Problem>
void add_window(Constants& c, const Problem& p, RunTimeSizes& sizes) {
  const char* names = "DHW";
  const char* axes = "ZYX";
  for (std::size_t i = 0; i < 3; ++i) {
    sizes.add(c, fmt::format("kI{}", names[i]), p.in[i], p.run_in[i]);
    sizes.add(c, fmt::format("kO{}", names[i]), p.out[i], p.run_out[i]);
    c.add(fmt::format("kK{}", names[i]), p.kernel[i]);
    c.add(fmt::format("kS{}", axes[i]), p.stride[i])
        .add(fmt::format("kD{}", axes[i]), p.dilation[i])
        .add(fmt::format("kP{}", axes[i]), p.pad[i]);
  }
}

/// The C++ type in which numbers of the dtype are computed ("float" also for 16-bit floats), and its lowest value.
std::string_view number_type(tensor::DType dtype);
std::string_view lowest_number(tensor::DType dtype);

template <class Problem>
void add_window(Constants& c, const Problem& p) {
  RunTimeSizes none;
  add_window(c, p, none);
}

/// Pads [channels] to whole vectors with zeros.
PackWeights pad_to_vectors(std::int64_t channels, int lanes);

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t round_up(std::int64_t a, std::int64_t b) { return ceil_div(a, b) * b; }

// The convolution templates, each in a file of its own. They answer an empty symbol where they do not apply.
KernelChoice direct_conv(const ConvProblem& problem, const target::CpuIsa& isa, const Epilogue& epilogue);
KernelChoice winograd_conv(const ConvProblem& problem, const target::CpuIsa& isa, const Epilogue& epilogue);
KernelChoice depthwise_conv(const ConvProblem& problem, const target::CpuIsa& isa, const Epilogue& epilogue);
KernelChoice general_conv(const ConvProblem& problem, const target::CpuIsa& isa, const Epilogue& epilogue);

/// Number of multiply-adds times two, and bytes of input, weights and output.
double conv_flops(const ConvProblem& problem);
double conv_bytes(const ConvProblem& problem);

}  // namespace xinfer::forge::cpu
