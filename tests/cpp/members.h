// Members of a population: their bytes, their training and their parameters.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "shoal/population.h"

namespace shoal::test {

using Bytes = std::vector<std::byte>;

inline Bytes bytes(Population& p, std::int64_t row) { return {p.state(row), p.state(row) + p.state_bytes(row)}; }
inline void restore(Population& p, std::int64_t row, const Bytes& state) {
  std::memcpy(p.state(row), state.data(), state.size());
}

// Of a member on any device.
inline Bytes state(const Population& p, std::int64_t row) {
  Bytes bytes(static_cast<std::size_t>(p.state_bytes(row)));
  p.read_state(row, bytes.data());
  return bytes;
}

inline Population population(const std::string& device, const Shape& shape, Optimizer optimizer = Optimizer::sgd,
                             Loss loss = Loss::cross_entropy, DataOrder order = DataOrder::own) {
  return Population(shape, optimizer, loss, {.seed = 3, .threads = 1, .data_order = order, .device = device});
}

// Mean losses of each `record` steps, by default of all.
inline std::vector<double> fit(Population& p, const Dataset& d, std::int64_t steps, std::int64_t record = 0) {
  if (record == 0) record = std::max<std::int64_t>(steps, 1);
  std::vector<double> losses(
      static_cast<std::size_t>(p.size() * std::max<std::int64_t>((steps + record - 1) / record, 1)));
  p.fit(d, std::vector<std::int64_t>(static_cast<std::size_t>(p.size()), steps), record, losses.data());
  return losses;
}

// Calls body(value) for the values of a parameter in row-major order.
template <class Body>
void for_values(const Parameter& parameter, const Body& body, std::size_t axis = 0, std::int64_t at = 0) {
  if (axis == parameter.shape.size()) return body(parameter.data[at]);
  for (std::int64_t i = 0; i < parameter.shape[axis]; ++i)
    for_values(parameter, body, axis + 1, at + i * parameter.strides[axis]);
}

inline std::vector<float> values(const Parameter& parameter) {
  std::vector<float> all;
  for_values(parameter, [&](float& value) { all.push_back(value); });
  return all;
}

inline Parameter parameter(Population& p, const std::string& name) {
  for (const Parameter& candidate : p.parameters(0)) {
    if (candidate.name == name) return candidate;
  }
  FAIL("no parameter " << name);
  return {};
}

inline void randomise(Population& p, float low, float high) {
  std::mt19937 engine(5);
  std::uniform_real_distribution<float> draw(low, high);
  for (const Parameter& array : p.parameters(0)) {
    for_values(array, [&](float& value) { value += draw(engine); });
  }
}

}  // namespace shoal::test
