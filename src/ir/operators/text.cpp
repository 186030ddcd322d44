// Strings.
#include <algorithm>

#include "ir/operators/rules.h"

namespace xinfer::ir::rules {

namespace {

Types string_normalizer(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (!in) return output(context, unknown_rank(DType::kString));
  if (in->size() > 2) return fail(Code::kInvalidArgument, "the input must have rank 1 or 2, not {}", in->size());
  Dims out = *in;
  if (!out.empty()) out.back() = Dim{};  // stop words are dropped
  return output(context, tensor_type(DType::kString, std::move(out)));
}

Types string_split(const ShapeContext& context) {
  const Dims* in = dims_of(context, 0);
  if (!in) return outputs(context, {unknown_rank(DType::kString), unknown_rank(DType::kInt64)});
  Dims out = *in;
  out.emplace_back();
  return outputs(context, {tensor_type(DType::kString, std::move(out)), tensor_type(DType::kInt64, *in)});
}

Types regex_match(const ShapeContext& context) {
  return output(context, tensor_type(DType::kBool, context.input(0).dims));
}

Types tf_idf(const ShapeContext& context) {
  std::int64_t width = 0;
  for (auto index : context.node.attributes.integers("ngram_indexes")) width = std::max(width, index + 1);
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
  constexpr auto kControl = Lowering::kControl;
  rows.push_back({"StringNormalizer",
                  1,
                  1,
                  1,
                  1,
                  {text("case_change_action"), integer("is_case_sensitive"), text("locale"), texts("stopwords")},
                  string_normalizer,
                  kControl});
  rows.push_back({"StringConcat", 2, 2, 1, 1, {}, broadcast_all, kControl});
  rows.push_back({"StringSplit", 1, 1, 1, 2, {text("delimiter"), integer("maxsplit")}, string_split, kControl});
  rows.push_back({"RegexFullMatch", 1, 1, 1, 1, {text("pattern")}, regex_match, kControl});
  rows.push_back({"TfIdfVectorizer",
                  1,
                  1,
                  1,
                  1,
                  {integer("max_gram_length", true), integer("max_skip_count", true), integer("min_gram_length", true),
                   text("mode", true), integers("ngram_counts", true), integers("ngram_indexes", true),
                   integers("pool_int64s"), texts("pool_strings"), reals("weights")},
                  tf_idf,
                  Lowering::kIrregular});
}

}  // namespace xinfer::ir::rules
