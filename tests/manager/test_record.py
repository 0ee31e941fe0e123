"""The sum of the events: statuses, the best, and who has whose weights."""

import math

import pytest

from shoal.errors import StudyError
from shoal.manager import StudyRecord
from shoal.manager.journal import encode
from shoal.manager.replay import order_events
from shoal.search.protocol import AUDITED, Inherit, Pause, Resume, Set, Start, Stop

HEADER = {"event": "study", "format": 1, "metric": "loss", "mode": "min", "unit": "steps"}


def record(*events):
    study = StudyRecord()
    for event in (HEADER, *events):
        study.apply(event)
    return study


def give(study, *orders):
    for event in order_events(orders, study):
        study.apply(event)


def report(study, trial, progress, score, **metrics):
    metrics = {"loss": score, **metrics} if math.isfinite(score) else {}
    study.apply({"event": "report", "trial": trial, "progress": progress, "score": score, "metrics": metrics})


def test_a_trial_goes_through_its_states():
    study = record()
    give(study, Start(0, {"lr": 1}, 10))
    trial = study.trials[0]
    assert (trial.status, trial.why, study.running) == ("running", "new", {0: 10})
    study.apply({"event": "point", "trial": 0, "progress": 5, "metrics": {"loss": 2.0}})
    assert (trial.status, trial.progress, study.running) == ("running", 5, {0: 10})
    report(study, 0, 10, 1.5)
    assert (trial.status, trial.progress, study.running) == ("waiting", 10, {})
    give(study, Pause(0))
    assert (trial.status, trial.alive) == ("paused", True)
    give(study, Resume(0, 20))
    assert (trial.status, study.running) == ("running", {0: 20})
    report(study, 0, 20, 1.0)
    give(study, Set(0, {"lr": 2}, 30))
    report(study, 0, 30, math.nan)
    assert trial.diverged
    give(study, Stop(0, "diverged"))
    assert (trial.status, trial.alive, trial.why) == ("diverged", False, "diverged")
    assert trial.curve == [(5, {"loss": 2.0}), (10, {"loss": 1.5}), (20, {"loss": 1.0})]
    assert [(seen.progress, seen.score) for seen in trial.reports] == [(10, 1.5), (20, 1.0), (30, math.inf)]
    assert trial.configs == [(0, {"lr": 1}), (20, {"lr": 2})]
    assert study.spent == 30


@pytest.mark.parametrize(("why", "status"), [("completed", "completed"), ("diverged", "diverged"), ("rank", "stopped")])
def test_the_reason_of_a_stop_is_its_status(why, status):
    study = record()
    give(study, Start(0, {}, 10))
    give(study, Stop(0, why))
    assert (study.trials[0].status, study.running) == (status, {})


def test_audited_trials_show_what_stopping_costs():
    """Trial 1 was the best before it would have been stopped, trial 2 came to more after that than any other."""
    study = record()
    give(study, *(Start(trial, {}, 10) for trial in range(3)))
    for trial, score in enumerate((1.0, 0.5, 3.0)):
        report(study, trial, 10, score)
    assert (study.audits, math.isnan(study.audit_regret)) == ([], True)
    why = f"{AUDITED}: would end at 4, as a curve like it"
    give(study, Resume(0, 20), Resume(1, 20, why), Resume(2, 20, why))
    assert [trial.audited for trial in study.trials.values()] == [None, 10, 10]
    assert study.audit_regret == 0
    for trial, score in enumerate((0.75, math.nan, 0.75)):
        report(study, trial, 20, score)
    assert study.audit_regret == 0
    give(study, Resume(2, 30))
    report(study, 2, 30, 0.125)
    assert [trial.id for trial in study.audits] == [1, 2]
    assert study.audit_regret == 0.375


def test_an_heir_has_its_donors_past():
    study = record()
    give(study, Start(0, {"lr": 1}, 10), Start(1, {"lr": 2}, 10))
    report(study, 0, 10, 1.0)
    report(study, 1, 10, math.inf)
    assert study.trials[1].diverged
    give(study, Inherit(1, 0, {"lr": 3}, 20), Resume(0, 20))
    assert not study.trials[1].diverged
    report(study, 0, 20, 0.9)
    report(study, 1, 20, 0.8)
    assert study.trials[1].parents == [(10, 0)]
    assert study.schedule(1) == study.best_schedule == [(0, {"lr": 1}), (10, {"lr": 3})]
    assert study.schedule(1, 10) == [(0, {"lr": 2})]  # what it was before it inherited
    assert study.schedule(0) == [(0, {"lr": 1})]


def test_orders_given_together_see_the_same_past():
    study = record()
    give(study, *(Start(trial, {"lr": trial}, 10) for trial in range(3)))
    for trial in range(3):
        report(study, trial, 10, 1.0)
    give(study, Inherit(1, 2, {"lr": 12}, 20), Inherit(0, 1, {"lr": 1}, 20))  # 0 gets what 1 was
    assert study.schedule(0) == [(0, {"lr": 1}), (10, {"lr": 1})]
    assert study.schedule(1) == [(0, {"lr": 2}), (10, {"lr": 12})]


def test_an_heir_goes_on_from_its_donors_progress():
    study = record()
    give(study, Start(0, {"lr": 1}, 30), Start(1, {"lr": 2}, 10))
    report(study, 0, 30, 1.0)
    give(study, Inherit(0, 1, {"lr": 3}, 20))  # while 1 is at 0 still
    assert study.trials[0].progress == 0
    assert study.schedule(0) == [(0, {"lr": 3})]  # the config that was never trained with left no trace


