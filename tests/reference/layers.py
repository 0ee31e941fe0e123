"""Every layer in float64 NumPy, from its formula. Images are (B, height, width, channels).

A layer is a function of (run, layer, x) that returns y and the way back: back(dy, gradients) returns dx and puts the
gradients of the layer's parameters into a dict. ``run`` (network.Pass) has names, parameters and dropout masks, and
the rounding of what goes into a matrix product.
"""

import numpy as np

from shoal import nn


def dense(run, layer, x):
    name, flat = run.name("dense"), x.reshape(len(x), -1)
    weight = run.parameter(f"{name}.weight", (layer.units, flat.shape[1]))
    bias = run.parameter(f"{name}.bias", (layer.units,)) if layer.bias else 0
    flat, weight = run.factor(flat), run.factor(weight)

    def back(dy, gradients):
        dy = run.factor(dy)
        gradients[f"{name}.weight"] = dy.T @ flat
        if layer.bias:
            gradients[f"{name}.bias"] = dy.sum(axis=0)
        return dy @ weight

    return flat @ weight.T + bias, back


def as_image(x):
    return x[..., np.newaxis] if x.ndim == 3 else x


class Windows:
    """Windows of a kernel over an image: where they lie, and the zeros or other values around it."""

    def __init__(self, image, kernel, stride, padding):
        self.kernel, self.strides = both(kernel), both(stride)
        sizes = list(zip(image.shape[1:3], self.kernel, self.strides, strict=True))
        if padding == "same":
            totals = [max((-(-size // s) - 1) * s + k - size, 0) for size, k, s in sizes]
            self.pads = [(total // 2, total - total // 2) for total in totals]
        else:
            self.pads = [(p, p) for p in both(0 if padding == "valid" else padding)]
        self.outputs = [(size + sum(p) - k) // s + 1 for (size, k, s), p in zip(sizes, self.pads, strict=True)]
        assert min(self.outputs) >= 1

    def pad(self, image, value=0.0):
        return np.pad(image, [(0, 0), *self.pads, (0, 0)], constant_values=value)

    def crop(self, padded):
        (top, bottom), (left, right) = self.pads
        return padded[:, top : padded.shape[1] - bottom, left : padded.shape[2] - right]

    def taps(self):
        """Yield each place (i, j) in the kernel with the pixels of a padded image that lie there, one per output."""
        (height, width), (down, right) = self.outputs, self.strides
        for i, j in np.ndindex(*self.kernel):
            yield (i, j), np.s_[:, i : i + height * down : down, j : j + width * right : right]


def both(size):
    return (size, size) if isinstance(size, int) else size


def conv2d(run, layer, x):
    image = as_image(x)
    name, windows = run.name("conv"), Windows(image, layer.kernel, layer.stride, layer.padding)
    weight = run.parameter(f"{name}.weight", (layer.filters, *windows.kernel, image.shape[-1]))
    bias = run.parameter(f"{name}.bias", (layer.filters,)) if layer.bias else 0
    padded, weight = run.factor(windows.pad(image)), run.factor(weight)

    def back(dy, gradients):
        dy = run.factor(dy)
        gradient, dx = np.zeros(weight.shape), np.zeros(padded.shape)
        for (i, j), pixels in windows.taps():
            gradient[:, i, j] = np.tensordot(dy, padded[pixels], axes=([0, 1, 2], [0, 1, 2]))
            dx[pixels] += dy @ weight[:, i, j]
        gradients[f"{name}.weight"] = gradient
        if layer.bias:
            gradients[f"{name}.bias"] = dy.sum(axis=(0, 1, 2))
        return windows.crop(dx)

    return sum(padded[pixels] @ weight[:, i, j].T for (i, j), pixels in windows.taps()) + bias, back


def max_pool2d(_, layer, x):
    image = as_image(x)
    windows = Windows(image, layer.size, layer.step, layer.padding)
    padded = windows.pad(image, -np.inf)
    y = np.max([padded[pixels] for _, pixels in windows.taps()], axis=0)

    def back(dy, _gradients):
        dx, left = np.zeros(padded.shape), dy.copy()
        for _, pixels in windows.taps():
            here = padded[pixels] == y  # the first of equal values takes the gradient
            dx[pixels] += here * left
            left[here] = 0
        return windows.crop(dx)

    return y, back


def avg_pool2d(_, layer, x):
    image = as_image(x)
    windows = Windows(image, layer.size, layer.step, layer.padding)
    padded, inside = windows.pad(image), windows.pad(np.ones(image.shape))
    count = sum(inside[pixels] for _, pixels in windows.taps())

    def back(dy, _gradients):
        dx = np.zeros(padded.shape)
        for _, pixels in windows.taps():
            dx[pixels] += dy / count
        return windows.crop(dx)

    return sum(padded[pixels] for _, pixels in windows.taps()) / count, back


def global_avg_pool2d(_, layer, x):
    image = as_image(x)
    height, width = image.shape[1:3]
    return image.mean(axis=(1, 2)), lambda dy, _: np.ones(image.shape) * dy[:, None, None] / (height * width)


def batch_norm(run, layer, x):
    name, x = run.name("batchnorm"), as_image(x)
    channels, axes = x.shape[-1:], tuple(range(x.ndim - 1))
    weight, bias, running_mean, running_var = (
        run.parameter(f"{name}.{which}", channels) for which in ("weight", "bias", "running_mean", "running_var")
    )
    mean, variance = running_mean, running_var
    if run.training:
        mean, variance, samples = x.mean(axis=axes), x.var(axis=axes), x.size // x.shape[-1]
        running_mean += layer.momentum * (mean - running_mean)
        running_var += layer.momentum * (variance * samples / max(samples - 1, 1) - running_var)
    deviation = np.sqrt(variance + layer.epsilon)
    normal = (x - mean) / deviation

    def back(dy, gradients):
        gradients[f"{name}.weight"], gradients[f"{name}.bias"] = (dy * normal).sum(axis=axes), dy.sum(axis=axes)
        dx = weight * dy
        if run.training:  # mean and variance depend on x
            dx = dx - dx.mean(axis=axes) - normal * (dx * normal).mean(axis=axes)
        return dx / deviation

    return weight * normal + bias, back


def residual(run, layer, x):
    branch, back = run.chain(layer.layers, x)
    shortcut, back_shortcut = run.chain(layer.shortcut, x) if layer.shortcut else identity(x, branch.shape)
    return branch + shortcut, lambda dy, gradients: back(dy, gradients) + back_shortcut(dy, gradients)


def identity(x, shape):
    """x itself, or every stride-th pixel of it, with zeros for new channels."""
    source = as_image(x) if len(shape) == 4 else x
    strides = [
        next(s for s in range(1, size + 1) if -(-size // s) == output)
        for size, output in zip(source.shape[1:-1], shape[1:-1], strict=True)
    ]
    pixels, channels = np.s_[:, *(slice(None, None, s) for s in strides)], source.shape[-1]
    y = np.zeros(shape)
    y[..., :channels] = source[pixels]

    def back(dy, _):
        dx = np.zeros(source.shape)
        dx[pixels] = dy[..., :channels]
        return dx.reshape(x.shape)

    return y, back


def dropout(run, layer, x):
    mask = run.mask(layer.rate, x.shape)
    return x * mask, lambda dy, _: dy * mask


def flatten(_, layer, x):
    return x.reshape(len(x), -1), lambda dy, _: dy


def element_wise(value, slope):
    """A layer from its value, and its derivative by the input as a function of input and value."""

    def forward(_, layer, x):
        y = value(layer, x)
        return y, lambda dy, _: dy * slope(layer, x, y)

    return forward


LAYERS = {
    nn.Dense: dense,
    nn.Conv2d: conv2d,
    nn.MaxPool2d: max_pool2d,
    nn.AvgPool2d: avg_pool2d,
    nn.GlobalAvgPool2d: global_avg_pool2d,
    nn.BatchNorm: batch_norm,
    nn.Residual: residual,
    nn.Dropout: dropout,
    nn.Flatten: flatten,
    nn.ReLU: element_wise(lambda _, x: np.maximum(x, 0), lambda _, x, y: x > 0),
    nn.LeakyReLU: element_wise(
        lambda layer, x: np.where(x > 0, x, layer.slope * x), lambda layer, x, y: np.where(x > 0, 1, layer.slope)
    ),
    nn.Sigmoid: element_wise(lambda _, x: 1 / (1 + np.exp(-x)), lambda _, x, y: y * (1 - y)),
    nn.Tanh: element_wise(lambda _, x: np.tanh(x), lambda _, x, y: 1 - y**2),
}
