"""The tables, and the study that another one is compared with where nobody says which."""

from __future__ import annotations

import shutil

import pytest
from tests.report.conftest import header, order

from shoal import report
from shoal.manager.record import StudyRecord
from shoal.report import Summary
from shoal.report.tables import audits, config, schedule, structures, trials


def test_the_best_trials_come_first_and_diverged_ones_last(journal, pbt_events):
    record = StudyRecord.read(journal(pbt_events(members=60, rounds=2, interval=1)))
    table = trials(Summary(record, {}), most=60)
    assert table.header[:5] == ["trial", "accuracy", "epochs", "status", "heir of"]
    assert table.header[5:] == ["lr", "momentum", "batch_size", "width", "dropout", "nesterov"]  # not the constant
    scores = [row[1] for row in table.rows]
    finite = [float(score) for score in scores if score != "diverged"]
    assert 0 < len(finite) < len(scores) == 60
    assert finite == sorted(finite, reverse=True)
    assert set(scores[len(finite) :]) == {"diverged"}
    donors = {row[0]: row[4] for row in table.rows}
    for trial in record.trials.values():
        assert donors[str(trial.id)] == (str(trial.parents[-1][1]) if trial.parents else "")
    assert trials(Summary(record, {}), most=7).rows == table.rows[:7]


def test_a_long_config_becomes_several_tables(journal, pbt_events):
    summary = Summary(StudyRecord.read(journal(pbt_events(members=6, rounds=2, interval=1))), {})
    (whole,), parts = config(summary, 9), config(summary, 3)
    assert [len(part.rows) for part in parts] == [3, 3, 1]
    assert whole.rows == [row for part in parts for row in part.rows]


def test_without_heirs_there_is_no_column_for_them(journal, random_events):
    table = trials(Summary(StudyRecord.read(journal(random_events(trials=3, epochs=4))), {}))
    assert "heir of" not in table.header
    assert {len(row) for row in table.rows} == {len(table.header)}


@pytest.mark.parametrize(
    ("metric", "label"),
    [("accuracy", "validation accuracy"), ("r2", "validation r2"), ("mse", "validation mse"), ("train_r2", "train r2")],
)
def test_the_part_of_the_data_is_named(metric, label):
    record = StudyRecord()
    record.apply(header("Random") | {"metric": metric})
    assert Summary(record, {}).label(0) == label


def test_the_fresh_layers_of_heirs_are_named(journal, pbt_events):
    events = []
    for event in pbt_events(members=20, rounds=8, interval=1):
        events.append(event)
        if event.get("order") == "inherit":
            layers = {"conv1": True, "dense1": False, "dense2": False}
            events.append({"event": "layers", "trial": event["trial"], "layers": layers})
    directory = journal(events)
    summary = Summary(StudyRecord.read(directory), {})
    table, best = trials(summary), schedule(summary)
    assert table.header[-1] == best.header[-1] == "fresh layers"
    for row in table.rows:
        assert row[-1] == ("dense1, dense2" if row[table.header.index("heir of")] else "")
    assert [row[-1] for row in best.rows] == ["", *["dense1, dense2"] * (len(best.rows) - 1)]
    assert len(best.rows) > 1
    words = "In 28 of 28 copies the structure changed: of 84 layers 28 were inherited, the others started fresh."
    assert structures(summary) == words
    assert words in report.write(directory).read_text(encoding="utf-8")


def test_where_no_structure_changes_no_layers_are_spoken_of(journal, pbt_events):
    directory = journal(pbt_events(members=20, rounds=8, interval=1))
    summary = Summary(StudyRecord.read(directory), {})
    assert structures(summary) == ""
    assert "fresh layers" not in trials(summary).header + schedule(summary).header
    assert "the structure changed" not in report.write(directory).read_text(encoding="utf-8")


@pytest.mark.parametrize(("skill", "words"), [(0.9, "0.15 of validation accuracy"), (0.7, "nothing")])
def test_the_page_says_what_stopping_has_cost(journal, skill, words):
    """Of two trials that would have been stopped at epoch 2, the better one comes to ``skill`` at epoch 4."""
    events = [header("LCM")]
    for trial, accuracies in enumerate(((0.75, 0.5), (0.25, skill), (0.25, 0.125))):
        events.append(order("start", trial, "new", config={}, until=2, progress=0))
        for progress, accuracy in zip((2, 4), accuracies, strict=True):
            found = {"progress": progress, "score": -accuracy, "metrics": {"accuracy": accuracy}}
            events.append({"event": "report", "trial": trial, **found})
            why = "audited: would end at 4, as a curve like it" if trial else "continue"
            events.append(order("resume", trial, why, until=4, progress=2))
        events[-1] = order("stop", trial, "completed", progress=4)
    directory = journal(events)
    told = f"2 trials that would have been stopped trained on: to stop would have cost {words}."
    assert audits(Summary(StudyRecord.read(directory), {})) == told
    assert f"The best 3 of 3, by their last report. {told}" in report.write(directory).read_text(encoding="utf-8")


def test_the_page_has_the_trials(journal, random_events):
    page = report.write(journal(random_events(trials=25, epochs=4))).read_text(encoding="utf-8")
    assert "The best 20 of 25, by their last report." in page


@pytest.fixture
def pair(journal, pbt_events, random_events):
    """A study with another one in its folder ``random``."""
    directory, other = journal(pbt_events(members=5, rounds=2)), random_events(trials=4, epochs=6)
    return directory, other, lambda: shutil.move(journal(other, "other"), directory / "random")


def test_a_study_in_the_folder_random_is_the_rival(pair):
    directory, _, put = pair
    assert report.summaries(directory)[1] is None
    put()
    study, rival = report.summaries(directory)
    assert (study.method, rival.method) == ("PBT", "Random")


def test_the_one_that_was_chosen_goes_before_it(pair, journal, random_events):
    directory, _, put = pair
    put()
    report.note(directory, against=journal(random_events(trials=2, epochs=3), "chosen"))
    assert len(report.summaries(directory)[1].record.trials) == 2


def test_one_that_cannot_be_compared_is_none(pair):
    directory, other, put = pair
    other[0]["metric"] = "loss"
    put()
    assert report.summaries(directory)[1] is None


def test_a_folder_random_without_a_study_is_none(pair):
    directory, _, _ = pair
    (directory / "random").mkdir()
    assert report.summaries(directory)[1] is None
