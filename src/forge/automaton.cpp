// Pattern to automaton: states with edges for ranges of bytes (Thompson's construction), then sets of such states as the states
// of a deterministic one.
#include "forge/automaton.h"

#include <algorithm>
#include <map>
#include <set>

#include "forge/pattern.h"

namespace xinfer::forge {
namespace {

using base::Code;
using base::fail;
using base::Result;
using Kind = Pattern::Kind;
using State = std::int32_t;

constexpr std::size_t kMaxStates = 10'000, kMaxTable = 1u << 16;  // of the first automaton; entries of the second's table

struct Edge {
  std::uint8_t first = 0, last = 0;
  State to = 0;
};
struct Node {
  std::vector<Edge> edges;
  std::vector<State> free;         // steps that take no byte
  bool at_begin = false, at_end = false;  // free steps lead on only at the text's begin or end
};

// Code points whose UTF-8 has the same number of bytes, split until the bytes are independent of one another.
using Bytes = std::vector<std::pair<std::uint8_t, std::uint8_t>>;
std::vector<std::uint8_t> utf8(std::uint32_t code) {
  auto low = [&](int shift) { return static_cast<std::uint8_t>(0x80 | (code >> shift & 0x3f)); };
  if (code < 0x80) return {static_cast<std::uint8_t>(code)};
  if (code < 0x800) return {static_cast<std::uint8_t>(0xc0 | code >> 6), low(0)};
  if (code < 0x10000) return {static_cast<std::uint8_t>(0xe0 | code >> 12), low(6), low(0)};
  return {static_cast<std::uint8_t>(0xf0 | code >> 18), low(12), low(6), low(0)};
}
void split_range(std::uint32_t first, std::uint32_t last, std::vector<Bytes>& out) {
  for (std::uint32_t limit : {0x7fu, 0x7ffu, 0xffffu})
    if (first <= limit && last > limit) {
      split_range(first, limit, out);
      return split_range(limit + 1, last, out);
    }
  // All but the highest byte that differs must run over their whole range.
  for (int shift = 6; first >= 0x80 && shift <= 18; shift += 6) {
    const std::uint32_t mask = (1u << shift) - 1;
    if ((first & ~mask) == (last & ~mask)) break;
    if ((first & mask) != 0) {
      split_range(first, first | mask, out);
      return split_range((first | mask) + 1, last, out);
    }
    if ((last & mask) != mask) {
      split_range(first, (last & ~mask) - 1, out);
      return split_range(last & ~mask, last, out);
    }
  }
  const auto from = utf8(first), to = utf8(last);
  Bytes bytes;
  for (std::size_t i = 0; i < from.size(); ++i) bytes.emplace_back(from[i], to[i]);
  out.push_back(std::move(bytes));
}

class Network {
 public:
  std::vector<Node> nodes;

  State add() {
    nodes.emplace_back();
    return static_cast<State>(nodes.size() - 1);
  }
  void link(State from, State to) { at(from).free.push_back(to); }
  Node& at(State state) { return nodes[static_cast<std::size_t>(state)]; }

  // Adds what leads from `from` through the pattern; returns where that ends.
  Result<State> append(const Pattern& pattern, State from) {
    if (nodes.size() > kMaxStates) return fail(Code::kUnsupported, "a pattern of more than {} states", kMaxStates);
    switch (pattern.kind) {
      case Kind::kEmpty: return from;
      case Kind::kCharacters: return characters(pattern, from);
      case Kind::kBegin:
      case Kind::kEnd: {
        const State gate = add(), to = add();
        link(from, gate);
        (pattern.kind == Kind::kBegin ? at(gate).at_begin : at(gate).at_end) = true;
        link(gate, to);
        return to;
      }
      case Kind::kSequence:
        for (const Pattern& part : pattern.parts) {
          XI_TRY(from, append(part, from));
        }
        return from;
      case Kind::kAlternatives: {
        const State to = add();
        for (const Pattern& part : pattern.parts) {
          const State begin = add();
          link(from, begin);
          XI_TRY(const State end, append(part, begin));
          link(end, to);
        }
        return to;
      }
      case Kind::kRepeat: break;
    }
    return repeat(pattern, from);
  }

 private:
  Result<State> characters(const Pattern& pattern, State from) {
    const State to = add();
    std::vector<Bytes> sequences;
    for (auto [first, last] : pattern.characters) split_range(first, last, sequences);
    for (const Bytes& bytes : sequences) {
      State here = from;
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        const State next = i + 1 == bytes.size() ? to : add();
        at(here).edges.push_back({bytes[i].first, bytes[i].second, next});
        here = next;
      }
    }
    return to;
  }

