// Attention and what goes with it.
#include <fmt/format.h>

#include <cmath>

#include "forge/cpu/irregular/builder.h"
#include "forge/irregular_text.h"

namespace xinfer::forge::cpu::irregular {

namespace {

struct Heads {
  Size batch, length;
  std::int64_t heads, size;
  Size batch_stride, head_stride, row_stride;
};
// [batch, heads, length, size], or [batch, length, heads * size].
Result<Heads> heads_of(const Builder& b, const Sizes& s, std::int64_t heads) {
  XI_TRY(const std::int64_t last, b.fixed(s.back(), "the last size"));
  if (s.size() != 4) return Heads{s[0], s[1], heads, last / heads, s[1] * last, last / heads, last};
  XI_TRY(heads, b.fixed(s[1], "the number of heads"));
  return Heads{s[0], s[2], heads, last, s[1] * s[2] * last, s[2] * last, last};
}

double scale_of(const Builder& b, std::int64_t size) {
  const auto* scale = b.node.attributes.get<float>("scale");
  return scale && *scale != 0 ? *scale : 1 / std::sqrt(static_cast<double>(size));
}

Result<void> require_floats(const Builder& b, std::initializer_list<std::size_t> inputs) {
  for (std::size_t i : inputs)
    if (b.has(i) && element_type(b.dtype(i)) != "float")
      return fail(Code::kUnsupported, "{} of {}", b.node.op, tensor::name(b.dtype(i)));
  return {};
}

Result<void> add_mask(Builder& b, const Heads& q, const Size& keys) {
  Sizes strides(4, 0);
  Size mask_keys = keys;
  if (b.has(3)) {
    Sizes shape = b.sizes(3);
    while (shape.size() < 4) shape.insert(shape.begin(), 1);
    const Size wanted[] = {q.batch, q.heads, q.length, keys};
    strides = dense_strides(shape);
    for (std::size_t d = 0; d < 4; ++d) {
      if (shape[d] == Size(1)) strides[d] = 0;
      else if (d < 3 || !surely_at_most(shape[d], wanted[d])) XI_CHECK(b.require_equal(shape[d], wanted[d], "mask and scores"));
    }
    if (!(shape[3] == Size(1))) mask_keys = shape[3];
  }
  b.list("kMaskStrides", strides)
      .add("kMaskKeys", mask_keys)
      .flag("kBooleanMask", b.has(3) && b.dtype(3) == DType::kBool);
  return {};
}

Kernel attention(Builder& b) {
  XI_CHECK(require_floats(b, {0, 1, 2, 4, 5}));
  XI_TRY(const Heads q, heads_of(b, b.sizes(0), b.integer("q_num_heads", 0)));
  XI_TRY(const Heads k, heads_of(b, b.sizes(1), b.integer("kv_num_heads", 0)));
  XI_TRY(const Heads v, heads_of(b, b.sizes(2), b.integer("kv_num_heads", 0)));
  XI_CHECK(b.require_equal(k.length, v.length, "lengths of keys and values"));
  for (const Heads* other : {&k, &v}) XI_CHECK(b.require_equal(other->batch, q.batch, "batches of queries, keys and values"));
  const Size past = b.has(4) ? b.sizes(4)[2] : Size(0), keys = k.length + past;
  if (b.has(5)) XI_CHECK(b.require_equal(b.sizes(5)[2], past, "lengths of past keys and values"));
  XI_TRY(const Heads y, heads_of(b, b.out_sizes(0), q.heads));
  b.add("kHeads", q.heads)
      .add("kKvHeads", k.heads)
      .add("kQueries", q.length)
      .add("kKeys", keys)
      .add("kPast", past)
      .add("kSize", q.size)
      .add("kValueSize", v.size);
  b.add("kQB", q.batch_stride)
      .add("kQH", q.head_stride)
      .add("kQS", q.row_stride)
      .add("kKB", k.batch_stride)
      .add("kKH", k.head_stride)
      .add("kKS", k.row_stride);
  b.add("kVB", v.batch_stride)
      .add("kVH", v.head_stride)
      .add("kVS", v.row_stride)
      .add("kYB", y.batch_stride)
      .add("kYH", y.head_stride)
      .add("kYS", y.row_stride);
  b.add("kScale", scale_of(b, q.size)).add("kSoftcap", static_cast<double>(b.node.attributes.real("softcap", 0)));
  b.flag("kCausal", b.integer("is_causal", 0) != 0).add("kScoreMode", b.integer("qk_matmul_output_mode", 0));
  XI_CHECK(add_mask(b, q, keys));
  const Size rows = q.batch * q.heads * q.length, copies = b.wants(1) || b.wants(2) ? k.batch * k.heads : Size(0);
  b.add("kRows", rows);
  return b.finish(rows + copies, 2.0 * estimate(rows * keys * (q.size + v.size)),
                  static_cast<std::uint64_t>(keys.max() + v.size) * 4, fmt::format("attention {} keys of {}", keys.text(), q.size),
                  {kIrregularAttentionInc});
}

// Where the operator's positions and caches are: inputs differ between the domains.
Kernel rotary(Builder& b, std::size_t positions, std::size_t cosines, std::size_t sines, std::int64_t rotated,
              std::int64_t heads) {
  XI_CHECK(require_floats(b, {0, cosines, sines}));
  const Sizes s = b.sizes(0);
  const bool heads_first = s.size() == 4;
  const Size length = heads_first ? s[2] : s[1];
  XI_TRY(std::int64_t size, b.fixed(s.back(), "the last size"));
  if (heads_first) {
    XI_TRY(heads, b.fixed(s[1], "the number of heads"));
  } else {
    size /= heads;
  }
  if (rotated == 0) rotated = size;
  b.add("kLength", length)
      .add("kHeads", heads)
      .add("kSize", size)
      .add("kRotated", rotated)
      .flag("kHeadsFirst", heads_first);
  b.flag("kInterleaved", b.integer("interleaved", 0) != 0)
      .add("kPositions", std::int64_t{!b.has(positions) ? 0 : b.elements(positions) == Size(1) ? 1 : 2})
      .add("kCacheRows", floor_div(b.elements(cosines), rotated / 2));
  if (b.has(positions) && !(b.elements(positions) == Size(1)))
    XI_CHECK(b.require_equal(b.elements(positions), s[0] * length, "positions and tokens"));
  b.line(
      fmt::format("#define XI_POSITIONS XI_INPUT({})\n#define XI_COSINES XI_INPUT({})\n#define XI_SINES XI_INPUT({})",
                  positions, cosines, sines));
  return b.finish(s[0] * length, 6.0 * estimate(b.elements(0)), 0, "rotary embedding", {kIrregularRotaryInc});
}

Kernel rotary_embedding(Builder& b) {
  return rotary(b, 3, 1, 2, b.integer("rotary_embedding_dim", 0), b.integer("num_heads", 0));
}
Kernel rotary_microsoft(Builder& b) {
  XI_TRY(const std::int64_t half, b.fixed(b.sizes(2)[1], "the width of the cosines"));
  const std::int64_t rotated = 2 * half;
  std::int64_t heads = b.integer("num_heads", 0);
  if (heads == 0) {
    XI_TRY(const std::int64_t last, b.fixed(b.sizes(0).back(), "the last size"));
    heads = last / rotated;
  }
  return rotary(b, 1, 2, 3, rotated, heads);
}

Kernel causal_conv(Builder& b) {
  const Sizes x = b.sizes(0);
  XI_TRY(const std::int64_t kernel, b.fixed(b.sizes(1)[2], "the kernel"));
  if (b.has(3)) XI_CHECK(b.require_equal(b.sizes(3)[0], x[0], "batches of data and state"));
  const std::string activation = b.text("activation", "none");
  b.add("kChannels", x[1]).add("kLength", x[2]).add("kKernel", kernel).flag("kSilu", activation == "silu" || activation == "swish");
  return b.finish(x[0] * x[1], 2.0 * estimate(b.elements(0) * kernel), 0, "causal convolution", {kIrregularCausalConvInc});
}

Kernel linear_attention(Builder& b) {
  const std::int64_t heads = b.integer("q_num_heads", 1), kv_heads = b.integer("kv_num_heads", 1);
  XI_TRY(std::int64_t dk, b.fixed(b.sizes(1)[2], "the width of the keys"));
  XI_TRY(std::int64_t dv, b.fixed(b.sizes(2)[2], "the width of the values"));
  dk /= kv_heads, dv /= kv_heads;
  for (std::size_t i = 1; i < 6; ++i) {
    if (b.has(i)) XI_CHECK(b.require_equal(b.sizes(i)[0], b.sizes(0)[0], "batches of the inputs"));
    if (b.has(i) && i != 3) XI_CHECK(b.require_equal(b.sizes(i)[1], b.sizes(0)[1], "lengths of the inputs"));
  }
  std::int64_t decay = kv_heads, beta = 1;
  if (b.has(4)) {
    XI_TRY(decay, b.fixed(b.sizes(4)[2], "the width of the decay"));
  }
  if (b.has(5)) {
    XI_TRY(beta, b.fixed(b.sizes(5)[2], "the width of beta"));
  }
  const std::string rule = b.text("update_rule", "gated_delta");
  const bool gated = rule == "gated" || rule == "gated_delta", delta = rule == "delta" || rule == "gated_delta";
  if ((gated && !b.has(4)) || (delta && !b.has(5)))
    return fail(Code::kInvalidArgument, "update_rule '{}' needs decay or beta", rule);
  b.add("kHeads", heads)
      .add("kKvHeads", kv_heads)
      .add("kKeySize", dk)
      .add("kValueSize", dv)
      .add("kLength", b.sizes(0)[1])
      .flag("kGated", gated)
      .flag("kDelta", delta);
  b.add("kScale", scale_of(b, dk))
      .add("kDecayWidth", decay / kv_heads)
      .add("kBetaWidth", beta);
  const Size items = b.sizes(0)[0] * kv_heads;
  return b.finish(items, 8.0 * estimate(items * b.sizes(0)[1] * dk * dv),
                  static_cast<std::uint64_t>(dk * dv + dv) * 4, "linear attention " + rule,
                  {kIrregularLinearAttentionInc});
}

constexpr Row kRows[] = {{"Attention", attention, true},
                         {"RotaryEmbedding", rotary_embedding, true},
                         {"com.microsoft.RotaryEmbedding", rotary_microsoft, true},
                         {"CausalConvWithState", causal_conv, true},
                         {"LinearAttention", linear_attention, true}};

}  // namespace

std::span<const Row> attention_kernels() { return kRows; }

}  // namespace xinfer::forge::cpu::irregular
