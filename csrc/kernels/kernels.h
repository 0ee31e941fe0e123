// The table of kernels of one instruction set, and the choice of one when the library is first used.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/batch.h"
#include "kernels/conv.h"
#include "kernels/curves.h"
#include "kernels/dense.h"
#include "kernels/finish.h"
#include "kernels/image.h"
#include "kernels/initial.h"
#include "kernels/lanes.h"
#include "kernels/loss.h"
#include "kernels/norm.h"
#include "kernels/pool.h"

namespace shoal {

struct Kernels {
  const char* name;
  int lanes;  // W
  void (*initial_weights)(const InitialWeights&, int rank, int size);
  void (*batch_order)(const BatchOrder&);
  void (*batch_gather)(const BatchGather&, int rank, int size);
  void (*dense_forward)(const DenseForward&, int rank, int size);
  void (*dense_forward_in_order)(const DenseForwardInOrder&);
  void (*dense_backward_data)(const DenseBackwardData&, int rank, int size);
  void (*dense_backward_weights)(const DenseBackwardWeights&, int rank, int size);
  void (*finish_forward)(const Finish&, int rank, int size);
  void (*finish_backward)(const Finish&, int rank, int size);
  void (*image_gather)(const ImageGather&, int rank, int size);
  void (*image_to_rows)(const ImageRows&, int rank, int size);
  void (*image_from_rows)(const ImageRows&, int rank, int size);
  void (*image_finish_forward)(const ImageFinish&, int rank, int size);
  void (*image_finish_backward)(const ImageFinish&, int rank, int size);
  void (*image_add)(const ImageAdd&, int rank, int size);
  void (*image_add_backward)(const ImageAddBackward&, int rank, int size);
  void (*conv_pack)(const ConvPack&);
  void (*conv_forward)(const ConvForward&, int rank, int size);
  void (*conv_backward_data)(const ConvBackwardData&, int rank, int size);
  void (*conv_backward_weights)(const ConvBackwardWeights&, int rank, int size);
  void (*pool_forward)(const PoolForward&, int rank, int size);
  void (*pool_backward)(const PoolBackward&, int rank, int size);
  void (*norm_statistics)(const NormStatistics&, int rank, int size);
  void (*norm_forward)(const NormForward&, int rank, int size);
  void (*norm_backward_sums)(const NormBackwardSums&, int rank, int size);
  void (*norm_backward_data)(const NormBackwardData&, int rank, int size);
  void (*apply)(const Apply&, int rank, int size);
  void (*loss_step)(const LossStep&, int rank, int size);
  void (*softmax)(const Softmax&);
  void (*lane_gather)(const LaneGather&);
  void (*lane_product)(const LaneProduct&);
  void (*lane_sum)(const LaneSum&);
  void (*lane_finish_forward)(const LaneFinish&);
  void (*lane_finish_backward)(const LaneFinish&);
  void (*lane_loss)(const LaneLoss&);
  void (*lane_update)(const LaneUpdate&);
  void (*curves_near)(const CurveTile&);
  double (*curve_distance)(const CurvePair&);
  // Floating point operations of `rounds` rounds of independent multiply-adds in registers: the peak to compare with.
  double (*multiply_adds)(std::int64_t rounds);
};

// Best first. The environment variable SHOAL_ISA names one to use instead of the best; throws InvalidArgument if it
// cannot.
std::vector<const Kernels*> available_kernels();
const Kernels& kernels();  // the first of them, chosen once

}  // namespace shoal
