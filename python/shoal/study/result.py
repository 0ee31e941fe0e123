"""What a study has found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal.data import Dataset
from shoal.errors import StudyError
from shoal.manager.record import Metrics, StudyRecord, Trial
from shoal.population import Population
from shoal.search.protocol import Config
from shoal.study.replay import Replay


@dataclass(frozen=True)
class Best:
    """The trial with the best report, at that report.

    Attributes:
        id: Of the trial.
        config: What it trained with.
        score: Its metric, as the user counts it.
        metrics: All its metrics.
        progress: How far it was.
        schedule: The (progress, config) steps from its first ancestor on that led to its weights.
        model: A `shoal.Population` of one with its weights; in a study of trainables, a trainable that has loaded them.
    """

    id: int
    config: Config
    score: float
    metrics: Metrics
    progress: int
    schedule: list[tuple[int, Config]]
    model: Any


class Result:
    """What a study has found.

    Attributes:
        record: All that happened.
        directory: Where the study is kept, or None.
    """

    def __init__(
        self, record: StudyRecord, model: Any, directory: Path | None, again: Callable[[StudyRecord], Replay]
    ) -> None:
        self.record, self.directory = record, directory
        self._model, self._again = model, again

    def __repr__(self) -> str:
        if self.record.best is None:
            return f"Result({len(self.trials)} trials, all diverged)"
        metric = self.record.header["metric"]
        return f"Result({len(self.trials)} trials, best {metric} {self.best.score:.6g} by trial {self.best.id})"

    @property
    def trials(self) -> list[Trial]:
        """All trials, by id."""
        return [self.record.trials[id] for id in sorted(self.record.trials)]

    @property
    def best(self) -> Best:
        """The best trial.

        Raises:
            StudyError: No trial ever reported a finite score.
        """
        report = self.record.best_report
        if report is None:
            raise StudyError(f"all {len(self.trials)} trials diverged, so none is best")
        schedule = self.record.best_schedule
        return Best(
            id=report.trial,
            config=schedule[-1][1],
            score=self.record.figure(report.score),
            metrics=dict(report.metrics),
            progress=report.progress,
            schedule=schedule,
            model=self._model,
        )

    def replay(self) -> Replay:
        """Train the best network again, alone and by its whole schedule: ``replay().same`` says that nothing differs.

        It is the same bit for bit on one kind of device and instruction set; a trainable is as far as it keeps to the
        rules of `shoal.trainable.Trainable`.

        Raises:
            StudyError: No trial ever reported a finite score.
        """
        return self._again(self.record)

    def report(self, test: Dataset | Mapping[str, float] | None = None) -> Path:
        """Write ``report.html`` and its pictures into the study's directory, or ``shoal-report`` where it has none.

        Args:
            test: Data that the study has not seen, for the best network's test score; or such a score of your own, as
                metrics by name.

        Returns:
            The path of the page.
        """
        from shoal.report import write  # matplotlib and plotly are slow to load

        metrics = self._test(test) if isinstance(test, Dataset) else test
        if self.directory is None:
            return write(Path("shoal-report"), self.record, test=metrics)
        return write(self.directory, test=metrics)

    def _test(self, data: Dataset) -> Metrics:
        if self.record.best is None:
            return {}  # the report says that all diverged
        model = self.best.model
        if not isinstance(model, Population):
            raise ValueError(f"test: must be metrics by name in a study of trainables, got {data!r}")
        metrics = {name: float(value[0]) for name, value in model.evaluate(data).items()}
        return {**metrics, "samples": len(data)}
