// Strings.
#include <algorithm>

#include "ir/operators/rules.h"

namespace xinfer::ir::rules {

namespace {

// An engine has room for so many parts of one string; a string of more is an error while running.
constexpr std::int64_t kMaxParts = 1024;

Types string_normalizer(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, unknown_rank(DType::kString));
  if (in->size() > 2) return fail(Code::kInvalidArgument, "the input must have rank 1 or 2, not {}", in->size());
  Dims out = *in;
  const auto* stop = context.node.attributes.get<std::vector<std::string>>("stopwords");
  if (out.empty()) return output(context, tensor_type(DType::kString, std::move(out)));
  // Stop words are dropped; where nothing is left, there is one empty string.
  const Dim at_least_one = out.back().value == 0 ? Dim(1) : out.back();
  out.back() = stop == nullptr || stop->empty() || at_least_one.value == 1 ? at_least_one : counted(context, at_least_one);
  return output(context, tensor_type(DType::kString, std::move(out)));
}

Types string_split(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (!in) return outputs(context, {unknown_rank(DType::kString), unknown_rank(DType::kInt64)});
  Dims out = *in;
  const std::int64_t most = context.node.attributes.integer("maxsplit", -1);
  out.push_back(counted(context, Dim(most >= 0 && most < kMaxParts ? most + 1 : kMaxParts)));
  return outputs(context, {tensor_type(DType::kString, std::move(out)), tensor_type(DType::kInt64, *in)});
}

Types regex_match(const ShapeContext& context) {
  return output(context, tensor_type(DType::kBool, context.input(0).dims));
}

Types tf_idf(const ShapeContext& context) {
  std::int64_t width = 0;
  for (auto index : context.node.attributes.integers("ngram_indexes")) {
    if (index < 0 || index >= tensor::kUnbounded) return fail(Code::kInvalidArgument, "ngram_indexes holds {}", index);
    width = std::max(width, index + 1);
  }
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, unknown_rank(DType::kFloat32));
  if (in->size() > 2 || in->empty())
    return fail(Code::kInvalidArgument, "the input must have rank 1 or 2, not {}", in->size());
  Dims out;
  if (in->size() == 2) out.push_back((*in)[0]);
  out.emplace_back(width);
  return output(context, tensor_type(DType::kFloat32, std::move(out)));
}

}  // namespace

void add_text(Rows& rows) {
  constexpr auto kIrregular = Lowering::kIrregular;
  rows.push_back({"StringNormalizer",
                  1,
                  1,
                  1,
                  1,
                  {text("case_change_action"), integer("is_case_sensitive"), text("locale"), texts("stopwords")},
                  string_normalizer,
                  kIrregular});
  rows.push_back({"StringConcat", 2, 2, 1, 1, {}, broadcast_all, kIrregular});
  rows.push_back({"StringSplit", 1, 1, 1, 2, {text("delimiter"), integer("maxsplit")}, string_split, kIrregular});
  rows.push_back({"RegexFullMatch", 1, 1, 1, 1, {text("pattern")}, regex_match, kIrregular});
  rows.push_back({"TfIdfVectorizer",
                  1,
                  1,
                  1,
                  1,
                  {integer("max_gram_length", true), integer("max_skip_count", true), integer("min_gram_length", true),
                   text("mode", true), integers("ngram_counts", true), integers("ngram_indexes", true),
                   integers("pool_int64s"), texts("pool_strings"), reals("weights")},
                  tf_idf,
                  kIrregular});
}

}  // namespace xinfer::ir::rules
