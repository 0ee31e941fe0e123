#include "engine/evaluate.h"

#include <algorithm>
#include <numeric>

#include "engine/forward.h"

namespace shoal {
namespace {

constexpr std::int64_t kPiece = 256;  // samples that one thread takes; fixed, so that sums do not depend on threads

std::int64_t slice_rows(const Program& program) { return std::min(kPiece, program.slice_rows(kPiece)); }
std::int64_t pieces(const Data& data) { return (data.samples() + kPiece - 1) / kPiece; }

// Calls body(first, rows) for the slices of piece i.
template <class Body>
void for_piece(const Program& program, const Data& data, std::int64_t i, const Body& body) {
  const std::int64_t rows = std::min(kPiece, data.samples() - i * kPiece);
  for_slices(rows, slice_rows(program), [&](const Slice& s) { body(i * kPiece + s.first, s.rows); });
}

// One thread's memory for the slices that it takes.
struct Evaluator {
  const Member& member;
  Batch batch;
  Forward pass;

  Evaluator(const Member& member_, Loss loss, Arena& arena)
      : member(member_),
        batch(*member.program, loss, slice_rows(*member.program), 0, arena),
        pass(*member.program, slice_rows(*member.program), Use::evaluation, arena) {}

  void begin() { pass.begin(member, 0, 0, {}); }

  // Outputs of so many samples from `first` on, (rows, padded(outputs)).
  float* forward(const Data& data, std::int64_t first, std::int64_t rows) {
    const Team alone;
    const Slice slice{0, rows, true, true};
    std::iota(batch.index(), batch.index() + rows, static_cast<std::uint32_t>(first));
    pass.run(
        {&slice, 1},
        [&](const Slice& s, float* x) { batch.gather_inputs(data, member.program->tensors[0], s, {}, x, alone); },
        alone);
    return pass.outputs(slice);
  }
};

void evaluate_slice(const Data& data, Loss loss, Evaluator& evaluator, std::int64_t first, std::int64_t rows,
                    Sums& sums) {
  const std::int64_t outputs = evaluator.member.program->outputs;
  float* y = evaluator.forward(data, first, rows);
  evaluator.batch.gather_goals(data, rows, {});
  for (std::int64_t row = 0; row < rows && loss == Loss::cross_entropy; ++row) {
    const float* values = y + row * padded(outputs);
    sums.correct += std::max_element(values, values + outputs) - values == evaluator.batch.labels()[row];
  }
  for (std::int64_t row = 0; row < rows && loss == Loss::mse; ++row) {
    const std::int64_t at = row * padded(outputs);
    for (std::int64_t i = at; i < at + outputs; ++i) sums.moments.add(y[i], evaluator.batch.targets()[i]);
  }
  evaluator.batch.loss({0, rows, true, true}, rows, y, {});  // replaces y
  for (std::int64_t row = 0; row < rows; ++row) sums.loss += evaluator.batch.losses()[row];
}

}  // namespace

std::int64_t forward_workspace(const Member& member, Loss loss) {
  Arena arena;
  Evaluator(member, loss, arena);
  return arena.used();
}

void score(const std::vector<Sums>& sums, std::size_t member, std::int64_t pieces, const Data& data, Loss loss,
           std::int64_t outputs, const Scores& scores) {
  Sums total;
  for (std::int64_t i = 0; i < pieces; ++i) {
    const Sums& part = sums[member * static_cast<std::size_t>(pieces) + static_cast<std::size_t>(i)];
    total.loss += part.loss;
    total.correct += part.correct;
    total.moments.merge(part.moments);
  }
  const auto samples = static_cast<double>(data.samples());
  scores.loss[member] = static_cast<float>(total.loss / samples);
  if (loss == Loss::cross_entropy) {
    if (scores.accuracy) scores.accuracy[member] = static_cast<float>(static_cast<double>(total.correct) / samples);
    return;
  }
  const double squares = total.loss * static_cast<double>(outputs);
  if (scores.correlation) scores.correlation[member] = static_cast<float>(total.moments.correlation());
  if (scores.r2) scores.r2[member] = static_cast<float>(total.moments.r2(squares));
}

void evaluate(const Data& data, Loss loss, const std::vector<const Member*>& members, ThreadPool& pool,
              const Workspace& workspace, const Scores& scores) {
  const std::int64_t per_member = pieces(data);
  std::vector<Sums> sums(members.size() * static_cast<std::size_t>(per_member));
  pool.for_each(static_cast<std::int64_t>(sums.size()), [&](std::int64_t i, int rank) {
    const Member& member = *members[static_cast<std::size_t>(i / per_member)];
    Arena arena(workspace(rank));
    Evaluator evaluator(member, loss, arena);
    evaluator.begin();
    for_piece(*member.program, data, i % per_member, [&](std::int64_t first, std::int64_t rows) {
      evaluate_slice(data, loss, evaluator, first, rows, sums[static_cast<std::size_t>(i)]);
    });
  });
  for (std::size_t m = 0; m < members.size(); ++m)
    score(sums, m, per_member, data, loss, members[m]->program->outputs, scores);
}

void predict(const Data& data, Loss loss, const Member& member, ThreadPool& pool, const Workspace& workspace,
             float* out) {
  const std::int64_t outputs = member.program->outputs;
  pool.for_each(pieces(data), [&](std::int64_t i, int rank) {
    Arena arena(workspace(rank));
    Evaluator evaluator(member, loss, arena);
    evaluator.begin();
    for_piece(*member.program, data, i, [&](std::int64_t first, std::int64_t rows) {
      float* y = evaluator.forward(data, first, rows);
      if (loss == Loss::cross_entropy) kernels().softmax({rows, outputs, y});
      for (std::int64_t row = 0; row < rows; ++row)
        std::copy_n(y + row * padded(outputs), outputs, out + (first + row) * outputs);
    });
  });
}

}  // namespace shoal
