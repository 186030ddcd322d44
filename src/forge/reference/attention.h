// The core of the attention operators of all domains.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

namespace xinfer::forge::reference {

/// Scaled dot-product attention. q [batch, heads, queries, size], k [batch, kv_heads, keys, size], v likewise with value_size.
struct AttentionProblem {
  std::int64_t batch, heads, kv_heads, queries, keys, size, value_size;
  const std::vector<double>&q, &k, &v;
  std::function<double(std::int64_t batch, std::int64_t head, std::int64_t query, std::int64_t key)>
      bias;  // -inf masks
  double scale = 1, softcap = 0;
  /// Which scores are asked for: 0 the plain products, cap_mode after the cap, bias_mode after the bias, 3 after softmax.
  int score_mode = 0, cap_mode = 1, bias_mode = 2;
};
/// y [batch, heads, queries, value_size]; `scores` [batch, heads, queries, keys] where not null.
void attend(const AttentionProblem& problem, std::vector<double>& y, std::vector<double>* scores);

/// [batch, length, heads * size] to [batch, heads, length, size], and back.
std::vector<double> split_heads(const std::vector<double>& x, std::int64_t batch, std::int64_t length,
                                std::int64_t heads, std::int64_t size);
std::vector<double> join_heads(const std::vector<double>& x, std::int64_t batch, std::int64_t heads,
                               std::int64_t length, std::int64_t size);

struct RotaryProblem {
  std::int64_t batch, heads, length, size, rotated;
  bool heads_first, interleaved;  // [batch, heads, length, size], or [batch, length, heads, size]
};
/// Rotates pairs of features; `rows[b * length + t]` is the row of the caches [.., rotated / 2] for that token.
std::vector<double> rotate(const RotaryProblem& problem, const std::vector<double>& x,
                           const std::vector<double>& cosines, const std::vector<double>& sines,
                           const std::vector<std::int64_t>& rows);

}  // namespace xinfer::forge::reference
