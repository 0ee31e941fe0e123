"""A study while it runs: a progress bar and a table of the leading trials in a terminal."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from shoal.manager.listener import Listener, Round
from shoal.manager.record import StudyRecord, Trial
from shoal.manager.timesheet import Crew, in_words
from shoal.report.axes import entry
from shoal.search.protocol import Plan

SHOWN = 10  # trials, and ranks
SECONDS = 0.2  # between two frames, at least
BAR, LEAST = 32, 8  # characters of the progress bar, at most and at least; with less room there is none
CURVE = 16  # characters of a learning curve, at most
BLOCKS = "▁▂▃▄▅▆▇█"


class LiveTable(Listener):
    """Draws the study into a terminal, and leaves the last picture there; ``crew``: the ranks, if it has several."""

    def __init__(self, console: Console, crew: Crew | None = None) -> None:
        self._console, self._crew = console, crew

    def on_start(self, record: StudyRecord, plan: Plan) -> None:
        """Open the picture."""
        self._plan = plan
        self._time = record.seconds, time.monotonic()
        self._look(record)
        self._live = Live(get_renderable=self._picture, console=self._console, refresh_per_second=2)
        self._live.start(refresh=True)

    def on_round(self, record: StudyRecord, stats: Round) -> None:
        """Draw again, unless the last picture is very young."""
        self._time = stats.seconds, time.monotonic()
        if time.monotonic() - self._looked >= SECONDS:
            self._look(record)
            self._live.refresh()

    def on_end(self, record: StudyRecord) -> None:
        """Draw the end."""
        self._time = self._clock, math.inf
        self._look(record)
        self._live.stop()

    @property
    def _clock(self) -> float:
        seconds, since = self._time
        return seconds + max(0.0, time.monotonic() - since)

    def _look(self, record: StudyRecord) -> None:
        """Take from the record what the picture shows: it is drawn by a thread of its own too, while the clock runs."""
        self._looked = time.monotonic()
        self._done, self._ended = record.spent, record.ended
        seconds, _ = self._time
        speed = _speed(self._done / seconds, self._plan.unit) if self._done and seconds else ""
        self._words = Text(record.header["strategy"]["name"], style="bold"), speed, _events(record)
        homes = None if self._crew is None else self._crew.homes
        trials = [leaders(record, self._console.width, homes)] if record.trials else []
        crew = [ranks(self._crew)] if self._crew is not None else []
        self._tables = Group(*trials, *crew)

    def _picture(self) -> Group:
        name, speed, events = self._words
        done = f"{self._done:,} of {self._plan.budget:,} {self._plan.unit}"
        words = Text("  ").join(Text.assemble(each) for each in (done, f"{self._clock:.1f} s", speed, events) if each)
        room = self._console.width - len(name) - len(words) - 4
        # A search may need less than its budget: the bar is full all the same.
        bar = ProgressBar(
            total=self._done if self._ended else self._plan.budget, completed=self._done, width=min(room, BAR)
        )
        row = Table.grid(padding=(0, 2))
        row.add_row(name, *([bar] if room >= LEAST else []), words)
        return Group(row, self._tables)


def ranks(crew: Crew) -> Group:
    """What each rank does: the trials that it has, and how much of the time it trains; of many, the idlest ones."""
    trials, utilisation = Counter(crew.homes.values()), crew.timesheet.utilisation
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("rank", "trials", "trained", "of the time"):
        table.add_column(name, justify="right")
    shown = sorted(sorted(range(len(utilisation)), key=utilisation.__getitem__)[:SHOWN])
    for rank in shown:
        table.add_row(str(rank), str(trials[rank]), f"{crew.timesheet.busy[rank]:.1f} s", f"{utilisation[rank]:.1%}")
    if len(utilisation) > SHOWN:
        table.add_row(Text(f"+{len(utilisation) - SHOWN}", style="dim"))
    return Group(Text(in_words(utilisation)), table)


def leaders(record: StudyRecord, width: int, homes: Mapping[int, int] | None = None) -> Table:
    """The best trials now, with as many of their hyperparameters as fit, and the rank of each where there are any."""
    objective = record.objectives[0]
    metric = objective.curve
    names = [name for name, value in record.header["space"].items() if isinstance(value, dict)]
    names = names[: max(0, (width - 50) // 13)]
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("trial", justify="right")
    table.add_column(record.header["unit"], justify="right")
    table.add_column(metric, justify="right", style="bold")
    curve = max(4, min(CURVE, width - 34))
    table.add_column("curve", width=curve, no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    if inherits := any(trial.parents for trial in record.trials.values()):
        table.add_column("from", justify="right", style="dim")
    if homes is not None:
        table.add_column("rank", justify="right", style="dim")
    sign = -1.0 if objective.maximise else 1.0
    ranked = sorted(record.trials.values(), key=lambda trial: (_order(trial, metric, sign), trial.id))
    for trial in ranked[:SHOWN]:
        donor = [str(trial.parents[-1][1] if trial.parents else "")] if inherits else []
        rank = [] if homes is None else [str(homes.get(trial.id, ""))]
        table.add_row(*_row(trial, metric, names, curve), *donor, *rank)
    if len(ranked) > SHOWN:
        table.add_row(Text(f"+{len(ranked) - SHOWN}", style="dim"))
    return table


def sparkline(values: Sequence[float], width: int = CURVE) -> str:
    """The course of a metric in ``width`` characters, from its own lowest to its own highest value."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    shown = [finite[i * len(finite) // width] for i in range(width)] if len(finite) > width else finite
    low, span = min(shown), (max(shown) - min(shown)) or 1.0
    return "".join(BLOCKS[round((value - low) / span * (len(BLOCKS) - 1))] for value in shown)


def _speed(speed: float, unit: str) -> str:
    return f"{speed:,.0f} {unit}/s" if speed >= 10 else f"{speed:.2g} {unit}/s"


def _row(trial: Trial, metric: str, names: Sequence[str], width: int) -> list[Any]:
    last = _last(trial, metric)
    config = [entry(trial.config, name) for name in names]
    curve = sparkline([metrics.get(metric, math.nan) for _, metrics in trial.curve], width)
    shown = "diverged" if trial.diverged else f"{last:.4f}" if math.isfinite(last) else ""
    return [str(trial.id), str(trial.progress), shown, curve, *config]


def _order(trial: Trial, metric: str, sign: float) -> float:
    last = _last(trial, metric)
    return math.inf if trial.diverged or not math.isfinite(last) else sign * last


def _last(trial: Trial, metric: str) -> float:
    return trial.curve[-1][1].get(metric, math.nan) if trial.curve else math.nan


def _events(record: StudyRecord) -> Text:
    copies = sum(len(trial.parents) for trial in record.trials.values())
    diverged = sum(trial.diverged for trial in record.trials.values())
    words = [f"{copies} copies"] if copies else []
    words += [f"{diverged} diverged"] if diverged else []
    return Text(", ".join(words), style="dim")
