"""The picture and the tables of a study with several objectives."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.image import imread

from shoal import report
from shoal.manager.record import StudyRecord
from shoal.report import Summary
from shoal.report.axes import amount
from shoal.report.pareto import pareto
from shoal.report.tables import caption, front, lines, scores, trials

TIME = {"name": "TimeToReach", "metric": "accuracy", "target": 0.9, "on": "seconds"}


@pytest.fixture
def weighed(journal, random_events):
    """A study of accuracy and parameters; a narrow network has few."""

    def write(metric=("accuracy", "parameters"), mode=("max", "min"), name="study"):
        events, width = random_events(trials=30, epochs=4), {}
        events[0] |= {"metric": list(metric), "mode": list(mode)}
        for event in events:
            if "config" in event:
                width[event["trial"]] = event["config"]["width"]
            if event["event"] in ("point", "report") and event["metrics"]["accuracy"] is not None:
                event["metrics"]["parameters"] = 100.0 * width[event["trial"]] ** 2
            if event["event"] == "report" and event["score"] is not None:
                values = {"accuracy": event["score"], "parameters": event["metrics"]["parameters"]}
                late = 2e18 if event["trial"] % 2 else 3.5  # 2e18: not reached
                event["objectives"] = [values[each] if isinstance(each, str) else late for each in metric]
                event["score"] = event["objectives"][0]
        return journal(events, name)

    return write


def test_the_front_is_what_nobody_beats(weighed):
    summary = Summary(StudyRecord.read(weighed()), {})
    picture = pareto(summary)
    ends = [trial.curve[-1][1] for trial in summary.record.trials.values() if not trial.diverged]
    points = {(end["parameters"], end["accuracy"]) for end in ends}
    want = {p for p in points if not any(q[0] <= p[0] and q[1] >= p[1] and q != p for q in points)}
    assert set(zip(picture.front.x, picture.front.y, strict=True)) == want
    assert len(picture.front.x) + len(picture.crowd.x) == len(ends)
    assert np.all(np.diff(picture.front.x) > 0)
    assert np.all(np.diff(picture.front.y) > 0)
    assert picture.bounded
    assert (picture.across.label, picture.up.label) == (
        "parameters, less is better",
        "validation accuracy, more is better",
    )
    assert picture.across.log
    assert not picture.up.log
    for side, values in ((picture.across, picture.front.x), (picture.up, picture.front.y)):
        assert side.low < values.min() <= values.max() < side.high
        assert len(side.ticks) > 1


def test_three_objectives_are_not_bounded_by_a_line_and_who_missed_the_target_is_left_out(weighed):
    directory = weighed(("parameters", TIME, "accuracy"), ("min", "max", "max"))
    summary = Summary(StudyRecord.read(directory), {})
    picture = pareto(summary)
    assert not picture.bounded
    assert set(picture.front.x) | set(picture.crowd.x) == {3.5}
    assert picture.up.label == "parameters, less is better"
    assert "not reached" in {row[2] for row in trials(summary, most=30).rows} <= {"not reached", "3.5", "diverged"}
    report.write(directory)


def test_the_report_shows_the_front(weighed):
    directory = weighed()
    page = report.write(directory).read_text(encoding="utf-8")
    assert "<h2>Pareto front</h2>" in page
    assert "The best in accuracy is trial" in page
    pixels = imread(directory / "pareto.png")[..., :3]
    assert pixels.shape[1] >= 1200
    assert np.ptp(pixels) > 0.8


def test_one_objective_has_no_front(journal, random_events):
    directory = journal(random_events(trials=3, epochs=4))
    assert "Pareto" not in report.write(directory).read_text(encoding="utf-8")
    assert not (directory / "pareto.png").exists()
    assert front(Summary(StudyRecord.read(directory), {})) is None


def test_tables_name_all_objectives(weighed):
    summary = Summary(StudyRecord.read(weighed()), {})
    assert scores(summary, None).header[:3] == ["", "validation accuracy", "parameters"]
    best = summary.record.best_report
    assert scores(summary, None).rows[0][1:3] == [amount(-best.score), amount(best.metrics["parameters"])]
    table = trials(summary)
    assert table.header[:4] == ["trial", "accuracy", "parameters", "epochs"]
    leaders = front(summary)
    assert [row[0] for row in leaders.rows] == [str(place) for place in range(1, len(leaders.rows) + 1)]
    assert leaders.rows[0][1] == str(summary.record.best)
    assert table.rows[0][0] in {row[1] for row in leaders.rows}  # the first of the first front
    assert len({len(line) for line in lines(leaders).splitlines()}) == 1
    assert caption(summary).startswith("The best in accuracy is trial")


def test_amounts_are_for_people():
    assert [amount(value) for value in (0.98261, 385.0, 61706.0, np.inf)] == ["0.9826", "385", "61,706", "not reached"]


def test_studies_of_other_objectives_cannot_be_compared(weighed):
    one, other = weighed(), weighed(("parameters", "accuracy"), ("min", "max"), "other")
    with pytest.raises(
        report.StudyError, match="parameters, accuracy over epochs, not accuracy, parameters over epochs"
    ):
        report.note(one, against=other)
