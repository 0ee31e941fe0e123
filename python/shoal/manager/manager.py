"""The in-process manager: asks the strategy, trains its trials round by round, tells it what came out.

A round trains up to ``worker.rows`` trials, each to its next point, so rows that a stop has freed are filled at once.
It ends when the worker returns: with all of them, or with some, while the others stay in flight and come in a later
round. Reports of a round are told in the order of the trials' ids. Everything that happens is an event, and the record
is the sum of the events: it, the strategy and the worker's states are all there is. The journal restores the first two,
a snapshot the third.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

from shoal.errors import StudyError
from shoal.manager.interrupts import interrupts
from shoal.manager.journal import Event, Line
from shoal.manager.keeper import Keeper
from shoal.manager.listener import Listener, Round
from shoal.manager.record import Metrics, StudyRecord, as_report
from shoal.manager.replay import order_events, replay
from shoal.manager.snapshot import Snapshot, State
from shoal.manager.worker import Worker, blame
from shoal.merit import Objective, read_objectives
from shoal.search.protocol import Inherit, Order, Report, Set, Start, Stop, Strategy
from shoal.search.ranking import extended

Signals: TypeAlias = Callable[[tuple[int, ...]], Iterable[tuple[int, ...]]]


class Manager:
    """Carries out a strategy, once.

    Args:
        strategy: Bound, and fresh.
        worker: Trains; fresh as well.
        header: The ``study`` event.
        store: Where the study is kept; None keeps it in memory only.
        objectives: What to rank by; by default what the header says.
        record_every: Distance of the points of a curve, in the study's unit; None for reports only.
        listener: Watches.
        signals: Called between rounds with the signals that this process has caught; returns those of all ranks.
        quiet: Say nothing when a signal comes: another rank does.

    Attributes:
        record: What has happened.
        front_states: The states of the trials of the record's front, at their reports.
    """

    def __init__(
        self,
        strategy: Strategy,
        worker: Worker,
        header: Event,
        *,
        store: Keeper | None = None,
        objectives: Sequence[Objective] | None = None,
        record_every: int | None = None,
        listener: Listener | None = None,
        signals: Signals = lambda caught: [caught],
        quiet: bool = False,
    ) -> None:
        self.record = StudyRecord()
        self.front_states: list[State] = []
        self._due: set[int] = set()  # trials that are to be trained, and that the worker does not train yet
        self._flying: dict[int, int] = {}  # those that it does, and up to where
        self._origins: dict[int, State] = {}  # what trainings began with that are under way, where their donors train
        self._strategy, self._worker, self._header, self._store = strategy, worker, header, store
        self._objectives = read_objectives(header) if objectives is None else objectives
        self._every = record_every
        self._listener = listener or Listener()
        self._signals, self._quiet = signals, quiet

    def run(self) -> int | None:
        """Go on until the strategy has finished: None; or until a signal came: its number.

        Raises:
            StudyError: The directory cannot be used, or a user's trainable failed.
        """
        if self._store is None:
            self._begin([], Snapshot())
            return self._rounds([])  # nothing can be saved, so a signal acts at once
        with self._store.open() as (lines, snapshot), interrupts(self._quiet) as caught:
            self._begin(lines, snapshot)
            del lines, snapshot  # its states may be large, and are the worker's now
            return self._rounds(caught)

    def _begin(self, lines: Sequence[Line], snapshot: Snapshot) -> None:
        if not lines:
            self._note(self._header)
        replay(lines, self.record, self._strategy)
        self.front_states, self._origins = snapshot.front, dict(snapshot.origins)
        self._due = set(self.record.running)
        for trial in self.record.trials.values():
            if trial.alive:
                self._worker.restore(trial.id, trial.config, snapshot.states[trial.id])
        self._since = time.monotonic() - self.record.seconds

    def _rounds(self, caught: Sequence[int]) -> int | None:
        self._listener.on_start(self.record, self._strategy.plan())
        try:
            number, signal = 0, self._signal(caught)
            while not self._strategy.finished and signal is None:
                number += 1
                self._fill()
                trained = self._round()
                self._keep()
                self._listener.on_round(self.record, Round(number, self._seconds, trained))
                signal = self._signal(caught)
            if self._flying:
                self._take(self._worker.pause())
            if number:
                self._save()
            if not self._strategy.finished:
                return signal
            self._note({"event": "end", "seconds": self._seconds})
            self._keep()
            return None
        finally:
            self._listener.on_end(self.record)

    def _signal(self, caught: Sequence[int]) -> int | None:
        """Return the first signal that any rank has caught: all of them stop after the same round."""
        return next((number for each in self._signals(tuple(caught)) for number in each), None)

    # One round

    def _fill(self) -> None:
        free = self._worker.rows - len(self.record.running)
        if free > 0:
            self._note({"event": "ask", "free": free})
            self._carry_out(self._strategy.ask(free))
        if not self.record.running and not self._strategy.finished:
            raise RuntimeError(f"{type(self._strategy).__name__} waits for reports, but no trial is running")

    def _round(self) -> tuple[int, ...]:
        """Train; return the trials that have come to their next points."""
        due = self._next()
        diverged = [trial for trial in due if self.record.trials[trial].diverged]
        targets = {trial: self._next_point(trial) for trial in due if trial not in diverged}
        if self._strategy.donors_train:
            self._origins |= {trial: self._worker.state(trial) for trial in targets if trial not in self._origins}
        self._flying |= targets
        self._due -= targets.keys()
        return self._take(self._worker.train(targets) if self._flying else {}, diverged)

    def _take(self, metrics: Mapping[int, Metrics], diverged: Sequence[int] = ()) -> tuple[int, ...]:
        """Carry out what follows from the metrics of trials, and of those that diverged before; return the former."""
        self._due |= metrics.keys()
        trained = {trial: (self._flying.pop(trial), found) for trial, found in metrics.items()}
        trained |= {trial: (0, {}) for trial in diverged}
        outcomes = [self._outcome(trial, *trained[trial]) for trial in sorted(trained)]
        reports = [event for event in outcomes if event["event"] == "report"]
        self._keep_front(map(as_report, reports))  # before an order overwrites them
        for event in outcomes:
            if event["event"] == "point":
                self._note(event)
        for event in reports:
            self._note(event)
            self._origins.pop(event["trial"], None)
            self._carry_out(self._strategy.tell(as_report(event)))
        return tuple(sorted(metrics))

    def _next(self) -> list[int]:
        """Return the trials that are due and have a row; who was ordered first has one first."""
        running, rows = self.record.running, self._worker.rows
        return sorted(self._due if len(running) <= rows else self._due.intersection(islice(running, rows)))

    def _next_point(self, trial: int) -> int:
        until = self.record.running[trial]
        if self._every is None:
            return until
        return min(until, (self.record.trials[trial].progress // self._every + 1) * self._every)

    def _outcome(self, trial: int, progress: int, metrics: Metrics) -> Event:
        """Return a point, or a report at the trial's ``until``: a diverged trial gets there without being trained."""
        until = self.record.running[trial]
        scores = [self._score(trial, progress, metrics, each) for each in self._objectives] if metrics else [math.inf]
        if not all(map(math.isfinite, scores)):
            return {"event": "report", "trial": trial, "progress": until, "score": None, "metrics": {}}
        figures = {each.label: each.figure(score) for each, score in zip(self._objectives, scores, strict=True)}
        point = {"event": "point", "trial": trial, "progress": progress, "metrics": metrics | figures}
        if progress < until:
            return point
        several = {"objectives": scores} if len(scores) > 1 else {}
        return {**point, "event": "report", "score": scores[0], **several}

    def _score(self, trial: int, progress: int, metrics: Metrics, objective: Objective) -> float:
        for name in objective.merit.needs:
            if name not in metrics:
                raise StudyError(f"metric: trial {trial} returned {', '.join(metrics)}, but no {name!r}")
        now, past = (progress, metrics), self.record.past(trial)
        config = self.record.trials[trial].config
        what = f"metric {objective.label} of {', '.join(metrics)}"
        return blame(trial, config, what, lambda: objective.score(now, past))

    def _keep_front(self, reports: Iterable[Report]) -> None:
        front = [leader.report for leader in self.record.front]
        known = {id(report): state for report, state in zip(front, self.front_states, strict=True)}
        for report in reports:
            front = extended(front, report)
        self.front_states = [known[id(each)] if id(each) in known else self._worker.state(each.trial) for each in front]

    def _carry_out(self, orders: Sequence[Order]) -> None:
        for event in order_events(orders, self.record):
            self._note(event)
        self._inherit([order for order in orders if isinstance(order, Inherit)])  # first, for the same orders may
        for order in orders:  # change or stop a donor
            match order:
                case Start():
                    self._worker.start(order.trial, order.config)
                case Set():
                    self._worker.set(order.trial, order.config)
                case Stop():
                    self._worker.stop(order.trial)

    def _inherit(self, orders: Sequence[Inherit]) -> None:
        moves = [(order.trial, order.donor, order.config) for order in orders]
        layers = self._worker.inherit(moves, self._origins) if moves else {}
        for trial in sorted(layers):
            self._note({"event": "layers", "trial": trial, "layers": layers[trial]})

    # What is kept

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._since

    def _note(self, event: Event) -> None:
        self.record.apply(event)
        if "trial" in event:
            self._look_at(event["trial"])
        if self._store is not None:
            self._store.append(event)

    def _look_at(self, trial: int) -> None:
        """Keep what is due up to date; all trials in training, gone through in every round, would be slow."""
        if trial in self.record.running and trial not in self._flying:
            self._due.add(trial)
        else:
            self._due.discard(trial)

    def _keep(self) -> None:
        if self._store is not None:
            self._store.flush()
            if self._store.due:
                self._save()

    def _save(self) -> None:
        if self._store is not None:
            states = {trial.id: self._worker.state(trial.id) for trial in self.record.trials.values() if trial.alive}
            self.record.apply(self._store.save(Snapshot(states, self.front_states, self._origins), self._seconds))
