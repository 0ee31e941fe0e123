"""What happened in a simulation, report by report, and what can be read from it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shoal.simulate.table import Floats

By = Literal["seconds", "epochs"]


@dataclass
class Simulation:
    """What happened.

    Attributes:
        name: Of the strategy.
        workers: How many there were.
        best: The best score of the whole table.
        trials: Of the reports.
        begun: When the training began that ended with the report, in the seconds of the table.
        times: Of the reports, in the same seconds.
        epochs: Spent by all trials together up to each report.
        progress: Epochs of the trial itself.
        scores: Of the reports.
        rows: Row of the table of each trial.
    """

    name: str
    workers: int
    best: float
    trials: list[int] = field(default_factory=list)
    begun: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    progress: list[int] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    rows: dict[int, int] = field(default_factory=dict)

    def add(self, trial: int, begun: float, time: float, since: int, until: int, score: float) -> None:
        """Take a report of a trial that trained from ``since`` to ``until`` epochs."""
        self.epochs.append(self.spent + until - since)
        self.trials.append(trial)
        self.begun.append(begun)
        self.times.append(time)
        self.progress.append(until)
        self.scores.append(score)

    @property
    def seconds(self) -> float:
        """Until the last report."""
        return self.times[-1] if self.times else 0.0

    @property
    def spent(self) -> int:
        """Epochs of all trials together."""
        return self.epochs[-1] if self.epochs else 0

    @property
    def utilisation(self) -> float:
        """Share of the workers' time in which they trained."""
        busy = float(np.subtract(self.times, self.begun).sum())
        return busy / (self.workers * self.seconds) if self.seconds else 0.0

    def trajectory(self, by: By = "epochs") -> tuple[Floats, Floats]:
        """Return at which times, or after how many epochs, there was a report, and the best score up to then."""
        scores = np.array([score if np.isfinite(score) else np.inf for score in self.scores])
        return np.array(self.epochs if by == "epochs" else self.times, float), np.minimum.accumulate(scores)

    def best_after(self, epochs: float) -> float:
        """Return the best score that was known once so many epochs were spent; infinite before the first."""
        spent, best = self.trajectory()
        known = int(np.searchsorted(spent, epochs, side="right"))
        return float(best[known - 1]) if known else float("inf")

    def regret(self, by: By = "epochs") -> tuple[Floats, Floats]:
        """Return as `trajectory` how far the best known score was from the best of the table, 0 once it is found."""
        when, best = self.trajectory(by)
        return when, best - self.best

    def activity(self, bins: int = 200) -> tuple[Floats, Floats]:
        """Return the (bins + 1,) edges of equal stretches of time, and the (bins,) utilisation of the workers in each.

        The seconds trained before a time t are ``sum(max(0, t - begun)) - sum(max(0, t - end))`` over all reports.
        """
        edges = np.linspace(0.0, self.seconds, bins + 1)
        trained = _elapsed(edges, self.begun) - _elapsed(edges, self.times)
        return edges, np.diff(trained) / (self.workers * np.diff(edges))

    def reached(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the epochs at which there were reports, and how many trials trained at least so long."""
        last = dict(zip(self.trials, self.progress, strict=True))  # a trial's progress only grows
        lengths = np.sort(list(last.values()))
        rungs = np.unique(self.progress)
        return rungs, len(lengths) - np.searchsorted(lengths, rungs)

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw regret, utilisation and how far trials came, as `shoal.simulate.compare` does for several runs."""
        from shoal.simulate.picture import compare

        return compare({self.name: self}, path)


def _elapsed(at: Floats, since: list[float]) -> Floats:
    """Return, for each time, the sum of the seconds since those of ``since`` that lie before it."""
    starts = np.sort(since)
    count = np.searchsorted(starts, at)
    elapsed: Floats = count * at - np.concatenate([[0.0], np.cumsum(starts)])[count]
    return elapsed
