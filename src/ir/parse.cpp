// Text to graph: the inverse of print.cpp, for golden tests and for people who write small graphs by hand.
//
//   graph    := "graph" string "{" (metadata | symbol | input | capture | constant | node)* "output" value,* "}"
//   metadata := "metadata" string "=" string
//   symbol   := "symbol" name "=" minimum ":" optimum ":" maximum
//   input    := "input" value ":" type
//   capture  := "capture" value ":" type "=" value
//   constant := "constant" value "=" literal
//   node     := (value ":" type | "_"),* "=" op "(" (value | "_"),* ")" ["{" (name "=" attribute),* "}"] ["@" string]
//   literal  := dtype "[" int,* "]" ("{" element,* "}" | "sha256:" digest)
//   value    := "%" (name | string)       type := dtype "[" ("?" | dim,*) "]" | dtype | "seq(" … ")" | "optional(" … ")"
#include <algorithm>
#include <charconv>
#include <unordered_map>

#include "ir/bounds.h"
#include "ir/operator.h"

namespace xinfer::ir {
namespace {

using base::Code;
using base::fail;
using base::Result;

constexpr int kMaxDepth = 32;
constexpr std::int64_t kMaxLiteral = 1 << 20;

class Parser {
 public:
  Parser(std::string_view text, const std::map<std::string, std::shared_ptr<const Tensor>>& constants)
      : text_(text), constants_(constants) {}

  Result<Graph> whole() {
    auto result = graph(0);
    if (!result) return at(std::move(result).error());
    skip();
    if (position_ != text_.size()) return at(base::Error{Code::kInvalidArgument, "text after the graph", {}});
    return result;
  }

 private:
  std::unexpected<base::Error> at(base::Error error) const {
    const auto line = 1 + std::count(text_.begin(), text_.begin() + static_cast<std::ptrdiff_t>(position_), '\n');
    return std::unexpected(std::move(error).in("line " + std::to_string(line)));
  }

  void skip() {
    while (position_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[position_]))) ++position_;
  }
  bool accept(std::string_view token) {
    skip();
    if (text_.substr(position_, token.size()) != token) return false;
    position_ += token.size();
    return true;
  }
  Result<void> expect(std::string_view token) {
    if (accept(token)) return {};
    return fail(Code::kInvalidArgument, "'{}' expected before '{}'", token, text_.substr(position_, 12));
  }
  // Letters, digits and _ . / : - as in names; a colon only inside.
  std::string_view word() {
    skip();
    const std::size_t begin = position_;
    auto is_word = [&](std::size_t i) {
      const auto c = static_cast<unsigned char>(text_[i]);
      return std::isalnum(c) || c == '_' || c == '.' || c == '/' || c == '-' || c == '+' ||
             (c == ':' && i + 1 < text_.size() && !std::isspace(static_cast<unsigned char>(text_[i + 1])));
    };
    while (position_ < text_.size() && is_word(position_)) ++position_;
    return text_.substr(begin, position_ - begin);
  }
  // A dimension's text: up to the ',' or ']' that does not belong to it.
  std::string_view until_comma_or_bracket() {
    skip();
    const std::size_t begin = position_;
    int depth = 0;
    for (; position_ < text_.size() && text_[position_] != ']' && text_[position_] != '\n'; ++position_) {
      if (text_[position_] == '(') ++depth;
      if (text_[position_] == ')') --depth;
      if (text_[position_] == ',' && depth <= 0) break;
    }
    return text_.substr(begin, position_ - begin);
  }
  bool accept_keyword(std::string_view keyword) {
    const std::size_t before = position_;
    if (word() == keyword) return true;
    position_ = before;
    return false;
  }

