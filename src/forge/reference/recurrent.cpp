// RNN, GRU and LSTM.
#include <algorithm>
#include <cmath>

#include "forge/reference/call.h"
#include "forge/reference/kernels.h"
#include "ir/operators/activations.h"

namespace xinfer::forge::reference {

namespace {

struct Activation {
  std::string_view name;
  double alpha, beta;
  double operator()(double x) const {
    if (name == "sigmoid") return 1 / (1 + std::exp(-x));
    if (name == "tanh") return std::tanh(x);
    if (name == "relu") return x < 0 ? 0 : x;
    if (name == "affine") return alpha * x + beta;
    if (name == "leakyrelu") return x < 0 ? alpha * x : x;
    if (name == "thresholdedrelu") return x >= alpha ? x : 0;
    if (name == "scaledtanh") return alpha * std::tanh(beta * x);
    if (name == "hardsigmoid") return std::clamp(alpha * x + beta, 0.0, 1.0);
    if (name == "elu") return x >= 0 ? x : alpha * std::expm1(x);
    if (name == "softsign") return x / (1 + std::fabs(x));
    return std::log1p(std::exp(x));  // softplus
  }
};

Result<std::vector<Activation>> activations_of(const Call& call, std::vector<std::string> defaults, std::size_t directions) {
  XI_TRY(const auto found, ir::recurrent_activations(call.node.attributes, directions, defaults));
  std::vector<Activation> out;
  for (const auto& [kind, alpha, beta] : found) out.push_back({ir::kRecurrentActivations[kind], alpha, beta});
  return out;
}

// One direction of a layer over all batches, weights in double.
struct Layer {
  std::int64_t time, batch, input, hidden, gates;
  std::vector<double> w, r, b, peephole;  // [gates*hidden, input], [gates*hidden, hidden], [2*gates*hidden], [3*hidden]
  std::vector<double> h, c;               // [batch, hidden]
  std::vector<std::int64_t> lengths;
  bool reverse = false;
  double clip = 0;

