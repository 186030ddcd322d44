#include "forge/pattern.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace xinfer::forge {
namespace {

using base::Code;
using base::fail;
using base::Result;
using Kind = Pattern::Kind;

constexpr std::uint32_t kLastCode = 0x10ffff;
constexpr int kMaxRepeat = 1000, kMaxDepth = 200;  // as in RE2

CodeRanges complement(CodeRanges ranges) {
  std::ranges::sort(ranges);
  CodeRanges others;
  std::uint32_t next = 0;
  for (auto [first, last] : ranges) {
    if (first > next) others.emplace_back(next, first - 1);
    next = std::max(next, last + 1);
  }
  if (next <= kLastCode) others.emplace_back(next, kLastCode);
  return others;
}

CodeRanges named_class(std::string_view name) {
  if (name == "d" || name == "digit") return {{'0', '9'}};
  if (name == "w" || name == "word") return {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  if (name == "s") return {{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}};
  if (name == "alnum") return {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}};
  if (name == "alpha") return {{'A', 'Z'}, {'a', 'z'}};
  if (name == "ascii") return {{0, 0x7f}};
  if (name == "blank") return {{'\t', '\t'}, {' ', ' '}};
  if (name == "cntrl") return {{0, 0x1f}, {0x7f, 0x7f}};
  if (name == "graph") return {{'!', '~'}};
  if (name == "lower") return {{'a', 'z'}};
  if (name == "print") return {{' ', '~'}};
  if (name == "punct") return {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}};
  if (name == "space") return {{'\t', '\r'}, {' ', ' '}};
  if (name == "upper") return {{'A', 'Z'}};
  if (name == "xdigit") return {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};
  return {};
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Pattern> run() {
    while (rest().starts_with("(?") && at_ + 2 < text_.size() && std::string_view("is").find(text_[at_ + 2]) != std::string_view::npos) XI_CHECK(flags());
    XI_TRY(Pattern pattern, alternatives());
    if (!done()) return bad("a ')' without '('");
    return pattern;
  }

 private:
  std::string_view rest() const { return text_.substr(at_); }
  bool done() const { return at_ >= text_.size(); }
  bool accept(std::string_view what) {
    if (!rest().starts_with(what)) return false;
    at_ += what.size();
    return true;
  }
  std::unexpected<base::Error> bad(std::string_view what) const { return fail(Code::kInvalidArgument, "the pattern '{}': {} at byte {}", text_, what, at_); }
  std::unexpected<base::Error> unsupported(std::string_view what) const {
    return fail(Code::kUnsupported, "the pattern '{}': {} at byte {} has no automaton here", text_, what, at_);
  }

  Result<void> flags() {
    at_ += 2;
    for (; !done() && text_[at_] != ')'; ++at_) {
      if (text_[at_] == 'i') any_case_ = true;
      else if (text_[at_] == 's') dot_takes_newline_ = true;
      else return unsupported("this flag");
    }
    return accept(")") ? Result<void>{} : bad("'(?' without end");
  }

  Result<Pattern> alternatives() {
    if (++depth_ > kMaxDepth) return bad("groups nest too deep");
    Pattern all{Kind::kAlternatives, {}, {}};
    do {
      XI_TRY(Pattern one, sequence());
      all.parts.push_back(std::move(one));
    } while (accept("|"));
    --depth_;
    return all.parts.size() == 1 ? std::move(all.parts[0]) : std::move(all);
  }

  Result<Pattern> sequence() {
    Pattern all{Kind::kSequence, {}, {}};
    while (!done() && text_[at_] != '|' && text_[at_] != ')') {
      XI_TRY(Pattern one, atom());
      XI_TRY(one, repeated(std::move(one)));
      all.parts.push_back(std::move(one));
    }
    return all;
  }

