// The text form of graphs: whatever parses prints to a text that parses to the same.
#include <cstdio>
#include <cstdlib>

#include "../lib/fuzz.h"
#include "ir/operator.h"

namespace xinfer::fuzz {
namespace {

const std::vector<std::string> kTokens = {
    "graph \"g\" {\n", "  input %x: float32[N,3]\n", "  capture %y: float32[?] = %x\n", "  output %x\n", "}\n",
    "  %y: float32[2*N,(H + 1)/2] = Relu(%x) @\"n\"\n", "  constant %w = float32[2] {0.1, -inf}\n",
    "seq(", "opt(", "float16", "string[1] {\"a\\x0ab\"}", "int64[] {-9223372036854775808}", "min(N,3)", "max(N, 0)",
    "{axes = [1, -2], e = ints[], f = 1.5}", "tensor float32[1] {0.25}", "sha256:", "_", "nan", "1e400", "99999999999999999999",
};

}  // namespace

void run(std::string_view input) {
  auto graph = ir::parse(input);
  if (!graph) return;
  const std::string text = ir::print(*graph);
  const auto again = ir::parse(text);
  if (again ? ir::print(*again) != text : text.find("sha256:") == std::string::npos) {
    std::fprintf(stderr, "%s\n%s\n", text.c_str(), again ? ir::print(*again).c_str() : again.error().text().c_str());
    std::abort();
  }
  if (ir::verify(*graph)) static_cast<void>(ir::infer_types(*graph));
}

std::vector<std::string> seeds() {
  return {
      R"(graph "all" {
  metadata "author" = "me \"and\" you"
  input %x: float32[N,3]
  input %"odd name": seq(int64)
  constant %b = bool[2] {true, false}
  constant %s = string[1] {"a\x0ab"}
  constant %w = float32[2] {0.1, -inf}
  %y: float32[N,3], _ = Dropout(%x, _, %b) @"drop/1"
  %z: float32[?] = If(%b) {else_branch = graph "no" {
    capture %y: float32[N,3] = %y
    output %y
  }, then_branch = graph "yes" {
    capture %x2: float32[N,3] = %x
    %r: float32[N,3] = Relu(%x2)
    output %r
  }}
  %t: float32[] = Test.Op(%y) {axes = [1, -2], e = ints[], f = 1.5, floats = [1.0, 2.0], n = 3, name = "v", strings = ["a", "b"], value = tensor float32[1] {0.25}}
  output %z, %t
}
)",
      R"(graph "shapes" {
  input %x: float32[1,3,2*H,(W + 1)/2]
  constant %s = int64[3] {0, -1, 4}
  constant %w = float32[4,3,3,3] {0}
  %c: float32[?] = Conv(%x) {strides = [2, 2], pads = [1, 1, 1, 1]}
  %f: float32[?] = Reshape(%c, %s)
  %m: float32[?] = MatMul(%f, %f)
  output %m
}
)"};
}

std::string mutate(std::string input, Random& random, const ByteMutator& bytes) {
  const auto place = [&] { return static_cast<std::size_t>(random() % (input.size() + 1)); };
  switch (random() % 4) {
    case 0: return input.insert(place(), kTokens[random() % kTokens.size()]);
    case 1: {  // a line elsewhere
      const std::size_t end = input.find('\n', place());
      if (end == input.npos) return input;
      const std::size_t next = input.find('\n', end + 1);
      const std::string line = input.substr(end, next == input.npos ? next : next - end);
      const std::size_t to = input.find('\n', place());
      return to == input.npos ? input : input.insert(to, line);
    }
    default: return bytes(std::move(input), random);
  }
}

}  // namespace xinfer::fuzz
