// Recurrent layers.
#include "ir/operators/rules.h"

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
