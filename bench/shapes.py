"""The layers of a network in their places, for samples of one shape: what every builder of a peer walks through.

Names are those by which shoal gives the weights away: one counter for each kind of layer, in order of appearance.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from shoal import nn

Shape: TypeAlias = tuple[int, ...]
Pair: TypeAlias = tuple[int, int]  # of height and width

KINDS: dict[type[nn.Layer], str] = {nn.Dense: "dense", nn.Conv2d: "conv", nn.BatchNorm: "batchnorm"}


@dataclass(frozen=True)
class Window:
    """What a convolution or a pooling slides over an image."""

    kernel: Pair
    stride: Pair
    padding: tuple[Pair, Pair]  # before and after: of the height, of the width

    def over(self, image: Shape) -> Pair:
        """Return height and width of what comes out."""
        height, width = (
            (size + sum(padding) - kernel) // stride + 1
            for size, padding, kernel, stride in zip(image, self.padding, self.kernel, self.stride, strict=False)
        )
        return height, width


@dataclass(frozen=True)
class Op:
    """A layer in its place. Images are (height, width, channels)."""

    layer: nn.Layer
    inputs: Shape
    outputs: Shape
    name: str = ""  # "conv1": of its weights
    window: Window | None = None
    image: Shape = ()  # what the inputs of a dense layer were flattened from
    branch: tuple[Op, ...] = ()
    shortcut: tuple[Op, ...] = ()

    @property
    def inputs_of_output(self) -> int:
        """Numbers that each output is a weighted sum of; 0 without a product."""
        if isinstance(self.layer, nn.Dense):
            return math.prod(self.inputs)
        if isinstance(self.layer, nn.Conv2d) and self.window:
            return math.prod(self.window.kernel) * self.inputs[-1]
        return 0

    @property
    def flops(self) -> int:
        """Of the product, for one sample."""
        return 2 * math.prod(self.outputs) * self.inputs_of_output

    @property
    def weights(self) -> dict[str, Shape]:
        """The arrays that are trained: name and shape."""
        channels: Shape = self.outputs[-1:]
        if isinstance(self.layer, nn.BatchNorm):
            return {f"{self.name}.weight": channels, f"{self.name}.bias": channels}
        if isinstance(self.layer, nn.Conv2d) and self.window:
            weight: dict[str, Shape] = {f"{self.name}.weight": (*channels, *self.window.kernel, self.inputs[-1])}
        elif isinstance(self.layer, nn.Dense):
            weight = {f"{self.name}.weight": (*channels, self.inputs_of_output)}
        else:
            return {}
        return weight | ({f"{self.name}.bias": channels} if self.layer.bias else {})

    @property
    def running(self) -> dict[str, Shape]:
        """The arrays that follow the batches instead."""
        if not isinstance(self.layer, nn.BatchNorm):
            return {}
        return {f"{self.name}.running_{what}": (self.inputs[-1],) for what in ("mean", "var")}


def place(layers: Iterable[nn.Layer], shape: Shape) -> tuple[Op, ...]:
    """Put the layers in their places, behind samples of this shape."""
    return _place(layers, shape, Counter())


def walk(ops: Iterable[Op]) -> Iterator[Op]:
    """Go through all ops, those inside others too, in the order of their names."""
    for op in ops:
        yield op
        yield from walk(op.branch)
        yield from walk(op.shortcut)


def _place(layers: Iterable[nn.Layer], shape: Shape, counts: Counter[str]) -> tuple[Op, ...]:
    ops: list[Op] = []
    image: Shape = ()
    for layer in layers:
        if isinstance(layer, nn.Flatten | nn.Dense) and len(shape) == 3:
            image = shape
        op = _op(layer, shape, image, counts)
        if isinstance(layer, nn.Dense):
            image = ()
        ops.append(op)
        shape = op.outputs
    return tuple(ops)


def _op(layer: nn.Layer, shape: Shape, image: Shape, counts: Counter[str]) -> Op:
    kind = KINDS.get(type(layer), "")
    counts[kind] += 1
    name = f"{kind}{counts[kind]}" if kind else ""
    match layer:
        case nn.Dense():
            return Op(layer, shape, (layer.units,), name, image=image)
        case nn.Conv2d():
            window = _window(shape, layer.kernel, layer.stride, layer.padding)
            return Op(layer, shape, (*window.over(shape), layer.filters), name, window)
        case nn.MaxPool2d() | nn.AvgPool2d():
            window = _window(shape, layer.size, layer.step, layer.padding)
            return Op(layer, shape, (*window.over(shape), shape[-1]), window=window)
        case nn.GlobalAvgPool2d():
            return Op(layer, shape, shape[-1:])
        case nn.Flatten():
            return Op(layer, shape, (math.prod(shape),))
        case nn.Residual():
            branch = _place(layer.layers, shape, counts)
            shortcut = _place(layer.shortcut, shape, counts)
            return Op(layer, shape, branch[-1].outputs, branch=branch, shortcut=shortcut)
        case _:
            return Op(layer, shape, shape, name)


def _window(shape: Shape, kernel: nn.Size, stride: nn.Size, padding: str | nn.Size) -> Window:
    kernels, strides = nn.pair(kernel), nn.pair(stride)
    if padding == "same":
        totals = [
            max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
            for size, kernel, stride in zip(shape, kernels, strides, strict=False)
        ]
        vertical, horizontal = ((total // 2, total - total // 2) for total in totals)
    else:
        vertical, horizontal = ((p, p) for p in nn.pair(0 if isinstance(padding, str) else padding))
    return Window(kernels, strides, (vertical, horizontal))
