"""Networks in float64 NumPy, from the formulas. Shares nothing with the core but the layers' descriptions."""

import numpy as np

from shoal import nn

# value, and derivative by the input as a function of input and value
ACTIVATIONS = {
    nn.ReLU: (lambda _, x: np.maximum(x, 0), lambda _, x, y: (x > 0) * 1.0),
    nn.LeakyReLU: (
        lambda layer, x: np.where(x > 0, x, layer.slope * x),
        lambda layer, x, y: np.where(x > 0, 1, layer.slope),
    ),
    nn.Sigmoid: (lambda _, x: 1 / (1 + np.exp(-x)), lambda _, x, y: y * (1 - y)),
    nn.Tanh: (lambda _, x: np.tanh(x), lambda _, x, y: 1 - y**2),
}


def forward(network, parameters, x, masks=()):
    """Return the outputs (B, outputs), and the input of every layer and of the end.

    masks: for each dropout layer 0 or 1 / (1 - rate) of shape (B, width); none means dropout is off.
    """
    values, masks = [x.reshape(len(x), -1).astype(np.float64)], iter(masks)
    dense = 0
    for layer in network.layers:
        x = values[-1]
        if isinstance(layer, nn.Dense):
            dense += 1
            x = x @ parameters[f"dense{dense}.weight"].T + parameters.get(f"dense{dense}.bias", 0)
        elif isinstance(layer, nn.Dropout):
            x = x * next(masks, 1)
        elif not isinstance(layer, nn.Flatten):
            x = ACTIVATIONS[type(layer)][0](layer, x)
        values.append(x)
    return values[-1], values


def backward(network, parameters, values, dy, masks=()):
    """Return the gradients by the parameters, and by the network's input, from that by its outputs."""
    gradients, masks = {}, iter(list(masks)[::-1])
    dense = sum(isinstance(layer, nn.Dense) for layer in network.layers)
    for layer, x, y in reversed(list(zip(network.layers, values[:-1], values[1:], strict=True))):
        if isinstance(layer, nn.Dense):
            weight = parameters[f"dense{dense}.weight"]
            gradients[f"dense{dense}.weight"] = dy.T @ x
            if layer.bias:
                gradients[f"dense{dense}.bias"] = dy.sum(axis=0)
            dy, dense = dy @ weight, dense - 1
        elif isinstance(layer, nn.Dropout):
            dy = dy * next(masks, 1)
        elif not isinstance(layer, nn.Flatten):
            dy = dy * ACTIVATIONS[type(layer)][1](layer, x, y)
    return gradients, dy


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
