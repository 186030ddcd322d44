// Loop nests: a stored value's elements as loops over its physical layout, with what produces them fused in.
#pragma once
#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "forge/cpu/kernel.h"
#include "ir/graph.h"
#include "schedule/expr.h"
#include "schedule/lowering.h"
#include "target/isa.h"

namespace xinfer::schedule {

using forge::cpu::Layout;

/// How a value lies in memory.
struct Storage {
  Layout layout = Layout::kPlain;
  DType dtype = DType::kFloat32;  // of the elements in memory; intermediate 16-bit floats are kept as float32
  std::int64_t capacity = 0;      // elements that may be read, padding included
};

/// Channels of a block of Layout::kBlocked: the vector's lanes on CPUs; on GPUs all of them, rounded up.
struct Blocking {
  int lanes = 8;
  bool whole = false;

  Blocking(int lanes, bool whole = false) : lanes(lanes), whole(whole) {}
  Blocking(const target::CpuIsa& isa) : lanes(isa.vector_lanes) {}
  std::int64_t block(std::int64_t channels) const {
    return whole ? std::max<std::int64_t>(1, (channels + lanes - 1) / lanes) * lanes : lanes;
  }
};

/// Sizes of the physical dimensions: the shape, or [N, ceil(C / block), spatial..., block] for rank 3 and 4.
std::vector<Size> physical_shape(const std::vector<Size>& shape, Layout layout, Blocking blocking);

/// How many elements a tensor has at most: every size at its maximum, or fewer where sizes go against each other.
std::int64_t max_elements(const std::vector<Size>& shape);
/// Elements of a buffer of our own with all symbols at their maximum; its size is rounded up to 64 bytes.
std::int64_t storage_capacity(const std::vector<Size>& shape, Layout layout, DType dtype, Blocking blocking);

/// What a kernel reads beside its output, in the order of its arguments: a stored value or a table of constants.
struct Operand {
  ir::ValueId value = ir::kNoValue;
  std::vector<double> table;  // when `value` is kNoValue
  Storage storage;
};

/// One perfect nest: for all values of vars (outermost first), out[offset] = value.
struct Nest {
  std::vector<E> vars;
  E offset = nullptr;
  E value = nullptr;
  E guard = nullptr;  // where false, nothing is stored
};

/// What is known of the values outside of the kernel.
class Surroundings {
 public:
  virtual ~Surroundings() = default;
  /// How the value is stored, or null when it is not: then it is computed where it is used.
  virtual const Storage* storage(ir::ValueId value) const = 0;
  virtual const ir::Node* producer(ir::ValueId value, std::size_t* output) const = 0;
  /// The place of a symbol in the plan.
  virtual std::size_t symbol_place(const std::string& name) const = 0;
};

/// kSegmented, for CPUs: conditions on indices are resolved by cutting the loops where that is cheap, divisions by splitting
/// them, and rows keep what several passes share. kWhole, for GPUs: one nest with its conditions and divisions; rows are
/// computed again; padded channels are stored as zero.
enum class NestStyle : std::uint8_t { kSegmented, kWhole };

/// Builds the nests of one kernel. Owns their expressions.
class NestBuilder {
 public:
  NestBuilder(const ir::Graph& graph, const Surroundings& surroundings, Blocking blocking,
              NestStyle style = NestStyle::kSegmented)
      : graph_(graph), surroundings_(surroundings), blocking_(blocking), style_(style) {
    if (style == NestStyle::kWhole) pool_.forget_rows();
  }

  /// Nests that store `value` as `storage` says, reading `from` (the value itself when it is computed here, or stored
  /// in another layout).
  [[nodiscard]] base::Result<std::vector<Nest>> build(ir::ValueId value, const Storage& storage, bool copy);

  /// Element `index` of a value, computed here or loaded: for epilogues, which have no nest of their own.
  E element(ir::ValueId value, std::span<const E> index);
  base::Result<void> outcome() const { return outcome_; }

  const std::vector<Operand>& operands() const { return operands_; }
  ExprPool& pool() { return pool_; }
  std::size_t symbol_place(const std::string& name) const { return surroundings_.symbol_place(name); }
  /// True when every index that the load can have lies within its operand.
  bool is_safe(E load) const;
  /// Nodes whose operators were fused into this kernel.
  const std::set<const ir::Node*>& nodes() const { return nodes_; }

 private:
  E load(ir::ValueId value, const Storage& storage, std::span<const E> index);
  E known_element(const std::vector<Size>& elements, DType dtype, const std::vector<Size>& shape, std::span<const E> index);
  E constant_element(const tensor::Tensor& tensor, std::span<const E> index);
  E table(std::vector<double> values, DType dtype, E index);
  std::int64_t slot_of(Operand operand);
  bool has_unsafe_load(E expr);
  void collapse(Nest& nest);
  void segment(Nest nest, std::vector<Nest>& out, int depth);
  void remove_divisions(Nest nest, std::vector<Nest>& out, int depth);

  const ir::Graph& graph_;
  const Surroundings& surroundings_;
  Blocking blocking_;
  NestStyle style_;
  ExprPool pool_;
  std::vector<Operand> operands_;
  std::set<const ir::Node*> nodes_;
  std::map<std::pair<ir::ValueId, std::vector<E>>, E> elements_;
  base::Result<void> outcome_;
};

/// Kernel text for the nests. `in_place`: operands that are read only where their element is about to be overwritten,
/// so that the output may take their place.
struct PrintedKernel {
  forge::cpu::KernelSource kernel;
  std::vector<std::size_t> in_place;
};
PrintedKernel print_kernel(NestBuilder& builder, const std::vector<Nest>& nests, const Storage& output,
                           const target::CpuIsa& isa, int max_threads);

}  // namespace xinfer::schedule
