"""Two objectives as a picture: the second across, for it is often a cost, the first up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.report.axes import amount, linear_ticks, log_ticks
from shoal.report.summary import Summary, without_worst
from shoal.search.protocol import Report

MOST = 5000  # points that are not on the front
WIDE = 30  # a ratio of the largest to the smallest value that asks for a logarithmic axis


@dataclass(frozen=True)
class Cloud:
    """Reports as points: ``x`` and ``y`` (n,), as people count them, and whose they are, ``trial`` (n,)."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    trial: NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """One axis: its label, its range, whether it is logarithmic, and which way is better."""

    label: str
    low: float
    high: float
    log: bool
    rises: bool

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Values and their words."""
        return [(value, amount(value)) for value in (log_ticks if self.log else linear_ticks)(self.low, self.high)]


@dataclass(frozen=True)
class Pareto:
    """The first two objectives of a study.

    Attributes:
        crowd: Reports that are not on the front; of very many, some.
        front: Those that are, from left to right.
        bounded: Whether a line of steps through the front bounds what was reached: two objectives make the front, not
            more.
    """

    crowd: Cloud
    front: Cloud
    across: Side
    up: Side
    bounded: bool


def pareto(summary: Summary) -> Pareto:
    """Return the picture of a study with several objectives; points whose target was not reached are left out."""
    record = summary.record
    leaders = [leader.report for leader in record.front]
    on_front = {(report.trial, report.progress) for report in leaders}
    reports = [report for trial in record.trials.values() for report in trial.reports if not report.diverged]
    others = [report for report in reports if (report.trial, report.progress) not in on_front]
    crowd, front = _cloud(summary, others[:: 1 + len(others) // MOST]), _cloud(summary, leaders)
    order = np.lexsort((front.y, front.x))
    front = Cloud(front.x[order], front.y[order], front.trial[order])
    across, up = _side(summary, 1, crowd.x, front.x), _side(summary, 0, crowd.y, front.y)
    return Pareto(crowd, front, across, up, len(summary.objectives) == 2)


def _cloud(summary: Summary, reports: list[Report]) -> Cloud:
    rows = [(*summary.record.figures(report)[:2], report.trial) for report in reports]
    y, x, trial = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    seen = np.isfinite(x) & np.isfinite(y)
    return Cloud(x[seen], y[seen], trial[seen].astype(np.int64))


def _side(summary: Summary, place: int, crowd: NDArray[np.float64], front: NDArray[np.float64]) -> Side:
    """All of the front, and the crowd without its worst fifth."""
    objective = summary.objectives[place]
    label = f"{summary.label(place)}, {'more' if objective.rises else 'less'} is better"
    low, high = without_worst(np.concatenate([crowd, front]), 0.2, objective.rises)
    values = np.concatenate([front, crowd[(crowd >= low) & (crowd <= high)]])
    if values.size == 0:
        return Side(label, 0.0, 1.0, False, objective.rises)
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low >= WIDE:
        margin = (high / low) ** 0.05
        return Side(label, low / margin, high * margin, True, objective.rises)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    return Side(label, low - margin, high + margin, False, objective.rises)
