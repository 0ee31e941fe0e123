"""How alike learning curves are: distances, and the nearest of a library."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

#: Distance of one curve (T,) to each of m curves (m, T), at the same points.
Distance: TypeAlias = Callable[[Floats, Floats], Floats]


def l1(curve: Floats, library: Floats) -> Floats:
    """Return the mean absolute difference."""
    distances: Floats = np.abs(library - curve).mean(axis=1)
    return distances


def l2(curve: Floats, library: Floats) -> Floats:
    """Return the root of the mean squared difference."""
    distances: Floats = np.sqrt(((library - curve) ** 2).mean(axis=1))
    return distances


def linf(curve: Floats, library: Floats) -> Floats:
    """Return the largest absolute difference."""
    distances: Floats = np.abs(library - curve).max(axis=1)
    return distances


def cosine(curve: Floats, library: Floats) -> Floats:
    """Return one minus the cosine of the angle between the curves as vectors; two zero curves are alike."""
    lengths = np.sqrt((library**2).sum(axis=1) * (curve**2).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = np.where(lengths > 0, library @ curve / lengths, (library == curve).all(axis=1))
    distances: Floats = 1 - np.clip(cosines, -1, 1)
    return distances


def scaled(curve: Floats, library: Floats) -> Floats:
    """Return the l2 distance to the best multiple of each library curve: the factor that makes it smallest."""
    squares = (library**2).sum(axis=1)
    factors = np.divide(library @ curve, squares, out=np.zeros_like(squares), where=squares > 0)
    return l2(curve, factors[:, None] * library)


DISTANCES: dict[str, Distance] = {"l1": l1, "l2": l2, "linf": linf, "cosine": cosine, "scaled": scaled}


class Library:
    """Curves of trials that were trained to the end, at the same points, and how they ended; it grows one by one."""

    def __init__(self, points: int) -> None:
        self._curves = np.empty((16, points))
        self._finals = np.empty(16)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, curve: Floats, final: float) -> None:
        """Add a curve (T,) and its final score; finite both."""
        if self._count == len(self._finals):
            self._curves = np.concatenate([self._curves, np.empty_like(self._curves)])
            self._finals = np.concatenate([self._finals, np.empty_like(self._finals)])
        self._curves[self._count], self._finals[self._count] = curve, final
        self._count += 1

    @property
    def finals(self) -> Floats:
        """The final scores."""
        return self._finals[: self._count]

    def predict(self, curve: Floats, distance: Distance, neighbours: int) -> float:
        """Return the final score that a curve's beginning (t,) foretells.

        It is that of the nearest library curve over the same points; of several neighbours, their mean weighted by one
        over the distance. Of curves equally near the one that was added first counts.
        """
        distances = distance(curve, self._curves[: self._count, : len(curve)])
        nearest = np.argsort(distances, kind="stable")[:neighbours]
        if distances[nearest[0]] == 0 or len(nearest) == 1:
            return float(self._finals[nearest[0]])
        return float(np.average(self._finals[nearest], weights=1 / distances[nearest]))
