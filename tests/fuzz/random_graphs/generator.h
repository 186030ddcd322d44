// Grows random models node by node. A node is kept when the importer takes it, the reference functions evaluate it and the
// host's scheduler takes it.
#pragma once
#include <functional>
#include <initializer_list>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "model.h"

namespace xinfer::fuzz {

using Random = std::mt19937_64;
using Dims = std::vector<ir::Dim>;

/// How an operator treats the last bits of its inputs.
enum class Rounding {
  kSmooth,  // passes small errors on, and adds some
  kSteep,   // may magnify them: wants exact inputs
  kExact,   // adds none of its own
  kJumps,   // exact, and decides by comparing: wants exact inputs
};

/// What a fresh tensor holds.
enum class Content {
  kGrid,      // multiples of 1/8 (few bits, so that sums and products are exact), whole numbers for integers
  kPositive,  // the same, more than 0
  kSmall,     // 0 to 3, for indices and counts
  kBool,
};

/// A value of the model so far.
struct Operand {
  std::string name;
  ir::ValueType type;
  bool exact = false;
  bool wild = false;  // too large to go on with, or not finite at all

  const Dims& dims() const { return *type.dims; }
  std::int64_t rank() const { return static_cast<std::int64_t>(type.dims->size()); }
  DType dtype() const { return type.dtype; }
};

struct Statistics {
  std::map<std::string, int> kept, refused, unsupported;  // by operator
  std::map<std::string, int> reasons;                     // of refusals by importer or scheduler
  std::vector<std::string> broken;                        // kInternal from the passes or the scheduler: always a bug
};

class Generator {
 public:
  Generator(std::uint64_t seed, Statistics& statistics);
  Model run(int num_nodes);

  // What recipes are written with.
  std::int64_t below(std::int64_t n) { return n <= 0 ? 0 : static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(n)); }
  std::int64_t between(std::int64_t low, std::int64_t high) { return low + below(high - low + 1); }
  bool chance(int percent) { return below(100) < percent; }
  template <class T>
  T pick(std::initializer_list<T> list) { return list.begin()[below(static_cast<std::int64_t>(list.size()))]; }
  int opset() const { return opset_; }

  DType real_type();    // mostly float32
  DType number_type();  // the same, and integers
  Dims random_dims(std::int64_t rank);
  std::int64_t random_size();
  /// A value that is there already, or a fresh one; its rank is between the two.
  Operand operand(DType dtype, std::int64_t min_rank = 0, std::int64_t max_rank = 5);
  /// An initialiser, or a graph input where sizes or chance want it.
  Operand fresh(DType dtype, const Dims& dims, Content content = Content::kGrid);
  Operand constant(const Tensor& tensor);
  Operand ints(const std::vector<std::int64_t>& values) { return constant(Tensor::from_int64s(values)); }
  /// Something that broadcasts with it.
  Operand partner(const Operand& other, Content content = Content::kGrid);
  /// Sizes that a graph input can have: numbers and plain symbols.
  static bool is_spellable(const Dims& dims);
  static bool is_static(const Dims& dims);

  /// The node being made; inputs with an empty name are left out.
  void node(const std::string& op, const std::vector<Operand>& inputs, int num_outputs = 1, const std::string& domain = {});
  void set(const std::string& name, std::int64_t value);
  void set(const std::string& name, float value);
  void set(const std::string& name, const std::string& value);
  void set(const std::string& name, const std::vector<std::int64_t>& values);
  /// As an input where the operator takes it so in this opset, else as an attribute. After node().
  void axes(const std::vector<std::int64_t>& values, int input_since, const std::string& attribute = "axes");

  Rounding rounding = Rounding::kSmooth;

 private:
  struct Mark {
    int nodes, inputs, initializers;
    std::size_t operands;
    int next;
  };
  std::string new_name(std::string_view stem) { return std::string(stem) + std::to_string(next_++); }
  Tensor filled(DType dtype, const tensor::Shape& shape, Content content);
  void try_recipe();
  bool accept(const std::string& op);
  bool schedules(const ir::Graph& graph, const std::string& op);
  void roll_back(const Mark& mark);
  void choose_outputs();

  Random random_;
  Statistics& statistics_;
  Model model_;
  int opset_ = 17;
  bool zero_sizes_ = false;
  std::vector<Operand> operands_;
  int next_ = 0;
  std::vector<Operand> node_inputs_;
  onnx::proto::NodeProto* node_ = nullptr;
};

/// Makes one node, or gives up (false).
using Recipe = bool (*)(Generator& g, const std::string& op);
struct Entry {
  std::string op;
  Recipe make;
};
const std::vector<Entry>& recipes();
void add_elementwise(std::vector<Entry>& entries);
void add_movement(std::vector<Entry>& entries);
void add_contractions(std::vector<Entry>& entries);
void add_others(std::vector<Entry>& entries);

}  // namespace xinfer::fuzz
