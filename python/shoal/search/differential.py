"""Differential evolution in the unit cube (Storn and Price 1997), one step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from shoal.search.protocol import Report, rank_key

Point: TypeAlias = NDArray[np.float64]  # (D,), each in [0, 1]


@dataclass(frozen=True)
class Scored:
    """A point and the finite report that it came to."""

    point: Point
    report: Report


def mutant(parents: Sequence[Point], factor: float, rng: np.random.Generator) -> Point:
    """Return a + factor (b - c) for three different ones of ``parents`` (rand/1).

    What falls outside of the cube is drawn anew, coordinate by coordinate.
    """
    a, b, c = (parents[int(place)] for place in rng.choice(len(parents), 3, replace=False))
    moved = a + factor * (b - c)
    return np.where((moved < 0) | (moved > 1), rng.random(len(moved)), moved)


def crossed(target: Point, other: Point, rate: float, rng: np.random.Generator) -> Point:
    """Return ``target`` with each coordinate taken from ``other`` with the probability ``rate``, one of them surely."""
    taken = rng.random(len(target)) < rate
    if len(target):
        taken[rng.integers(len(target))] = True
    return np.where(taken, other, target)


class Subpopulation:
    """Slots that are the targets of evolution in turn; each is empty until a point in it has a finite score."""

    def __init__(self, size: int) -> None:
        self._slots: list[Scored | None] = [None] * size
        self._turns = 0

    def __getitem__(self, slot: int) -> Scored | None:
        return self._slots[slot]

    def next_slot(self) -> int:
        """Return whose turn it is."""
        self._turns += 1
        return (self._turns - 1) % len(self._slots)

    def ranked(self) -> list[Scored]:
        """Return what has been scored, best first."""
        return sorted((each for each in self._slots if each is not None), key=lambda each: rank_key(each.report))

    def select(self, slot: int, point: Point, report: Report) -> None:
        """Let a point have the slot, unless the one there is better or this one has diverged."""
        held = self._slots[slot]
        if not report.diverged and (held is None or report.score <= held.report.score):
            self._slots[slot] = Scored(point, report)
