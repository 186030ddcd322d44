// Attention and what goes with it.
#include "forge/reference/attention.h"

#include <algorithm>
#include <cmath>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

std::vector<double> split_heads(const std::vector<double>& x, std::int64_t batch, std::int64_t length,
                                std::int64_t heads, std::int64_t size) {
  std::vector<double> out(x.size());
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t t = 0; t < length; ++t)
      for (std::int64_t h = 0; h < heads; ++h)
        std::copy_n(x.begin() + ((b * length + t) * heads + h) * size, size,
                    out.begin() + ((b * heads + h) * length + t) * size);
  return out;
}

std::vector<double> join_heads(const std::vector<double>& x, std::int64_t batch, std::int64_t heads,
                               std::int64_t length, std::int64_t size) {
  return split_heads(x, batch, heads, length, size);  // the same exchange of the two middle axes
}

void attend(const AttentionProblem& p, std::vector<double>& y, std::vector<double>* scores) {
  y.assign(index_of(p.batch * p.heads * p.queries * p.value_size), 0.0);
  if (scores) scores->assign(index_of(p.batch * p.heads * p.queries * p.keys), 0.0);
  std::vector<double> line(index_of(p.keys));
  for (std::int64_t b = 0; b < p.batch; ++b)
    for (std::int64_t h = 0; h < p.heads; ++h)
      for (std::int64_t i = 0; i < p.queries; ++i) {
        const std::int64_t shared = b * p.kv_heads + h / (p.heads / p.kv_heads),
                           row = (b * p.heads + h) * p.queries + i;
        auto keep = [&](int mode) {
          if (scores && p.score_mode == mode) std::copy(line.begin(), line.end(), scores->begin() + row * p.keys);
        };
        for (std::int64_t j = 0; j < p.keys; ++j) {
          double total = 0;
          for (std::int64_t d = 0; d < p.size; ++d)
            total += p.q[index_of(row * p.size + d)] * p.k[index_of((shared * p.keys + j) * p.size + d)];
          line[index_of(j)] = total * p.scale;
        }
        keep(0);
        if (p.softcap > 0)
          for (double& v : line) v = p.softcap * std::tanh(v / p.softcap);
        keep(p.cap_mode);
        for (std::int64_t j = 0; j < p.keys; ++j) line[index_of(j)] += p.bias(b, h, i, j);
        keep(p.bias_mode);
        double largest = -INFINITY, total = 0;
        for (double v : line) largest = std::max(largest, v);
        for (double& v : line) total += v = std::isinf(largest) ? 0 : std::exp(v - largest);
        for (double& v : line) v = total > 0 ? v / total : 0;  // nothing to attend to: zero
        keep(3);
        for (std::int64_t j = 0; j < p.keys; ++j)
          if (line[index_of(j)] != 0)
            for (std::int64_t d = 0; d < p.value_size; ++d)
              y[index_of(row * p.value_size + d)] +=
                  line[index_of(j)] * p.v[index_of((shared * p.keys + j) * p.value_size + d)];
      }
}

