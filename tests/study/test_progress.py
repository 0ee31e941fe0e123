"""The lines that a study writes where there is no terminal."""

import pytest

from shoal.manager.listener import Round
from shoal.manager.record import StudyRecord
from shoal.manager.timesheet import Timesheet
from shoal.search.protocol import Plan
from shoal.study.progress import Lines

HEADER = {"event": "study", "format": 1, "metric": "accuracy", "mode": "max", "unit": "epochs"}


class Crew:
    """Two ranks; the second one has the only trial that still lives."""

    def __init__(self):
        self.timesheet, self.homes = Timesheet(2), {3: 1}


@pytest.fixture
def now(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    return clock


def watch(lines):
    """Let two trials report."""
    record = StudyRecord()
    record.apply(HEADER)
    lines.on_start(record, Plan(2, 10, "epochs"))
    for trial, accuracy in ((3, 0.5), (4, 0.75)):
        record.apply({"event": "order", "order": "start", "trial": trial, "config": {}, "until": 5, "why": ""})
        done = {"trial": trial, "progress": 5, "score": -accuracy, "metrics": {"accuracy": accuracy}}
        record.apply({"event": "report", **done})
        lines.on_round(record, Round(1, 2.0, (trial,)))
    lines.on_end(record)


def test_lines_name_trials_and_their_ranks(capsys, now):
    crew = Crew()
    crew.timesheet.add(0, 6.0)
    crew.timesheet.add(0, 2.0)
    crew.timesheet.add(1, 9.0)
    now[0] += 10
    watch(Lines(crew))
    assert capsys.readouterr().err.splitlines() == [
        "5 of 10 epochs, 2.0 s, best accuracy 0.5 by trial 3 on rank 1",
        "10 of 10 epochs, 2.0 s, best accuracy 0.75 by trial 4",
        "2 ranks trained 85.0% of the time, the least rank 0 with 80.0%",
    ]


def test_in_one_process_nobody_speaks_of_ranks(capsys):
    watch(Lines())
    assert "rank" not in capsys.readouterr().err


def test_a_study_that_had_ended_says_nothing_of_its_ranks(capsys, now):
    now[0] += 10
    watch(Lines(Crew()))
    assert "ranks trained" not in capsys.readouterr().err
