"""Sets of reports, best first: by score, or by several objectives at once.

With one objective the order is that of `shoal.search.protocol.rank_key`. With several it is that of NSGA-II (Deb et al.
2002): non-dominated sorting into fronts, the less crowded first within a front. What the paper leaves open:

- Of equally crowded reports the lower id is first; the two ends of a front, and equal copies of an end, all have an
  infinite distance, so they are ordered by id as well.
- An objective that is the same for the whole front adds nothing to the distances.
- Of reports with equal values of an objective the lower id is the lower neighbour.
- Diverged reports are in no front; they follow all others.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shoal.search.protocol import Report, rank_key

Floats = NDArray[np.float64]


def rank(reports: Sequence[Report]) -> list[Report]:
    """Return the reports, best first."""
    return [reports[place] for place in ranking(reports)]


def ranking(reports: Sequence[Report]) -> list[int]:
    """Return the reports' places in the sequence, that of the best first."""
    places = sorted(range(len(reports)), key=lambda place: rank_key(reports[place]))
    if not places or not reports[places[0]].objectives:
        return places
    finite = sum(not report.diverged for report in reports)  # they are the first
    values = np.array([reports[place].objectives for place in places[:finite]])
    trials = np.array([reports[place].trial for place in places[:finite]])
    best: list[int] = []
    for front in fronts(values):
        distance = crowding(values[front], trials[front])
        best += [places[front[k]] for k in np.lexsort((trials[front], -distance))]
    return best + places[finite:]


class Standings:
    """The last reports of trials, in the order of `rank` while they come and go one by one.

    By score that takes a bisection; how crowded a report is depends on all others, so with several objectives they are
    ranked anew.
    """

    def __init__(self) -> None:
        self._last: dict[int, Report] = {}  # by trial
        self._ranked: list[Report] | None = []  # None: to be ranked

    @property
    def ranked(self) -> Sequence[Report]:
        """The reports, best first, until the next change."""
        if self._ranked is None:
            self._ranked = rank(list(self._last.values()))
        return self._ranked

    def place(self, report: Report) -> int:
        """Return the place of a report that is here."""
        if report.objectives:
            return next(place for place, each in enumerate(self.ranked) if each.trial == report.trial)
        return bisect_left(self.ranked, rank_key(report), key=rank_key)

    def put(self, report: Report) -> None:
        """Add a trial's report, in place of its last."""
        self.drop(report.trial)
        self._last[report.trial] = report
        if report.objectives:
            self._ranked = None
        elif self._ranked is not None:
            insort(self._ranked, report, key=rank_key)

    def drop(self, trial: int) -> None:
        """Take away a trial's report, if there is one."""
        report = self._last.get(trial)
        if report is None:
            return
        if report.objectives:
            self._ranked = None
        elif self._ranked is not None:
            del self._ranked[self.place(report)]
        del self._last[trial]


def dominates(one: Report, other: Report) -> bool:
    """Tell whether one finite report is nowhere worse and somewhere better than another."""
    mine, theirs = one.objectives or (one.score,), other.objectives or (other.score,)
    return mine != theirs and all(a <= b for a, b in zip(mine, theirs, strict=True))


def extended(front: Sequence[Report], report: Report) -> list[Report]:
    """Return the reports of a front and one more that no other dominates.

    Of equal ones the first by rank and progress stays. They are in the order of `rank_key`, so the best in the first
    objective comes first. With one objective there is at most one: the best.
    """

    def yields(one: Report, other: Report) -> bool:
        if (one.objectives, one.score) == (other.objectives, other.score):
            return (rank_key(one), one.progress) >= (rank_key(other), other.progress)
        return dominates(other, one)

    if report.diverged or any(yields(report, each) for each in front):
        return list(front)
    return sorted([*(each for each in front if not yields(each, report)), report], key=rank_key)


def fronts(values: Floats) -> list[list[int]]:
    """Return the rows of ``values`` (n, objectives) in fronts: none dominates another of its front or an earlier one.

    In lexicographic order nobody is dominated by who comes later. Each row goes into the first front of which no member
    dominates it, found by bisection, for who is dominated by a front is dominated by all before it (Zhang et al. 2015,
    ENS-BS). The fronts are those of the fast non-dominated sort of Deb et al. 2002.
    """
    found: list[list[int]] = []
    for row in np.lexsort(values.T[::-1]):
        place = bisect_left(found, True, key=lambda front: not _is_dominated(values[row], values[front]))
        found[place : place + 1] = [[*found[place], int(row)] if place < len(found) else [int(row)]]
    return found


def _is_dominated(value: Floats, others: Floats) -> bool:
    return bool(((others <= value).all(axis=1) & (others < value).any(axis=1)).any())


def crowding(values: Floats, trials: NDArray[np.int64]) -> Floats:
    """Return the crowding distance of each row of a front's ``values`` (n, objectives).

    It is the sum over the objectives of the distance between its two neighbours, as a fraction of the front's extent;
    infinite at the ends.
    """
    distance = np.zeros(len(values))
    for column in values.T:
        order = np.lexsort((trials, column))
        low, high = column[order[0]], column[order[-1]]
        if high > low:
            distance[(column == low) | (column == high)] = np.inf
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / (high - low)
    return distance