  Result<std::string> string() {
    XI_CHECK(expect("\""));
    std::string out;
    while (position_ < text_.size() && text_[position_] != '"') {
      char c = text_[position_++];
      if (c == '\\' && position_ < text_.size()) {
        c = text_[position_++];
        if (c == 'x' && position_ + 2 <= text_.size()) {
          unsigned byte = 0;
          std::from_chars(text_.data() + position_, text_.data() + position_ + 2, byte, 16);
          position_ += 2;
          c = static_cast<char>(byte);
        }
      }
      out += c;
    }
    if (position_ >= text_.size()) return fail(Code::kInvalidArgument, "a string has no end");
    ++position_;
    return out;
  }

  template <class T>
  Result<T> number(std::string_view text) {
    T value{};
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty())
      return fail(Code::kInvalidArgument, "'{}' is not a number", text);
    return value;
  }

  Result<std::string> quoted_or_word() {
    skip();
    if (position_ < text_.size() && text_[position_] == '"') return string();
    return std::string(word());
  }

  Result<std::string> value_name() {
    XI_CHECK(expect("%"));
    XI_TRY(std::string name, quoted_or_word());
    if (name.empty()) return fail(Code::kInvalidArgument, "a value's name expected after '%'");
    return name;
  }

  Result<ValueType> type() {
    ValueType type;
    if (accept("seq(")) type.kind = ValueType::Kind::kSequence;
    else if (accept("optional(")) type.kind = ValueType::Kind::kOptional;
    const std::string_view dtype = word();
    if (dtype != "undefined") {
      XI_TRY(type.dtype, tensor::parse_dtype(dtype));
    }
    if (accept("[")) {
      if (accept("?")) {
        XI_CHECK(expect("]"));
      } else {
        XI_TRY(type.dims.emplace(), dims());
      }
    }
    if (type.kind != ValueType::Kind::kTensor) XI_CHECK(expect(")"));
    XI_CHECK(check_size(type));
    return type;
  }

  Result<std::vector<Dim>> dims() {
    std::vector<Dim> dims;
    while (!accept("]")) {
      if (!dims.empty()) XI_CHECK(expect(","));
      const std::string_view size = until_comma_or_bracket();
      if (size.empty()) return fail(Code::kInvalidArgument, "a dimension expected");
      if (size == "_") {
        dims.emplace_back();
        continue;
      }
      auto formula = tensor::Size::parse(size, [&](std::string_view name) {
        auto known = symbols_.find(std::string(name));
        return known == symbols_.end() ? tensor::Symbol{.name = std::string(name)} : known->second;
      });
      if (!formula || (formula->is_number() && formula->number() < 0)) return fail(Code::kInvalidArgument, "'{}' is no dimension", size);
      dims.emplace_back(*formula);
    }
    return dims;
  }

  Result<std::shared_ptr<const Tensor>> literal() {
    XI_TRY(const DType dtype, tensor::parse_dtype(word()));
    XI_CHECK(expect("["));
    Shape shape;
    std::int64_t count = 1;
    while (!accept("]")) {
      if (!shape.empty()) XI_CHECK(expect(","));
      XI_TRY(const std::int64_t size, number<std::int64_t>(word()));
      if (size < 0) return fail(Code::kInvalidArgument, "a negative dimension");
      shape.push_back(size);
    }
    if (accept("sha256:")) return by_digest(std::string(word()));
    for (std::int64_t size : shape) {
      if (size != 0 && count > kMaxLiteral / size) return fail(Code::kLimit, "a literal of more than {} elements", kMaxLiteral);
      count *= size;
    }
    Tensor tensor(dtype, shape);
    XI_CHECK(expect("{"));
    for (std::int64_t i = 0; i < tensor.num_elements(); ++i) {
      if (i != 0) XI_CHECK(expect(","));
      XI_CHECK(element(tensor, i));
    }
    XI_CHECK(expect("}"));
    return std::make_shared<const Tensor>(std::move(tensor));
  }

  Result<std::shared_ptr<const Tensor>> by_digest(const std::string& digest) {
    auto found = constants_.find(digest);
    if (found == constants_.end()) return fail(Code::kNotFound, "the constant sha256:{} is not given", digest);
    return found->second;
  }

  Result<void> element(Tensor& tensor, std::int64_t i) {
    if (tensor.dtype() == DType::kString) {
      XI_TRY(tensor.strings()[i], string());
      return {};
    }
    const std::string_view text = word();
    if (tensor.dtype() == DType::kBool) {
      tensor.set(i, text == "true" ? 1 : 0);
    } else if (tensor.dtype() == DType::kInt64) {
      XI_TRY(tensor.data<std::int64_t>()[i], number<std::int64_t>(text));
    } else if (tensor.dtype() == DType::kUint64) {
      XI_TRY(tensor.data<std::uint64_t>()[i], number<std::uint64_t>(text));
    } else if (tensor.dtype() == DType::kFloat32) {
      XI_TRY(tensor.data<float>()[i], number<float>(text));
    } else {
      XI_TRY(const double value, number<double>(text));
      tensor.set(i, value);
      if (!tensor::is_float(tensor.dtype()) && tensor.as_double(i) != value)
        return fail(Code::kInvalidArgument, "'{}' is no {}", text, tensor::name(tensor.dtype()));
    }
    return {};
  }

  struct Scope {
    Graph graph;
    std::unordered_map<std::string, ValueId> names;
    int depth = 0;
  };

  static Result<ValueId> define(Scope& scope, std::string name, ValueType type) {
    const auto id = static_cast<ValueId>(scope.graph.values.size());
    if (!scope.names.emplace(name, id).second) return fail(Code::kInvalidArgument, "%{} is defined twice", name);
    return scope.graph.add_value(std::move(name), std::move(type));
  }

  Result<ValueId> use(Scope& scope) {
    if (accept("_")) return kNoValue;
    XI_TRY(const std::string name, value_name());
    auto found = scope.names.find(name);
    if (found == scope.names.end()) return fail(Code::kInvalidArgument, "%{} is not defined", name);
    return found->second;
  }

  Result<ValueId> typed(Scope& scope) {
    if (accept("_")) return kNoValue;
    XI_TRY(std::string name, value_name());
    XI_CHECK(expect(":"));
    XI_TRY(ValueType type, this->type());
    return define(scope, std::move(name), std::move(type));
  }

  Result<Graph> graph(int depth) {
    if (depth > kMaxDepth) return fail(Code::kLimit, "subgraphs nest deeper than {}", kMaxDepth);
    Scope scope;
    scope.depth = depth;
    XI_CHECK(expect("graph"));
    XI_TRY(scope.graph.name, string());
    XI_CHECK(expect("{"));
    while (!accept_keyword("output")) XI_CHECK(statement(scope));
    while (!accept("}")) {
      if (!scope.graph.outputs.empty()) XI_CHECK(expect(","));
      XI_TRY(const ValueId id, use(scope));
      if (id == kNoValue) return fail(Code::kInvalidArgument, "an output is a value, not '_'");
      scope.graph.outputs.push_back(id);
    }
    return std::move(scope.graph);
  }

  Result<void> statement(Scope& scope) {
    if (accept_keyword("metadata")) {
      XI_TRY(const std::string key, string());
      XI_CHECK(expect("="));
      XI_TRY(scope.graph.metadata[key], string());
      return {};
    }
    if (accept_keyword("symbol")) {
      tensor::Symbol symbol{.name = std::string(word())};
      XI_CHECK(expect("="));
      const std::string_view range = word();
      const std::size_t first = range.find(':'), second = range.rfind(':');
      if (first == second) return fail(Code::kInvalidArgument, "'{}' is no range minimum:optimum:maximum", range);
      XI_TRY(symbol.min, number<std::int64_t>(range.substr(0, first)));
      XI_TRY(symbol.opt, number<std::int64_t>(range.substr(first + 1, second - first - 1)));
      XI_TRY(symbol.max, number<std::int64_t>(range.substr(second + 1)));
      if (symbol.min < 0 || symbol.min > symbol.opt || symbol.opt > symbol.max)
        return fail(Code::kInvalidArgument, "'{}' is no range minimum:optimum:maximum", range);
      symbols_[symbol.name] = symbol;
      return {};
    }
    if (accept_keyword("input")) {
      XI_TRY(const ValueId id, typed(scope));
      scope.graph.inputs.push_back(id);
      return {};
    }
    if (accept_keyword("capture")) {
      XI_TRY(const ValueId id, typed(scope));
      XI_CHECK(expect("="));
      XI_TRY(scope.graph.captures[id], value_name());
      return {};
    }
    if (accept_keyword("constant")) {
      XI_TRY(std::string name, value_name());
      XI_CHECK(expect("="));
      XI_TRY(auto tensor, literal());
      XI_TRY(const ValueId id, define(scope, std::move(name), ValueType::of(tensor->dtype(), tensor->shape())));
      scope.graph.value(id).constant = std::move(tensor);
      return {};
    }
    return node(scope);
  }

  Result<void> node(Scope& scope) {
    Node node;
    while (!accept("=")) {
      if (!node.outputs.empty()) XI_CHECK(expect(","));
      XI_TRY(const ValueId id, typed(scope));
      node.outputs.push_back(id);
    }
    node.op = word();
    XI_CHECK(expect("("));
    while (!accept(")")) {
      if (!node.inputs.empty()) XI_CHECK(expect(","));
      XI_TRY(const ValueId id, use(scope));
      node.inputs.push_back(id);
    }
    if (accept("{")) {
      for (bool first = true; !accept("}"); first = false) {
        if (!first) XI_CHECK(expect(","));
        XI_TRY(std::string name, quoted_or_word());
        XI_CHECK(expect("="));
        XI_TRY(Attribute value, attribute(scope.depth));
        node.attributes.set(std::move(name), std::move(value));
      }
    }
    if (accept("@")) {
      XI_TRY(node.name, string());
    }
    scope.graph.nodes.push_back(std::move(node));
    return {};
  }

  static bool looks_real(std::string_view text) { return text.find_first_of(".ein") != std::string_view::npos; }

  Result<Attribute> attribute(int depth) {
    skip();
    if (position_ < text_.size() && text_[position_] == '"') return string();
    if (accept("[")) return list();
    if (text_.substr(position_).starts_with("graph ")) {
      XI_TRY(Graph body, graph(depth + 1));
      return std::make_shared<const Graph>(std::move(body));
    }
    const std::string_view text = word();
    if (text == "tensor") {
      XI_TRY(auto tensor, literal());
      return tensor;
    }
    if (text == "ints" || text == "floats" || text == "strings") {
      XI_CHECK(expect("["));
      XI_CHECK(expect("]"));
      if (text == "ints") return std::vector<std::int64_t>{};
      if (text == "floats") return std::vector<float>{};
      return std::vector<std::string>{};
    }
    if (looks_real(text)) return number<float>(text);
    return number<std::int64_t>(text);
  }

  Result<Attribute> list() {
    std::vector<std::int64_t> ints;
    std::vector<float> floats;
    std::vector<std::string> strings;
    for (bool first = true; !accept("]"); first = false) {
      if (!first) XI_CHECK(expect(","));
      skip();
      if (position_ < text_.size() && text_[position_] == '"') {
        XI_TRY(strings.emplace_back(), string());
        continue;
      }
      const std::string_view text = word();
      if (looks_real(text)) {
        XI_TRY(floats.emplace_back(), number<float>(text));
      } else {
        XI_TRY(ints.emplace_back(), number<std::int64_t>(text));
      }
    }
    if (!strings.empty()) return strings;
    if (!floats.empty()) return floats;
    return ints;
  }

  std::string_view text_;
  const std::map<std::string, std::shared_ptr<const Tensor>>& constants_;
  std::size_t position_ = 0;
  std::map<std::string, tensor::Symbol> symbols_;
};

}  // namespace

Result<Graph> parse(std::string_view text, const std::map<std::string, std::shared_ptr<const Tensor>>& constants) {
  return Parser(text, constants).whole();
}

}  // namespace xinfer::ir
