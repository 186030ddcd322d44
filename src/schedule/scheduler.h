// The scheduler's working state: where values lie, which launches there are. Internal to src/schedule.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "schedule/backend.h"
#include "schedule/contraction.h"
#include "schedule/demand.h"
#include "schedule/epilogue.h"
#include "schedule/loop_nest.h"
#include "schedule/memory.h"
#include "schedule/partition.h"
#include "schedule/regions.h"
#include "schedule/schedule.h"

namespace xinfer::schedule {

/// Where a value lies.
struct Place {
  int buffer = -1;
  std::uint64_t offset = 0;  // bytes in the buffer
  Storage storage;
  bool whole = true;  // the buffer holds nothing else
};

class Scheduler : public Surroundings {
 public:
  Scheduler(const ir::Graph& graph, const Backend& backend);
  [[nodiscard]] base::Result<Schedule> run();

  const Storage* storage(ir::ValueId value) const override;
  const ir::Node* producer(ir::ValueId value, std::size_t* output) const override;
  std::size_t symbol_place(const std::string& name) const override;

 private:
  using Code = base::Code;
  [[nodiscard]] base::Result<void> check() const;
  [[nodiscard]] base::Result<void> schedule_node(std::size_t i);
  [[nodiscard]] base::Result<void> schedule_contraction(std::size_t i);
  [[nodiscard]] base::Result<void> schedule_irregular(const ir::Node& node);
  [[nodiscard]] base::Result<void> finish_outputs();

  /// A place of the value in this layout and dtype; makes one by computing, aliasing or copying where there is none.
  [[nodiscard]] base::Result<Place> materialize(ir::ValueId value, Layout layout, DType dtype);
  [[nodiscard]] base::Result<Place> main_place(ir::ValueId value);
  std::optional<Place> view(ir::ValueId value);
  std::optional<Place> view_of_part(ir::ValueId value, const ir::Node& node, std::size_t output);
  /// `here`: in the loop that is being scheduled; else where the value comes from, in front of the loops that it is not in.
  [[nodiscard]] base::Result<void> store_by_loops(ir::ValueId value, const Place& place, bool copy, bool here = false);
  [[nodiscard]] base::Result<void> begin_loop(std::size_t i);
  [[nodiscard]] base::Result<void> end_loop(const ir::Node& node);
  [[nodiscard]] base::Result<void> store_states(const ir::Node& node);
  void find_depths();
  void reserve_parts(const ir::Node& node);
  bool is_reservable(ir::ValueId value) const;
  [[nodiscard]] base::Result<void> schedule_concat(const ir::Node& node);

  Place allocate(ir::ValueId value, Layout layout, DType dtype);
  Place allocate_result(ir::ValueId value, Layout layout, DType dtype);
  Place constant_place(ir::ValueId value, DType dtype);
  Place packed_place(ir::ValueId value, const Pack& pack);
  int add_weights(std::span<const std::byte> bytes);
  Place table_place(const Operand& operand);
  Layout preferred_layout(ir::ValueId value, int depth = 0) const;
  bool wants_blocked(ir::ValueId value, int depth = 0) const;
  bool is_blockable(ir::ValueId value) const;

  /// When a launch runs: where `guard` holds, in so many of the open loops.
  struct When {
    Guard guard;
    std::size_t depth = 0;
  };
  When when(std::size_t node) const { return {demand_.nodes[node], open_.size()}; }
  /// `times`: the kernel's tasks are to be run for each of so many entries. The last `outputs` arguments are written.
  [[nodiscard]] base::Result<void> add_launch(forge::KernelSource kernel, std::vector<Argument> arguments, std::string name, When when,
                                              const Size& times = 1, std::size_t outputs = 1);
  void insert_launch(engine::Launch launch, std::vector<Argument> arguments, LaunchNote note, const When& when);
  [[nodiscard]] base::Result<void> add_sums(forge::KernelSource kernel, std::uint64_t bytes, std::vector<Argument>& arguments, bool zero_point, const std::string& name,
                                            const When& when);
  void collect_symbols();
  std::int64_t num_elements(ir::ValueId value) const;  // at most
  Argument argument(const Place& place, ir::ValueId value) const;
  Argument text_memory();
  std::string names_of(const std::set<const ir::Node*>& nodes) const;
  Schedule finish();

  const ir::Graph& graph_;
  const Backend& backend_;
  Blocking blocking_;
  Demand demand_;
  Partition partition_;
  std::vector<std::int64_t> producers_;
  std::vector<std::vector<std::size_t>> users_;
  std::map<ir::ValueId, Place> places_;                             // as its producer left it
  std::map<std::tuple<ir::ValueId, Layout, DType>, Place> copies_;  // in other layouts and dtypes
  std::map<ir::ValueId, Place> reserved_;                           // a part of a concatenation, before it is computed
  std::map<std::pair<ir::ValueId, ir::ValueId>, Place> part_of_;    // (concatenation, part) -> where the part belongs
  std::map<std::string, int> weight_buffers_;                       // by digest of the bytes
  std::vector<Buffer> buffers_;
  std::vector<std::vector<Argument>> uses_;  // per launch
  std::vector<Guard> guards_;                // the same
  struct OpenLoop {
    LoopRange range;
    std::size_t end = 0;  // node
    std::vector<Place> states;
  };
  std::vector<OpenLoop> open_;      // outer ones first
  std::vector<LoopRange> loops_;    // that have been scheduled
  std::vector<std::size_t> depth_;  // per value: loops that it is in
  std::map<std::string, std::uint32_t> kernel_index_;
  std::size_t input_symbols_ = 0;  // that inputs decide: the first of the plan's
  Schedule schedule_;
};

}  // namespace xinfer::schedule
