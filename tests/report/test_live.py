"""The live table, drawn into a text console."""

from __future__ import annotations

import io
import math
from types import SimpleNamespace

import pytest
from rich.console import Console

from shoal.manager.listener import Round
from shoal.manager.record import StudyRecord
from shoal.manager.timesheet import Timesheet
from shoal.report.live import LiveTable, leaders, ranks, sparkline
from shoal.search.protocol import Plan

HEADER = {
    "event": "study", "format": 1, "version": "0", "seed": 0, "metric": "accuracy", "mode": "max", "unit": "epochs",
    "space": {"lr": {"low": 0.1, "high": 1.0}, "width": {"choice": [8, 16]}, "beta1": 0.9}, "strategy": {"name": "PBT"},
}  # fmt: skip


def order(kind, trial, **more):
    return {"event": "order", "order": kind, "trial": trial, "why": "", **more}


def report(trial, progress, accuracy):
    metrics = {} if accuracy is None else {"accuracy": accuracy, "loss": 1.0}
    score = None if accuracy is None else -accuracy
    return {"event": "report", "trial": trial, "progress": progress, "score": score, "metrics": metrics}


@pytest.fixture
def record():
    record = StudyRecord()
    record.apply(HEADER)
    for trial in range(12):
        record.apply(order("start", trial, config={"lr": 0.1 + trial / 20, "width": 8, "beta1": 0.9}, until=2))
    for trial in range(11):
        record.apply(report(trial, 2, 0.5 + trial / 100))
    record.apply(report(11, 2, None))
    config = {"lr": 0.123, "width": 8, "beta1": 0.9}
    record.apply(order("inherit", 0, donor=10, config=config, until=4, donor_progress=2, donor_changes=1))
    return record


def draw(picture, width=100):
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(picture)
    return console.file.getvalue()


def test_the_best_come_first_and_the_diverged_last(record):
    lines = draw(leaders(record, 100)).splitlines()
    assert lines[0].split() == ["trial", "epochs", "accuracy", "curve", "lr", "width", "from"]  # constants are left out
    assert [line.split()[0] for line in lines[1:11]] == ["10", "9", "8", "7", "6", "5", "4", "3", "2", "1"]
    assert lines[11].split() == ["+2"]


def test_a_narrow_terminal_gets_fewer_hyperparameters(record):
    assert "width" not in draw(leaders(record, 65), width=65)


def test_an_heir_names_its_donor(record):
    record.apply(report(0, 4, 0.9))
    first = draw(leaders(record, 100)).splitlines()[1].split()
    assert first[0] == "0"
    assert first[-1] == "10"


def test_without_heirs_there_are_no_donors(record):
    for trial in record.trials.values():
        del trial.changes[1:]
    assert "from" not in draw(leaders(record, 100))


@pytest.mark.parametrize(("width", "lines"), [(40, 2), (60, 2), (80, 1), (120, 1)])
def test_a_narrow_terminal_keeps_words_whole(record, width, lines, monkeypatch):
    monkeypatch.setattr("shoal.report.live.time", SimpleNamespace(monotonic=lambda: 0.0))
    record.seconds = 0.013
    table = LiveTable(Console(file=io.StringIO(), width=width, force_terminal=True))
    table.on_start(record, Plan(64, 12_560, "epochs"))
    picture = draw(table._picture(), width)
    table.on_end(record)
    head = picture[: picture.index("\ntrial")]
    assert "…" not in picture
    assert " ".join(head.replace("━", "").split()).endswith(
        "24 of 12,560 epochs 0.0 s 1,846 epochs/s 1 copies, 1 diverged"
    )
    assert len(head.splitlines()) == lines


def test_the_bar_is_full_where_a_study_ends_below_its_budget(record):
    table = LiveTable(Console(file=io.StringIO(), width=100, force_terminal=True))
    table.on_start(record, Plan(12, 48, "epochs"))
    half = draw(table._picture(), 100)
    record.apply({"event": "end", "seconds": 1.0})
    table.on_end(record)
    full = draw(table._picture(), 100)
    assert (half.count("━"), full.count("━")) == (16, 32)
    assert "24 of 48 epochs" in full


def test_frames_show_budget_copies_and_diverged(record):
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    table = LiveTable(console)
    table.on_start(record, Plan(12, 48, "epochs"))
    table.on_round(record, Round(1, 2.0, tuple(range(12))))
    table.on_end(record)
    out = console.file.getvalue()
    for words in ("24 of 48 epochs", "12 epochs/s", "1 copies", "1 diverged"):
        assert words in out


def test_the_clock_runs_while_a_long_round_lasts(record, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    table = LiveTable(console)
    table.on_start(record, Plan(12, 48, "epochs"))
    now += 96
    table.on_round(record, Round(1, 96.0, tuple(range(12))))
    now += 33
    assert "129.0 s" in draw(table._picture(), 120)
    assert "0.25 epochs/s" in draw(table._picture(), 120)
    table.on_end(record)
    now += 99
    assert "129.0 s" in draw(table._picture(), 120)


def test_a_study_without_trials_can_be_drawn():
    record = StudyRecord()
    record.apply(HEADER)
    table = LiveTable(Console(file=io.StringIO(), width=80, force_terminal=True))
    table.on_start(record, Plan(1, 1, "epochs"))
    table.on_end(record)


class Crew:
    """Ranks that have trained for so many of 10 seconds, and have these trials."""

    def __init__(self, monkeypatch, busy, homes):
        now = 50.0
        monkeypatch.setattr("time.monotonic", lambda: now)
        self.timesheet, self.homes = Timesheet(len(busy)), homes
        for rank, seconds in enumerate(busy):
            self.timesheet.add(rank, seconds)
        now += 10


def test_ranks_are_shown_with_their_trials_and_utilisation(record, monkeypatch):
    crew = Crew(monkeypatch, [9.0, 8.0], {trial: int(trial > 3) for trial in range(11)})
    lines = draw(ranks(crew)).splitlines()
    assert lines[0].strip() == "2 ranks trained 85.0% of the time, the least rank 1 with 80.0%"
    assert lines[2].split() == ["0", "4", "9.0", "s", "90.0%"]
    assert lines[3].split() == ["1", "7", "8.0", "s", "80.0%"]
    leading = draw(leaders(record, 100, crew.homes)).splitlines()
    assert leading[0].split()[-1] == "rank"
    assert leading[1].split()[-1] == "1"  # trial 10
    console = Console(file=io.StringIO(), width=120, force_terminal=True)
    table = LiveTable(console, crew)
    table.on_start(record, Plan(12, 48, "epochs"))
    table.on_end(record)
    assert "2 ranks trained 85.0% of the time" in console.file.getvalue()


def test_of_many_ranks_the_idlest_are_shown(monkeypatch):
    crew = Crew(monkeypatch, [10 - abs(rank - 50) / 10 for rank in range(100)], {})
    lines = draw(ranks(crew)).splitlines()
    assert [int(line.split()[0]) for line in lines[2:-1]] == [0, 1, 2, 3, 4, 5, 96, 97, 98, 99]
    assert lines[-1].split() == ["+90"]


@pytest.mark.parametrize(
    ("values", "want"),
    [([], ""), ([math.nan], ""), ([1.0], "▁"), ([0, 1], "▁█"), ([3, math.nan, 1], "█▁"), (list(range(100)), 16)],
)
def test_sparkline(values, want):
    line = sparkline(values)
    assert len(line) == want if isinstance(want, int) else line == want
