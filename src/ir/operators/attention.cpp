// Attention and what goes with it.
#include "ir/operators/rules.h"

namespace xinfer::ir::rules {

namespace {

// Sizes of one of Q, K, V, whether it comes as [B, heads, S, D] or [B, S, heads * D].
struct Heads {
  Dim batch, heads, length, size;
};
Result<Heads> heads_of(const Dims& dims, std::int64_t num_heads, std::string_view name) {
  if (dims.size() == 4) return Heads{dims[0], dims[1], dims[2], dims[3]};
  if (dims.size() != 3) return fail(Code::kInvalidArgument, "{} must have rank 3 or 4, not {}", name, dims.size());
  if (num_heads <= 0)
    return fail(Code::kInvalidArgument, "{} of rank 3 needs its number of heads as an attribute", name);
  if (dims[2].is_static() && dims[2].value % num_heads != 0)
    return fail(Code::kInvalidArgument, "{} has {} features for {} heads", name, dims[2].value, num_heads);
  return Heads{dims[0], Dim(num_heads), dims[1], dims[2].is_static() ? Dim(dims[2].value / num_heads) : Dim{}};
}

Types attention(const ShapeContext& context) {
  const DType dtype = dtype_of(context, 0);
  const Dims *dq = dims_of(context, 0), *dk = dims_of(context, 1), *dv = dims_of(context, 2);
  if (!dq || !dk || !dv)
    return outputs(context, {unknown_rank(dtype), unknown_rank(dtype), unknown_rank(dtype), unknown_rank(dtype)});
  const auto q_heads = context.node.attributes.integer("q_num_heads", 0),
             kv_heads = context.node.attributes.integer("kv_num_heads", 0);
  XI_TRY(Heads q, heads_of(*dq, q_heads, "Q"));
  XI_TRY(Heads k, heads_of(*dk, kv_heads, "K"));
  XI_TRY(Heads v, heads_of(*dv, kv_heads, "V"));
  XI_CHECK(merge_dim(q.size, k.size, "head sizes of Q and K"));
  XI_CHECK(merge_dim(k.length, v.length, "lengths of K and V"));
  if (q.heads.is_static() && k.heads.is_static() && (k.heads.value == 0 || q.heads.value % k.heads.value != 0))
    return fail(Code::kInvalidArgument, "{} query heads do not divide among {} key heads", q.heads.value,
                k.heads.value);
  Dim total = k.length;
  if (context.has_input(4)) {
    XI_CHECK(require_rank(context, 4, 4));
    const Dims* past = dims_of(context, 4);
    total = past ? add(k.length, (*past)[2]) : Dim{};
  }
  Dims y = dq->size() == 4
               ? Dims{q.batch, q.heads, q.length, v.size}
               : Dims{q.batch, q.length,
                      q.heads.is_static() ? multiply(v.size, q.heads.value) : Dim{}};
  return outputs(context, {tensor_type(dtype, std::move(y)), tensor_type(dtype, Dims{k.batch, k.heads, total, k.size}),
                           tensor_type(dtype_of(context, 2), Dims{v.batch, v.heads, total, v.size}),
                           tensor_type(dtype, Dims{q.batch, q.heads, q.length, total})});
}

Types rotary_embedding(const ShapeContext& context) {
  if (const Dims* x = dims_of(context, 0); x && x->size() != 3 && x->size() != 4)
    return fail(Code::kInvalidArgument, "input 0 must have rank 3 or 4, not {}", x->size());
  return same_as_first(context);
}

Types causal_conv(const ShapeContext& context) {
  for (std::size_t i : {0u, 1u, 3u}) XI_CHECK(require_rank(context, i, 3));
  const Dims *x = dims_of(context, 0), *w = dims_of(context, 1);
  ValueType state = tensor_type(dtype_of(context, 0), Dims{x ? (*x)[0] : Dim{}, x ? (*x)[1] : Dim{},
                                                           w && (*w)[2].is_static() ? Dim((*w)[2].value - 1) : Dim{}});
  return outputs(context, {context.input(0), state});
}

Types linear_attention(const ShapeContext& context) {
  for (std::size_t i : {0u, 1u, 2u}) XI_CHECK(require_rank(context, i, 3));
  const DType dtype = dtype_of(context, 0);
  const auto q_heads = context.node.attributes.integer("q_num_heads", 0),
             kv_heads = context.node.attributes.integer("kv_num_heads", 0);
  if (q_heads <= 0 || kv_heads <= 0 || q_heads % kv_heads != 0)
    return fail(Code::kInvalidArgument, "{} query heads and {} key heads", q_heads, kv_heads);
  const Dims *q = dims_of(context, 0), *k = dims_of(context, 1), *v = dims_of(context, 2);
  if (!q || !k || !v) return outputs(context, {tensor_type(dtype, Dims(3)), tensor_type(dtype, Dims(4))});
  auto per_head = [](const Dim& dim, std::int64_t heads) { return dim.is_static() ? Dim(dim.value / heads) : Dim{}; };
  const Dim size = per_head((*v)[2], kv_heads);
  const DType state = context.has_input(3) ? dtype_of(context, 3) : dtype;
  return outputs(context,
                 {tensor_type(dtype, Dims{(*q)[0], (*q)[1], multiply(size, q_heads)}),
                  tensor_type(state, Dims{(*q)[0], Dim(kv_heads), per_head((*k)[2], kv_heads), size})});
}

}  // namespace

void add_attention(Rows& rows) {
  rows.push_back({"Attention",
                  3,
                  7,
                  1,
                  4,
                  {integer("is_causal"), integer("kv_num_heads"), integer("q_num_heads"),
                   integer("qk_matmul_output_mode"), real("scale"), real("softcap"), integer("softmax_precision")},
                  attention,
                  Lowering::kIrregular});
  rows.push_back({"RotaryEmbedding",
                  3,
                  4,
                  1,
                  1,
                  {integer("interleaved"), integer("num_heads"), integer("rotary_embedding_dim")},
                  rotary_embedding,
                  Lowering::kIrregular});
  rows.push_back({"CausalConvWithState", 2, 4, 1, 2, {text("activation")}, causal_conv, Lowering::kIrregular});
  rows.push_back({"LinearAttention",
                  3,
                  6,
                  1,
                  2,
                  {integer("q_num_heads", true), integer("kv_num_heads", true), text("update_rule"), real("scale"),
                   integer("chunk_size")},
                  linear_attention,
                  Lowering::kIrregular});
}

}  // namespace xinfer::ir::rules