namespace {

struct Heads {
  std::int64_t batch, heads, length, size;
  std::vector<double> values;  // [batch, heads, length, size]
};
Heads read_heads(const Tensor& tensor, std::int64_t num_heads) {
  const Shape& s = tensor.shape();
  if (s.size() == 4) return {s[0], s[1], s[2], s[3], doubles(tensor)};
  return {s[0], num_heads, s[1], s[2] / num_heads,
          split_heads(doubles(tensor), s[0], s[1], num_heads, s[2] / num_heads)};
}

// past [B, H, P, D] followed by the new ones along the third axis.
void prepend(Heads& heads, const Tensor& past) {
  const std::int64_t old = past.shape()[2];
  auto before = doubles(past);
  std::vector<double> joined;
  for (std::int64_t g = 0; g < heads.batch * heads.heads; ++g) {
    joined.insert(joined.end(), before.begin() + g * old * heads.size, before.begin() + (g + 1) * old * heads.size);
    joined.insert(joined.end(), heads.values.begin() + g * heads.length * heads.size,
                  heads.values.begin() + (g + 1) * heads.length * heads.size);
  }
  heads.values = std::move(joined);
  heads.length += old;
}

Values attention(const Call& call) {
  Heads q = read_heads(call.in(0), call.integer("q_num_heads", 0)),
        k = read_heads(call.in(1), call.integer("kv_num_heads", 0)),
        v = read_heads(call.in(2), call.integer("kv_num_heads", 0));
  const std::int64_t past = call.has(4) ? call.in(4).shape()[2] : 0;
  if (call.has(4)) prepend(k, call.in(4));
  if (call.has(5)) prepend(v, call.in(5));
  const bool causal = call.integer("is_causal", 0) != 0;
  // The mask broadcasts to [batch, heads, queries, keys]; keys that it does not reach are masked.
  std::vector<double> mask;
  Shape mask_shape, mask_strides(4, 0);
  const bool boolean = call.has(3) && call.dtype(3) == DType::kBool;
  if (call.has(3)) {
    mask = doubles(call.in(3));
    mask_shape = call.in(3).shape();
    while (mask_shape.size() < 4) mask_shape.insert(mask_shape.begin(), 1);
    mask_strides = tensor::strides_of(mask_shape);
    const std::int64_t wanted[] = {q.batch, q.heads, q.length, k.length};
    for (std::size_t d = 0; d < 4; ++d) {
      if (mask_shape[d] == 1) mask_strides[d] = 0;
      else if (d < 3 ? mask_shape[d] != wanted[d] : mask_shape[d] > wanted[d])
        return fail(Code::kInvalidArgument, "a mask of shape {} for {} heads, {} queries and {} keys",
                    tensor::to_string(call.in(3).shape()), q.heads, q.length, k.length);
    }
  }
  std::vector<std::int64_t> valid;
  if (call.has(6)) valid = call.in(6).as_int64s();
  const std::int64_t mask_keys = mask.empty() || mask_shape[3] == 1 ? k.length : mask_shape[3];
  auto bias = [&](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) -> double {
    std::int64_t offset = past;
    if (!valid.empty()) {
      if (j >= valid[index_of(b)]) return -INFINITY;
      offset = valid[index_of(b)] - q.length;
    }
    if (causal && j > i + offset) return -INFINITY;
    if (mask.empty()) return 0;
    if (j >= mask_keys) return -INFINITY;
    const double m =
        mask[index_of(b * mask_strides[0] + h * mask_strides[1] + i * mask_strides[2] + j * mask_strides[3])];
    return boolean ? (m != 0 ? 0 : -INFINITY) : m;
  };
  AttentionProblem problem{q.batch, q.heads,  k.heads,  q.length, k.length, q.size,
                           v.size,  q.values, k.values, v.values, bias};
  const auto* scale = call.node.attributes.get<float>("scale");
  problem.scale = scale && *scale != 0 ? *scale : 1 / std::sqrt(static_cast<double>(q.size));
  problem.softcap = call.real("softcap", 0.0f);
  problem.score_mode = static_cast<int>(call.integer("qk_matmul_output_mode", 0));
  std::vector<double> y, scores;
  attend(problem, y, call.wants(3) ? &scores : nullptr);
  if (call.in(0).rank() == 3) y = join_heads(y, q.batch, q.heads, q.length, v.size);
  std::vector<Value> values;
  const std::vector<double>* sources[] = {&y, &k.values, &v.values, &scores};
  for (std::size_t i = 0; i < call.num_outputs(); ++i) {
    if (!call.wants(i)) {
      values.emplace_back();
      continue;
    }
    Tensor out = call.make(i);
    store(out, *sources[i]);
    values.emplace_back(std::move(out));
  }
  return values;
}

}  // namespace

