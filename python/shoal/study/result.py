"""What a study has found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoal.data import AnyDataset
from shoal.errors import StudyError
from shoal.manager.record import Metrics, StudyRecord, Trial
from shoal.search.protocol import Config
from shoal.study.replay import Replay


@dataclass(frozen=True)
class Best:
    """The trial with the best report, or one of the front, at that report.

    Attributes:
        id: Of the trial.
        config: What it trained with.
        score: Its metric, as the user counts it; of several objectives the first.
        metrics: All its metrics, figures of merit among them.
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
        utilisation: The share of this run's time in which each rank trained, (ranks,), by this rank's clock; empty
            where the study ran in one process without MPI, or had ended before.
    """

    def __init__(
        self,
        record: StudyRecord,
        models: Sequence[Any],
        directory: Path | None,
        again: Callable[[StudyRecord], Replay],
        tested: Callable[[Any, AnyDataset], Metrics],
        utilisation: Sequence[float] = (),
    ) -> None:
        self.record, self.directory = record, directory
        self.utilisation = list(utilisation) if any(utilisation) else []
        self._models, self._again, self._tested = models, again, tested

    def __repr__(self) -> str:
        if self.record.best is None:
            return f"Result({len(self.trials)} trials, all diverged)"
        metric, *others = (each.label for each in self.record.objectives)
        front = f", {len(self.front)} on the front of {', '.join([metric, *others])}" if others else ""
        return f"Result({len(self.trials)} trials, best {metric} {self.best.score:.6g} by trial {self.best.id}{front})"

    @property
    def trials(self) -> list[Trial]:
        """All trials, by id."""
        return [self.record.trials[id] for id in sorted(self.record.trials)]

    @property
    def best(self) -> Best:
        """The best trial; of several objectives, the one of the front that is best in the first.

        Raises:
            StudyError: No trial ever reported a finite score.
        """
        if not self.record.front:
            raise StudyError(f"all {len(self.trials)} trials diverged, so none is best")
        return self._standing(0)

    @property
    def front(self) -> list[Best]:
        """The Pareto front: the trials at those of their reports that no report of any trial dominates.

        One report dominates another if it is nowhere worse and somewhere better; of equal ones the first is here. A
        trial may appear at several reports. The best in the first objective comes first. With one objective there is
        the best trial alone; where all have diverged, nobody.
        """
        return [self._standing(place) for place in range(len(self.record.front))]

    def _standing(self, place: int) -> Best:
        leader = self.record.front[place]
        return Best(
            id=leader.report.trial,
            config=leader.schedule[-1][1],
            score=self.record.figure(leader.report.score),
            metrics=dict(leader.report.metrics),
            progress=leader.report.progress,
            schedule=leader.schedule,
            model=self._models[place],
        )

    def replay(self) -> Replay:
        """Train the best network again, alone and by its whole schedule: ``replay().same`` says that nothing differs.

        It is the same bit for bit on one kind of device and instruction set; a trainable is as far as it keeps to the
        rules of `shoal.trainable.Trainable`.

        Raises:
            StudyError: No trial ever reported a finite score.
        """
        return self._again(self.record)

    def report(self, test: AnyDataset | Mapping[str, float] | None = None) -> Path:
        """Write ``report.html`` and its pictures into the study's directory, or ``shoal-report`` where it has none.

        Args:
            test: Data that the study has not seen, for the best network's test score; or such a score of your own, as
                metrics by name.

        Returns:
            The path of the page.
        """
        from shoal.report import write  # matplotlib and plotly are slow to load

        metrics = self._test(test) if isinstance(test, AnyDataset) else test
        if self.directory is None:
            return write(Path("shoal-report"), self.record, test=metrics, utilisation=self.utilisation)
        return write(self.directory, test=metrics, utilisation=self.utilisation)

    def _test(self, data: AnyDataset) -> Metrics:
        if self.record.best is None:
            return {}  # the report says that all diverged
        return {**self._tested(self.best.model, data), "samples": len(data)}
