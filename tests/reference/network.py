"""Networks and losses in float64 NumPy. Shares nothing with the core but the layers' descriptions."""

from collections import Counter

import numpy as np
from tests.reference.layers import LAYERS


class Pass:
    """One batch on its way through a network: what its layers are called, their parameters, the dropout masks.

    factor: Rounds what goes into the products of dense layers and convolutions, forward and backward.
    """

    def __init__(self, parameters, masks=(), training=False, factor=None):
        self.parameters, self.training = parameters, training
        self.factor = factor or (lambda values: values)
        self._masks, self._count = iter(masks), Counter()

    def name(self, kind):
        self._count[kind] += 1
        return f"{kind}{self._count[kind]}"

    def parameter(self, name, shape):
        assert self.parameters[name].shape == shape, f"{name}: {self.parameters[name].shape}, expected {shape}"
        return self.parameters[name]

    def mask(self, rate, shape):
        mask = next(self._masks, None)
        return 1 if mask is None else mask.reshape(shape)

    def chain(self, layers, x):
        """Return what the layers make of x one after the other, and the way back."""
        ways = []
        for layer in layers:
            shape = x.shape
            x, back = LAYERS[type(layer)](self, layer, x)
            ways.append((back, shape, x.shape))

        def all_back(dy, gradients):
            for back, shape, output in reversed(ways):
                dy = back(dy.reshape(output), gradients).reshape(shape)
            return dy

        return x, all_back


class Draw(Pass):
    """A training pass that draws whatever it is asked for: parameters and masks of the shapes a network needs."""

    def __init__(self, rng):
        super().__init__({}, training=True)
        self.masks, self._rng = [], rng

    def parameter(self, name, shape):
        values = self._rng.normal(size=shape)
        self.parameters[name] = abs(values) if name.endswith("running_var") else values
        return self.parameters[name]

    def mask(self, rate, shape):
        self.masks.append((self._rng.random(shape) >= rate) / (1 - rate))
        return self.masks[-1]


def forward(network, parameters, x, masks=(), training=False, factor=None):
    """Return the outputs (B, outputs), and the way back.

    masks: for each dropout layer 0 or 1 / (1 - rate) of as many numbers as it has inputs; none: dropout is off.
    training: batch normalisation uses the batch, and moves the running statistics among the parameters on.
    factor: see Pass.
    The way back takes the gradient by the outputs and returns those by the trained parameters, and by x.
    """
    y, all_back = Pass(parameters, masks, training, factor).chain(network.layers, x.astype(np.float64))

    def back(dy):
        gradients = {}
        dx = all_back(dy, gradients)
        return gradients, dx

    return y.reshape(len(x), -1), back


def draw(network, x, rng):
    """Return parameters and dropout masks for a network and a batch."""
    run = Draw(rng)
    run.chain(network.layers, x)
    return run.parameters, run.masks


def softmax(y):
    e = np.exp(y - y.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cross_entropy(y, labels):
    """Return the mean of -log softmax(y)[label], and its gradient by y."""
    rows = np.arange(len(y))
    p = softmax(y)
    dy = p.copy()
    dy[rows, labels] -= 1
    return -np.log(p[rows, labels]).mean(), dy / len(y)


def mse(y, targets):
    """Return the mean of (y - targets)^2 over rows and outputs, and its gradient by y."""
    return np.mean((y - targets) ** 2), 2 * (y - targets) / y.size


LOSSES = {"cross_entropy": cross_entropy, "mse": mse}