std::vector<double> rotate(const RotaryProblem& p, const std::vector<double>& x, const std::vector<double>& cosines,
                           const std::vector<double>& sines, const std::vector<std::int64_t>& rows) {
  std::vector<double> y = x;
  const std::int64_t half = p.rotated / 2;
  for (std::int64_t b = 0; b < p.batch; ++b)
    for (std::int64_t h = 0; h < p.heads; ++h)
      for (std::int64_t t = 0; t < p.length; ++t) {
        double* to = y.data() + (p.heads_first ? ((b * p.heads + h) * p.length + t) * p.size
                                               : ((b * p.length + t) * p.heads + h) * p.size);
        const double* from = x.data() + (to - y.data());
        const double *c = cosines.data() + rows[index_of(b * p.length + t)] * half,
                     *s = sines.data() + rows[index_of(b * p.length + t)] * half;
        for (std::int64_t i = 0; i < half; ++i) {
          const std::int64_t first = p.interleaved ? 2 * i : i, second = p.interleaved ? 2 * i + 1 : i + half;
          to[first] = from[first] * c[i] - from[second] * s[i];
          to[second] = from[first] * s[i] + from[second] * c[i];
        }
      }
  return y;
}

namespace {

// X, cos cache, sin cache, position ids. Without ids the caches are [batch, length, half].
Values rotary_embedding(const Call& call) {
  const Shape& s = call.in(0).shape();
  RotaryProblem p;
  p.heads_first = s.size() == 4;
  p.batch = s[0];
  p.heads = p.heads_first ? s[1] : call.integer("num_heads", 0);
  p.length = p.heads_first ? s[2] : s[1];
  if (p.heads <= 0) return fail(Code::kInvalidArgument, "an input of rank 3 needs num_heads");
  p.size = p.heads_first ? s[3] : s[2] / p.heads;
  p.rotated = call.integer("rotary_embedding_dim", 0);
  if (p.rotated == 0) p.rotated = p.size;
  p.interleaved = call.integer("interleaved", 0) != 0;
  std::vector<std::int64_t> rows;
  const std::int64_t half = p.rotated / 2, count = half ? call.in(1).num_elements() / half : 0;
  for (std::int64_t b = 0; b < p.batch; ++b)
    for (std::int64_t t = 0; t < p.length; ++t) {
      std::int64_t row = b * p.length + t;
      if (call.has(3)) row = call.in(3).num_elements() == 1 ? call.in(3).as_int64(0) + t : call.in(3).as_int64(row);
      if (row < 0 || row >= count)
        return fail(Code::kInvalidArgument, "position {} lies outside a cache of {}", row, count);
      rows.push_back(row);
    }
  Tensor out = call.make();
  store(out, rotate(p, doubles(call.in(0)), doubles(call.in(1)), doubles(call.in(2)), rows));
  return result(std::move(out));
}

// Depthwise convolution over past state and input; the last k - 1 positions are the next state.
Values causal_conv(const Call& call) {
  const Shape& s = call.in(0).shape();
  const std::int64_t channels = s[1], length = s[2], k = call.in(1).shape()[2], carry = k - 1;
  auto x = doubles(call.in(0)), w = doubles(call.in(1));
  auto bias = call.has(2) ? doubles(call.in(2)) : std::vector<double>(index_of(channels), 0.0);
  auto past = call.has(3) ? doubles(call.in(3)) : std::vector<double>(index_of(s[0] * channels * carry), 0.0);
  const std::string activation = call.text("activation", "none");
  const bool silu = activation == "silu" || activation == "swish";
  std::vector<double> y, state;
  for (std::int64_t row = 0; row < s[0] * channels; ++row) {
    std::vector<double> line(past.begin() + row * carry, past.begin() + (row + 1) * carry);
    line.insert(line.end(), x.begin() + row * length, x.begin() + (row + 1) * length);
    for (std::int64_t t = 0; t < length; ++t) {
      double total = bias[index_of(row % channels)];
      for (std::int64_t i = 0; i < k; ++i) total += line[index_of(t + i)] * w[index_of(row % channels * k + i)];
      y.push_back(silu ? total / (1 + std::exp(-total)) : total);
    }
    state.insert(state.end(), line.end() - carry, line.end());
  }
  Tensor out = call.make();
  store(out, y);
  std::vector<Value> values = result(std::move(out));
  if (call.num_outputs() > 1) {
    Tensor next = call.make(1);
    store(next, state);
    values.emplace_back(std::move(next));
  }
  return values;
}

// query, key, value, past state, decay, beta; the recurrence over the state [d_k, d_v] of each key head.
Values linear_attention(const Call& call) {
  const std::int64_t heads = call.integer("q_num_heads", 1), kv_heads = call.integer("kv_num_heads", 1);
  const Shape &qs = call.in(0).shape(), &vs = call.in(2).shape();
  const std::int64_t batch = qs[0], length = qs[1], dk = call.in(1).shape()[2] / kv_heads, dv = vs[2] / kv_heads,
                     group = heads / kv_heads;
  const std::string rule = call.text("update_rule", "gated_delta");
  const bool gated = rule == "gated" || rule == "gated_delta", delta = rule == "delta" || rule == "gated_delta";
  if (!gated && !delta && rule != "linear")
    return fail(Code::kInvalidArgument, "update_rule '{}' is none of linear, gated, delta, gated_delta", rule);
  if ((gated && !call.has(4)) || (delta && !call.has(5)))
    return fail(Code::kInvalidArgument, "update_rule '{}' needs {}", rule, gated && !call.has(4) ? "decay" : "beta");
  const auto* given = call.node.attributes.get<float>("scale");
  const double scale = given && *given != 0 ? *given : 1 / std::sqrt(static_cast<double>(dk));
  auto q = doubles(call.in(0)), k = doubles(call.in(1)), v = doubles(call.in(2));
  auto state = call.has(3) ? doubles(call.in(3)) : std::vector<double>(index_of(batch * kv_heads * dk * dv), 0.0);
  const auto decay = call.has(4) ? doubles(call.in(4)) : std::vector<double>{},
             beta = call.has(5) ? doubles(call.in(5)) : std::vector<double>{};
  const std::int64_t decay_width = call.has(4) ? call.in(4).shape()[2] / kv_heads : 1,
                     beta_width = call.has(5) ? call.in(5).shape()[2] : 1;
  std::vector<double> y(index_of(batch * length * heads * dv), 0.0), recalled(index_of(dv));
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t h = 0; h < kv_heads; ++h) {
      double* s = state.data() + (b * kv_heads + h) * dk * dv;
      for (std::int64_t t = 0; t < length; ++t) {
        const std::int64_t row = b * length + t;
        const double *key = k.data() + (row * kv_heads + h) * dk, *value = v.data() + (row * kv_heads + h) * dv;
        if (gated)
          for (std::int64_t i = 0; i < dk; ++i) {
            const double factor =
                std::exp(decay[index_of((row * kv_heads + h) * decay_width + (decay_width == 1 ? 0 : i))]);
            for (std::int64_t j = 0; j < dv; ++j) s[i * dv + j] *= factor;
          }
        std::ranges::fill(recalled, 0.0);
        if (delta)
          for (std::int64_t i = 0; i < dk; ++i)
            for (std::int64_t j = 0; j < dv; ++j) recalled[index_of(j)] += s[i * dv + j] * key[i];
        const double rate = delta ? beta[index_of(row * beta_width + (beta_width == 1 ? 0 : h))] : 1;
        for (std::int64_t i = 0; i < dk; ++i)
          for (std::int64_t j = 0; j < dv; ++j) s[i * dv + j] += rate * key[i] * (value[j] - recalled[index_of(j)]);
        for (std::int64_t g = h * group; g < (h + 1) * group; ++g)
          for (std::int64_t i = 0; i < dk; ++i)
            for (std::int64_t j = 0; j < dv; ++j)
              y[index_of((row * heads + g) * dv + j)] +=
                  scale * q[index_of((row * heads + g) * dk + i)] * s[i * dv + j];
      }
    }
  Tensor out = call.make();
  store(out, y);
  std::vector<Value> values = result(std::move(out));
  if (call.num_outputs() > 1) {
    Tensor next = call.make(1);
    store(next, state);
    values.emplace_back(std::move(next));
  }
  return values;
}

}  // namespace

void add_attention(Entries& e) {
  e.emplace_back("Attention", attention);
  e.emplace_back("RotaryEmbedding", rotary_embedding);
  e.emplace_back("CausalConvWithState", causal_conv);
  e.emplace_back("LinearAttention", linear_attention);
}

}  // namespace xinfer::forge::reference
