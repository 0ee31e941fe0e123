"""The best trial of a study, trained once more: one network alone, by the whole schedule that the journal tells.

Each step is trained as the trial that trained it, for a trial's id keys its data order and its dropout, and an heir's
start is its donor's end. So nothing differs from the study but the company, on which nothing depends.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from shoal.errors import StudyError
from shoal.manager.journal import encode
from shoal.manager.record import Metrics, Step, StudyRecord
from shoal.manager.worker import Worker
from shoal.search.protocol import Config, Unit
from shoal.space import Space


@dataclass(frozen=True)
class Replay:
    """A trial that was trained again.

    Attributes:
        trial: Its id.
        schedule: The (progress, config) steps of its training.
        progress: Where it ended.
        unit: What progress counts.
        recorded: The metrics that the study reported there, without figures of merit and times.
        metrics: The metrics now; empty if it has diverged.
        model: What it is now, as ``Best.model``.
    """

    trial: int
    schedule: list[tuple[int, Config]]
    progress: int
    unit: Unit
    recorded: Metrics
    metrics: Metrics
    model: Any

    @property
    def same(self) -> bool:
        """All metrics are the recorded ones, bit for bit."""
        # As JSON: it keeps every bit of a finite number, and the journal has no other.
        return encode(dict(sorted(self.metrics.items()))) == encode(dict(sorted(self.recorded.items())))


def replay(record: StudyRecord, space: Space, worker: Worker) -> Replay:
    """Train the best trial of a record again.

    Args:
        record: What happened.
        space: Of the study: a journal has lists where configs have tuples.
        worker: A fresh one, like the study's; one row is enough.

    Raises:
        StudyError: No trial ever reported a finite score.
    """
    if not record.front:
        raise StudyError(f"all {len(record.trials)} trials diverged, so there is none to replay")
    leader = record.front[0]
    steps = [Step(step.trial, step.progress, space.check(step.config)) for step in leader.descent]
    last = steps[-1]
    worker.start(steps[0].trial, steps[0].config)
    for step, following in pairwise(steps):
        _train(worker, step.trial, step.progress, following.progress)
        _hand_over(worker, step, following)
    _train(worker, last.trial, last.progress, leader.since)
    metrics, best = _train(worker, last.trial, leader.since, leader.report.progress), leader.report
    recorded = {name: value for name, value in best.metrics.items() if name in metrics or not metrics}
    model, unit = worker.model(last.trial, last.config, worker.state(last.trial)), record.header["unit"]
    return Replay(best.trial, leader.schedule, best.progress, unit, recorded, metrics, model)


def _train(worker: Worker, trial: int, since: int, until: int) -> Metrics:
    return worker.train({trial: until}).get(trial, {}) if until > since else {}


def _hand_over(worker: Worker, step: Step, following: Step) -> None:
    if following.trial == step.trial:
        worker.set(step.trial, following.config)
        return
    worker.start(following.trial, following.config)
    worker.inherit([(following.trial, step.trial, following.config)], {})
    worker.stop(step.trial)