  Result<Pattern> repeated(Pattern one) {
    for (;;) {
      int min = 0, max = -1;
      const std::size_t before = at_;
      if (accept("+")) min = 1;
      else if (accept("?")) max = 1;
      else if (accept("*")) min = 0;
      else if (!counts(min, max)) return one;
      if (min > kMaxRepeat || max > kMaxRepeat || (max >= 0 && max < min)) return at_ = before, bad("an impossible number of times");
      accept("?");  // the whole text matches or it does not, however greedy
      Pattern repeat{Kind::kRepeat, {}, {}, min, max};
      repeat.parts.push_back(std::move(one));
      one = std::move(repeat);
    }
  }

  // "{2}", "{2,}" or "{2,5}"; anything else is taken as it stands.
  bool counts(int& min, int& max) {
    std::size_t at = at_;
    auto number = [&](int& value) {
      const std::size_t first = at;
      for (value = 0; at < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at])) != 0; ++at) value = std::min(value * 10 + (text_[at] - '0'), kMaxRepeat + 1);
      return at > first;
    };
    if (at >= text_.size() || text_[at++] != '{' || !number(min)) return false;
    max = min;
    if (at < text_.size() && text_[at] == ',' && (++at, !number(max))) max = -1;
    if (at >= text_.size() || text_[at] != '}') return false;
    at_ = at + 1;
    return true;
  }

  Result<Pattern> atom() {
    if (accept("(")) return group();
    if (accept("[")) return bracket();
    if (accept("^")) return Pattern{Kind::kBegin, {}, {}};
    if (accept("$")) return Pattern{Kind::kEnd, {}, {}};
    if (accept(".")) return one_of(dot_takes_newline_ ? CodeRanges{{0, kLastCode}} : complement({{'\n', '\n'}}));
    if (text_[at_] == '*' || text_[at_] == '+' || text_[at_] == '?') return bad("nothing to repeat");
    if (text_[at_] != '\\') {
      XI_TRY(const std::uint32_t code, character());
      return one_of({{code, code}});
    }
    if (accept("\\A")) return Pattern{Kind::kBegin, {}, {}};
    if (accept("\\z")) return Pattern{Kind::kEnd, {}, {}};
    XI_TRY(CodeRanges ranges, escape());
    return one_of(std::move(ranges));
  }

  Pattern one_of(CodeRanges ranges) const {
    if (any_case_) {
      CodeRanges both = ranges;
      for (auto [first, last] : ranges)
        for (std::uint32_t c = std::max<std::uint32_t>(first, 'A'); c <= std::min<std::uint32_t>(last, 'z'); ++c)
          if (std::isalpha(static_cast<int>(c)) != 0) both.emplace_back(c ^ 32, c ^ 32);
      ranges = std::move(both);
    }
    return {Kind::kCharacters, std::move(ranges), {}};
  }

  Result<Pattern> group() {
    if (accept("?")) {
      if (accept("P<") || (rest().starts_with("<") && !rest().starts_with("<=") && !rest().starts_with("<!") && accept("<"))) {
        const std::size_t end = text_.find('>', at_);
        if (end == std::string_view::npos) return bad("a name without end");
        at_ = end + 1;
      } else if (!accept(":")) {
        return unsupported("this kind of group");
      }
    }
    XI_TRY(Pattern inside, alternatives());
    if (!accept(")")) return bad("a '(' without ')'");
    return inside;
  }

  // One character of the pattern, in UTF-8.
  Result<std::uint32_t> character() {
    const auto lead = static_cast<unsigned char>(text_[at_]);
    const int more = lead < 0x80 ? 0 : lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : -1;
    if (more < 0 || at_ + static_cast<std::size_t>(more) >= text_.size()) return bad("no UTF-8");
    std::uint32_t code = more == 0 ? lead : lead & (0x3fu >> more);
    for (int i = 1; i <= more; ++i) {
      const auto next = static_cast<unsigned char>(text_[at_ + static_cast<std::size_t>(i)]);
      if ((next & 0xc0) != 0x80) return bad("no UTF-8");
      code = code << 6 | (next & 0x3f);
    }
    at_ += static_cast<std::size_t>(more) + 1;
    return code;
  }

  // What a backslash and the character behind it stand for.
  Result<CodeRanges> escape() {
    if (at_ + 1 >= text_.size()) return bad("a '\\' at the end");
    const char c = text_[at_ + 1];
    if (std::string_view("dwsDWS").find(c) != std::string_view::npos) {
      at_ += 2;
      CodeRanges ranges = named_class(std::string(1, static_cast<char>(std::tolower(c))));
      return std::isupper(c) != 0 ? complement(std::move(ranges)) : ranges;
    }
    constexpr std::string_view kNames = "afnrtv", kCodes = "\a\f\n\r\t\v";
    if (const auto known = kNames.find(c); known != std::string_view::npos) {
      at_ += 2;
      const auto code = static_cast<std::uint32_t>(kCodes[known]);
      return CodeRanges{{code, code}};
    }
    if (c == 'x') return hexadecimal();
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) return unsupported(fmt::format("'\\{}'", c));
    ++at_;
    XI_TRY(const std::uint32_t code, character());
    return CodeRanges{{code, code}};
  }

  Result<CodeRanges> hexadecimal() {
    at_ += 2;
    const bool braces = accept("{");
    std::uint32_t code = 0;
    int digits = 0;
    for (; !done() && std::isxdigit(static_cast<unsigned char>(text_[at_])) != 0 && digits < (braces ? 6 : 2); ++digits, ++at_) {
      const char c = static_cast<char>(std::tolower(text_[at_]));
      code = code * 16 + static_cast<std::uint32_t>(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    if (digits == 0 || (!braces && digits != 2) || (braces && !accept("}")) || code > kLastCode) return bad("no hexadecimal number");
    return CodeRanges{{code, code}};
  }

  Result<Pattern> bracket() {
    const bool negated = accept("^");
    CodeRanges ranges;
    for (bool first = true; first || rest().empty() || text_[at_] != ']'; first = false) {
      if (done()) return bad("a '[' without ']'");
      XI_TRY(const CodeRanges part, bracket_part());
      ranges.insert(ranges.end(), part.begin(), part.end());
    }
    ++at_;
    Pattern made = one_of(std::move(ranges));
    if (negated) made.characters = complement(std::move(made.characters));
    return made;
  }

  Result<CodeRanges> bracket_part() {
    if (rest().starts_with("[:")) {
      const std::size_t end = text_.find(":]", at_);
      if (end != std::string_view::npos) {
        std::string_view name = text_.substr(at_ + 2, end - at_ - 2);
        const bool negated = name.starts_with("^");
        CodeRanges ranges = named_class(negated ? name.substr(1) : name);
        if (ranges.empty()) return bad("no class of that name");
        at_ = end + 2;
        return negated ? complement(std::move(ranges)) : ranges;
      }
    }
    auto one = [&]() -> Result<CodeRanges> {
      if (text_[at_] == '\\') return escape();
      XI_TRY(const std::uint32_t code, character());
      return CodeRanges{{code, code}};
    };
    XI_TRY(CodeRanges from, one());
    const bool single = from.size() == 1 && from[0].first == from[0].second;
    if (!single || !rest().starts_with("-") || rest().starts_with("-]") || rest().size() < 2) return from;
    ++at_;
    XI_TRY(const CodeRanges to, one());
    if (to.size() != 1 || to[0].first != to[0].second || to[0].first < from[0].first) return bad("a range that runs backwards");
    return CodeRanges{{from[0].first, to[0].first}};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
  bool any_case_ = false, dot_takes_newline_ = false;
};

}  // namespace

Result<Pattern> parse_pattern(std::string_view text) { return Parser(text).run(); }

}  // namespace xinfer::forge
