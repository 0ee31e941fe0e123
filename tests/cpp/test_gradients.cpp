// The gradients of whole networks, against finite differences.
#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "members.h"
#include "pictures.h"
#include "shoal/population.h"

using namespace shoal;
using namespace shoal::test;

namespace {

// Every layer, each reading what another has made and read by another; with kinks, or all smooth.
Network every_layer(bool norms, bool kinks) {
  using Layers = std::vector<Layer>;
  const auto then = [](Layers a, const Layers& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  };
  const Layers norm = norms ? Layers{layer::batch_norm()} : Layers{};
  const Pooling pooling = kinks ? Pooling::max : Pooling::average;
  const Layer relu = kinks ? layer::relu() : layer::sigmoid(), leaky = kinks ? layer::leaky_relu(0.3f) : layer::tanh();
  const Layers branch =
      then(then({relu, layer::conv2d(6, 3)}, norm), {layer::tanh(), layer::conv2d(6, 3), layer::dropout(0.1f)});
  Layers all{layer::dropout(0.1f), layer::conv2d(6, 3)};
  all = then(all, norm);
  all = then(all, {layer::pooling(pooling, 2, 1, Padding::same()), layer::tanh(),
                   layer::pooling(pooling, {1, 2}, 1, Padding::same()), layer::dropout(0.2f), leaky,
                   layer::dropout(0.1f), layer::residual(branch), layer::sigmoid(),
                   layer::residual(then({layer::conv2d(9, 3, 2), layer::tanh()}, norm)),
                   layer::residual({layer::conv2d(7, {2, 3})}, then({leaky, layer::conv2d(7, 1)}, norm)), relu,
                   layer::pooling(Pooling::average, {3, 2}, {2, 1}, Padding::of({1, 0})), layer::tanh(),
                   layer::conv2d(5, {2, 1}, {1, 2}, Padding::valid(), Initializer::he, 1, false), layer::dropout(0.1f),
                   layer::flatten(), layer::tanh(), layer::dense(11)});
  all = then(all, norm);
  return {then(all, {layer::sigmoid(), layer::dropout(0.1f), layer::residual({layer::dense(11), layer::tanh()}),
                     layer::residual({layer::dense(7)}, then({layer::dense(7, Initializer::he, 1, false)}, norm)),
                     layer::dense(2)})};
}

// The loss of the next step, which then is as if it had not been.
float next_loss(Population& p, const Dataset& data, const Bytes& start) {
  const float loss = fit(p, data, 1)[0];
  restore(p, 0, start);
  return loss;
}

}  // namespace

// A step of plain gradient descent moves the weights by lr times the gradient. Along a random direction d, that gradient
// is (L(w + h d) - L(w - h d)) / 2h; dropout draws the same as long as the step is the same.
TEST_CASE("the gradient of a whole network is that of finite differences") {
  const Pictures pictures(270, {6, 5, 2});
  for (const bool norms : {false, true}) {
    for (const bool kinks : {false, true}) {
      CAPTURE(norms);
      CAPTURE(kinks);
      const Loss loss = norms == kinks ? Loss::cross_entropy : Loss::mse;
      const Dataset data = pictures.data(loss);
      Hyperparameters h;
      h.batch_size = 270;
      Population p(pictures.shape, Optimizer::sgd, loss, {.seed = 2, .threads = 1});
      p.add(every_layer(norms, kinks), h, 3);
      randomise(p, -0.05f, 0.05f);
      const auto set_lr = [&](float lr) {
        h.lr = lr;
        p.set(0, h);
      };
      std::vector<std::vector<float>> before, gradients;
      const std::vector<Parameter> parameters = p.parameters(0);
      for (const Parameter& array : parameters) before.push_back(values(array));
      const Bytes start = bytes(p, 0);
      set_lr(1);
      fit(p, data, 1);
      for (std::size_t i = 0; i < parameters.size(); ++i) {
        gradients.push_back(values(parameters[i]));
        for (std::size_t j = 0; j < before[i].size(); ++j) gradients[i][j] = before[i][j] - gradients[i][j];
      }
      restore(p, 0, start);
      set_lr(0);
      std::mt19937 engine(6);
      for (std::size_t i = 0; i < parameters.size(); ++i) {
        const std::string& name = parameters[i].name;
        CAPTURE(name);
        if (name.find(".running") != std::string::npos) continue;
        constexpr float kStep = 2e-3f;
        std::vector<float> direction;
        double along = 0, square = 0;
        for (const float g : gradients[i]) {
          direction.push_back(engine() % 2 ? 1.0f : -1.0f);
          along += double{g} * direction.back();
          square += double{g} * g;
        }
        const auto loss_at = [&](float step) {
          std::size_t j = 0;
          for_values(parameters[i], [&](float& value) { value += step * direction[j++]; });
          return double{next_loss(p, data, start)};
        };
        const double slope = (loss_at(kStep) - loss_at(-kStep)) / (2 * double{kStep});
        // The loss is rounded to 6e-8 of itself. Where h d moves values over a kink, the slope is another's.
        CHECK(std::abs(slope - along) <= (kinks ? 0.15 : 0.01) * std::sqrt(square) + 5e-4);
      }
    }
  }
}
