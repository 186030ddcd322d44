// Engine files. Most inputs are the sections of a file, around which header and digests are made to fit: else nothing but the
// digests would ever be tested. The first byte says which: 0, the bytes of a file; else the length of the manifest follows.
#include <cstring>

#include "../../unit/runtime/sample_engine.h"
#include "../lib/fuzz.h"
#include "engine/layout.h"
#include "engine/serialize.h"

namespace xinfer::fuzz {
namespace {

constexpr std::size_t kCode = 4096, kWeights = 256;  // bytes

std::string as_input(const engine::Contents& contents) {
  const std::string manifest = engine::serialize_manifest(contents.manifest, contents.plan);
  const auto length = static_cast<std::uint16_t>(manifest.size());
  std::string input(3, '\1');
  std::memcpy(input.data() + 1, &length, 2);
  return input + manifest + engine::serialize_plan(contents.plan);
}

std::size_t manifest_length(std::string_view input) {
  std::uint16_t length = 0;
  std::memcpy(&length, input.data() + 1, 2);
  return std::min<std::size_t>(length, input.size() - 3);
}

}  // namespace

void run(std::string_view input) {
  if (input.size() < 3) return;
  engine::Trust trust;
  trust.allow_unsigned = true;
  std::string file;
  if (input[0] == 0) {
    file = input.substr(1);
  } else {
    const std::size_t length = manifest_length(input);
    const std::string rest(kCode, '\xc3');
    file = engine::compose({std::as_bytes(std::span(input.substr(3, length))), std::as_bytes(std::span(input.substr(3 + length))),
                            std::as_bytes(std::span(rest)), std::as_bytes(std::span(rest)).first(kWeights)},
                           "");
  }
  const auto opened = engine::open_bytes(file, trust);
  if (!opened) return;
  const engine::Plan& plan = (*opened)->plan();
  for (const auto* infos : {&plan.inputs, &plan.outputs})
    for (const auto& info : *infos) static_cast<void>(engine::capacity_bytes(plan, info).value());  // checked by open
  for (const auto& launch : plan.launches) static_cast<void>(engine::find_size(plan, launch.tasks));
}

std::vector<std::string> seeds() {
  std::vector<std::string> inputs;
  for (const engine::Contents& contents :
       {testing_engine::add_chain(1, 1, false), testing_engine::add_chain(3, 5, true), testing_engine::compact()}) {
    inputs.push_back(as_input(contents));
    inputs.push_back('\0' + engine::write(contents, ""));
  }
  engine::Contents ranged = testing_engine::add_chain(1, 3, false);
  for (auto* info : {&ranged.plan.inputs[0], &ranged.plan.outputs[0]}) info->shape[0] = -1, info->symbols[0] = "n";
  ranged.plan.symbols = {{.name = "n", .max = 3, .min = 1, .opt = 2}};
  ranged.plan.launches[0].tasks = "min(n, 2*n) + (n + 1)/2";
  ranged.plan.launches[0].grid = {1, 32, 1, 64, true};
  inputs.push_back(as_input(ranged));
  return inputs;
}

std::string mutate(std::string input, Random& random, const ByteMutator& bytes) {
  if (input.size() < 3) return bytes(std::move(input), random);
  if (random() % 4 == 0) {  // a word of the tables
    static constexpr std::uint32_t kWords[] = {0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffc, 64};
    const std::uint32_t word = random() % 2 ? kWords[random() % std::size(kWords)] : static_cast<std::uint32_t>(random() % 300);
    const std::size_t at = 3 + random() % (input.size() - 2);
    if (at + 4 <= input.size()) std::memcpy(input.data() + at, &word, 4);
    return input;
  }
  if (input[0] == 0) return '\0' + bytes(input.substr(1), random);
  // One section, and the length kept right.
  const std::size_t length = manifest_length(input);
  std::string manifest = input.substr(3, length), plan = input.substr(3 + length);
  if (random() % 4 == 0) manifest = bytes(std::move(manifest), random).substr(0, 0xffff);
  else plan = bytes(std::move(plan), random);
  const auto now = static_cast<std::uint16_t>(manifest.size());
  std::memcpy(input.data() + 1, &now, 2);
  return input.substr(0, 3) + manifest + plan;
}

}  // namespace xinfer::fuzz
