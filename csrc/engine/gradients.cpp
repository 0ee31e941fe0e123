#include "engine/gradients.h"

#include <algorithm>

namespace shoal {
namespace {

// Stages that come first backward write, later ones add.
void find_additions(const Program& program, GradientPlan& plan) {
  std::vector<bool> written(program.tensors.size());
  const auto write = [&](int t) {
    const bool before = written[static_cast<std::size_t>(t)];
    written[static_cast<std::size_t>(t)] = true;
    return before;
  };
  plan.adds.resize(program.stages.size());
  plan.adds_skip.resize(program.stages.size());
  for (std::size_t i = program.stages.size(); i-- > 0;) {
    const Stage& s = program.stages[i];
    if (s.skip >= 0) plan.adds_skip[i] = write(s.skip);
    plan.adds[i] = write(s.input);
  }
}

struct Place {
  std::int64_t floats = 0;
  int dead = 0;
  std::vector<std::size_t> tensors;
};

}  // namespace

// A gradient lives from the last stage that reads its tensor to the one that wrote it.
GradientPlan plan_gradients(const Program& program, bool together,
                            const std::function<std::int64_t(const Tensor&)>& room) {
  const std::vector<Stage>& stages = program.stages;
  std::vector<int> time(stages.size() + 1);  // of a stage: when it reads its output's gradient and writes its inputs'
  for (std::size_t i = 1; i <= stages.size(); ++i)
    time[i] = time[i - 1] + (together ? stages[i - 1].op == Op::norm : 1);
  std::vector<int> born(program.tensors.size(), -1);  // backward runs from the latest time to 0
  born.back() = time.back();
  for (std::size_t i = stages.size(); i-- > 0;) {
    for (const int t : {stages[i].input, stages[i].skip}) {
      if (t >= 0 && born[static_cast<std::size_t>(t)] < 0) born[static_cast<std::size_t>(t)] = time[i];
    }
  }
  std::vector<Place> places;
  for (std::size_t t = program.tensors.size(); t-- > 1;) {
    if (!program.tensors[t].trained) continue;
    auto place = std::find_if(places.begin(), places.end(), [&](const Place& p) { return born[t] < p.dead; });
    if (place == places.end()) place = places.insert(place, Place{});
    place->floats = std::max(place->floats, room(program.tensors[t]));
    place->dead = time[t - 1];
    place->tensors.push_back(t);
  }
  GradientPlan plan;
  plan.offset.assign(program.tensors.size(), -1);
  for (const Place& place : places) {
    for (const std::size_t t : place.tensors) plan.offset[t] = plan.floats;
    plan.floats += padded(place.floats);
  }
  find_additions(program, plan);
  return plan;
}

}  // namespace shoal
