// Strings.
#include <algorithm>
#include <map>
#include <regex>
#include <set>

#include "forge/reference/call.h"

namespace xinfer::forge::reference {

namespace {

// ASCII case only: a locale's rules are not ours to guess.
std::string with_case(std::string text, std::string_view action) {
  for (char& c : text)
    c = static_cast<char>(action == "LOWER"   ? std::tolower(static_cast<unsigned char>(c))
                          : action == "UPPER" ? std::toupper(static_cast<unsigned char>(c))
                                              : c);
  return text;
}

Values normalize(const Call& call) {
  const Tensor& in = call.in(0);
  const std::string action = call.text("case_change_action", "NONE");
  const bool sensitive = call.integer("is_case_sensitive", 0) != 0;
  std::set<std::string> stop;
  if (const auto* words = call.node.attributes.get<std::vector<std::string>>("stopwords"))
    for (const auto& word : *words) stop.insert(sensitive ? word : with_case(word, "LOWER"));
  if (in.rank() == 2 && in.shape()[0] != 1)
    return fail(Code::kInvalidArgument, "an input of rank 2 must have one row, not {}", in.shape()[0]);
  std::vector<std::string> kept;
  for (const auto& word : in.strings())
    if (!stop.contains(sensitive ? word : with_case(word, "LOWER"))) kept.push_back(with_case(word, action));
  if (kept.empty()) kept.emplace_back();
  Shape shape{static_cast<std::int64_t>(kept.size())};
  if (in.rank() == 2) shape.insert(shape.begin(), 1);
  Tensor out(DType::kString, shape);
  out.strings() = std::move(kept);
  return result(std::move(out));
}

Values concat(const Call& call) {
  Tensor out = call.make();
  const auto &a = call.in(0).strings(), &b = call.in(1).strings();
  std::array strides{broadcast_strides(call.in(0).shape(), out.shape()),
                     broadcast_strides(call.in(1).shape(), out.shape())};
  for_each_index(out.shape(), strides,
                 [&](auto o, auto i, auto j) { out.strings()[index_of(o)] = a[index_of(i)] + b[index_of(j)]; });
  return result(std::move(out));
}

// Without a delimiter: runs of white space separate, and leading and trailing ones vanish.
std::vector<std::string> split_words(std::string_view text, std::string_view delimiter, std::int64_t most) {
  std::vector<std::string> parts;
  auto more = [&] { return most < 0 || static_cast<std::int64_t>(parts.size()) < most; };
  if (delimiter.empty()) {
    constexpr std::string_view kSpace = " \t\n\r\f\v";
    while (true) {
      const auto begin = text.find_first_not_of(kSpace);
      if (begin == text.npos) break;
      text.remove_prefix(begin);
      const auto end = more() ? text.find_first_of(kSpace) : text.npos;
      if (end == text.npos) {
        const auto last = text.find_last_not_of(kSpace);
        parts.emplace_back(text.substr(0, last + 1));
        break;
      }
      parts.emplace_back(text.substr(0, end));
      text.remove_prefix(end);
    }
    return parts;
  }
  if (text.empty()) return parts;
  for (auto at = text.find(delimiter); at != text.npos && more(); at = text.find(delimiter)) {
    parts.emplace_back(text.substr(0, at));
    text.remove_prefix(at + delimiter.size());
  }
  parts.emplace_back(text);
  return parts;
}

Values split(const Call& call) {
  const Tensor& in = call.in(0);
  const std::string delimiter = call.text("delimiter", "");
  const std::int64_t most = call.integer("maxsplit", -1);
  std::vector<std::vector<std::string>> all;
  std::size_t width = 0;
  Tensor counts(DType::kInt64, in.shape());
  for (const auto& text : in.strings()) {
    all.push_back(split_words(text, delimiter, most));
    counts.data<std::int64_t>()[all.size() - 1] = static_cast<std::int64_t>(all.back().size());
    width = std::max(width, all.back().size());
  }
  Shape shape = in.shape();
  shape.push_back(static_cast<std::int64_t>(width));
  Tensor out(DType::kString, shape);
  for (std::size_t i = 0; i < all.size(); ++i)
    std::ranges::move(all[i], out.strings().begin() + static_cast<std::ptrdiff_t>(i * width));
  return results(std::move(out), std::move(counts));
}

Values regex_match(const Call& call) {
  Tensor out = call.make();
  try {  // std::regex reports bad patterns by exception only
    const std::regex pattern(call.text("pattern", ""), std::regex::ECMAScript);
    for (std::size_t i = 0; i < call.in(0).strings().size(); ++i)
      out.data<std::uint8_t>()[i] = std::regex_match(call.in(0).strings()[i], pattern);
  } catch (const std::regex_error& error) {
    return fail(Code::kInvalidArgument, "the pattern '{}': {}", call.text("pattern", ""), error.what());
  }
  return result(std::move(out));
}

// Counts n-grams of a pool in each row, with gaps of up to max_skip_count.
Values tf_idf(const Call& call) {
  const Tensor& in = call.in(0);
  Tensor out = call.make();
  const std::int64_t longest = call.integer("max_gram_length", 1), shortest = call.integer("min_gram_length", 1),
                     skips = call.integer("max_skip_count", 0);
  const std::string mode = call.text("mode", "TF");
  auto starts = call.integers("ngram_counts"), columns = call.integers("ngram_indexes");
  const auto* weights = call.node.attributes.get<std::vector<float>>("weights");
  const bool by_text = in.dtype() == DType::kString;
  const auto* words = call.node.attributes.get<std::vector<std::string>>("pool_strings");
  std::vector<std::string> pool;
  if (by_text && words) pool = *words;
  else
    for (auto number : call.integers("pool_int64s")) pool.push_back(std::to_string(number));
  std::vector<std::string> items = by_text ? in.strings() : std::vector<std::string>{};
  if (!by_text)
    for (auto number : in.as_int64s()) items.push_back(std::to_string(number));
  // The pool lists all 1-grams, then all 2-grams, …; `starts[n - 1]` is where the n-grams begin.
  std::map<std::vector<std::string>, std::size_t> grams;
  std::size_t id = 0;
  for (std::size_t n = 1; n <= starts.size(); ++n) {
    const std::size_t begin = index_of(starts[n - 1]), end = n < starts.size() ? index_of(starts[n]) : pool.size();
    if (begin > end || end > pool.size() || (end - begin) % n != 0)
      return fail(Code::kInvalidArgument, "ngram_counts do not fit the pool");
    for (std::size_t at = begin; at < end; at += n, ++id)
      grams[{pool.begin() + static_cast<std::ptrdiff_t>(at), pool.begin() + static_cast<std::ptrdiff_t>(at + n)}] = id;
  }
  if (id > columns.size()) return fail(Code::kInvalidArgument, "{} ngram_indexes for {} n-grams", columns.size(), id);
  const std::int64_t rows = in.rank() == 2 ? in.shape()[0] : 1, length = in.shape().back(), width = out.shape().back();
  std::vector<double> y(index_of(out.num_elements()), 0.0);
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t n = shortest; n <= longest; ++n)
      for (std::int64_t stride = 1; stride <= skips + 1; ++stride) {
        if (n == 1 && stride > 1) break;  // single items have no gaps
        for (std::int64_t at = 0; at + (n - 1) * stride < length; ++at) {
          std::vector<std::string> gram;
          for (std::int64_t i = 0; i < n; ++i) gram.push_back(items[index_of(row * length + at + i * stride)]);
          auto found = grams.find(gram);
          if (found != grams.end()) y[index_of(row * width + columns[found->second])] += 1;
        }
      }
  if (mode != "TF")
    for (std::size_t g = 0; g < id; ++g) {
      const double weight = weights && g < weights->size() ? (*weights)[g] : 1;
      for (std::int64_t row = 0; row < rows; ++row) {
        double& v = y[index_of(row * width + columns[g])];
        v = mode == "IDF" ? (v > 0 ? weight : 0) : v * weight;
      }
    }
  store(out, y);
  return result(std::move(out));
}

}  // namespace

void add_text(Entries& e) {
  e.emplace_back("StringNormalizer", normalize);
  e.emplace_back("StringConcat", concat);
  e.emplace_back("StringSplit", split);
  e.emplace_back("RegexFullMatch", regex_match);
  e.emplace_back("TfIdfVectorizer", tf_idf);
}

}  // namespace xinfer::forge::reference
