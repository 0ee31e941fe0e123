"""What a run of the judge pays for and sees, on hand-made curves."""

import numpy as np
import pytest
from judge_runs import Account, Training, regret, run_peer, run_search

from shoal import search
from shoal.simulate import Table
from shoal.space import Float, Space

SPACE = Space({"x": Float(0, 1)})
CONFIGS = [{"x": 0.0}, {"x": 0.4}, {"x": 1.0}]
SCORES = [[5.0, 4, 3, 2], [9, 1, 8, 7], [6, np.nan, np.inf, 6]]
TABLE = Table.of(SPACE, CONFIGS, SCORES)


def asked(trainings, told):
    """A peer that wants these trainings, and notes what it is sent."""
    for training in trainings:
        told.append((yield training))


def test_epochs_are_paid_once_and_seen_all():
    told = []
    trainings = [
        Training("a", {"x": 0.1}, 2),  # row 0, 2 epochs
        Training("b", {"x": 0.5}, 3),  # row 1, 3 epochs; its best is the second
        Training("a", {"x": 0.9}, 4),  # a goes on, 2 epochs: its row stays
        Training("a", {"x": 0.1}, 1),  # known: nothing
        Training("c", {"x": 0.5}, 1),  # another trial on row 1: charged again
        Training("d", {"x": 0.8}, 2),  # row 2 diverges: 1 epoch of 2 is left
        Training("e", {"x": 0.1}, 1),  # not reached
    ]
    account = run_peer(asked(trainings, told), TABLE, budget=9, rule="nearest")
    assert told == [4, 8, 2, 5, 9]
    assert account.spent == 9
    assert account.best == 1


def test_a_peer_is_told_the_worst_for_a_diverged_trial():
    told = []
    run_peer(
        asked([Training(k, {"x": 1.0}, until) for k, until in enumerate([2, 3, 4, 4])], told),
        TABLE,
        budget=10,
        rule="nearest",
    )
    assert told == [9, 9, 6]  # the fourth spends the budget


def test_rows_are_had_once_under_the_other_rule():
    told = []
    run_peer(asked([Training(k, {"x": 0.0}, 1) for k in range(3)], told), TABLE, budget=3, rule="unused")
    assert told == [5, 9]  # the third spends the budget


def test_a_run_ends_where_no_row_is_left():
    trainings = [Training(k, {"x": 0.0}, 1) for k in range(4)]
    assert run_peer(asked(trainings, []), TABLE, budget=10, rule="unused").spent == 3


def test_a_peer_is_closed():
    closed = []

    def peer():
        try:
            yield Training(0, {"x": 0.0}, 4)
        finally:
            closed.append(True)

    run_peer(peer(), TABLE, budget=1, rule="nearest")
    assert closed == [True]


def test_a_training_beyond_the_curves_is_refused():
    with pytest.raises(ValueError, match=r"until: must be in \[1, 4\], got 5"):
        run_peer(asked([Training(0, {"x": 0.0}, 5)], []), TABLE, budget=9, rule="nearest")


def test_a_strategy_and_a_peer_that_do_the_same_have_the_same_account():
    strategy = search.SuccessiveHalving(9, max_epochs=4, min_epochs=1)
    ours = run_search(strategy, TABLE, budget=14, seed=3, rule="nearest")

    def peer():
        bound = strategy.bind(SPACE, seed=3)
        configs = [order.config for order in bound.ask(9)]
        scores = []
        for trial, config in enumerate(configs):
            scores.append((yield Training(trial, config, 1)))
        best = sorted(range(9), key=lambda trial: (scores[trial], trial))[:3]
        for trial in best:
            yield Training(trial, configs[trial], 3)

    theirs = run_peer(peer(), TABLE, budget=14, rule="nearest")
    assert (ours.spent, ours.best) == (theirs.spent, theirs.best) == (14, ours.best)


def test_regret_is_in_units_of_the_median():
    account = Account(TABLE, budget=4)
    assert regret(account, TABLE) == (9 - 1) / (6 - 1)  # nothing seen: the worst
    account.train(0, 0, 4)
    assert regret(account, TABLE) == (2 - 1) / (6 - 1)
