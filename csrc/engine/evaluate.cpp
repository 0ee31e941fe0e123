#include "engine/evaluate.h"

#include <algorithm>
#include <numeric>

namespace shoal {
namespace {

constexpr std::int64_t kSlice = 256;  // samples; fixed, so that sums do not depend on threads

struct Slice {
  std::int64_t first, rows;
};

Slice slice(const Data& data, std::int64_t i) { return {i * kSlice, std::min(kSlice, data.samples() - i * kSlice)}; }
std::int64_t slices(const Data& data) { return (data.samples() + kSlice - 1) / kSlice; }

// Outputs of a slice, (rows, padded(outputs)).
float* forward(const Data& data, Loss loss, Use use, const Member& member, const Slice& s, const Batch& batch) {
  const Team alone;
  std::iota(batch.index(), batch.index() + s.rows, static_cast<std::uint32_t>(s.first));
  batch.gather(data, loss, use, s.rows, alone);
  batch.forward(*member.program, member.parameters(), nullptr, 0, s.rows, alone);
  return batch.outputs(member.program->stages.size() - 1);
}

struct Sums {
  double loss = 0;
  std::int64_t correct = 0;
};

Sums evaluate_slice(const Data& data, Loss loss, const Member& member, const Slice& s, const Batch& batch) {
  const Program& program = *member.program;
  const float* y = forward(data, loss, Use::evaluation, member, s, batch);
  batch.loss(program, loss, s.rows, {});
  Sums sums;
  for (std::int64_t row = 0; row < s.rows; ++row) {
    sums.loss += batch.losses()[row];
    if (loss != Loss::cross_entropy) continue;
    const float* outputs = y + row * padded(program.outputs);
    sums.correct += std::max_element(outputs, outputs + program.outputs) - outputs == batch.labels()[row];
  }
  return sums;
}

}  // namespace

std::int64_t forward_workspace(const Program& program, Loss loss) {
  Arena arena;
  Batch(program, loss, kSlice, arena);
  return arena.used();
}

void evaluate(const Data& data, Loss loss, const std::vector<const Member*>& members, ThreadPool& pool,
              const Workspace& workspace, float* losses, float* accuracy) {
  const std::int64_t per_member = slices(data);
  std::vector<Sums> sums(members.size() * static_cast<std::size_t>(per_member));
  pool.for_each(static_cast<std::int64_t>(sums.size()), [&](std::int64_t i, int rank) {
    const Member& member = *members[static_cast<std::size_t>(i / per_member)];
    Arena arena(workspace(rank));
    const Batch batch(*member.program, loss, kSlice, arena);
    sums[static_cast<std::size_t>(i)] = evaluate_slice(data, loss, member, slice(data, i % per_member), batch);
  });
  const auto samples = static_cast<double>(data.samples());
  for (std::size_t m = 0; m < members.size(); ++m) {
    Sums total;
    for (std::int64_t i = 0; i < per_member; ++i) {
      const Sums& part = sums[m * static_cast<std::size_t>(per_member) + static_cast<std::size_t>(i)];
      total.loss += part.loss;
      total.correct += part.correct;
    }
    losses[m] = static_cast<float>(total.loss / samples);
    if (accuracy && loss == Loss::cross_entropy)
      accuracy[m] = static_cast<float>(static_cast<double>(total.correct) / samples);
  }
}

void predict(const Data& data, Loss loss, const Member& member, ThreadPool& pool, const Workspace& workspace,
             float* out) {
  const std::int64_t outputs = member.program->outputs;
  pool.for_each(slices(data), [&](std::int64_t i, int rank) {
    Arena arena(workspace(rank));
    const Batch batch(*member.program, loss, kSlice, arena);
    const Slice s = slice(data, i);
    float* y = forward(data, loss, Use::prediction, member, s, batch);
    if (loss == Loss::cross_entropy) kernels().softmax({s.rows, outputs, y});
    for (std::int64_t row = 0; row < s.rows; ++row)
      std::copy_n(y + row * padded(outputs), outputs, out + (s.first + row) * outputs);
  });
}

}  // namespace shoal
