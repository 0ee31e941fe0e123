"""Which rank trains which trials of a round: a trial stays where its weights are, unless evening out the loads pays.

A round is as long as that of the rank which is done last. First each trial that is nowhere yet goes where it is done
first, the dearest trial first (Graham 1969). Then the last rank gives a trial to the one that would be done with it
first, the trial that makes the later of the two ends earliest, until that helps no more or the last end is within a
fiftieth of when all could be done together, which is about what moving costs. All ties go to the lowest number, so
every rank comes to the same answer by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_EVEN = 1.02  # times when all could be done together


def placed(
    costs: Mapping[int, float], homes: Mapping[int, int], loads: Sequence[float], paces: Sequence[float] | None = None
) -> dict[int, int]:
    """Return a rank for each trial.

    Args:
        costs: Of each trial in this round, > 0.
        homes: Where trials are; one that is missing is nowhere yet.
        loads: The costs of what each rank has to do besides, and keeps.
        paces: The time that a unit of cost takes on each rank, > 0; by default alike.
    """
    where = {trial: homes[trial] for trial in costs if trial in homes}
    pace = np.ones(len(loads)) if paces is None else np.array(paces)
    ends = np.array(loads) * pace
    for trial, rank in where.items():
        ends[rank] += costs[trial] * pace[rank]
    for trial in sorted(costs.keys() - where.keys(), key=lambda trial: (-costs[trial], trial)):
        where[trial] = int((ends + costs[trial] * pace).argmin())
        ends[where[trial]] += costs[trial] * pace[where[trial]]
    together = (ends / pace).sum() / (1 / pace).sum()
    while ends.max() > _EVEN * together and (move := _move(costs, where, ends, pace)) is not None:
        mover, rank = move
        ends[where[mover]] -= costs[mover] * pace[where[mover]]
        where[mover] = rank
        ends[rank] += costs[mover] * pace[rank]
    return where


def _move(
    costs: Mapping[int, float], where: Mapping[int, int], ends: NDArray[np.float64], pace: NDArray[np.float64]
) -> tuple[int, int] | None:
    """Return the trial of the last rank whose move to another one helps most, and that rank; None if none helps."""
    last = int(ends.argmax())
    those = [trial for trial, rank in where.items() if rank == last]
    others = ends + min((costs[trial] for trial in those), default=0.0) * pace
    others[last] = np.inf
    first = int(others.argmin())
    then = {
        trial: max(ends[last] - costs[trial] * pace[last], ends[first] + costs[trial] * pace[first]) for trial in those
    }
    best = min(those, key=lambda trial: (then[trial], trial), default=None)
    return (best, first) if best is not None and first != last and then[best] < ends[last] else None
