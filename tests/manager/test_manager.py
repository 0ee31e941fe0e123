"""Every order is carried out as it is meant, told by a scripted strategy and a worker that only takes notes."""

import math

import pytest
from tests.manager.scripted import HEADER, Script, Tape, Uneven, run

from shoal.errors import StudyError
from shoal.manager import Listener, StudyRecord
from shoal.manager.manager import Manager
from shoal.merit import TimeToReach, objectives
from shoal.search.protocol import Inherit, Pause, Resume, Set, Start, Stop


def starts(*values, until=10):
    return [Start(trial, {"x": value}, until) for trial, value in enumerate(values)]


def test_a_free_row_is_filled_in_the_next_round():
    long = Start(0, {"x": 1.0}, 40)
    manager, strategy, worker = run([long, *starts(1.0, 2.0, 3.0, 4.0)[1:]], rows=2, every=10)
    assert worker.rounds == [{0: 10, 1: 10}, {0: 20, 2: 10}, {0: 30, 3: 10}, {0: 40}]
    assert strategy.asked == [2, 1, 1, 1]
    assert worker.trials == {}  # all rows were given back
    assert manager.record.ended
    assert manager.record.spent == 70


def test_a_worker_may_return_some_trials_while_others_are_in_flight():
    """The rows of the short ones are filled again while the long one trains; a diverged one holds up nobody."""
    short = [Start(1, {"x": 1.0}, 10), Start(2, {"x": None}, 12), *starts(1.0, 2.0, 3.0, 4.0)[3:]]
    manager, strategy, worker = run([Start(0, {"x": 1.0}, 25), *short], rows=2, every=20, kind=Uneven)
    assert worker.rounds == [{0: 20, 1: 10}, {2: 12}, {0: 25}, {3: 10}, {}]
    assert [(report.trial, report.progress) for report in strategy.told] == [(1, 10), (2, 12), (0, 25), (3, 10)]
    assert [progress for progress, _ in manager.record.trials[0].curve] == [20, 25]
    assert manager.record.spent == 57
    assert worker.trials == {}


def test_a_donor_in_flight_gives_what_its_training_began_with():
    answers = {(1, 10): [Resume(1, 60)], (0, 30): [Inherit(0, 1, {"x": 5.0}, 20)]}
    manager, _, worker = run(
        [Start(0, {"x": 1.0}, 30), Start(1, {"x": 1.0}, 10)], answers, donors_train=True, kind=Uneven
    )
    assert worker.inherited == [(0, 10)]
    assert manager.record.spent == 30 + (20 - 10) + 60


def test_reports_come_in_the_order_of_ids_and_points_only_from_those_on_their_way():
    manager, strategy, _ = run([*reversed(starts(1.0, 2.0, 3.0)), Start(3, {"x": 1.0}, 7)], rows=4, every=5)
    assert [(report.trial, report.progress) for report in strategy.told] == [(0, 10), (1, 10), (2, 10), (3, 7)]
    assert [progress for progress, _ in manager.record.trials[3].curve] == [5, 7]
    assert strategy.told[3].metrics == {"loss": 1 / 7, "extra": 1.0}


def test_without_points_a_round_goes_to_the_report():
    manager, _, worker = run(starts(1.0), every=None)
    assert worker.rounds == [{0: 10}]
    assert manager.record.trials[0].curve == [(10, {"loss": 0.1, "extra": 1.0})]


def test_points_lie_on_multiples_whatever_the_reports():
    answers = {(0, 7): [Resume(0, 12)]}
    manager, _, _ = run(starts(1.0, until=7), answers, every=5)
    assert [progress for progress, _ in manager.record.trials[0].curve] == [5, 7, 10, 12]


def test_more_orders_than_rows_wait_their_turn():
    together = [Resume(trial, 20) for trial in range(3)]
    answers = {(0, 10): [], (1, 10): [], (2, 10): together}
    _, strategy, worker = run(starts(3.0, 2.0, 1.0), answers, rows=2)
    assert worker.rounds == [{0: 10, 1: 10}, {2: 10}, {0: 20, 1: 20}, {2: 20}]
    assert strategy.finished


def test_a_paused_trial_goes_on_where_it_was():
    answers = {(0, 10): [Pause(0)], (1, 10): [Stop(1, "rank"), Resume(0, 20)]}
    manager, _, worker = run(starts(1.0, 2.0), answers, rows=1)
    assert worker.rounds == [{0: 10}, {1: 10}, {0: 20}]
    assert manager.record.trials[1].status == "stopped"


def test_heirs_get_what_their_donors_were_when_the_orders_came():
    swap = [Inherit(0, 1, {"x": 5.0}, 20), Inherit(1, 0, {"x": 6.0}, 20)]
    manager, _, worker = run(starts(1.0, 2.0), {(0, 10): [], (1, 10): swap})
    assert ("inherit", (0, 1), (1, 0)) in worker.calls
    assert [manager.record.schedule(trial)[0][1] for trial in (0, 1)] == [{"x": 2.0}, {"x": 1.0}]
    assert manager.record.trials[0].config == {"x": 5.0}


