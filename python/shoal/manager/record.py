"""A study as its journal tells it: apply the events in order, and here are its trials, curves, lineage and best.

The manager keeps its books in a record while it runs; a report reads one from the journal. Both see the same thing.

    study     the header: format version seed space strategy unit metric mode plan data network ...
    ask       free                                    the strategy was asked to fill this many free rows
    order     order trial why, and by the kind of order
                start     config until
                resume    until
                pause     progress
                stop      progress
                set       config old until progress
                inherit   config old until progress donor donor_progress donor_changes
    layers    trial layers                            what became of an heir whose structure is not its donor's
    point     trial progress metrics                  a point of the curve between two reports
    report    trial progress score metrics            a point of the curve that the strategy saw; where there are
                                                      several objectives, also objectives
    snapshot  number file seconds                     all states are on disk; over several ranks also parts: that
                                                      many files, whose numbers from 1 are the * in file
    end       seconds

``progress`` and ``until`` count the study's ``unit``. ``score`` is what the strategy ranks by, lower is better; null
(not finite) means diverged somewhere up to ``progress``, and ``metrics`` is empty then. Of several ``objectives`` it is
the first. Figures of merit are among the metrics, as people count them; null where a target was not reached. ``old`` is
the config before the order. An heir goes on from its donor's progress, which for a donor in training is the one that
this training began at; ``donor_changes`` counts the donor's starts, sets and inherits so far. ``layers`` says of each
layer of the heir whether it is the donor's (true) or fresh (false); it follows the orders.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from shoal.errors import StudyError
from shoal.manager.journal import Event, journal_path, read_journal
from shoal.merit import Objective, read_objectives
from shoal.search.protocol import AUDITED, Config, Report
from shoal.search.ranking import extended

FORMAT = 1

Status: TypeAlias = Literal["running", "waiting", "paused", "completed", "stopped", "diverged"]
Metrics: TypeAlias = dict[str, float]
Layers: TypeAlias = dict[str, bool]  # of an heir, in order: whether each was inherited; else it is fresh


@dataclass(frozen=True)
class Change:
    """From ``progress`` on a trial had this config; with a donor, also the donor's weights at that point."""

    progress: int
    config: Config
    why: str
    donor: int | None = None
    donor_changes: int = 0  # changes the donor itself had behind it then
    before: int = 0  # the trial's progress until then; a donor's may be another
    points: int = 0  # points that its curve had then
    reports: int = 0  # that it had made then
    layers: Layers | None = None  # of an heir whose structure is not its donor's

    @property
    def fresh(self) -> tuple[str, ...]:
        """The layers of an heir that are not its donor's."""
        return tuple(name for name, inherited in (self.layers or {}).items() if not inherited)


@dataclass(frozen=True)
class Step:
    """A piece of the training that made some weights: from ``progress`` on, as this trial and with this config.

    The trial is part of it because its id is the key of the data order, of dropout and of the first weights.
    """

    trial: int
    progress: int
    config: Config


@dataclass(frozen=True)
class Leader:
    """A report that no other dominates, and how its trial came to it.

    Attributes:
        report: The report.
        descent: The steps that led to it, inheritance followed back to the start.
        changes: How many starts, sets and inherits the trial had behind it then.
        since: Progress at which the training began whose mean loss is its ``train_loss``.
    """

    report: Report
    descent: list[Step]
    changes: int
    since: int

    @property
    def schedule(self) -> list[tuple[int, Config]]:
        """The (progress, config) steps that led to it."""
        return _schedule(self.descent)


@dataclass
class Trial:
    """The record of one trial."""

    id: int
    changes: list[Change] = field(default_factory=list)
    curve: list[tuple[int, Metrics]] = field(default_factory=list)  # (progress, metrics)
    reports: list[Report] = field(default_factory=list)
    progress: int = 0
    since: int = 0  # the progress at which its present training began
    status: Status = "running"
    why: str = ""  # the last order's reason
    audited: int | None = None  # the progress at which it would have been stopped, but was trained on to see
    diverged: bool = False  # its last report was not finite, and it has inherited nothing since

    @property
    def alive(self) -> bool:
        """It may still be trained, so its state is kept."""
        return self.status in ("running", "waiting", "paused")

    def owes(self, report: Report) -> bool:
        """Tell whether it is to an audit that a report of this trial was made."""
        return self.audited is not None and report.progress > self.audited

    @property
    def config(self) -> Config:
        """The config it has now."""
        return self.changes[-1].config

    @property
    def configs(self) -> list[tuple[int, Config]]:
        """Its own configs over time, as (progress, config). ``StudyRecord.schedule`` follows the weights instead."""
        return [(change.progress, change.config) for change in self.changes]

    @property
    def parents(self) -> list[tuple[int, int]]:
        """When it took over whose weights, as (progress, donor)."""
        return [(change.progress, change.donor) for change in self.changes if change.donor is not None]

    @property
    def score(self) -> float:
        """The score of its last report, lower is better; nan before the first."""
        return self.reports[-1].score if self.reports else math.nan


