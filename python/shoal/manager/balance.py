"""Which rank trains which trials of a round: a trial stays where its weights are, unless evening out the loads pays.

A round is as long as its fullest rank. First each trial that is nowhere yet goes to the emptiest rank, the dearest
trial first (Graham 1969). Then the fullest rank gives a trial to the emptiest one, the one that makes the larger of the
two loads smallest, until that helps no more or the fullest rank is within a fiftieth of the mean, which is about what
moving costs. All ties go to the lowest number, so every rank comes to the same answer by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_EVEN = 1.02  # times the mean


def placed(costs: Mapping[int, float], homes: Mapping[int, int], loads: Sequence[float]) -> dict[int, int]:
    """Return a rank for each trial.

    Args:
        costs: Of each trial in this round, > 0.
        homes: Where trials are; one that is missing is nowhere yet.
        loads: The costs of what each rank has to do besides, and keeps.
    """
    where = {trial: homes[trial] for trial in costs if trial in homes}
    loads = list(loads)
    for trial, rank in where.items():
        loads[rank] += costs[trial]
    for trial in sorted(costs.keys() - where.keys(), key=lambda trial: (-costs[trial], trial)):
        where[trial] = loads.index(min(loads))
        loads[where[trial]] += costs[trial]
    even = _EVEN * sum(loads) / len(loads)
    while max(loads) > even and (mover := _mover(costs, where, loads)) is not None:
        loads[where[mover]] -= costs[mover]
        where[mover] = loads.index(min(loads))
        loads[where[mover]] += costs[mover]
    return where


def _mover(costs: Mapping[int, float], where: Mapping[int, int], loads: list[float]) -> int | None:
    """Return the trial of the fullest rank whose move to the emptiest one helps most, if any helps."""
    full, empty = max(loads), min(loads)
    those = [trial for trial, rank in where.items() if rank == loads.index(full)]
    then = {trial: max(full - costs[trial], empty + costs[trial]) for trial in those}
    best = min(those, key=lambda trial: (then[trial], trial), default=None)
    return best if best is not None and then[best] < full else None
