"""Many lines as one path, with a NaN between two: a picture has a handful of traces whatever the size of the study."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]

MOST_POINTS = 200_000  # in one path; of longer ones every second, third ... point of each line is kept


@dataclass(frozen=True)
class Lines:
    """Merged lines: ``x`` and ``y`` (points,) with NaN between two lines, ``trial`` (points,) whose point it is."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    trial: NDArray[np.int32]

    def single(self) -> Lines:
        """Return the points without a neighbour: as lines they could not be seen."""
        gap = np.concatenate(([True], np.isnan(self.y), [True]))
        alone = gap[:-2] & ~gap[1:-1] & gap[2:]
        return Lines(self.x[alone], self.y[alone], self.trial[alone])


def merge(lines: Iterable[tuple[int, Sequence[Point]]]) -> Lines:
    """Merge (trial, points) pairs; points that are not finite break their line."""
    lines = [line for line in lines if line[1]]
    stride = 1 + sum(len(points) for _, points in lines) // MOST_POINTS
    x: list[float] = []
    y: list[float] = []
    trials: list[int] = []
    for trial, points in lines:
        kept = [*points[:-1:stride], *points[-1:]]
        x += [*(point[0] for point in kept), np.nan]
        y += [*(point[1] for point in kept), np.nan]
        trials += [trial] * (len(kept) + 1)
    heights = np.array(y, dtype=np.float32)
    heights[~np.isfinite(heights)] = np.nan
    return Lines(np.array(x, dtype=np.float32), heights, np.array(trials, dtype=np.int32))
