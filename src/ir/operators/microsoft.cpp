// com.microsoft: what exported and optimised models use most.
#include <algorithm>

#include "ir/operators/rules.h"

namespace xinfer::ir::rules {

namespace {

// The rule of a standard operator under its own name.
Types like(const ShapeContext& context, std::string_view op) { return find_operator(op)->shape_rule(context); }
Types fused_conv(const ShapeContext& context) { return like(context, "Conv"); }
Types fused_gemm(const ShapeContext& context) { return like(context, "Gemm"); }

Types fused_matmul(const ShapeContext& context) {
  XI_CHECK(require_same_dtype(context, 0, 1));
  const DType dtype = dtype_of(context, 0);
  const Dims *pa = dims_of(context, 0), *pb = dims_of(context, 1);
  if (!pa || !pb) return output(context, unknown_rank(dtype));
  Dims a = *pa, b = *pb;
  if (a.size() < 2 || b.size() < 2) return fail(Code::kUnsupported, "FusedMatMul of vectors");
  for (std::string_view name : {"transBatchA", "transBatchB"})
    if (context.node.attributes.integer(name, 0) != 0) return fail(Code::kUnsupported, "attribute '{}'", name);
  if (context.node.attributes.integer("transA", 0) != 0) std::swap(a.back(), a[a.size() - 2]);
  if (context.node.attributes.integer("transB", 0) != 0) std::swap(b.back(), b[b.size() - 2]);
  XI_CHECK(merge_dim(a.back(), b[b.size() - 2], "the summed dimension of the two inputs"));
  XI_TRY(auto out, broadcast_dims(Dims(a.begin(), a.end() - 2), Dims(b.begin(), b.end() - 2)));
  out.push_back(a[a.size() - 2]);
  out.push_back(b.back());
  return output(context, tensor_type(dtype, std::move(out)));
}

// output, mean, inverse deviation, sum of the inputs.
Types skip_normalization(const ShapeContext& context) {
  ValueType stats = tensor_type(DType::kFloat32, context.input(0).dims);
  if (stats.dims && !stats.dims->empty()) stats.dims->back() = Dim(1);
  return outputs(context, {context.input(0), stats, stats, context.input(0)});
}

// Optional inputs stand in front of others that are not.
Result<void> require_inputs(const ShapeContext& context, std::initializer_list<std::size_t> wanted) {
  for (std::size_t i : wanted)
    if (!context.has_input(i)) return fail(Code::kInvalidArgument, "input {} is missing", i);
  return {};
}

Types embed_normalization(const ShapeContext& context) {
  XI_CHECK(require_inputs(context, {0, 2, 3, 5, 6}));
  const Dims *ids = dims_of(context, 0), *words = dims_of(context, 2);
  const DType dtype = dtype_of(context, 2);
  Dims out{ids ? (*ids)[0] : Dim{}, ids ? (*ids)[1] : Dim{}, words ? (*words)[1] : Dim{}};
  return outputs(context, {tensor_type(dtype, out), tensor_type(DType::kInt32, Dims{out[0]}), tensor_type(dtype, out)});
}

// Output, and the cache [2, batch, heads, past + length, size].
Types projected_attention(const ShapeContext& context, std::size_t past_input) {
  XI_CHECK(require_rank(context, 0, 3));
  XI_CHECK(require_rank(context, 1, 2));
  if (context.has_input(past_input)) XI_CHECK(require_rank(context, past_input, 5));
  const std::int64_t heads = context.node.attributes.integer("num_heads", 0);
  if (heads <= 0) return fail(Code::kInvalidArgument, "num_heads is {}", heads);
  const DType dtype = dtype_of(context, context.node.op.ends_with("QAttention") ? 3 : 0);
  const Dims *x = dims_of(context, 0), *w = dims_of(context, 1), *past = dims_of(context, past_input);
  Dims out = x ? *x : Dims(3);
  auto sizes = context.node.attributes.integers("qkv_hidden_sizes");
  out[2] = sizes.size() == 3 ? Dim(sizes[2]) : w && (*w)[1].is_static() ? Dim((*w)[1].value / 3) : Dim{};
  Dims present{Dim(2), out[0], Dim(heads), past ? add(out[1], (*past)[3]) : context.has_input(past_input) ? Dim{} : out[1],
               out[2].is_static() ? Dim(out[2].value / heads) : Dim{}};
  return outputs(context, {tensor_type(dtype, std::move(out)), tensor_type(dtype, std::move(present))});
}
Types attention(const ShapeContext& context) { return projected_attention(context, 4); }
Types qattention(const ShapeContext& context) { return projected_attention(context, 8); }

// The caches have room for what they had and the new tokens, or for the total length where it is known and they are longer.
Types group_query_attention(const ShapeContext& context) {
  XI_CHECK(require_inputs(context, {0, 5, 6}));
  XI_CHECK(require_rank(context, 0, 3));
  for (std::size_t i : {3u, 4u})
    if (context.has_input(i)) XI_CHECK(require_rank(context, i, 4));
  const Attributes& a = context.node.attributes;
  const std::int64_t heads = a.integer("num_heads", 0), kv_heads = a.integer("kv_num_heads", 0);
  if (heads <= 0 || kv_heads <= 0 || heads % kv_heads != 0)
    return fail(Code::kInvalidArgument, "{} query heads and {} key heads", heads, kv_heads);
  if (a.integer("smooth_softmax", 0) > 0 || a.integer("qk_output", 0) != 0 || context.num_inputs() > 11)
    return fail(Code::kUnsupported, "GroupQueryAttention with smooth_softmax, qk_output or sinks");
  const DType dtype = dtype_of(context, 0);
  const Dims *q = dims_of(context, 0), *past = dims_of(context, 3);
  Dims out = q ? *q : Dims(3);
  const std::int64_t parts = context.has_input(1) ? heads : heads + 2 * kv_heads;
  if (out[2].is_static() && out[2].value % parts != 0)
    return fail(Code::kInvalidArgument, "{} features for {} heads", out[2].value, parts);
  const Dim size = out[2].is_static() ? Dim(out[2].value / parts) : Dim{};
  out[2] = size.is_static() ? Dim(size.value * heads) : Dim{};
  Dim length = past ? add((*past)[2], out[1]) : context.has_input(3) ? Dim{} : out[1];
  if (auto total = constant_integers(context, 6); total && total->size() == 1 && past && (*past)[2].is_static())
    length = Dim(std::max((*total)[0], (*past)[2].value));
  const ValueType cache = tensor_type(dtype, Dims{out[0], Dim(kv_heads), length, size});
  return outputs(context, {tensor_type(dtype, std::move(out)), cache, cache});
}

// Keys and values [batch, length, heads * size], or projected and split already: [batch, heads, length, size].
Types multi_head_attention(const ShapeContext& context) {
  XI_CHECK(require_rank(context, 0, 3));
  for (std::size_t i : {1u, 2u}) {
    if (!context.has_input(i)) return fail(Code::kUnsupported, "MultiHeadAttention with packed inputs: input {} is missing", i);
    if (const Dims* dims = dims_of(context, i); dims && dims->size() != 4) XI_CHECK(require_rank(context, i, 3));
  }
  if (const Dims* dims = dims_of(context, 1); dims && dims->size() == 4 && context.has_input(6))
    return fail(Code::kUnsupported, "MultiHeadAttention with a past in front of keys that are split already");
  const std::int64_t heads = context.node.attributes.integer("num_heads", 0);
  if (heads <= 0) return fail(Code::kInvalidArgument, "num_heads is {}", heads);
  const DType dtype = dtype_of(context, 0);
  const Dims *q = dims_of(context, 0), *k = dims_of(context, 1), *v = dims_of(context, 2);
  Dims out = q ? *q : Dims(3);
  if (v) out[2] = v->size() == 3 ? (*v)[2] : (*v)[3].is_static() ? Dim((*v)[3].value * heads) : Dim{};
  auto cache = [&](const Dims* x, std::size_t past_input) {
    if (!x) return tensor_type(dtype, Dims(4));
    if (x->size() == 4) return tensor_type(dtype, *x);
    const Dims* past = dims_of(context, past_input);
    Dim length = past ? add((*x)[1], (*past)[2]) : context.has_input(past_input) ? Dim{} : (*x)[1];
    return tensor_type(dtype,
                       Dims{(*x)[0], Dim(heads), length, (*x)[2].is_static() ? Dim((*x)[2].value / heads) : Dim{}});
  };
  return outputs(context, {tensor_type(dtype, std::move(out)), cache(k, 6), cache(v, 7)});
}

// Shape of input 0 broadcast with the other data input; element type of the output's zero point, or of input 0.
Types qlinear_binary(const ShapeContext& context) {
  const Dims *a = dims_of(context, 0), *b = dims_of(context, 3);
  if (!a || !b) return output(context, unknown_rank(dtype_of(context, 0)));
  XI_TRY(auto dims, broadcast_dims(*a, *b));
  return output(context, tensor_type(dtype_of(context, 0), std::move(dims)));
}

Types qlinear_global_pool(const ShapeContext& context) {
  if (context.node.attributes.integer("channels_last", 0) != 0) return fail(Code::kUnsupported, "channels_last");
  return like(context, "GlobalAveragePool");
}

Types qlinear_average_pool(const ShapeContext& context) {
  if (context.node.attributes.integer("channels_last", 0) != 0) return fail(Code::kUnsupported, "channels_last");
  return like(context, "AveragePool");
}

// X, scale, zero point, Y scale, zero point; the axes are an attribute.
Types qlinear_reduce(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, unknown_rank(dtype_of(context, 0)));
  std::vector<std::int64_t> all;
  for (std::size_t i = 0; i < in->size(); ++i) all.push_back(static_cast<std::int64_t>(i));
  XI_TRY(auto axes, normalize_axes(context.node.attributes.integers("axes", all), static_cast<std::int64_t>(in->size())));
  Dims out;
  for (std::size_t i = 0; i < in->size(); ++i) {
    if (std::ranges::find(axes, static_cast<std::int64_t>(i)) == axes.end()) out.push_back((*in)[i]);
    else if (context.node.attributes.integer("keepdims", 1) != 0) out.emplace_back(1);
  }
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

// Condition, X, scale, zero point, Y, scale, zero point, Z scale, zero point.
Types qlinear_where(const ShapeContext& context) {
  const Dims *c = dims_of(context, 0), *x = dims_of(context, 1), *y = dims_of(context, 4);
  if (!c || !x || !y) return output(context, unknown_rank(dtype_of(context, 1)));
  XI_TRY(auto both, broadcast_dims(*x, *y));
  XI_TRY(auto dims, broadcast_dims(*c, both));
  return output(context, tensor_type(dtype_of(context, 1), std::move(dims)));
}

// Half of the features, activated, times the other half.
Types bias_split_gelu(const ShapeContext& context) {
  ValueType type = context.input(0);
  if (type.dims && !type.dims->empty()) type.dims->back() = type.dims->back().is_static() ? Dim(type.dims->back().value / 2) : Dim{};
  return output(context, std::move(type));
}

Types distances(const ShapeContext& context) {
  for (std::size_t i : {0u, 1u}) XI_CHECK(require_rank(context, i, 2));
  const Dims *a = dims_of(context, 0), *b = dims_of(context, 1);
  if (a && b) XI_CHECK(merge_dim((*a)[1], (*b)[1], "the features of the two inputs"));
  return output(context, tensor_type(dtype_of(context, 0), Dims{a ? (*a)[0] : Dim{}, b ? (*b)[0] : Dim{}}));
}

// Y scale, Y zero point, then (X, scale, zero point) for each part.
Types qlinear_concat(const ShapeContext& context) {
  const DType dtype = dtype_of(context, 2);
  if (context.num_inputs() < 5 || context.num_inputs() % 3 != 2)
    return fail(Code::kInvalidArgument, "{} inputs: two and three for each part are wanted", context.num_inputs());
  const Dims* first = dims_of(context, 2);
  if (!first) return output(context, unknown_rank(dtype));
  XI_TRY(auto axis,
         normalize_axis(context.node.attributes.integer("axis", 0), static_cast<std::int64_t>(first->size())));
  Dims out = *first;
  for (std::size_t i = 5; i < context.num_inputs(); i += 3) {
    const Dims* dims = dims_of(context, i);
    if (!dims || dims->size() != out.size()) return output(context, tensor_type(dtype, Dims(out.size())));
    out[static_cast<std::size_t>(axis)] =
        add(out[static_cast<std::size_t>(axis)], (*dims)[static_cast<std::size_t>(axis)]);
  }
  return output(context, tensor_type(dtype, std::move(out)));
}

// A, A scale, A zero point, B, B scale, B zero point, C, Y scale, Y zero point.
Types qgemm(const ShapeContext& context) {
  const Dims *a = dims_of(context, 0), *b = dims_of(context, 3);
  const DType dtype = context.has_input(8) ? dtype_of(context, 8) : DType::kFloat32;
  if (!a || !b) return output(context, tensor_type(dtype, Dims(2)));
  const std::size_t ta = context.node.attributes.integer("transA", 0) != 0,
                    tb = context.node.attributes.integer("transB", 0) != 0;
  XI_CHECK(merge_dim((*a)[1 - ta], (*b)[tb], "the summed dimension of the two inputs"));
  return output(context, tensor_type(dtype, Dims{(*a)[ta], (*b)[1 - tb]}));
}

Types product_to_float(const ShapeContext& context) {
  ShapeContext two{context.graph, context.node};
  XI_TRY(auto types, like(two, "MatMulInteger"));
  types[0].dtype = DType::kFloat32;
  return outputs(context, std::move(types));
}

Types matmul_nbits(const ShapeContext& context) {
  const Dims* a = dims_of(context, 0);
  Dims out = a ? *a : Dims(2);
  XI_CHECK(merge_dim(out.back(), Dim(context.node.attributes.integer("K", 0)), "K and the input's last dimension"));
  out.back() = Dim(context.node.attributes.integer("N", 0));
  return output(context, tensor_type(dtype_of(context, 0), std::move(out)));
}

Types inverse(const ShapeContext& context) {
  XI_CHECK(require_min_rank(context, 0, 2));
  return same_as_first(context);
}

// W [directions, in, 4 * hidden] and R [directions, hidden, 4 * hidden], the other way round than LSTM's.
Types quantized_lstm(const ShapeContext& context) {
  for (std::size_t i : {0u, 1u, 2u}) XI_CHECK(require_rank(context, i, 3));
  XI_CHECK(require_inputs(context, {8, 9, 10, 11}));
  const Attributes& a = context.node.attributes;
  const Dims *x = dims_of(context, 0), *r = dims_of(context, 2);
  const Dim directions(a.string("direction", "forward") == "bidirectional" ? 2 : 1), time = x ? (*x)[0] : Dim{}, batch = x ? (*x)[1] : Dim{};
  Dim hidden = a.has("hidden_size") ? Dim(a.integer("hidden_size", 0)) : Dim{};
  if (r) {
    XI_TRY(hidden, merge_dim(hidden, (*r)[1], "hidden size of attribute and recurrence weights"));
  }
  const ValueType last = tensor_type(DType::kFloat32, Dims{directions, batch, hidden});
  return outputs(context, {tensor_type(DType::kFloat32, Dims{time, directions, batch, hidden}), last, last});
}

// The standard operator on data whose channels come last.
Types channels_last(const ShapeContext& context, std::string_view op) {
  const Dims* x = dims_of(context, 0);
  if (!x || x->size() < 3) return output(context, unknown_rank(dtype_of(context, 0)));
  Graph graph;
  Node node = context.node;
  node.op = op;
  node.outputs.resize(1);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    if (!context.has_input(i)) continue;
    ValueType type = context.input(i);
    if (i == 0) std::rotate(type.dims->begin() + 1, type.dims->end() - 1, type.dims->end());
    node.inputs[i] = graph.add_value("", std::move(type));
    graph.value(node.inputs[i]).constant = context.graph.value(context.node.inputs[i]).constant;
  }
  XI_TRY(auto types, find_operator(op)->shape_rule({graph, node}));
  if (types[0].dims) std::rotate(types[0].dims->begin() + 1, types[0].dims->begin() + 2, types[0].dims->end());
  return outputs(context, std::move(types));
}
Types nhwc_max_pool(const ShapeContext& context) { return channels_last(context, "MaxPool"); }
Types qlinear_conv(const ShapeContext& context) {
  return context.node.attributes.integer("channels_last", 0) != 0 ? channels_last(context, "QLinearConv") : like(context, "QLinearConv");
}

// Rows of a table of small whole numbers, two of them in a byte where it is one of uint8.
Types gather_block_quantized(const ShapeContext& context) {
  const Attributes& a = context.node.attributes;
  const Dims *data = dims_of(context, 0), *indices = dims_of(context, 1);
  const DType dtype = dtype_of(context, 2);
  if (!data || !indices) return output(context, unknown_rank(dtype));
  const auto rank = static_cast<std::int64_t>(data->size());
  XI_TRY(const std::int64_t along, normalize_axis(a.integer("gather_axis", 0), rank));
  XI_TRY(const std::int64_t blocks, normalize_axis(a.integer("quantize_axis", 1), rank));
  if (along != 0 || blocks != rank - 1 || rank < 2) return fail(Code::kUnsupported, "GatherBlockQuantized along axis {} with blocks along axis {}: the first and the last are supported", along, blocks);
  Dims out = *indices;
  out.insert(out.end(), data->begin() + 1, data->end());
  if (dtype_of(context, 0) == DType::kUint8 && a.integer("bits", 4) == 4) out.back() = multiply(out.back(), 2);
  return output(context, tensor_type(dtype, std::move(out)));
}

std::vector<AttributeInfo> conv_attributes(std::vector<AttributeInfo> more) {
  for (auto info : {text("auto_pad"), integers("kernel_shape"), integers("strides"), integers("dilations"),
                    integers("pads"), integer("group")})
    more.push_back(info);
  return more;
}

void add_quantized_rows(Rows& rows) {
  constexpr auto kIrregular = Lowering::kIrregular;
  for (std::string_view name : {"com.microsoft.QLinearAdd", "com.microsoft.QLinearMul"})
    rows.push_back({name, 7, 8, 1, 1, {}, qlinear_binary, kIrregular});
  rows.push_back({"com.microsoft.QLinearSigmoid", 4, 5, 1, 1, {}, same_as_first, kIrregular});
  rows.push_back({"com.microsoft.QLinearLeakyRelu", 4, 5, 1, 1, {real("alpha")}, same_as_first, kIrregular});
  rows.push_back(
      {"com.microsoft.QLinearSoftmax", 5, 5, 1, 1, {integer("axis"), integer("opset")}, same_as_first, Lowering::kComposite});
  rows.push_back({"com.microsoft.QLinearReduceMean", 5, 5, 1, 1, {integers("axes"), integer("keepdims")}, qlinear_reduce, Lowering::kComposite});
  rows.push_back({"com.microsoft.QLinearWhere", 9, 9, 1, 1, {}, qlinear_where, Lowering::kComposite});
  rows.push_back({"com.microsoft.QLinearGlobalAveragePool",
                  5,
                  5,
                  1,
                  1,
                  {integer("channels_last")},
                  qlinear_global_pool,
                  kIrregular});
  rows.push_back({"com.microsoft.QLinearAveragePool", 4, 5, 1, 1,
                  conv_attributes({integer("ceil_mode"), integer("count_include_pad"), integer("channels_last")}),
                  qlinear_average_pool, Lowering::kComposite});
  rows.push_back(
      {"com.microsoft.QLinearConcat", 5, kVariadic, 1, 1, {integer("axis", true)}, qlinear_concat, Lowering::kComposite});
  rows.push_back(
      {"com.microsoft.QGemm", 6, 9, 1, 1, {real("alpha"), integer("transA"), integer("transB")}, qgemm, Lowering::kComposite});
  rows.push_back({"com.microsoft.MatMulIntegerToFloat", 4, 7, 1, 1, {}, product_to_float, Lowering::kComposite});
  rows.push_back({"com.microsoft.DynamicQuantizeMatMul", 3, 5, 1, 1, {}, product_to_float, Lowering::kComposite});
  rows.push_back({"com.microsoft.MatMulNBits",
                  3,
                  6,
                  1,
                  1,
                  {integer("K", true), integer("N", true), integer("bits"), integer("block_size", true),
                   integer("accuracy_level")},
                  matmul_nbits,
                  Lowering::kComposite});
  rows.push_back({"com.microsoft.MatMulBnb4",
                  3,
                  3,
                  1,
                  1,
                  {integer("K", true), integer("N", true), integer("block_size", true), integer("quant_type", true), integer("training_mode"), integer("transB")},
                  matmul_nbits,
                  Lowering::kComposite});
  rows.push_back({"com.microsoft.GatherBlockQuantized",
                  3,
                  4,
                  1,
                  1,
                  {integer("bits"), integer("block_size"), integer("gather_axis"), integer("quantize_axis")},
                  gather_block_quantized,
                  Lowering::kComposite});
  rows.push_back({"com.microsoft.DynamicQuantizeLSTM",
                  3,
                  12,
                  1,
                  3,
                  {reals("activation_alpha"), reals("activation_beta"), texts("activations"), real("clip"), text("direction"), integer("hidden_size"),
                   integer("input_forget")},
                  quantized_lstm,
                  Lowering::kComposite});
  rows.push_back({"com.microsoft.QLinearConv", 8, 9, 1, 1, conv_attributes({integer("channels_last")}), qlinear_conv, Lowering::kComposite});
  rows.push_back({"com.microsoft.NhwcMaxPool", 1, 1, 1, 1,
                  {text("auto_pad"), integer("ceil_mode"), integers("dilations"), integers("kernel_shape", true), integers("pads"), integers("strides")},
                  nhwc_max_pool, Lowering::kComposite});
}

// Standard operators from before they were such.
void add_renamed_rows(Rows& rows) {
  static constexpr std::string_view kPrefix = "com.microsoft.";
  for (std::string_view name : {"com.microsoft.QuantizeLinear", "com.microsoft.DequantizeLinear", "com.microsoft.Trilu", "com.microsoft.Pad",
                                "com.microsoft.GatherND", "com.microsoft.Range"}) {
    OperatorInfo row = *std::ranges::find(rows, name.substr(kPrefix.size()), &OperatorInfo::name);
    row.name = name;
    row.lowering = Lowering::kComposite;
    rows.push_back(std::move(row));
  }
}

}  // namespace