def test_what_became_of_an_heirs_layers_is_noted_after_the_orders(monkeypatch):
    layers = [{"conv1": True, "dense1": False}, {"conv1": False, "dense1": True}]
    orders = [Inherit(trial, 2, {"x": 5.0, "layers": layers[trial]}, 20) for trial in (0, 1)]
    last = [Inherit(0, 1, {"x": 6.0}, 30), Resume(1, 30)]
    events, apply = [], StudyRecord.apply

    def noting(record, event):
        events.append((event["event"], event.get("trial")))
        apply(record, event)

    monkeypatch.setattr(StudyRecord, "apply", noting)
    answers = {(0, 10): [], (1, 10): [], (2, 10): orders, (0, 20): [], (1, 20): last}
    manager, _, _ = run(starts(2.0, 2.0, 1.0), answers, rows=3)
    first = events.index(("layers", 0))
    assert events[first - 2 : first + 2] == [("order", 0), ("order", 1), ("layers", 0), ("layers", 1)]
    changes = manager.record.trials[0].changes
    assert [change.layers for change in changes] == [None, layers[0], None]
    assert [change.fresh for change in changes] == [(), ("dense1",), ()]
    assert manager.record.trials[1].changes[-1].fresh == ("conv1",)


@pytest.mark.parametrize("every", [None, 5])
def test_an_heir_of_a_donor_in_training_gets_what_that_training_began_with(every):
    """Trial 1 has trained to 20 when trial 0 is told to inherit: what it was at 10, and reported there."""
    answers = {(0, 10): [Resume(0, 15)], (1, 10): [Resume(1, 30)], (0, 15): [Inherit(0, 1, {"x": 5.0}, 25)]}
    manager, _, worker = run(starts(1.0, 2.0), answers, every=every, donors_train=True)
    assert [call for call in worker.calls if call[0] == "inherit"] == [("inherit", (0, 1))]
    assert worker.inherited == [(0, 10)]
    change = manager.record.trials[0].changes[-1]
    assert (change.donor, change.progress, change.before) == (1, 10, 15)
    assert manager.record.schedule(0) == [(0, {"x": 2.0}), (10, {"x": 5.0})]
    assert manager.record.spent == 15 + (25 - 10) + 30


def test_a_donor_may_be_stopped_by_the_same_orders():
    _, _, worker = run(starts(1.0, 2.0), {(0, 10): [], (1, 10): [Stop(1, "old"), Inherit(0, 1, {"x": 1.0}, 20)]})
    assert worker.calls.index(("inherit", (0, 1))) < worker.calls.index(("stop", 1))


def test_a_new_config_is_set_in_place():
    manager, _, worker = run(starts(1.0), {(0, 10): [Set(0, {"x": 4.0}, 20)]})
    assert ("set", 0) in worker.calls
    assert manager.record.trials[0].curve[-1] == (20, {"loss": 0.2, "extra": 1.0})


def test_a_diverged_trial_reports_at_once_and_costs_nothing_until_it_inherits():
    answers = {(0, 30): [Resume(0, 40)], (0, 40): [], (1, 30): [Inherit(0, 1, {"x": 1.0}, 50)]}
    manager, strategy, worker = run([Start(0, {"x": None}, 30), Start(1, {"x": 2.0}, 30)], answers, every=10)
    diverged = [(report.trial, report.progress, report.score, report.metrics) for report in strategy.told[:2]]
    assert diverged == [(0, 30, math.inf, {}), (0, 40, math.inf, {})]
    assert worker.rounds == [{0: 10, 1: 10}, {1: 20}, {1: 30}, {0: 40}, {0: 50}]
    assert not manager.record.trials[0].diverged


def test_the_best_state_is_kept_before_an_order_overwrites_it():
    answers = {(0, 10): [], (1, 10): [Inherit(0, 1, {"x": 9.0}, 11), Stop(1, "completed")]}
    manager, _, _ = run(starts(0.5, 2.0), answers)
    assert (manager.record.best, manager.record.best_progress) == (0, 10)
    assert [state["origin"].tobytes() for state in manager.front_states] == [b"0"]


def test_max_is_the_other_way_round():
    manager, strategy, _ = run(starts(0.5, 2.0), header={**HEADER, "mode": "max"})
    assert [report.score for report in strategy.told] == [-0.05, -0.2]
    assert manager.record.best == 1
    assert manager.record.figure(manager.record.best_score) == 0.2


def test_a_metric_that_never_comes_is_an_error_that_names_what_did():
    with pytest.raises(StudyError, match="metric: trial 0 returned loss, extra, but no 'accuracy'"):
        run(starts(1.0), header={**HEADER, "metric": "accuracy"})


def test_a_strategy_that_waits_for_nothing_is_an_error():
    class Waiting(Script):
        finished = False

    with pytest.raises(RuntimeError, match="Waiting waits for reports, but no trial is running"):
        Manager(Waiting([], {}), Tape(1), HEADER).run()


