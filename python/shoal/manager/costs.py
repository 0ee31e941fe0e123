"""What a network costs, from its layers alone: the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from shoal.nn import (
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    MaxPool2d,
    Residual,
    Size,
    pair,
)
from shoal.nn import Sequential as Network

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Costs:
    """Of a network, or of some layers.

    Attributes:
        parameters: Trained weights: those of layers and biases, and BatchNorm's scales and shifts.
        multiply_adds: Of one sample's way forward through dense layers and convolutions; all else is small.
    """

    parameters: int = 0
    multiply_adds: int = 0

    def __add__(self, other: Costs) -> Costs:
        return Costs(self.parameters + other.parameters, self.multiply_adds + other.multiply_adds)


def costs(network: Network, shape: Shape) -> Costs:
    """Return the costs of a network that fits samples of this shape."""
    return _through(network.layers, shape)[1]


def _through(layers: Iterable[Layer], shape: Shape) -> tuple[Shape, Costs]:
    total = Costs()
    for layer in layers:
        shape, more = _layer(layer, shape)
        total += more
    return shape, total


def _layer(layer: Layer, shape: Shape) -> tuple[Shape, Costs]:
    """Return the shape of a layer's output, and what the layer costs."""
    match layer:
        case Dense():
            weights = math.prod(shape) * layer.units
            return (layer.units,), Costs(weights + layer.units * layer.bias, weights)
        case Conv2d():
            height, width, channels = _image(shape)
            rows, columns = _windows((height, width), layer.kernel, layer.stride, layer.padding)
            weights = math.prod(pair(layer.kernel)) * channels * layer.filters
            costs = Costs(weights + layer.filters * layer.bias, weights * rows * columns)
            return (rows, columns, layer.filters), costs
        case MaxPool2d() | AvgPool2d():
            height, width, channels = _image(shape)
            return (*_windows((height, width), layer.size, layer.step, layer.padding), channels), Costs()
        case GlobalAvgPool2d():
            return (_image(shape)[2],), Costs()
        case BatchNorm():
            channels = _image(shape)[2] if len(shape) in (2, 3) else math.prod(shape)
            return shape, Costs(2 * channels)
        case Residual():
            output, branch = _through(layer.layers, shape)
            return output, branch + _through(layer.shortcut, shape)[1]
        case Flatten():
            return (math.prod(shape),), Costs()
    return shape, Costs()


def _image(shape: Shape) -> Shape:
    return shape if len(shape) == 3 else (*shape, 1)


def _windows(image: tuple[int, int], window: Size, stride: Size, padding: str | Size) -> tuple[int, int]:
    """Return how many windows there are down and across."""
    if padding == "same":
        down, across = (-(-size // step) for size, step in zip(image, pair(stride), strict=True))
        return down, across
    zeros = (0, 0) if isinstance(padding, str) else pair(padding)
    sizes = zip(image, zeros, pair(window), pair(stride), strict=True)
    down, across = ((size + 2 * zero - wide) // step + 1 for size, zero, wide, step in sizes)
    return down, across
