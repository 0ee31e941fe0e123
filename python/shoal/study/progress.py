"""What a study shows while it runs: a live table in a terminal, elsewhere a line for each tenth of the budget."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeAlias

from shoal.manager.listener import Listener, Round
from shoal.manager.record import StudyRecord
from shoal.manager.timesheet import Crew, in_words
from shoal.search.protocol import Plan

QUIET = 600.0  # seconds of a study, after which a line comes although its tenth is not done

Progress: TypeAlias = bool | Listener | Callable[[StudyRecord, Round], None]


def listener(progress: Progress, crew: Crew | None = None) -> Listener:
    """Return the listener that ``Study.run`` was asked for; ``crew``: the ranks of a study over several."""
    if isinstance(progress, Listener):
        return progress
    if isinstance(progress, bool):
        return _display(crew) if progress else Listener()
    if not callable(progress):
        raise ValueError(f"progress: must be True, False, a Listener or a function, got {progress!r}")
    return _Calls(progress)


def _display(crew: Crew | None) -> Listener:
    if not sys.stderr.isatty():
        return Lines(crew)
    from rich.console import Console

    from shoal.report.live import LiveTable

    return LiveTable(Console(stderr=True), crew)


class Lines(Listener):
    """Writes lines to stderr: they suit a notebook and the log of a batch job."""

    def __init__(self, crew: Crew | None = None) -> None:
        self._crew = crew

    def on_start(self, record: StudyRecord, plan: Plan) -> None:
        """Say where it begins, or goes on."""
        self._plan = plan
        self._say(record, record.seconds)

    def on_round(self, record: StudyRecord, stats: Round) -> None:
        """Say how far it is when another tenth is done, or nothing was said for long."""
        if self._done(record) > self._tenths or stats.seconds - self._said >= QUIET:
            self._say(record, stats.seconds)

    def on_end(self, record: StudyRecord) -> None:
        """Say where it has ended, and how well the ranks were used."""
        if record.ended and record.spent > self._spent:
            self._say(record, record.seconds)
        if self._crew is not None and any(self._crew.timesheet.busy):
            print(in_words(self._crew.timesheet.utilisation), file=sys.stderr)

    def _done(self, record: StudyRecord) -> int:
        return 10 * record.spent // self._plan.budget

    def _say(self, record: StudyRecord, seconds: float) -> None:
        self._tenths, self._spent, self._said = self._done(record), record.spent, seconds
        done = f"{record.spent:,} of {self._plan.budget:,} {self._plan.unit}, {seconds:.1f} s"
        line = f"{record.header['strategy']['name']}: {done}"
        if record.best is not None:
            best = record.figure(record.best_score)
            line += f", best {record.objectives[0].label} {best:.4g} by trial {record.best}"
            line += "" if self._crew is None else _place(self._crew, record.best)
        print(line, file=sys.stderr)


def _place(crew: Crew, trial: int) -> str:
    """Return where a trial is; nothing of one that was stopped."""
    return f" on rank {crew.homes[trial]}" if trial in crew.homes else ""


class _Calls(Listener):
    def __init__(self, call: Callable[[StudyRecord, Round], None]) -> None:
        self._call = call

    def on_round(self, record: StudyRecord, stats: Round) -> None:
        self._call(record, stats)
