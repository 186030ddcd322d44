// Strings, label tables, n-grams: words of the model that the kernel's text itself holds.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "forge/automaton.h"
#include "forge/cpu/irregular/builder.h"
#include "forge/irregular_text.h"
#include "forge/reference/classical.h"

namespace xinfer::forge::cpu::irregular {

namespace {

using Ints = std::vector<std::int64_t>;
using Reals = std::vector<double>;
using Words = std::vector<std::string>;

// Passes leave constants of strings as nodes, since the engine's weights hold no addresses.
Kernel constant(Builder& b) {
  const auto* value = b.node.attributes.get<std::shared_ptr<const tensor::Tensor>>("value");
  if (value == nullptr || (*value)->dtype() != DType::kString) return fail(Code::kUnsupported, "a constant that is no tensor of strings");
  const std::int64_t count = (*value)->num_elements();
  b.words("kWords", (*value)->strings());
  return b.finish(count, static_cast<double>(count), 0, fmt::format("{} strings", count), {kIrregularTextConstantInc});
}

Kernel concat(Builder& b) {
  const Sizes out = b.out_sizes();
  auto strides = [&](std::size_t input) {
    const Sizes in = b.sizes(input), own = dense_strides(in);
    Sizes spread(out.size(), 0);
    for (std::size_t d = 0; d < in.size(); ++d)
      if (in[d] != Size(1)) spread[out.size() - in.size() + d] = own[d];
    return spread;
  };
  b.add("kRank", static_cast<std::int64_t>(out.size())).list("kDims", out).list("kFirstStrides", strides(0)).list("kSecondStrides", strides(1));
  const Size count = tensor::num_elements(out);
  return b.finish(count, 50 * estimate(count), 0, "strings joined", {kIrregularTextConcatInc});
}

Kernel match(Builder& b) {
  XI_TRY(const Automaton made, compile_pattern(b.text("pattern", "")));
  const std::int64_t states = static_cast<std::int64_t>(made.accepts.size());
  b.add("kStart", made.start).add("kClasses", made.num_classes).list("kNext", made.next);
  b.list("kClassOf", Ints(made.class_of.begin(), made.class_of.end())).list("kAccepts", Ints(made.accepts.begin(), made.accepts.end()));
  return b.finish(b.elements(0), 50 * estimate(b.elements(0)), 0, fmt::format("automaton of {} states", states), {kIrregularTextMatchInc});
}

// Between strings and numbers: the loop nests have all other casts.
Kernel cast(Builder& b) {
  const bool to_text = b.out_dtype() == DType::kString;
  b.flag("kIsBool", (to_text ? b.dtype(0) : b.out_dtype()) == DType::kBool);
  return b.finish(b.elements(0), 100 * estimate(b.elements(0)), 0, to_text ? "numbers to strings" : "strings to numbers",
                  {to_text ? kIrregularTextFromNumberInc : kIrregularTextToNumberInc});
}

// Keys or values of a label table, from whichever attribute holds them.
struct Labels {
  Words words;
  Reals numbers;
  bool are_words = false;
  std::size_t size() const { return are_words ? words.size() : numbers.size(); }
};
Labels labels(const ir::Node& node, const std::string& stem) {
  const ir::Attributes& a = node.attributes;
  const auto* tensor = a.get<std::shared_ptr<const tensor::Tensor>>(stem + "_tensor");
  if (tensor != nullptr && (*tensor)->dtype() == DType::kString) return {(*tensor)->strings(), {}, true};
  if (const auto* words = a.get<Words>(stem + "_strings")) return {*words, {}, true};
  for (const char* kind : {"_tensor", "_floats", "_int64s"})
    if (a.has(stem + kind)) return {{}, reference::attribute_numbers(node, stem + kind), false};
  return {};
}

// The first of equal keys counts. `values` has the default appended.
Kernel look_up(Builder& b, const Labels& keys, Labels values) {
  if (keys.size() + 1 != values.size()) return fail(Code::kInvalidArgument, "{} keys for {} values", keys.size(), values.size() - 1);
  if (keys.are_words != (b.dtype(0) == DType::kString)) return fail(Code::kInvalidArgument, "{} of {}: the keys are of another kind", b.node.op, tensor::name(b.dtype(0)));
  const std::size_t fallback = values.size() - 1;
  std::map<std::string, std::size_t> by_word;
  std::map<double, std::size_t> by_number;
  std::size_t of_nan = fallback;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys.are_words) by_word.try_emplace(keys.words[i], i);
    else if (std::isnan(keys.numbers[i])) of_nan = i;
    else by_number.try_emplace(keys.numbers[i], i);
  }
  Words words;
  Reals numbers;
  std::vector<std::size_t> order;
  for (const auto& [key, i] : by_word) words.push_back(key), order.push_back(i);
  for (const auto& [key, i] : by_number) numbers.push_back(key), order.push_back(i);
  const auto count = static_cast<std::int64_t>(order.size());
  order.push_back(fallback);
  order.push_back(of_nan);
  Labels results{{}, {}, values.are_words};
  for (std::size_t i : order) {
    if (values.are_words) results.words.push_back(values.words[i]);
    else results.numbers.push_back(values.numbers[i]);
  }
  b.add("kKeyCount", count).add("kDefault", count).add("kNanKey", count + 1);
  b.line(fmt::format("#define XI_TEXT_KEYS {:d}\n#define XI_TEXT_VALUES {:d}", keys.are_words, values.are_words));
  keys.are_words ? b.words("kKeys", words) : b.reals("kKeys", numbers);
  values.are_words ? b.words("kValues", results.words) : b.reals("kValues", results.numbers);
  return b.finish(b.elements(0), 20.0 * estimate(b.elements(0)), 0, fmt::format("{} labels", count), {kIrregularLabelsInc});
}

