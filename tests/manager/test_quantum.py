"""Rounds that end before the longest training does: who is back first, and that it makes no difference to anyone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.manager.toys import images, network

from shoal.manager.native import NativeWorker
from shoal.manager.quantum import quantum

TRAIN, VALID = images(103, 0), images(50, 1)
CONFIG = {"lr": 0.1, "momentum": 0.5, "width": 9, "rate": 0.2}
OPTIONS = {"optimizer": "sgd", "loss": "cross_entropy", "seed": 5, "threads": 1}
BATCHES = [8, 8, 64, 16, 32]


def test_all_get_the_work_of_the_lower_quartile():
    assert quantum({0: 10, 1: 99, 2: 30, 3: 7, 4: 50}, dict.fromkeys(range(5), 1)) == {0: 10, 1: 10, 2: 10, 3: 7, 4: 10}
    assert quantum({0: 10, 1: 10, 2: 10}, {0: 1, 1: 4, 2: 6}) == {0: 10, 1: 3, 2: 2}
    assert quantum({7: 3}, {7: 2}) == {7: 3}


@given(st.dictionaries(st.integers(0, 99), st.tuples(st.integers(1, 10**6), st.integers(1, 10**9)), min_size=1))
def test_a_quarter_comes_back_and_three_quarters_train_all_through(trials):
    left, costs = ({trial: pair[k] for trial, pair in trials.items()} for k in (0, 1))
    steps = quantum(left, costs)
    assert all(1 <= steps[trial] <= left[trial] for trial in left)
    back = [trial for trial in left if steps[trial] == left[trial]]
    assert 4 * len(back) >= len(left)
    work = [left[trial] * costs[trial] for trial in left]
    share = np.quantile(work, 0.25, method="inverted_cdf")
    through = [trial for trial in left if steps[trial] * costs[trial] >= share]
    assert 4 * len(through) >= 3 * len(left)


def worker(unit, rows=5, partial=True):
    lent = NativeWorker(network, TRAIN, VALID, rows=rows, unit=unit, options=OPTIONS, partial=partial)
    for trial, batch in enumerate(BATCHES):
        lent.start(trial, CONFIG | {"batch_size": batch})
    return lent


def finish(lent, targets):
    """Train until all are there; returns who came in which round, and the metrics of all."""
    rounds, metrics = [], {}
    while len(metrics) < len(BATCHES):
        back = lent.train(targets)
        assert back
        assert not back.keys() & metrics.keys()
        rounds.append(sorted(back))
        metrics |= back
        targets = {}
    return rounds, metrics


@pytest.mark.parametrize(("unit", "targets"), [("epochs", [3, 1, 4, 2, 9]), ("steps", [3, 90, 11, 2, 20])])
def test_trials_come_back_the_short_ones_first_and_as_they_would_have_come_together(unit, targets):
    targets = dict(enumerate(targets))
    parts, whole = worker(unit), worker(unit, partial=False)
    rounds, metrics = finish(parts, targets)
    assert len(rounds) > 2
    assert metrics == whole.train(targets)
    _, more = finish(parts, {trial: until + 2 for trial, until in targets.items()})
    assert more == whole.train({trial: until + 2 for trial, until in targets.items()})
    for trial in targets:
        np.testing.assert_array_equal(parts.state(trial)["member"], whole.state(trial)["member"])
        assert "loss" not in parts.state(trial)


def test_there_may_be_more_trials_than_rows():
    targets = dict(enumerate([3, 1, 4, 2, 9]))
    few = worker("epochs", rows=2)
    rounds, metrics = finish(few, targets)
    assert rounds[0] == [1], "the last three wait"
    assert metrics == worker("epochs", partial=False).train(targets)


def test_a_state_from_the_way_leads_to_the_same():
    targets = dict(enumerate([9, 1, 9, 2, 9]))
    first, second = worker("epochs"), worker("epochs")
    back = first.train(targets)
    assert 0 < len(back) < len(targets)
    for trial, batch in enumerate(BATCHES):
        second.restore(trial, CONFIG | {"batch_size": batch}, first.state(trial))
    rest = {trial: until for trial, until in targets.items() if trial not in back}
    assert any("loss" in first.state(trial) for trial in rest)
    assert first.train({}) == second.train(rest)
    while first._targets:
        assert first.train({}) == second.train({})


def test_one_that_diverges_is_back_at_once_and_one_that_is_stopped_is_forgotten():
    lent = worker("epochs")
    lent.start(5, CONFIG | {"batch_size": 8, "lr": 1e30})
    lent.stop(0)
    assert lent.train({1: 40, 2: 50, 3: 50, 5: 30}) == {5: {}}
    lent.stop(2)
    lent.stop(3)
    assert [*lent.train({})] == [1]
