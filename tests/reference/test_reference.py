"""The reference itself, against finite differences and against results that can be worked out by hand."""

import numpy as np
import pytest
from tests.reference.network import LOSSES, backward, forward
from tests.reference.optimizers import OPTIMIZERS
from tests.reference.training import batches

from shoal import nn

NETWORKS = [
    [nn.Dense(3)],
    [nn.Dense(3, bias=False), nn.ReLU(), nn.Dense(2)],
    [nn.Flatten(), nn.Dense(4), nn.LeakyReLU(0.2), nn.Dense(3), nn.Tanh(), nn.Dense(2)],
    [nn.Sigmoid(), nn.Dense(3), nn.Dropout(0.5), nn.Dense(2)],
    [nn.Dense(4), nn.Sigmoid(), nn.Dropout(0.25), nn.Dense(5), nn.Dropout(0.5), nn.Tanh(), nn.Dense(3)],
]


def sample(layers, rng, inputs=5, rows=7):
    """Return parameters of odd sizes, a batch, and a mask for each dropout layer."""
    width, parameters, masks, dense = inputs, {}, [], 0
    for layer in layers:
        if isinstance(layer, nn.Dense):
            dense += 1
            parameters[f"dense{dense}.weight"] = rng.normal(size=(layer.units, width))
            if layer.bias:
                parameters[f"dense{dense}.bias"] = rng.normal(size=layer.units)
            width = layer.units
        elif isinstance(layer, nn.Dropout):
            masks.append((rng.random((rows, width)) >= layer.rate) / (1 - layer.rate))
    return parameters, rng.normal(size=(rows, inputs)), masks, width


def slope(f, array, index, h=1e-6):
    """Central difference of f() by one entry of an array."""
    before = array[index]
    array[index] = before + h
    above = f()
    array[index] = before - h
    below = f()
    array[index] = before
    return (above - below) / (2 * h)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("layers", NETWORKS, ids=lambda layers: "-".join(type(layer).__name__ for layer in layers))
def test_gradients_are_finite_differences(layers, loss):
    rng = np.random.default_rng(0)
    network = nn.Sequential(layers)
    parameters, x, masks, outputs = sample(layers, rng)
    goal = rng.integers(outputs, size=len(x)) if loss == "cross_entropy" else rng.normal(size=(len(x), outputs))

    def value():
        return LOSSES[loss](forward(network, parameters, x, masks)[0], goal)[0]

    y, values = forward(network, parameters, x, masks)
    gradients, dx = backward(network, parameters, values, LOSSES[loss](y, goal)[1], masks)
    for array, gradient in [*((parameters[name], g) for name, g in gradients.items()), (x, dx)]:
        want = np.array([slope(value, array, index) for index in np.ndindex(array.shape)]).reshape(array.shape)
        # the difference's own error: h^2 and the rounding of two values over h
        np.testing.assert_allclose(gradient, want, rtol=1e-6, atol=1e-8)
    assert set(gradients) == set(parameters)


HYPERPARAMETERS = {
    "lr": 0.5, "momentum": 0.5, "nesterov": False, "decay": 0.0, "lr_decay": 1.0, "decay_every": 1,
    "weight_decay": 0.0, "beta1": 0.5, "beta2": 0.75, "epsilon": 1e-12,
}  # fmt: skip


@pytest.mark.parametrize(
    ("optimizer", "changes", "want"),
    [
        ("sgd", {}, [1 - 1, 1 - 1 - 0.5 * (1 + 2)]),  # v = 2, then 0.5 * 2 + 2
        ("sgd", {"nesterov": True}, [1 - 0.5 * 3, 1 - 1.5 - 0.5 * (2 + 0.5 * 3)]),
        ("sgd", {"momentum": 0.0, "weight_decay": 2.0}, [1 - 0.5 * 4, -1 - 0.5 * (2 - 2)]),
        ("sgd", {"momentum": 0.0, "decay": 1.0}, [1 - 1, 0 - 0.25 * 2]),
        ("sgd", {"momentum": 0.0, "lr_decay": 0.5, "decay_every": 1}, [0, 0 - 0.25 * 2]),
        ("adam", {}, [1 - 0.5, 1 - 1]),  # a constant gradient gives steps of lr
        ("adam", {"weight_decay": 2.0}, [1 - 0.5, 0.5 - 0.5 * 10 / 3 / np.sqrt(12)]),
        ("adamw", {"weight_decay": 2.0}, [1 * (1 - 1) - 0.5, -0.5 * 0 - 0.5]),
        ("rmsprop", {"momentum": 0.0}, [1 - 0.5 * 2, 0 - 0.5 * 2 / np.sqrt(0.75 + 1)]),
        ("rmsprop", {}, [0, 0 - 0.5 * (0.5 * 2 + 2 / np.sqrt(1.75))]),
        ("adagrad", {}, [0.5, 0.5 - 0.5 / np.sqrt(2)]),
    ],
)
def test_two_steps_of_an_optimiser_by_hand(optimizer, changes, want):
    w, state = np.array([1.0]), {}
    for t in range(2):  # the gradient is 2 throughout
        OPTIMIZERS[optimizer](w, np.array([2.0]), state, t, HYPERPARAMETERS | changes)
        assert w[0] == pytest.approx(want[t], rel=1e-9, abs=1e-9)


def test_batches_cover_each_pass_with_a_short_one_last():
    got = [list(rows) for rows in batches(lambda epoch: np.arange(5) + 10 * epoch, samples=5, batch_size=2, steps=4)]
    assert got == [[0, 1], [2, 3], [4], [10, 11]]
