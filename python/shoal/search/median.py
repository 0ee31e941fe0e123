"""Median stopping: a trial that is worse than most were at the same age is given up."""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from shoal.search.base import Search, intervals
from shoal.search.protocol import Order, Plan, Report, Resume, Start, Stop, Strategy, Unit
from shoal.search.sampler import Proposals, RandomSampler
from shoal.search.samplers import SamplerLike, read_sampler
from shoal.search.tracker import Tracker
from shoal.space import Space
from shoal.space.checks import whole


@dataclass(frozen=True)
class Median(Search):
    """The median stopping rule (Golovin et al. 2017, "Google Vizier", section 3.2.2).

    A trial is stopped at an interval's end if its best score so far is strictly worse than the median of the other
    trials' running means of the scores up to there. What the source leaves open:

    - Other trials are all that have come as far, stopped since or not, but for those that have diverged.
    - No trial is stopped before ``grace`` others have come as far.

    Args:
        trials: Number of configs, at least 1.
        epochs: Length of a trial that is not stopped, in epochs.
        interval_epochs: Epochs between two looks at it, by default 1.
        steps: As ``epochs``, in steps.
        interval: Steps between two looks.
        grace: How many others there must be to compare with.
        sampler: Where configs come from: a `shoal.search.Sampler`, its name, or an object with ``ask`` and ``tell``.
    """

    several: ClassVar[bool] = False  # a median is one of numbers

    trials: int
    epochs: int | None = None
    interval_epochs: int | None = None
    steps: int | None = None
    interval: int | None = None
    grace: int = 3
    sampler: SamplerLike = field(default_factory=RandomSampler)

    def __post_init__(self) -> None:
        whole("trials", self.trials, least=1)
        whole("grace", self.grace, least=1)
        self.ends()
        object.__setattr__(self, "sampler", read_sampler(self.sampler))

    def ends(self) -> tuple[Sequence[int], Unit]:
        """Return the progress at which a trial is looked at, and the unit."""
        is_given = self.interval is not None or self.interval_epochs is not None
        return intervals(self.epochs, self.interval_epochs if is_given else 1, self.steps, self.interval)

    def _bind(self, space: Space, seed: int) -> Strategy:
        return MedianStopping(self, read_sampler(self.sampler).bind(space, seed, self.trials))


class MedianStopping(Tracker):
    """Bound `Median`."""

    asynchronous = True

    def __init__(self, search: Median, proposals: Proposals) -> None:
        self._ends, unit = search.ends()
        super().__init__(unit)
        self._search, self._proposals = search, proposals
        self._next = 0
        self._scores: dict[int, list[float]] = {}  # of each live trial
        self._means: list[list[float]] = [[] for _ in self._ends]  # sorted, by the number of the look

    def plan(self) -> Plan:
        """Return the plan; the budget is what all trials would take."""
        search, length = self._search, self._ends[-1]
        line = f"{search.trials} trials of {length} {self.unit}, looked at {len(self._ends)} times"
        return Plan(search.trials, search.trials * length, self.unit, (line,))

    @property
    def _exhausted(self) -> bool:
        return self._next == self._search.trials

    def _fill(self, free_rows: int) -> Iterable[Order]:
        first, self._next = self._next, min(self._next + free_rows, self._search.trials)
        self._scores |= {trial: [] for trial in range(first, self._next)}
        return [Start(trial, self._proposals.propose(trial), self._ends[0]) for trial in range(first, self._next)]

    def _decide(self, report: Report) -> Iterable[Order]:
        scores = self._scores[report.trial]
        if report.diverged:
            return [self._end(report, "diverged")]
        scores.append(report.score)
        look = len(scores) - 1
        others = self._means[look]
        middle = _median(others) if len(others) >= self._search.grace else None
        bisect.insort(others, _mean(scores))
        if report.progress == self._ends[-1]:
            return [self._end(report, "completed")]
        if middle is not None and min(scores) > middle:
            return [self._end(report, f"worse than the median {middle:.6g} of {len(others) - 1} others")]
        self._proposals.observe(report, last=False)
        return [Resume(report.trial, self._ends[look + 1])]

    def _end(self, report: Report, why: str) -> Stop:
        del self._scores[report.trial]
        self._proposals.observe(report, last=True)
        return Stop(report.trial, why)


def _mean(scores: Sequence[float]) -> float:
    # In a unit of a power of two, which rounds nothing: the sum of scores near the largest float overflows.
    return statistics.fmean(score * 2.0**-64 for score in scores) * 2.0**64


def _median(ordered: Sequence[float]) -> float:
    # `statistics.median` would sort them once more for each report.
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
