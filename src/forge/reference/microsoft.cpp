// com.microsoft operators.
#include <algorithm>
#include <cmath>

#include "forge/reference/attention.h"
#include "forge/reference/call.h"
#include "forge/reference/kernels.h"
#include "forge/reference/microsoft.h"

namespace xinfer::forge::reference {

Result<std::vector<Value>> standard_all(std::string op, const std::vector<const Tensor*>& inputs, const ir::Attributes& attributes, std::size_t outputs) {
  ir::Node node;
  node.op = std::move(op);
  node.attributes = attributes;
  std::vector<Value> values;
  std::vector<const Value*> arguments;
  values.reserve(inputs.size());
  for (const Tensor* input : inputs) {
    node.inputs.push_back(input ? 0 : ir::kNoValue);
    if (input) values.emplace_back(*input);
    arguments.push_back(input ? &values.back() : nullptr);
  }
  node.outputs.assign(outputs, 0);
  return find(node.op)(node, {}, arguments);
}

Result<Tensor> standard(std::string op, const std::vector<const Tensor*>& inputs, const ir::Attributes& attributes) {
  XI_TRY(auto outputs, standard_all(std::move(op), inputs, attributes, 1));
  return *outputs[0].tensor;
}

namespace {

const Tensor* optional(const Call& call, std::size_t i) { return call.has(i) ? &call.in(i) : nullptr; }

Result<Tensor> activated(Tensor x, std::string_view name, const std::vector<float>& parameters) {
  if (name.empty()) return x;
  static constexpr std::string_view kKnown[] = {"Relu",        "Tanh",      "Sigmoid", "LeakyRelu", "Clip",
                                                "HardSigmoid", "HardSwish", "Elu",     "Softplus"};
  if (std::ranges::find(kKnown, name) == std::end(kKnown)) return fail(Code::kUnsupported, "activation '{}'", name);
  ir::Attributes attributes;
  if (name == "Clip") {
    const Tensor low = Tensor::scalar(!parameters.empty() ? parameters[0] : -INFINITY),
                 high = Tensor::scalar(parameters.size() > 1 ? parameters[1] : INFINITY);
    return standard("Clip", {&x, &low, &high}, {});
  }
  if (!parameters.empty()) attributes.set("alpha", parameters[0]);
  if (parameters.size() > 1) attributes.set("beta", parameters[1]);
  return standard(std::string(name), {&x}, attributes);
}

Values fused_conv(const Call& call) {
  ir::Attributes attributes = call.node.attributes;
  attributes.erase("activation");
  attributes.erase("activation_params");
  XI_TRY(Tensor y, standard("Conv", {&call.in(0), &call.in(1), optional(call, 2)}, attributes));
  if (call.has(3)) {
    XI_TRY(y, standard("Add", {&y, &call.in(3)}, {}));
  }
  const auto* parameters = call.node.attributes.get<std::vector<float>>("activation_params");
  XI_TRY(Tensor out,
         activated(std::move(y), call.text("activation", ""), parameters ? *parameters : std::vector<float>{}));
  return result(std::move(out));
}

Values fused_gemm(const Call& call) {
  XI_TRY(Tensor y, standard("Gemm", {&call.in(0), &call.in(1), optional(call, 2)}, call.node.attributes));
  std::vector<float> parameters;
  for (std::string_view name : {"activation_alpha", "activation_beta"})
    if (const auto* value = call.node.attributes.get<float>(name)) parameters.push_back(*value);
  XI_TRY(Tensor out, activated(std::move(y), call.text("activation", ""), parameters));
  return result(std::move(out));
}

Values fused_matmul(const Call& call) {
  Tensor a = call.in(0), b = call.in(1);
  auto swap_last = [](Tensor& t) -> Result<void> {
    std::vector<std::int64_t> perm(index_of(t.rank()));
    for (std::size_t i = 0; i < perm.size(); ++i) perm[i] = static_cast<std::int64_t>(i);
    std::swap(perm.back(), perm[perm.size() - 2]);
    ir::Attributes attributes;
    attributes.set("perm", perm);
    XI_TRY(t, standard("Transpose", {&t}, attributes));
    return {};
  };
  if (call.integer("transA", 0)) XI_CHECK(swap_last(a));
  if (call.integer("transB", 0)) XI_CHECK(swap_last(b));
  XI_TRY(Tensor y, standard("MatMul", {&a, &b}, {}));
  auto values = doubles(y);
  const double alpha = call.real("alpha", 1.0f);
  for (double& v : values) v *= alpha;
  store(y, values);
  return result(std::move(y));
}

double tanh_gelu(double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
double erf_gelu(double x) { return 0.5 * x * (1 + std::erf(x / M_SQRT2)); }

// f(x + bias) with an optional bias along the last axis.
template <auto F>
Values biased(const Call& call) {
  Tensor out = call.make();
  auto x = doubles(call.in(0));
  if (call.has(1)) {
    auto bias = doubles(call.in(1));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += bias[i % bias.size()];
  }
  for (double& v : x) v = F(v);
  store(out, x);
  return result(std::move(out));
}

// Half of the features of x + bias times the activated other half.
Values bias_split_gelu(const Call& call) {
  Tensor out = call.make();
  auto x = doubles(call.in(0)), bias = doubles(call.in(1));
  const std::size_t half = index_of(out.shape().back());
  std::vector<double> y;
  for (std::size_t row = 0; half > 0 && row < x.size(); row += 2 * half)
    for (std::size_t i = 0; i < half; ++i) y.push_back((x[row + i] + bias[i]) * erf_gelu(x[row + half + i] + bias[half + i]));
  store(out, y);
  return result(std::move(out));
}

Values bias_add(const Call& call) {
  Tensor out = call.make();
  auto x = doubles(call.in(0)), bias = doubles(call.in(1)), skip = doubles(call.in(2));
  if (skip.size() != x.size() || bias.empty()) return fail(Code::kInvalidArgument, "the bias or the skip connection does not fit");
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += bias[i % bias.size()] + skip[i];
  store(out, x);
  return result(std::move(out));
}

// Between all rows of a and all of b.
Values distances(const Call& call) {
  Tensor out = call.make();
  auto a = doubles(call.in(0)), b = doubles(call.in(1));
  const std::string metric = call.text("metric", "sqeuclidean");
  const std::size_t width = index_of(call.in(0).shape()[1]), rows = index_of(out.shape()[0]), columns = index_of(out.shape()[1]);
  std::vector<double> y;
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j) {
      double total = 0;
      for (std::size_t k = 0; k < width; ++k) total += (a[i * width + k] - b[j * width + k]) * (a[i * width + k] - b[j * width + k]);
      y.push_back(metric == "euclidean" ? std::sqrt(total) : total);
    }
  store(out, y);
  return result(std::move(out));
}

Values quick_gelu(const Call& call) {
  Tensor out = call.make();
  const double alpha = call.real("alpha", 1.702f);
  auto x = doubles(call.in(0));
  for (double& v : x) v = v / (1 + std::exp(-alpha * v));
  store(out, x);
  return result(std::move(out));
}

struct Normalized {
  std::vector<double> y, mean, deviation;
};
// Rows of `width`: centred only with a mean to subtract.
Normalized normalize_rows(std::vector<double> x, std::size_t width, const std::vector<double>& gamma,
                          const std::vector<double>& beta, double epsilon, bool centred) {
  Normalized out;
  for (std::size_t begin = 0; begin < x.size(); begin += width) {
    double mean = 0, squares = 0;
    for (std::size_t i = 0; centred && i < width; ++i) mean += x[begin + i] / static_cast<double>(width);
    for (std::size_t i = 0; i < width; ++i)
      squares += (x[begin + i] - mean) * (x[begin + i] - mean) / static_cast<double>(width);
    const double factor = 1 / std::sqrt(squares + epsilon);
    for (std::size_t i = 0; i < width; ++i)
      x[begin + i] =
          (x[begin + i] - mean) * factor * gamma[i % gamma.size()] + (beta.empty() ? 0 : beta[i % beta.size()]);
    out.mean.push_back(mean);
    out.deviation.push_back(factor);
  }
  out.y = std::move(x);
  return out;
}

// input, skip, gamma, [beta,] bias.
template <bool kCentred>
Values skip_normalization(const Call& call) {
  auto x = doubles(call.in(0)), skip = doubles(call.in(1)), gamma = doubles(call.in(2));
  auto beta = kCentred && call.has(3) ? doubles(call.in(3)) : std::vector<double>{};
  const std::size_t bias_input = kCentred ? 4 : 3;
  if (skip.empty() || gamma.empty()) return fail(Code::kInvalidArgument, "skip or gamma is empty");
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += skip[i % skip.size()];
  if (call.has(bias_input)) {
    auto bias = doubles(call.in(bias_input));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += bias[i % bias.size()];
  }
  auto sum = x;
  Normalized n = normalize_rows(std::move(x), index_of(call.in(0).shape().back()), gamma, beta,
                                call.real("epsilon", 1e-5f), kCentred);
  const std::vector<double>* sources[] = {&n.y, &n.mean, &n.deviation, &sum};
  std::vector<Value> values;
  for (std::size_t i = 0; i < call.num_outputs(); ++i) {
    Tensor out = call.make(i);
    store(out, *sources[i]);
    values.emplace_back(std::move(out));
  }
  return values;
}

// input ids, segment ids, word, position and segment embeddings, gamma, beta, mask, position ids.
Values embed_normalization(const Call& call) {
  const std::int64_t batch = call.in(0).shape()[0], length = call.in(0).shape()[1], width = call.in(2).shape()[1];
  auto words = doubles(call.in(2)), positions = doubles(call.in(3)),
       segments = call.has(4) ? doubles(call.in(4)) : std::vector<double>{};
  std::vector<double> x(index_of(batch * length * width), 0.0);
  for (std::int64_t i = 0; i < batch * length; ++i) {
    auto add_row = [&](const std::vector<double>& table, std::int64_t row) -> Result<void> {
      if (row < 0 || (row + 1) * width > static_cast<std::int64_t>(table.size()))
        return fail(Code::kInvalidArgument, "row {} lies outside an embedding", row);
      for (std::int64_t k = 0; k < width; ++k) x[index_of(i * width + k)] += table[index_of(row * width + k)];
      return {};
    };
    XI_CHECK(add_row(words, call.in(0).as_int64(i)));
    XI_CHECK(add_row(positions, call.has(8) ? call.in(8).as_int64(call.in(8).num_elements() == length ? i % length : i)
                                            : i % length));
    if (call.has(1) && !segments.empty()) XI_CHECK(add_row(segments, call.in(1).as_int64(i)));
  }
  auto sum = x;
  Normalized n = normalize_rows(std::move(x), index_of(width), doubles(call.in(5)), doubles(call.in(6)),
                                call.real("epsilon", 1e-12f), true);
  Tensor out = call.make();
  store(out, n.y);
  std::vector<Value> values = result(std::move(out));
  if (call.num_outputs() > 1) {  // how many tokens of each row count
    Tensor index(DType::kInt32, {batch});
    for (std::int64_t b = 0; call.has(7) && b < batch; ++b) {
      std::int64_t count = 0;
      for (std::int64_t t = 0; t < length; ++t) count += call.in(7).as_int64(b * length + t) != 0;
      index.data<std::int32_t>()[index_of(b)] = static_cast<std::int32_t>(count);
    }
    values.emplace_back(std::move(index));
  }
  if (call.num_outputs() > 2) {
    Tensor all = call.make(2);
    store(all, sum);
    values.emplace_back(std::move(all));
  }
  return values;
}

// Scaled attention over heads in [batch, heads, length, size] with a key mask; the joined result [batch, queries, heads * size].
struct HeadInputs {
  std::int64_t batch, heads, queries, keys, size, value_size;
  std::vector<double> q, k, v;
};
Result<std::vector<double>> attend_heads(const Call& call, const HeadInputs& in, std::size_t mask_input,
                                         std::size_t bias_input, std::int64_t past) {
  std::vector<double> mask, extra;
  Shape mask_shape, extra_strides(4, 0);
  if (call.has(mask_input)) {
    mask = doubles(call.in(mask_input));
    mask_shape = call.in(mask_input).shape();
    const bool counts = mask_shape.size() == 1 && (mask_shape[0] == in.batch || mask_shape[0] == 2 * in.batch),
               keys = mask_shape.size() == 2 && mask_shape[1] == in.keys,
               full = mask_shape.size() == 3 && mask_shape[1] == in.queries && mask_shape[2] == in.keys;
    if (!counts && !keys && !full) return fail(Code::kUnsupported, "a mask of shape {}", tensor::to_string(mask_shape));
  }
  if (call.has(bias_input)) {
    extra = doubles(call.in(bias_input));
    Shape shape = call.in(bias_input).shape();
    if (shape.size() != 4 || shape[2] != in.queries || shape[3] != in.keys)
      return fail(Code::kUnsupported, "an attention bias of shape {}", tensor::to_string(shape));
    extra_strides = tensor::strides_of(shape);
    for (std::size_t d = 0; d < 2; ++d)
      if (shape[d] == 1) extra_strides[d] = 0;
  }
  const double filter = call.real("mask_filter_value", -10000.0f);
  const bool causal = call.integer("unidirectional", 0) != 0;
  auto bias = [&](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) -> double {
    double total =
        extra.empty() ? 0 : extra[index_of(b * extra_strides[0] + h * extra_strides[1] + i * extra_strides[2] + j)];
    if (causal && j > i + past) return -INFINITY;
    if (mask_shape.size() == 1) {  // ends, then starts
      const bool before = mask_shape[0] > in.batch && j < static_cast<std::int64_t>(mask[index_of(in.batch + b)]);
      if (before || j >= static_cast<std::int64_t>(mask[index_of(b)])) total += filter;
    }
    if (mask_shape.size() == 2 && mask[index_of(b * in.keys + j)] == 0) total += filter;
    if (mask_shape.size() == 3 && mask[index_of((b * in.queries + i) * in.keys + j)] == 0) total += filter;
    return total;
  };
  AttentionProblem problem{in.batch,      in.heads, in.heads, in.queries, in.keys, in.size,
                           in.value_size, in.q,     in.k,     in.v,       bias};
  const auto* scale = call.node.attributes.get<float>("scale");
  problem.scale = scale && *scale != 0 ? *scale : 1 / std::sqrt(static_cast<double>(in.size));
  std::vector<double> y;
  attend(problem, y, nullptr);
  return join_heads(y, in.batch, in.heads, in.queries, in.value_size);
}

// A cache [groups, past, size] with the new rows [groups, length, size] behind it.
void join_past(std::vector<double>& now, std::span<const double> old, std::int64_t groups) {
  if (groups == 0) return;
  const std::int64_t before = static_cast<std::int64_t>(old.size()) / groups, added = static_cast<std::int64_t>(now.size()) / groups;
  std::vector<double> joined;
  for (std::int64_t g = 0; g < groups; ++g) {
    joined.insert(joined.end(), old.begin() + g * before, old.begin() + (g + 1) * before);
    joined.insert(joined.end(), now.begin() + g * added, now.begin() + (g + 1) * added);
  }
  now = std::move(joined);
}

// input [B, S, in] times weights [in, q + k + v] plus bias; mask, past [2, B, heads, P, size], bias of the scores.
Values attention(const Call& call) {
  const Shape &xs = call.in(0).shape(), &ws = call.in(1).shape();
  const std::int64_t heads = call.integer("num_heads", 1), rows = xs[0] * xs[1], width = ws[1];
  auto sizes = call.integers("qkv_hidden_sizes", {width / 3, width / 3, width / 3});
  if (sizes.size() != 3 || sizes[0] + sizes[1] + sizes[2] != width || sizes[0] != sizes[1] || sizes[0] % heads ||
      sizes[2] % heads)
    return fail(Code::kInvalidArgument, "weights of width {} for {} heads", width, heads);
  auto x = doubles(call.in(0)), w = doubles(call.in(1));
  std::vector<double> all(index_of(rows * width), 0.0);
  multiply_matrices(x.data(), w.data(), all.data(), rows, xs[2], width);
  if (call.has(2)) {
    auto bias = doubles(call.in(2));
    for (std::size_t i = 0; i < all.size(); ++i) all[i] += bias[i % bias.size()];
  }
  auto part = [&](std::int64_t begin, std::int64_t size) {
    std::vector<double> out;
    for (std::int64_t r = 0; r < rows; ++r)
      out.insert(out.end(), all.begin() + r * width + begin, all.begin() + r * width + begin + size);
    return split_heads(out, xs[0], xs[1], heads, size / heads);
  };
  HeadInputs in{xs[0],
                heads,
                xs[1],
                xs[1],
                sizes[0] / heads,
                sizes[2] / heads,
                part(0, sizes[0]),
                part(sizes[0], sizes[1]),
                part(sizes[0] + sizes[1], sizes[2])};
  std::int64_t past = 0;
  if (call.has(4)) {
    past = call.in(4).shape()[3];
    const auto old = doubles(call.in(4));
    if (call.in(4).shape() != Shape{2, xs[0], heads, past, in.size} || in.size != in.value_size)
      return fail(Code::kInvalidArgument, "a past of shape {}", tensor::to_string(call.in(4).shape()));
    join_past(in.k, std::span(old).first(old.size() / 2), xs[0] * heads);
    join_past(in.v, std::span(old).last(old.size() / 2), xs[0] * heads);
    in.keys += past;
  }
  XI_TRY(auto y, attend_heads(call, in, 3, 5, past));
  Tensor out = call.make();
  store(out, y);
  std::vector<Value> values = result(std::move(out));
  if (call.num_outputs() > 1) {
    if (in.size != in.value_size) return fail(Code::kUnsupported, "a cache of keys and values of different sizes");
    in.k.insert(in.k.end(), in.v.begin(), in.v.end());
    Tensor present = call.make(1);
    store(present, in.k);
    values.emplace_back(std::move(present));
  }
  return values;
}

// input, weights, bias, input scale, weight scale, mask, input zero point, weight zero point, past.
Values qattention(const Call& call) {
  auto real = [&](std::size_t x, std::size_t scale, std::size_t zero) {
    auto values = doubles(call.in(x)), scales = doubles(call.in(scale)), zeros = call.has(zero) ? doubles(call.in(zero)) : std::vector<double>{0.0};
    const std::size_t width = index_of(call.in(x).shape().back());
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = (values[i] - zeros[zeros.size() == 1 ? 0 : i % width]) * scales[scales.size() == 1 ? 0 : i % width];
    return Value(from_doubles(DType::kFloat64, call.in(x).shape(), values));
  };
  auto wide = [&](std::size_t i) { return Value(from_doubles(DType::kFloat64, call.in(i).shape(), doubles(call.in(i)))); };
  ir::Node node;
  node.op = "com.microsoft.Attention";
  node.attributes = call.node.attributes;
  node.outputs = call.node.outputs;
  const Value x = real(0, 3, 6), w = real(1, 4, 7), bias = wide(2), past = call.has(8) ? wide(8) : Value();
  const Value* arguments[] = {&x, &w, &bias, call.has(5) ? &call.value(5) : nullptr, call.has(8) ? &past : nullptr};
  for (const Value* value : arguments) node.inputs.push_back(value ? 0 : ir::kNoValue);
  XI_TRY(const std::vector<Value> values, find(node.op)(node, {}, arguments));
  std::vector<Value> narrow;
  for (std::size_t i = 0; i < values.size(); ++i)
    narrow.emplace_back(from_doubles(call.types[i].dtype, values[i].tensor->shape(), doubles(*values[i].tensor)));
  return narrow;
}

// query, key, value, bias, key padding mask, attention bias, past key, past value. Keys and values may be split into heads
// already, and have had their bias then.
Values multi_head_attention(const Call& call) {
  const std::int64_t heads = call.integer("num_heads", 1);
  const auto bias = call.has(3) ? doubles(call.in(3)) : std::vector<double>{};
  std::size_t start = 0;
  std::int64_t lengths[3], sizes[3];
  std::vector<double> parts[3];
  for (std::size_t p = 0; p < 3; ++p) {
    const Shape& s = call.in(p).shape();
    const std::size_t width = index_of(s.back());
    parts[p] = doubles(call.in(p));
    lengths[p] = s[s.size() - 2];
    sizes[p] = s.size() == 4 ? s[3] : s[2] / heads;
    if (s.size() == 4) continue;
    for (std::size_t i = 0; !bias.empty() && i < parts[p].size(); ++i) parts[p][i] += bias[start + i % width];
    start += width;
    parts[p] = split_heads(parts[p], s[0], lengths[p], heads, sizes[p]);
  }
  HeadInputs in{call.in(0).shape()[0], heads, lengths[0], lengths[1], sizes[0], sizes[2], std::move(parts[0]), std::move(parts[1]), std::move(parts[2])};
  std::int64_t past = 0;
  if (call.has(6) && call.has(7)) {
    past = call.in(6).shape()[2];
    join_past(in.k, doubles(call.in(6)), in.batch * heads);
    join_past(in.v, doubles(call.in(7)), in.batch * heads);
    in.keys += past;
  }
  XI_TRY(auto y, attend_heads(call, in, 4, 5, past));
  const std::vector<double>* sources[] = {&y, &in.k, &in.v};
  std::vector<Value> values;
  for (std::size_t i = 0; i < call.num_outputs(); ++i) {
    Tensor out = call.make(i);
    store(out, *sources[i]);
    values.emplace_back(std::move(out));
  }
  return values;
}

// query (or query, key and value side by side), key, value, past key, past value, last position of each row, total length,
// cosines, sines, positions, bias of the scores. A row's new keys go behind those that it has.
Values group_query_attention(const Call& call) {
  const Shape& s = call.in(0).shape();
  const std::int64_t heads = call.integer("num_heads", 1), kv_heads = call.integer("kv_num_heads", 1), batch = s[0], length = s[1],
                     size = call.types[0].shape()[2] / heads, past = call.has(3) ? call.in(3).shape()[2] : 0;
  const std::int64_t keys = call.num_outputs() > 1 ? call.types[1].shape()[2] : past + length;
  auto part = [&](std::size_t input, std::int64_t first, std::int64_t count) {
    auto x = doubles(call.in(call.has(1) ? input : 0));
    if (!call.has(1)) {
      std::vector<double> columns;
      for (std::int64_t r = 0; r < batch * length; ++r)
        columns.insert(columns.end(), x.begin() + r * s[2] + first * size, x.begin() + r * s[2] + (first + count) * size);
      x = std::move(columns);
    }
    return split_heads(x, batch, length, count, size);
  };
  auto q = part(0, 0, heads), k = part(1, heads, kv_heads), v = part(2, heads + kv_heads, kv_heads);
  std::vector<std::int64_t> begins, positions;
  for (std::int64_t b = 0; b < batch; ++b) {
    begins.push_back(std::max<std::int64_t>(0, call.in(5).as_int64(b) + 1 - length));
    if (begins.back() + length > keys) return fail(Code::kInvalidArgument, "row {} ends at {} in a cache of {}", b, begins.back() + length, keys);
    for (std::int64_t t = 0; t < length; ++t) positions.push_back(call.has(9) ? call.in(9).as_int64(b * length + t) : begins.back() + t);
  }
  if (call.integer("do_rotary", 0) != 0) {
    if (!call.has(7) || !call.has(8)) return fail(Code::kInvalidArgument, "do_rotary needs the caches of cosines and sines");
    for (auto row : positions)
      if (row < 0 || row >= call.in(7).shape()[0]) return fail(Code::kInvalidArgument, "position {} lies outside the cache", row);
    RotaryProblem p{batch, heads, length, size, 2 * call.in(7).shape()[1], true, call.integer("rotary_interleaved", 0) != 0};
    q = rotate(p, q, doubles(call.in(7)), doubles(call.in(8)), positions);
    p.heads = kv_heads;
    k = rotate(p, k, doubles(call.in(7)), doubles(call.in(8)), positions);
  }
  auto cached = [&](std::size_t input, const std::vector<double>& now) {
    std::vector<double> all(index_of(batch * kv_heads * keys * size), 0.0);
    const auto old = past > 0 ? doubles(call.in(input)) : std::vector<double>{};
    for (std::int64_t g = 0; g < batch * kv_heads; ++g) {
      std::copy_n(old.begin() + g * past * size, past * size, all.begin() + g * keys * size);
      std::copy_n(now.begin() + g * length * size, length * size, all.begin() + (g * keys + begins[index_of(g / kv_heads)]) * size);
    }
    return all;
  };
  k = cached(3, k);
  v = cached(4, v);
  const std::int64_t window = call.integer("local_window_size", -1);
  const auto extra = call.has(10) ? doubles(call.in(10)) : std::vector<double>{};
  const Shape extra_strides = call.has(10) ? broadcast_strides(call.in(10).shape(), Shape{batch, heads, length, keys}) : Shape(4, 0);
  auto bias = [&](std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) -> double {
    const std::int64_t own = begins[index_of(b)] + i;
    if (j > own || (window > 0 && j <= own - window)) return -INFINITY;
    return extra.empty() ? 0 : extra[index_of(b * extra_strides[0] + h * extra_strides[1] + i * extra_strides[2] + j * extra_strides[3])];
  };
  AttentionProblem problem{batch, heads, kv_heads, length, keys, size, size, q, k, v, bias};
  const auto* scale = call.node.attributes.get<float>("scale");
  problem.scale = scale && *scale != 0 ? *scale : 1 / std::sqrt(static_cast<double>(size));
  problem.softcap = call.real("softcap", 0.0f);
  std::vector<double> y;
  attend(problem, y, nullptr);
  y = join_heads(y, batch, heads, length, size);
  const std::vector<double>* sources[] = {&y, &k, &v};
  std::vector<Value> values;
  for (std::size_t i = 0; i < call.num_outputs(); ++i) {
    Tensor out = call.make(i);
    store(out, *sources[i]);
    values.emplace_back(std::move(out));
  }
  return values;
}

// input, position ids, cos cache, sin cache.
Values rotary_embedding(const Call& call) {
  const Shape& s = call.in(0).shape();
  RotaryProblem p;
  p.heads_first = s.size() == 4;
  p.batch = s[0];
  p.length = p.heads_first ? s[2] : s[1];
  const std::int64_t half = call.in(2).shape()[1];
  p.rotated = 2 * half;
  p.heads = p.heads_first ? s[1] : call.integer("num_heads", 0);
  if (p.heads == 0) p.heads = s[2] / p.rotated;
  p.size = p.heads_first ? s[3] : s[2] / p.heads;
  p.interleaved = call.integer("interleaved", 0) != 0;
  std::vector<std::int64_t> rows;
  for (std::int64_t i = 0; i < p.batch * p.length; ++i) {
    const std::int64_t row =
        call.in(1).num_elements() == 1 ? call.in(1).as_int64(0) + i % p.length : call.in(1).as_int64(i);
    if (row < 0 || row >= call.in(2).shape()[0])
      return fail(Code::kInvalidArgument, "position {} lies outside the cache", row);
    rows.push_back(row);
  }
  Tensor out = call.make();
  store(out, rotate(p, doubles(call.in(0)), doubles(call.in(2)), doubles(call.in(3)), rows));
  return result(std::move(out));
}

Values matmul_nbits(const Call& call) {
  if (call.has(4)) return fail(Code::kUnsupported, "MatMulNBits with g_idx");
  XI_TRY(const Tensor weights, nbits_weights(call.node, call.in(1), call.in(2), optional(call, 3)));
  const std::int64_t k = weights.shape()[0], n = weights.shape()[1];
  auto a = doubles(call.in(0)), b = doubles(weights);
  Tensor out = call.make();
  std::vector<double> y(index_of(out.num_elements()), 0.0);
  multiply_matrices(a.data(), b.data(), y.data(), static_cast<std::int64_t>(a.size()) / std::max<std::int64_t>(1, k), k, n);
  if (call.has(5)) {
    auto bias = doubles(call.in(5));
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += bias[i % bias.size()];
  }
  store(out, y);
  return result(std::move(out));
}

Values inverse(const Call& call) {
  Tensor out = call.make();
  const std::int64_t n = out.shape().back();
  auto x = doubles(call.in(0));
  std::vector<double> y(x.size(), 0.0);
  for (std::size_t m = 0; n > 0 && m < x.size() / index_of(n * n); ++m) {
    double *a = x.data() + m * index_of(n * n), *b = y.data() + m * index_of(n * n);
    for (std::int64_t i = 0; i < n; ++i) b[i * n + i] = 1;
    for (std::int64_t k = 0; k < n; ++k) {  // Gauss and Jordan with partial pivoting
      std::int64_t pivot = k;
      for (std::int64_t r = k + 1; r < n; ++r)
        if (std::fabs(a[r * n + k]) > std::fabs(a[pivot * n + k])) pivot = r;
      if (a[pivot * n + k] == 0) return fail(Code::kInvalidArgument, "matrix {} has no inverse", m);
      if (pivot != k) {
        std::swap_ranges(a + k * n, a + (k + 1) * n, a + pivot * n);
        std::swap_ranges(b + k * n, b + (k + 1) * n, b + pivot * n);
      }
      const double factor = 1 / a[k * n + k];
      for (std::int64_t c = 0; c < n; ++c) {
        a[k * n + c] *= factor;
        b[k * n + c] *= factor;
      }
      for (std::int64_t r = 0; r < n; ++r) {
        if (r == k) continue;
        const double f = a[r * n + k];
        for (std::int64_t c = 0; c < n; ++c) {
          a[r * n + c] -= f * a[k * n + c];
          b[r * n + c] -= f * b[k * n + c];
        }
      }
    }
  }
  store(out, y);
  return result(std::move(out));
}

}  // namespace

// B holds N rows of K numbers of `bits`, block by block, low bits first.
Result<Tensor> nbits_weights(const ir::Node& node, const Tensor& b, const Tensor& scales, const Tensor* zeros) {
  const std::int64_t k = node.attributes.integer("K", 0), n = node.attributes.integer("N", 0), bits = node.attributes.integer("bits", 4),
                     block = node.attributes.integer("block_size", 32);
  if ((bits != 2 && bits != 4 && bits != 8) || block <= 0 || block * bits % 8 != 0 || k <= 0 || n <= 0)
    return fail(Code::kUnsupported, "{} x {} weights of {} bits in blocks of {}", k, n, bits, block);
  const std::int64_t blocks = (k + block - 1) / block, block_bytes = block * bits / 8, zero_bytes = (blocks * bits + 7) / 8, mask = (1 << bits) - 1;
  const bool packed = zeros != nullptr && zeros->dtype() == DType::kUint8;
  if (b.dtype() != DType::kUint8 || b.num_elements() < n * blocks * block_bytes || scales.num_elements() < n * blocks ||
      (zeros != nullptr && zeros->num_elements() < n * (packed ? zero_bytes : blocks)))
    return fail(Code::kInvalidArgument, "B, the scales or the zero points are too small for {} x {} weights", k, n);
  const auto bytes = b.data<std::uint8_t>();
  Tensor out(DType::kFloat32, {k, n});
  auto weights = out.data<float>();
  for (std::int64_t row = 0; row < n; ++row)
    for (std::int64_t at = 0; at < blocks; ++at) {
      double zero = static_cast<double>(1 << (bits - 1));
      if (packed) zero = zeros->data<std::uint8_t>()[index_of(row * zero_bytes + at * bits / 8)] >> (at * bits % 8) & mask;
      else if (zeros != nullptr) zero = zeros->as_double(row * blocks + at);
      const double scale = scales.as_double(row * blocks + at);
      for (std::int64_t i = at * block; i < std::min(k, (at + 1) * block); ++i) {
        const std::int64_t inside = i % block * bits;
        const std::int64_t q = bytes[index_of((row * blocks + at) * block_bytes + inside / 8)] >> (inside % 8) & mask;
        weights[index_of(i * n + row)] = static_cast<float>((static_cast<double>(q) - zero) * scale);
      }
    }
  return out;
}

void add_microsoft(Entries& e) {
  e.emplace_back("com.microsoft.FusedConv", fused_conv);
  e.emplace_back("com.microsoft.FusedGemm", fused_gemm);
  e.emplace_back("com.microsoft.FusedMatMul", fused_matmul);
  e.emplace_back("com.microsoft.TransposeMatMul", fused_matmul);
  e.emplace_back("com.microsoft.Gelu", biased<erf_gelu>);
  e.emplace_back("com.microsoft.BiasGelu", biased<erf_gelu>);
  e.emplace_back("com.microsoft.FastGelu", biased<tanh_gelu>);
  e.emplace_back("com.microsoft.QuickGelu", quick_gelu);
  e.emplace_back("com.microsoft.BiasSplitGelu", bias_split_gelu);
  e.emplace_back("com.microsoft.BiasAdd", bias_add);
  e.emplace_back("com.microsoft.CDist", distances);
  e.emplace_back("com.microsoft.SkipLayerNormalization", skip_normalization<true>);
  e.emplace_back("com.microsoft.SkipSimplifiedLayerNormalization", skip_normalization<false>);
  e.emplace_back("com.microsoft.EmbedLayerNormalization", embed_normalization);
  e.emplace_back("com.microsoft.Attention", attention);
  e.emplace_back("com.microsoft.MultiHeadAttention", multi_head_attention);
  e.emplace_back("com.microsoft.QAttention", qattention);
  e.emplace_back("com.microsoft.GroupQueryAttention", group_query_attention);
  e.emplace_back("com.microsoft.RotaryEmbedding", rotary_embedding);
  e.emplace_back("com.microsoft.MatMulNBits", matmul_nbits);
  e.emplace_back("com.microsoft.Inverse", inverse);
}

}  // namespace xinfer::forge::reference