class StudyRecord:
    """All that happened in a study.

    Attributes:
        header: The ``study`` event.
        trials: By id.
        running: Trials that are to be trained, with their ``until``, in the order in which they were ordered to.
        spent: Progress made, summed over trials, in the study's unit; a diverged trial counts up to its ``until``.
        front: The reports that no report ever made dominates, best in the first objective first; with one objective
            the best report alone.
        seconds: Time spent up to the last snapshot.
        ended: The study has come to its end.
    """

    def __init__(self) -> None:
        self.header: Event = {}
        self.trials: dict[int, Trial] = {}
        self.running: dict[int, int] = {}
        self.spent = 0
        self.front: list[Leader] = []
        self.seconds = 0.0
        self.ended = False

    @classmethod
    def read(cls, path: str | Path) -> StudyRecord:
        """Read a journal, or the journal of a study's directory.

        Raises:
            StudyError: It cannot be read, or an event in it makes no sense; the message names the line.
        """
        path = journal_path(path)
        record = cls()
        for number, _, event in read_journal(path):
            with event_at(f"{path}, line {number}"):
                record.apply(event)
        if not record.header:
            raise StudyError(f"{path}: an empty journal")
        return record

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the trials are ranked by."""
        return read_objectives(self.header)

    @property
    def best_report(self) -> Report | None:
        """The best report ever, None before the first finite one; of several objectives, the best in the first."""
        return self.front[0].report if self.front else None

    @property
    def best_schedule(self) -> list[tuple[int, Config]]:
        """The (progress, config) steps that led to it, inheritance followed back to the start."""
        return self.front[0].schedule if self.front else []

    @property
    def best(self) -> int | None:
        """The id of the trial with the best report ever."""
        return None if self.best_report is None else self.best_report.trial

    @property
    def best_score(self) -> float:
        """The best score ever reported, lower is better; nan before the first finite one."""
        return math.nan if self.best_report is None else self.best_report.score

    @property
    def best_progress(self) -> int:
        """How far the best trial was when it reported its best score."""
        return 0 if self.best_report is None else self.best_report.progress

    @property
    def audits(self) -> list[Trial]:
        """The trials that would have been stopped, and were trained on so that the cost is known."""
        return [trial for trial in self.trials.values() if trial.audited is not None]

    @property
    def audit_regret(self) -> float:
        """What stopping the audited trials would have cost; nan where there is none.

        It is by how much the best score that is owed to the audits is better than all others, 0 where it is not.
        """
        if not self.audits:
            return math.nan
        reports = [(trial, report) for trial in self.trials.values() for report in trial.reports if not report.diverged]
        others = [report.score for trial, report in reports if not trial.owes(report)]
        owed = [report.score for trial, report in reports if trial.owes(report)]
        return max(0.0, min(others) - min(owed)) if owed else 0.0

    def figure(self, score: float) -> float:
        """Return a score as the user counts it: in the metric's own direction."""
        return self.objectives[0].figure(score)

    def figures(self, report: Report) -> tuple[float, ...]:
        """Return the value of each objective in a report, as the user counts it."""
        scores = report.objectives or (report.score,)
        return tuple(each.figure(score) for each, score in zip(self.objectives, scores, strict=False))

    def schedule(self, trial: int, progress: int | None = None) -> list[tuple[int, Config]]:
        """Return the (progress, config) steps that made the weights of a trial, back through its donors to the start.

        Args:
            trial: Its id.
            progress: Where to look at it, the last time it was there; by default where it stands now.
        """
        changes = self.trials[trial].changes
        last = max((n for n, each in enumerate(changes, 1) if progress is None or each.progress < progress), default=1)
        return _schedule(self._descent(trial, last))

    def _descent(self, trial: int, count: int) -> list[Step]:
        """Return the steps behind a trial's first ``count`` changes, first ancestor first."""
        steps = []
        while count:
            change = self.trials[trial].changes[count - 1]
            steps.append(Step(trial, change.progress, change.config))
            trial, count = (trial, count - 1) if change.donor is None else (change.donor, change.donor_changes)
        return steps[::-1]

    def past(self, trial: int) -> Iterator[tuple[int, Metrics]]:
        """Yield the points of the curve that led to a trial's present weights, inheritance followed back to the start.

        The oldest comes first. Nothing is done before the first is asked for.
        """
        pieces: list[Sequence[tuple[int, Metrics]]] = []
        count, end = len(self.trials[trial].changes), math.inf
        while count:
            change, *later = self.trials[trial].changes[count - 1 : count + 1]
            points = self.trials[trial].curve[change.points : later[0].points if later else None]
            pieces.append([point for point in points if point[0] <= end])
            count -= 1
            if change.donor is not None:
                trial, count, end = change.donor, change.donor_changes, change.progress
        for piece in reversed(pieces):
            yield from piece

    def apply(self, event: Event) -> None:
        """Take the next event.

        Raises:
            StudyError: It is not known, or of a format that this version does not read.
        """
        match event["event"]:
            case "study":
                if event["format"] != FORMAT:
                    raise StudyError(f"format must be {FORMAT}, got {event['format']}")
                self.header = event
            case "order":
                self._order(event)
            case "layers":
                changes = self.trials[event["trial"]].changes
                changes[-1] = replace(changes[-1], layers=dict(event["layers"]))
            case "point":
                self._advance(event)
            case "report":
                self._report(event)
            case "snapshot":
                self.seconds = event["seconds"]
            case "end":
                self.seconds = event["seconds"]
                self.ended = True
            case "ask":
                pass
            case unknown:
                raise StudyError(f"unknown event {unknown!r}")

    def _order(self, event: Event) -> None:
        kind, id = event["order"], event["trial"]
        if kind == "start":
            self.trials[id] = Trial(id)
        trial = self.trials[id]
        trial.why = event["why"]
        if kind == "resume" and trial.why.startswith(AUDITED):
            trial.audited = trial.progress
        if "config" in event:
            donor = event.get("donor"), event.get("donor_changes", 0)
            before = trial.progress, len(trial.curve), len(trial.reports)
            progress = event.get("donor_progress", trial.progress)
            trial.changes.append(Change(progress, event["config"], trial.why, *donor, *before))
        if "donor" in event:
            trial.progress = event["donor_progress"]
            trial.diverged = False
        if "until" in event:
            trial.since = trial.progress
            trial.status = "running"
            self.running[id] = event["until"]
        else:
            trial.status = "paused" if kind == "pause" else _end_status(trial.why)
            self.running.pop(id, None)

    def _advance(self, event: Event) -> Trial:
        trial = self.trials[event["trial"]]
        self.spent += event["progress"] - trial.progress
        trial.progress = event["progress"]
        if event["metrics"]:
            trial.curve.append((trial.progress, numbers(event["metrics"])))
        return trial

    def _report(self, event: Event) -> None:
        report, since = as_report(event), self.trials[event["trial"]].progress
        trial = self._advance(event)
        trial.reports.append(report)
        trial.diverged = not math.isfinite(report.score)
        trial.status = "waiting"
        self.running.pop(trial.id, None)
        known = {id(leader.report): leader for leader in self.front}
        reports = extended([leader.report for leader in self.front], report)
        self.front = [known.get(id(each)) or self._leader(each, since) for each in reports]

    def _leader(self, report: Report, since: int) -> Leader:
        changes = len(self.trials[report.trial].changes)
        return Leader(report, self._descent(report.trial, changes), changes, since)


def _schedule(descent: Iterable[Step]) -> list[tuple[int, Config]]:
    # A config that was replaced before any training had no effect: of equal progress the last one counts.
    return list({step.progress: step.config for step in descent}.items())


@contextmanager
def event_at(place: str) -> Iterator[None]:
    """Say where an event is that makes no sense."""
    try:
        yield
    except StudyError as error:
        raise StudyError(f"{place}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StudyError(f"{place}: not an event of this study: {error!r}") from None


def as_report(event: Event) -> Report:
    """Return the report as the strategy saw it: a score that is not finite is inf."""
    score = _number(event["score"])
    return Report(
        event["trial"],
        event["progress"],
        math.inf if math.isnan(score) else score,
        numbers(event["metrics"]),
        tuple(event.get("objectives", ())),
    )


def numbers(metrics: Mapping[str, Any]) -> Metrics:
    """Return metrics as floats, those that are not finite as nan, whether they come from a worker or from a journal."""
    return {name: _number(value) for name, value in metrics.items()}


def _number(value: float | None) -> float:
    return float(value) if value is not None and math.isfinite(value) else math.nan


def _end_status(why: str) -> Status:
    return "completed" if why == "completed" else "diverged" if why == "diverged" else "stopped"
