// Every kernel of every instruction set this machine has, against plain loops in double; sizes on and off the grid
// of tiles.
#include <doctest/doctest.h>

#include "arrays.h"
#include "core/normal.h"
#include "kernels/kernels.h"

using namespace shoal;
using test::Matrix;
using test::worst;

namespace {

const DenseShape kShapes[] = {{1, 1, 1},   {2, 3, 5},     {7, 17, 9},    {32, 64, 10}, {33, 33, 33},
                              {5, 100, 1}, {12, 784, 10}, {64, 129, 67}, {3, 16, 128}, {31, 15, 13}};

// Sums of up to 784 products of numbers below 1, in float32 in an order of their own: about sqrt(784) 2^-24 each.
constexpr double kTolerance = 1e-5;

template <class Body>
void for_each_case(const Body& body) {
  for (const Kernels* k : available_kernels()) {
    for (const DenseShape& shape : kShapes) {
      CAPTURE(std::string(k->name));
      CAPTURE(shape.rows);
      CAPTURE(shape.inputs);
      CAPTURE(shape.outputs);
      body(*k, shape);
    }
  }
}

// Runs op(rank, size) for all ranks of a team of one and of a team of three; both must write the same bits into `out`.
template <class Op>
void run_as_teams(const Matrix& out, const Op& op) {
  const Matrix before = out.copy();
  for (int rank = 0; rank < 3; ++rank) op(rank, 3);
  const Matrix by_three = out.copy();
  std::memcpy(out.data(), before.data(), static_cast<std::size_t>(out.rows * out.stride) * sizeof(float));
  op(0, 1);
  CHECK(out.same_bits(by_three));
}

Update plain_update(Optimizer optimizer) {
  Hyperparameters h;
  h.lr = 0.1f;
  h.momentum = optimizer == Optimizer::sgd || optimizer == Optimizer::rmsprop ? 0.9f : 0;
  h.weight_decay = 0.01f;
  h.epsilon = 1e-3f;
  return update_at(update_rule(optimizer, h), 3);
}

// The formulas of shoal/optimizer.h on one weight.
void update_one(const Update& u, double g, double& w, double& first, double& second) {
  g += u.weight_decay * w;
  w *= u.shrink;
  switch (u.optimizer) {
    case Optimizer::sgd:
      first = u.momentum * first + g;
      w -= u.lr * (u.nesterov ? g + u.momentum * first : first);
      return;
    case Optimizer::adam:
    case Optimizer::adamw:
      first = u.beta1 * first + (1 - u.beta1) * g;
      second = u.beta2 * second + (1 - u.beta2) * g * g;
      w -= u.lr * first / (std::sqrt(second) * u.root + u.epsilon);
      return;
    case Optimizer::rmsprop:
      second = u.beta2 * second + (1 - u.beta2) * g * g;
      first = u.momentum * first + g / (std::sqrt(second) + u.epsilon);
      w -= u.lr * first;
      return;
    case Optimizer::adagrad:
      first += g * g;
      w -= u.lr * g / (std::sqrt(first) + u.epsilon);
      return;
  }
}

// Weight i of row o, by its contract.
float initial_weight(const InitialWeights& f, std::uint32_t o, std::uint32_t i) {
  const auto words = philox({i / 2, o, 0, stream(Purpose::initial_weights, f.layer)}, f.key);
  const std::uint32_t drawn[4] = {words[0], words[1], words[2], words[3]};
  double pair[2];
  normal_pair<OneDouble>(drawn, pair[0], pair[1]);
  const double uniform = (words[i % 2 * 2] + 0.5) / 2147483648.0 - 1;
  return static_cast<float>(f.width * (f.drawn == Drawn::normal ? pair[i % 2] : uniform));
}

}  // namespace

TEST_CASE("initial weights are drawn by their place, the same bits for every instruction set") {
  for_each_case([](const Kernels& k, const DenseShape& shape) {
    for (const Drawn drawn : {Drawn::normal, Drawn::uniform}) {
      const Matrix weight(shape.outputs, shape.inputs);
      const InitialWeights f{weight.data(), weight.rows, weight.columns, weight.stride, drawn, 0.3, {5, 7}, 2};
      run_as_teams(weight, [&](int rank, int size) { k.initial_weights(f, rank, size); });
      std::int64_t same = 0;
      for (std::int64_t o = 0; o < shape.outputs; ++o) {
        for (std::int64_t i = 0; i < shape.inputs; ++i) {
          same += weight(o, i) == initial_weight(f, static_cast<std::uint32_t>(o), static_cast<std::uint32_t>(i));
        }
      }
      CHECK(same == shape.outputs * shape.inputs);
      CHECK(weight.padding_is_zero());
    }
  });
}

