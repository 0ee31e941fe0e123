// What a step leaves behind beside the weights: counters and points of the learning curve.
#pragma once

#include <cstdint>

#include "core/share.h"
#include "shoal/population.h"

namespace shoal {

// Mean training loss of each `record` steps of one job, so exact that the means of parts of a training give the whole's.
class Recorder {
 public:
  SHOAL_HD Recorder(std::int64_t record, double* losses) : record_(record), losses_(losses) {}
  SHOAL_HD void add(float loss) {
    sum_ += loss;
    losses_[done_ / record_] = sum_ / static_cast<double>(done_ % record_ + 1);
    if (++done_ % record_ == 0) sum_ = 0;
  }
  // The interval in which the loss stopped being finite has no mean.
  SHOAL_HD void diverge() { losses_[done_ / record_] = __builtin_nan(""); }

 private:
  std::int64_t record_, done_ = 0;
  double sum_ = 0;
  double* losses_;
};

// After a step on `rows` of a dataset's samples.
SHOAL_HD inline void advance(Counters& counters, std::int64_t rows, std::int64_t samples) {
  ++counters.step;
  counters.offset += rows;
  if (counters.offset < samples) return;
  counters.offset = 0;
  ++counters.epoch;
}

}  // namespace shoal