  double clipped(double v) const { return clip > 0 ? std::clamp(v, -clip, clip) : v; }
};

std::vector<double> transposed(const std::vector<double>& a, std::int64_t rows, std::int64_t columns) {
  std::vector<double> out(a.size());
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t c = 0; c < columns; ++c) out[index_of(c * rows + r)] = a[index_of(r * columns + c)];
  return out;
}

// Runs cell(gate inputs from x with both biases, gate inputs from h, bias of h, state row) for every step; y(t, n, row) gets each state.
template <class Cell, class Emit>
void run_layer(Layer& layer, const std::vector<double>& x, bool batch_first, Cell cell, Emit emit) {
  const std::int64_t width = layer.gates * layer.hidden;
  const std::vector<double> w = transposed(layer.w, width, layer.input), r = transposed(layer.r, width, layer.hidden);
  std::vector<double> from_x(index_of(layer.time * layer.batch * width), 0.0), from_h(index_of(width));
  multiply_matrices(x.data(), w.data(), from_x.data(), layer.time * layer.batch, layer.input, width);
  for (std::int64_t n = 0; n < layer.batch; ++n)
    for (std::int64_t step = 0; step < layer.lengths[index_of(n)]; ++step) {
      const std::int64_t t = layer.reverse ? layer.lengths[index_of(n)] - 1 - step : step;
      const std::int64_t row = batch_first ? n * layer.time + t : t * layer.batch + n;
      double* h = layer.h.data() + n * layer.hidden;
      std::ranges::fill(from_h, 0.0);
      multiply_matrices(h, r.data(), from_h.data(), 1, layer.hidden, width);
      cell(from_x.data() + row * width, from_h.data(), h, n);
      emit(t, n, h);
    }
}

// Gate order: one gate.
void rnn_step(const Layer& l, const Activation* f, const double* x, const double* hr, double* h) {
  for (std::int64_t i = 0; i < l.hidden; ++i)
    h[i] = f[0](l.clipped(x[i] + hr[i] + l.b[index_of(i)] + l.b[index_of(l.hidden + i)]));
}

// Gate order: z, r, h.
void gru_step(const Layer& l, const Activation* f, bool linear_before_reset, const double* x, const double* hr,
              double* h) {
  const std::int64_t n = l.hidden;
  const double *wb = l.b.data(), *rb = wb + 3 * n;
  std::vector<double> z(index_of(n)), reset(index_of(n)), candidate(index_of(n));
  for (std::int64_t i = 0; i < n; ++i) {
    z[index_of(i)] = f[0](l.clipped(x[i] + hr[i] + wb[i] + rb[i]));
    reset[index_of(i)] = f[0](l.clipped(x[n + i] + hr[n + i] + wb[n + i] + rb[n + i]));
  }
  for (std::int64_t i = 0; i < n; ++i) {
    double recurrent = 0;
    if (linear_before_reset) {
      recurrent = reset[index_of(i)] * (hr[2 * n + i] + rb[2 * n + i]);
    } else {
      for (std::int64_t k = 0; k < n; ++k) recurrent += reset[index_of(k)] * h[k] * l.r[index_of((2 * n + i) * n + k)];
      recurrent += rb[2 * n + i];
    }
    candidate[index_of(i)] = f[1](l.clipped(x[2 * n + i] + recurrent + wb[2 * n + i]));
  }
  for (std::int64_t i = 0; i < n; ++i) h[i] = (1 - z[index_of(i)]) * candidate[index_of(i)] + z[index_of(i)] * h[i];
}

// Gate order: i, o, f, c; peepholes i, o, f.
void lstm_step(const Layer& l, const Activation* f, bool input_forget, const double* x, const double* hr, double* h,
               double* c) {
  const std::int64_t n = l.hidden;
  const double *wb = l.b.data(), *rb = wb + 4 * n, *p = l.peephole.data();
  auto gate = [&](std::int64_t g, std::int64_t i) {
    return x[g * n + i] + hr[g * n + i] + wb[g * n + i] + rb[g * n + i];
  };
  for (std::int64_t i = 0; i < n; ++i) {
    const double in = f[0](l.clipped(gate(0, i) + p[i] * c[i]));
    const double forget = input_forget ? 1 - in : f[0](l.clipped(gate(2, i) + p[2 * n + i] * c[i]));
    const double candidate = f[1](l.clipped(gate(3, i)));
    c[i] = forget * c[i] + in * candidate;
    const double out = f[0](l.clipped(gate(1, i) + p[n + i] * c[i]));
    h[i] = out * f[2](c[i]);
  }
}

std::vector<double> slice_or_zero(const Call& call, std::size_t input, std::int64_t direction, std::int64_t size) {
  std::vector<double> out(index_of(size), 0.0);
  if (!call.has(input)) return out;
  auto all = doubles(call.in(input));
  if (static_cast<std::int64_t>(all.size()) >= (direction + 1) * size)
    std::copy_n(all.begin() + direction * size, size, out.begin());
  return out;
}

// Initial states are [directions, batch, hidden], or [batch, directions, hidden] in layout 1.
std::vector<double> initial_state(const Call& call, std::size_t input, std::int64_t direction, std::int64_t directions,
                                  std::int64_t batch, std::int64_t hidden, bool batch_first) {
  if (!batch_first) return slice_or_zero(call, input, direction, batch * hidden);
  std::vector<double> out(index_of(batch * hidden), 0.0);
  if (!call.has(input)) return out;
  auto all = doubles(call.in(input));
  for (std::int64_t n = 0; n < batch; ++n)
    std::copy_n(all.begin() + (n * directions + direction) * hidden, hidden, out.begin() + n * hidden);
  return out;
}

template <int kGates>
Values recurrent(const Call& call) {
  const bool batch_first = call.integer("layout", 0) != 0;
  const Shape &xs = call.in(0).shape(), &rs = call.in(2).shape();
  const std::int64_t time = xs[batch_first ? 1 : 0], batch = xs[batch_first ? 0 : 1], hidden = rs[2],
                     directions = rs[0];
  if (call.in(1).shape()[1] != kGates * hidden || rs[1] != kGates * hidden)
    return fail(Code::kInvalidArgument, "the weights have {} rows, {} wanted", rs[1], kGates * hidden);
  const std::string direction = call.text("direction", "forward");
  std::vector<std::string> defaults = kGates == 1   ? std::vector<std::string>{"Tanh"}
                                      : kGates == 3 ? std::vector<std::string>{"Sigmoid", "Tanh"}
                                                    : std::vector<std::string>{"Sigmoid", "Tanh", "Tanh"};
  XI_TRY(auto activations, activations_of(call, defaults, index_of(directions)));
  auto x = doubles(call.in(0));
  std::vector<double> all(index_of(time * directions * batch * hidden), 0.0),
      last_h(index_of(directions * batch * hidden)), last_c(last_h.size());
  for (std::int64_t d = 0; d < directions; ++d) {
    Layer l{time, batch, xs[2], hidden, kGates, {},
            {},   {},    {},    {},     {},     std::vector<std::int64_t>(index_of(batch), time)};
    l.w = slice_or_zero(call, 1, d, kGates * hidden * xs[2]);
    l.r = slice_or_zero(call, 2, d, kGates * hidden * hidden);
    l.b = slice_or_zero(call, 3, d, 2 * kGates * hidden);
    l.peephole = slice_or_zero(call, 7, d, 3 * hidden);
    l.h = initial_state(call, 5, d, directions, batch, hidden, batch_first);
    l.c = initial_state(call, 6, d, directions, batch, hidden, batch_first);
    l.reverse = direction == "reverse" || d == 1;
    l.clip = call.real("clip", 0.0f);
    if (call.has(4))
      for (std::int64_t n = 0; n < batch; ++n)
        l.lengths[index_of(n)] = std::clamp<std::int64_t>(call.in(4).as_int64(n), 0, time);
    const Activation* f = activations.data() + d * static_cast<std::int64_t>(defaults.size());
    const bool linear = call.integer("linear_before_reset", 0) != 0, coupled = call.integer("input_forget", 0) != 0;
    auto cell = [&](const double* from_x, const double* from_h, double* h, std::int64_t n) {
      if (kGates == 1) rnn_step(l, f, from_x, from_h, h);
      else if (kGates == 3) gru_step(l, f, linear, from_x, from_h, h);
      else lstm_step(l, f, coupled, from_x, from_h, h, l.c.data() + n * hidden);
    };
    run_layer(l, x, batch_first, cell, [&](std::int64_t t, std::int64_t n, const double* h) {
      const std::int64_t row = batch_first ? (n * time + t) * directions + d : (t * directions + d) * batch + n;
      std::copy_n(h, hidden, all.begin() + row * hidden);
    });
    for (std::int64_t n = 0; n < batch; ++n) {
      const std::int64_t row = batch_first ? n * directions + d : d * batch + n;
      std::copy_n(l.h.begin() + n * hidden, hidden, last_h.begin() + row * hidden);
      std::copy_n(l.c.begin() + n * hidden, hidden, last_c.begin() + row * hidden);
    }
  }
  std::vector<Value> values;
  const std::vector<double>* sources[] = {&all, &last_h, &last_c};
  for (std::size_t i = 0; i < call.num_outputs(); ++i) {
    Tensor out = call.make(i);
    store(out, *sources[i]);
    values.emplace_back(std::move(out));
  }
  return values;
}

}  // namespace

void add_recurrent(Entries& e) {
  e.emplace_back("RNN", recurrent<1>);
  e.emplace_back("GRU", recurrent<3>);
  e.emplace_back("LSTM", recurrent<4>);
}

}  // namespace xinfer::forge::reference