TEST_CASE("dense forward") {
  for_each_case([](const Kernels& k, const DenseShape& s) {
    const Matrix x = Matrix::random(s.rows, s.inputs, 1), w = Matrix::random(s.outputs, s.inputs, 2),
                 y(s.rows, s.outputs);
    run_as_teams(y, [&](int rank, int size) { k.dense_forward({s, x.data(), w.data(), y.data()}, rank, size); });
    CHECK(worst(s.rows, s.outputs, y, [&](std::int64_t b, std::int64_t o) {
            double sum = 0;
            for (std::int64_t i = 0; i < s.inputs; ++i) sum += double{x(b, i)} * w(o, i);
            return sum;
          }) < kTolerance);
  });
}

TEST_CASE("dense backward by data") {
  for_each_case([](const Kernels& k, const DenseShape& s) {
    const Matrix dy = Matrix::random(s.rows, s.outputs, 1), w = Matrix::random(s.outputs, s.inputs, 2),
                 dx(s.rows, s.inputs);
    run_as_teams(
        dx, [&](int rank, int size) { k.dense_backward_data({s, dy.data(), w.data(), false, dx.data()}, rank, size); });
    CHECK(dx.padding_is_zero());
    CHECK(worst(s.rows, s.inputs, dx, [&](std::int64_t b, std::int64_t i) {
            double sum = 0;
            for (std::int64_t o = 0; o < s.outputs; ++o) sum += double{dy(b, o)} * w(o, i);
            return sum;
          }) < kTolerance);
  });
}

TEST_CASE("dense backward by weights takes the optimiser's step") {
  for (const Optimizer optimizer :
       {Optimizer::sgd, Optimizer::adam, Optimizer::adamw, Optimizer::rmsprop, Optimizer::adagrad}) {
    CAPTURE(static_cast<int>(optimizer));
    for_each_case([&](const Kernels& k, const DenseShape& s) {
      const Update u = plain_update(optimizer);
      const Matrix x = Matrix::random(s.rows, s.inputs, 1), dy = Matrix::random(s.rows, s.outputs, 2);
      // weights and bias, then the two slots: rows of one matrix of 3 (outputs + 1) rows
      Matrix state = Matrix::random(3 * (s.outputs + 1), std::max(s.inputs, s.outputs), 3, 0.1f, 1);
      const std::int64_t stride = padded(s.inputs);
      Matrix block(3, s.outputs * stride + padded(s.outputs));
      const auto weight = [&](std::int64_t slot, std::int64_t o, std::int64_t i) -> float& {
        return block(slot, o * stride + i);
      };
      const auto bias = [&](std::int64_t slot, std::int64_t o) -> float& {
        return block(slot, s.outputs * stride + o);
      };
      for (std::int64_t slot = 0; slot < 3; ++slot) {
        for (std::int64_t o = 0; o < s.outputs; ++o) {
          for (std::int64_t i = 0; i < s.inputs; ++i) weight(slot, o, i) = state(slot * s.outputs + o, i);
          bias(slot, o) = state(3 * s.outputs, o);
        }
      }
      const Matrix before = block.copy();
      run_as_teams(block, [&](int rank, int size) {
        k.dense_backward_weights(
            {s, x.data(), dy.data(), block.data(), block.data() + s.outputs * stride, block.stride, u}, rank, size);
      });
      const auto expected = [&](std::int64_t column, double g, std::int64_t slot) {
        double values[3] = {before(0, column), before(1, column), before(2, column)};
        update_one(u, g, values[0], values[1], values[2]);
        return values[slot];
      };
      for (std::int64_t slot = 0; slot <= slots(optimizer); ++slot) {
        CAPTURE(slot);
        // a gradient of up to 64 products, then divided by as little as epsilon + 0.1
        CHECK(worst(
                  s.outputs, s.inputs, [&](std::int64_t o, std::int64_t i) { return weight(slot, o, i); },
                  [&](std::int64_t o, std::int64_t i) {
                    double g = 0;
                    for (std::int64_t b = 0; b < s.rows; ++b) g += double{dy(b, o)} * x(b, i);
                    return expected(o * stride + i, g, slot);
                  }) < kTolerance);
        CHECK(worst(
                  1, s.outputs, [&](std::int64_t, std::int64_t o) { return bias(slot, o); },
                  [&](std::int64_t, std::int64_t o) {
                    double g = 0;
                    for (std::int64_t b = 0; b < s.rows; ++b) g += dy(b, o);
                    return expected(s.outputs * stride + o, g, slot);
                  }) < kTolerance);
      }
    });
  }
}

