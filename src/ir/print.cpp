// Graph to text. The grammar is in parse.cpp.
#include <fmt/format.h>

#include <cmath>

#include "base/digest.h"
#include "ir/operator.h"

namespace xinfer::ir {
namespace {

// What the parser reads as a name without quotes; a colon ends one unless something follows it.
bool is_plain(std::string_view name) {
  if (name.empty() || name == "_" || name.back() == ':') return false;
  for (char c : name)
    if (!(std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '/' || c == ':' || c == '-')) return false;
  return true;
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += '\\', out += c;
    else if (byte < 0x20 || byte == 0x7f) out += fmt::format("\\x{:02x}", byte);
    else out += c;
  }
  return out + "\"";
}

std::string value_name(std::string_view name) { return "%" + (is_plain(name) ? std::string(name) : in_quotes(name)); }

// The shortest text that reads back as the same number, and never looks like an integer.
template <class T>
std::string real(T value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".ein") == std::string::npos) text += ".0";
  return text;
}

std::string element(const Tensor& tensor, std::int64_t i) {
  switch (tensor.dtype()) {
    case DType::kString: return in_quotes(tensor.strings()[i]);
    case DType::kFloat32: return real(tensor.data<float>()[i]);
    case DType::kFloat64: return real(tensor.data<double>()[i]);
    case DType::kUint64: return std::to_string(tensor.data<std::uint64_t>()[i]);
    case DType::kBool: return tensor.as_int64(i) != 0 ? "true" : "false";
    default: return tensor::is_float(tensor.dtype()) ? real(static_cast<float>(tensor.as_double(i))) : std::to_string(tensor.as_int64(i));
  }
}

class Printer {
 public:
  explicit Printer(std::int64_t max_literal) : max_literal_(max_literal) {}

  // Ranges of the symbols in the graph's types, where they have one.
  void symbols(const Graph& graph, const std::string& indent) {
    std::map<std::string, tensor::Symbol> found;
    for (const Value& value : graph.values)
      if (value.type.dims)
        for (const Dim& dim : *value.type.dims)
          for (tensor::Symbol& symbol : dim.formula.symbols()) found.emplace(symbol.name, symbol);
    for (const auto& [name, symbol] : found)
      if (symbol.max != tensor::kUnbounded)
        text += indent + fmt::format("symbol {} = {}:{}:{}\n", name, symbol.min, symbol.opt, symbol.max);
  }

  void graph(const Graph& graph, const std::string& indent) {
    text += "graph " + in_quotes(graph.name) + " {\n";
    const std::string inner = indent + "  ";
    for (const auto& [key, value] : graph.metadata) text += inner + "metadata " + in_quotes(key) + " = " + in_quotes(value) + "\n";
    symbols(graph, inner);
    for (ValueId id : graph.inputs) text += inner + "input " + typed(graph, id) + "\n";
    for (const auto& [id, outside] : graph.captures)
      text += inner + "capture " + typed(graph, id) + " = " + value_name(outside) + "\n";
    for (ValueId id = 0; id < graph.values.size(); ++id)
      if (graph.values[id].constant != nullptr && !graph.captures.contains(id))
        text += inner + "constant " + value_name(graph.values[id].name) + " = " + literal(*graph.values[id].constant) + "\n";
    for (const Node& node : graph.nodes) this->node(graph, node, inner);
    text += inner + "output";
    for (std::size_t i = 0; i < graph.outputs.size(); ++i)
      text += (i == 0 ? " " : ", ") + value_name(graph.value(graph.outputs[i]).name);
    text += "\n" + indent + "}";
  }

  void attributes(const Attributes& attributes, const std::string& indent) {
    text += "{";
    bool first = true;
    for (const auto& [name, attribute] : attributes) {
      text += (first ? "" : ", ") + (is_plain(name) ? name : in_quotes(name)) + " = ";
      this->attribute(attribute, indent);
      first = false;
    }
    text += "}";
  }

  std::string text;

 private:
  static std::string typed(const Graph& graph, ValueId id) {
    if (id == kNoValue) return "_";
    return value_name(graph.value(id).name) + ": " + to_string(graph.value(id).type);
  }

  std::string literal(const Tensor& tensor) const {
    std::string out = std::string(tensor::name(tensor.dtype())) + tensor::to_string(tensor.shape());
    const bool complex = tensor.dtype() == DType::kComplex64 || tensor.dtype() == DType::kComplex128;
    if (tensor.num_elements() > max_literal_ || complex) return out + " sha256:" + digest(tensor);
    out += " {";
    for (std::int64_t i = 0; i < tensor.num_elements(); ++i) out += (i == 0 ? "" : ", ") + element(tensor, i);
    return out + "}";
  }

  void node(const Graph& graph, const Node& node, const std::string& indent) {
    text += indent;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) text += (i == 0 ? "" : ", ") + typed(graph, node.outputs[i]);
    text += " = " + node.op + "(";
    for (std::size_t i = 0; i < node.inputs.size(); ++i)
      text += (i == 0 ? "" : ", ") + (node.inputs[i] == kNoValue ? "_" : value_name(graph.value(node.inputs[i]).name));
    text += ")";
    if (node.attributes.begin() != node.attributes.end()) {
      text += " ";
      attributes(node.attributes, indent);
    }
    if (!node.name.empty()) text += " @" + in_quotes(node.name);
    text += "\n";
  }

  template <class T, class F>
  void list(std::string_view kind, const std::vector<T>& values, F print) {
    if (values.empty()) text += kind;  // an empty list does not show its kind
    text += "[";
    for (std::size_t i = 0; i < values.size(); ++i) text += (i == 0 ? "" : ", ") + print(values[i]);
    text += "]";
  }

  void attribute(const Attribute& attribute, const std::string& indent) {
    std::visit(
        [&](const auto& value) {
          using T = std::decay_t<decltype(value)>;
          if constexpr (std::is_same_v<T, std::int64_t>) text += std::to_string(value);
          else if constexpr (std::is_same_v<T, float>) text += real(value);
          else if constexpr (std::is_same_v<T, std::string>) text += in_quotes(value);
          else if constexpr (std::is_same_v<T, std::shared_ptr<const Tensor>>) text += "tensor " + literal(*value);
          else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) list("ints", value, [](std::int64_t v) { return std::to_string(v); });
          else if constexpr (std::is_same_v<T, std::vector<float>>) list("floats", value, [](float v) { return real(v); });
          else if constexpr (std::is_same_v<T, std::vector<std::string>>) list("strings", value, [](const std::string& v) { return in_quotes(v); });
          else graph(*value, indent);
        },
        attribute);
  }

  std::int64_t max_literal_;
};

}  // namespace

std::string print(const Graph& graph, std::int64_t max_literal) {
  Printer printer(max_literal);
  printer.graph(graph, "");
  return std::move(printer.text) + "\n";
}

std::string to_string(const Attributes& attributes) {
  Printer printer(16);
  printer.attributes(attributes, "");
  return std::move(printer.text);
}

std::string digest(const Tensor& tensor) {
  base::Sha256 hash;
  hash.update(std::string(tensor::name(tensor.dtype())) + tensor::to_string(tensor.shape()) + "\n");
  hash.update(tensor.bytes());
  for (const std::string& text : tensor.strings()) hash.update(std::to_string(text.size()) + ":" + text);
  return hash.finish();
}

}  // namespace xinfer::ir