void add_microsoft(Rows& rows) {
  constexpr auto kIrregular = Lowering::kIrregular;
  rows.push_back({"com.microsoft.FusedConv", 2, 4, 1, 1,
                  conv_attributes({text("activation"), reals("activation_params")}), fused_conv, Lowering::kComposite});
  rows.push_back({"com.microsoft.FusedGemm",
                  2,
                  3,
                  1,
                  1,
                  {real("alpha"), real("beta"), integer("transA"), integer("transB"), text("activation"),
                   real("activation_alpha"), real("activation_beta"), real("activation_gamma")},
                  fused_gemm,
                  Lowering::kComposite});
  for (std::string_view name : {"com.microsoft.FusedMatMul", "com.microsoft.TransposeMatMul"})
    rows.push_back(
        {name,
         2,
         2,
         1,
         1,
         {real("alpha"), integer("transA"), integer("transB"), integer("transBatchA"), integer("transBatchB")},
         fused_matmul,
         Lowering::kComposite});
  rows.push_back({"com.microsoft.Gelu", 1, 1, 1, 1, {}, same_as_first, Lowering::kPointwise});
  rows.push_back({"com.microsoft.BiasGelu", 2, 2, 1, 1, {}, same_as_first, Lowering::kPointwise});
  rows.push_back({"com.microsoft.FastGelu", 1, 2, 1, 1, {}, same_as_first, Lowering::kPointwise});
  rows.push_back({"com.microsoft.QuickGelu", 1, 1, 1, 1, {real("alpha")}, same_as_first, Lowering::kPointwise});
  rows.push_back({"com.microsoft.SkipLayerNormalization",
                  3,
                  5,
                  1,
                  4,
                  {real("epsilon")},
                  skip_normalization,
                  Lowering::kComposite});
  rows.push_back({"com.microsoft.SkipSimplifiedLayerNormalization",
                  3,
                  4,
                  1,
                  4,
                  {real("epsilon")},
                  skip_normalization,
                  Lowering::kComposite});
  rows.push_back({"com.microsoft.EmbedLayerNormalization",
                  1,
                  9,
                  1,
                  3,
                  {real("epsilon"), integer("mask_index_type")},
                  embed_normalization,
                  Lowering::kComposite});
  rows.push_back({"com.microsoft.Attention",
                  2,
                  7,
                  1,
                  2,
                  {integer("num_heads", true), integer("unidirectional"), integers("qkv_hidden_sizes"), real("scale"),
                   real("mask_filter_value"), integer("do_rotary"), integer("past_present_share_buffer"),
                   integer("rotary_embedding_dim")},
                  attention,
                  Lowering::kComposite});
  rows.push_back({"com.microsoft.QAttention",
                  5,
                  9,
                  1,
                  2,
                  {integer("num_heads", true), integer("unidirectional"), real("scale"), real("mask_filter_value"),
                   integer("do_rotary"), integer("past_present_share_buffer")},
                  qattention,
                  Lowering::kComposite});
  rows.push_back({"com.microsoft.GroupQueryAttention",
                  1,
                  12,
                  1,
                  3,
                  {integer("num_heads", true), integer("kv_num_heads", true), integer("do_rotary"), integer("rotary_interleaved"),
                   integer("local_window_size"), integer("smooth_softmax"), integer("qk_output"), integer("kv_cache_bit_width"),
                   text("k_quant_type"), text("v_quant_type"), real("scale"), real("softcap")},
                  group_query_attention,
                  Lowering::kComposite});
  rows.push_back({"com.microsoft.MultiHeadAttention",
                  3,
                  10,
                  1,
                  3,
                  {integer("num_heads", true), real("mask_filter_value"), real("scale"), integer("unidirectional")},
                  multi_head_attention,
                  Lowering::kComposite});
  rows.push_back({"com.microsoft.RotaryEmbedding",
                  4,
                  4,
                  1,
                  1,
                  {integer("interleaved"), integer("is_packed_batching"), integer("num_heads"),
                   integer("rotary_embedding_dim"), real("scale")},
                  same_as_first,
                  kIrregular});
  rows.push_back({"com.microsoft.BiasAdd", 3, 3, 1, 1, {}, same_as_first, Lowering::kComposite});
  rows.push_back({"com.microsoft.BiasSplitGelu", 2, 2, 1, 1, {}, bias_split_gelu, Lowering::kComposite});
  rows.push_back({"com.microsoft.CDist", 2, 2, 1, 1, {text("metric")}, distances, Lowering::kComposite});
  rows.push_back({"com.microsoft.Inverse", 1, 1, 1, 1, {}, inverse, kIrregular});
  add_quantized_rows(rows);
  add_renamed_rows(rows);
}

}  // namespace xinfer::ir::rules
