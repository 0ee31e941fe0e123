"""What the nets are trained on: real images where SHOAL_DATA has them, else made-up ones of the same sizes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int32]
Images: TypeAlias = NDArray[np.uint8]

SEED = 0


@dataclass(frozen=True)
class Data:
    """Samples to train on. ``scale`` is applied to every batch on the fly; None means they are used as they are."""

    name: str
    x: Images | Floats  # (samples, *shape)
    y: Ints | Floats  # (samples,) labels or (samples, outputs) targets
    scale: float | None

    def shaped(self, shape: tuple[int, ...]) -> Data:
        """Return the same with samples of another shape, such as vectors instead of images."""
        return Data(self.name, self.x.reshape(-1, *shape), self.y, self.scale)


@cache
def load(name: str) -> Data:
    """Return "mnist" (28 x 28 x 1), "cifar10" (32 x 32 x 3) or "regression" (8 inputs, 2 targets)."""
    if name == "regression":
        return _regression(samples=20_480, inputs=8, outputs=2)
    if (Path(os.environ.get("SHOAL_DATA", "/nonexistent")) / name).is_dir():
        import shoal.data

        train, _, _ = shoal.data.load(name)
        return Data(name, train.x.copy(), train.y.copy(), 1 / 255)
    return _made_up(60_000, (28, 28, 1)) if name == "mnist" else _made_up(20_000, (32, 32, 3))


def _regression(samples: int, inputs: int, outputs: int) -> Data:
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal((samples, inputs), dtype=np.float32)
    y = np.sin(x @ rng.standard_normal((inputs, outputs), dtype=np.float32))
    return Data("synthetic", x, y.astype(np.float32), None)


def _made_up(samples: int, shape: tuple[int, int, int]) -> Data:
    """Images like MNIST in what matters to speed: few pixels are lit, those at the rim hardly ever.

    A weight behind a pixel that is never lit has a momentum that decays into denormal numbers, slow on some processors.
    """
    height, width, channels = shape
    rng = np.random.default_rng(SEED)
    y = rng.integers(0, 10, samples, dtype=np.int32)
    angle = 2 * np.pi * y / 10 + rng.normal(0, 0.2, samples)
    around = 4 * np.stack([np.cos(angle), np.sin(angle)]) + rng.normal(0, 1.2, (2, samples))
    rows, columns = (
        np.exp(-((np.arange(size) - (size - 1) / 2 - offset[:, None]) ** 2) / 24).astype(np.float32)
        for size, offset in zip((height, width), around, strict=True)
    )
    x = np.empty((samples, height, width), np.uint8)
    np.multiply(255 * rows[:, :, None], columns[:, None, :], out=x, casting="unsafe")
    x[x < 32] = 0
    return Data("synthetic", np.repeat(x[..., None], channels, axis=-1), y, 1 / 255)
