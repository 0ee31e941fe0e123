"""What a study shows while it runs: a live table in a terminal, elsewhere a line for each tenth of the budget."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeAlias

from shoal.manager.listener import Listener, Round
from shoal.manager.record import StudyRecord
from shoal.search.protocol import Plan

Progress: TypeAlias = bool | Listener | Callable[[StudyRecord, Round], None]


def listener(progress: Progress) -> Listener:
    """Return the listener that ``Study.run`` was asked for."""
    if isinstance(progress, Listener):
        return progress
    if isinstance(progress, bool):
        return _display() if progress else Listener()
    if not callable(progress):
        raise ValueError(f"progress: must be True, False, a Listener or a function, got {progress!r}")
    return _Calls(progress)


def _display() -> Listener:
    if not sys.stderr.isatty():
        return Lines()
    from rich.console import Console

    from shoal.report.live import LiveTable

    return LiveTable(Console(stderr=True))


class Lines(Listener):
    """Writes lines to stderr: they suit a notebook and the log of a batch job."""

    def on_start(self, record: StudyRecord, plan: Plan) -> None:
        """Say where it goes on."""
        self._plan = plan
        self._tenths = self._done(record)
        if record.spent:
            self._say(record, record.seconds)

    def on_round(self, record: StudyRecord, stats: Round) -> None:
        """Say how far it is when another tenth is done."""
        if self._done(record) > self._tenths:
            self._tenths = self._done(record)
            self._say(record, stats.seconds)

    def _done(self, record: StudyRecord) -> int:
        return 10 * record.spent // self._plan.budget

    def _say(self, record: StudyRecord, seconds: float) -> None:
        line = f"{record.spent} of {self._plan.budget} {self._plan.unit}, {seconds:.1f} s"
        if record.best is not None:
            best = record.figure(record.best_score)
            line += f", best {record.objectives[0].label} {best:.4g} by trial {record.best}"
        print(line, file=sys.stderr)


class _Calls(Listener):
    def __init__(self, call: Callable[[StudyRecord, Round], None]) -> None:
        self._call = call

    def on_round(self, record: StudyRecord, stats: Round) -> None:
        self._call(record, stats)
