"""shoal's networks as JAX functions. Images are (batch, height, width, channels), filters (height, width, in, out)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import machine
import numpy as np
from jax import lax
from samples import Floats
from shapes import Op, Window, walk

from shoal import nn

Tree = dict[str, Any]  # arrays by name


def turned(ops: Sequence[Op], weights: dict[str, Floats]) -> dict[str, Floats]:
    """Return stacked weights with the filters of convolutions last."""
    filters = {f"{op.name}.weight" for op in walk(ops) if isinstance(op.layer, nn.Conv2d)}
    return {name: np.moveaxis(array, 1, -1) if name in filters else array for name, array in weights.items()}


def apply(ops: Sequence[Op], params: Tree, running: Tree, x: Any, key: Any) -> tuple[Any, Tree]:
    """Return outputs in training, and the running statistics after it."""
    for i, op in enumerate(ops):
        x, running = _apply(op, params, running, x, jax.random.fold_in(key, i))
    return x, running


def _apply(op: Op, params: Tree, running: Tree, x: Any, key: Any) -> tuple[Any, Tree]:
    layer = op.layer
    match layer:
        case nn.Dense():
            return _biased(x.reshape(len(x), -1) @ params[f"{op.name}.weight"].T, op, params), running
        case nn.Conv2d():
            assert op.window
            convolve = _convolve if machine.device() == "cpu" else _convolution
            y = convolve(op.window, x, params[f"{op.name}.weight"])
            return _biased(y, op, params), running
        case nn.MaxPool2d():
            return _pool(op, x, -jnp.inf, lax.max), running
        case nn.AvgPool2d():
            counts = _pool(op, jnp.ones((1, *op.inputs)), 0.0, lax.add)
            return _pool(op, x, 0.0, lax.add) / counts, running
        case nn.GlobalAvgPool2d():
            return x.mean((1, 2)), running
        case nn.BatchNorm():
            return _batch_norm(op, layer, params, running, x)
        case nn.Residual():
            y, running = apply(op.branch, params, running, x, key)
            if not op.shortcut:
                return y + _identity(op, x), running
            shortcut, running = apply(op.shortcut, params, running, x, jax.random.fold_in(key, 1))
            return y + shortcut, running
        case nn.Flatten():
            return x.reshape(len(x), -1), running
        case nn.Dropout():
            kept = jax.random.bernoulli(key, 1 - layer.rate, x.shape) if layer.rate else True
            return jnp.where(kept, x / (1 - layer.rate), 0), running
        case nn.LeakyReLU():
            return jax.nn.leaky_relu(x, layer.slope), running
        case _:
            return {nn.ReLU: jax.nn.relu, nn.Sigmoid: jax.nn.sigmoid, nn.Tanh: jnp.tanh}[type(layer)](x), running


def _biased(y: Any, op: Op, params: Tree) -> Any:
    return y + params[f"{op.name}.bias"] if f"{op.name}.bias" in params else y


def _convolution(window: Window, x: Any, weight: Any) -> Any:
    return _product(x, weight, window.padding, window_strides=window.stride)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _convolve(window: Window, x: Any, weight: Any) -> Any:
    return _convolution(window, x, weight)


def _convolve_forward(window: Window, x: Any, weight: Any) -> Any:
    return _convolve(window, x, weight), (x, weight)


def _convolve_backward(window: Window, kept: Any, dy: Any) -> Any:
    """The gradients by input and weights, as convolutions whose operands lie as forward.

    JAX's own have other layouts, which XLA turns round at the top of a program only: on a CPU, inside a scan, they fall
    to loops that are a hundred times slower.
    """
    x, weight = kept
    spread = [(size - 1) * stride + 1 for size, stride in zip(dy.shape[1:3], window.stride, strict=True)]
    dx_padding, dw_padding = [], []
    for size, kernel, out, (before, _) in zip(x.shape[1:3], window.kernel, spread, window.padding, strict=True):
        dx_padding.append((kernel - 1 - before, size - out + before))
        dw_padding.append((before, kernel - 1 + out - size - before))
    turned = weight[::-1, ::-1].swapaxes(2, 3)
    dx = _product(dy, turned, dx_padding, window_strides=(1, 1), lhs_dilation=window.stride)
    across, kernel = x.transpose(3, 1, 2, 0), dy.transpose(1, 2, 0, 3)  # the batch is what is summed over
    dw = _product(across, kernel, dw_padding, window_strides=(1, 1), rhs_dilation=window.stride)
    return dx, dw.transpose(1, 2, 0, 3)


_convolve.defvjp(_convolve_forward, _convolve_backward)


def _product(x: Any, weight: Any, padding: Sequence[tuple[int, int]], **strides: Any) -> Any:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, weight, padding=padding, dimension_numbers=layout, **strides)


def _pool(op: Op, x: Any, start: float, combine: Any) -> Any:
    assert op.window
    kernel, strides, padding = op.window.kernel, op.window.stride, op.window.padding
    if kernel == strides and not np.any(padding):
        # Windows that do not overlap: the gradient of a maximum of slices is far faster than that of reduce_window.
        corners = np.ndindex(kernel)
        slices = [x[:, i :: kernel[0], j :: kernel[1]][:, : op.outputs[0], : op.outputs[1]] for i, j in corners]
        return functools.reduce(combine, slices)
    return lax.reduce_window(x, start, combine, (1, *kernel, 1), (1, *strides, 1), ((0, 0), *padding, (0, 0)))


def _batch_norm(op: Op, layer: nn.BatchNorm, params: Tree, running: Tree, x: Any) -> tuple[Any, Tree]:
    axes = tuple(range(x.ndim - 1))
    mean, variance = x.mean(axes), x.var(axes)
    count = x.size // x.shape[-1]
    seen = {"mean": mean, "var": variance * (count / (count - 1))}
    names = {what: f"{op.name}.running_{what}" for what in seen}
    after = {names[what]: running[names[what]] * (1 - layer.momentum) + layer.momentum * seen[what] for what in seen}
    factor = params[f"{op.name}.weight"] * lax.rsqrt(variance + layer.epsilon)
    return (x - mean) * factor + params[f"{op.name}.bias"], running | after


def _identity(op: Op, x: Any) -> Any:
    if op.inputs == op.outputs:
        return x
    down, across = (-(-size // smaller) for size, smaller in zip(op.inputs[:2], op.outputs[:2], strict=True))
    return jnp.pad(x[:, ::down, ::across], ((0, 0), (0, 0), (0, 0), (0, op.outputs[-1] - op.inputs[-1])))
