#include "transformer.h"

#include <cmath>

#include "builder.h"

namespace xinfer::make_model {
namespace {

struct Encoder {
  int64_t batch, layers, hidden, heads, inner, tokens;
};

constexpr int64_t kVocabulary = 30522;

Value heads_first(Builder& b, const Value& x, const Encoder& e) {
  return b.reshape(x, {e.batch, e.tokens, e.heads, e.hidden / e.heads});
}

Value attention(Builder& b, const Value& x, const Value& mask, const Encoder& e) {
  const Value query = b.transpose(heads_first(b, b.dense(x, e.hidden), e), {0, 2, 1, 3});
  const Value key = b.transpose(heads_first(b, b.dense(x, e.hidden), e), {0, 2, 3, 1});
  const Value value = b.transpose(heads_first(b, b.dense(x, e.hidden), e), {0, 2, 1, 3});
  const Value root = b.scalar("root", std::sqrt(static_cast<float>(e.hidden / e.heads)));
  Value scores = b.op("Div", {b.op("MatMul", {query, key}, e.tokens), root}, e.tokens);
  scores = b.op("Softmax", {b.op("Add", {scores, mask}, e.tokens)}, e.tokens);
  b.set_int("axis", -1);
  const Value mixed = b.transpose(b.op("MatMul", {scores, value}, 0), {0, 2, 1, 3});
  Value joined = b.reshape(mixed, {e.batch, e.tokens, e.hidden});
  joined.channels = e.hidden;
  return b.dense(joined, e.hidden);
}

// x · (1 + erf(x / √2)) / 2, as five nodes.
Value gelu(Builder& b, const Value& x) {
  const Value erf = b.op("Erf", {b.op("Div", {x, b.scalar("sqrt2", 1.4142135F)}, x.channels)}, x.channels);
  const Value weighted = b.op("Mul", {x, b.op("Add", {erf, b.scalar("one", 1.0F)}, x.channels)}, x.channels);
  return b.op("Mul", {weighted, b.scalar("half", 0.5F)}, x.channels);
}

std::string encoder(std::string_view name, const Encoder& e) {
  Builder b(name, 17);
  const Value ids = b.input("input_ids", DataType::kInt64, {e.batch, e.tokens});
  const Value mask = b.input("attention_mask", DataType::kInt64, {e.batch, e.tokens});
  const Value types = b.input("token_type_ids", DataType::kInt64, {e.batch, e.tokens});
  const auto table = [&](int64_t rows) { return b.random("embedding", {rows, e.hidden}, 0.0F, 0.5F); };
  Value x = b.op("Add", {b.op("Gather", {table(kVocabulary), ids}, 0), b.op("Gather", {table(2), types}, 0)}, 0);
  x = b.op("Add", {x, b.random("positions", {1, e.tokens, e.hidden}, 0.0F, 0.5F)}, e.hidden);
  x = b.layer_norm(x);
  // 0 where a token counts and -10000 where it does not, added to the scores.
  Value bias = b.op("Unsqueeze", {mask, b.ints("axes", {1, 2})}, 0);
  bias = b.op("Cast", {bias}, 0);
  b.set_int("to", static_cast<int64_t>(DataType::kFloat));
  bias = b.op("Sub", {b.scalar("one", 1.0F), bias}, 0);
  bias = b.op("Mul", {bias, b.scalar("never", -10000.0F)}, 0);
  for (int64_t layer = 0; layer < e.layers; ++layer) {
    x = b.layer_norm(b.op("Add", {attention(b, x, bias, e), x}, e.hidden));
    const Value inner = gelu(b, b.dense(x, e.inner));
    x = b.layer_norm(b.op("Add", {b.dense(inner, e.hidden), x}, e.hidden));
  }
  b.output(x, {e.batch, e.tokens, e.hidden});
  return b.serialize();
}

}  // namespace

std::string bert_base(int64_t batch) { return encoder("bert_base", {batch, 12, 768, 12, 3072, 128}); }
std::string minilm_l6(int64_t batch) { return encoder("minilm_l6", {batch, 6, 384, 12, 1536, 128}); }
std::string minilm_l6_16(int64_t batch) { return encoder("minilm_l6_16", {batch, 6, 384, 12, 1536, 16}); }

}  // namespace xinfer::make_model