def test_a_donor_in_training_gives_what_it_was_when_that_began():
    study = record()
    give(study, Start(0, {"lr": 1}, 10), Start(1, {"lr": 2}, 40))
    report(study, 0, 10, 1.0)
    give(study, Resume(0, 20))
    study.apply({"event": "point", "trial": 0, "progress": 15, "metrics": {"loss": 1.0}})
    report(study, 1, 40, 2.0)
    give(study, Inherit(1, 0, {"lr": 3}, 20))
    assert (study.trials[1].progress, study.trials[1].changes[-1].before) == (10, 40)
    report(study, 1, 20, 0.5)
    assert study.best_schedule == [(0, {"lr": 1}), (10, {"lr": 3})]
    assert study.schedule(1, 20) == study.best_schedule  # where it was 20 the last time
    assert study.spent == 15 + 40 + 10


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_equal_bests_the_lower_id_wins_whoever_came_first(order):
    study = record()
    give(study, Start(0, {}, 10), Start(1, {}, 10))
    for trial in order:
        report(study, trial, 10, 1.0)
    assert (study.best, study.best_score, study.best_progress) == (0, 1.0, 10)
    give(study, Resume(0, 20))
    report(study, 0, 20, 1.0)
    assert study.best_progress == 10  # and the earlier progress


def test_without_a_finite_report_nothing_is_best():
    study = record()
    give(study, Start(0, {}, 10))
    report(study, 0, 10, math.nan)
    assert study.best is None
    assert math.isnan(study.best_score)
    assert study.best_schedule == []


def test_a_score_is_shown_in_the_metrics_direction():
    assert record().figure(0.5) == 0.5
    study = StudyRecord()
    study.apply({**HEADER, "mode": "max"})
    assert study.figure(-0.5) == 0.5


def test_what_is_read_is_what_was_applied(tmp_path):
    study = record()
    give(study, Start(0, {"lr": 0.1, "layers": (3, 4)}, 10))
    study.apply({"event": "point", "trial": 0, "progress": 5, "metrics": {"loss": math.inf, "accuracy": 0.1}})
    report(study, 0, 10, 0.3, accuracy=math.nan)
    events = [
        HEADER,
        {
            "event": "order",
            "order": "start",
            "trial": 0,
            "config": {"lr": 0.1, "layers": [3, 4]},
            "until": 10,
            "why": "new",
        },
        {"event": "point", "trial": 0, "progress": 5, "metrics": {"loss": math.inf, "accuracy": 0.1}},
        {"event": "report", "trial": 0, "progress": 10, "score": 0.3, "metrics": {"loss": 0.3, "accuracy": math.nan}},
        {"event": "snapshot", "number": 1, "file": "snapshot-1.safetensors", "seconds": 1.5},
        {"event": "end", "seconds": 2.0},
    ]
    (tmp_path / "journal.jsonl").write_text("".join(encode(event) + "\n" for event in events))
    read = StudyRecord.read(tmp_path)
    assert repr(read.trials[0].curve) == repr(study.trials[0].curve)
    assert repr(read.best_report) == repr(study.best_report)
    assert read.trials[0].config["layers"] == [3, 4]  # JSON has no tuples
    assert (read.seconds, read.ended) == (2.0, True)


@pytest.mark.parametrize(
    ("event", "rule"),
    [
        ({"event": "study", "format": 2}, "format must be 1, got 2"),
        ({"event": "banana"}, "unknown event 'banana'"),
        ({"event": "point", "trial": 7, "progress": 1, "metrics": {}}, "7"),
        ({"event": "order", "order": "start", "trial": 0}, "why"),
        ({"progress": 3}, "event"),
        ({"event": "report", "trial": 0}, "score"),
    ],
)
def test_an_event_that_makes_no_sense_names_its_line(tmp_path, event, rule):
    (tmp_path / "journal.jsonl").write_text(encode(HEADER) + "\n" + encode(event) + "\n")
    with pytest.raises(StudyError, match=rf"journal\.jsonl, line 2: .*{rule}"):
        StudyRecord.read(tmp_path)


def test_an_empty_journal_is_no_study(tmp_path):
    (tmp_path / "journal.jsonl").write_text('{"event": "stu')
    with pytest.raises(StudyError, match="empty"):
        StudyRecord.read(tmp_path)


def test_the_past_of_weights_follows_inheritance():
    study = record()
    give(study, Start(0, {"lr": 1}, 10), Start(1, {"lr": 2}, 10))
    for trial in (0, 1):
        study.apply({"event": "point", "trial": trial, "progress": 5, "metrics": {"loss": trial + 0.5}})
        report(study, trial, 10, trial)
    give(study, Set(1, {"lr": 3}, 15))
    report(study, 1, 15, 2.0)
    give(study, Inherit(0, 1, {"lr": 4}, 20), Resume(1, 20))
    report(study, 1, 20, 9.0)
    report(study, 0, 20, 3.0)
    assert [(at, each["loss"]) for at, each in study.past(0)] == [(5, 1.5), (10, 1.0), (15, 2.0), (20, 3.0)]
    assert [(at, each["loss"]) for at, each in study.past(1)] == [(5, 1.5), (10, 1.0), (15, 2.0), (20, 9.0)]


def test_the_past_of_weights_that_went_back():
    """Trial 0 was at 30 when it took over what trial 1 was at 10."""
    study = record()
    give(study, Start(0, {}, 30), Start(1, {}, 10))
    report(study, 0, 30, 5.0)
    report(study, 1, 10, 1.0)
    give(study, Inherit(0, 1, {}, 40), Resume(1, 20))
    report(study, 0, 40, 0.5)
    assert [(at, each["loss"]) for at, each in study.past(0)] == [(10, 1.0), (40, 0.5)]
