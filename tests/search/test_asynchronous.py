"""Asynchronous population based training: who is compared with whom, what an heir gets, and when a member ends."""

from __future__ import annotations

import math

from shoal.search import PBT
from shoal.search.protocol import Inherit, Order, Report, Resume, Start, Stop, Strategy
from shoal.space import Float, Int, Space

SPACE = Space({"lr": Float(1e-4, 1, log=True), "width": Int(8, 64)})
NAN = math.nan


def bound(population: int = 3, steps: int = 40, interval: int = 10) -> Strategy:
    strategy = PBT(population, steps=steps, interval=interval, quantile=0.5, synchronous=False).bind(SPACE)
    assert [(type(order), order.trial) for order in strategy.ask(9)] == [(Start, trial) for trial in range(population)]
    return strategy


def tell(strategy: Strategy, trial: int, progress: int, score: float) -> Order:
    (order,) = strategy.tell(Report(trial, progress, score))
    return order


def test_nobody_waits_and_each_is_compared_with_what_is_known() -> None:
    strategy = bound()
    assert tell(strategy, 2, 10, 9.0) == Resume(2, 20)  # the first: nobody to inherit from
    assert tell(strategy, 0, 10, 1.0) == Resume(0, 20)
    assert tell(strategy, 0, 20, 0.5) == Resume(0, 30)
    order = tell(strategy, 1, 10, 2.0)  # known are 0.5, 2 and 9: the worst one is trial 2, which trains on
    assert order == Resume(1, 20)
    order = tell(strategy, 2, 20, 3.0)
    assert isinstance(order, Inherit)
    assert (order.trial, order.donor) == (2, 0)
    assert order.until == 30  # from 20, where trial 0 has reported, and not from where it is now


def test_an_heir_is_no_donor_before_it_has_reported_again() -> None:
    strategy = bound(2)
    tell(strategy, 0, 10, 1.0)
    assert isinstance(tell(strategy, 1, 10, 2.0), Inherit)
    assert tell(strategy, 0, 20, 5.0) == Resume(0, 30)  # trial 1 has inherited 1.0, but that is no score of its own


def test_an_heir_may_fall_back_and_still_ends_after_its_own_share() -> None:
    strategy = bound(2)
    tell(strategy, 0, 10, 1.0)
    tell(strategy, 0, 20, 1.0)
    tell(strategy, 0, 30, 1.0)
    assert tell(strategy, 1, 10, 0.1) == Resume(1, 20)
    strategy = bound(2)
    assert tell(strategy, 1, 10, 0.1) == Resume(1, 20)
    assert tell(strategy, 0, 10, 0.01) == Resume(0, 20)
    assert tell(strategy, 0, 20, 0.01) == Resume(0, 30)
    order = tell(strategy, 0, 30, 1.0)
    assert isinstance(order, Inherit)
    assert (order.donor, order.until) == (1, 20)
    assert tell(strategy, 0, 20, 0.0) == Stop(0, "completed")  # 30 and 10 of its own are 40


def test_an_heir_that_leaps_forward_ends_with_its_weights() -> None:
    strategy = bound(2)
    for progress in (10, 20, 30):
        tell(strategy, 0, progress, 1.0)
    order = tell(strategy, 1, 10, 2.0)
    assert isinstance(order, Inherit)
    assert order.until == 40
    assert tell(strategy, 1, 40, 0.5) == Stop(1, "completed")


def test_a_diverged_member_inherits_or_else_a_new_trial_takes_over_what_it_had_left() -> None:
    strategy = bound(2)
    assert tell(strategy, 0, 10, NAN) == Stop(0, "diverged")
    (start,) = strategy.ask(9)
    assert isinstance(start, Start)
    assert (start.trial, start.until) == (2, 10)
    tell(strategy, 1, 10, 1.0)
    order = tell(strategy, 2, 10, math.inf)
    assert isinstance(order, Inherit)
    assert (order.donor, order.why) == (1, "diverged")
    tell(strategy, 2, 20, 0.5)
    assert tell(strategy, 2, 30, 0.5) == Stop(2, "completed")  # 40, less the 10 of the trial that it replaced


def test_equal_scores_go_to_the_lower_id() -> None:
    strategy = bound(2)
    assert tell(strategy, 0, 10, 1.0) == Resume(0, 20)
    assert isinstance(tell(strategy, 1, 10, 1.0), Inherit)


def test_the_plan_says_that_nobody_waits() -> None:
    plan = bound().plan()
    assert (plan.trials, plan.budget) == (3, 120)
    assert plan.lines[0] == "3 members, 4 intervals, each member at its own pace, of 10 steps to 40"
