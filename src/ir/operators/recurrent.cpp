// Recurrent layers.
#include <algorithm>
#include <optional>

#include "ir/operators/activations.h"
#include "ir/operators/rules.h"

namespace xinfer::ir {

base::Result<std::vector<RecurrentActivation>> recurrent_activations(const Attributes& attributes, std::size_t directions,
                                                                     const std::vector<std::string>& defaults) {
  struct Numbers {
    std::optional<float> alpha, beta;
  };
  static constexpr std::array<Numbers, kRecurrentActivations.size()> kDefaults{
      {{}, {}, {}, {1, 0}, {0.01f, {}}, {1, {}}, {1, 1}, {0.2f, 0.5f}, {1, {}}, {}, {}}};
  std::vector<std::string> names;
  if (const auto* given = attributes.get<std::vector<std::string>>("activations")) names = *given;
  if (names.empty())
    for (std::size_t d = 0; d < directions; ++d) names.insert(names.end(), defaults.begin(), defaults.end());
  if (names.size() != directions * defaults.size())
    return base::fail(base::Code::kInvalidArgument, "{} activations, {} wanted", names.size(), directions * defaults.size());
  auto taker = [&](const char* name) {
    const auto* list = attributes.get<std::vector<float>>(name);
    return [list, next = std::size_t{0}](std::optional<float> fallback) mutable {
      return !fallback ? 0 : list && next < list->size() ? (*list)[next++] : *fallback;
    };
  };
  auto alpha = taker("activation_alpha"), beta = taker("activation_beta");
  std::vector<RecurrentActivation> found;
  for (std::string& name : names) {
    const std::string given = name;
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto known = std::ranges::find(kRecurrentActivations, name);
    if (known == kRecurrentActivations.end())
      return base::fail(base::Code::kInvalidArgument, "activation '{}' is not known", given);
    const auto kind = static_cast<std::size_t>(known - kRecurrentActivations.begin());
    found.push_back({kind, alpha(kDefaults[kind].alpha), beta(kDefaults[kind].beta)});
  }
  return found;
}

}  // namespace xinfer::ir

namespace xinfer::ir::rules {

namespace {

// X [time, batch, in] (layout 0) or [batch, time, in]; Y [time, directions, batch, hidden] or [batch, time, directions, hidden].
template <bool kCell>
Types recurrent(const ShapeContext& context) {
  XI_CHECK(require_rank(context, 0, 3));
  XI_CHECK(require_rank(context, 1, 3));
  XI_CHECK(require_rank(context, 2, 3));
  const DType dtype = dtype_of(context, 0);
  const Dims *x = dims_of(context, 0), *r = dims_of(context, 2);
  const std::string direction = context.node.attributes.string("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional")
    return fail(Code::kInvalidArgument, "direction '{}' is none of forward, reverse, bidirectional", direction);
  const Dim directions(direction == "bidirectional" ? 2 : 1);
  Dim hidden =
      context.node.attributes.has("hidden_size") ? Dim(context.node.attributes.integer("hidden_size", 0)) : Dim{};
  if (r) {
    XI_TRY(hidden, merge_dim(hidden, (*r)[2], "hidden size of attribute and recurrence weights"));
    XI_CHECK(merge_dim((*r)[0], directions, "directions of the recurrence weights"));
  }
  if (x && dims_of(context, 1))
    XI_CHECK(merge_dim((*x)[2], (*dims_of(context, 1))[2], "input size of data and weights"));
  const bool batch_first = context.node.attributes.integer("layout", 0) != 0;
  const Dim first = x ? (*x)[0] : Dim{}, second = x ? (*x)[1] : Dim{};
  Dims all = batch_first ? Dims{first, second, directions, hidden} : Dims{first, directions, second, hidden};
  Dims last = batch_first ? Dims{first, directions, hidden} : Dims{directions, second, hidden};
  std::vector<ValueType> types{tensor_type(dtype, all), tensor_type(dtype, last)};
  if (kCell) types.push_back(tensor_type(dtype, last));
  return outputs(context, std::move(types));
}

std::vector<AttributeInfo> recurrent_attributes(std::vector<AttributeInfo> more) {
  for (auto info : {reals("activation_alpha"), reals("activation_beta"), texts("activations"), real("clip"),
                    text("direction"), integer("hidden_size"), integer("layout")})
    more.push_back(info);
  return more;
}

}  // namespace

void add_recurrent(Rows& rows) {
  rows.push_back({"RNN", 3, 6, 0, 2, recurrent_attributes({}), recurrent<false>, Lowering::kContraction});
  rows.push_back({"GRU", 3, 6, 0, 2, recurrent_attributes({integer("linear_before_reset")}), recurrent<false>,
                  Lowering::kContraction});
  rows.push_back(
      {"LSTM", 3, 8, 0, 3, recurrent_attributes({integer("input_forget")}), recurrent<true>, Lowering::kContraction});
}

}  // namespace xinfer::ir::rules
