"""shoal's networks as PyTorch modules with given weights. Images are (batch, channels, height, width) there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from shapes import Op, Window
from torch import Tensor, nn
from torch.nn import functional

from shoal import nn as layers

Arrays = Mapping[str, NDArray[np.float32]]  # of one member


def sequential(ops: Iterable[Op], arrays: Arrays) -> nn.Sequential:
    """Return the layers with their weights."""
    return nn.Sequential(*(module for op in ops for module in _modules(op, arrays)))


def _modules(op: Op, arrays: Arrays) -> list[nn.Module]:
    layer = op.layer
    match layer:
        case layers.Dense():
            dense = nn.Linear(op.inputs_of_output, layer.units, layer.bias)
            flatten: list[nn.Module] = [nn.Flatten()] if len(op.inputs) > 1 else []
            return [*flatten, _fill(dense, op, arrays)]
        case layers.Conv2d():
            assert op.window
            padding, around = _padding(op.window)
            conv = nn.Conv2d(op.inputs[-1], layer.filters, op.window.kernel, op.window.stride, around, bias=layer.bias)
            return [*padding, _fill(conv, op, arrays)]
        case layers.MaxPool2d():
            assert op.window
            padding, around = _padding(op.window, -torch.inf)
            return [*padding, nn.MaxPool2d(op.window.kernel, op.window.stride, around)]
        case layers.AvgPool2d():
            assert op.window
            padding, around = _padding(op.window)
            if padding:
                raise ValueError("AvgPool2d: PyTorch pads both sides alike; this one is padded more on one side")
            return [nn.AvgPool2d(op.window.kernel, op.window.stride, around, count_include_pad=False)]
        case layers.GlobalAvgPool2d():
            return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        case layers.BatchNorm():
            kind = nn.BatchNorm2d if len(op.inputs) == 3 else nn.BatchNorm1d
            return [_fill(kind(op.inputs[-1], layer.epsilon, layer.momentum), op, arrays)]
        case layers.Residual():
            return [Residual(op, arrays)]
        case layers.Flatten():
            return [nn.Flatten()]
        case layers.Dropout():
            return [nn.Dropout(layer.rate)]
        case layers.LeakyReLU():
            return [nn.LeakyReLU(layer.slope)]
        case _:
            return [{layers.ReLU: nn.ReLU, layers.Sigmoid: nn.Sigmoid, layers.Tanh: nn.Tanh}[type(layer)]()]


class Residual(nn.Module):
    """Adds a branch to its shortcut; without layers that is every stride-th pixel, and zeros for new channels."""

    def __init__(self, op: Op, arrays: Arrays) -> None:
        super().__init__()
        self.branch = sequential(op.branch, arrays)
        self.shortcut = sequential(op.shortcut, arrays) if op.shortcut else partial(_identity, op)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch(x) + self.shortcut(x)
        return y


def _identity(op: Op, x: Tensor) -> Tensor:
    if op.inputs == op.outputs:
        return x
    down, across = (-(-size // smaller) for size, smaller in zip(op.inputs[:2], op.outputs[:2], strict=True))
    return functional.pad(x[:, :, ::down, ::across], (0, 0, 0, 0, 0, op.outputs[-1] - op.inputs[-1]))


def _padding(window: Window, value: float = 0) -> tuple[list[nn.Module], tuple[int, int]]:
    """Return a layer that pads, where the padding differs from side to side, and what the next layer is to pad."""
    (top, bottom), (left, right) = window.padding
    if (top, left) == (bottom, right):
        return [], (top, left)
    return [nn.ConstantPad2d((left, right, top, bottom), value)], (0, 0)


def _fill(module: nn.Module, op: Op, arrays: Arrays) -> nn.Module:
    state = {name: _turned(op, name, arrays[f"{op.name}.{name}"]) for name in module.state_dict() if name in _NAMES}
    module.load_state_dict(state, strict=False)
    return module


_NAMES = ("weight", "bias", "running_mean", "running_var")


def _turned(op: Op, name: str, array: NDArray[np.float32]) -> Tensor:
    """Put the channels before height and width, in the weights of images and of what was an image."""
    if name == "weight" and isinstance(op.layer, layers.Conv2d):
        array = np.moveaxis(array, -1, 1)
    elif name == "weight" and op.image:
        array = np.moveaxis(array.reshape(-1, *op.image), -1, 1).reshape(array.shape)
    return torch.from_numpy(np.ascontiguousarray(array))
