// Times the core's products one at a time on this thread, as kernels.py asks: a line of words in, a line of JSON out.
//
//   peak
//   dense PASS batch slice  inputs outputs
//   conv  PASS batch slice  height width channels  height width filters  kernel (2)  stride (2)  top left
//
// PASS is forward, backward_data or backward_weights. A batch is in memory as a whole and worked off in slices, as the
// engine does. What the kernels do in the same pass is timed with them: a convolution's bias and ReLU, a dense layer's
// optimiser step; the packing of a convolution's weights, once a step, counts as forward.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <random>
#include <sstream>
#include <string>

#include "core/buffer.h"
#include "kernels/kernels.h"
#include "shoal/device.h"
#include "shoal/error.h"

namespace {

using namespace shoal;

class Floats {
 public:
  explicit Floats(std::int64_t count) : buffer_(static_cast<std::size_t>(count) * sizeof(float)) {
    std::mt19937 engine(0);
    std::uniform_real_distribution<float> draw(-1, 1);
    for (std::int64_t i = 0; i < count; ++i) data()[i] = draw(engine);
  }
  float* data() const { return reinterpret_cast<float*>(buffer_.data()); }

 private:
  Buffer buffer_;
};

// A batch that is worked off in slices.
struct Batch {
  std::int64_t rows, slice;

  // Of body(first, rows) for all slices, on average over a twentieth of a second; the first time, which finds cold
  // caches, does not count.
  template <class Body>
  double seconds(const Body& body) const {
    using Clock = std::chrono::steady_clock;
    const auto all = [&] {
      for (std::int64_t first = 0; first < rows; first += slice) body(first, std::min(slice, rows - first));
    };
    all();
    std::int64_t runs = 0;
    const Clock::time_point start = Clock::now();
    std::chrono::duration<double> spent{};
    for (; spent.count() < 0.05; ++runs, spent = Clock::now() - start) all();
    return spent.count() / static_cast<double>(runs);
  }
};

double time_dense(const std::string& pass, const Batch& batch, std::int64_t inputs, std::int64_t outputs) {
  const std::int64_t x_stride = padded(inputs), y_stride = padded(outputs);
  const std::int64_t parameters = outputs * x_stride + y_stride;
  const Floats xs(batch.rows * x_stride), ys(batch.rows * y_stride), gradient(parameters);
  const Floats weight(2 * parameters);  // and momentum
  const Update update = update_at(Optimizer::sgd, {.lr = 0, .momentum = 0.9f}, 0);
  return batch.seconds([&](std::int64_t first, std::int64_t rows) {
    const DenseShape shape{rows, inputs, outputs};
    float *x = xs.data() + first * x_stride, *y = ys.data() + first * y_stride;
    if (pass == "forward") return kernels().dense_forward({shape, x, weight.data(), y}, 0, 1);
    if (pass == "backward_data") return kernels().dense_backward_data({shape, y, weight.data(), false, x}, 0, 1);
    kernels().dense_backward_weights({.shape = shape,
                                      .x = x,
                                      .dy = y,
                                      .weight = weight.data(),
                                      .bias = weight.data() + outputs * x_stride,
                                      .slot_stride = parameters,
                                      .update = update,
                                      .sum = {.gradient = rows == batch.rows ? nullptr : gradient.data(),
                                              .origin = weight.data(),
                                              .first = first == 0,
                                              .last = first + rows == batch.rows}},
                                     0, 1);
  });
}

double time_conv(const std::string& pass, const Batch& batch, const ConvShape& shape) {
  const int lanes = kernels().lanes;
  const auto groups = [&](std::int64_t rows) { return (rows + lanes - 1) / lanes; };
  const auto floats = [&](const Image& image, std::int64_t rows) {
    return groups(rows) * image_vectors(image) * lanes;
  };
  const Floats xs(floats(shape.x, batch.rows)), ys(floats(shape.y, batch.rows));
  const Floats weight(shape.y.channels * padded(shape.inputs())), bias(padded(shape.y.channels));
  const Floats forward(shape.inputs() * shape.y.channels), backward(shape.inputs() * shape.y.channels);
  return batch.seconds([&](std::int64_t first, std::int64_t rows) {
    float *x = xs.data() + floats(shape.x, first), *y = ys.data() + floats(shape.y, first);
    if (pass == "forward") {
      if (first == 0) kernels().conv_pack({shape, weight.data(), forward.data(), backward.data()});
      kernels().conv_forward({shape, groups(rows), x, forward.data(), bias.data(), Activation::relu, 0, y}, 0, 1);
    } else if (pass == "backward_data") {
      kernels().conv_backward_data({shape, groups(rows), y, backward.data(), false, x}, 0, 1);
    } else {
      kernels().conv_backward_weights({shape, groups(rows), x, y, weight.data(), bias.data()}, 0, 1);
    }
  });
}

std::string answer(const std::string& line) {
  std::istringstream in(line);
  std::string what, pass;
  in >> what;
  std::ostringstream out;
  if (what == "peak") {
    out << "{\"gflops\": " << peak_gflops(1) << ", \"isa\": \"" << kernels().name << "\"}";
    return out.str();
  }
  Batch batch{};
  in >> pass >> batch.rows >> batch.slice;
  double seconds = 0;
  if (what == "dense") {
    std::int64_t inputs = 0, outputs = 0;
    in >> inputs >> outputs;
    if (in) seconds = time_dense(pass, batch, inputs, outputs);
  } else if (what == "conv") {
    ConvShape s;
    in >> s.x.height >> s.x.width >> s.x.channels >> s.y.height >> s.y.width >> s.y.channels;
    in >> s.kernel_height >> s.kernel_width >> s.stride_height >> s.stride_width >> s.top >> s.left;
    if (in) seconds = time_conv(pass, batch, s);
  }
  if (seconds == 0) throw InvalidArgument("not understood: " + line);
  out << "{\"seconds\": " << seconds << "}";
  return out.str();
}

}  // namespace

int main() {
  try {
    for (std::string line; std::getline(std::cin, line);) std::cout << answer(line) << std::endl;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
