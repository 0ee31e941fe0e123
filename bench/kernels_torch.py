"""PyTorch's products of dense layers and convolutions, on random numbers, for kernels.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from shapes import Op, Window
from torch.nn import functional

Passes: TypeAlias = dict[str, Callable[[], object]]  # forward, backward_data, backward_weights

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def ways(op: Op, batch: int) -> dict[str, Passes]:
    """Return how to compute the passes of a product, by layout."""
    torch.set_num_threads(1)
    if op.window is None:
        return {"contiguous": _dense(op, batch)}
    return {name: _conv(op, op.window, batch, layout) for name, layout in LAYOUTS.items()}


def _dense(op: Op, batch: int) -> Passes:
    inputs, outputs = op.inputs_of_output, op.outputs[-1]
    x, weight, bias, dy = (
        torch.randn(*size) for size in [(batch, inputs), (outputs, inputs), (outputs,), (batch, outputs)]
    )
    return {
        "forward": lambda: functional.linear(x, weight, bias),
        "backward_data": lambda: dy @ weight,
        "backward_weights": lambda: dy.t() @ x,
    }


def _conv(op: Op, window: Window, batch: int, layout: torch.memory_format) -> Passes:
    (height, width, channels), (*smaller, filters) = op.inputs, op.outputs
    (top, bottom), (left, right) = window.padding
    padding = [top, left]
    if (top, left) != (bottom, right):  # oneDNN pads evenly: the image comes padded
        height, width, padding = height + top + bottom, width + left + right, [0, 0]
    sizes = (batch, channels, height, width), (filters, channels, *window.kernel), (batch, filters, *smaller)
    x, weight, dy = (torch.randn(*size).to(memory_format=layout) for size in sizes)
    bias, stride = torch.randn(filters), list(window.stride)

    def backward(by_data: bool) -> object:
        wanted = [by_data, not by_data, not by_data]
        return torch.ops.aten.convolution_backward(
            dy, x, weight, [filters], stride, padding, [1, 1], False, [0, 0], 1, wanted
        )

    return {
        "forward": lambda: functional.conv2d(x, weight, bias, stride, padding),
        "backward_data": lambda: backward(by_data=True),
        "backward_weights": lambda: backward(by_data=False),
    }
