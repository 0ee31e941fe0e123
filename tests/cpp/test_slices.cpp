// The kernels of gradients in memory and of batches in slices, against those that do the same at once: every instruction
// set this machine has.
#include <doctest/doctest.h>

#include "teams.h"

using namespace shoal;
using test::Matrix;
using test::run_as_teams;
using test::worst;

namespace {

Update some_update(Optimizer optimizer) {
  Hyperparameters h;
  h.lr = 0.1f;
  h.momentum = optimizer == Optimizer::sgd || optimizer == Optimizer::rmsprop ? 0.9f : 0;
  h.nesterov = optimizer == Optimizer::sgd;
  h.weight_decay = 0.01f;
  h.epsilon = 1e-3f;
  return update_at(update_rule(optimizer, h), 3);
}

constexpr Optimizer kOptimizers[] = {Optimizer::sgd, Optimizer::adam, Optimizer::adamw, Optimizer::rmsprop,
                                     Optimizer::adagrad};

}  // namespace

TEST_CASE("a step with a gradient in memory is that of a dense layer, bit for bit") {
  for (const Kernels* k : available_kernels()) {
    for (const Optimizer optimizer : kOptimizers) {
      for (const std::int64_t n : {16, 48, 1600}) {
        CAPTURE(std::string(k->name));
        CAPTURE(static_cast<int>(optimizer));
        CAPTURE(n);
        const Update update = some_update(optimizer);
        const Matrix state = Matrix::random(3, n, 1, 0.1f, 1), gradient = Matrix::random(1, n, 2);
        const Matrix same = state.copy(), one = Matrix::random(1, 1, 3, 1, 1);
        one(0, 0) = 1;
        run_as_teams({state.values()}, [&](int rank, int size) {
          k->apply({update, n, gradient.data(), state.data(), state.stride}, rank, size);
        });
        k->dense_backward_weights(
            {{1, n, 1}, gradient.data(), one.data(), same.data(), nullptr, same.stride, update, {}}, 0, 1);
        CHECK(state.same_bits(same));
      }
    }
  }
}

TEST_CASE("two slices give a dense layer the step of the whole batch") {
  for (const Kernels* k : available_kernels()) {
    for (const Optimizer optimizer : kOptimizers) {
      CAPTURE(std::string(k->name));
      CAPTURE(static_cast<int>(optimizer));
      const std::int64_t rows = 23, first = 16, inputs = 35, outputs = 13;
      const Matrix x = Matrix::random(rows, inputs, 1), dy = Matrix::random(rows, outputs, 2);
      const std::int64_t bias = outputs * padded(inputs), floats = bias + padded(outputs);
      const Matrix whole = Matrix::random(3, floats, 3, 0.1f, 1), sliced = whole.copy(), gradient(1, floats);
      std::fill(gradient.values().begin(), gradient.values().end(), NAN);  // the first slice does not read it
      const auto step = [&](const Matrix& state, std::int64_t begin, std::int64_t end, const SliceSum& sum, int rank,
                            int size) {
        k->dense_backward_weights({{end - begin, inputs, outputs},
                                   x.row(begin),
                                   dy.row(begin),
                                   state.data(),
                                   state.data() + bias,
                                   state.stride,
                                   some_update(optimizer),
                                   sum},
                                  rank, size);
      };
      step(whole, 0, rows, {}, 0, 1);
      const Matrix before = sliced.copy();
      run_as_teams({sliced.values(), gradient.values()}, [&](int rank, int size) {
        step(sliced, 0, first, {gradient.data(), sliced.data(), true, false}, rank, size);
      });
      CHECK(sliced.same_bits(before));
      run_as_teams({sliced.values()}, [&](int rank, int size) {
        step(sliced, first, rows, {gradient.data(), sliced.data(), false, true}, rank, size);
      });
      CHECK(worst(3, floats, sliced, whole) < 1e-6);
      CHECK_FALSE(sliced.same_bits(before));
    }
  }
}

TEST_CASE("the gradient by a dense layer's inputs is added to what is there") {
  for (const Kernels* k : available_kernels()) {
    for (const DenseShape& s : {DenseShape{1, 1, 1}, DenseShape{7, 17, 9}, DenseShape{33, 70, 33}}) {
      CAPTURE(std::string(k->name));
      CAPTURE(s.rows);
      const Matrix dy = Matrix::random(s.rows, s.outputs, 1), w = Matrix::random(s.outputs, s.inputs, 2);
      const Matrix dx(s.rows, s.inputs), sum = Matrix::random(s.rows, s.inputs, 3), before = sum.copy();
      k->dense_backward_data({s, dy.data(), w.data(), false, dx.data()}, 0, 1);
      run_as_teams({sum.values()}, [&](int rank, int size) {
        k->dense_backward_data({s, dy.data(), w.data(), true, sum.data()}, rank, size);
      });
      CHECK(sum.padding_is_zero());
      CHECK(worst(s.rows, s.inputs, sum,
                  [&](std::int64_t r, std::int64_t i) { return double{before(r, i)} + dx(r, i); }) < 1e-7);
    }
  }
}

TEST_CASE("a slice's losses have the gradient of the mean over the whole batch") {
  for (const Kernels* k : available_kernels()) {
    for (const Loss loss : {Loss::cross_entropy, Loss::mse}) {
      CAPTURE(std::string(k->name));
      CAPTURE(static_cast<int>(loss));
      const std::int64_t rows = 21, first = 16, outputs = 10;
      const Matrix whole = Matrix::random(rows, outputs, 1), sliced = whole.copy();
      const Matrix targets = Matrix::random(rows, outputs, 2), losses(2, rows);
      std::vector<std::int32_t> labels;
      for (int r = 0; r < rows; ++r) labels.push_back(r * 7 % 10);
      k->loss_step({loss, rows, outputs, rows, whole.data(), labels.data(), targets.data(), losses.row(0)}, 0, 1);
      for (const std::int64_t begin : {std::int64_t{0}, first}) {
        k->loss_step({loss, begin ? rows - first : first, outputs, rows, sliced.row(begin), labels.data() + begin,
                      targets.row(begin), losses.row(1) + begin},
                     0, 1);
      }
      CHECK(sliced.same_bits(whole));
      CHECK(worst(1, rows, losses, [&](std::int64_t, std::int64_t r) { return losses(1, r); }) == 0);
    }
  }
}

TEST_CASE("the place in the batch decides what dropout draws, not the slice") {
  for (const Kernels* k : available_kernels()) {
    CAPTURE(std::string(k->name));
    const std::int64_t rows = 37, first = 16, columns = 70;
    const Matrix whole = Matrix::random(rows, columns, 1), slice(rows - first, columns);
    std::copy(whole.row(first), whole.row(rows - 1) + whole.stride, slice.data());
    Finish args{.rows = rows,
                .columns = columns,
                .first_row = 0,
                .activation = Activation::tanh,
                .slope = 0,
                .bias = nullptr,
                .dropout = {0.5f, {1, 2}, 5, 0},
                .y = whole.data(),
                .dy = nullptr};
    k->finish_forward(args, 0, 1);
    args.rows = rows - first;
    args.first_row = first;
    args.y = slice.data();
    k->finish_forward(args, 0, 1);
    CHECK(std::memcmp(whole.row(first), slice.data(), slice.values().size_bytes()) == 0);
  }
}