Kernel label_encoder(Builder& b) {
  const ir::Attributes& a = b.node.attributes;
  const Labels keys = labels(b.node, "keys");
  Labels values = labels(b.node, "values");
  if (keys.size() == 0) return fail(Code::kInvalidArgument, "LabelEncoder has no keys");
  const auto* given = a.get<std::shared_ptr<const tensor::Tensor>>("default_tensor");
  const bool real = tensor::is_float(b.out_dtype());
  if (given != nullptr && ((*given)->num_elements() != 1 || values.are_words != ((*given)->dtype() == DType::kString)))
    return fail(Code::kInvalidArgument, "default_tensor does not fit the values");
  if (values.are_words) values.words.push_back(given != nullptr ? (*given)->strings()[0] : a.string("default_string", "_Unused"));
  else values.numbers.push_back(given != nullptr ? (*given)->as_double(0) : real ? a.real("default_float", -0.0f) : static_cast<double>(a.integer("default_int64", -1)));
  return look_up(b, keys, std::move(values));
}

Kernel category_mapper(Builder& b) {
  const ir::Attributes& a = b.node.attributes;
  Labels words = labels(b.node, "cats"), numbers{{}, reference::attribute_numbers(b.node, "cats_int64s"), false};
  if (!words.are_words) return fail(Code::kInvalidArgument, "CategoryMapper has no cats_strings");
  if (b.dtype(0) == DType::kString) {
    numbers.numbers.push_back(static_cast<double>(a.integer("default_int64", -1)));
    return look_up(b, words, std::move(numbers));
  }
  words.words.push_back(a.string("default_string", "_Unused"));
  return look_up(b, numbers, std::move(words));
}

// The pool as numbers: of words, their places in the sorted list of different ones.
Ints pool_of(Builder& b) {
  const auto* words = b.node.attributes.get<Words>("pool_strings");
  const bool text = b.dtype(0) == DType::kString;
  b.line(fmt::format("#define XI_TEXT_ITEMS {:d}", text));
  if (!text) return b.node.attributes.integers("pool_int64s");
  const Words given = words == nullptr ? Words{} : *words;
  const std::set<std::string> different(given.begin(), given.end());
  const Words sorted(different.begin(), different.end());
  b.words("kWords", sorted).add("kWordCount", static_cast<std::int64_t>(sorted.size()));
  Ints pool;
  for (const std::string& word : given) pool.push_back(std::ranges::lower_bound(sorted, word) - sorted.begin());
  return pool;
}

Kernel tf_idf(Builder& b) {
  if (tensor::is_float(b.dtype(0))) return fail(Code::kUnsupported, "TfIdfVectorizer of {}", tensor::name(b.dtype(0)));
  const Ints pool = pool_of(b), starts = b.node.attributes.integers("ngram_counts"), columns = b.node.attributes.integers("ngram_indexes");
  // The pool lists all 1-grams, then all 2-grams, …
  Ints sizes, begins;
  for (std::size_t n = 1; n <= starts.size(); ++n) {
    const std::int64_t begin = starts[n - 1], end = n < starts.size() ? starts[n] : static_cast<std::int64_t>(pool.size()), size = static_cast<std::int64_t>(n);
    if (begin < 0 || begin > end || end > static_cast<std::int64_t>(pool.size()) || (end - begin) % size != 0)
      return fail(Code::kInvalidArgument, "ngram_counts do not fit the pool");
    for (std::int64_t at = begin; at < end; at += size) {
      sizes.push_back(size);
      begins.push_back(at);
    }
  }
  if (sizes.size() > columns.size()) return fail(Code::kInvalidArgument, "{} ngram_indexes for {} n-grams", columns.size(), sizes.size());
  const std::string mode = b.text("mode", "TF");
  Reals weights;
  if (const auto* given = b.node.attributes.get<std::vector<float>>("weights")) weights.assign(given->begin(), given->end());
  weights.resize(std::max(weights.size(), sizes.size()), 1.0);
  const Sizes in = b.sizes(0), out = b.out_sizes();
  b.add("kMode", std::int64_t{mode == "TF" ? 0 : mode == "IDF" ? 1 : 2}).add("kLength", in.back()).add("kWidth", out.back());
  b.add("kGrams", static_cast<std::int64_t>(sizes.size())).add("kShortest", b.integer("min_gram_length", 1)).add("kLongest", b.integer("max_gram_length", 1));
  b.add("kSkips", b.integer("max_skip_count", 0)).list("kSizes", sizes).list("kStarts", begins).list("kColumns", columns).list("kPool", pool);
  b.reals("kWeights", weights);
  const Size rows = in.size() == 2 ? in[0] : Size(1);
  return b.finish(rows, estimate(b.elements(0)) * static_cast<double>(sizes.size()), static_cast<std::uint64_t>(in.back().max()) * 8,
                  fmt::format("{} n-grams", sizes.size()), {kIrregularGramsInc});
}

constexpr Row kRows[] = {{"Constant", constant, false, true},
                         {"StringConcat", concat, true, true},
                         {"RegexFullMatch", match, true, true},
                         {"Cast", cast, true, true},
                         {"ai.onnx.ml.LabelEncoder", label_encoder, true, true},
                         {"ai.onnx.ml.CategoryMapper", category_mapper, true, true},
                         {"TfIdfVectorizer", tf_idf, true, true}};

}  // namespace

std::span<const Row> text_kernels() { return kRows; }

}  // namespace xinfer::forge::cpu::irregular
