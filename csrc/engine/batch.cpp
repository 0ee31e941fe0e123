#include "engine/batch.h"

#include <algorithm>
#include <atomic>
#include <string>

#include "shoal/error.h"

namespace shoal {
namespace {

Buffer filled(const float* values, std::int64_t count, float otherwise) {
  Buffer buffer(static_cast<std::size_t>(padded(count)) * sizeof(float));
  auto* to = reinterpret_cast<float*>(buffer.data());
  for (std::int64_t i = 0; i < count; ++i) to[i] = values ? values[i] : otherwise;
  return buffer;
}

template <class T>
void augment_rows(const Augmentation& augmentation, const Shape& shape, const T* from, const std::uint32_t* index,
                  const Slice& slice, Range mine, T* to) {
  const std::int64_t channels = shape.size() == 3 ? shape[2] : 1, features = shape[0] * shape[1] * channels;
  for (std::int64_t row = mine.begin; row < mine.end; ++row) {
    augment(augmentation, shape[0], shape[1], channels, static_cast<std::uint32_t>(slice.first + row),
            from + std::int64_t{index[slice.first + row]} * features, to + row * features);
  }
}

}  // namespace

std::uint64_t new_identity() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

Data::Data(const Dataset& dataset, Loss loss, Use use) : dataset_(dataset) {
  for (const std::int64_t axis : dataset.shape) features_ *= axis;
  require(dataset.samples >= 1, "dataset must have at least one sample");
  require(dataset.samples < std::int64_t{1} << 32,
          "dataset must have fewer than 2^32 samples, got " + std::to_string(dataset.samples));
  require((dataset.x_u8 == nullptr) != (dataset.x_f32 == nullptr), "dataset must have inputs as uint8 or as float32");
  if (use != Use::prediction) {
    const bool classes = loss == Loss::cross_entropy;
    require(classes ? dataset.labels != nullptr : dataset.targets != nullptr,
            classes ? "cross_entropy needs integer labels, the dataset has none"
                    : "mse needs float targets, the dataset has none");
  }
  scale_ = filled(dataset.scale, features_, 1);
  shift_ = filled(dataset.shift, features_, 0);
}

void Data::check_fits(const Program& program, Loss loss, Use use) const {
  require(program.features == features_, "dataset has samples of shape " + text(dataset_.shape) +
                                             ", the network takes " + std::to_string(program.features) + " features");
  if (use == Use::prediction) return;
  require(program.outputs == dataset_.outputs, "dataset has " + std::to_string(dataset_.outputs) +
                                                   (loss == Loss::cross_entropy ? " classes" : " targets a sample") +
                                                   ", the network has " + std::to_string(program.outputs) + " outputs");
}

void Data::check_augmentation(const Hyperparameters& h) const {
  const auto axes = dataset_.shape.size();
  require(!augments(h) || axes == 2 || axes == 3,
          "augment_pad and augment_flip need images (height, width, channels) or (height, width), the dataset has " +
              text(dataset_.shape));
}

Batch::Batch(const Program& program, Loss loss, std::int64_t rows, std::int64_t augmented_rows, Arena& arena)
    : loss_(loss),
      outputs_(program.outputs),
      index_(arena.take_as<std::uint32_t>(rows)),
      labels_(loss == Loss::cross_entropy ? arena.take_as<std::int32_t>(rows) : nullptr),
      targets_(loss == Loss::mse ? arena.take(rows * padded(program.outputs)) : nullptr),
      losses_(arena.take(rows)),
      augmented_index_(arena.take_as<std::uint32_t>(augmented_rows)),
      augmented_(arena.take(augmented_rows * program.features)) {}

void Batch::gather_goals(const Data& data, std::int64_t rows, const Team& team) const {
  kernels().batch_gather({.data = &data.set(),
                          .features = data.features(),
                          .scale = nullptr,
                          .shift = nullptr,
                          .rows = rows,
                          .index = index_,
                          .x = nullptr,
                          .labels = labels_,
                          .targets = targets_},
                         team.rank, team.size);
  team.wait();
}

void Batch::gather_inputs(const Data& data, const Tensor& tensor, const Slice& slice, const Augmentation& augmentation,
                          float* x, const Team& team) const {
  if (augmentation.pad == 0 && !augmentation.flip)
    return gather(data, tensor, data.set(), index_ + slice.first, slice.rows, x, team);
  Dataset augmented = data.set();
  const Range mine = share(slice.rows, team.rank, team.size);
  if (augmented.x_u8) {
    auto* to = reinterpret_cast<std::uint8_t*>(augmented_);
    augment_rows(augmentation, augmented.shape, augmented.x_u8, index_, slice, mine, to);
    augmented.x_u8 = to;
  } else {
    augment_rows(augmentation, augmented.shape, augmented.x_f32, index_, slice, mine, augmented_);
    augmented.x_f32 = augmented_;
  }
  augmented.samples = slice.rows;
  for (std::int64_t row = mine.begin; row < mine.end; ++row) augmented_index_[row] = static_cast<std::uint32_t>(row);
  team.wait();
  gather(data, tensor, augmented, augmented_index_, slice.rows, x, team);
}

void Batch::gather(const Data& data, const Tensor& tensor, const Dataset& set, const std::uint32_t* index,
                   std::int64_t rows, float* x, const Team& team) const {
  if (tensor.is_image) {
    kernels().image_gather({.data = &set,
                            .image = tensor.image,
                            .scale = data.scale(),
                            .shift = data.shift(),
                            .rows = rows,
                            .index = index,
                            .x = x},
                           team.rank, team.size);
  } else {
    kernels().batch_gather({.data = &set,
                            .features = data.features(),
                            .scale = data.scale(),
                            .shift = data.shift(),
                            .rows = rows,
                            .index = index,
                            .x = x,
                            .labels = nullptr,
                            .targets = nullptr},
                           team.rank, team.size);
  }
  team.wait();
}

void Batch::loss(const Slice& slice, std::int64_t rows, float* y, const Team& team) const {
  kernels().loss_step({.loss = loss_,
                       .rows = slice.rows,
                       .outputs = outputs_,
                       .batch = rows,
                       .y = y,
                       .labels = labels_ ? labels_ + slice.first : nullptr,
                       .targets = targets_ ? targets_ + slice.first * padded(outputs_) : nullptr,
                       .losses = losses_ + slice.first},
                      team.rank, team.size);
  team.wait();
}

}  // namespace shoal
