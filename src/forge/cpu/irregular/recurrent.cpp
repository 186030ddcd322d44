// RNN, GRU, LSTM.
#include <fmt/format.h>

#include <algorithm>

#include "forge/cpu/irregular/builder.h"
#include "forge/irregular_text.h"
#include "ir/operators/activations.h"

namespace xinfer::forge::cpu::irregular {

namespace {

// Defines XI_ACTIVATE(direction, place, x).
Result<void> add_activations(Builder& b, std::size_t directions, const std::vector<std::string>& defaults) {
  XI_TRY(const auto activations, ir::recurrent_activations(b.node.attributes, directions, defaults));
  std::vector<std::int64_t> kinds;
  std::string alpha_list, beta_list;
  for (const auto& [kind, alpha, beta] : activations) {
    kinds.push_back(static_cast<std::int64_t>(kind));
    alpha_list += fmt::format("{:.9e}f, ", alpha);
    beta_list += fmt::format("{:.9e}f, ", beta);
  }
  b.list("kKinds", kinds).add("kPlaces", static_cast<std::int64_t>(defaults.size()));
  b.line(fmt::format("constexpr float kAlphas[] = {{{}0.0f}};\nconstexpr float kBetas[] = {{{}0.0f}};", alpha_list,
                     beta_list));
  b.line(
      "#define XI_ACTIVATE(direction, place, x) activate<kKinds[(direction)*kPlaces + (place)]>(x, "
      "kAlphas[(direction)*kPlaces + (place)], kBetas[(direction)*kPlaces + (place)])");
  return {};
}

template <int kGates>
Kernel recurrent(Builder& b) {
  for (std::size_t i = 0; i < b.node.inputs.size(); ++i)
    if (b.has(i) && i != 4 && element_type(b.dtype(i)) != "float")
      return fail(Code::kUnsupported, "{} of {}", b.node.op, tensor::name(b.dtype(i)));
  const bool batch_first = b.integer("layout", 0) != 0;
  const Sizes x = b.sizes(0), r = b.sizes(2);
  const Size time = x[batch_first ? 1 : 0], batch = x[batch_first ? 0 : 1];
  XI_TRY(const std::int64_t input, b.fixed(x[2], "the input size"));
  XI_TRY(const std::int64_t hidden, b.fixed(r[2], "the hidden size"));
  XI_TRY(const std::int64_t directions, b.fixed(r[0], "the number of directions"));
  if (b.has(4)) XI_CHECK(b.require_equal(b.elements(4), batch, "batches of data and sequence lengths"));
  for (std::size_t i : {5u, 6u})
    if (b.has(i)) XI_CHECK(b.require_equal(b.sizes(i)[batch_first ? 0 : 1], batch, "batches of data and initial state"));
  b.add("kGates", std::int64_t{kGates})
      .add("kTime", time)
      .add("kBatch", batch)
      .add("kInput", input)
      .add("kHidden", hidden)
      .add("kDirections", directions);
  b.flag("kBatchFirst", batch_first)
      .flag("kReverse", b.text("direction", "forward") == "reverse")
      .add("kClip", static_cast<double>(b.node.attributes.real("clip", 0)));
  b.flag("kLinearBeforeReset", b.integer("linear_before_reset", 0) != 0)
      .flag("kInputForget", b.integer("input_forget", 0) != 0);
  const std::vector<std::string> defaults = kGates == 1   ? std::vector<std::string>{"Tanh"}
                                            : kGates == 3 ? std::vector<std::string>{"Sigmoid", "Tanh"}
                                                          : std::vector<std::string>{"Sigmoid", "Tanh", "Tanh"};
  XI_CHECK(add_activations(b, static_cast<std::size_t>(directions), defaults));
  const double flops = 2.0 * estimate(time * batch) * static_cast<double>(directions * kGates * hidden * (input + hidden));
  std::string choice = fmt::format("{} {}x{}, {} steps{}",
                                   kGates == 1   ? "rnn"
                                   : kGates == 3 ? "gru"
                                                 : "lstm",
                                   input, hidden, time.text(), hidden < 32 ? ", narrow" : "");
  b.together(kGates * hidden * 2);  // a warp takes some 16 rows of the gates' products
  return b.finish(batch * directions, flops, static_cast<std::uint64_t>(hidden) * 8 * 4, std::move(choice),
                  {kIrregularRecurrentInc});
}

constexpr Row kRows[] = {{"RNN", recurrent<1>, true}, {"GRU", recurrent<3>, true}, {"LSTM", recurrent<4>, true}};

}  // namespace

std::span<const Row> recurrent_kernels() { return kRows; }

}  // namespace xinfer::forge::cpu::irregular
