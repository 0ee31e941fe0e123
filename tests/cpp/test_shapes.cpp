// What fits together: the shapes that layers make, and what is refused.
#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "shoal/error.h"
#include "shoal/population.h"

using namespace shoal;

TEST_CASE("shapes follow the paddings and strides") {
  const auto shape = [](const std::vector<Layer>& layers) { return output_shape({layers}, {7, 10, 3})[0]; };
  const auto same = Padding::same(), valid = Padding::valid();
  CHECK(shape({layer::conv2d(2, 3)}) == 7 * 10 * 2);
  CHECK(shape({layer::conv2d(2, {4, 3}, {2, 3}, same)}) == 4 * 4 * 2);
  CHECK(shape({layer::conv2d(2, {4, 3}, {2, 3}, valid)}) == 2 * 3 * 2);
  CHECK(shape({layer::conv2d(2, 3, 2, Padding::of({2, 1}))}) == 5 * 5 * 2);
  CHECK(shape({layer::conv2d(2, {7, 10}, 1, valid)}) == 2);
  CHECK(shape({layer::conv2d(4, 1), layer::pooling(Pooling::max, 2)}) == 3 * 5 * 4);
  CHECK(shape({layer::conv2d(4, 1), layer::pooling(Pooling::max, 2, 0, same)}) == 4 * 5 * 4);
  CHECK(shape({layer::conv2d(4, 1), layer::pooling(Pooling::average, 3, 1)}) == 5 * 8 * 4);
  CHECK(shape({layer::conv2d(4, 1), layer::global_pooling()}) == 4);
  CHECK(shape({layer::residual({layer::relu()}, {layer::conv2d(3, 1)})}) == 7 * 10 * 3);
}

namespace {

// The message with which a network is refused.
std::string refusal(const std::vector<Layer>& layers, const Shape& input) {
  try {
    Population p(input, Optimizer::sgd, Loss::cross_entropy);
    p.add({layers}, {}, 0);
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("what does not fit is refused, naming the layer and the rule") {
  const Shape image{6, 5, 3};
  const Layer conv = layer::conv2d(3, 3), dense = layer::dense(2);
  const auto kernel = [](Extent k, Extent stride, Padding padding) { return layer::conv2d(4, k, stride, padding); };
  struct Case {
    std::vector<Layer> layers;
    Shape input;
    const char* message;
  };
  const Case cases[] = {
      {{conv, kernel({7, 1}, 1, Padding::valid())},
       image,
       "layer 2 (conv2d): kernel must not be larger than the padded image, got kernel 7 x 1 and image 6 x 5"},
      {{conv, layer::relu(), layer::pooling(Pooling::max, 6)},
       image,
       "layer 3 (pooling): kernel must not be larger than the padded image, got kernel 6 x 6 and image 6 x 5"},
      {{conv, layer::residual({layer::tanh(), kernel(9, 1, Padding::of(1))})},
       image,
       "layer 2.branch 2 (conv2d): kernel must not be larger than the padded image, got kernel 9 x 9 and image 6 x 5"},
      {{kernel(0, 1, Padding::same())}, image, "layer 1 (conv2d): kernel must be >= 1, got 0 x 0"},
      {{kernel(3, {1, 0}, Padding::same())}, image, "layer 1 (conv2d): stride must be >= 1, got 1 x 0"},
      {{kernel(3, -1, Padding::same())}, image, "layer 1 (conv2d): stride must be >= 1, got -1 x -1"},
      {{kernel(3, 1, Padding::of({2, 3}))},
       image,
       "layer 1 (conv2d): padding must be >= 0 and smaller than the kernel, got 2 x 3"},
      {{kernel(3, 1, Padding::of(-1))},
       image,
       "layer 1 (conv2d): padding must be >= 0 and smaller than the kernel, got -1 x -1"},
      {{conv, layer::pooling(Pooling::average, 2, 2, Padding::of(2))},
       image,
       "layer 2 (pooling): padding must be >= 0 and smaller than the kernel, got 2 x 2"},
      {{layer::conv2d(0, 3)}, image, "layer 1 (conv2d): filters must be in [1, 2^31), got 0"},
      {{conv, layer::flatten(), conv},
       image,
       "layer 3 (conv2d): input must be an image (height, width, channels) or (height, width), got shape (90)"},
      {{conv},
       {30},
       "layer 1 (conv2d): input must be an image (height, width, channels) or (height, width), got shape (30)"},
      {{dense, layer::global_pooling()},
       image,
       "layer 2 (global_pooling): input must be an image (height, width, channels) or (height, width), got shape (2)"},
      {{conv},
       {2, 3, 4, 5},
       "layer 1 (conv2d): input must be an image (height, width, channels) or (height, width), got shape (2, 3, 4, 5)"},
      {{conv, layer::batch_norm(0)}, image, "layer 2 (batch_norm): momentum must be"},
      {{conv, layer::batch_norm(0.1f, 0)}, image, "layer 2 (batch_norm): epsilon must be"},
      {{conv, layer::residual({})}, image, "layer 2 (residual): branch must have at least one layer"},
      {{conv, layer::residual({layer::conv2d(2, 3)})},
       image,
       "layer 2 (residual): branch makes (6, 5, 2), its shortcut (6, 5, 3); they must agree"},
      {{conv, layer::residual({kernel(3, 1, Padding::valid())})},
       image,
       "layer 2 (residual): branch makes (4, 3, 4), its shortcut (6, 5, 3); they must agree"},
      {{conv, layer::residual({layer::conv2d(4, 3)}, {layer::conv2d(5, 1)})},
       image,
       "layer 2 (residual): branch makes (6, 5, 4), its shortcut (6, 5, 5); they must agree"},
      {{conv, layer::residual({kernel(3, 2, Padding::same())}, {layer::conv2d(4, 1)})},
       image,
       "layer 2 (residual): branch makes (3, 3, 4), its shortcut (6, 5, 4); they must agree"},
      {{conv, layer::residual({dense})},
       image,
       "layer 2 (residual): branch makes (2), its shortcut (6, 5, 3); they must agree"},
      {{dense, layer::residual({layer::dense(3)})},
       image,
       "layer 2 (residual): branch makes (3), its shortcut (2); they must agree"},
      {{layer::pooling(Pooling::max, 2)}, image, "network must have at least one layer with weights"},
      {{layer::conv2d(1, 0x7fffffff)}, image, "layer 1 (conv2d): a filter has more than 2^31 weights"},
      {{layer::conv2d(1 << 30, 1), layer::conv2d(1, 1)}, image, "layer 1 (conv2d): output has more than 2^31 features"},
  };
  for (const Case& c : cases) {
    CAPTURE(std::string(c.message));
    CHECK(refusal(c.layers, c.input).substr(0, std::strlen(c.message)) == c.message);
  }
}

TEST_CASE("a whole stride and more channels fit an empty shortcut") {
  const auto accepted = [](const Layer& layer, const Shape& input) {
    return refusal({layer::conv2d(3, 1), layer::residual({layer})}, input) == "accepted";
  };
  CHECK(accepted(layer::conv2d(3, 3), {6, 5, 3}));
  CHECK(accepted(layer::conv2d(8, 3, 2), {6, 5, 3}));
  CHECK(accepted(layer::conv2d(3, 3, {1, 3}), {6, 5, 3}));
  CHECK(accepted(layer::conv2d(3, {6, 5}, 1, Padding::valid()), {6, 5, 3}));  // to one pixel: the stride is the image
}
