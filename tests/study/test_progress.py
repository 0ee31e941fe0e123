"""What a study shows while it runs: lines, or a table in a terminal, or what a user's function makes of it."""

import pytest
from tests.study.studies import study

from shoal import search
from shoal.manager.listener import Listener, Round
from shoal.manager.record import StudyRecord
from shoal.manager.timesheet import Timesheet
from shoal.search.protocol import Plan
from shoal.study.progress import Lines

HEADER = {
    "event": "study",
    "format": 1,
    "metric": "accuracy",
    "mode": "max",
    "unit": "epochs",
    "strategy": {"name": "PBT"},
}


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
        "PBT: 0 of 10 epochs, 0.0 s",
        "PBT: 5 of 10 epochs, 2.0 s, best accuracy 0.5 by trial 3 on rank 1",
        "PBT: 10 of 10 epochs, 2.0 s, best accuracy 0.75 by trial 4",
        "2 ranks trained 85.0% of the time, the least rank 0 with 80.0%",
    ]


def test_in_one_process_nobody_speaks_of_ranks(capsys):
    watch(Lines())
    assert "rank" not in capsys.readouterr().err


def test_a_study_that_had_ended_says_nothing_of_its_ranks(capsys, now):
    now[0] += 10
    watch(Lines(Crew()))
    assert "ranks trained" not in capsys.readouterr().err


def test_progress_can_be_a_function_or_a_listener():
    seen = []
    study(rows=2).run(progress=lambda record, stats: seen.append((stats.trained, record.spent)))
    assert seen[0] == ((0, 1), 2)
    assert seen[-1] == ((4,), 15)

    class Ear(Listener):
        def on_end(self, record):
            seen.append(record.ended)

    study().run(progress=Ear())
    assert seen[-1] is True


def test_progress_is_a_line_for_each_tenth(capsys, tmp_path):
    result = study(strategy=search.Random(trials=20, epochs=1), rows=1, directory=tmp_path).run()
    lines = capsys.readouterr().err.splitlines()
    assert [int(line.split()[1]) for line in lines] == list(range(0, 21, 2))
    assert lines[-1].startswith("Random: 20 of 20 epochs, ")
    assert lines[-1].endswith(f" s, best accuracy {result.best.score:.4g} by trial {result.best.id}")
    study(strategy=search.Random(trials=20, epochs=1), rows=1, directory=tmp_path).run()
    assert capsys.readouterr().err.splitlines()[0].startswith("Random: 20 of 20 epochs, ")


def test_the_end_is_told_where_it_comes_before_the_last_tenth(capsys):
    result = study(strategy=search.ASHA(trials=9, max_epochs=9)).run()
    lines = capsys.readouterr().err.splitlines()
    spent, budget = result.record.spent, 9 * 9
    assert spent % (budget / 10) > 1
    assert [line.split()[1] for line in lines].count(str(spent)) == 1
    assert lines[-1].startswith(f"ASHA: {spent} of {budget} epochs, ")


def test_nobody_waits_long_for_a_line(capsys):
    lines, record = Lines(), StudyRecord()
    record.apply(HEADER)
    lines.on_start(record, Plan(2, 10, "epochs"))
    for seconds in (599.0, 600.0, 601.0, 1200.0):
        lines.on_round(record, Round(1, seconds, ()))
    said = capsys.readouterr().err.splitlines()
    assert said == [f"PBT: 0 of 10 epochs, {seconds:.1f} s" for seconds in (0, 600, 1200)]


def test_in_a_terminal_progress_is_a_table(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    study().run()
    assert "15 of 15 epochs" in capsys.readouterr().err


def test_wrong_progress_is_named():
    with pytest.raises(ValueError, match="progress: must be True, False, a Listener or a function, got 3"):
        study().run(progress=3)