TEST_CASE("finish: bias, activation, dropout and their derivative") {
  const auto f = [](Activation a, double x) {
    switch (a) {
      case Activation::relu: return x > 0 ? x : 0;
      case Activation::leaky_relu: return x > 0 ? x : 0.1 * x;
      case Activation::sigmoid: return 1 / (1 + std::exp(-x));
      case Activation::tanh: return std::tanh(x);
      case Activation::identity: break;
    }
    return x;
  };
  for (const Kernels* k : available_kernels()) {
    for (const auto a :
         {Activation::identity, Activation::relu, Activation::leaky_relu, Activation::sigmoid, Activation::tanh}) {
      for (const float rate : {0.0f, 0.3f}) {
        for (const std::int64_t columns : {1, 15, 16, 65, 130}) {
          CAPTURE(std::string(k->name));
          CAPTURE(static_cast<int>(a));
          CAPTURE(rate);
          CAPTURE(columns);
          const std::int64_t rows = 9;
          const Matrix x = Matrix::random(rows, columns, 1, -12, 12), bias = Matrix::random(1, columns, 2);
          const Matrix y = x.copy(), dy = Matrix::random(rows, columns, 3), ones = dy.copy();
          Finish args{.rows = rows,
                      .columns = columns,
                      .activation = a,
                      .slope = 0.1f,
                      .bias = bias.data(),
                      .dropout = {rate, {1, 2}, 5, 0},
                      .y = y.data(),
                      .dy = dy.data()};
          run_as_teams(y, [&](int rank, int size) { k->finish_forward(args, rank, size); });
          CHECK(y.padding_is_zero());
          const auto kept = [&](std::int64_t r, std::int64_t c) {
            const auto counter = static_cast<std::uint32_t>(c / 64 * 16 + c % 16);
            const auto words = philox({counter, static_cast<std::uint32_t>(r), 5, stream(Purpose::dropout, 0)}, {1, 2});
            return words[static_cast<std::size_t>(c % 64 / 16)] >= static_cast<std::uint32_t>(rate * 4294967296.0);
          };
          CHECK(worst(rows, columns, y, [&](std::int64_t r, std::int64_t c) {
                  return kept(r, c) ? f(a, double{x(r, c)} + bias(0, c)) / (1 - rate) : 0;
                }) < 2e-6);
          k->finish_backward(args, 0, 1);
          CHECK(worst(rows, columns, dy, [&](std::int64_t r, std::int64_t c) {
                  const double z = double{x(r, c)} + bias(0, c), h = 1e-6;
                  const double slope = (f(a, z + h) - f(a, z - h)) / (2 * h);
                  return kept(r, c) ? ones(r, c) * slope / (1 - rate) : 0;
                }) < 2e-6);
        }
      }
    }
  }
}

TEST_CASE("activations are finite and saturate where exp would overflow; NaN stays NaN") {
  for (const Kernels* k : available_kernels()) {
    CAPTURE(std::string(k->name));
    const float values[] = {-1e30f, -200, -89, -0.0f, 0, 89, 200, 1e30f, NAN};
    for (const auto a : {Activation::sigmoid, Activation::tanh, Activation::relu}) {
      const Matrix y(1, 9);
      std::copy(std::begin(values), std::end(values), y.data());
      k->finish_forward({.rows = 1,
                         .columns = 9,
                         .activation = a,
                         .slope = 0,
                         .bias = nullptr,
                         .dropout = {},
                         .y = y.data(),
                         .dy = nullptr},
                        0, 1);
      CHECK(std::isnan(y(0, 8)));
      if (a == Activation::relu) continue;
      const float low = a == Activation::sigmoid ? 0.0f : -1.0f;
      for (int i = 0; i < 3; ++i) {
        CHECK(std::abs(y(0, i) - low) < 1e-30);
        CHECK(y(0, 5 + i) == 1);
      }
    }
  }
}

