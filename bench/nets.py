"""The nets that are timed, their data, weights and batch orders: the same for shoal and for its peers.

Weights are stacked over members, ``[(weight (P, out, in), bias (P, out)), ...]``; a batch order is ``(P, steps, B)``.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int32]
Weights: TypeAlias = list[tuple[Floats, Floats]]

SEED = 0
MOMENTUM = 0.9
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Net:
    """A dense net and how it is trained."""

    name: str
    widths: tuple[int, ...]  # inputs, hidden layers, outputs
    activation: str  # after every layer but the last
    loss: str
    optimizer: str
    batch: int
    rates: tuple[float, float]  # slowest and fastest member

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of every dense layer."""
        return list(itertools.pairwise(self.widths))

    @property
    def flops(self) -> int:
        """Of one sample: outputs and weight gradients of every layer, input gradients of all but the first."""
        products = [2 * i * o for i, o in self.layers]
        return 3 * sum(products) - products[0]

    @property
    def parameters(self) -> int:
        """Weights and biases of one member."""
        return sum(o * (i + 1) for i, o in self.layers)

    def learning_rates(self, members: int) -> Floats:
        """Return one rate a member, (P,)."""
        return np.geomspace(*self.rates, members).astype(np.float32)


NETS = {
    net.name: net
    for net in (
        Net("a", (784, 10), "sigmoid", "cross_entropy", "sgd", 32, (1e-3, 3e-2)),
        Net("b", (784, 128, 128, 128, 10), "sigmoid", "cross_entropy", "sgd", 32, (1e-3, 1e-1)),
        Net("b64", (784, 64, 64, 10), "sigmoid", "cross_entropy", "sgd", 32, (1e-3, 1e-1)),
        Net("e", (8, 20, 20, 10, 2), "tanh", "mse", "adam", 64, (1e-4, 1e-2)),
    )
}


@dataclass(frozen=True)
class Data:
    """Training data. ``scale`` is applied to every batch on the fly; None means the inputs are used as they are."""

    name: str
    x: NDArray[np.uint8] | Floats  # (samples, features)
    y: Ints | Floats  # (samples,) labels or (samples, outputs) targets
    scale: float | None


def load(net: Net) -> Data:
    """Return MNIST where ``SHOAL_DATA`` has it, else made-up images or regression data of the same sizes."""
    if net.loss == "mse":
        return _regression(samples=20_480, inputs=net.widths[0], outputs=net.widths[-1])
    if (Path(os.environ.get("SHOAL_DATA", "/nonexistent")) / "mnist").is_dir():
        import shoal.data

        train, _, _ = shoal.data.load("mnist")
        return Data("mnist", train.x.reshape(len(train), -1).copy(), train.y.copy(), 1 / 255)
    return _images(samples=60_000)


def _regression(samples: int, inputs: int, outputs: int) -> Data:
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal((samples, inputs), dtype=np.float32)
    y = np.sin(x @ rng.standard_normal((inputs, outputs), dtype=np.float32))
    return Data("synthetic", x, y.astype(np.float32), None)


def _images(samples: int) -> Data:
    """28 x 28 images like MNIST in what matters to speed: few pixels are lit, those at the rim hardly ever.

    A weight behind a pixel that is never lit has a momentum that decays into denormal numbers, slow on some processors.
    """
    rng = np.random.default_rng(SEED)
    y = rng.integers(0, 10, samples, dtype=np.int32)
    angle = 2 * np.pi * y / 10 + rng.normal(0, 0.2, samples)
    centre = 13.5 + 4 * np.stack([np.cos(angle), np.sin(angle)]) + rng.normal(0, 1.2, (2, samples))
    grid = np.arange(28, dtype=np.float32)
    rows, columns = (np.exp(-((grid - c[:, None]) ** 2) / 24) for c in centre.astype(np.float32))
    x = np.empty((samples, 28, 28), np.uint8)
    np.multiply(255 * rows[:, :, None], columns[:, None, :], out=x, casting="unsafe")
    x[x < 32] = 0
    return Data("synthetic", x.reshape(samples, -1), y, 1 / 255)


def draw_weights(net: Net, members: int, first: int = 0) -> Weights:
    """Return fresh weights for members ``first`` on; a member's do not depend on who else is drawn."""
    streams = [np.random.default_rng([SEED, first + p]) for p in range(members)]
    return [
        (
            np.stack([rng.standard_normal((o, i), dtype=np.float32) * np.float32(i**-0.5) for rng in streams]),
            np.zeros((members, o), np.float32),
        )
        for i, o in net.layers
    ]


def draw_order(net: Net, samples: int, members: int, steps: int, first: int = 0) -> Ints:
    """Return every member's own order of batches, (P, steps, B): whole passes, each shuffled anew."""
    per_pass = samples // net.batch
    order = np.empty((members, steps, net.batch), np.int32)
    for p in range(members):
        rng = np.random.default_rng([SEED, first + p, 1])
        for start in range(0, steps, per_pass):
            count = min(per_pass, steps - start)
            shuffled = rng.permutation(samples)[: count * net.batch]
            order[p, start : start + count] = shuffled.reshape(count, net.batch)
    return order
