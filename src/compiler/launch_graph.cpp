#include "compiler/launch_graph.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

namespace xinfer::compiler {
namespace {

using engine::BufferRef;
using Json = nlohmann::json;

// Which node wrote each byte of a space last.
class Writers {
 public:
  struct Piece {
    std::uint64_t end = 0;
    std::size_t node = 0, block = 0;
  };

  void write(std::uint64_t begin, std::uint64_t end, std::size_t node, std::size_t block) {
    split(begin);
    split(end);
    pieces_.erase(pieces_.lower_bound(begin), pieces_.lower_bound(end));
    if (begin < end) pieces_[begin] = {end, node, block};
  }
  template <class Visit>
  void read(std::uint64_t begin, std::uint64_t end, const Visit& visit) const {
    auto it = pieces_.upper_bound(begin);
    if (it != pieces_.begin()) --it;
    for (; it != pieces_.end() && it->first < end; ++it)
      if (it->second.end > begin) visit(it->second);
  }

 private:
  void split(std::uint64_t at) {
    auto it = pieces_.lower_bound(at);
    if (it == pieces_.begin()) return;
    --it;
    if (it->second.end <= at) return;
    Piece rest = it->second;
    it->second.end = at;
    pieces_[at] = rest;
  }
  std::map<std::uint64_t, Piece> pieces_;  // by their begin
};

// The engine's report is data of a file: whatever it holds, reading it must not fail.
const Json* member(const Json& json, const char* name, Json::value_t type) {
  if (!json.is_object()) return nullptr;
  const auto it = json.find(name);
  return it != json.end() && it->type() == type ? &*it : nullptr;
}

struct Notes {
  explicit Notes(std::string_view text) : report(Json::parse(text, nullptr, false)) {
    launches = member(report, "launch_notes", Json::value_t::array);
    reasons = member(report, "kernel_reasons", Json::value_t::array);
  }
  const Json* launch(std::size_t i) const {
    return launches != nullptr && i < launches->size() ? &(*launches)[i] : nullptr;
  }
  // Arguments with values; what follows is a kernel's own scratch.
  std::size_t arguments(std::size_t i, std::size_t all) const {
    const Json* note = launch(i);
    const Json* values = note != nullptr ? member(*note, "values", Json::value_t::array) : nullptr;
    return values != nullptr ? std::min(values->size(), all) : all;
  }
  std::size_t outputs(std::size_t i, std::size_t arguments) const {
    const Json* note = launch(i);
    const Json* count = note != nullptr ? member(*note, "outputs", Json::value_t::number_unsigned) : nullptr;
    return std::clamp<std::size_t>(count != nullptr ? count->get<std::size_t>() : 1,
                                   std::min<std::size_t>(1, arguments), arguments);
  }
  std::string value(std::size_t i, std::size_t argument) const {
    const Json* note = launch(i);
    const Json* values = note != nullptr ? member(*note, "values", Json::value_t::array) : nullptr;
    if (values == nullptr || argument >= values->size() || !(*values)[argument].is_string()) return {};
    return (*values)[argument].get<std::string>();
  }
  std::string reason(std::size_t kernel) const {
    return reasons != nullptr && kernel < reasons->size() && (*reasons)[kernel].is_string()
               ? (*reasons)[kernel].get<std::string>()
               : "";
  }

  Json report;
  const Json *launches = nullptr, *reasons = nullptr;
};

std::string describe(const engine::TensorInfo& info) {
  std::string text = info.name + ": " + std::string(tensor::name(info.dtype)) + "[";
  for (std::size_t i = 0; i < info.shape.size(); ++i)
    text += (i == 0 ? "" : ",") + (info.shape[i] < 0 ? "?" : std::to_string(info.shape[i]));
  return text + "]";
}

class Walk {
 public:
  Walk(const engine::Plan& plan, std::string_view report) : plan_(plan), notes_(report) {}

  LaunchGraph run() {
    for (std::size_t i = 0; i < plan_.inputs.size(); ++i)
      graph_.nodes.push_back(
          {LaunchGraph::Node::Kind::kInput, i, plan_.inputs[i].name, describe(plan_.inputs[i]), {}, 0});
    outputs_.resize(plan_.outputs.size());
    for (std::size_t i = 0; i < plan_.launches.size(); ++i) visit(i);
    for (std::size_t i = 0; i < plan_.outputs.size(); ++i) {
      const std::size_t node = graph_.nodes.size();
      graph_.nodes.push_back(
          {LaunchGraph::Node::Kind::kOutput, i, plan_.outputs[i].name, describe(plan_.outputs[i]), {}, 0});
      outputs_[i].read(0, UINT64_MAX, [&](const Writers::Piece& piece) { edges_.emplace(piece.node, node); });
    }
    for (const auto& [from, to] : edges_) graph_.edges.push_back({from, to});
    return std::move(graph_);
  }

 private:
  void visit(std::size_t i) {
    const engine::Launch& launch = plan_.launches[i];
    const std::size_t node = graph_.nodes.size(), count = notes_.arguments(i, launch.arguments.size()),
                      outputs = notes_.outputs(i, count);
    LaunchGraph::Node made{LaunchGraph::Node::Kind::kLaunch, i, launch.name, "", notes_.reason(launch.kernel), 0};
    if (count != 0) made.output = notes_.value(i, count - outputs);
    for (std::size_t k = 0; k + outputs < count; ++k) {
      const BufferRef& argument = launch.arguments[k];
      const std::uint64_t end = argument.offset + argument.bytes;
      const auto from = [&](const Writers::Piece& piece) {
        edges_.emplace(piece.node, node);
        if (argument.space == BufferRef::Space::kArena) graph_.blocks[piece.block].last = i;
      };
      switch (argument.space) {
        case BufferRef::Space::kArena: arena_.read(argument.offset, end, from); break;
        case BufferRef::Space::kWeights: made.weight_bytes += static_cast<double>(argument.bytes); break;
        case BufferRef::Space::kInput:
          if (argument.index < plan_.inputs.size()) edges_.emplace(argument.index, node);
          break;
        case BufferRef::Space::kOutput:
          if (argument.index < outputs_.size()) outputs_[argument.index].read(argument.offset, end, from);
          break;
        case BufferRef::Space::kText: break;  // nobody reads what another has written there but through a string
      }
    }
    for (std::size_t k = count - outputs; k < count; ++k) {
      const BufferRef& argument = launch.arguments[k];
      const std::uint64_t end = argument.offset + argument.bytes;
      if (argument.space == BufferRef::Space::kArena) {
        arena_.write(argument.offset, end, node, graph_.blocks.size());
        graph_.blocks.push_back({argument.offset, end, i, i});
      } else if (argument.space == BufferRef::Space::kOutput && argument.index < outputs_.size()) {
        outputs_[argument.index].write(argument.offset, end, node, 0);
      }
    }
    graph_.nodes.push_back(std::move(made));
  }

  const engine::Plan& plan_;
  const Notes notes_;
  Writers arena_;
  std::vector<Writers> outputs_;
  std::set<std::pair<std::size_t, std::size_t>> edges_;
  LaunchGraph graph_;
};

}  // namespace

LaunchGraph make_launch_graph(const engine::Plan& plan, std::string_view report) { return Walk(plan, report).run(); }

}  // namespace xinfer::compiler
