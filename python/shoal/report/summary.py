"""What the page and the PNGs both draw, computed once: numbers and words, no colours."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shoal.manager.record import StudyRecord
from shoal.report.axes import Axis, parameter_axis, range_axis
from shoal.report.lines import Lines, Point, merge
from shoal.report.strands import Strand, descent, strands
from shoal.space import Space

Vector = NDArray[np.float64]

VALIDATED = ("accuracy", "loss", "mse", "correlation", "r2")  # where nothing else is said
MOST_PARALLEL = 2000  # lines of the parallel coordinates; more only make it darker


class Summary:
    """One study as pictures need it, in the user's direction: an accuracy is an accuracy, not its negative.

    Args:
        record: What happened.
        test: The best network's metrics on data that the search never saw, if it was tested.
        utilisation: The share of the time in which each rank trained, in a study over ranks.
    """

    def __init__(self, record: StudyRecord, test: Mapping[str, float], utilisation: Sequence[float] = ()) -> None:
        header = record.header
        self.record, self.test, self.utilisation = record, test, utilisation
        self.objectives = record.objectives
        self.metric = self.objectives[0].curve  # that the pictures show
        self.unit: str = header["unit"]
        self.method: str = header["strategy"]["name"]
        self.task: str = header["data"]["train"]["name"] if "data" in header else header["trainable"]
        self.maximise = self.objectives[0].maximise
        self.best = record.figure(record.best_score)
        self.reached = record.figures(record.best_report) if record.best_report else ()  # all objectives
        self.best_height = record.best_report.metrics.get(self.metric, math.nan) if record.best_report else math.nan
        self.strands = strands(record, self.metric)
        self.ancestors = descent(record, self.strands)

    @cached_property
    def axes(self) -> list[Axis]:
        """One axis for each parameter of the space."""
        space = Space.from_description(self.record.header["space"])
        return [parameter_axis(name, parameter) for name, parameter in space.parameters.items()]

    @property
    def panels(self) -> tuple[int, int]:
        """Rows and columns of one panel for each axis."""
        columns = min(len(self.axes), 2 if len(self.axes) <= 8 else 3)
        return -(-len(self.axes) // columns), columns

    @property
    def metric_label(self) -> str:
        """The metric as an axis calls it: of a network, the strategy sees the validation part."""
        return _label(self.metric)

    def label(self, place: int) -> str:
        """What an axis or a column calls an objective."""
        return _label(self.objectives[place].label)

    @property
    def learned(self) -> bool:
        """Whether any trial has a finite metric, so that there is something to draw."""
        return any(math.isfinite(value) for strand in self.strands for _, value in strand.points)

    @property
    def inherits(self) -> bool:
        """Whether any trial took over another's weights."""
        return any(strand.parent is not None for strand in self.strands)

    @cached_property
    def survivors(self) -> set[int]:
        """Strands that live at the end or have a descendant that does; empty where nobody inherited."""
        latest = {strand.trial: index for index, strand in enumerate(self.strands)} if self.inherits else {}
        found: set[int] = set()
        for index in latest.values():
            ancestor: int | None = index
            while ancestor is not None and ancestor not in found:
                found.add(ancestor)
                ancestor = self.strands[ancestor].parent
        return found

    def curves(self, survived: bool | None = None) -> Lines:
        """The metric of every strand, or of those that survived or not; an heir's line leaves its donor's."""
        return merge((strand.trial, self._curve(strand)) for strand in self._chosen(survived))

    def best_curve(self) -> Lines:
        """The metric along the best's line of descent, up to the moment when it was the best."""
        parts = [(self.strands[index], end) for index, end in self.line_of_descent()]
        return merge([(self.record.best or 0, [p for strand, end in parts for p in strand.points if p[0] <= end])])

    def diverged(self) -> Lines:
        """Where each strand that diverged was last seen, one point each."""
        seen = ((s.trial, [p for p in self._curve(s) if math.isfinite(p[1])]) for s in self.strands if s.diverged)
        return merge((trial, points[-1:]) for trial, points in seen)

    def crowd(self) -> tuple[Vector, Vector, Vector]:
        """(T,) progress, and the metric of the best and of the median trial there."""
        values = defaultdict(list)
        for strand in self.strands:
            for progress, value in strand.points:
                if math.isfinite(value):
                    values[progress].append(value)
        best = max if self.maximise else min
        rows = [(p, best(values[p]), np.median(values[p])) for p in sorted(values)]
        table = np.array(rows, dtype=np.float64).reshape(-1, 3)
        return table[:, 0], table[:, 1], table[:, 2]

    def window(self) -> tuple[float, float]:
        """The range of the metric that is worth looking at: without the first steps and the worst fifth of the rest."""
        lines = self.curves()
        return without_worst(lines.y[lines.x > 0.1 * np.nanmax(lines.x, initial=0)], 0.2, self.maximise)

    def schedule(self, axis: Axis, survived: bool) -> Lines:
        """Where one hyperparameter stood on its axis, for the strands that survived or not; to be drawn as steps."""
        return merge((strand.trial, self._steps(strand, axis)) for strand in self._chosen(survived))

    def best_schedule(self, axis: Axis) -> Lines:
        """The same for the weights that became the best."""
        steps = [(progress, axis.of(config)) for progress, config in self.record.best_schedule]
        return merge([(self.record.best or 0, [*steps, (self.record.best_progress, steps[-1][1])] if steps else [])])

    def parallel(self) -> tuple[list[Axis], NDArray[np.float64]]:
        """Axes for the hyperparameters, the progress and the metric, and the (strands, axes) positions, best last.

        The worst third lies at the bottom of the metric's axis.
        """
        known = [s for s in self.strands if s.points and math.isfinite(s.points[-1][1])]
        known.sort(key=lambda s: s.points[-1][1], reverse=not self.maximise)
        if len(known) > MOST_PARALLEL:
            known = [known[i] for i in np.linspace(0, len(known) - 1, MOST_PARALLEL).astype(int)]
        reached = without_worst([s.points[-1][1] for s in known], 0.33, self.maximise)
        axes = [*self.axes, range_axis(self.metric, *reached)]
        ends = {strand.end for strand in known}
        if len(ends) > 1:
            axes.insert(-1, range_axis(self.unit, 0, max(ends), whole=True))
        values = [{**s.changes[-1].config, self.unit: s.end, self.metric: s.points[-1][1]} for s in known]
        table = [[axis.of(value) for axis in axes] for value in values]
        return axes, np.array(table, dtype=np.float64).reshape(-1, len(axes))

    def line_of_descent(self) -> list[tuple[int, int]]:
        """The strands that led to the best, oldest first, each with the progress where the next one left it."""
        left = [self.strands[index].start for index in self.ancestors[1:]]
        return list(zip(self.ancestors, [*left, self.record.best_progress], strict=False))

    def _chosen(self, survived: bool | None) -> Iterator[Strand]:
        return (s for i, s in enumerate(self.strands) if survived is None or (i in self.survivors) == survived)

    def _curve(self, strand: Strand) -> list[Point]:
        own: list[Point] = list(strand.points)
        if strand.parent is None:
            return own
        return [p for p in self.strands[strand.parent].points if p[0] <= strand.start][-1:] + own

    def _steps(self, strand: Strand, axis: Axis) -> list[Point]:
        # Trials with the same choice would hide each other: each has its own place near it.
        shift = ((strand.trial * 0.618) % 1 - 0.5) * 0.5 / len(axis.ticks) if axis.listed else 0.0
        steps: list[Point] = [(c.progress, axis.of(c.config) + shift) for c in strand.changes]
        return [*steps, (strand.end, steps[-1][1])]


def without_worst(values: ArrayLike, share: float, maximise: bool) -> tuple[float, float]:
    """The range of all values but a share of the worst, with a margin."""
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return (0.0, 1.0)
    low, high = np.quantile(finite, (share, 1.0) if maximise else (0.0, 1.0 - share))
    margin = 0.04 * (high - low) or 0.05 * abs(high) or 0.5
    return float(low - margin), float(high + margin)


def _label(metric: str) -> str:
    return f"validation {metric}" if metric in VALIDATED else metric.replace("_", " ")


def contest_window(*studies: Summary) -> tuple[float, float]:
    """The range of the metric where the best and the median of several studies stand once the start is over."""
    parts = []
    for study in studies:
        progress, best, median = study.crowd()
        late = progress > 0.2 * progress.max(initial=0)
        parts += [best[late], median[late]]
    values = np.concatenate(parts)
    low, high = (values.min(), values.max()) if values.size else (0.0, 1.0)
    margin = 0.04 * (high - low) or 0.05 * abs(high) or 0.5
    return float(low - margin), float(high + margin)
