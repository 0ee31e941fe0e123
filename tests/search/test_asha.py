"""ASHA against a transcription of the paper's algorithm 2, and what the transcription leaves open."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.search.simulator import Problem, Run, simulate

from shoal.search import ASHA
from shoal.search.protocol import Order, Report, Resume, Start
from shoal.space import Float, Space

SPACE = Space({"lr": Float(0, 1)})


class Transcription:
    """Algorithm 2 of Li et al. 2020, line by line: promotable trials are looked for in every rung by sorting it."""

    def __init__(self, trials: int, rungs: int, eta: int) -> None:
        self.trials, self.eta = trials, eta
        self.results: list[dict[int, float]] = [{} for _ in range(rungs)]
        self.promoted: list[set[int]] = [set() for _ in range(rungs)]
        self.started = 0

    def get_job(self) -> tuple[int, int] | None:
        """Return a trial and the rung to train it to."""
        for k in range(len(self.results) - 2, -1, -1):
            ranked = sorted(self.results[k], key=lambda trial: (self.results[k][trial], trial))
            candidates = ranked[: len(ranked) // self.eta]
            promotable = [trial for trial in candidates if trial not in self.promoted[k]]
            if promotable:
                self.promoted[k].add(promotable[0])
                return promotable[0], k + 1
        if self.started == self.trials:
            return None
        self.started += 1
        return self.started - 1, 0

    def finish(self, trial: int, rung: int, loss: float) -> None:
        self.results[rung][trial] = loss


@settings(max_examples=200, deadline=None)
@given(
    trials=st.integers(1, 150),
    eta=st.integers(2, 4),
    rungs=st.integers(1, 4),
    rows=st.integers(1, 9),
    losses=st.randoms(use_true_random=False),
    levels=st.sampled_from([2, 10, 10**6]),
)
def test_it_does_what_the_paper_says(trials: int, eta: int, rungs: int, rows: int, losses: Any, levels: int) -> None:
    ours = ASHA(trials, max_epochs=eta ** (rungs - 1), eta=eta).bind(SPACE)
    paper = Transcription(trials, rungs, eta)
    training: dict[int, int] = {}  # trial -> rung
    while True:
        orders = ours.ask(rows - len(training))
        jobs = [job for _ in range(rows - len(training)) if (job := paper.get_job()) is not None]
        assert [_job(order, eta) for order in orders] == jobs
        training |= dict(jobs)
        if not training:
            break
        trial = losses.choice(sorted(training))
        rung = training.pop(trial)
        loss = losses.randrange(levels) / levels
        paper.finish(trial, rung, loss)
        ours.tell(Report(trial, eta**rung, loss))
    assert ours.finished


def _job(order: Order, eta: int) -> tuple[int, int]:
    assert isinstance(order, Start | Resume)
    rung = 0
    while eta**rung < order.until:
        rung += 1
    return order.trial, rung


def ran(search: ASHA, score: Any, rows: int = 4) -> Run:
    return simulate(search.bind(SPACE), SPACE, Problem(score), rows=rows)


def test_brackets_start_at_their_rung() -> None:
    result = ran(ASHA(9, max_epochs=9, brackets=3), lambda trial, _: trial / 9)
    starts = {number: trial.orders[0] for number, trial in result.trials.items()}
    assert {number: order.until for number, order in starts.items() if isinstance(order, Start)} == {
        number: (1, 3, 9)[number % 3] for number in range(9)
    }


@pytest.mark.parametrize("brackets", [1, 2, 3])
@pytest.mark.parametrize("trials", [1, 10, 81, 100])
def test_the_plan_expects_what_no_wrong_promotion_takes(trials: int, brackets: int) -> None:
    """Here the best trials come first, so that no later one takes their place."""
    strategy = ASHA(trials, max_epochs=20, brackets=brackets).bind(SPACE)
    result = simulate(strategy, SPACE, Problem(lambda trial, _: float(trial)), rows=1)
    assert result.spent == strategy.plan().expected


@pytest.mark.parametrize(("trials", "brackets"), [(1, 1), (5, 1), (30, 1), (100, 1), (100, 3)])
def test_the_plan_of_stopping_expects_what_a_random_order_takes(trials: int, brackets: int) -> None:
    """To be among the best third of the first few takes no merit: the first result of a rung always goes on."""
    spent = []
    search = ASHA(trials, max_epochs=81, mode="stopping", brackets=brackets)
    for seed in range(50):
        noise = np.random.default_rng(seed).random((trials, 82))
        spent.append(ran(search, lambda trial, epoch: noise[trial, epoch]).spent)  # noqa: B023
    assert search.bind(SPACE).plan().expected == pytest.approx(np.mean(spent), rel=0.15)


def test_stopping_decides_at_once() -> None:
    """The third result of a rung is in the best third, rounded up, only if it is the best."""
    result = ran(ASHA(6, max_epochs=9, mode="stopping"), lambda trial, _: (3, 1, 2, 0, 5, 4)[trial], rows=1)
    assert [trial.progress for trial in result.trials.values()] == [9, 9, 1, 9, 1, 1]
    assert result.trials[2].stopped == "place 2 of 3 at 1 epochs"


def test_those_left_are_stopped_in_the_end() -> None:
    result = ran(ASHA(27, max_epochs=27), lambda trial, _: trial)
    assert [trial.stopped for trial in result.trials.values()].count("completed") == 1
    assert {trial.stopped for trial in result.trials.values()} == {"completed", "not promoted"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "halving"}, "mode: must be one of promotion, stopping, got 'halving'"),
        ({"brackets": 4}, "brackets: must be at most the number of rungs, 3, got 4"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ASHA(9, max_epochs=9, **arguments)