  Result<State> repeat(const Pattern& pattern, State from) {
    const Pattern& part = pattern.parts[0];
    for (int i = 0; i < pattern.min; ++i) {
      XI_TRY(from, append(part, from));
    }
    const State to = add();
    if (pattern.max < 0) {
      const State begin = add();
      link(from, begin);
      XI_TRY(const State end, append(part, begin));
      link(end, begin);
      link(begin, to);
      return to;
    }
    link(from, to);
    for (int i = pattern.min; i < pattern.max; ++i) {
      const State begin = add();
      link(from, begin);
      XI_TRY(from, append(part, begin));
      link(from, to);
    }
    return to;
  }
};

class Determiniser {
 public:
  Determiniser(const Network& network, State accept) : network_(network), accept_(accept) {}

  Result<Automaton> run(State start) {
    make_classes();
    number({});  // state 0: nothing matches any more
    order_.push_back(closure({start}, true));  // a state of its own: only here is the begin
    made_.start = 1;
    for (std::size_t i = 0; i < order_.size(); ++i) {
      if (made_.next.size() > kMaxTable) return fail(Code::kUnsupported, "a pattern whose automaton has more than {} entries", kMaxTable);
      const std::set<State> here = order_[i];
      for (std::int64_t c = 0; c < made_.num_classes; ++c) made_.next.push_back(number(closure(step(here, c), false)));
    }
    for (std::size_t i = 0; i < order_.size(); ++i) made_.accepts.push_back(ends(order_[i], static_cast<std::int64_t>(i) == made_.start));
    return std::move(made_);
  }

 private:
  // Bytes between which no edge begins or ends are alike.
  void make_classes() {
    std::set<int> cuts;
    for (const Node& node : network_.nodes)
      for (const Edge& edge : node.edges) cuts.insert({edge.first, edge.last + 1});
    std::uint8_t current = 0;
    for (int byte = 0; byte < 256; ++byte) {
      if (byte > 0 && cuts.contains(byte)) ++current, sample_.push_back(static_cast<std::uint8_t>(byte));
      if (byte == 0) sample_.push_back(0);
      made_.class_of[static_cast<std::size_t>(byte)] = current;
    }
    made_.num_classes = current + 1;
  }

  std::int64_t number(std::set<State> states) {
    auto [it, fresh] = numbers_.try_emplace(states, static_cast<std::int64_t>(order_.size()));
    if (fresh) order_.push_back(std::move(states));
    return it->second;
  }

  const Node& at(State state) const { return network_.nodes[static_cast<std::size_t>(state)]; }

  std::set<State> closure(std::set<State> states, bool at_begin) const {
    std::vector<State> todo(states.begin(), states.end());
    while (!todo.empty()) {
      const Node& node = at(todo.back());
      todo.pop_back();
      if ((node.at_begin && !at_begin) || node.at_end) continue;
      for (State next : node.free)
        if (states.insert(next).second) todo.push_back(next);
    }
    return states;
  }

  std::set<State> step(const std::set<State>& from, std::int64_t c) const {
    const std::uint8_t byte = sample_[static_cast<std::size_t>(c)];
    std::set<State> to;
    for (State state : from)
      for (const Edge& edge : at(state).edges)
        if (edge.first <= byte && byte <= edge.last) to.insert(edge.to);
    return to;
  }

  // Whether the text may end here: the gates of `$` are open then, those of `^` only if there was no text at all.
  bool ends(const std::set<State>& states, bool empty) const {
    std::set<State> seen = states;
    std::vector<State> todo(states.begin(), states.end());
    while (!todo.empty()) {
      const Node& node = at(todo.back());
      todo.pop_back();
      if (node.at_begin && !empty) continue;
      for (State next : node.free)
        if (seen.insert(next).second) todo.push_back(next);
    }
    return seen.contains(accept_);
  }

  const Network& network_;
  State accept_;
  Automaton made_;
  std::vector<std::uint8_t> sample_;  // a byte of each class
  std::map<std::set<State>, std::int64_t> numbers_;
  std::vector<std::set<State>> order_;
};

}  // namespace

bool Automaton::matches(std::string_view text) const {
  std::int64_t state = start;
  for (const char c : text) state = next[static_cast<std::size_t>(state * num_classes + class_of[static_cast<std::uint8_t>(c)])];
  return accepts[static_cast<std::size_t>(state)];
}

Result<Automaton> compile_pattern(std::string_view pattern) {
  XI_TRY(const Pattern tree, parse_pattern(pattern));
  Network network;
  const State start = network.add();
  XI_TRY(const State accept, network.append(tree, start));
  return Determiniser(network, accept).run(start);
}

}  // namespace xinfer::forge