def test_a_listener_hears_of_start_rounds_and_end():
    class Ear(Listener):
        def __init__(self):
            self.heard = []

        def on_start(self, record, plan):
            self.heard.append(("start", len(record.trials), plan.trials))

        def on_round(self, record, stats):
            self.heard.append((stats.number, stats.trained, record.ended))

        def on_end(self, record):
            self.heard.append(("end", record.ended))

    ear = Ear()
    run(starts(1.0, 2.0, 3.0), rows=2, listener=ear)
    assert ear.heard == [("start", 0, 3), (1, (0, 1), False), (2, (2,), False), ("end", True)]


def test_an_empty_script_ends_at_once():
    manager, _, worker = run([])
    assert worker.calls == []
    assert manager.record.ended
    assert manager.front_states == []


SEVERAL = {**HEADER, "metric": ["loss", "extra"], "mode": ["min", "min"]}


class Weighed(Tape):
    """A second metric from the config; the first as ever."""

    def _train(self, trial, until):
        metrics = super()._train(trial, until)
        return metrics and {**metrics, "extra": self.trials[trial][0]["extra"]}


def front_of(*pairs, answers=None):
    strategy = Script([Start(i, {"x": x, "extra": extra}, 10) for i, (x, extra) in enumerate(pairs)], answers or {})
    manager = Manager(strategy, Weighed(9), SEVERAL)
    manager.run()
    return manager, strategy


def test_several_objectives_are_reported_and_the_first_is_the_score():
    _, strategy = front_of((1.0, 5.0), (2.0, 4.0))
    assert [(report.score, report.objectives) for report in strategy.told] == [(0.1, (0.1, 5.0)), (0.2, (0.2, 4.0))]


@pytest.mark.parametrize("lost", [(None, 5.0), (1.0, math.nan), (1.0, math.inf)])
def test_one_objective_that_is_not_finite_is_a_divergence(lost):
    manager, strategy = front_of(lost, (2.0, 4.0))
    assert strategy.told[0].diverged
    assert strategy.told[0].objectives == ()
    assert [leader.report.trial for leader in manager.record.front] == [1]


def test_the_states_of_the_front_are_kept_as_they_were():
    """Trial 0 is on the front at 10 and then overwritten; 3 is dominated; 2 comes back better and replaces itself."""
    answers = {
        **{(trial, 10): [] for trial in range(3)},
        (3, 10): [Inherit(0, 1, {"x": 30.0, "extra": 9.0}, 20), Resume(2, 20), Stop(1, "rank"), Stop(3, "rank")],
    }
    manager, _ = front_of((1.0, 5.0), (3.0, 3.0), (4.0, 1.0), (4.0, 4.0), answers=answers)
    front = [(leader.report.trial, leader.report.progress) for leader in manager.record.front]
    assert front == [(0, 10), (2, 20)]
    assert [state["origin"].tobytes() for state in manager.front_states] == [b"0", b"2"]
    assert [leader.schedule for leader in manager.record.front] == [
        [(0, {"x": 1.0, "extra": 5.0})],
        [(0, {"x": 4.0, "extra": 1.0})],
    ]
    assert manager.record.best == 0


def test_a_functions_error_names_it_and_the_trial():
    def ratio(metrics):
        return metrics["loss"] / metrics["nothing"]

    strategy, worker = Script(starts(1.0), {}), Tape(1)
    with pytest.raises(StudyError, match=r"trial 0, metric ratio of loss, extra: KeyError: 'nothing'; its config"):
        Manager(strategy, worker, HEADER, objectives=objectives(ratio, "min", None)).run()
    with pytest.raises(StudyError, match=r"trial 0, metric <lambda> of .*: TypeError: must return a number, got 'x'"):
        Manager(Script(starts(1.0), {}), Tape(1), HEADER, objectives=objectives(lambda _: "x", "min", None)).run()


def test_a_figure_is_among_the_metrics_and_follows_the_weights():
    """The heir has its donor's curve up to where it inherited: it reached 0.3 half way between 5 and 10."""
    answers = {(0, 10): [], (1, 10): [Inherit(0, 1, {"x": 1000.0}, 20)]}
    found = objectives(TimeToReach("loss", 0.3), "min", None)
    strategy = Script([Start(0, {"x": 100.0}, 10), Start(1, {"x": 2.0}, 10)], answers)
    manager = Manager(strategy, Tape(2), HEADER, objectives=found, record_every=5)
    manager.run()
    label = "progress to loss 0.3"
    assert [metrics[label] for _, metrics in manager.record.trials[1].curve] == pytest.approx(
        [math.nan, 7.5], nan_ok=True
    )
    heir = manager.record.trials[0]
    assert [metrics[label] for _, metrics in heir.curve[2:]] == pytest.approx([7.5, 7.5])
    assert [report.score for report in heir.reports][1:] == pytest.approx([7.5])
    assert heir.reports[0].score > 1e18