TEST_CASE("losses and their gradients") {
  for (const Kernels* k : available_kernels()) {
    for (const std::int64_t outputs : {1, 2, 10, 17, 100}) {
      CAPTURE(std::string(k->name));
      CAPTURE(outputs);
      const std::int64_t rows = 7;
      const Matrix z = Matrix::random(rows, outputs, 1, -20, 20), t = Matrix::random(rows, outputs, 2);
      std::vector<std::int32_t> labels;
      for (std::int64_t r = 0; r < rows; ++r) labels.push_back(static_cast<std::int32_t>((r * 7) % outputs));
      const auto log_sum = [&](std::int64_t r) {
        double sum = 0;
        for (std::int64_t c = 0; c < outputs; ++c) sum += std::exp(double{z(r, c)});
        return std::log(sum);
      };
      const Matrix y = z.copy(), losses(1, rows);
      run_as_teams(y, [&](int rank, int size) {
        k->loss_step({Loss::cross_entropy, rows, outputs, rows, y.data(), labels.data(), nullptr, losses.data()}, rank,
                     size);
      });
      CHECK(y.padding_is_zero());
      CHECK(worst(1, rows, losses, [&](std::int64_t, std::int64_t r) {
              return log_sum(r) - z(r, labels[static_cast<std::size_t>(r)]);
            }) < 2e-6);
      CHECK(worst(rows, outputs, y, [&](std::int64_t r, std::int64_t c) {
              return (std::exp(z(r, c) - log_sum(r)) - (labels[static_cast<std::size_t>(r)] == c)) / rows;
            }) < 1e-6);
      const Matrix p = z.copy();
      k->softmax({rows, outputs, p.data()});
      CHECK(worst(rows, outputs, p, [&](std::int64_t r, std::int64_t c) { return std::exp(z(r, c) - log_sum(r)); }) <
            1e-6);
      const Matrix v = z.copy();
      k->loss_step({Loss::mse, rows, outputs, rows, v.data(), nullptr, t.data(), losses.data()}, 0, 1);
      CHECK(worst(1, rows, losses, [&](std::int64_t, std::int64_t r) {
              double sum = 0;
              for (std::int64_t c = 0; c < outputs; ++c) sum += std::pow(double{z(r, c)} - t(r, c), 2);
              return sum / static_cast<double>(outputs);
            }) < 2e-6);
      CHECK(worst(rows, outputs, v, [&](std::int64_t r, std::int64_t c) {
              return 2 * (double{z(r, c)} - t(r, c)) / static_cast<double>(outputs * rows);
            }) < 1e-6);
    }
  }
}

TEST_CASE("a loss that is not finite is seen") {
  for (const Kernels* k : available_kernels()) {
    for (const float bad : {NAN, INFINITY}) {
      for (const std::int64_t at : {0, 9}) {
        const Matrix y = Matrix::random(1, 10, 1), losses(1, 1);
        const std::int32_t label = 3;
        y(0, at) = bad;
        k->loss_step({Loss::cross_entropy, 1, 10, 1, y.data(), &label, nullptr, losses.data()}, 0, 1);
        CHECK_FALSE(std::isfinite(losses(0, 0)));
      }
    }
  }
}

TEST_CASE("batch order is the shuffle; gather normalises and zeroes the padding") {
  for (const Kernels* k : available_kernels()) {
    for (const std::int64_t features : {1, 15, 16, 64, 785}) {
      CAPTURE(std::string(k->name));
      CAPTURE(features);
      constexpr std::uint32_t n = 53;
      const Shuffle shuffle(n, {1, 2}, 3);
      std::vector<std::uint32_t> index(n);
      k->batch_order({&shuffle, 0, n, index.data()});
      for (std::uint32_t i = 0; i < n; ++i) CHECK(index[i] == shuffled(shuffle, i));
      std::vector<std::uint8_t> bytes(static_cast<std::size_t>(n * features));
      std::vector<float> floats;
      std::mt19937 engine(4);
      for (auto& b : bytes) b = static_cast<std::uint8_t>(engine());
      for (const auto b : bytes) floats.push_back(b);
      std::vector<std::int32_t> labels(n);
      for (std::uint32_t i = 0; i < n; ++i) labels[i] = static_cast<std::int32_t>(i);
      const Matrix scale = Matrix::random(1, features, 5), shift = Matrix::random(1, features, 6);
      const Matrix x(n, features), same(n, features);
      std::vector<std::int32_t> got(n);
      Dataset d{.samples = n, .shape = {features}, .x_u8 = bytes.data(), .labels = labels.data()};
      const auto gather = [&](const Matrix& to, int rank, int size) {
        k->batch_gather({&d, features, scale.data(), shift.data(), n, index.data(), to.data(), got.data(), nullptr},
                        rank, size);
      };
      run_as_teams(x, [&](int rank, int size) { gather(x, rank, size); });
      CHECK(x.padding_is_zero());
      for (std::uint32_t i = 0; i < n; ++i) CHECK(got[i] == static_cast<std::int32_t>(index[i]));
      CHECK(worst(n, features, x, [&](std::int64_t r, std::int64_t c) {
              const auto at = static_cast<std::int64_t>(index[static_cast<std::size_t>(r)]) * features + c;
              return double{floats[static_cast<std::size_t>(at)]} * scale(0, c) + shift(0, c);
            }) < 1e-6);
      d.x_u8 = nullptr;
      d.x_f32 = floats.data();
      gather(same, 0, 1);
      CHECK(same.same_bits(x));
    }
  }
}
