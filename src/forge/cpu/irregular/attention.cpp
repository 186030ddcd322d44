// Attention and what goes with it.
#include <fmt/format.h>

#include <cmath>

#include "forge/cpu/irregular/builder.h"
#include "forge/irregular_text.h"

namespace xinfer::forge::cpu::irregular {

namespace {

struct Heads {
  std::int64_t batch, heads, length, size;
  std::int64_t batch_stride, head_stride, row_stride;
};
// [batch, heads, length, size], or [batch, length, heads * size].
Heads heads_of(const Shape& s, std::int64_t heads) {
  if (s.size() == 4) return {s[0], s[1], s[2], s[3], s[1] * s[2] * s[3], s[2] * s[3], s[3]};
  return {s[0], heads, s[1], s[2] / heads, s[1] * s[2], s[2] / heads, s[2]};
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

Result<void> add_mask(Builder& b, const Heads& q, std::int64_t keys) {
  Shape strides(4, 0);
  std::int64_t mask_keys = keys;
  if (b.has(3)) {
    Shape shape = b.shape(3);
    while (shape.size() < 4) shape.insert(shape.begin(), 1);
    const std::int64_t wanted[] = {q.batch, q.heads, q.length, keys};
    strides = tensor::strides_of(shape);
    for (std::size_t d = 0; d < 4; ++d) {
      if (shape[d] == 1) strides[d] = 0;
      else if (d < 3 ? shape[d] != wanted[d] : shape[d] > wanted[d])
        return fail(Code::kInvalidArgument, "a mask of shape {}", tensor::to_string(b.shape(3)));
    }
    if (shape[3] != 1) mask_keys = shape[3];
  }
  b.list("kMaskStrides", strides)
      .add("kMaskKeys", mask_keys)
      .flag("kBooleanMask", b.has(3) && b.dtype(3) == DType::kBool);
  return {};
}

Kernel attention(Builder& b) {
  XI_CHECK(require_floats(b, {0, 1, 2, 4, 5}));
  const Heads q = heads_of(b.shape(0), b.integer("q_num_heads", 0)),
              k = heads_of(b.shape(1), b.integer("kv_num_heads", 0)),
              v = heads_of(b.shape(2), b.integer("kv_num_heads", 0));
  const std::int64_t past = b.has(4) ? b.shape(4)[2] : 0, keys = k.length + past;
  const Heads y = heads_of(b.out_shape(0), q.heads);
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
  const std::int64_t rows = q.batch * q.heads * q.length, copies = b.wants(1) || b.wants(2) ? k.batch * k.heads : 0;
  b.add("kRows", rows);
  return b.finish(rows + copies, 2.0 * static_cast<double>(rows * keys * (q.size + v.size)),
                  static_cast<std::uint64_t>(keys + v.size) * 4, fmt::format("attention {} keys of {}", keys, q.size),
                  {kIrregularAttentionInc});
}

// Where the operator's positions and caches are: inputs differ between the domains.
Kernel rotary(Builder& b, std::size_t positions, std::size_t cosines, std::size_t sines, std::int64_t rotated,
              std::int64_t heads) {
  XI_CHECK(require_floats(b, {0, cosines, sines}));
  const Shape s = b.shape(0);
  const bool heads_first = s.size() == 4;
  const std::int64_t length = heads_first ? s[2] : s[1], size = heads_first ? s[3] : s[2] / heads;
  if (rotated == 0) rotated = size;
  b.add("kLength", length)
      .add("kHeads", heads_first ? s[1] : heads)
      .add("kSize", size)
      .add("kRotated", rotated)
      .flag("kHeadsFirst", heads_first);
  b.flag("kInterleaved", b.integer("interleaved", 0) != 0)
      .add("kPositions", b.has(positions) ? b.count(positions) : 0)
      .add("kCacheRows", b.count(cosines) / (rotated / 2));
  b.line(
      fmt::format("#define XI_POSITIONS XI_INPUT({})\n#define XI_COSINES XI_INPUT({})\n#define XI_SINES XI_INPUT({})",
                  positions, cosines, sines));
  return b.finish(s[0] * length, 6.0 * static_cast<double>(b.count(0)), 0, "rotary embedding", {kIrregularRotaryInc});
}

Kernel rotary_embedding(Builder& b) {
  return rotary(b, 3, 1, 2, b.integer("rotary_embedding_dim", 0), b.integer("num_heads", 0));
}
Kernel rotary_microsoft(Builder& b) {
  const std::int64_t rotated = 2 * b.shape(2)[1];
  std::int64_t heads = b.integer("num_heads", 0);
  if (heads == 0) heads = b.shape(0).back() / rotated;
  return rotary(b, 1, 2, 3, rotated, heads);
}

Kernel causal_conv(Builder& b) {
  const Shape x = b.shape(0);
  const std::string activation = b.text("activation", "none");
  b.add("kChannels", x[1])
      .add("kLength", x[2])
      .add("kKernel", b.shape(1)[2])
      .flag("kSilu", activation == "silu" || activation == "swish");
  return b.finish(x[0] * x[1], 2.0 * static_cast<double>(b.count(0) * b.shape(1)[2]), 0, "causal convolution",
                  {kIrregularCausalConvInc});
}

Kernel linear_attention(Builder& b) {
  const std::int64_t heads = b.integer("q_num_heads", 1), kv_heads = b.integer("kv_num_heads", 1),
                     dk = b.shape(1)[2] / kv_heads, dv = b.shape(2)[2] / kv_heads;
  const std::string rule = b.text("update_rule", "gated_delta");
  const bool gated = rule == "gated" || rule == "gated_delta", delta = rule == "delta" || rule == "gated_delta";
  if ((gated && !b.has(4)) || (delta && !b.has(5)))
    return fail(Code::kInvalidArgument, "update_rule '{}' needs decay or beta", rule);
  b.add("kHeads", heads)
      .add("kKvHeads", kv_heads)
      .add("kKeySize", dk)
      .add("kValueSize", dv)
      .add("kLength", b.shape(0)[1])
      .flag("kGated", gated)
      .flag("kDelta", delta);
  b.add("kScale", scale_of(b, dk))
      .add("kDecayWidth", b.has(4) ? b.shape(4)[2] / kv_heads : 1)
      .add("kBetaWidth", b.has(5) ? b.shape(5)[2] : 1);
  const std::int64_t items = b.shape(0)[0] * kv_heads;
  return b.finish(items, 8.0 * static_cast<double>(items * b.shape(0)[1] * dk * dv),
                  static_cast<std::uint64_t>(dk * dv + dv) * 4, "linear attention " + rule,
                  {kIrregularLinearAttentionInc});
}

constexpr Row kRows[] = {{"Attention", attention},
                         {"RotaryEmbedding", rotary_embedding},
                         {"com.microsoft.RotaryEmbedding", rotary_microsoft},
                         {"CausalConvWithState", causal_conv},
                         {"LinearAttention", linear_attention}};

}  // namespace

std::span<const Row> attention_kernels() { return kRows; }

}  // namespace xinfer::forge::cpu::irregular
